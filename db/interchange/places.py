"""What a row is, by the places that it fills, and its entries.

What a row has decides what it is: chosen and rejected, or two outputs and a verdict or scores, are a judged
pair; two outputs alone are a pair still to be judged; several outputs with scores or ranks are judged pairs
of each two; one output is an answer, or a rating where it is called good or bad; two models and a verdict are
a battle whose texts nobody kept; a prompt alone is an instruction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations, product
from pathlib import Path
from typing import Any

from db.interchange import fields, verdicts
from db.interchange.asked import (
    Asked,
    PlacedOutput,
    RowOrigin,
    answer_of,
    answer_turns,
    listed,
    numbered,
    yes_or_no,
)
from db.interchange.degrees import degree_of
from db.interchange.fields import Fields
from db.interchange.files import file_rows
from db.interchange.instructions import REFERENCE
from db.interchange.rows import (
    Entry,
    ImportedInstruction,
    ImportedOutput,
    ImportedPair,
    Numbered,
    Placed,
    PreferenceRow,
    RatedOutput,
    ReadOptions,
    Refusal,
)
from db.interchange.turns import (
    Prompted,
    Said,
    Turns,
    apart,
    history,
    led,
    prompted,
    text_of,
    turns,
    turns_of,
)
from db.interchange.verdicts import Codes, is_blank
from db.records import AnnotatorKind, AspectVerdict, Degree, ProducerKind

UNTOLD = "(no text)"  # the output of a battle whose texts nobody kept


def entries(
    row: Fields, origin: RowOrigin, options: ReadOptions, codes: Codes | None = None
) -> Iterator[Entry]:
    """What a row's filled places say. codes: of its verdict. A place "meta" is kept beside a judgement.

    Raises ValueError with the reason where the row says nothing, or something that cannot be.
    """
    prompt = answer_turns(row["prompt"], "prompt") if not is_blank(row.get("prompt")) else None
    if prompt is not None:
        system = row.get("system")
        prompt = led(None if is_blank(system) else str(system), history(row.get("history")), prompt)
    strength = {} if is_blank(row.get("strength")) else {"strength": row["strength"]}
    meta = strength | dict(row.get("meta") or {})
    asked = Asked(row, prompt, origin=origin, options=options, codes=codes or {}, meta=meta)
    if "chosen" in row and "rejected" in row:
        yield from _chosen(asked)
    elif "output_1" in row and "output_2" in row:
        yield from _compared(asked, list(numbered(asked)))
    elif "outputs" in row:
        yield from _compared(asked, list(listed(asked, "output")))
    elif "output" in row:
        yield _alone(asked)
    elif "model_1" in row and "model_2" in row and "verdict" in row:
        yield _battle(asked)
    elif prompt is not None:
        yield from _instruction(asked)
    else:
        raise ValueError("there is no prompt")


def _chosen(asked: Asked) -> Iterator[PreferenceRow]:
    """A pair, or each chosen output with each rejected one."""
    sides = []
    for name in ("chosen", "rejected"):
        value = asked.row[name]
        if value is None:
            raise ValueError(f"{name} is missing")
        many = isinstance(value, list) and bool(value) and all(isinstance(each, str) for each in value)
        models, score = asked.row.get(f"model_{name}"), asked.number(f"score_{name}")
        if not isinstance(models, list):
            models = [asked.text(f"model_{name}")] * (len(value) if many else 1)
        outputs = [answer_turns(each, name) for each in (value if many else [value])]
        if len(models) != len(outputs):
            raise ValueError(f"model_{name} names {len(models)} models of {len(outputs)} outputs")
        sides.append(
            [PlacedOutput(said, who, score, score) for said, who in zip(outputs, models, strict=True)]
        )
    several = len(sides[0]) > 1 or len(sides[1]) > 1
    for (i, better), (j, worse) in product(*map(enumerate, sides)):
        places = {"chosen": _alike(sides[0], i), "rejected": _alike(sides[1], j)}
        if places["chosen"][0] < i or places["rejected"][0] < j:
            continue  # the same pair came before, and says so
        meta: dict[str, Any] = {"chosen_place": i, "rejected_place": j} if several else {}
        meta |= {f"{name}_places": found for name, found in places.items() if len(found) > 1}
        yield _judged(asked, better, worse, 1.0, raw="chosen", **meta)


def _alike(outputs: Sequence[PlacedOutput], place: int) -> list[int]:
    """The places of all outputs that are the same as that of this place: they make one pair."""
    return [i for i, each in enumerate(outputs) if each == outputs[place]]


def _compared(
    asked: Asked, answers: Sequence[PlacedOutput]
) -> Iterator[PreferenceRow | ImportedPair | ImportedOutput]:
    """Outputs of one prompt: a judged pair, one to be judged, or all pairs of several with scores."""
    scored = [each for each in answers if each.score is not None]
    if not answers:
        raise ValueError("there is no output")
    value = asked.row.get("verdict")
    if len(answers) == 2 and is_blank(value) and asked.row.get("undecided"):
        first, second = answers
        yield _judged(asked, first, second, None, raw=None)
    elif len(answers) == 2 and not is_blank(value):
        first, second = answers
        models = first.model, second.model
        texts = tuple(text_of(each.said, "an output") for each in answers)
        preference = verdicts.decoded(value, asked.codes, models, (texts[0], texts[1]))
        yield _judged(asked, first, second, preference, raw=value)
    elif len(answers) == 2 and len(scored) < 2:
        yield ImportedPair(**_compared_fields(asked, *answers))
    elif not is_blank(value):
        raise ValueError(f"a verdict compares two outputs, and here are {len(answers)} (map scores or ranks)")
    elif not scored:
        yield from (_output(asked, each) for each in answers)
    else:
        yield from by_score(asked, scored)
        yield from (_output(asked, each) for each in answers if each.score is None)


def by_score(asked: Asked, answers: Sequence[PlacedOutput]) -> Iterator[PreferenceRow | ImportedOutput]:
    """Each two of the outputs, the one of the higher score preferred; equal scores are a tie."""
    if len(answers) == 1:
        yield _output(asked, answers[0])
    for first, second in combinations(answers, 2):
        assert first.score is not None
        assert second.score is not None
        preference = 0.5 if first.score == second.score else float(first.score > second.score)
        yield _judged(asked, first, second, preference, raw=None)


def _judged(
    asked: Asked,
    first: PlacedOutput,
    second: PlacedOutput,
    preference: float | None,
    *,
    raw: object,
    **meta: Any,
) -> PreferenceRow:
    scores = (first.given, second.given)
    return PreferenceRow(
        **_compared_fields(asked, first, second),
        **_judge(asked),
        preference=preference,
        preference_raw=raw if raw is None or fields.is_number(raw) else str(raw),
        reason=None if preference is not None else "no verdict in the source",
        order_swapped=yes_or_no(asked.row.get("swapped"), "swapped"),
        raw_completion=asked.text("reply"),
        scores=None if scores == (None, None) else scores,
        degree=_degree(asked, preference),
        aspects=_aspects(first, second),
        meta={**asked.meta, **meta},
    )


def _degree(asked: Asked, preference: float | None) -> Degree | None:
    """How much better, where a format fills the places `steps` and `levels`."""
    if preference is None or is_blank(asked.row.get("steps")):
        return None
    return degree_of(asked.row["steps"], asked.row["levels"], preference)


def _aspects(first: PlacedOutput, second: PlacedOutput) -> tuple[AspectVerdict, ...]:
    """The verdicts on the criteria by which both outputs are scored: the higher score is preferred."""
    both = [name for name in first.aspects if name in second.aspects]
    scores = [(first.aspects[name], second.aspects[name]) for name in both]
    return tuple(
        AspectVerdict(name, 0.5 if a == b else float(a > b), a, b)
        for name, (a, b) in zip(both, scores, strict=True)
    )


def _kind(value: str | None) -> AnnotatorKind | None:
    try:
        return None if value is None else AnnotatorKind(value)
    except ValueError:
        raise ValueError(f"kind is {fields.shown(value)}, not {', '.join(AnnotatorKind)}") from None


def _compared_fields(asked: Asked, first: PlacedOutput, second: PlacedOutput) -> dict[str, Any]:
    """The fields of a pair that are there whether it is judged or not."""
    prompt, (said_1, said_2) = apart(asked.prompt, [first.said, second.said])
    return {
        "source": asked.source,
        **_prompted(asked, prompt)._asdict(),
        "output_1": text_of(said_1, "the first output"),
        "output_2": text_of(said_2, "the second output"),
        "output_1_model": first.model,
        "output_2_model": second.model,
        "turns_1": turns_of(said_1),
        "turns_2": turns_of(said_2),
        "subset": asked.text("subset"),
        "item_id": asked.text("item"),
        "instruction_id": asked.text("instruction_id"),
    }


def _prompted(asked: Asked, prompt: Turns) -> Prompted:
    return prompted(prompt, asked.text("input") or "")


def _output(asked: Asked, answer: PlacedOutput) -> ImportedOutput:
    if asked.prompt is None:
        raise ValueError("there is no prompt")
    prompt, [said] = apart(asked.prompt, [answer.said])
    return ImportedOutput(
        **_prompted(asked, prompt)._asdict(),
        output=text_of(said, "the output"),
        model=answer.model or "",
        kind=ProducerKind.MODEL,
        set_name=asked.options.set_name or asked.text("subset"),
        name=asked.text("instruction_id"),
        output_turns=turns_of(said),
    )


def _alone(asked: Asked) -> ImportedOutput | RatedOutput:
    """An answer; a rating where the place `good` or `label` says how good it is."""
    good = yes_or_no(asked.row.get("good"), "good")
    label = asked.number("label") if good is None else float(good)
    answer = _output(asked, answer_of(asked))
    if label is None:
        return answer
    if not 0 <= label <= 1:
        raise ValueError(f"label is {label:g}, not in [0, 1]")
    raw = asked.row.get("raw")
    return RatedOutput(
        source=asked.source,
        instruction=answer.instruction,
        input=answer.input,
        output=answer.output,
        **_judge(asked),
        label=label,
        model=answer.model or None,
        subset=asked.text("subset"),
        name=asked.text("item") or asked.text("instruction_id"),
        raw=raw if raw is None else float(raw) if fields.is_number(raw) else str(raw),
        meta=dict(asked.meta),
        set_name=asked.options.set_name,
        turns=answer.turns,
        output_turns=answer.output_turns,
    )


def _judge(asked: Asked) -> dict[str, Any]:
    """Who judged: `annotator` and `annotator_kind`."""
    return {
        "annotator": asked.text("annotator") or asked.options.annotator or asked.origin.annotator,
        "annotator_kind": asked.options.annotator_kind or _kind(asked.text("kind")) or asked.origin.kind,
    }


def _battle(asked: Asked) -> PreferenceRow:
    """A battle of two models whose texts nobody kept; its instruction is the name of the question or row."""
    first, second = (PlacedOutput([Said("", UNTOLD)], asked.text(f"model_{side}")) for side in (1, 2))
    if not first.model or not second.model or first.model == second.model:
        raise ValueError(f"a battle without texts needs two models, not {first.model!r} and {second.model!r}")
    value = asked.row["verdict"]
    if is_blank(value):
        raise ValueError("a battle without texts and without a verdict says nothing")
    preference = verdicts.decoded(value, asked.codes, (first.model, second.model), ("", ""))
    shared = asked.text("prompt") if asked.text("annotator") else None  # several may judge one question
    name = asked.text("item") or asked.text("instruction_id") or shared or str(asked.row["row"])
    told: Turns = [Said("", f"(no text: battle {name} of {asked.source})")]
    return _judged(replace(asked, prompt=told), first, second, preference, raw=value)


def _instruction(asked: Asked) -> Iterator[ImportedInstruction | ImportedOutput]:
    """The instruction, and after it its reference answer, where there is one."""
    assert asked.prompt is not None
    wanted = _prompted(asked, asked.prompt)
    set_name, name = (
        asked.options.set_name or asked.source,
        asked.text("instruction_id") or asked.text("item"),
    )
    yield ImportedInstruction(
        **wanted._asdict(),
        set_name=set_name,
        use=asked.options.use,
        category=asked.text("subset"),
        name=name,
        meta=dict(asked.meta),
    )
    if not is_blank(asked.row.get("reference")):
        said = turns(asked.row["reference"], "the reference answer")
        yield ImportedOutput(
            **wanted._asdict(),
            output=text_of(said, "the reference answer"),
            model=REFERENCE,
            kind=ProducerKind.REFERENCE,
            set_name=set_name,
            name=name,
            output_turns=turns_of(said),
        )


def rows_by(
    path: Path,
    options: ReadOptions,
    *,
    shape: Sequence[Sequence[str]],
    origin: RowOrigin,
    fill: Callable[[dict[str, Any]], Iterable[Fields]],
    codes: Codes | None = None,
) -> Iterator[Placed]:
    """Stream a file's rows as entries. fill: the places that a row fills, once for each entry or pair.

    shape: groups of field names, one of each group must be there. Raises UnlikeFormat where one lacks.
    """
    rows = file_rows(path)
    return placed_rows(path, rows, options, shape=shape, origin=origin, fill=fill, codes=codes)


def placed_rows(
    path: Path,
    rows: Iterator[Numbered | Refusal],
    options: ReadOptions,
    *,
    shape: Sequence[Sequence[str]],
    origin: RowOrigin,
    fill: Callable[[dict[str, Any]], Iterable[Fields]],
    codes: Codes | None = None,
) -> Iterator[Placed]:
    """The same of rows that were read from a file."""

    def read(row: dict[str, Any]) -> Iterator[Entry]:
        try:
            places = list(fill(row))
        except (AttributeError, IndexError, KeyError, TypeError) as error:
            raise ValueError(f"a field is not shaped as in this format: {error}") from error
        for filled in places:
            yield from entries(filled, origin, options, codes)

    return fields.rows_of(path, rows, shape, read)


def entries_of(
    path: Path,
    rows: Iterator[Numbered | Refusal],
    *,
    origin: RowOrigin,
    options: ReadOptions,
    codes: Codes | None = None,
) -> Iterator[Placed]:
    """The entries of rows whose places are filled already."""
    return fields.rows_of(path, rows, (), lambda filled: entries(filled, origin, options, codes))
