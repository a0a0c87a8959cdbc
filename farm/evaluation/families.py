"""The families of models that judge and of models that wrote the outputs.

A family is told by a name, in this order: what the user said of the name, and the price table's `families:`
(annotators/families.py). An annotator that asked models has their families. An imported one has a family only
where the user says so: its name need not be a model's (alpaca_eval_gpt4 is no Alpaca).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from db.errors import ConfigError, did_you_mean
from db.ids import Json
from db.records import AnnotatorCard

NONE = "none"  # a family that means: of no family
Names = Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Kinship:
    """Who is of which family. table: the family of a model's name, empty where it is unknown.

    said: families of names, as a user gave them. taught: the families that a model learnt from, by the
    producer's name.
    """

    table: Callable[[str], str]
    said: Names
    taught: Names

    def of_name(self, name: str) -> frozenset[str] | None:
        """The families of a model's name; None where nobody knows."""
        if name in self.said:
            return self.said[name]
        family = self.table(name)
        return frozenset([family]) if family else None

    def of_annotator(self, card: AnnotatorCard, among: Mapping[str, AnnotatorCard]) -> frozenset[str] | None:
        """The families of the models that an annotator asks; None where one is unknown, or none is named.

        among: all annotators by key, to find the members of panels.
        """
        if card.name in self.said:
            return self.said[card.name]
        found = [self.of_name(name) for name in models_in(dict(card.spec), among)]
        known = [each for each in found if each is not None]
        return frozenset().union(*known) if found and len(known) == len(found) else None


def require_names(told: Collection[str], known: Collection[str]) -> None:
    """Raises ConfigError for a name of --family or --taught that nobody has."""
    for name in told:
        if name not in known:
            remedy = did_you_mean(name, known, "name an annotator, its model, or a producer of outputs")
            raise ConfigError(f"nobody here is called {name!r}", where="--family, --taught", remedy=remedy)


def models_in(spec: Json, among: Mapping[str, AnnotatorCard]) -> set[str]:
    """The names of the models that a spec asks, those of its members too."""
    return set(_models(spec, among))


def _models(spec: Json, among: Mapping[str, AnnotatorCard]) -> Iterator[str]:
    if isinstance(spec, list):
        for each in spec:
            yield from _models(each, among)
    if not isinstance(spec, dict):
        return
    model, member = spec.get("model"), spec.get("fingerprint")
    if isinstance(model, str) and model:
        yield model
    if isinstance(member, str) and member in among:
        yield from _models(dict(among[member].spec), among)
    yield from _models(spec.get("members"), among)


def told_families(words: Sequence[str]) -> Names:
    """Words NAME=FAMILY as families by name; several families of a name add up."""
    found: dict[str, frozenset[str]] = {}
    for word in words:
        name, _, family = word.rpartition("=")
        own = frozenset() if family == NONE else frozenset([family])
        found[name] = found.get(name, frozenset()) | own
    return found
