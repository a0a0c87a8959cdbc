"""The entries of benchmarks/claims.yaml: arms, claims, and the differences that decide them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import yaml

from db.errors import ConfigError, did_you_mean
from db.ids import canonical_json, content_hash

FILE = Path(__file__).with_name("claims.yaml")
GIVEN = ("sft", "base")  # models that every world has, where an arm names another
MEASURES = ("gold", "people", "kl", "judgements", "accuracy", "to_teacher", "to_oracle", "passed", "words")


@dataclass(frozen=True)
class Pairs:
    """Judged pairs to learn from.

    drawn: usual, or narrow (temperature 0.5). by: people, gold, or an annotator. count: the first so many
    in an order by hash; None: all. flips: the share whose label is turned round, by hash. demonstrated:
    demonstrations are read beside the pairs.
    """

    drawn: str = "usual"
    by: str = "people"
    count: int | None = None
    flips: float = 0.0
    demonstrated: bool = False


@dataclass(frozen=True)
class Arm:
    """What is trained. Other arms are named by their names.

    options: None: those of the recipe. start: the model to begin with. set: instructions or demonstrations
    to learn from. authors: models that write to the instructions of the set first. judge: of fresh
    responses; with a judge_model it is that one, and its judgements are not bought. judgements: at most.
    flips: the share of groups whose reward is flipped. weight: of the reward. utility: of the oracle that
    judges. rounds: the options of `--rounds`. constraints: as of `--constraint`. checks: rules, of which the
    share of outputs that keep all of them is measured.
    """

    method: str
    options: Mapping[str, object] | None = None
    start: str = "sft"
    pairs: Pairs | None = None
    set: str = "world-unlabelled"
    authors: tuple[str, ...] = ()
    reward: str | None = None
    token_reward: str | None = None
    teacher: str | None = None
    judge: str | None = None
    judge_model: str | None = None
    judgements: int | None = None
    flips: float = 0.0
    weight: float = 1.0
    utility: str = ""
    rounds: Mapping[str, object] | None = None
    constraints: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()

    @property
    def needs(self) -> tuple[str, ...]:
        """The arms that are made before this one."""
        named = (self.start, self.reward, self.token_reward, self.teacher, self.judge_model, *self.authors)
        return tuple(each for each in named if each and each not in GIVEN)

    @property
    def buys(self) -> bool:
        """Whether judgements of fresh responses are bought."""
        return self.judge is not None and self.judge_model is None and not self.utility


@dataclass(frozen=True)
class Difference:
    """A figure of `arm` less that of `over`, of equal seeds.

    over: several arms give a line, which is read where `at_equal` is that of `arm`. less: the claim is that
    the difference is negative, and its sign is turned. matters: the smallest difference that would matter.
    beyond: what the whole interval lies beyond where the claim is shown.
    """

    arm: str
    over: str | tuple[str, ...]
    by: str
    matters: float
    beyond: float = 0.0
    less: bool = False
    at_equal: str | None = None

    @property
    def others(self) -> tuple[str, ...]:
        """The arms that it is compared with."""
        return (self.over,) if isinstance(self.over, str) else self.over


@dataclass(frozen=True)
class Claim:
    """A claim of a paper, what the world has instead of its experiment, and what decides. All must hold.

    shows: differences that are told beside, and decide nothing.
    """

    name: str
    paper: str
    claim: str
    world: str
    arms: tuple[str, ...]
    decides: tuple[Difference, ...]
    shows: tuple[Difference, ...] = ()


class Claims(NamedTuple):
    """All arms and claims, by name."""

    arms: Mapping[str, Arm]
    claims: Mapping[str, Claim]

    def key(self, arm: str) -> str:
        """A hash of all that an arm is made of, with the arms that it needs."""
        spec = self.arms[arm]
        return content_hash("claims", [canonical_json(plain(spec)), *map(self.key, spec.needs)])[:12]

    def before(self, arm: str) -> Iterator[str]:
        """The arms that are made before this one, in this order."""
        for need in self.arms[arm].needs:
            yield from self.before(need)
            yield need


def plain(entry: Arm | Pairs) -> dict[str, Any]:
    """An entry as JSON has it, without what is as usual: a field that comes later changes no key."""
    given = {each.name: getattr(entry, each.name) for each in fields(entry)}
    usual = {each.name: each.default for each in fields(entry)}
    found = {name: value for name, value in given.items() if value != usual[name]}
    return {name: plain(value) if isinstance(value, Pairs) else value for name, value in found.items()}


def read(path: Path = FILE) -> Claims:
    """Read the entries. Raises ConfigError on what is unknown, missing or names nothing."""
    given = yaml.safe_load(path.read_text(encoding="utf-8"))
    arms = {name: _arm(name, entry) for name, entry in given["arms"].items()}
    claims = {name: _claim(name, entry) for name, entry in given["claims"].items()}
    for name, arm in arms.items():
        _known(name, arm.needs, arms)
    for claim in claims.values():
        _known(claim.name, claim.arms, {**arms, "sft": None})
        for each in (*claim.decides, *claim.shows):
            _known(claim.name, (each.arm, *each.others), dict.fromkeys(claim.arms))
            _known(claim.name, (each.by, each.at_equal or each.by), dict.fromkeys(MEASURES))
            if each.beyond > each.matters:
                what = f"beyond is {each.beyond}, and no more than {each.matters} would matter"
                raise ConfigError(what, where=claim.name, remedy="lower beyond, or raise matters")
    return Claims(arms, claims)


def _arm(name: str, entry: Mapping[str, Any]) -> Arm:
    pairs = entry.get("pairs")
    made = {**entry, **{each: tuple(entry.get(each, ())) for each in ("authors", "constraints", "checks")}}
    if pairs is not None:
        made["pairs"] = _made(name, Pairs, pairs)
    return _made(name, Arm, made)


def _claim(name: str, entry: Mapping[str, Any]) -> Claim:
    told = {
        each: tuple(
            _made(name, Difference, {**one, "over": _named(one["over"])}) for one in entry.get(each, ())
        )
        for each in ("decides", "shows")
    }
    return _made(name, Claim, {**entry, "name": name, "arms": tuple(entry["arms"]), **told})


def _named(over: str | list[str]) -> str | tuple[str, ...]:
    return over if isinstance(over, str) else tuple(over)


Entry = TypeVar("Entry", Pairs, Arm, Difference, Claim)


def _made(where: str, kind: type[Entry], given: Mapping[str, Any]) -> Entry:
    try:
        return kind(**given)
    except TypeError as error:
        what, remedy = str(error).partition(" ")[2], f"the fields are those of {kind.__name__}"
        raise ConfigError(what, where=where, remedy=remedy) from None


def _known(where: str, names: tuple[str, ...], there: Mapping[str, object]) -> None:
    for name in names:
        if name not in there:
            remedy = did_you_mean(name, there, f"one of {', '.join(there)}")
            raise ConfigError(f"there is no {name!r}", where=where, remedy=remedy)
