"""Annotators made of others from YAML files: their members, each with its changes, and their rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum

from annotators.cascade import LEAST, read_cascade
from annotators.composite import AnyAnnotator, Composite, MakingRule
from annotators.families import Families
from annotators.noise import NO_NOISE
from annotators.panel import read_panel
from annotators.pool import CHANGEABLE
from annotators.sequential import read_sequential
from annotators.spec import read_noise
from annotators.strict_yaml import Reader, nearest
from db.records import AnnotatorKind

CHANGES = CHANGEABLE | {"orders", "seed"}
"""What a member may have otherwise than the annotator that it is based on."""

ReadJudge = Callable[[str, Mapping[str, object], Reader], AnyAnnotator | None]
"""(annotator, entries that replace its own, the reader to complain to) -> the member."""


class Recusal(StrEnum):
    """Whose outputs a member does not judge."""

    NONE = "none"
    FAMILY = "family"  # those of models of its own family


def read_composite(entry: Reader, read_judge: ReadJudge, families: Families) -> Composite | None:
    """Read the annotator of a mapping that is made of others; None where a member cannot be read.

    families: of the price table. Errors are collected in the reader.
    """
    kind = entry.choice("kind", AnnotatorKind)
    name, summary = entry.text("name"), entry.text("summary", "")
    noise, seed = read_noise(entry.reader("noise")), entry.integer("seed", 0, 0)
    recuse = entry.choice("recuse", Recusal, Recusal.NONE)
    lines = entry.readers("members")
    panel = kind is AnnotatorKind.PANEL
    cascade = kind is AnnotatorKind.CASCADE
    least = [None if not cascade else line.maybe_number("least_confidence", LEAST, 1.0) for line in lines]
    members = [_member(line, read_judge) for line in lines]
    contested = _member(entry.reader("contested"), read_judge) if panel and "contested" in entry else None
    known = [member for member in members if member is not None]
    names = [member.name for member in known]
    if len(set(names)) < len(names):
        entry.complain("members", "two members have one name: give one of them another `name`")
    sure = [each for each, member in zip(least, members, strict=True) if member is not None]
    rule: MakingRule | None
    if kind is AnnotatorKind.SEQUENTIAL:
        rule = read_sequential(entry, known)
    else:
        rule = read_panel(entry, known, contested) if panel else read_cascade(entry, known, sure)
    if rule is None or len(known) < len(members):
        return None
    return Composite(
        name=name,
        rule=rule,
        summary=summary,
        families=families if recuse is Recusal.FAMILY else None,
        noise=noise,
        seed=seed,
    )


def _member(line: Reader, read_judge: ReadJudge) -> AnyAnnotator | None:
    base, changes = line.text("annotator"), line.rest()
    for key in sorted(changes.keys() - CHANGES):
        line.complain(key, f"a member does not change this{nearest(key, CHANGES)}")
    member = read_judge(base, changes, line)
    if member and member.noise != NO_NOISE:
        line.complain("annotator", f"{member.name} has label noise, which the whole may have and no member")
    return member
