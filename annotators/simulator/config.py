"""The configuration of the simulated provider: which judges it plays, what goes wrong, and when.

A configuration is a frozen dataclass. `from_mapping` makes one of a mapping, such as a YAML file.
"""

from __future__ import annotations

import dataclasses
import shlex
import types
import typing
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal, TypeVar

from annotators.simulator.prompt_forms import Extractor, find_questions
from db.errors import ConfigError
from db.ids import content_hash, keyed_index, keyed_uniform

Utility = Callable[[str, str, str], float]
"""(instruction, input, output), as the prompt shows them -> how good the output is."""

Rewriter = Callable[[str, str, str], str]
"""(instruction, input, key of the request) -> a new instruction for this input."""

Casting = Callable[[str, str], "Judge"]
"""(model, all that stands before the last user message) -> who answers. Called once for each such prompt."""

OURS = ("farm.world.judges:cast", "annotators.simulator.prompt_forms:find_questions")
"""Our own callables, which any configuration file may name."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Leaning:
    """What a rule asks for: `weight` times a utility."""

    utility: str | Utility
    """In the forms of `Judge.utility`."""
    weight: float = 1.0
    """Negative where the rule asks for less of it."""


@dataclass(frozen=True, kw_only=True)
class Judge:
    """A judge with known utilities: P(i before j) = sigmoid((v_i - v_j) / noise), v = utility + biases.

    The temperature of the request multiplies the noise, as in a language model. At temperature 0 the better
    output always wins, and the log-probabilities are those of temperature 1.
    """

    utility: str | Utility = "random"
    """length (characters / 100), random (a standard normal by keyed hash), table, or module:function."""
    table: Mapping[str, float] = field(default_factory=dict)
    """Output text -> utility, for `table`; an output that is not in it has 0."""
    aspects: Mapping[str, str | Utility] = field(default_factory=dict)
    """Criterion -> utility by which it is judged, in the forms of `utility`; the others go by `utility`."""
    heeds: Mapping[str, Leaning] = field(default_factory=dict)
    """Words -> what is added to an output's worth where the prompt's own text has them, in any case."""
    learns: Mapping[str, Leaning] = field(default_factory=dict)
    """What it can pick up from worked examples. Each adds its `weight` times the utility times how the
    examples lean: the share of them whose better output has more of the utility, less the share with less."""
    proposes: Mapping[str, Leaning] = field(default_factory=dict)
    """Rules that it can think of where it is shown disagreements (proposals.py), and what each asks for."""
    rewrites: str | Rewriter = ""
    """What it makes of an instruction that it is to rewrite: module:function. Empty: it is no rewriter."""
    noise: float = 1.0
    """Boltzmann temperature in units of utility; 0 is a judge that never errs by chance."""
    position_bias: float = 0.0
    """Added to the output shown first."""
    length_bias: float = 0.0
    """Times the natural logarithm of 1 + the output's length in characters."""
    list_bias: float = 0.0
    """Added to an output with a bulleted or numbered list."""
    fooled_by: tuple[str, ...] = ()
    """Tricks that win it over, names of judges.TRICKS."""
    form: str = "auto"
    """How the verdict is worded: auto (as the prompt asks), or a name of replies.FORMS."""
    off_format: float = 0.0
    """Share of the replies that no strict parser should read, in the styles of replies.OFF_FORMAT."""
    seed: int = 0
    """Another seed is another judge with the same tastes: it errs elsewhere, and `random` differs."""


@dataclass(frozen=True, kw_only=True)
class FaultPlan:
    """What goes wrong, by the content of a request and by how often it was sent before."""

    rate: float = 0.0
    """Share of the sendings that meet a fault."""
    names: tuple[str, ...] = ()
    """Which faults, names of faults.FAULTS, drawn evenly."""
    script: tuple[str, ...] = ()
    """What every request meets at its first, second, ... sending, before `rate` counts; "" is no fault."""
    seed: int = 0

    def draw(self, key: str, attempt: int) -> str:
        """The fault that an attempt (from 1) at the request with this key meets; "" is none."""
        if attempt <= len(self.script):
            return self.script[attempt - 1]
        if not self.names or keyed_uniform("fault", self.seed, key, attempt) >= self.rate:
            return ""
        return self.names[keyed_index(len(self.names), "which fault", self.seed, key, attempt)]


@dataclass(frozen=True, kw_only=True)
class BatchPlan:
    """How the Batch API behaves."""

    seconds: float = 0.0
    """From creation to the end."""
    outcome: Literal["completed", "expired", "cancelled", "failed"] = "completed"
    answered: float = 1.0
    """Share of the requests answered before the batch expires or is cancelled."""
    failing_polls: int = 0
    """How many questions after a batch are answered with HTTP 500 before one is answered properly."""
    strange_lines: bool = False
    """Add to the output a line twice, a line with an unknown custom_id and a line that is not JSON."""
    max_requests: int = 50_000
    max_bytes: int = 200 * 10**6


