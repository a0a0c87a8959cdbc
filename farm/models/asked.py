"""What a judge is asked, as tokens, and the tokens by which it names an output.

A language model that judges is asked in these tokens (`farm annotate --local`), and one that learns to judge
learns from the same (`farm train genrm`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from db.errors import ConfigError
from db.records import Turn
from farm.models.chat import NO_OPTIONS, chat_text
from farm.models.codec import Codec

AROUND = re.compile(r"^[\W_]+|[\W_]+$")
"""What may stand around a name in its token: the blank of " A", the parenthesis of "(A"."""


def asked_ids(codec: Codec, said: Sequence[Turn], options: Mapping[str, Any] = NO_OPTIONS) -> list[int]:
    """The tokens of messages: by the chat template, or as plain text where there is none.

    options: further arguments of the chat template. Special tokens in a message are broken up, so that no
    judged text begins a new message.
    """
    tokenizer = codec.tokenizer
    plain = [Turn(turn.role, _without(turn.content, tokenizer.all_special_tokens)) for turn in said]
    if getattr(tokenizer, "chat_template", None) is None:
        text = "\n\n".join(turn.content for turn in plain)
        return codec.ids(f"{text}\n\nReply:", plain=True)
    return codec.ids(chat_text(plain, tokenizer, options=options), plain=False)


def tokens_of(codec: Codec, size: int) -> list[str]:
    """The text of each of the first `size` tokens."""
    decoded: list[str] = codec.tokenizer.batch_decode(
        [[i] for i in range(size)], clean_up_tokenization_spaces=False
    )
    return decoded


def saying(tokens: Sequence[str], name: str, special: frozenset[int]) -> list[int]:
    """The tokens that a reply which is a name can be: of "A" it is "A", " A" and "(A", but not "a".

    An article is no name, and its probability is not small. tokens: the text of each. special: ids that no
    reply is made of. Raises ConfigError where the name is no token.
    """
    found = [i for i, token in enumerate(tokens) if AROUND.sub("", token) == name and i not in special]
    if not found:
        what = f"the model has no token {name!r}, so it cannot answer with the name alone"
        raise ConfigError(what, where="outputs", remedy="name the outputs A and B")
    return found


def _without(text: str, special: Sequence[str]) -> str:
    for token in special:
        text = text.replace(token, f"{token[0]} {token[1:]}")
    return text
