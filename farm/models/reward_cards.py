"""How a folder is read as a reward: the file reward.json. The folder of a plain reward model has none.

kind        what the folder holds
ensemble    the paths of two or more reward models, with the scale of each
attributes  a model with an output for each of some attributes, and their weights in the reward
principle   a model that is asked about a principle in words, and the weights of principles
referenced  a model that reads a reference response too, and the references of prompts
log_ratio   a policy, whose log-ratio to the reference that is named is the reward
weighted    the paths of several rewards, and their weights in the sum
noisy       the path of a reward, and the noise that is put on it
pair        a model that reads two outputs and compares them: a judge, and no reward
general_preference   a model with a vector for each output, which compares two: likewise
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, TypeAlias, get_args

from db.records import turns_from_json, turns_to_json
from farm.config import Combination, LogRatioRead
from farm.models.ensemble import Standard
from farm.models.hub import ModelError
from farm.models.loading import source_key
from farm.models.reward_wrappers import Noise, NoiseRule, NoiseUnit
from farm.models.tokens import Prompt

REWARD_FILE = "reward.json"
Comparing: TypeAlias = Literal["pair", "general_preference"]
_AGAIN = "make the folder again"


class Savable(Protocol):
    """A model that writes itself into a folder."""

    def save(self, directory: Path | None) -> None: ...


class EnsembleMember(NamedTuple):
    """A reward model of an ensemble. key: hash of its files when the ensemble was made."""

    source: str
    key: str
    standard: Standard


class EnsembleCard(NamedTuple):
    """What the reward.json of an ensemble says."""

    members: Sequence[EnsembleMember]
    how: Combination
    factor: float

    def text(self, folder: Path) -> str:
        """The file's text. Members on this machine are written as paths from `folder`."""
        members = [
            {"source": _from(each.source, folder), "key": each.key, **each.standard._asdict()}
            for each in self.members
        ]
        card = {"kind": "ensemble", "how": self.how, "factor": self.factor, "members": members}
        return json.dumps(card, indent=1) + "\n"

    @classmethod
    def read(cls, card: Mapping[str, Any], folder: Path) -> EnsembleCard:
        """The card of a folder. Raises ModelError where the file is wrong, or a member is not as it was."""
        with _values_of(folder):
            members = [
                EnsembleMember(
                    _beside(str(each["source"]), folder),
                    str(each["key"]),
                    Standard(float(each["mean"]), float(each["deviation"])),
                )
                for each in card["members"]
            ]
            made = cls(members, card["how"], float(card["factor"]))
        if made.how not in get_args(Combination) or len(members) < 2:
            raise unreadable(folder, f"{len(members)} members, combined by {made.how!r}")
        for each in members:
            if source_key(each.source) != each.key:
                what = "a member is another model than when the ensemble was made"
                raise ModelError(what, where=each.source, remedy=_AGAIN)
        return made


class Attribute(NamedTuple):
    """An attribute of outputs: the scale of its ratings, and its weight in the reward."""

    name: str
    mean: float
    deviation: float
    weight: float


