"""What every method trains with: the protocol of a method, its data, its rollouts, and the one loop.

method        the protocol: batches to learn from, and a loss on each
processes     several processes as one: sums, averages, sharding
data          records in, batches out, in an order that seed and step decide
rows          some rows of a batch, cut to their width, in parts that fit into memory
rollout       responses drawn from a policy, scored and dealt out as batches
reference     log-probabilities under a frozen model, computed once and kept
run_models    the models of a run, loaded as its options say
loop          pull a step's batches, take the loss, step
checkpoint    folders that are whole or not there, and a resume that is exact
tracking      the same metrics in TensorBoard or trackio
"""
