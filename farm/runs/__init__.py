"""What a run of `farm train` takes from the ledger, what it leaves there, and a server that draws.

records         the records that a method learns from, and which of them are held out
rules           rewards and constraints that the command line names: models, or rules in Python
judges          the annotators that judge fresh responses, or permit them
evaluations     a judge compares checkpoints with a reference, and chooses the best
foreseen        what judgements and evaluations will take, before anybody is asked
rows            the run, its metrics and its checkpoints as rows of the ledger
rollout_server  a vLLM or SGLang server that draws rollouts, over HTTP
served          the server of a run, made from the options of the command
"""