class AttributesCard(NamedTuple):
    """What the reward.json of a model of attributes says, in the order of the model's outputs.

    An output of the model is a rating in deviations from the mean. The reward is their weighted sum.
    """

    attributes: Sequence[Attribute]

    def text(self, folder: Path) -> str:
        """The file's text."""
        card = {"kind": "attributes", "attributes": [each._asdict() for each in self.attributes]}
        return json.dumps(card, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def read(cls, card: Mapping[str, Any], folder: Path) -> AttributesCard:
        """The card of a folder. Raises ModelError where the file is wrong."""
        with _values_of(folder):
            found = [
                Attribute(str(each["name"]), *(float(each[name]) for name in Attribute._fields[1:]))
                for each in card["attributes"]
            ]
        if not found:
            raise unreadable(folder, "it has no attributes")
        return cls(found)


class PrincipleCard(NamedTuple):
    """What the reward.json of a model of principles says. weights: principle -> weight of its log-odds.

    wording: how a principle is put between prompt and response.
    """

    weights: Mapping[str, float]
    wording: str

    def text(self, folder: Path) -> str:
        """The file's text."""
        return json.dumps({"kind": "principle", **self._asdict()}, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def read(cls, card: Mapping[str, Any], folder: Path) -> PrincipleCard:
        """The card of a folder. Raises ModelError where the file is wrong."""
        with _values_of(folder):
            weights = {str(name): float(weight) for name, weight in card["weights"].items()}
            made = cls(weights, str(card["wording"]))
        if not made.weights or "{principle}" not in made.wording:
            raise unreadable(folder, "it has no weights, or a wording without {principle}")
        return made


@dataclass(frozen=True)
class ReferencedCard:
    """What the reward.json of a model says that reads a reference response. references: of each prompt."""

    references: Mapping[Prompt, str]
    kind: ClassVar[str] = "referenced"

    def text(self, folder: Path) -> str:
        """The file's text, the same whatever the order of the references."""
        rows = [
            {"instruction": asked.instruction}
            | ({"input": asked.input} if asked.input else {})
            | ({"turns": json.loads(turns_to_json(asked.turns))} if asked.turns else {})
            | {"output": output}
            for asked, output in self.references.items()
        ]
        rows.sort(key=lambda row: json.dumps(row, sort_keys=True))
        return json.dumps({"kind": self.kind, "references": rows}, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def read(cls, card: Mapping[str, Any], folder: Path) -> ReferencedCard:
        """The card of a folder. Raises ModelError where the file is wrong."""
        with _values_of(folder):
            found = {_asked(row): str(row["output"]) for row in card["references"]}
        if len(found) < len(card["references"]):
            raise unreadable(folder, "a prompt stands twice among its references")
        return cls(found)


def _asked(row: Mapping[str, Any]) -> Prompt:
    turns = turns_from_json(json.dumps(row["turns"]) if "turns" in row else "")
    return Prompt(str(row["instruction"]), str(row.get("input", "")), turns)


class LogRatioCard(NamedTuple):
    """What the reward.json of a policy says that is a reward beside its reference.

    key: hash of the reference's files when the policy was trained; empty to take it as it is.
    """

    reference: str
    beta: float
    read: LogRatioRead
    key: str = ""

    def text(self, folder: Path) -> str:
        """The file's text."""
        card = self._replace(reference=_from(self.reference, folder), key=source_key(self.reference))
        return json.dumps({"kind": "log_ratio", **card._asdict()}, indent=1) + "\n"

    @classmethod
    def read_from(cls, card: Mapping[str, Any], folder: Path) -> LogRatioCard:
        """The card of a folder. Raises ModelError where it is wrong, or the reference is not as it was."""
        with _values_of(folder):
            reference = _beside(str(card["reference"]), folder)
            made = cls(reference, float(card["beta"]), card.get("read", "sum"), str(card.get("key", "")))
        if made.read not in get_args(LogRatioRead) or made.beta <= 0:
            raise unreadable(folder, f"it reads {made.read!r} with a beta of {made.beta}")
        if made.key and source_key(reference) != made.key:
            what = "the reference is another model than when the policy was trained"
            raise ModelError(what, where=reference, remedy="name the folder that training started from")
        return made


class WeightedCard(NamedTuple):
    """What the reward.json of a weighted sum of rewards says. It is written by hand."""

    sources: Sequence[str]
    weights: Sequence[float]

    @classmethod
    def read(cls, card: Mapping[str, Any], folder: Path) -> WeightedCard:
        """The card of a folder. Raises ModelError where the file is wrong."""
        with _values_of(folder):
            given = [
                (_beside(str(each["reward"]), folder), float(each["weight"])) for each in card["rewards"]
            ]
        if not given:
            raise unreadable(folder, "it has no rewards")
        return cls(*zip(*given, strict=True))


class NoisyCard(NamedTuple):
    """What the reward.json of a reward with noise says. It is written by hand."""

    source: str
    rule: NoiseRule

    @classmethod
    def read(cls, card: Mapping[str, Any], folder: Path) -> NoisyCard:
        """The card of a folder. Raises ModelError where the file is wrong."""
        with _values_of(folder):
            source = _beside(str(card["reward"]), folder)
            known = {name: card[name] for name in NoiseRule._fields if name in card}
            rule = NoiseRule(**known)
            numbers = float(rule.share), float(rule.centre), int(rule.seed)
        if further := card.keys() - {"kind", "reward", *NoiseRule._fields}:
            raise unreadable(folder, f"it has {', '.join(sorted(further))}, which no noise has")
        if rule.how not in get_args(Noise) or rule.per not in get_args(NoiseUnit) or not 0 <= numbers[0] <= 1:
            raise unreadable(
                folder, f"it has {rule.how!r} noise per {rule.per!r}, of a share of {rule.share}"
            )
        return cls(source, rule._replace(share=numbers[0], centre=numbers[1], seed=numbers[2]))


class PairCard(NamedTuple):
    """What the reward.json of a model says that compares two outputs. outputs: of its head."""

    kind: Comparing
    outputs: int = 1
    temperature: float = 1.0

    def text(self, folder: Path) -> str:
        """The file's text."""
        return json.dumps(self._asdict(), indent=1) + "\n"

    @classmethod
    def read(cls, card: Mapping[str, Any], folder: Path) -> PairCard:
        """The card of a folder. Raises ModelError where the file is wrong."""
        with _values_of(folder):
            return cls(card["kind"], int(card["outputs"]), float(card["temperature"]))


class RewardFolder:
    """The product of a method: a model, and a reward.json that says how it is a reward.

    text: the file's text for a folder.
    """

    def __init__(self, model: Savable, text: Callable[[Path], str]) -> None:
        self.model, self.text = model, text

    def save(self, directory: Path | None) -> None:
        """Write both. None: only take part in gathering the weights."""
        self.model.save(directory)
        if directory is not None:
            (directory / REWARD_FILE).write_text(self.text(directory), encoding="utf-8")


def reward_card(source: str) -> dict[str, Any] | None:
    """What the reward.json of a folder says; None where it has none. Raises ModelError on a broken file."""
    file = Path(source) / REWARD_FILE
    if not file.is_file():
        return None
    try:
        read = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise unreadable(Path(source), str(error)) from None
    if not isinstance(read, dict):
        raise unreadable(Path(source), "it is no JSON object")
    return read


def kind_of(source: str) -> str | None:
    """The kind that the reward.json of a folder names; None where it has none."""
    return (reward_card(source) or {}).get("kind")


@contextmanager
def _values_of(folder: Path) -> Iterator[None]:
    """In the block a card's values are read. Raises ModelError where one is missing, or of another type."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise unreadable(folder, f"{type(error).__name__} {error}") from None


def _from(source: str, folder: Path) -> str:
    return os.path.relpath(source, folder) if Path(source).exists() else source


def _beside(source: str, folder: Path) -> str:
    """A path from `folder`, if there is something; else the source as it stands."""
    return str(folder / source) if (folder / source).exists() else source


def unreadable(folder: Path, why: str) -> ModelError:
    return ModelError(f"{REWARD_FILE} cannot be used: {why:.200}", where=str(folder), remedy=_AGAIN)
