"""How much better an output is, in steps from the tie."""

from __future__ import annotations

from db.interchange.fields import number_of, shown
from db.records import Degree

MOST = 100  # levels of a scale: one from 0 to 100 has as many


def degree_of(steps: object, levels: object, preference: float | None) -> Degree:
    """So many steps of so many levels. preference: P(output_1 preferred), with which the steps have to agree.

    Raises ValueError where they are no whole numbers, more steps than levels, or a tie with steps.
    """
    found, most = number_of(steps), number_of(levels)
    if found is None or most is None or {found % 1, most % 1} != {0} or not 0 <= found <= most <= MOST:
        raise ValueError(f"{shown(steps)} of {shown(levels)} is no number of steps from a tie")
    if not most or preference is None or (preference == 0.5) != (found == 0):
        raise ValueError(f"{shown(steps)} steps from a tie do not fit a preference of {shown(preference)}")
    return Degree(int(found), int(most))
