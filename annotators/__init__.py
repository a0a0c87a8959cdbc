"""Annotators: whatever looks at two outputs and says which is better.

strict_yaml     YAML in which unknown, missing and doubled entries are errors
draws           keyed draws: which order is shown, which member judges, which label is flipped
prompt          the text of a prompt.jinja, checked when it is read
template_limits  templates of anybody: limits of steps, size and depth, no chance, no side effects
prices          what a completion costs
spec            what an annotator is: a YAML file and a prompt
lists           does a text hold a list
rules           annotators without a model: the baselines, and the oracle
pool            a crowd: which member judges a pair is a keyed draw
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
