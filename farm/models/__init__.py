"""The torch side below training: text and tokens, models on disk and in memory, forward passes, draws.

tokens            a prompt, and rows of tokens: the nouns of everything below
chat_filters      what a chat template makes, measured, and filters with a bound
chat_templates    the chat template of a tokenizer, rendered within limits
chat              turns as the text of a chat template
codec             the prompt template and the tokenizer: text to rows of tokens and back
asked             what a judge is asked, as tokens, and the tokens that name an output
hub               check that a model exists: as a folder, in the cache, or on the hub
sources           where the parts of a model are: weights, a .gguf file, an adapter and its base
identity          identity of a model, a hash of its files or weights
fitting           whether tokenizer and template fit the weights
adapters          adapters read and added to the weights of their base
loading           transformers models read and written, adapters put on, a device chosen
ops               formulas over tensors: masked means, log-probabilities, KL, advantages
packing           rows as one stream, so that a pass has no padding and no token twice
forward           a forward pass over prompts and responses; a shared prompt is run once, or rows are packed
chunks            what is measured on logits, with the logits of few positions in memory at a time
policy            a causal language model that rates and draws responses
log_ratio         a policy and its reference as a reward, token by token
scorer            a model with a scalar head: a reward model or a value model
ensemble          the mean, minimum or lower bound of several reward models
referenced        a reward that reads a reference response beside the one that it scores
reward_wrappers   rewards made of rewards: several with weights, one with noise
pair_margins      models that compare two outputs, whose preferences may be cyclic
reward_cards      reward.json: how a folder is read as a reward
rewards           whatever can serve as a reward, by its folder
footprint         what a model takes of the memory: weights, what a pass keeps, logits, keys and values
mixture           a geometric mixture of two policies, to draw from
generation        drawing responses token by token, with nothing spent on finished rows
"""
