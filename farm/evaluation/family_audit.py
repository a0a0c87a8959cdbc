"""Do judges prefer the outputs of models of their own family: `farm audit --families`.

A judge is compared with people, and with the judges of other families, on the pairs that both judged. Pairs
of two outputs of the family tell nothing. No other judge counts on outputs of its own kin. The same
figures of models that learnt from the family tell of preference leakage (Li et al. 2025, arXiv 2502.01534).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from db.ids import Json
from db.ledger import Ledger, PairFilter
from db.queries.composites import sides as pair_sides
from db.queries.frames import Judgements
from db.records import AnnotatorKind
from farm.evaluation.families import Kinship, models_in, require_names
from farm.evaluation.json_figures import interval_json
from farm.evaluation.references import Who
from farm.statistics.agreement import Bools, sides
from farm.statistics.self_preference import Leads, SelfPreference, self_preference

PEOPLE = (AnnotatorKind.HUMAN, AnnotatorKind.GOLD)
OTHERS = "other judges"


@dataclass(frozen=True)
class FamilyRow:
    """A judge beside others on outputs of its kin.

    kin: `own`, of models of its family; `taught`, of models that learnt from it. against: whom it is compared
    with. pairs: questions with one output of kin that both sides judged.
    """

    annotator: str
    families: tuple[str, ...]
    kin: str
    against: str
    pairs: int
    found: SelfPreference

    def to_json(self) -> Json:
        """The row as a JSON object."""
        about: dict[str, Json] = {"annotator": self.annotator, "families": list(self.families)}
        figures = {name: interval_json(each) for name, each in self.found._asdict().items()}
        return {**about, "kin": self.kin, "against": self.against, "pairs": self.pairs, **figures}


@dataclass(frozen=True)
class FamilyAudit:
    """The rows. unknown: judges of which nobody knows the family: they are compared with nobody."""

    rows: tuple[FamilyRow, ...]
    unknown: tuple[str, ...]

    def to_json(self) -> Json:
        """The audit as a JSON object."""
        return {"annotators": [row.to_json() for row in self.rows], "unknown": list(self.unknown)}


class _Question(NamedTuple):
    """Of each question, in the order of the units: who wrote its outputs, as places among `names`."""

    first: np.ndarray[tuple[int], np.dtype[np.int64]]
    second: np.ndarray[tuple[int], np.dtype[np.int64]]
    names: list[str]
    instruction: np.ndarray[tuple[int], np.dtype[np.int64]]


def family_audit(
    ledger: Ledger, found: Judgements, reference: Sequence[Who], shown: Sequence[Who], *, kinship: Kinship
) -> FamilyAudit:
    """Each shown judge of a known family beside the reference and beside judges of other families.

    Raises ConfigError where a name that the user gave a family is nobody's.
    """
    units = found.units[~found.units["identical"]].reset_index(drop=True)
    asked = _questions(ledger, units)
    cards = {card.key: card for card in ledger.annotators()}
    models = {name for card in found.annotators for name in models_in(dict(card.spec), cards)}
    known = {*asked.names, *models, *(card.name for card in found.annotators)}
    require_names([*kinship.said, *kinship.taught], known)
    family = {card.id: kinship.of_annotator(card, cards) for card in found.annotators}
    people = {each.code for each in reference}
    judges = [each for each in shown if each.kind not in PEOPLE]
    votes = _votes(found.judgements, units)
    fair = votes[~_partial(votes, asked, family, kinship)]
    kinds = {card.id: card.kind for card in found.annotators}
    rows: list[FamilyRow] = []
    for who in judges:
        own = family[who.code]
        if not own:
            continue
        strangers = [code for code, each in family.items() if not (each or frozenset()) & own]
        known_ones = [code for code in strangers if family[code] is not None and kinds[code] not in PEOPLE]
        against = {
            _reference_name(reference): fair[fair["annotator"].isin(people.intersection(strangers))],
            OTHERS: fair[fair["annotator"].isin(set(known_ones) - people)],
        }
        mine = votes[votes["annotator"] == who.code].set_index("place")["side"]
        rows += _rows(who, own, against, mine=mine, asked=asked, kinship=kinship)
    return FamilyAudit(tuple(rows), tuple(each.name for each in judges if family[each.code] is None))


def _reference_name(reference: Sequence[Who]) -> str:
    kind = reference[0].kind if reference else AnnotatorKind.HUMAN
    return {AnnotatorKind.HUMAN: "people", AnnotatorKind.GOLD: "gold"}.get(kind, "reference")


def _questions(ledger: Ledger, units: pd.DataFrame) -> _Question:
    ids = units["pair_id"].drop_duplicates().tolist()
    found = pair_sides(ledger, PairFilter(ids=tuple(ids)))
    by = {each.id: (each.producer_a, each.producer_b) for each in found}
    wrote = np.array([by[pair] for pair in units["pair_id"]], dtype=object).reshape(-1, 2)
    flipped = units["flipped"].to_numpy(bool)
    wrote[flipped] = wrote[flipped][:, ::-1]
    names, place = np.unique(wrote.astype(str), return_inverse=True)
    place = place.reshape(-1, 2)
    return _Question(place[:, 0], place[:, 1], names.tolist(), units["instruction_id"].to_numpy(np.int64))


def _votes(judgements: pd.DataFrame, units: pd.DataFrame) -> pd.DataFrame:
    """The mean side of each annotator's judgements of each question: annotator, place (of the unit), side."""
    place = pd.Series(np.arange(len(units)), index=units["unit"])
    rows = judgements[judgements["unit"].isin(place.index)].dropna(subset="preference")
    told = pd.DataFrame(
        {
            "annotator": rows["annotator"].to_numpy(np.int64),
            "place": place[rows["unit"]].to_numpy(np.int64),
            "side": sides(rows["preference"].to_numpy(float)),
        }
    )
    return told.groupby(["annotator", "place"])["side"].mean().reset_index()


