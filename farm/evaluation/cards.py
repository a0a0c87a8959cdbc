"""Cards: a Markdown page about an exported file of judgements, or about a checkpoint.

A card is written beside the file (`FILE.card.md`) or into the checkpoint's folder (`README.md`). It says what
the ledger knows: counts, annotators with their agreement and fingerprints, prompts by hash, costs, lineage,
metrics. The ledger does not know the licence of imported texts, and the card says that too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

import pandas as pd

from annotators.lists import has_list
from db.ids import Json
from db.ledger import Ledger
from db.queries import history, training
from db.queries.costs import spent
from db.queries.exports import RowFilter
from db.queries.frames import Judgements, judgements
from db.queries.history import Trained
from db.records import AnnotatorCard
from db.schema import package_version
from db.whole_files import Kind, write_bytes_whole
from farm.escaping import printed
from farm.evaluation.audit_report import Agreement, ReferenceAudit
from farm.evaluation.references import named
from farm.statistics.bootstrap import Interval

CARD = Kind(b"---\ntags: [preference, preference-farm]")
Agreements: TypeAlias = Callable[[Judgements], tuple[ReferenceAudit, Sequence[Agreement]]]
MODEL_CARD = Kind(b"---\ntags: [preference-farm, ")
BEFORE_NOISE = "Verdicts are as they were given, before label noise; a snapshot has them after it."
AFTER_NOISE = "Verdicts are labels, after label noise, as a snapshot of these judgements has them."
LICENCE = (
    "The farm adds no licence of its own. Texts and judgements that were imported keep the licence of their"
    " source; outputs of models and of judges may be bound by their providers' terms, for training above all."
    " Find out which before you publish."
)


def dataset_card(
    ledger: Ledger,
    file: Path,
    format_name: str,
    wanted: RowFilter,
    *,
    rows: int,
    agreements: Agreements,
) -> str:
    """The card of a file of judgements that was exported from the ledger.

    wanted: what was exported. rows: how many rows the file has. agreements: the function that measures
    the agreement of people, and that of the file's annotators with them.
    """
    every = judgements(ledger, has_list, wanted.source, wanted.subset, labels=wanted.labels, paid=False)
    found = _wanted(every, wanted)
    theirs = int(_by_asked(found, wanted).sum())
    lines = [CARD.begins.decode(), "---", "", f"# {_text(file.name)}", ""]
    lines.append(f"{rows:,} rows in the format `{format_name}`, written {_today()} by Preference Farm")
    lines.append(f"{package_version()} from {theirs:,} judgements of {len(found.units):,} questions.")
    named_ = {"source": wanted.source, "subset": wanted.subset, "annotators": ", ".join(wanted.annotators)}
    chosen = [f"{key} {_text(value)}" for key, value in named_.items() if value]
    lines += ["", f"Chosen: {', '.join(chosen) or 'everything that was judged'}.", ""]
    lines += [AFTER_NOISE if wanted.labels else BEFORE_NOISE, ""]
    lines += ["## Where the questions come from", ""]
    lines += _table(("source", "subset", "questions"), _sources(found))
    if not found.judgements.empty:
        others = len(found.judgements) - theirs
        lines += _annotators(ledger, found, *agreements(found), wanted=wanted, others=others)
    return "\n".join([*lines, "## Licence", "", LICENCE, "", *_reading(file, format_name)]) + "\n"


def _wanted(found: Judgements, wanted: RowFilter) -> Judgements:
    """The questions that the wanted annotators judged, with all judgements of them."""
    units = found.judgements.loc[_by_asked(found, wanted), "unit"].unique()
    rows = found.judgements[found.judgements["unit"].isin(units)]
    heard = set(rows["annotator"])
    cards = tuple(card for card in found.annotators if card.id in heard)
    return Judgements(rows, found.units[found.units["unit"].isin(units)], cards)


def _by_asked(found: Judgements, wanted: RowFilter) -> pd.Series[bool]:
    """Whether each judgement is of a wanted annotator; true for all where none is wanted."""
    asked = {card.id for card in found.annotators if card.name in (wanted.annotators or (card.name,))}
    return found.judgements["annotator"].isin(asked)


def _sources(found: Judgements) -> Iterator[Sequence[str]]:
    sources = found.units[["source", "subset"]].astype(object).fillna("")
    for (source, subset), questions in sources.groupby(["source", "subset"]):
        yield str(source), str(subset), f"{len(questions):,}"


def _annotators(
    ledger: Ledger,
    found: Judgements,
    people: ReferenceAudit,
    judges: Sequence[Agreement],
    *,
    wanted: RowFilter,
    others: int,
) -> Iterator[str]:
    cards = {
        who.name: card
        for who, card in zip(named(found.annotators), found.annotators, strict=True)
        if not wanted.annotators or card.name in wanted.annotators
    }
    paid = {each.annotator: each for each in spent(ledger)}
    yield from ("## Annotators", "", *_people(people), "")
    if others:
        yield from (f"Others judged these questions {others:,} times. That is not in the file.", "")
    rows = []
    for each in judges:
        if each.name not in cards:
            continue
        card = cards[each.name]
        cost = paid.get(card.name)
        price = "" if cost is None else f"${cost.cost:,.4f}" + (" and more" if cost.unpriced else "")
        rows.append((each.name, each.kind, f"{each.n:,}", _interval(each.agreement), card.key, price))
    head = ("annotator", "kind", "judgements", "agreement with people", "fingerprint", "cost in the ledger")
    yield from _table(head, rows)
    prompts = [row for card in cards.values() for row in _prompts(card)]
    if prompts:
        yield from ("## Prompts", "", "SHA-256 of the template's text; the fingerprint covers all else.", "")
        yield from _table(("annotator", "model", "prompt"), prompts)


def _people(reference: ReferenceAudit) -> Iterator[str]:
    if not reference.units:
        yield "No person judged these questions."
        return
    agreement, longest = (reference.measures[name] for name in ("agreement", "longest"))
    who = (
        "People"
        if reference.name == "human"
        else f"The reference is {_text(reference.name or '')}. Its members"
    )
    yield f"{who} agree with the majority of each other: {_interval(agreement) or 'not known'}."
    yield f"Always preferring the longer output: {_interval(longest)}. Intervals are 95 %, by question."


def _interval(found: Interval) -> str:
    return found.text(".3f", ".3f")


def _prompts(card: AnnotatorCard) -> Iterator[tuple[str, str, str]]:
    """Rows of name, model and prompt hash: one for an annotator, one for each member of a pool."""
    members = card.spec.get("members")
    for spec in members if isinstance(members, list) else [dict(card.spec)]:
        if isinstance(spec, dict) and isinstance(spec.get("prompt"), str):
            name = f"{card.name}: {spec['name']}" if "name" in spec else card.name
            digest = hashlib.sha256(str(spec["prompt"]).encode()).hexdigest()
            yield name, str(spec.get("model", "")), digest[:16]


def _reading(file: Path, format_name: str) -> Iterator[str]:
    name = printed(file.name)
    yield from ("## Reading it", "", f"    farm import {format_name} {name}", "")
    if format_name.startswith("trl"):
        kind = "parquet" if file.suffix == ".parquet" else "json"
        yield from ("or, as TRL's trainers do,", "")
        yield f'    datasets.load_dataset("{kind}", data_files="{name}")'


def model_card(ledger: Ledger, run_id: int, checkpoint: Path) -> str:
    """The card of a checkpoint: method, data, lineage, metrics, options, how to load it."""
    runs = {each.id: each for each in history.runs(ledger)}
    lineage = list(_lineage(runs[run_id], list(runs.values())))
    run, method = runs[run_id].run, runs[run_id].run.command.removeprefix("train ")
    lines = [f"{MODEL_CARD.begins.decode()}{method}]", "---", "", f"# {method}, run {run_id}", ""]
    lines += [f"Trained by Preference Farm {run.version}, begun {run.started}, seed {run.seed}.", ""]
    lines += ["## Where it comes from", ""]
    rows = [
        (f"run {each.id}", each.run.command, _text(each.run.model), *_data(ledger, each)) for each in lineage
    ]
    lines += _table(("run", "command", "started from", "data", "hash of the data"), rows)
    lines += ["## Figures", "", "The last of each that was logged.", ""]
    last = history.metrics(ledger).query("run == @run_id").drop_duplicates("name", keep="last")
    told = zip(last["name"].astype(str), last["value"].astype(float), strict=True)
    left_out = ("calibration/", *history.CLOCKED)  # an equal run has an equal card
    figures = [(name, f"{value:.4g}") for name, value in told if not name.startswith(left_out)]
    lines += _table(("figure", "value"), figures)
    config: dict[str, Json] = json.loads(run.config)
    lines += ["## Options", "", *_table(("option", "value"), [(k, json.dumps(v)) for k, v in config.items()])]
    kind = _auto_class(checkpoint)
    lines += ["## Loading it", "", f"    from transformers import AutoTokenizer, {kind}", ""]
    lines += [f'    model = {kind}.from_pretrained("{checkpoint.name}/model")']
    lines += [f'    tokenizer = AutoTokenizer.from_pretrained("{checkpoint.name}/model")', ""]
    lines += [
        "`model/prompt_template.json` is the prompt that it was trained with: ask it in the same way.",
        "",
    ]
    note = "Weights are bound by the licence of the model that training started from, and of the data."
    return "\n".join([*lines, "## Licence", "", note, LICENCE]) + "\n"


def _auto_class(checkpoint: Path) -> str:
    """The class of transformers that loads a checkpoint."""
    file = checkpoint / "model" / "config.json"
    told = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    scores = any("SequenceClassification" in name for name in told.get("architectures") or ())
    return "AutoModelForSequenceClassification" if scores else "AutoModelForCausalLM"


def write_model_card(ledger: Ledger, run_id: int, checkpoint: Path) -> None:
    """Write the card as README.md into the checkpoint's folder, if the folder exists.

    Raises ConfigError where a README.md of another kind is there, FarmError where it cannot be written.
    """
    if checkpoint.is_dir():
        text = model_card(ledger, run_id, checkpoint)
        write_bytes_whole(model_card_path(checkpoint), text.encode(), MODEL_CARD)


def model_card_path(checkpoint: Path) -> Path:
    """The path of the card of a checkpoint's folder."""
    return checkpoint / "README.md"


def _lineage(trained: Trained, runs: Sequence[Trained]) -> Iterator[Trained]:
    """A run and the runs that it started from, the latest first."""
    current: Trained | None = trained
    while current is not None:
        yield current
        current = history.parent(current, runs)


def _data(ledger: Ledger, trained: Trained) -> tuple[str, str]:
    keys = {card.name: card.key for card in training.snapshots(ledger)}
    if trained.snapshot is not None:
        return _text(trained.snapshot), keys.get(trained.snapshot, "")
    return _text(trained.run.set_name or ""), ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(map(_text, row)) + " |"
    yield ""


def _text(value: str) -> str:
    """Untrusted text on one line, escaped so that nothing in it is read as Markdown or HTML."""
    flat = printed(" ".join(value.split()))
    return "".join(f"\\{c}" if c in "\\`*<>|#$" else c for c in flat).replace("](", "]\\(")


def _today() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d")
