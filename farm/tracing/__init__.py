"""The kinds of things that `farm trace` follows: one function for each kind, which makes its node.

node          a node of the tree
facts         what a trace reads once, because it is small
judgements    an annotation, its completion, its pair, the outputs of the pair
counts        what rests on many judgements: a snapshot, an annotator, a model, a win rate
runs          a checkpoint, its run, and what the run logged
"""
