"""An audit on a terminal and as a CSV file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from db.names import alike
from db.whole_files import Kind, write_bytes_whole
from farm.escaping import cell
from farm.evaluation.audit_report import (
    AnnotatorAudit,
    AuditReport,
    CheckedRule,
    Coverage,
    Panel,
    RatingAudit,
    ReferenceAudit,
    Slice,
)
from farm.evaluation.worst_pairs import ToldPair
from farm.statistics.bootstrap import Interval
from farm.terminal.audit_parts import benchmark, drifts, families, odd_pairs, strengths, traits
from farm.terminal.common import figure, number, plain, rate, table

TABLE = Kind(b"source,subset,tries,annotator,")

ANNOTATORS = 40  # shown; --json and --csv have all
PAIRS = 12
BEGUN = 40  # characters of a text in a table
LONGEST = "longest"
USABLE = {"yes": "usable", "no": "NOT to be used", "not decided": "not decided", None: "not decided"}
BIASES = """
Bias and variance; fit of people's votes; prefers the first shown; the same in both orders, right in both;
prefers the longer, the list; price and seconds per 1,000"""


def audit_view(report: AuditReport) -> RenderableType:
    """The whole, what panels and cascades decided of it, then each slice, then the ratings."""

    def told(each: Slice) -> Iterator[RenderableType]:
        return _slice(each, report.nulls) if each.annotators or not report.ratings else iter(())

    return Group(
        *(
            [plain(f"Verdicts on the aspect {report.aspect}, in place of the overall ones.")]
            if report.aspect
            else []
        ),
        *told(report.whole),
        *benchmark(report),
        *_coverage(report.coverage),
        *traits(report.traits),
        *families(report.families),
        *drifts(report.drift),
        *odd_pairs(report.pairs),
        *strengths(report.strengths),
        *(part for each in report.slices for part in told(each)),
        *(_ratings(report.ratings) if report.ratings else ()),
        *_aspects(report),
        *_disagreements(report.disagreements),
        *_rules(report.rules),
    )


def _disagreements(pairs: Sequence[ToldPair]) -> Iterator[RenderableType]:
    if pairs:
        yield Text("\nWhere people and judges differ most: mean P(first preferred), for `farm trace pair:ID`")
        rows = table("pair#", "people#", "judges#", "instruction", "first", "second")
        for each in pairs:
            texts = (plain(_begun(text)) for text in (each.instruction, each.first, each.second))
            pair, people, judges = each.means
            rows.add_row(str(pair), f"{people:.2f}", f"{judges:.2f}", *texts)
        yield rows


def _begun(text: str) -> str:
    """The beginning of a text, on one line."""
    words = " ".join(text.split())
    return words if len(words) <= BEGUN else f"{words[: BEGUN - 3]}..."


def _rules(rules: Sequence[CheckedRule]) -> Iterator[RenderableType]:
    """A line for each rule: whether it holds, and the figure that decides."""
    if rules:
        yield Text("")
    for each in rules:
        value = "not defined" if each.value is None else f"{each.value:.4g}"
        holds = "holds" if each.holds else "FAILS"
        yield plain(f"{holds}  {each.rule}  ({each.who}: {value})")


def _aspects(report: AuditReport) -> Iterator[RenderableType]:
    """Which aspects there are, where the overall verdicts were audited."""
    if report.aspects and report.aspect is None:
        yield Text("")
        yield plain(f"Aspects, for --aspect: {', '.join(report.aspects)}.")


def _ratings(ratings: RatingAudit) -> Iterator[RenderableType]:
    yield Text(f"\nRatings: {ratings.n:,} of {ratings.outputs:,} outputs, each judged alone (0 bad, 1 good)")
    rows = table("annotator", "n#", "mean rating#")
    for each in ratings.raters[:ANNOTATORS]:
        rows.add_row(plain(each.name), f"{each.n:,}", rate(each.mean))
    yield rows
    if len(ratings.raters) > ANNOTATORS:
        yield Text(f"... and {len(ratings.raters) - ANNOTATORS} more annotators: see --json or --csv")
    if ratings.shared:
        alpha = rate(ratings.measures["alpha"]) or "not defined, since all ratings are alike"
        yield Text(
            f"On the {ratings.shared:,} outputs that several annotators rated: alpha (interval scale) "
            f"{alpha}, mean distance of two ratings {rate(ratings.measures['difference'])}."
        )


def _coverage(found: Sequence[Coverage]) -> Iterator[RenderableType]:
    """How much panels and cascades decided, and who did."""
    if not found:
        return
    yield Text("\nPanels and cascades: the share that they decided, and what stays open")
    rows = table(
        "annotator", "decided#", "open#", "failed#", "asked#", "$#", "promise#", "agreement#", "kept"
    )
    for each in found:
        price = "" if each.price_per_1000 is None else f"{each.price_per_1000:,.2f}"
        promised = (
            (f"{each.promise:.2f}", rate(each.agreement), each.kept or "") if each.promise else ("",) * 3
        )
        counts = (f"{each.contested:,}", f"{each.failed:,}", f"{each.parts:.1f}")
        rows.add_row(plain(each.annotator), rate(each.decided), *counts, price, *promised)
    yield rows
    for each in found:
        if len(each.by) > 1:
            by = "; ".join(f"{who}: {n:,}" for who, n in each.by.items())
            yield plain(f"{each.annotator} was decided by {by}")


def _slice(part: Slice, nulls: str) -> Iterator[RenderableType]:
    if part.where:
        yield Text("\n").append_text(
            plain(", ".join(f"{name} {value}" for name, value in part.where.items()))
        )
    yield _reference(part.reference)
    people = [each for each in part.annotators if each.kind in part.reference.kinds]
    others = [each for each in part.annotators if each.kind not in part.reference.kinds]
    shown = (others + people)[:ANNOTATORS]
    unreadable = "counts as wrong" if nulls == "wrong" else "is left out"
    yield Text(f"Against the reference (in accuracy an unreadable verdict {unreadable})")
    yield _agreement(shown)
    if people:
        yield Text("A person's accuracy counts the person's own vote among people's; agreement does not.")
    yield Text(BIASES)
    yield _biases(shown)
    hidden = len(part.annotators) - len(shown)
    if hidden > 0:
        yield Text(f"... and {hidden} more annotators: see --json or --csv")
    yield from _pairs(part)
    yield from _panel(part.panel)
    if not any(each.name == LONGEST for each in part.annotators):
        yield from _longest(part.reference.measures["longest"])
    yield from map(plain, alike(each.name for each in part.annotators))
    yield from _weak([each for each in others if each.name != LONGEST])


def _weak(judges: list[AnnotatorAudit]) -> Iterator[RenderableType]:
    """The judges that did not show that they beat `longest`."""
    words = {
        "no": "\nWorse than preferring the longer output: ",
        "not decided": "\nNot shown to be better than preferring the longer output: ",
    }
    for found, said in words.items():
        if names := [each.name for each in judges if each.beats_longest == found]:
            yield Text(said).append_text(plain(", ".join(names)))


def _longest(agreement: Interval) -> Iterator[RenderableType]:
    """What a judge has to beat, said where `longest` itself has not judged."""
    if agreement.value is not None:
        yield Text(f"\nAlways preferring the longer output would have an agreement of {rate(agreement)}.")


def _reference(reference: ReferenceAudit) -> RenderableType:
    if not reference.units:
        return Text(
            "Nobody here can be a reference: no person and no gold standard judged these questions.\n"
        )
    found = reference.measures
    parts = [
        f"Reference: {reference.name} ({reference.annotators} annotators, {reference.n:,} judgements of "
        f"{reference.units:,} questions)."
    ]
    if found["agreement"].value is not None:
        parts.append(
            f"With each other, one against the mode of the others: agreement {rate(found['agreement'])}, "
            f"alpha {number(found['alpha'])}, pairwise {number(found['pairwise_agreement'])}."
        )
    return plain(" ".join(parts)).append("\n")


def _agreement(annotators: list[AnnotatorAudit]) -> Table:
    rows = table(
        "annotator", "n#", "unread#", "agreement#", "accuracy#", "constant#", "kappa#", "AC1#", "> longest"
    )
    for each in annotators:
        found = each.measures
        rows.add_row(
            plain(each.name),
            f"{each.n:,}",
            number(found["unreadable"]),
            rate(found["agreement"]),
            rate(found["accuracy"]),
            *(number(found[name]) for name in ("constant", "kappa", "ac1")),
            "" if each.name == LONGEST else (each.beats_longest or ""),
        )
    return rows


def _biases(annotators: list[AnnotatorAudit]) -> Table:
    """Columns in which nobody has a figure are left out."""
    names = {
        "bias": "bias#",
        "variance": "variance#",
        "brier": "brier#",
        "kl": "KL#",
        "position_bias": "first#",
        "order_consistency": "same#",
        "both_orders_accuracy": "both#",
        "length_bias": "longer#",
        "list_bias": "list#",
    }
    told = [name for name in names if any(each.measures[name].value is not None for each in annotators)]
    fitted = ["reliability#"] if any(each.reliability is not None for each in annotators) else []
    rows = table("annotator", *(names[name] for name in told), *fitted, "$#", "s#")
    for each in annotators:
        costs = (each.price_per_1000, each.seconds_per_1000)
        rows.add_row(
            plain(each.name),
            *(number(each.measures[name]) for name in told),
            *(figure(each.reliability) for _ in fitted),
            *("" if cost is None else f"{cost:,.2f}" for cost in costs),
        )
    return rows


def _pairs(part: Slice) -> Iterator[RenderableType]:
    if part.pairs:
        yield Text("\nOf two annotators")
        rows = table("annotator", "annotator", "n#", "agreement#", "Cohen's kappa#", "AC1#")
        for pair in sorted(part.pairs, key=lambda pair: -pair.n)[:PAIRS]:
            figures = map(figure, (pair.agreement, pair.cohen_kappa, pair.ac1))
            rows.add_row(plain(pair.a), plain(pair.b), f"{pair.n:,}", *figures)
        yield rows
    if len(part.pairs) > PAIRS:
        yield Text(f"... and {len(part.pairs) - PAIRS:,} more pairs: see --json or --csv")


def _panel(panel: Panel) -> Iterator[RenderableType]:
    said = [*_worth(panel), *_consensus(panel)]
    if said:
        yield Text()
    yield from map(plain, said)


def _worth(panel: Panel) -> Iterator[str]:
    if panel.effective:
        effective = panel.effective
        yield (
            f"{effective.judges} judges outside the reference are worth {effective.value:.1f} independent "
            f"ones (by their errors on {effective.n:,} questions)."
        )


def _consensus(panel: Panel) -> Iterator[str]:
    """A refusal is said only where there is a panel."""
    if isinstance(panel.consensus, str):
        if len(panel.members) > 2:
            yield f"No consensus of theirs: {panel.consensus}."
        return
    consensus, rival = panel.consensus, panel.consensus.rival
    name = panel.members[rival.annotator]
    yield (
        f"Their Dawid-Skene consensus is right on {consensus.accuracy:.3f} of {consensus.anchors:,} clear "
        f"questions. Where {name} judged, it is right on {rival.consensus:.3f} and {name} on "
        f"{rival.accuracy:.3f}, a lead of {consensus.lead.text('+.3f', '+.2f')}: {USABLE[consensus.usable]}."
    )


def write_csv(report: AuditReport, path: Path) -> None:
    """Write annotators and slices as rows. Text that a spreadsheet would run as a formula gets a quote."""
    rows = list(report.rows())
    written = io.StringIO()
    writer = csv.DictWriter(written, fieldnames=list(rows[0]) if rows else [])
    writer.writeheader()
    writer.writerows({name: cell(value) for name, value in row.items()} for row in rows)
    write_bytes_whole(path, written.getvalue().encode(), TABLE)
