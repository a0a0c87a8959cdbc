"""Annotators: whatever looks at two outputs and says which is better.

strict_yaml     YAML in which unknown, missing and doubled entries are errors
draws           keyed draws: which order is shown, which member judges, which label is flipped
prompt          the text of a prompt.jinja, checked when it is read
template_limits  templates of anybody: limits of steps, size and depth, no chance, no side effects
families        which models one maker trained
prices          what a completion costs
spec            what an annotator is: a YAML file and a prompt
lists           does a text hold a list
rules           annotators without a model: the baselines, and the oracle
pool            a crowd: which member judges a pair is a keyed draw
composite       annotators made of others: stages of members, and a rule over their votes
composite_examples  what panels and cascades test themselves by
panel           the rule of a panel: every member votes
cascade         the rule of a cascade: the first member that is sure decides
sequential      the rule of one judge that is asked until its side is clear
composite_files  panels and cascades from their files
catalogue       annotators by name, or by a path of the user's
schema          JSON Schemas of the files, for editors
shown           a pair in the order in which a judge sees it
render          pairs into chat messages
reward_model    what a reward model is shown, and what it says
clients         requests out, completions back
parsers         replies into verdicts
judgement       a verdict on what was shown into a judgement of the pair
noise           label noise
recorded        stored replies, read again
simulator       a provider of judges that runs on this machine

`catalog/` holds the annotators that come with the package.
"""
