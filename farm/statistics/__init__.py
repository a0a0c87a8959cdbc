"""Numbers from judgements. Arrays go in, numbers come out; nothing here reads a ledger or a file.

bootstrap            an interval, and the weights of a bootstrap by item
measures             statistics of sums over questions, with bounds by instruction and without draws
student              Student's quantile
bounds               95 % bounds of a mean from its error; what holds where every item says the same
agreement            agreement with a majority, with each other, with oneself
reliability          Krippendorff's alpha, Fleiss' and Cohen's kappa
rating_agreement     how raters of single outputs agree: alpha on the interval scale
vote_distribution    Brier score and KL: does an annotator vary as people do
profile              one annotator: agreement, biases, consistency
votes_on_traits      what an annotator rewards: a logistic model of its votes
mcnemar              did a share change between two measurements of the same items
self_preference      whether a judge prefers its kin more than others do
isotonic             means of ordered groups that do not fall
ordinal              alpha on an ordered scale, such as how much better
cycles               three outputs of which each beats the next
panel                several annotators: pairwise agreement, how many independent ones they equal
selective            thresholds of a cascade that keep a promised agreement
dawid_skene          hidden true categories and a confusion matrix for each annotator
alt_test             the alternative annotator test: may this annotator replace people
crowd_fit            weights and label noise of a crowd, fitted to people's votes
win_rates            win rates with standard errors and intervals
difficulty           how easily models beat the reference on an instruction
logistic             L1-penalised logistic regression with soft labels
firth                logistic regression that is finite where wins and losses are few
equal_rows           rows of a regression with the same features as one
foldings             the folds of cross-validation, by instruction
length_control       win rates at equal length
bradley_terry        strengths of models from pairs, with ties
ranking              rank correlations, and which models differ significantly
prediction_powered   one interval from few human labels and many simulated ones
rogan_gladen         a win rate corrected for the judge's errors
turning              the best checkpoint, and whether a run has turned for the worse
label_budget         how many human labels an interval needs, and which pairs to label next
study_size           how many labels a study needs, by simulated pilots
judge_choice         which judges to buy beside people
explained            R^2 with an interval by cluster
over_optimisation    gold reward against the KL from the starting policy
"""
