"""Producers: the models that write outputs, in this process or at an OpenAI-compatible server.

answers    what a producer is asked for, and what it answers
outputs    the outputs of one source in the ledger, and the protocol of a producer
draw_plan  what drawing from a model in this process will take
local      a model in this process; imports torch
claims     what a run that draws from a server may ask for, and what it leaves to others
served     a model at a server
"""
