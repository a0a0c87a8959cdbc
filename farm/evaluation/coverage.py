"""How much panels and cascades decide, who decides it, what it costs, and whether a promise is kept.

`farm audit` shows this beside the agreement of what they decided.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd

from db.ledger import Ledger
from db.queries.composites import MadeFrames, made_frames
from db.records import COMPOSITES, AnnotationStatus, AnnotatorCard, AnnotatorKind
from farm.evaluation.audit_report import Coverage
from farm.evaluation.references import Who
from farm.statistics.bootstrap import Interval
from farm.statistics.bounds import clustered_share


def coverage(
    ledger: Ledger, shown: Sequence[Who], pair_ids: Collection[int], agreement: Mapping[str, Interval]
) -> tuple[Coverage, ...]:
    """The coverage of the panels and cascades among these annotators, on these pairs.

    agreement: of each annotator with the majority of the reference, by name.
    """
    wholes = [each for each in shown if each.kind in COMPOSITES]
    if not wholes:
        return ()
    cards = {card.id: card for card in ledger.annotators()}
    keys = {card.id: card.key for card in cards.values()}
    found = made_frames(ledger, [each.code for each in wholes])
    mine = found.judgements[found.judgements["pair_id"].isin(pair_ids)]
    nothing = Interval(None, None, None, 0)
    return tuple(
        _coverage(
            each.name,
            cards[each.code],
            MadeFrames(own, found.parts[found.parts["whole"].isin(own["id"])]),
            keys=keys,
            agreement=agreement.get(each.name, nothing),
        )
        for each in wholes
        if len(own := mine[mine["annotator"] == each.code])
    )


def _coverage(
    name: str, card: AnnotatorCard, found: MadeFrames, *, keys: Mapping[int, str], agreement: Interval
) -> Coverage:
    """keys: the fingerprints of the ledger's annotators, by id."""
    status = found.judgements["status"]
    open_ = status.isin([AnnotationStatus.CONTESTED.value, AnnotationStatus.FAILED.value])
    decided = np.where(open_, 0.0, 1.0)
    prices = found.parts.assign(price=found.parts["price"].where(found.parts["asked"], 0.0))
    total = prices["price"].sum(skipna=False)
    promise = card.spec.get("promise")
    return Coverage(
        annotator=name,
        decided=clustered_share(decided, found.judgements["instruction_id"].to_numpy(np.int64)),
        contested=int((status == AnnotationStatus.CONTESTED.value).sum()),
        failed=int((status == AnnotationStatus.FAILED.value).sum()),
        by=_deciders(card, found, found.judgements.loc[~open_, "id"], keys),
        parts=len(found.parts) / len(status),
        price_per_1000=None if np.isnan(total) else float(1000 * total / len(status)),
        promise=float(promise) if isinstance(promise, int | float) else 0.0,
        agreement=agreement,
    )


def _deciders(
    card: AnnotatorCard, found: MadeFrames, decided: pd.Series[int], keys: Mapping[int, str]
) -> dict[str, int]:
    """Decided judgements by the names of the stage that decided: the last stage that was asked."""
    stages = _stages(card)
    stage_of = {key: place for place, stage in enumerate(stages) for key in stage}
    parts = found.parts[found.parts["whole"].isin(decided)]
    last = parts["annotator"].map(keys).map(stage_of).groupby(parts["whole"]).max()
    counts = Counter(last.astype(int).tolist())
    return {", ".join(stages[place].values()): counts[place] for place in sorted(counts)}


def _stages(card: AnnotatorCard) -> list[dict[str, str]]:
    """The members of each stage of a panel or cascade: name by fingerprint."""
    given = card.spec.get("members")
    members = given if isinstance(given, list) else []
    each = [{str(one["fingerprint"]): str(one["name"])} for one in members if isinstance(one, dict)]
    if card.kind is AnnotatorKind.CASCADE:
        return each
    first = each[:-1] if card.spec.get("contested") else each
    together = {key: name for one in first for key, name in one.items()}
    return [together, *each[len(first) :]]
