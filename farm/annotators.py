"""List the catalogue of annotators, or show one: `farm annotators [NAME]`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from annotators import catalogue
from annotators.clients.budget import estimate
from annotators.clients.request import Request
from annotators.composite import AnyAnnotator, Composite
from annotators.draws import Orders
from annotators.pool import Pool
from annotators.prices import Price, PriceTable
from annotators.render import messages
from annotators.sequential import SequentialRule, outlook
from annotators.shown import ShownOutputs, ShownPair, ShownTogether
from annotators.spec import AnnotatorSpec
from db.ids import Json
from db.records import AnnotatorKind, Instruction, Output, Pair, PairFilter

if TYPE_CHECKING:
    from db.ledger import Ledger

CHANCES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
TYPICAL = {"instruction": 200, "output": 600}  # characters, about what instruction sets hold


@dataclass(frozen=True)
class Line:
    """One annotator of the catalogue, or a member of a pool.

    prompt: its parser, and what its prompt has beside rules. share: a member's share of the pool's pairs.
    price_per_1000: US dollars for 1,000 pairs of typical length in the annotator's own orders, None where
    unknown. priced: when prices were checked, empty where there is none.
    """

    name: str
    kind: str
    model: str
    prompt: str
    batch: int
    orders: str
    noise: float
    share: float | None
    price_per_1000: float | None
    priced: str
    summary: str


@dataclass(frozen=True)
class Prospect:
    """What comes of asking a judge until its side is clear, if it prefers output_a with this chance.

    draws: their mean number. first, second, open: the chance of each end. mean: of the judgements that say a
    mean, which is `chance`. bias: of the mean of the votes at the stop, which is not what they say.
    """

    chance: float
    draws: float
    first: float
    second: float
    open: float
    mean: float
    bias: float


@dataclass(frozen=True)
class AnnotatorDetail:
    """An annotator with its identity, its members, and its prompt on a real pair.

    prospects: of one that asks a judge until its side is clear.
    """

    line: Line
    fingerprint: str
    members: tuple[Line, ...]
    prompt: tuple[tuple[str, str], ...]  # (role, text)
    prospects: tuple[Prospect, ...] = ()

    def to_json(self) -> Json:
        """The annotator as a JSON object."""
        return asdict(self)


def annotators(models: tuple[str, ...] = ()) -> list[Line]:
    """Every annotator of the catalogue. models: as for `farm annotate --model`."""
    chosen = catalogue.ModelSlots.of(models)
    return [_line(found) for found in catalogue.listed(chosen)]


def annotator(name: str, ledger: Ledger | None, models: tuple[str, ...] = ()) -> AnnotatorDetail:
    """One annotator, its prompt rendered on the ledger's first pair, or on a made-up pair of typical length.

    Raises ConfigError on a wrong name.
    """
    found = catalogue.load(name, catalogue.ModelSlots.of(models))
    spec = found.members[0].spec if isinstance(found, Pool) else found
    pair = next(ledger.pairs(PairFilter(limit=1)), None) if ledger else None
    prompt: tuple[tuple[str, str], ...] = ()
    if isinstance(spec, AnnotatorSpec) and spec.prompt:
        said = messages(spec, [ShownPair(pair or _typical(), swapped=False)])
        prompt = tuple((str(message.role), message.content) for message in said)
    return AnnotatorDetail(
        _line(found), found.fingerprint, _members(found), prompt, prospects=_prospects(found)
    )


def _prospects(found: AnyAnnotator) -> tuple[Prospect, ...]:
    """By theory, of one that asks a judge until its side is clear; of others none."""
    if not (isinstance(found, Composite) and isinstance(found.rule, SequentialRule)):
        return ()
    seen = {chance: outlook(found.rule.stopping, chance) for chance in CHANCES}
    return tuple(
        Prospect(
            chance=chance,
            draws=each.draws,
            first=each.first,
            second=each.second,
            open=max(0.0, 1 - each.first - each.second),
            mean=each.mean,
            bias=each.of_votes - chance,
        )
        for chance, each in seen.items()
    )


def _members(found: AnyAnnotator) -> tuple[Line, ...]:
    """The members of a whole; of a pool in its orders, each with its share of the pairs."""
    if isinstance(found, Composite):
        return tuple(map(_line, found.members))
    return _pool_members(found) if isinstance(found, Pool) else ()


def _pool_members(pool: Pool) -> tuple[Line, ...]:
    total = sum(member.weight for member in pool.members)
    return tuple(
        replace(_line(replace(member.spec, orders=pool.orders)), share=member.weight / total)
        for member in pool.members
    )


def _line(found: AnyAnnotator) -> Line:
    if isinstance(found, Composite):
        return _composite_line(found)
    if isinstance(found, Pool):
        each = _pool_members(found)
        parts = [line.price_per_1000 * (line.share or 0) for line in each if line.price_per_1000 is not None]
        total = sum(parts) if len(parts) == len(each) else None
        used = ", ".join(sorted({line.model for line in each}))
        oldest = min(line.priced for line in each)
        prompt = f"{len(each)} members"
        orders, noise = str(found.orders), found.noise.flip
        return Line(
            name=found.name,
            kind="pool",
            model=used,
            prompt=prompt,
            batch=0,
            orders=orders,
            noise=noise,
            share=None,
            price_per_1000=total,
            priced=oldest,
            summary=found.summary,
        )
    price = PriceTable.load().price(found.model) if found.prompt else None
    return Line(
        name=found.name,
        kind=str(found.kind),
        model=found.recorded.annotator if found.recorded else found.model,
        prompt=_style(found),
        batch=found.pairs_per_prompt,
        orders=str(found.orders),
        noise=found.noise.flip,
        share=None,
        price_per_1000=_cost(found, price),
        priced=price.checked if price else "",
        summary=found.summary,
    )


def _composite_line(found: Composite) -> Line:
    """An annotator made of others. Its price is that of the members and draws that are asked first."""
    each = tuple(map(_line, found.members))
    begin = found.rule.stages[0]
    first = [line.price_per_1000 for line in each[: len(begin.members)]]
    known = [price for price in first if price is not None]
    return Line(
        name=found.name,
        kind=str(found.rule.kind),
        model=", ".join(sorted({line.model for line in each} - {""})),
        prompt=f"{len(each)} members",
        batch=0,
        orders="",
        noise=found.noise.flip,
        share=None,
        price_per_1000=len(begin.draws) * sum(known) if len(known) == len(first) else None,
        priced=min(line.priced for line in each),
        summary=found.summary,
    )


def _style(spec: AnnotatorSpec) -> str:
    """The parser that reads the replies, and what the prompt has beside rules."""
    if spec.kind is AnnotatorKind.RULE:
        return ""
    shots = f"{len(spec.shots)} examples" if len(spec.shots) != 1 else "1 example"
    return ", ".join([spec.parser.name, *["persona"] * bool(spec.persona), *[shots] * bool(spec.shots)])


def _cost(spec: AnnotatorSpec, price: Price | None) -> float | None:
    """US dollars for 1,000 typical pairs. An annotator without a language model costs nothing."""
    if not spec.prompt:
        return 0.0
    asked: list[ShownTogether] = [ShownPair(_typical(number), swapped=False) for number in range(spec.batch)]
    if spec.more:
        asked = [ShownOutputs(tuple(_typical(number).output_a for number in range(len(spec.names))))]
    request = Request(spec.model, messages(spec, asked), spec.decoding)
    reply = spec.reply_tokens * spec.batch or spec.decoding.max_tokens or 0
    cost = estimate([request], lambda model: price, lambda _: float(reply)).cost
    times = 2 if spec.orders is Orders.BOTH else 1
    return None if cost is None else 1000 * times * cost / spec.pairs_per_prompt


def _typical(number: int = 0) -> Pair:
    words = f"Text {number} of about the length that people ask and models answer. "
    ask = Instruction((words * 10)[: TYPICAL["instruction"]])
    outputs = (Output(ask, f"{side}: {(words * 20)[: TYPICAL['output']]}") for side in ("One", "Two"))
    return Pair.of(*outputs)[0]
