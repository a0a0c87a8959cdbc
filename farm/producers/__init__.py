"""Producers: the models that write outputs, in this process or at an OpenAI-compatible server.

answers    the protocol of a producer, its requests and answers
local      a model in this process; imports torch
served     a model at a server
"""
