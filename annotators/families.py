"""Families of models: which models one maker trained. A judge may be asked not to judge its own family.

The price table names the families (`families:` of prices.yaml), and a user's own table adds to them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from annotators.strict_yaml import Reader
from db.ids import Json


@dataclass(frozen=True)
class Families:
    """How the names of a family's models begin. beginnings: family -> beginnings, in lower case.

    A name counts as it is written and without what stands before its last "/", blanks, dots and low lines as
    hyphens. The longest beginning decides.
    """

    beginnings: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def read(cls, entry: Reader) -> Families:
        """Read family -> beginnings from a mapping."""
        names = list(entry.rest())
        return cls({name: tuple(map(_plain, entry.texts(name))) for name in names})

    def __or__(self, other: Families) -> Families:
        """These families, where those of `other` replace the ones of the same name."""
        return Families({**self.beginnings, **other.beginnings})

    def of(self, model: str) -> str:
        """The family of a model; empty where it is unknown."""
        whole = _plain(model)
        found = [
            (len(beginning), family)
            for family, beginnings in self.beginnings.items()
            for beginning in beginnings
            if beginning and (whole.startswith(beginning) or whole.rpartition("/")[2].startswith(beginning))
        ]
        return max(found)[1] if found else ""

    def all_of(self, models: Collection[str]) -> frozenset[str]:
        """The known families of these models."""
        return frozenset(map(self.of, models)) - {""}

    def only(self, families: Collection[str]) -> Families:
        """Some of the families."""
        return Families({name: each for name, each in self.beginnings.items() if name in families})

    def to_json(self) -> Json:
        """The families as they enter an annotator's identity."""
        return {name: sorted(each) for name, each in self.beginnings.items()}


def _plain(name: str) -> str:
    return re.sub(r"[\s._]", "-", name.strip().casefold())
