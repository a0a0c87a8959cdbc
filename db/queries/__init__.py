"""Questions to the ledger, one a file. Each function takes a ledger and returns records or frames.

columns       reads many rows as arrays
attempts      the latest attempt at each judgement
orders        averages the two orders of a pair into one judgement
holdings      what a ledger holds, by name
aspects       the verdicts of judgements on single criteria
frames        every judgement of every question, as pandas frames
contests      every judgement with the two models that wrote the outputs, as a pandas frame
item_places   which output of which list an imported item compares, as a pandas frame
output_scores  the scores that annotators gave to both outputs of a pair, as a pandas frame
strengths     how much better judgements find the preferred output, as a pandas frame
outputs       what models answered, and how many outputs each producer made
replies       every judgement of single pairs, with the judge's own words
given         the judgements of one annotator so far
people        what single people said of pairs
answering_models  which model answered, where an annotator had several
asking        requests that were claimed or answered before
fresh         what was said of the pairs of one source, and what that cost
composites    what panels and cascades are made of
parts         what single judgements of these were made of
recordings    stored and imported replies, to be parsed again
training      what training reads: snapshots, demonstrations, instructions
history       training runs and their metrics
costs         what judgements cost, by annotator
reasons       why judgements of an annotator have no verdict
ratings       judgements of single outputs, as rows and as training reads them
questions     what exported judgements were about
exports       judgements as rows of the interchange format
lineage       where a fact came from, for `farm trace`
"""
