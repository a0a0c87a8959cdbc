"""Where outputs come from: a model in this process, or one at an OpenAI-compatible server.

answers    what is wanted of a producer and what it gives
local      a model in this process; imports torch
served     a model at a server
"""
