"""The audit of ratings: how each rater rates, and how raters of one output agree.

farm/statistics/rating_agreement.py has the definitions. Bounds are by instruction, as elsewhere.
"""

from __future__ import annotations

import numpy as np

from db.ledger import Ledger
from db.queries.exports import RowFilter
from db.queries.ratings import given_ratings
from farm.evaluation.audit_report import RaterAudit, RatingAudit
from farm.evaluation.references import annotators_named, named
from farm.options.audit import AuditOptions
from farm.statistics.measures import intervals, mean_of
from farm.statistics.rating_agreement import alpha_of, difference_of, one_rating_each


def audit_ratings(ledger: Ledger, options: AuditOptions) -> RatingAudit | None:
    """Audit the ratings of the source, subset and annotators of the options; None where there are none.

    Raises ConfigError where nobody has a name of the options.
    """
    rows = list(given_ratings(ledger, RowFilter(source=options.source, subset=options.subset)))
    everybody = named(ledger.annotators())
    wanted = {each.code for each in annotators_named(everybody, options.annotators)}
    rows = [row for row in rows if row.annotator in wanted]
    if not rows:
        return None
    outputs, place = np.unique([row.output for row in rows], return_inverse=True)
    codes, rater = np.unique([row.annotator for row in rows], return_inverse=True)
    instruction = np.zeros(len(outputs), dtype=np.int64)
    instruction[place] = [row.instruction for row in rows]
    labels = np.array([row.label for row in rows])
    rated = one_rating_each(place, rater, labels)
    names = {each.code: each for each in everybody}
    raters = []
    for number, code in enumerate(codes):
        mine = rated.raters == number
        mean = mean_of(rated.outputs[mine], rated.labels[mine], len(outputs))
        raters.append(
            RaterAudit(
                name=names[code].name,
                kind=names[code].kind.value,
                n=int((rater == number).sum()),
                mean=intervals({"mean": mean}, instruction)["mean"],
            )
        )
    together = {"alpha": alpha_of(rated, len(outputs)), "difference": difference_of(rated, len(outputs))}
    return RatingAudit(
        n=len(rows),
        outputs=len(outputs),
        shared=int((np.bincount(rated.outputs) > 1).sum()),
        measures=intervals(together, instruction),
        raters=tuple(raters),
    )
