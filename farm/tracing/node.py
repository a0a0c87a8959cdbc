"""A node of a trace: one thing of the ledger, and the nodes that it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from db.ids import Json


@dataclass(frozen=True)
class Node:
    """One thing of the ledger.

    facts: what is known of it. texts: what people and models wrote. basis: the nodes that it rests on.
    hidden: how many more judgements it rests on than `basis` holds.
    """

    name: str
    facts: Mapping[str, Json] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    basis: tuple[Node, ...] = ()
    hidden: int = 0

    def to_json(self, content: bool) -> dict[str, Json]:
        """The tree as JSON. content: with the texts; else with their lengths in characters."""
        texts: dict[str, Json] = {
            key: text if content else {"characters": len(text)} for key, text in self.texts.items()
        }
        basis: list[Json] = [each.to_json(content) for each in self.basis]
        return {
            "name": self.name,
            "facts": dict(self.facts),
            "texts": texts,
            "basis": basis,
            "hidden": self.hidden,
        }


def known(facts: Mapping[str, Json]) -> dict[str, Json]:
    """The facts without those that are None or empty."""
    return {name: value for name, value in facts.items() if value is not None and value != ""}
