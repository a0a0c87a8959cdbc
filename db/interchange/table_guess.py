"""A mapping for a table, guessed from the names of its columns and from the values of its verdicts.

Names are compared in lower case with one underscore between words. Nothing is guessed of a verdict whose
values may mean either side, such as 0 and 1: then the user is asked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from db.errors import FormatError
from db.interchange import verdicts
from db.interchange.asked import NO, YES
from db.interchange.files import readable_objects
from db.interchange.rows import TableMap
from db.interchange.verdicts import VerdictColumn, is_blank, plain

VALUES = 60  # different values of a column that are kept; one with more is no verdict
LONG = 100  # characters; a value as long is a text and no name
SIDE = r"(?P<side>[0-9]|[a-h]|x|y|first|second|third|left|right)"
SIDES = {"first": 1, "left": 1, "x": 1, "second": 2, "right": 2, "y": 2, "third": 3}
OUTPUT = (
    r"(?:model_|llm_|ai_|input_|data_)?"
    r"(?:output|response|answer|completion|generation|reply|candidate|option|assistant|"
    r"text|"
    r"result|summary|continuation|human_ref|choice|conversation|message|translation|"
    r"caption)s?"
)
TEXT = r"(?:_text|_content|_output|_response)?"
MODEL = r"(?:model|generator|system|bot|llm|producer)(?:_name|_id)?"
SCORE, RANK = r"(?:score|rating|grade|reward|points)s?", r"(?:rank|ranking|position)s?"
NAMES: Mapping[str, tuple[str, ...]] = {
    "prompt": (
        "prompt", "instruction", "question", "query", "user_prompt", "user_query", "user_input", "task",
        "problem", "request", "messages", "conversation", "history", "context", "post", "article", "document",
        "source_text", "user", "input", "text",
    ),
    "input": ("input", "context", "passage", "document"),
    "system": ("system", "system_prompt", "system_message"),
    "annotator": (
        "annotator", "annotator_id", "annotator_name", "rater", "rater_id", "rater_name", "worker",
        "worker_id",
        "labeler", "labeler_id", "labeller", "labeller_id", "evaluator", "evaluator_id", "judge", "judge_id",
        "person", "coder", "user_id", "participant", "participant_id", "reviewer", "reviewer_id",
    ),
    "strength": ("strength", "preference_strength", "confidence", "margin", "intensity", "certainty"),
    "subset": ("subset", "category", "domain", "scenario", "topic", "task_type", "language", "dataset"),
    "verdict": (
        "verdict", "winner", "preference", "preferred", "label", "labels", "choice", "better", "judgement",
        "judgment", "vote", "human_preference", "human_label", "preferred_output", "preferred_response",
        "overall_preference", "decision", "selected", "selection", "annotation", "best", "gold", "gold_label",
        "chosen", "pick",
    ),
    "good": ("good", "label", "kto_tag", "desirable", "is_good", "thumbs", "feedback", "thumbs_up", "vote"),
    "output": ("output", "response", "answer", "completion", "generation", "reply", "model_output", "text"),
    "score": ("score", "rating", "reward", "helpfulness", "quality", "grade", "points"),
    "rank": ("rank", "ranking", "position"),
    "model": ("model", "model_name", "generator", "producer", "system_name", "llm", "model_id"),
}  # fmt: skip
QUESTIONS = ("question_id", "prompt_id", "prompt")  # which battles without texts are of one question
LIKE = {  # patterns of names, where none of NAMES is there
    "prompt": r".*_(prompt|question|instruction|query)|q",
    "annotator": r".*(annotator|worker|rater|labell?er|judge|evaluator|reviewer|participant)(_?id|_name)?",
    "verdict": r"(?!.*(why|reason|rationale|explanation|comment|note|confidence|strength|time|score|rating))"
    r".*(winner|prefer|better|verdict|choice|judge?ment|label).*",
}
CHOSEN = (
    ("chosen", "rejected"), ("chosen_response", "rejected_response"), ("chosen_output", "rejected_output"),
    ("chosen_answer", "rejected_answer"), ("chosen_text", "rejected_text"), ("preferred", "dispreferred"),
    ("response_chosen", "response_rejected"), ("preferred", "rejected"), ("accepted", "rejected"),
    ("preferred_output", "non_preferred_output"), ("preferred_response", "dispreferred_response"),
    ("preferred_response", "non_preferred_response"), ("accepted_response", "rejected_response"),
    ("better", "worse"), ("better_response", "worse_response"), ("winner", "loser"), ("winning", "losing"),
    ("winner_response", "loser_response"), ("best", "worst"), ("win", "lose"), ("positive", "negative"),
)  # fmt: skip
BESIDE_CHOSEN = {"model_{}": ("{}_model", "model_{}"), "score_{}": ("{}_score", "score_{}", "{}_rating")}


@dataclass(frozen=True)
class GuessedMap:
    """A guessed mapping. open: values of the verdict column whose meaning the user must say; () if none."""

    mapping: TableMap
    open: tuple[str, ...] = ()


@dataclass
class _Columns:
    """What a table holds: each column's folded name, its different values, and its longest value."""

    names: dict[str, str] = field(default_factory=dict)  # folded -> as it stands
    values: dict[str, dict[str, None]] = field(
        default_factory=dict
    )  # column -> its values; a cut set is full
    longest: dict[str, int] = field(default_factory=dict)

    def add(self, row: Mapping[str, Any]) -> None:
        for name, value in row.items():
            self.names.setdefault(folded(name), name)
            seen = self.values.setdefault(name, {})
            if is_blank(value) or len(seen) > VALUES:
                continue
            said = value if isinstance(value, str) else str(value)
            self.longest[name] = max(self.longest.get(name, 0), len(said))
            if len(said) <= LONG:
                seen[plain(value)] = None

    def is_numeric(self, name: str) -> bool:
        """Whether a column holds numbers alone."""
        values = self.values[name]
        return bool(values) and all(verdicts.number_of(value) is not None for value in values)

    def first(self, names: Sequence[str], taken: Sequence[str], like: str | None = None) -> str | None:
        """The first column of these folded names that is not taken; else of a name like this pattern."""
        others = [name for name in self.names if like is not None and re.fullmatch(like, name)]
        found = (self.names[name] for name in [*names, *others] if name in self.names)
        return next((name for name in found if name not in taken), None)


