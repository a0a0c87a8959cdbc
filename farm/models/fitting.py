"""Whether a tokenizer and its template fit the weights: checked once, when a model is loaded.

What has one right reading is mended silently, by the codec: a pad token that is missing or has no embedding
is replaced by the end of sequence, stop tokens without an embedding are left out, and the turn end of a chat
template is the end of a response. All else is an error of one line.
"""

from __future__ import annotations

from typing import Any

from db.errors import ConfigError
from farm.models.codec import Codec
from farm.models.hub import ModelError
from farm.models.tokens import Prompt

_REMEDY = "take the tokenizer that belongs to these weights, or resize the model's embeddings and save it"


def check_tokenizer(tokenizer: Any, embeddings: int | None, source: str) -> None:
    """Raise ModelError where texts can have tokens that the model has no embedding for.

    embeddings: their number; None: not known. Special tokens may be beyond it: some models of texts come with
    a tokenizer for images too.
    """
    if embeddings is None:
        return
    special = set(tokenizer.all_special_ids)
    special |= {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    size = 1 + max([len(tokenizer) - 1, *tokenizer.added_tokens_decoder])
    beyond = sorted(set(range(embeddings, size)) - special)
    named = [name for name in tokenizer.convert_ids_to_tokens(beyond) if name is not None]
    if named:
        what = f"the tokenizer has {size} tokens and the model {embeddings} embeddings: {named[0]!r} has none"
        raise ModelError(what, where=source, remedy=_REMEDY)


def check_codec(codec: Codec, source: str) -> None:
    """Check the tokens that every prompt and response has, and that a prompt can be written at all.

    Raises ModelError where the template refuses a question, or one of these tokens has no embedding.
    """
    try:
        text = codec.template.text(Prompt("Question?"), codec.tokenizer)
    except ConfigError as error:
        raise ModelError(error.what, where=source, remedy=error.remedy) from None
    written = codec.tokenizer(text, add_special_tokens=False)["input_ids"]
    for token in (*codec.begin, *written, codec.end_id):
        if not codec.has_embedding(token):
            name = codec.tokenizer.convert_ids_to_tokens(token)
            what = f"prompts and responses have the token {name!r}, and the model has no embedding for it"
            raise ModelError(what, where=source, remedy=_REMEDY)
