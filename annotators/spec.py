"""What an annotator is: a strict YAML file and a prompt, read into a frozen AnnotatorSpec.

An annotator has two identities. `fingerprint` is made of all that can change a judgement. `draw_key` is made
of what is asked, and keys the draws of order and member. So an annotator with a new parser or other label
noise reuses the completions that were paid for already.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple

from annotators.clients.request import RequestDecoding
from annotators.draws import Orders
from annotators.noise import NO_NOISE, LabelNoise
from annotators.strict_yaml import Reader, nearest
from db.errors import ConfigError
from db.ids import Json, content_hash
from db.records import AnnotatorCard, AnnotatorKind

RENDERING = 1  # counts changes of render.py and prompt.py that change a request
PARSING = 3  # counts changes of the parsers that change a reading
MAX_BATCH = 50
MOST_TOGETHER = 10  # outputs in one prompt: 45 pairs
_NAME = re.compile("[A-Za-z0-9]{1,12}")


class OutputNames(NamedTuple):
    """The names of the outputs in a prompt, in the order shown."""

    first: str = "A"
    second: str = "B"


DEFAULT_NAMES = OutputNames()


class Position(StrEnum):
    """A position in the shown order."""

    FIRST = "first"
    SECOND = "second"


@dataclass(frozen=True, slots=True)
class Shot:
    """A worked example for a prompt. first: output_1, which is shown first, is better. why: one sentence, or
    none."""

    instruction: str
    output_1: str
    output_2: str
    first: bool
    why: str = ""
    input: str = ""

    @classmethod
    def read(cls, entry: Reader) -> Shot:
        """Read a worked example from a mapping."""
        shot = cls(
            entry.text("instruction"),
            entry.text("output_1"),
            entry.text("output_2"),
            entry.choice("better", Position) is Position.FIRST,
            entry.text("why", ""),
            entry.text("input", ""),
        )
        entry.close()
        return shot

    def entry(self, name: str) -> dict[str, Json]:
        """The example under a name, as a file of worked examples has it."""
        better = Position.FIRST if self.first else Position.SECOND
        said = {"name": name, **self.to_json(), "better": str(better)}
        return {key: value for key, value in said.items() if key != "first" and value != ""}

    def to_json(self) -> dict[str, Json]:
        """The example, as it enters the annotator's identity."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


@dataclass(frozen=True, slots=True)
class ParserSpec:
    """The name of a parser of parsers.PARSERS, and its options."""

    name: str
    options: Mapping[str, Json] = field(default_factory=dict)

    def to_json(self) -> dict[str, Json]:
        """The parser, as it enters the annotator's identity."""
        return {"name": self.name, "options": self.options, "version": PARSING}


@dataclass(frozen=True, slots=True)
class Example:
    """A completion and what must be read from it.

    expected: P(the output shown first is better) of each pair; None where it is unreadable. degree: steps
    from the tie, where the example says so. aspects: P(the output shown first is better) by criterion, for
    those that the example names.
    """

    completion: str
    expected: tuple[float | None, ...]
    top_logprobs: Mapping[str, float] = field(default_factory=dict)  # of the first token
    degree: int | None = None
    aspects: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recorded:
    """Whose stored replies are read again.

    annotator: name or fingerprint of an annotator of the ledger; the first digits will do. source: only what
    was imported from there; empty for all.
    """

    annotator: str
    source: str = ""

    def to_json(self) -> dict[str, Json]:
        """The reference, as it enters the annotator's identity."""
        return {"annotator": self.annotator, "source": self.source}


