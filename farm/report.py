"""Write one self-contained page about a ledger, or its figures as files: `farm report OUT.html`.

The page shows annotators against people, methods, training, costs, the pairs on which people and simulators
differ, and provenance. Other commands compute these numbers; this one only shows them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from db.errors import ConfigError
from db.ids import Json
from db.ledger import Ledger
from db.records import AnnotatorKind
from db.schema import package_version
from db.whole_files import refuse_other, write_bytes_whole
from farm.audit import AuditOptions, audit, covered
from farm.evaluation.questions import questioned
from farm.options.report import ReportOptions as ReportOptions
from farm.pages.report import annotator_chapter, chapters
from farm.pages.report.content import Disagreement, Report, Section
from farm.pages.report.disagreements import disagreements
from farm.pages.report.figures import save_all
from farm.pages.report.page import PAGE, page
from farm.pages.report.study_chapter import study_headlines, study_sections, study_summary
from farm.studies.results import StudyResults

LIMIT = 5_000_000  # bytes of a page
NUMBERS = 3  # headlines on the page


@dataclass(frozen=True)
class ReportSummary:
    """What was written: paths of files, bytes in all, names of chapters, number of disagreements."""

    paths: tuple[str, ...]
    bytes: int
    sections: tuple[str, ...]
    disagreements: int

    def to_json(self) -> Json:
        """The summary as a JSON object."""
        return {
            "paths": list(self.paths),
            "bytes": self.bytes,
            "sections": list(self.sections),
            "disagreements": self.disagreements,
        }


def report(ledger: Ledger, out: Path, options: ReportOptions = ReportOptions()) -> ReportSummary:
    """Write the page, whole or not at all. A page above 5 MB gets fewer disagreements.

    Raises ConfigError where there is nothing to report or another file is in the page's place, FarmError
    where the file cannot be written.
    """
    refuse_other(out, PAGE)
    made = compose(ledger, options)
    text = page(made)
    if len(text.encode()) > LIMIT and made.disagreements:
        fewer = len(made.disagreements) * LIMIT // (2 * len(text.encode()))
        made = compose(ledger, options, pairs=fewer)
        text = page(made)
    data = text.encode("utf-8", "backslashreplace")
    write_bytes_whole(out, data, PAGE)
    return ReportSummary((str(out),), len(data), made.chapters, len(made.disagreements))


def figures(ledger: Ledger, folder: Path, options: ReportOptions = ReportOptions()) -> ReportSummary:
    """Write every figure of the report as PDF, PNG and CSV into a folder.

    Raises ConfigError where there is nothing to report or another file is in a figure's place, FarmError
    where a file cannot be written.
    """
    made = compose(ledger, options, pairs=0)
    paths = save_all(made.figures, folder)
    size = sum(path.stat().st_size for path in paths)
    return ReportSummary(tuple(map(str, paths)), size, made.chapters, 0)


def compose(ledger: Ledger, options: ReportOptions, pairs: int | None = None) -> Report:
    """Compute the content of the page, of one state of the ledger.

    pairs: disagreements at most, in place of the option's number. Raises ConfigError where there is nothing
    to report.
    """
    with ledger.frozen():
        return _composed(ledger, options, pairs)


def _composed(ledger: Ledger, options: ReportOptions, pairs: int | None) -> Report:
    found = questioned(ledger, options.source, options.subset)
    sections: list[Section] = []
    differing: Sequence[Disagreement] = ()
    headlines, summary = [], []
    if not found.judgements.empty:
        asked = AuditOptions(options.source, options.subset)
        audited = covered(ledger, found, audit(found, asked), asked)
        sections.append(annotator_chapter.chapter(audited))
        headlines += annotator_chapter.headlines(audited)
        summary += annotator_chapter.summary(audited)
        wanted = options.pairs if pairs is None else pairs
        if wanted and any(card.kind is AnnotatorKind.HUMAN for card in found.annotators):
            differing = disagreements(ledger, found, wanted)
    if options.study is not None:
        results = StudyResults.read(options.study)
        headlines = [*headlines[:2], *study_headlines(results), *headlines[2:]]
        summary += study_summary(results)
        sections += study_sections(results)
    sections += filter(None, (chapters.calibration(ledger), chapters.training_curves(ledger)))
    if not sections:
        raise ConfigError(
            "there is nothing to report",
            where=str(ledger.address),
            remedy="import or make judgements, or train a method, first; `farm status` says what there is",
        )
    annex = tuple(filter(None, (chapters.costs(ledger), chapters.provenance(ledger))))
    return Report(
        subject=options.subject,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        version=package_version(),
        summary=tuple(summary),
        headlines=tuple(headlines[:NUMBERS]),
        sections=tuple(sections),
        disagreements=tuple(differing),
        annex=annex,
    )