def folded(name: str) -> str:
    """A column's name in lower case, with one underscore between words: "Response A" is response_a."""
    parted = re.sub(r"(?<=[a-z])(?=[A-Z0-9])", "_", name)
    return re.sub(r"[^a-z0-9]+", "_", parted.lower()).strip("_")


def guess_table(path: Path, verdict: VerdictColumn | None = None) -> GuessedMap:
    """The mapping that a table's names and values suggest. verdict: column and codes that the user gave.

    Raises FormatError where nothing looks like a prompt with an output or two models with a verdict.
    """
    columns = _Columns()
    for _, row in readable_objects(path):
        columns.add(row)
    outputs = _outputs(columns)
    found: dict[str, str] = {}
    taken = list(outputs.values()) + ([verdict[0]] if verdict else [])
    for place in ("prompt", "input", "system", "annotator", "strength", "subset"):
        unfit = [name for name in columns.names.values() if place == "prompt" and columns.is_numeric(name)]
        if (name := columns.first(NAMES[place], [*taken, *unfit], LIKE.get(place))) is not None:
            found[place] = name
            taken.append(name)
    found |= outputs
    if "model_1" in found and "output_1" not in found and "annotator" in found:
        name = columns.first(QUESTIONS, taken)
        found |= {} if name is None else {"instruction_id": name}
    if "output_1" in found or ("model_1" in found and "chosen" not in found):
        return _with_verdict(path, columns, found, verdict)
    if "chosen" not in found and "prompt" in found:
        found |= _alone(columns, taken)
    if "chosen" not in found and "output" not in found:
        names = ", ".join(list(columns.names.values())[:12])
        raise FormatError(
            f"no columns look like two outputs, or a chosen and a rejected one, among {names}",
            where=str(path),
            remedy="name them: --map prompt=COLUMN --map output_1=COLUMN --map output_2=COLUMN",
        )
    return GuessedMap(TableMap(found))


def _outputs(columns: _Columns) -> dict[str, str]:
    """The columns of chosen and rejected, or of two outputs and more, with their models, scores and ranks."""
    for pair in CHOSEN:
        if set(pair) <= columns.names.keys():
            better, worse = (columns.names[name] for name in pair)
            if min(columns.longest.get(name, 0) for name in (better, worse)) > 1:
                return {"chosen": better, "rejected": worse} | _beside_chosen(columns, pair)
    models = _sides(columns, "(?P<side>left|right)") or _sides(columns, *_about(MODEL))
    texts = _sides(columns, f"{OUTPUT}_?{SIDE}{TEXT}", f"{SIDE}_{OUTPUT}{TEXT}", f"{MODEL}_{SIDE}_{OUTPUT}")
    if not texts and any(columns.longest.get(name, 0) > LONG for name in models.values()):
        texts, models = models, {}
    found = {f"output_{side}": name for side, name in texts.items()}
    found |= {f"model_{side}": name for side, name in models.items() if name not in texts.values()}
    if texts:
        for place, stem in (("score", SCORE), ("rank", RANK)):
            found |= {f"{place}_{side}": name for side, name in _sides(columns, *_about(stem)).items()}
    return found


