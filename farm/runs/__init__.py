"""What a run of `farm train` takes from the ledger, and from a server that draws.

records         the records that a method learns from, and which of them are held out
rollout_server  a vLLM or SGLang server that draws rollouts, over HTTP
served          the server of a run, made from the options of the command
"""
