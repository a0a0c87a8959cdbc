"""Where the kinds of reward models learn and are measured: worlds, and human judgements of real text."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

from annotators import catalogue
from annotators.spec import AnnotatorSpec
from benchmarks import reward_model as real_people
from benchmarks.scales import measured
from db.ids import keyed_uniform
from db.ledger import Ledger, PairFilter
from db.queries.training import Labelled, labelled
from farm.options.quickstart import QuickstartTask
from farm.quickstart import Stages
from farm.snapshot import Choice, snapshot
from farm.studies.validation import EVALUATION, SFT, pair_with_baseline
from farm.studies.work import workers
from farm.world.people import people

LETTERS = 1200  # at most in a pair of real text
PROMPT = """{% block user %}
{% for pair in pairs %}
{{ pair.instruction }} {{ pair.input }} = {{ pair.first }} - {{ pair.second }} ?
{% endfor %}
{% endblock %}
"""
SPEC = """name: brief
kind: llm
model: small
outputs: ["Yes", "No"]
decoding: {temperature: 0, max_tokens: 1, top_logprobs: 5}
parser: {name: logprob}
"""


class Place(NamedTuple):
    """Where a seed's models learn: pairs, held-out pairs, the model to start from, a folder for runs."""

    train: list[Labelled]
    held_out: list[Labelled]
    model: str
    folder: Path


def world(folder: Path, seed: int) -> Place:
    """The world of a seed, its supervised model, and pairs with the label of one person each.

    Pairs of the evaluation instructions are held out.
    """
    task = QuickstartTask(folder / f"world-{seed}", "small", seed)
    task.out.mkdir(parents=True, exist_ok=True)
    with Ledger.open(task.out / "farm.db", create=True) as ledger, workers(1) as pool:
        stages = Stages(task, ledger, pool, said, measured(task.scale))
        study = stages.make_study()
        stages.sample_and_pair(study)
        pair_with_baseline(ledger, study, [SFT])
        for source in (study.pairs, EVALUATION):
            people(ledger, stages.world, PairFilter(source=source), 1)
        train, held_out = (
            list(labelled(ledger, snapshot(ledger, source, Choice(stages.people.trains, source)).card.id))
            for source in (study.pairs, EVALUATION)
        )
    return Place(train, held_out, study.sft, task.out / "models")


def said(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


def judge_spec(folder: Path) -> AnnotatorSpec:
    """The annotator whose prompt genrm learns, in words that the world's model knows."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "annotator.yaml").write_text(SPEC)
    (folder / "prompt.jinja").write_text(PROMPT)
    found = catalogue.load(str(folder))
    assert isinstance(found, AnnotatorSpec)
    return found


def real_place(folder: Path, data: Path, seed: int) -> Place:
    """Human judgements of real text, and a model from scratch."""
    folder = folder / f"real-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    with Ledger.open(folder / f"{time.monotonic_ns()}.db", create=True) as ledger:
        split = real_people.prepare(ledger, data)
    short = [row for row in split.train if _letters(row) < LETTERS]
    short.sort(key=lambda row: keyed_uniform("order", row.instruction.key, row.output_a, row.output_b))
    real_people.write_model(folder / "model", split.train, hidden=64, layers=2, seed=seed)
    held_out = [row for row in split.held_out if _letters(row) < LETTERS]
    return Place(short, held_out, str(folder / "model"), folder / "models")


def _letters(row: Labelled) -> int:
    return len(row.instruction.text) + len(row.instruction.input) + len(row.output_a) + len(row.output_b)
