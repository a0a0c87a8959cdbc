"""Numbers from judgements: arrays in, numbers out; no ledger, no files.

bootstrap            intervals by item, for every ratio of sums over items
agreement            agreement with a majority, with each other, with oneself
reliability          Krippendorff's alpha, Fleiss' and Cohen's kappa
vote_distribution    does a judge vary as people do: Brier score and KL of vote shares
profile              what an annotator is like: agreement, biases, consistency
panel                annotators beside each other; how many independent ones they are worth
dawid_skene          hidden true categories and a confusion matrix for each annotator
alt_test             may this annotator replace people: the alternative annotator test
crowd_fit            weights and label noise of a crowd, fitted to people's votes
win_rates            win rates with standard errors and intervals
difficulty           how hard an instruction makes it to beat the reference
logistic             L1-penalised logistic regression with soft labels
length_control       win rates at equal length
bradley_terry        strengths of models from pairs, with ties
ranking              do two rankings agree, and which models can be told apart
prediction_powered   few human labels and many simulated ones in one interval
rogan_gladen         a win rate corrected for the judge's errors
label_budget         how many human labels an interval needs, and which pairs come next
over_optimisation    gold reward against KL, and where the curve turns
"""
