"""What every method trains with: the protocol of a method, its data, its rollouts, and the one loop.

batches           the batches that losses take, each with its weight
method            the protocols: a feed of batches, a loss on each, the models a method asks for
processes         several processes as one: sums, averages, sharding
data              the records that methods learn from, and what is refused of them
authors           pairs that cost no label: which of two outputs is by the author of a third
conversions       records of one kind made of another: judged outputs, groups
curriculum        which rows a step learns from, or which prompts a rollout is drawn for
feed              records in, batches out
rows              some rows of a batch, cut to their width, in parts that fit into memory
rollout_server    what a server is asked that draws responses, and which weights it holds
rollout           responses drawn from a policy, with scores, values and log-probabilities
credit            rollouts with an advantage for each response or token
importance        truncated importance weights of what a server drew
on_policy         the feed of methods that learn from responses of the policy in training
verdicts          a judge of pairs is asked about a rollout, and other work goes on meanwhile
own_draws         fresh responses to the prompts of records at hand
distillation      what methods that learn from a teacher are told
dynamic_sampling  the same feed without groups of one score, in whose place others are drawn
constraints       the same feed with the verdicts of judges, and with a baseline response to each prompt
pair_method       methods made of one function: a loss on pairs, with a frozen reference
score_method      methods made of one function: a loss on the scores of both responses of pairs
judged_method     methods made of one function: a loss on outputs that were judged one by one
group_method      methods made of one function: a loss on the outputs of one prompt together
token_method      methods made of one function: a loss on the tokens of outputs with labels
fresh_pairs       methods made of one function: a loss on pairs of fresh responses that a judge compares
reference_values  the same feed with the value of each prompt, from the reference's responses
judged_rollouts   feeds of rollouts that a judge of pairs scores, in place of a reward model
rollout_method    methods made of two functions: advantages from a rollout, and a loss
controls          control tokens: names of quality levels
reference         log-probabilities under a frozen model, computed once and kept
run_models        the models of a run, loaded as its options say
clock             where the seconds of a step go
loop              pull a step's batches, take the loss, step
widest_step       the step that takes most memory, and the tokens of all steps
timed_steps       the time of a run, from a few steps on a copy
pace              how fast a run goes and what it holds, as figures for its log
foreseen          what a run will take of memory and disk; one that does not fit is refused
checkpoint        folders that are whole or not there, and a resume that is exact
tracking          the same metrics in TensorBoard or trackio
"""
