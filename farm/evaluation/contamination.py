"""Finds evaluation instructions that stand in a training set, exactly or nearly."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scipy import sparse

from db.errors import ConfigError, did_you_mean
from db.ids import Json
from db.ledger import Ledger
from db.records import Instruction, Use

SHINGLE = 3  # words


@dataclass(frozen=True)
class Overlap:
    """An evaluation instruction and the training instruction nearest to it."""

    evaluation_set: str
    training_set: str
    evaluation: str
    training: str
    similarity: float  # Jaccard of word shingles; 1 where the texts are the same but for case and spaces

    @property
    def exact(self) -> bool:
        """Whether both texts have the same shingles."""
        return self.similarity == 1.0


@dataclass(frozen=True)
class Contamination:
    """Every evaluation instruction with a training instruction at or above the threshold."""

    threshold: float
    training: dict[str, int]  # instructions by set
    evaluation: dict[str, int]
    overlaps: tuple[Overlap, ...]

    def to_json(self) -> Json:
        """The overlaps as a JSON object."""
        return {
            "threshold": self.threshold,
            "training": self.training,
            "evaluation": self.evaluation,
            "n_exact": sum(overlap.exact for overlap in self.overlaps),
            "n_near": sum(not overlap.exact for overlap in self.overlaps),
            "overlaps": [asdict(overlap) | {"exact": overlap.exact} for overlap in self.overlaps],
        }


def contamination(
    ledger: Ledger, train: Sequence[str], evaluation: Sequence[str], threshold: float
) -> Contamination:
    """Instructions that stand in both a training and an evaluation set, exactly or nearly.

    train, evaluation: names of sets; none means those whose use is train or eval. An imported source of
    preferences is a set too. It is for training unless it says otherwise, because preferences train reward
    models. Nearness is the Jaccard similarity of 3-word shingles of instruction and input, lower-cased and
    without punctuation (Broder 1997). Texts of fewer words are compared whole. Raises ConfigError for an
    unknown name, a threshold outside (0, 1], or where either side is empty.
    """
    if not 0 < threshold <= 1:
        raise ConfigError(f"--threshold is {threshold}", remedy="give a share above 0 and at most 1")
    with ledger.frozen():
        named = _named_sets(ledger)
    for name in (*train, *evaluation):
        if name not in named:
            remedy = did_you_mean(name, named, f"one of {', '.join(sorted(named))}")
            raise ConfigError(f"there is no set or source {name!r}", remedy=remedy)
    sides = [
        {name: each for name, (use, each) in named.items() if (name in chosen if chosen else use == wanted)}
        for chosen, wanted in ((train, Use.TRAIN), (evaluation, Use.EVAL))
    ]
    for side, option in zip(sides, ("--train", "--eval"), strict=True):
        if not side:
            raise ConfigError(
                "no instructions to compare", where=option, remedy="name sets, or import some with --use"
            )
    training, held_out = sides
    return Contamination(
        threshold,
        {name: len(each) for name, each in training.items()},
        {name: len(each) for name, each in held_out.items()},
        tuple(_overlaps(training, held_out, threshold)),
    )


def _named_sets(ledger: Ledger) -> dict[str, tuple[Use | None, list[str]]]:
    """Every named set and imported source: what it is for, and its distinct instructions' texts."""
    uses: dict[str, Use | None] = {}
    texts: dict[str, dict[str, str]] = defaultdict(dict)
    for membership in ledger.memberships():
        uses[membership.set_name] = membership.use or uses.get(membership.set_name)
        texts[membership.set_name][membership.instruction.key] = _text(membership.instruction)
    for source, instruction in ledger.imported_instructions():
        uses[source] = uses.get(source) or Use.TRAIN
        texts[source][instruction.key] = _text(instruction)
    return {name: (uses[name], list(each.values())) for name, each in texts.items()}


def _text(instruction: Instruction) -> str:
    return f"{instruction.text}\n{instruction.input}" if instruction.input else instruction.text


def shingles(text: str) -> frozenset[str]:
    """The runs of three words of a text, lower-cased and without punctuation. A shorter text is one run."""
    words = re.findall(r"\w+", text.lower())
    if len(words) < SHINGLE:
        return frozenset([" ".join(words) or text])
    return frozenset(" ".join(words[i : i + SHINGLE]) for i in range(len(words) - SHINGLE + 1))


def _overlaps(
    training: dict[str, list[str]], held_out: dict[str, list[str]], threshold: float
) -> Iterable[Overlap]:
    """For every evaluation text the nearest training text, where it is near enough."""
    vocabulary: dict[str, int] = {}
    train_names, train_texts = _flat(training)
    train = _incidence(train_texts, vocabulary)
    train_sizes = np.asarray(train.sum(axis=1)).ravel()
    for name, texts in held_out.items():
        rows = _incidence(texts, vocabulary)
        sizes = np.asarray(rows.sum(axis=1)).ravel()
        common = (rows[:, : train.shape[1]] @ train.T).tocsr()
        for i, text in enumerate(texts):
            span = slice(common.indptr[i], common.indptr[i + 1])
            columns, shared = common.indices[span], common.data[span]
            if not len(columns):
                continue
            jaccard = shared / (sizes[i] + train_sizes[columns] - shared)
            best = int(np.argmax(jaccard))
            if jaccard[best] >= threshold:
                place = int(columns[best])
                yield Overlap(
                    evaluation_set=name,
                    training_set=train_names[place],
                    evaluation=text,
                    training=train_texts[place],
                    similarity=float(jaccard[best]),
                )


def _flat(sets: dict[str, list[str]]) -> tuple[list[str], list[str]]:
    names = [name for name, texts in sets.items() for _ in texts]
    return names, [text for texts in sets.values() for text in texts]


def _incidence(texts: Sequence[str], vocabulary: dict[str, int]) -> sparse.csr_matrix:
    """(texts, shingles) matrix of ones; the vocabulary grows as shingles are met."""
    rows, columns = [], []
    for i, text in enumerate(texts):
        for shingle in shingles(text):
            rows.append(i)
            columns.append(vocabulary.setdefault(shingle, len(vocabulary)))
    ones = np.ones(len(rows), dtype=np.float64)
    return sparse.csr_matrix((ones, (rows, columns)), shape=(len(texts), max(len(vocabulary), 1)))