@dataclass(frozen=True, kw_only=True)
class SimulatorConfig:
    """The whole provider."""

    judge: Judge = field(default_factory=Judge)
    """Plays every model that `judges` does not name."""
    judges: Mapping[str, Judge] = field(default_factory=dict)
    """By model name."""
    casting: str | Casting | None = None
    """Chooses who plays a model that `judges` does not name, by how it is asked: a callable, or
    module:function. None: `judge` plays."""
    snapshot: str = ""
    """What replies add to the name of the model that was asked, such as -2024-08-06."""
    models: tuple[str, ...] = ()
    """The models that exist; empty: any name does. Others are answered with 404."""
    extractor: str | Extractor = find_questions
    """Finds what a prompt shows: a callable, or module:function."""
    faults: FaultPlan = field(default_factory=FaultPlan)
    batch: BatchPlan = field(default_factory=BatchPlan)
    latency: float = 0.0
    """Seconds before each reply."""
    api_key: str = field(default="", repr=False)
    """Where set, other keys are refused with 401."""
    requests_per_minute: float | None = None
    """More are refused with 429 and a Retry-After; None is no limit."""
    cached_share: float = 0.0
    """Share of each prompt that is reported as read from a cache."""

    def judge_of(self, model: str) -> Judge:
        """The judge that plays this model."""
        return self.judges.get(model, self.judge)

    @classmethod
    def from_mapping(cls, data: Mapping[str, object], allowed: Collection[str] = ()) -> SimulatorConfig:
        """Read a configuration from nested mappings, such as a file's.

        allowed: the callables, `module:function`, that the user lets the mapping name beside OURS. Raises
        ConfigError on any other callable, and on what it does not know.
        """
        config = _build(cls, data, "simulator")
        for where, name in config._named():
            if ":" in name and name not in {*OURS, *allowed}:
                what = f"{name!r:.200} is Python code, which is not run on the file's word"
                raise ConfigError(
                    what, where=where, remedy=f"if you trust it, add --allow {shlex.quote(name)}"
                )
        return config

    def _named(self) -> Iterator[tuple[str, str]]:
        """Each entry that may name a callable, with the name that it has."""
        judges = {"judge": self.judge} | {f"judges.{name}": judge for name, judge in self.judges.items()}
        entries: dict[str, object] = {f"{place}.utility": judge.utility for place, judge in judges.items()}
        entries |= {f"{place}.rewrites": judge.rewrites for place, judge in judges.items()}
        for place, judge in judges.items():
            entries |= {f"{place}.aspects.{name}": utility for name, utility in judge.aspects.items()}
            taught = {"heeds": judge.heeds, "learns": judge.learns, "proposes": judge.proposes}
            for what, rules in taught.items():
                entries |= {f"{place}.{what}.{name}": rule.utility for name, rule in rules.items()}
        entries |= {"casting": self.casting or "", "extractor": self.extractor}
        return ((where, named) for where, named in entries.items() if isinstance(named, str))


def resolve(named: str, where: str) -> Callable[..., Any]:
    """The callable of the dotted name `module:function`."""
    module, _, name = named.partition(":")
    try:
        if not name:
            raise ValueError(named)  # no module is imported for a name that is no callable's
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"there is no {named!r}", where=where, remedy="write module:function") from error
    if not callable(found):
        raise ConfigError(f"{named!r} cannot be called", where=where)
    return typing.cast("Callable[..., Any]", found)


def request_key(body: object) -> str:
    """The provider's identity of a request: a hash of its JSON body, in whatever order its keys stand."""
    return content_hash("simulated request", typing.cast("Any", body))


def _build(cls: type[T], data: object, where: str) -> T:
    if not isinstance(data, Mapping):
        raise ConfigError("not a mapping", where=where)
    known = typing.get_type_hints(cls)
    if unknown := sorted(set(map(str, data)) - set(known)):
        raise ConfigError(f"unknown option {unknown[0]!r}", where=where, remedy="one of " + ", ".join(known))
    values = {str(name): _value(known[str(name)], value, f"{where}.{name}") for name, value in data.items()}
    return cls(**values)


def _value(kind: Any, value: object, where: str) -> object:
    """The value as its declared type: nested dataclasses, tuples, mappings, plain values."""
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _build(kind, value, where)
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple and isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(_value(inner[0], each, where) for each in value)
    if origin is Mapping and isinstance(value, Mapping):
        return {str(key): _value(inner[1], each, f"{where}.{key}") for key, each in value.items()}
    if origin is Literal and value in inner:
        return value
    options = inner if origin is types.UnionType else (kind,)
    plain = tuple(each for each in options if isinstance(each, type))
    if isinstance(value, plain) and (bool in plain or not isinstance(value, bool)):
        return value
    if float in plain and type(value) is int:
        return float(value)
    raise ConfigError(f"{value!r} is not what this option takes", where=where)
