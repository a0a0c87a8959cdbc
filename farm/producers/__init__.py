"""Producers: the models that write outputs, in this process or at an OpenAI-compatible server.

answers    the protocol of a producer, its requests and answers
outputs    the outputs of one source in the ledger: which are lacking, how new ones are written
local      a model in this process; imports torch
claims     what a run that draws from a server may ask for, and what it leaves to others
served     a model at a server
"""
