"""The verdicts of judgements on single criteria, which stand in rows of their own beside them."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, and_, select

from db.errors import ConfigError, did_you_mean
from db.ledger import Ledger
from db.queries.holdings import names_of
from db.records import AspectVerdict
from db.tables import ANNOTATION, ASPECT

LOOKUP = 5_000


def require_aspect(ledger: Ledger, name: str) -> None:
    """Raise ConfigError, which lists the aspects that there are, where no judgement speaks of this one."""
    known = names_of(ledger, "aspect")
    if name not in known:
        there = ", ".join(sorted(known)) or "none"
        remedy = did_you_mean(name, known, "annotators with criteria give them, such as `rubric`")
        raise ConfigError(f"no judgement has the aspect {name!r:.80} (there is {there})", remedy=remedy)


def speaks_of(name: str) -> ColumnElement[bool]:
    """The condition on which a row of `aspect` belongs to a row of `annotation` and has this name."""
    return and_(ASPECT.c.annotation_id == ANNOTATION.c.id, ASPECT.c.name == name)


def aspects_of(ledger: Ledger, annotation_ids: Collection[int]) -> dict[int, tuple[AspectVerdict, ...]]:
    """The aspects of these judgements, by id and in the order of their names; none where it has none."""
    found: dict[int, tuple[AspectVerdict, ...]] = {}
    wanted = sorted(annotation_ids)
    for at in range(0, len(wanted), LOOKUP):
        found |= _aspects(ledger, ASPECT.c.annotation_id.in_(wanted[at : at + LOOKUP]))
    return found


def aspects_between(ledger: Ledger, first: int, last: int) -> dict[int, tuple[AspectVerdict, ...]]:
    """The same of all judgements with ids from `first` to `last`."""
    return _aspects(ledger, ASPECT.c.annotation_id.between(first, last))


def _aspects(ledger: Ledger, wanted: ColumnElement[bool]) -> dict[int, tuple[AspectVerdict, ...]]:
    found: dict[int, list[AspectVerdict]] = {}
    query = select(ASPECT).where(wanted).order_by(ASPECT.c.annotation_id, ASPECT.c.name)
    for number, *said in ledger.stream(query):
        found.setdefault(number, []).append(AspectVerdict(*said))
    return {number: tuple(each) for number, each in found.items()}