def _about(stem: str) -> tuple[str, ...]:
    """Patterns of columns that say something about an output: model_a, response_a_model, a_model."""
    return f"{stem}_?{SIDE}", f"{OUTPUT}_?{SIDE}_{stem}", f"{SIDE}_{stem}"


def _beside_chosen(columns: _Columns, pair: tuple[str, str]) -> dict[str, str]:
    found = {}
    for place, patterns in BESIDE_CHOSEN.items():
        for side, name in zip(("chosen", "rejected"), pair, strict=True):
            spellings = [pattern.format(each) for each in (name, side) for pattern in patterns]
            if (column := columns.first(spellings, ())) is not None:
                found[place.format(side)] = column
    return found


def _sides(columns: _Columns, *patterns: str) -> dict[int, str]:
    """The columns of one stem by side, from 1 on; empty where no stem has both side 1 and side 2."""
    stems: dict[tuple[str, bool], dict[int, str]] = {}
    for name, column in columns.names.items():
        match = next(filter(None, (re.fullmatch(each, name) for each in patterns)), None)
        if match is not None:
            side = match["side"]
            number = SIDES.get(side) or (int(side) if side.isdigit() else ord(side) - ord("a") + 1)
            stem = f"{name[: match.start('side')]}|{name[match.end('side') :]}"
            stems.setdefault((stem, side.isdigit()), {})[number] = column
    for found in stems.values():
        first = min(found)
        if first < 2 and first + 1 in found:  # sides are numbered from 0 or from 1
            return {side + 1 - first: column for side, column in sorted(found.items())}
    return {}


def _alone(columns: _Columns, taken: list[str]) -> dict[str, str]:
    """The places of rows with one output: with a score or a rank, called good or bad, or alone."""
    output = columns.first(NAMES["output"], taken)
    if output is None:
        return {}
    found = {"output": output}
    for place in ("model", "rank", "score"):
        name = columns.first(NAMES[place], [*taken, *found.values()])
        if name is not None and (place == "model" or columns.is_numeric(name)):
            found[place] = name
    if "rank" in found:
        found.pop("score", None)
    if not {"rank", "score"} & found.keys():
        good = columns.first(NAMES["good"], [*taken, *found.values()])
        if good is not None and columns.values[good] and columns.values[good].keys() <= YES | NO:
            found["good"] = good
    return found


def _with_verdict(
    path: Path, columns: _Columns, found: dict[str, str], given: VerdictColumn | None
) -> GuessedMap:
    """The mapping of a pair or a battle with its verdict, if it has one; open values if that is not clear."""
    if given is not None and given[1]:
        return GuessedMap(TableMap(found | {"verdict": given.column}, given.codes, given.degrees))
    name = given[0] if given else columns.first(NAMES["verdict"], list(found.values()), LIKE["verdict"])
    values = list(columns.values.get(name or "", {}))
    if name is None or not (values or columns.longest.get(name)):
        return GuessedMap(TableMap(found))
    mapping = TableMap(found | {"verdict": name})
    if values and set(values) <= {"1", "2"} and not _named(path, mapping):
        return GuessedMap(replace(mapping, codes={"1": 1.0, "2": 0.0}))
    sides = {plain(found[place]): p for place, p in (("output_1", 1.0), ("output_2", 0.0)) if place in found}
    if sides.keys() & values and all(value in sides or _is_word(value) for value in values):
        codes = {value: sides[value] if value in sides else verdicts.word(value) for value in values}
        return GuessedMap(replace(mapping, codes=codes))
    number = any(verdicts.number_of(value) is not None for value in values)
    return GuessedMap(mapping, tuple(values) if number or not _named(path, mapping) else ())


def _is_word(value: str) -> bool:
    try:
        verdicts.word(value)
    except KeyError:
        return False
    return True


def _named(path: Path, mapping: TableMap) -> bool:
    """Whether every verdict of the table names a side, a tie, a model or an output."""
    for _, row in readable_objects(path):
        value = row.get(mapping.columns["verdict"])
        beside = [
            row.get(mapping.columns.get(f"{kind}_{side}", ""))
            for kind in ("model", "output")
            for side in (1, 2)
        ]
        model_1, model_2, output_1, output_2 = (None if is_blank(each) else str(each) for each in beside)
        try:
            if not is_blank(value):
                verdicts.decoded(value, {}, (model_1, model_2), (output_1 or "", output_2 or ""))
        except ValueError:
            return False
    return True
