"""A calibration on a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from farm.calibrate import Calibrated
from farm.calibration.pool import SCORES, Calibration
from farm.calibration.strengths import StrengthCalibration
from farm.calibration.tables import PanelCalibration
from farm.calibration.thresholds import CascadeCalibration
from farm.terminal.common import plain, rate, table

HEADINGS = {"agreement": "agreement#", "variance": "variance#", "brier": "Brier#", "kl": "KL#"}
ONCE = """
A member judged most questions once, so what it says by chance counts as its opinion, and the noise comes
out too high where members err by chance: `farm annotate POOL --members --replicates 2` tells them apart."""


def calibration_view(found: Calibrated) -> RenderableType:
    """What was fitted, how it did on what was held out, and the file."""
    written = plain(f"Written to {found.out}: `farm annotate {found.out}`.")
    if isinstance(found, CascadeCalibration):
        return Group(*_cascade(found), Text(), written)
    if isinstance(found, PanelCalibration):
        return Group(*_panel(found), Text(), written)
    if isinstance(found, StrengthCalibration):
        return Group(*_strengths(found), Text(), written)
    return Group(*_pool(found), Text(), written)


def _cascade(found: CascadeCalibration) -> Iterator[RenderableType]:
    """The thresholds, and how often they keep to people on what was held out."""
    yield plain(
        f"Fitted on {found.fitted:,} questions and tested on {found.held:,} others; {found.unclear:,} are "
        "left out, because people have no one majority there."
    )
    if found.people.value is not None:
        told = found.people.text(".3f", ".2f")
        yield plain(f"One person agrees with the others on {told} of the questions where they agree most.")
    rows = table("member", "decides from confidence#", "decides#")
    for (name, threshold), share in zip(found.thresholds.items(), found.fit.by, strict=True):
        rows.add_row(plain(name), "never" if threshold is None else f"{threshold:.3f}", f"{share:.1%}")
    yield rows
    agreement, (kept, tested) = found.fit.agreement, found.fit.tested
    yield plain(
        f"On what was held out it decides {found.fit.coverage:.1%} and agrees with people on "
        f"{agreement.value:.3f} of it: with {found.level:.0%} certainty at least {agreement.low:.3f}. "
        f"{kept} of {tested} thresholds keep the promise of {found.promise:g}; these decide most."
    )


def _panel(found: PanelCalibration) -> Iterator[RenderableType]:
    """How good the members are, and whether together they beat the best of them."""
    yield plain(f"Fitted to the members' votes on {found.questions:,} questions that people judged too.")
    rows = table("member", "reliability#")
    for name, value in found.reliability.items():
        rows.add_row(plain(name), f"{value:.3f}")
    yield rows
    rival, lead = found.consensus.rival, found.consensus.lead.text("+.3f", "+.2f")
    yield plain(
        f"It is right on {found.consensus.accuracy:.3f}. Where {found.best} judged, it is right on "
        f"{rival.consensus:.3f} and {found.best} on {rival.accuracy:.3f}, a lead of {lead}."
    )
    if found.consensus.usable != "yes":
        yield plain(f"It is NOT shown to be better than {found.best} alone.")


def _strengths(found: StrengthCalibration) -> Iterator[RenderableType]:
    """The chance of each step, and whether it fits people better than certainty."""
    yield plain(f"Fitted to people's votes on {found.fitted:,} pairs; checked on {found.held:,} others.")
    rows = table("steps from the tie#", "judgements#", "people prefer the same#")
    for step, (count, chance) in enumerate(zip(found.counts, found.chances, strict=True), 1):
        rows.add_row(str(step), f"{count:,}", f"{chance:.3f}")
    yield rows
    gain = found.gain.text("+.3f", "+.2f")
    yield plain(f"Brier score {found.before:.3f} before, {found.after:.3f} after: a gain of {gain}.")
    if found.better != "yes":
        yield plain("It is NOT shown to fit people better than before.")


def _pool(found: Calibration) -> Iterator[RenderableType]:
    """Scores on the held part, then the weights, then what to make of it."""
    head = plain(
        f"Fitted to people's votes on {found.fitted:,} questions; scored on {found.held:,} others, "
        f"{found.votes} judgements each."
    )
    scores = table("", *(HEADINGS[name] for name in SCORES))
    names = {"people": "people", "before": found.pool, "after": found.out.stem}
    for who, name in names.items():
        measures = found.scores[who]
        scores.add_row(plain(name), *(rate(measures[each]) if each in measures else "" for each in SCORES))
    weights = table("member", "judgements#", "weight before#", "after#")
    for member in found.members:
        after = f"{member.after:.3f}" if member.after else "-"
        weights.add_row(plain(member.name), f"{member.judgements:.1f}", f"{member.before:.3f}", after)
    noise = Text(f"\nLabel noise: {found.flip_before:.3f} before, {found.fit.flip:.3f} after.\n")
    parts: list[RenderableType] = [head, Text(), scores, noise, weights]
    if found.judged_once:
        parts.append(Text(ONCE))
    parts.append(
        Text(f"\nThe Brier score on the questions held out fell by {found.gain.text('+.3f', '+.3f')}.")
    )
    if found.better != "yes":
        parts.append(Text("It is NOT shown to fit people better than before."))
    yield from parts
