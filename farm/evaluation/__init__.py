"""What the commands that measure share: who and what counts, how it is measured, the reports as records.

references            annotators under distinct names, and who of them is the reference
mean_votes            the mean of people's votes on each pair
questions             the judgements that count: those made to test judges are left out
scope                 which pairs an estimate is about; the error where nothing succeeded
sets                  the evaluation set of a leaderboard
contamination         evaluation instructions that stand in a training set
attacks               outputs that deserve to lose
json_figures          figures as JSON objects
audit_report          the report of an audit
rating_audit          the measures of ratings, and of their raters
slices                which questions make a slice, its judgements as arrays
slice_audit           the measures of one slice
traits                traits of a text: length, lists, markdown, hedges and others
trait_audit           what each annotator rewards, people beside judges
families              who is of which family of models
family_audit          whether judges prefer outputs of their own family
drift_audit           did a judge change with the model behind its name
near_texts            how alike two outputs are
pair_audit            what is odd about the pairs: alike outputs, contradictions
strength_audit        how far annotators agree on how much better an output is
ties_score            RewardBench 2's score of answers that are equally right
benchmark_rules       how benchmarks of judges score
benchmarks            the benchmark's own number of each annotator that judged it
worst_pairs           the pairs on which people and judges differ most
requirements          rules that an audit has to meet
coverage              what panels and cascades decided, who did, and what it cost
label_order           the questions that people can label, and in which order
people_report         the reports of `farm people`
plan_pool             what a plan of labels starts from: pairs, votes, judges, prices
plan_targets          the estimates that labels are planned for
plan_judges           which annotators may be bought, and who is chosen
plan_report           the report of `farm people plan`
people_plan           how many labels people must give, and which annotators to buy
rankings              do two evaluators rank models alike, and what moves a ranking
leaderboard_report    the report of a leaderboard
published             leaderboards that others published
cards                 the Markdown card of an exported file or of a checkpoint
"""
