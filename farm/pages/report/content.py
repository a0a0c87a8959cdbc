"""The content of a report as records, before it is a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from db.records import Turn
from farm.pages.report.drawing import Figure

LONGEST = 6_000  # so many characters of an output are shown; the ledger has the rest
COMPARED = 1_500  # differences are marked in so many words of an output
ALIKE = 0.25  # below this share of common words nothing is marked, because nearly all would be


@dataclass(frozen=True)
class Headline:
    """An important number as text, its label, and a sentence that explains it."""

    value: str
    label: str
    words: str


@dataclass(frozen=True)
class Table:
    """A table of text. numeric: which columns hold numbers. folded: closed until it is clicked."""

    caption: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    numeric: tuple[bool, ...] = ()
    folded: bool = False

    @property
    def kinds(self) -> tuple[bool, ...]:
        """For each column, whether it holds numbers."""
        return self.numeric or (False,) * len(self.columns)


@dataclass(frozen=True)
class Words:
    """A run of words of one output. differs: the other output does not have it."""

    text: str
    differs: bool


@dataclass(frozen=True)
class Opinion:
    """One annotator's judgement of a pair. verdict: in words. reply: the judge's own text."""

    annotator: str
    kind: str
    verdict: str
    reply: str


@dataclass(frozen=True)
class Disagreement:
    """A pair on which people and simulators differ. pair: its id. outputs, producers: first, then second.
    turns: of a conversation, whose transcript is the instruction."""

    pair: int
    instruction: str
    input: str
    outputs: tuple[Sequence[Words], Sequence[Words]]
    producers: tuple[str, str]
    people: float  # mean P(first preferred)
    simulators: float
    opinions: tuple[Opinion, ...]
    turns: tuple[Turn, ...] = ()

    @property
    def sides(self) -> tuple[tuple[str, float, tuple[Opinion, ...]], ...]:
        """Two sides, people and all others: a name, the mean P(first preferred), the opinions."""
        people = tuple(each for each in self.opinions if each.kind == "human")
        others = tuple(each for each in self.opinions if each.kind != "human")
        return ("People", self.people, people), ("Simulators", self.simulators, others)


@dataclass(frozen=True)
class Section:
    """A chapter. name: its anchor on the page. compact: figures stand side by side."""

    name: str
    heading: str
    sentences: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    compact: bool = False


@dataclass(frozen=True)
class Report:
    """Everything on the page. subject: its title. made: the time in UTC. version: of the package; summary:
    sentences. annex: chapters after the disagreements."""

    subject: str
    made: str
    version: str
    summary: tuple[str, ...]
    headlines: tuple[Headline, ...]
    sections: tuple[Section, ...]
    disagreements: tuple[Disagreement, ...] = ()
    annex: tuple[Section, ...] = ()

    @property
    def figures(self) -> list[Figure]:
        """All figures, in the order of the page."""
        return [figure for section in (*self.sections, *self.annex) for figure in section.figures]

    @property
    def chapters(self) -> tuple[str, ...]:
        """The names of all chapters, in the order of the page."""
        return tuple(section.name for section in (*self.sections, *self.annex))


def marked(first: str, second: str) -> tuple[list[Words], list[Words]]:
    """Split two texts into runs of words, and mark the runs that the other text does not have.

    Long texts are cut with a note. Texts that have little in common are not marked at all.
    """
    one, two = (_pieces(text) for text in (first, second))
    matcher = SequenceMatcher(None, one[:COMPARED], two[:COMPARED], autojunk=False)
    if matcher.ratio() < ALIKE:
        return [Words("".join(one), False)], [Words("".join(two), False)]
    runs: tuple[list[Words], list[Words]] = ([], [])
    for tag, i, j, k, m in matcher.get_opcodes():
        for side, part in zip(runs, (one[i:j], two[k:m]), strict=True):
            if part:
                side.append(Words("".join(part), tag != "equal"))
    for side, pieces in zip(runs, (one, two), strict=True):
        if len(pieces) > COMPARED:
            side.append(Words("".join(pieces[COMPARED:]), False))
    return runs


def _pieces(text: str) -> list[str]:
    """The words of a text, each with the white space after it; a long text is cut with a note."""
    shown = text if len(text) <= LONGEST else text[:LONGEST] + f" … ({len(text) - LONGEST:,} more characters)"
    pieces: list[str] = []
    for line in shown.splitlines(keepends=True):
        pieces += [word + " " for word in line.split(" ")]
        pieces[-1] = pieces[-1][:-1]
    return pieces
