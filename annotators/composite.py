"""An annotator made of others: members are asked in stages, and a rule makes one judgement of their votes.

panel.py, cascade.py and sequential.py have the rules. A stage that leaves a pair open passes it to the next
stage. What the last stage leaves open is contested: it gets no preference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, Protocol, TypeAlias

from annotators.draws import Orders
from annotators.families import Families
from annotators.judgement import Verdict
from annotators.noise import NO_NOISE, LabelNoise
from annotators.pool import Pool, specs_of
from annotators.spec import AnnotatorSpec
from db.ids import Json, content_hash
from db.records import AnnotatorCard, AnnotatorKind

NOBODY = "every member is recused"
UNTOLD = "no member has a verdict"
ROUNDING = 1e-9  # of shares and confidences that a file gives in decimals


class Vote(NamedTuple):
    """What a member says of a pair: the mean of its judgements. A member that is recused has no vote.

    member: its place in the stage. preference: P(output_a preferred), None without a verdict.
    """

    member: int
    preference: float | None


class Ruling(NamedTuple):
    """What a stage makes of its votes. verdict: on output_a; None where the pair stays open. reason: why."""

    verdict: Verdict | None
    reason: str = ""


@dataclass(frozen=True)
class Stage:
    """Members that are asked about the same pairs, and the rule over their votes.

    draws: which of the draws of each member are asked for. gathers: the members are those of the stage
    before, and the rule gets the votes of the stages before too, the oldest first.
    """

    members: tuple[AnyAnnotator, ...]
    rule: Callable[[Sequence[Vote]], Ruling]
    draws: range = range(1)
    gathers: bool = False


class MakingRule(Protocol):
    """How members' votes become one judgement."""

    @property
    def kind(self) -> AnnotatorKind:
        """The kind of an annotator that is made by this rule."""
        ...

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages, in the order in which they are asked."""
        ...

    @property
    def draws(self) -> int:
        """How often a member is asked for one judgement, at most."""
        ...

    @property
    def lacking(self) -> str:
        """What has to be fitted before it can judge; empty where nothing has."""
        ...

    def changed(self, change: Callable[[AnyAnnotator], AnyAnnotator]) -> MakingRule:
        """The rule with each member changed."""
        ...

    def to_json(self) -> dict[str, Json]:
        """All that can change a judgement, beside the members."""
        ...


@dataclass(frozen=True)
class Composite:
    """An annotator made of others. families: whose outputs no member of the family judges; None: all do."""

    name: str
    rule: MakingRule
    summary: str = ""
    families: Families | None = None
    noise: LabelNoise = NO_NOISE
    seed: int = 0

    @cached_property
    def members(self) -> tuple[AnyAnnotator, ...]:
        """All members, stage by stage, each once."""
        stages = self.rule.stages
        new = (stage for number, stage in enumerate(stages) if not (number and stage.gathers))
        return tuple(member for stage in new for member in stage.members)

    def changed(self, change: Callable[[AnyAnnotator], AnyAnnotator]) -> Composite:
        """The annotator with each member changed."""
        return replace(self, rule=self.rule.changed(change))

    @cached_property
    def recused(self) -> tuple[frozenset[str], ...]:
        """For each member, the families whose outputs it does not judge."""
        if self.families is None:
            return (frozenset(),) * len(self.members)
        return tuple(self.families.all_of(models_of(member)) for member in self.members)

    @cached_property
    def card(self) -> AnnotatorCard:
        """The annotator as the ledger keeps it. Its members are named by their fingerprints."""
        members: list[Json] = [
            {"name": member.name, "fingerprint": member.fingerprint} for member in self.members
        ]
        spec: dict[str, Json] = {"members": members, **self.rule.to_json()}
        if self.families is not None:
            spec["recused"] = self.families.only(frozenset().union(*self.recused)).to_json()
        noise: dict[str, Json] = {"noise": self.noise.to_json(), "seed": self.seed}
        return AnnotatorCard(self.name, self.rule.kind, spec | noise)

    @property
    def fingerprint(self) -> str:
        """The annotator's identity, the same in every ledger."""
        return self.card.key

    @cached_property
    def draw_key(self) -> str:
        """The identity of what is asked: as AnnotatorSpec.draw_key."""
        asked: list[Json] = [member.draw_key for member in self.members]
        return content_hash("asked by a composite", [str(self.rule.kind), asked, self.seed])


AnyAnnotator: TypeAlias = AnnotatorSpec | Pool | Composite
"""Whoever can be named as an annotator."""


def all_specs(judge: AnyAnnotator) -> list[AnnotatorSpec]:
    """The specs that may be asked, those of members of members too."""
    if isinstance(judge, Composite):
        return [spec for member in judge.members for spec in all_specs(member)]
    return specs_of(judge)


def questions_of(judge: AnyAnnotator) -> int:
    """How often a judge gives its judgement of one pair, in one replicate."""
    return 2 if not isinstance(judge, Composite) and judge.orders is Orders.BOTH else 1


def models_of(judge: AnyAnnotator) -> frozenset[str]:
    """The models that a judge may ask."""
    return frozenset(spec.model for spec in all_specs(judge)) - {""}