def _partial(
    votes: pd.DataFrame, asked: _Question, family: Mapping[int, frozenset[str] | None], kinship: Kinship
) -> Bools:
    """Of each vote, whether it is on an output of a model of the annotator's family, or taught by it."""
    found = np.zeros(len(votes), bool)
    place = votes["place"].to_numpy(np.int64)
    for code, own in family.items():
        if own:
            mine = votes["annotator"].to_numpy() == code
            kin = np.logical_or(*_relations(own, asked, kinship)["own"])
            found |= mine & (kin[asked.first[place]] | kin[asked.second[place]])
    return found


def _rows(
    who: Who,
    own: frozenset[str],
    against: Mapping[str, pd.DataFrame],
    *,
    mine: pd.Series[float],
    asked: _Question,
    kinship: Kinship,
) -> Iterator[FamilyRow]:
    """The rows of one judge, of its own family first; a comparison without pairs has none.

    against: votes of others. mine: the judge's own, by place.
    """
    for relation, (kin, left_out) in _relations(own, asked, kinship).items():
        for name, votes in against.items():
            theirs = votes.groupby("place")["side"].mean()
            both = mine.to_frame("judge").join(theirs.rename("others"), how="inner")
            place = both.index.to_numpy(np.int64)
            both = both[~(left_out[asked.first[place]] | left_out[asked.second[place]])]
            leads = _leads(both, asked, kin)
            if leads.kin.any():
                figures = self_preference(leads)
                count = int(leads.kin.sum())
                yield FamilyRow(who.name, tuple(sorted(own)), relation, name, pairs=count, found=figures)


def _relations(own: frozenset[str], asked: _Question, kinship: Kinship) -> dict[str, tuple[Bools, Bools]]:
    """By relation: which producers are kin, and which ones are kin of the other relation: (names,) each."""
    mine = np.array([bool(own & (kinship.of_name(name) or frozenset())) for name in asked.names], bool)
    taught = np.array([bool(own & kinship.taught.get(name, frozenset())) for name in asked.names], bool)
    return {"own": (mine, taught & ~mine), "taught": (taught & ~mine, mine)}


def _leads(both: pd.DataFrame, asked: _Question, kin: Bools) -> Leads:
    """The votes as leads. both: judge and others, P(first) by the place of the question. kin (names,)."""
    place = both.index.to_numpy(np.int64)
    first, second = asked.first[place], asked.second[place]
    judge, others = (both[name].to_numpy(float) for name in ("judge", "others"))
    one, other = ~kin[second], ~kin[first]  # neither, where both are kin
    return Leads(
        judge=np.concatenate([judge[one], 1 - judge[other]]),
        others=np.concatenate([others[one], 1 - others[other]]),
        kin=np.concatenate([kin[first][one], kin[second][other]]),
        opponents=np.concatenate([second[one], first[other]]),
        clusters=np.concatenate([asked.instruction[place][one], asked.instruction[place][other]]),
    )
