"""What a report says, before it is a page: headlines, tables, figures, disagreements, provenance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from farm.pages.report.drawing import Figure

LONGEST = 6_000  # characters of an output that are shown; the ledger has the rest
COMPARED = 1_500  # words of an output among which differences are marked
ALIKE = 0.25  # share of common words below which marks would cover everything


@dataclass(frozen=True)
class Headline:
    """A number that matters, what it is, and what it says in plain words."""

    value: str
    label: str
    words: str


@dataclass(frozen=True)
class Table:
    """Rows of text. numeric: which columns hold numbers; folded: shown when asked for."""

    caption: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    numeric: tuple[bool, ...] = ()
    folded: bool = False

    @property
    def kinds(self) -> tuple[bool, ...]:
        return self.numeric or (False,) * len(self.columns)


@dataclass(frozen=True)
class Words:
    """A run of words that the other output has too, or has not."""

    text: str
    differs: bool


@dataclass(frozen=True)
class Opinion:
    """What one annotator said. verdict: in words; reply: the judge's own text."""

    annotator: str
    kind: str
    verdict: str
    reply: str


@dataclass(frozen=True)
class Disagreement:
    """A pair on which people and simulators differ."""

    pair: int
    instruction: str
    input: str
    outputs: tuple[Sequence[Words], Sequence[Words]]
    producers: tuple[str, str]
    people: float  # mean P(first preferred)
    simulators: float
    opinions: tuple[Opinion, ...]

    @property
    def sides(self) -> tuple[tuple[str, float, tuple[Opinion, ...]], ...]:
        """People, and all others: mean P(first preferred) and what each said."""
        people = tuple(each for each in self.opinions if each.kind == "human")
        others = tuple(each for each in self.opinions if each.kind != "human")
        return ("People", self.people, people), ("Simulators", self.simulators, others)


@dataclass(frozen=True)
class Section:
    """A chapter: an anchor, a heading, some sentences, figures and tables. compact: figures side by side."""

    name: str
    heading: str
    sentences: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    compact: bool = False


@dataclass(frozen=True)
class Report:
    """Everything on the page. made: when, UTC; subject: what it is about; summary: it all in plain words.

    annex: chapters that stand after the disagreements.
    """

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
        return [figure for section in (*self.sections, *self.annex) for figure in section.figures]

    @property
    def chapters(self) -> tuple[str, ...]:
        return tuple(section.name for section in (*self.sections, *self.annex))


def marked(first: str, second: str) -> tuple[list[Words], list[Words]]:
    """Both texts in runs of words, those that the other has not marked; long texts are cut with a note.

    Texts that have little in common are not marked at all.
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
    """Words with the white space after them."""
    shown = text if len(text) <= LONGEST else text[:LONGEST] + f" … ({len(text) - LONGEST:,} more characters)"
    pieces: list[str] = []
    for line in shown.splitlines(keepends=True):
        pieces += [word + " " for word in line.split(" ")]
        pieces[-1] = pieces[-1][:-1]
    return pieces
