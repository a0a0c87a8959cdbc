"""The pairs on which people and judges differ most."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from db.ids import Json
from db.ledger import Ledger, PairFilter
from db.queries.frames import Judgements

LONGEST = 200  # characters of a text


class WorstPair(NamedTuple):
    """A pair, and the mean P(first output preferred) of people and of judges. pair: its id."""

    pair: int
    people: float
    judges: float


def worst_pairs(
    found: Judgements, people: Collection[int], judges: Collection[int], limit: int
) -> list[WorstPair]:
    """The pairs with the largest gap between the two means, the largest first; of equal gaps the one that
    more people judged.

    found: the judgements that count. people, judges: codes of annotators. limit: how many pairs at most. A
    pair is listed once; pairs of equal texts, and pairs without a gap, are left out.
    """
    rows = found.judgements.dropna(subset="preference")
    means = [
        rows[rows["annotator"].isin(list(codes))].groupby("unit")["preference"].agg(["mean", "size"])
        for codes in (people, judges)
    ]
    both = means[0].join(means[1]["mean"].rename("judges"), how="inner")
    both["gap"] = (both["mean"] - both["judges"]).abs()
    units = found.units.set_index("unit")
    both = both.join(units[["pair_id", "identical"]]).query("gap > 0 and not identical")
    worst = both.sort_values(["gap", "size", "pair_id"], ascending=[False, False, True])
    worst = worst.drop_duplicates("pair_id").head(limit)
    columns = (worst[name].tolist() for name in ("pair_id", "mean", "judges"))
    return [WorstPair(int(pair), *both_means) for pair, *both_means in zip(*columns, strict=True)]


class ToldPair(NamedTuple):
    """Such a pair with the beginnings of its texts, as its source shows them."""

    means: WorstPair
    instruction: str
    first: str
    second: str

    def to_json(self) -> Json:
        """The pair as a JSON object."""
        texts = {"instruction": self.instruction, "first": self.first, "second": self.second}
        return {**self.means._asdict(), **texts}


def told_pairs(ledger: Ledger, worst: Collection[WorstPair]) -> list[ToldPair]:
    """These pairs with their texts."""
    ids = tuple(each.pair for each in worst)
    pairs = {pair.id: pair for pair in ledger.pairs(PairFilter(ids=ids))}
    flipped = ledger.flipped_pairs() & set(ids)
    found = []
    for each in worst:
        pair = pairs[each.pair]
        texts = [pair.output_a.text[:LONGEST], pair.output_b.text[:LONGEST]]
        first, second = reversed(texts) if each.pair in flipped else texts
        found.append(ToldPair(each, pair.instruction.text[:LONGEST], first, second))
    return found
