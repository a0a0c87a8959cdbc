"""Questions to the ledger, one a file: a ledger in, records or frames out.

orders        both orders of a pair as one judgement, their mean
frames        who judged which question how, as pandas frames
contests      the same with the two models that wrote the outputs
outputs       what models answered, and who produced what
replies       every judgement of single pairs, with the judge's own words
given         what one annotator has said so far
asking        what language models were asked before
recordings    stored and imported replies, to be read again
training      what training reads: snapshots, demonstrations, instructions
history       what was trained, and its metrics
costs         what judgements cost, by annotator
exports       judgements as rows of the interchange format
lineage       where a fact came from, for `farm trace`
"""
