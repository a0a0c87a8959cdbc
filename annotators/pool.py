"""A crowd of annotators: which member judges a pair is a keyed draw, by weight.

A pool is one annotator to the ledger. Its own orders, noise, seed and temperature hold for all members; a
member is a spec of the catalogue with some of its entries replaced.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate

from annotators.draws import Occasion, Orders
from annotators.noise import NO_NOISE, LabelNoise
from annotators.spec import AnnotatorSpec, read_noise
from annotators.strict_yaml import Reader, nearest
from db.ids import Json, content_hash
from db.records import AnnotatorCard, AnnotatorKind

CHANGEABLE = {"name", "model", "prompt", "persona", "shots", "batch", "outputs", "decoding", "parser"}
"""What a member may have otherwise than the annotator that it is based on."""

ReadMember = Callable[[str, Mapping[str, object], Reader], AnnotatorSpec | None]
"""(base annotator, entries that replace its own, the reader to complain to) -> the member's spec."""


@dataclass(frozen=True, slots=True)
class Member:
    """One of a pool, and how often it judges in proportion to the others."""

    spec: AnnotatorSpec
    weight: float = 1.0


@dataclass(frozen=True)
class Pool:
    """Several annotators that share the work. draw_key, card and fingerprint are as AnnotatorSpec's."""

    name: str
    members: tuple[Member, ...]
    summary: str = ""
    orders: Orders = Orders.RANDOM
    noise: LabelNoise = NO_NOISE
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.members:
            raise ValueError("a pool has members")

    @cached_property
    def draw_key(self) -> str:
        asked: list[Json] = [[member.spec.draw_key, member.weight] for member in self.members]
        return content_hash("asked by a pool", [asked, self.seed])

    @cached_property
    def card(self) -> AnnotatorCard:
        members: list[Json] = [
            member.spec.asked
            | {"name": member.spec.name, "parser": member.spec.parser.to_json(), "weight": member.weight}
            for member in self.members
        ]
        spec: dict[str, Json] = {"members": members, "orders": str(self.orders), "seed": self.seed}
        return AnnotatorCard(self.name, AnnotatorKind.LLM, spec | {"noise": self.noise.to_json()})

    @property
    def fingerprint(self) -> str:
        return self.card.key

    @property
    def alone(self) -> tuple[AnnotatorSpec, ...]:
        """Each member as an annotator of its own: with this pool's orders, without its noise."""
        return tuple(
            replace(each.spec, name=f"{self.name}/{each.spec.name}", orders=self.orders, noise=NO_NOISE)
            for each in self.members
        )

    def member(self, occasion: Occasion) -> AnnotatorSpec:
        """Who judges on this occasion: a function of the pair, this pool and the replicate."""
        return self.members[self.place(occasion)].spec

    def place(self, occasion: Occasion) -> int:
        """The same by its place among the members."""
        return bisect(self._bounds, occasion.uniform("member") * self._bounds[-1])

    @cached_property
    def _bounds(self) -> list[float]:
        return list(accumulate(member.weight for member in self.members))


def specs_of(annotator: AnnotatorSpec | Pool) -> list[AnnotatorSpec]:
    """Those who may be asked: a pool's members, or the one."""
    return [member.spec for member in annotator.members] if isinstance(annotator, Pool) else [annotator]


def read_pool(entry: Reader, read_member: ReadMember) -> Pool | None:
    """The pool of a mapping, None where no member can be read; what is wrong gathers in the reader."""
    name, summary = entry.text("name"), entry.text("summary", "")
    orders = entry.choice("orders", Orders, Orders.RANDOM)
    noise, seed = read_noise(entry.reader("noise")), entry.integer("seed", 0, 0)
    temperature = entry.maybe_number("temperature", 0, 2)
    members = []
    for line in entry.readers("members"):
        weight, base = line.number("weight", 1.0, 1e-6, 1e6), line.text("annotator")
        changes = line.rest()
        for key in sorted(changes.keys() - CHANGEABLE):
            line.complain(key, f"a member does not change this{nearest(key, CHANGEABLE)}")
        spec = read_member(base, changes, line)
        if spec:
            members.append(Member(_tempered(replace(spec, seed=seed), temperature), weight))
    if not members and not entry.problems:
        entry.complain("members", "a pool has members")
    return Pool(name, tuple(members), summary, orders, noise, seed) if members else None


def _tempered(spec: AnnotatorSpec, temperature: float | None) -> AnnotatorSpec:
    if temperature is None:
        return spec
    return replace(spec, decoding=replace(spec.decoding, temperature=temperature))
