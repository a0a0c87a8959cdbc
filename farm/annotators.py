"""The catalogue as a user sees it: `farm annotators [NAME]`."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from annotators import catalogue
from annotators.clients.budget import estimate
from annotators.clients.request import Request
from annotators.pool import Pool
from annotators.prices import PriceTable
from annotators.render import Asked, messages
from annotators.spec import AnnotatorSpec
from db.ids import Json
from db.ledger import Ledger, PairFilter
from db.records import Instruction, Output, Pair

TYPICAL = {"instruction": 200, "output": 600}  # characters, about what instruction sets hold


@dataclass(frozen=True)
class Line:
    """One annotator of the catalogue. price_per_1000: US dollars at a typical length, None where unknown."""

    name: str
    kind: str
    model: str
    batch: int
    orders: str
    noise: float
    price_per_1000: float | None
    summary: str


@dataclass(frozen=True)
class Shown:
    """An annotator whole: its line, identity, members and the prompt on a real pair."""

    line: Line
    fingerprint: str
    members: tuple[Line, ...]
    prompt: tuple[tuple[str, str], ...]  # (role, text)

    def to_json(self) -> Json:
        return asdict(self)


def annotators(models: tuple[str, ...] = ()) -> list[Line]:
    """Every annotator of the catalogue. models: as for `farm annotate --model`."""
    chosen = catalogue.Models.of(models)
    return [_line(catalogue.load(name, chosen)) for name in catalogue.names()]


def annotator(name: str, ledger: Ledger | None, models: tuple[str, ...] = ()) -> Shown:
    """One annotator with its prompt rendered on the ledger's first pair, or on a typical one."""
    found = catalogue.load(name, catalogue.Models.of(models))
    members = tuple(_line(each.spec) for each in found.members) if isinstance(found, Pool) else ()
    spec = found.members[0].spec if isinstance(found, Pool) else found
    pair = next(ledger.pairs(PairFilter(limit=1)), None) if ledger else None
    said = messages(spec, [Asked(pair or _typical(), swapped=False)]) if spec.prompt else ()
    prompt = tuple((str(message.role), message.content) for message in said)
    return Shown(_line(found), found.fingerprint, members, prompt)


def _line(found: AnnotatorSpec | Pool) -> Line:
    if isinstance(found, Pool):
        each = [_line(member.spec) for member in found.members]
        total = sum(member.weight for member in found.members)
        prices = [line.price_per_1000 for line in each]
        known = [price for price in prices if price is not None]
        weighted = sum(p * m.weight for p, m in zip(known, found.members, strict=False)) / total
        price = weighted if len(known) == len(prices) else None
        used = ", ".join(sorted({line.model for line in each}))
        noise = found.noise.flip
        return Line(found.name, "pool", used, 0, str(found.orders), noise, price, found.summary)
    return Line(
        found.name,
        str(found.kind),
        found.recorded.annotator if found.recorded else found.model,
        found.batch,
        str(found.orders),
        found.noise.flip,
        _price(found),
        found.summary,
    )


def _price(spec: AnnotatorSpec) -> float | None:
    """US dollars for 1,000 judgements of typical pairs; what prompts no language model costs nothing."""
    if not spec.prompt:
        return 0.0
    asked = [Asked(_typical(number), swapped=False) for number in range(spec.batch)]
    request = Request(spec.model, messages(spec, asked), spec.decoding)
    reply = spec.reply_tokens * spec.batch or spec.decoding.max_tokens or 0
    cost = estimate([request], PriceTable.load().price, lambda _: float(reply)).cost
    return None if cost is None else 1000 * cost / spec.batch


def _typical(number: int = 0) -> Pair:
    words = f"Text {number} of about the length that people ask and models answer. "
    ask = Instruction((words * 10)[: TYPICAL["instruction"]])
    outputs = (Output(ask, f"{side}: {(words * 20)[: TYPICAL['output']]}") for side in ("One", "Two"))
    return Pair.of(*outputs)[0]
