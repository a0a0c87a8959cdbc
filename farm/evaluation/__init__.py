"""What the verbs that measure share: who and what counts, and what was found, as records.

references            annotators under distinct names, and who among them is the reference
questions             the judgements that count: not those made to test judges
scope                 which judgements of which pairs an estimate is about
sets                  the evaluation set of a leaderboard
attacks               outputs that deserve to lose
rankings              do two evaluators rank models alike, and what moves a ranking
published             leaderboards that others published
audit_report          what an audit found
leaderboard_report    what a leaderboard found
cards                 what an exported file, or a checkpoint, says of itself
"""
