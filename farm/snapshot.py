"""Freeze judgements for training: `farm snapshot`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from db.errors import ConfigError, did_you_mean
from db.ids import Json, canonical_json
from db.ledger import Ledger
from db.queries import training
from db.queries.aspects import require_aspect
from db.queries.exports import RowFilter
from db.queries.ratings import ChosenRatings, choose_ratings
from db.queries.training import Chosen, SnapshotCard
from db.records import AnnotatorKind
from farm.options.snapshot import Choice as Choice


@dataclass(frozen=True)
class SnapshotReport:
    """A snapshot. identical: the number of judgements on pairs of equal texts, which are left out."""

    card: SnapshotCard
    identical: int

    def to_json(self) -> Json:
        """The report as a JSON object."""
        return {
            "name": self.card.name,
            "key": self.card.key,
            "rows": self.card.rows,
            "identical_left_out": self.identical,
        }


def snapshot(ledger: Ledger, name: str, choice: Choice) -> SnapshotReport:
    """Freeze the latest labelled judgements under a name. The same call again finds the same snapshot.

    Raises ConfigError where there is nothing to freeze, an annotator or aspect is unknown, or the name
    belongs to other content.
    """
    annotators = annotators_called(ledger, choice.annotators)
    if choice.aspect is not None:
        require_aspect(ledger, choice.aspect)
    if choice.unpaired:
        ratings = choose_ratings(ledger, RowFilter(choice.source, choice.subset, annotators))
        chosen = Chosen((), ratings.key, 0)
    else:
        ratings = ChosenRatings((), "")
        chosen = training.choose(
            ledger,
            annotators,
            choice.source,
            choice.subset,
            average_orders=choice.average_orders,
            aspect=choice.aspect,
        )
    rows = len(chosen.annotation_ids) + len(ratings.rating_ids)
    if not rows:
        remedy = "import rows of single outputs" if choice.unpaired else "annotate or import some pairs"
        raise ConfigError("there is nothing to freeze", where=name, remedy=remedy)
    for card in training.snapshots(ledger):
        if card.name == name:
            if card.key != chosen.key:
                what = f"the snapshot {name!r} has another content ({card.rows:,} rows)"
                raise ConfigError(what, remedy="a snapshot stays as it is: choose another name")
            return SnapshotReport(card, chosen.identical)
    text = canonical_json(asdict(choice))
    with ledger.writing() as writer:
        number = writer.snapshot(name, chosen.key, text, chosen.annotation_ids, rating_ids=ratings.rating_ids)
    card = SnapshotCard(number, chosen.key, name, choice=text, rows=rows, unpaired=choice.unpaired)
    return SnapshotReport(card, chosen.identical)


def annotators_called(ledger: Ledger, wanted: Sequence[str]) -> tuple[str, ...]:
    """The annotators that names and kinds stand for. Raises ConfigError where nobody is called so."""
    cards = ledger.annotators()
    named: dict[str, None] = {}
    for name in wanted:
        meant = [card.name for card in cards if name in (card.name, card.kind.value)]
        if not meant:
            there = [*(card.name for card in cards), *AnnotatorKind]
            remedy = did_you_mean(name, there, "`farm audit` lists them")
            raise ConfigError(f"no annotator {name!r} judged here", remedy=remedy)
        named |= dict.fromkeys(meant)
    return tuple(named)


def snapshot_named(ledger: Ledger, name: str) -> SnapshotCard:
    """The snapshot of this name. Raises ConfigError, which lists the names, on another one."""
    cards = {card.name: card for card in training.snapshots(ledger)}
    if name not in cards:
        there = ", ".join(cards) or "none yet"
        remedy = did_you_mean(name, cards, "make one with `farm snapshot`")
        raise ConfigError(f"no snapshot {name!r} (there is {there})", remedy=remedy)
    return cards[name]
