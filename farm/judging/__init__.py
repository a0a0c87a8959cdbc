"""How a pair gets a judgement: by asking a server or a model in this process, or by asking nobody.

provider          where judges are asked, about which pairs, and what that may cost
ranked            which questions one request answers, where it ranks several outputs
questions         the open questions of an annotator, and the requests that ask them
completions       a reply as the ledger keeps it, and as a parser reads it
answered          annotations: read from a reply, failed, or made without asking
runs              names of runs, and whether the run that claimed a request is alive
asking            claims first, then completions, then judgements: nothing is paid for twice
asking_once       one request that is about no pair, claimed and kept as a judge's
replies           totals over the replies of a run, and the error of a run that brought nothing
reasons           why replies could not be read: the commonest reasons, with one reply each
unasked           judges that need no request: rules, and stored replies read again
transports        where the judges of a run are asked, and the client that asks them
composites        judges that are made of others: panels and cascades
in_process        the transport to a judge whose weights run in this process
language_model    such a judge: a causal language model
reward_model      such a judge: a reward model
at_work           an annotator that is asked again and again
in_training       the judge of fresh responses of a policy in training
"""
