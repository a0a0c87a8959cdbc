"""A pool: a crowd of annotators. A keyed draw by weight decides which member judges a pair.

The ledger holds a pool as one annotator. Its orders, label noise, seed and temperature hold for all members.
A member is a spec of the catalogue with some entries replaced.
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
    """One annotator of a pool. weight: how often it judges, in proportion to the other members."""

    spec: AnnotatorSpec
    weight: float = 1.0


@dataclass(frozen=True)
class Pool:
    """Several annotators that share the pairs."""

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
        """The identity of what is asked: as AnnotatorSpec.draw_key."""
        asked: list[Json] = [[member.spec.draw_key, member.weight] for member in self.members]
        return content_hash("asked by a pool", [asked, self.seed])

    @cached_property
    def card(self) -> AnnotatorCard:
        """The pool as the ledger keeps it: one annotator."""
        members: list[Json] = [
            member.spec.asked
            | {"name": member.spec.name, "parser": member.spec.parser.to_json(), "weight": member.weight}
            for member in self.members
        ]
        spec: dict[str, Json] = {"members": members, "orders": str(self.orders), "seed": self.seed}
        return AnnotatorCard(self.name, AnnotatorKind.LLM, spec | {"noise": self.noise.to_json()})

    @property
    def fingerprint(self) -> str:
        """The pool's identity, the same in every ledger."""
        return self.card.key

    @property
    def alone(self) -> tuple[AnnotatorSpec, ...]:
        """Each member as an annotator of its own: with this pool's orders, without its noise."""
        return tuple(
            replace(each.spec, name=f"{self.name}/{each.spec.name}", orders=self.orders, noise=NO_NOISE)
            for each in self.members
        )

    def member(self, occasion: Occasion) -> AnnotatorSpec:
        """The member that judges on this occasion. It depends on pair, pool and replicate alone."""
        return self.members[self.place(occasion)].spec

    def place(self, occasion: Occasion) -> int:
        """The place among the members of the one that judges on this occasion."""
        return bisect(self._bounds, occasion.uniform("member") * self._bounds[-1])

    @cached_property
    def _bounds(self) -> list[float]:
        return list(accumulate(member.weight for member in self.members))


def specs_of(annotator: AnnotatorSpec | Pool) -> list[AnnotatorSpec]:
    """All annotators that may be asked: the members of a pool, or the annotator itself."""
    return [member.spec for member in annotator.members] if isinstance(annotator, Pool) else [annotator]


def read_pool(entry: Reader, read_member: ReadMember) -> Pool | None:
    """Read the pool of a mapping; None where no member can be read. Errors are collected in the reader."""
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
    if not members:
        return None
    return Pool(name=name, members=tuple(members), summary=summary, orders=orders, noise=noise, seed=seed)


def _tempered(spec: AnnotatorSpec, temperature: float | None) -> AnnotatorSpec:
    if temperature is None:
        return spec
    return replace(spec, decoding=replace(spec.decoding, temperature=temperature))