@dataclass(frozen=True)
class AnnotatorSpec:
    """An annotator as data.

    rule, utility: of annotators without a model (rules.py). recorded: of those that read stored replies.
    model: the name that the server knows, or a folder of weights. prompt: the text of the template; empty
    where no language model is asked. shots: worked examples in the prompt. batch: pairs in one prompt. seed:
    of every keyed draw. reply_tokens: a typical length of a reply for one pair, for estimates of cost. more:
    names of the third output and those after it, where several are shown together and ranked.
    """

    name: str
    kind: AnnotatorKind
    summary: str = ""
    rule: str = ""
    utility: str = ""
    recorded: Recorded | None = None
    model: str = ""
    prompt: str = ""
    persona: str = ""
    shots: tuple[Shot, ...] = ()
    outputs: OutputNames = DEFAULT_NAMES
    more: tuple[str, ...] = ()
    batch: int = 1
    decoding: RequestDecoding = field(default_factory=RequestDecoding)
    parser: ParserSpec = ParserSpec("verdict")
    orders: Orders = Orders.RANDOM
    noise: LabelNoise = NO_NOISE
    seed: int = 0
    reply_tokens: int = 0
    examples: tuple[Example, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all outputs of a prompt, in the order shown."""
        return (*self.outputs, *self.more)

    @property
    def pairs_per_prompt(self) -> int:
        """How many pairs a full prompt shows."""
        return self.batch * math.comb(len(self.names), 2)

    def about(self, pairs: int) -> AnnotatorSpec:
        """The annotator as it reads a reply about so many pairs, where it ranks outputs; else itself."""
        more = self.more[: outputs_of(pairs) - len(self.outputs)]
        return self if more == self.more else replace(self, more=more)

    @cached_property
    def asked(self) -> dict[str, Json]:
        """All that can change a request, or a rule's answer."""
        if self.kind is AnnotatorKind.RULE:
            return {"rule": self.rule, "utility": self.utility, "seed": self.seed}
        if self.recorded:
            return {"recorded": self.recorded.to_json(), "outputs": list(self.names), "seed": self.seed}
        if self.kind is AnnotatorKind.REWARD_MODEL:
            return {"model": self.model, "rendering": RENDERING, "seed": self.seed}
        return {
            "model": self.model,
            "prompt": self.prompt,
            "persona": self.persona,
            "shots": [shot.to_json() for shot in self.shots],
            "outputs": list(self.names),
            "batch": self.batch,
            "decoding": self.decoding.body(0, "max_tokens"),
            "rendering": RENDERING,
            "seed": self.seed,
        }

    @cached_property
    def draw_key(self) -> str:
        """The identity of what is asked."""
        return content_hash("asked", [str(self.kind), self.asked])

    @cached_property
    def canonical(self) -> dict[str, Json]:
        """All that can change a judgement, as the ledger keeps it."""
        spec = self.asked | {"orders": str(self.orders), "noise": self.noise.to_json()}
        return spec if self.kind is AnnotatorKind.RULE else spec | {"parser": self.parser.to_json()}

    @cached_property
    def card(self) -> AnnotatorCard:
        """The annotator as the ledger keeps it."""
        return AnnotatorCard(self.name, self.kind, self.canonical)

    @property
    def fingerprint(self) -> str:
        """The annotator's identity, the same in every ledger."""
        return self.card.key


def outputs_of(pairs: int) -> int:
    """How many outputs have so many pairs: k of k (k - 1) / 2. Of other numbers, the next lower k."""
    return (1 + math.isqrt(1 + 8 * pairs)) // 2


@dataclass(frozen=True)
class Library:
    """What specs may refer to by name. slots: slot -> model. model: one for all slots. shots: by name."""

    slots: Mapping[str, str] = field(default_factory=dict)
    model: str = ""
    shots: Mapping[str, Shot] = field(default_factory=dict)

    def model_of(self, name: str) -> str:
        """The model that a spec's entry `model` means: the caller's, the slot's, or the name itself."""
        return self.model or self.slots.get(name, name)


def read_spec(entry: Reader, prompts: Mapping[str, str], library: Library) -> AnnotatorSpec:
    """Read the spec of a mapping. prompts: file name -> text. Errors are collected in the reader."""
    kind = entry.choice("kind", AnnotatorKind)
    name, summary = entry.text("name"), entry.text("summary", "")
    orders = entry.choice("orders", Orders, Orders.RANDOM)
    noise, seed = read_noise(entry.reader("noise")), entry.integer("seed", 0, 0)
    if kind is AnnotatorKind.RULE:
        rule, utility = entry.text("rule"), entry.text("utility", "")
        return AnnotatorSpec(
            name=name,
            kind=kind,
            summary=summary,
            rule=rule,
            utility=utility,
            orders=orders,
            noise=noise,
            seed=seed,
        )
    if kind is AnnotatorKind.REWARD_MODEL:
        model, parser = library.model_of(entry.text("model", "")), _parser(entry, "scores")
        return AnnotatorSpec(
            name, kind, summary, model=model, parser=parser, orders=orders, noise=noise, seed=seed
        )
    if kind is not AnnotatorKind.LLM and "kind" in entry:
        entry.complain("kind", f"an annotator made of files is of kind llm, rm or rule, not {kind}")
    outputs, more = _outputs(entry)
    if "recorded" in entry:
        recorded, parser = _recorded(entry), _parser(entry)
        spec = AnnotatorSpec(name, kind, summary, recorded=recorded, parser=parser, noise=noise, seed=seed)
        return replace(spec, outputs=outputs, more=more)
    if more and orders is Orders.STORED:
        entry.complain("orders", "outputs that are ranked together have no stored order: random or both")
    batch, pairs = entry.integer("batch", 1, 1, MAX_BATCH), math.comb(2 + len(more), 2)
    return AnnotatorSpec(
        name,
        kind,
        summary,
        model=library.model_of(entry.text("model")),
        prompt=_prompt(entry, prompts),
        persona=entry.text("persona", ""),
        shots=_shots(entry, library),
        outputs=outputs,
        more=more,
        batch=batch,
        decoding=_decoding(entry.reader("decoding")),
        parser=_parser(entry),
        orders=orders,
        noise=noise,
        seed=seed,
        reply_tokens=entry.integer("reply_tokens", 0, 0),
        examples=tuple(_example(each, batch * pairs) for each in entry.readers("examples")),
    )


def read_noise(entry: Reader) -> LabelNoise:
    """Read label noise from an entry of the mapping."""
    noise = LabelNoise(entry.number("flip", 0.0, 0.0, 0.5), entry.flag("replace", False))
    entry.close()
    return noise


def read_preference(entry: Reader, key: str, value: object) -> float | None:
    """Read first, second, tie or a number in [0, 1]. `unreadable` is None."""
    words: dict[object, float | None] = {"first": 1.0, "second": 0.0, "tie": 0.5, "unreadable": None}
    if isinstance(value, str) and value in words:
        return words[value]
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
        return float(value)
    entry.complain(key, f"expected first, second, tie, unreadable or a number in [0, 1], not {value!r:.60}")
    return None


def _parser(entry: Reader, usual: str | None = None) -> ParserSpec:
    parser = entry.reader("parser")
    return ParserSpec(parser.text("name", usual), parser.rest())


def _recorded(entry: Reader) -> Recorded:
    recorded = entry.reader("recorded")
    found = Recorded(recorded.text("annotator"), recorded.text("source", ""))
    recorded.close()
    if "orders" in entry:
        entry.complain("orders", "a recording has the orders in which it was made")
    return found


def _outputs(entry: Reader) -> tuple[OutputNames, tuple[str, ...]]:
    """The names of the first two outputs, and of the others that are shown with them."""
    names = entry.texts("outputs", OutputNames())
    if 2 <= len(names) == len(set(names)) <= MOST_TOGETHER and all(map(_NAME.fullmatch, names)):
        return OutputNames(*names[:2]), tuple(names[2:])
    entry.complain(
        "outputs", f"expected 2 to {MOST_TOGETHER} different names of up to 12 letters or digits each"
    )
    return OutputNames(), ()


def _prompt(entry: Reader, prompts: Mapping[str, str]) -> str:
    name = entry.text("prompt", "prompt.jinja")
    if name not in prompts:
        entry.complain("prompt", f"there is no file {name!r} beside the annotator")
    return prompts.get(name, "")


def _shots(entry: Reader, library: Library) -> tuple[Shot, ...]:
    names = entry.texts("shots")
    for name in names:
        if name not in library.shots:
            entry.complain("shots", f"unknown example {name!r}{nearest(name, library.shots)}")
    return tuple(library.shots[name] for name in names if name in library.shots)


def _decoding(entry: Reader) -> RequestDecoding:
    settings = RequestDecoding(
        temperature=entry.maybe_number("temperature", 0, 2),
        top_p=entry.maybe_number("top_p", 0, 1),
        max_tokens=entry.maybe_integer("max_tokens", 1),
        seed=entry.maybe_integer("seed", 0),
        stop=entry.texts("stop"),
        logprobs=entry.flag("logprobs", False),
        top_logprobs=entry.maybe_integer("top_logprobs", 1),
        response_format=entry.json("response_format") or None,
        max_tokens_field=entry.text("max_tokens_field", ""),
    )
    if settings.max_tokens_field not in ("", "max_tokens", "max_completion_tokens"):
        entry.complain("max_tokens_field", "expected max_tokens or max_completion_tokens")
    extra = entry.json("extra")
    entry.close()
    try:
        return replace(settings, extra=extra)
    except ConfigError as error:
        entry.complain("extra", error.what)
        return settings


def _example(entry: Reader, pairs: int) -> Example:
    values = entry.take("expect", None)
    listed = values if isinstance(values, list) else [values]
    if values is not None and len(listed) > pairs:
        entry.complain("expect", f"{len(listed)} pairs in a prompt of {pairs}")
    logprobs = {}
    for token, value in entry.json("top_logprobs").items():
        if not isinstance(value, int | float) or isinstance(value, bool) or value > 0:
            entry.complain("top_logprobs", f"{value!r:.60} is no log-probability")
        else:
            logprobs[token] = float(value)
    expected = (
        tuple(read_preference(entry, "expect", value) for value in listed) if values is not None else ()
    )
    degree, aspects = entry.maybe_integer("degree", 0), entry.reader("aspects")
    by_criterion = {name: read_preference(aspects, name, said) for name, said in aspects.rest().items()}
    example = Example(entry.text("completion", ""), expected, logprobs, degree, aspects=by_criterion)
    entry.close()
    return example
