"""Pairs that cost no label: which of two outputs is by the author of a third (farm/methods/polar.py)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from db.ids import keyed_uniform
from farm.models.tokens import Prompt
from farm.training.data import PreferencePair


def by_author(key: str, prompt: Prompt, written: Mapping[str, Sequence[str]]) -> Iterator[PreferencePair]:
    """For each author with two outputs or more to a prompt, a pair: output_a is by the reference's author.

    written: author -> outputs. key: names the prompt. Which two of the author's outputs, and which output of
    another author, a keyed hash decides, whatever their order. The other's text differs from output_a;
    where no other author wrote such a text, there is no pair.
    """
    for author, texts in sorted(written.items()):
        drawn = sorted(texts, key=lambda text: keyed_uniform("own draws", key, author, text))
        others = [
            (keyed_uniform("another author", key, author, name, text), text)
            for name, found in written.items()
            for text in found
            if name != author and drawn[1:] and text != drawn[1]
        ]
        if others:
            yield PreferencePair(prompt, drawn[1], min(others)[1], 1.0, reference=drawn[0])
