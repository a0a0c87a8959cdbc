"""Load whatever can serve as a reward: the one place where `--reward` becomes a function.

A folder of weights is a reward model. A folder with a reward.json says itself how it is read:

kind        what the folder holds
ensemble    the paths of two or more reward models, with the scale of each
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, get_args

from db.ids import content_hash
from farm.config import Combination, ModelConfig
from farm.models.ensemble import Ensemble, ScoreTexts, Standard
from farm.models.hub import ModelError
from farm.models.identity import fingerprint
from farm.models.loading import source_key
from farm.models.scorer import Scorer, ScorerReward

REWARD_FILE = "reward.json"
_AGAIN = "make the folder again"

Prepare: TypeAlias = Callable[[Scorer], None]
"""What is done to each model once it is loaded, such as compiling it."""


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
        try:
            members = [
                EnsembleMember(
                    _beside(str(each["source"]), folder),
                    str(each["key"]),
                    Standard(float(each["mean"]), float(each["deviation"])),
                )
                for each in card["members"]
            ]
            made = cls(members, card["how"], float(card["factor"]))
        except (KeyError, TypeError, ValueError) as error:
            raise _unreadable(folder, f"{type(error).__name__} {error}") from None
        if made.how not in get_args(Combination) or len(members) < 2:
            raise _unreadable(folder, f"{len(members)} members, combined by {made.how!r}")
        for each in members:
            if source_key(each.source) != each.key:
                what = "a member is another model than when the ensemble was made"
                raise ModelError(what, where=each.source, remedy=_AGAIN)
        return made


def load_reward(
    source: str, config: ModelConfig, rows: int = 64, prepare: Prepare = lambda scorer: None
) -> ScoreTexts:
    """The function that scores responses: texts in, scores (B,) out. rows: responses in a forward pass.

    source: a reward model's folder or hub id, or a folder with a reward.json. Raises ModelError where it is
    none of these.
    """

    def scorer(source: str) -> ScorerReward:
        found = Scorer.load(source, config)
        prepare(found)
        return ScorerReward(found, rows)

    card = reward_card(source)
    if card is None:
        return scorer(source)
    if card.get("kind") == "ensemble":
        read = EnsembleCard.read(card, Path(source))
        members = [scorer(each.source) for each in read.members]
        return Ensemble(members, [each.standard for each in read.members], read.how, read.factor)
    raise _unreadable(Path(source), f"its kind is {card.get('kind')!r}")


def reward_fingerprint(source: str, config: ModelConfig, loaded: ScoreTexts) -> str:
    """Identity of a reward: a hash of its weights, or of its reward.json, which has hashes of its members.

    loaded: what `load_reward` made of it.
    """
    if isinstance(loaded, ScorerReward):
        return fingerprint(source, config, lambda: loaded.scorer)
    return content_hash("reward", [config.dtype, source_key(source)])


def value_source(source: str) -> str | None:
    """The reward model that a value model may start from; None where there is none."""
    card = reward_card(source)
    if card is None:
        return source
    return EnsembleCard.read(card, Path(source)).members[0].source if card["kind"] == "ensemble" else None


def reward_card(source: str) -> dict[str, Any] | None:
    """What the reward.json of a folder says; None where it has none. Raises ModelError on a broken file."""
    file = Path(source) / REWARD_FILE
    if not file.is_file():
        return None
    try:
        read = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _unreadable(Path(source), str(error)) from None
    if not isinstance(read, dict):
        raise _unreadable(Path(source), "it is no JSON object")
    return read


def _from(source: str, folder: Path) -> str:
    return os.path.relpath(source, folder) if Path(source).exists() else source


def _beside(source: str, folder: Path) -> str:
    """A path from `folder`, if there is something; else the source as it stands."""
    return str(folder / source) if (folder / source).exists() else source


def _unreadable(folder: Path, why: str) -> ModelError:
    return ModelError(f"{REWARD_FILE} cannot be used: {why:.200}", where=str(folder), remedy=_AGAIN)
