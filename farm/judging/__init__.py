"""How a pair gets a judgement: by asking a server or a model in this process, or by asking nobody.

provider          where judges are asked, about which pairs, and what that may cost
asking            claims before, completions after, judgements last: nothing is paid for twice
unasked           judges that need no request: rules, and stored replies read again
in_process        the transport to a judge whose weights run in this process
language_model    such a judge: a causal language model
reward_model      such a judge: a reward model
"""
