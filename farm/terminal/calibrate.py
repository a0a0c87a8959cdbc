"""A calibration on a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from farm.calibrate import SCORES, Calibration
from farm.terminal.audit import rate
from farm.terminal.common import plain, table

HEADINGS = {"agreement": "agreement#", "variance": "variance#", "brier": "Brier#", "kl": "KL#"}
ONCE = """
A member judged most questions once, so what it says by chance counts as its opinion, and the noise comes
out too high where members err by chance: `farm annotate POOL --members --replicates 2` tells them apart."""


def calibration_view(found: Calibration) -> RenderableType:
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
    if not found.better:
        parts.append(Text("\nIts Brier score is NO better than before on the questions held out."))
    parts += [Text(), plain(f"Written to {found.out}: `farm annotate {found.out}`.")]
    return Group(*parts)
