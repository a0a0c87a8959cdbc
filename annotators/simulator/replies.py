"""The wording of verdicts: in the form that the prompt asks for, and in forms that are hard to read."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Any

from annotators.simulator.judges import Decision
from annotators.simulator.prompt_forms import PromptComparison
from db.ids import Json, keyed_index, keyed_uniform

_REASON = (
    "Both outputs take up the instruction, and they differ in how closely they keep to it. One of them does"
    " all that was asked, in the form that was asked for, and what it says is right as far as I can see. The"
    " other leaves a part of it out, or adds what nobody wanted, and a careful reader would notice that"
    " before anything else. Neither does harm. The wording of both is clear enough, and I give no weight to"
    " which of them is longer or which of them comes first. Weighing the part that is missing against the few"
    " phrases that could have been shorter, I find that the missing part matters more to whoever wrote the"
    " instruction, because without it the task is not done."
)
_CRITERION = "Does the output do all that the instruction asks for, and nothing that it does not ask for?"
_SHORT_REASON = "It does what was asked more fully, and with fewer errors, than the other output does."
_NOTHING = "There is nothing here to compare."
_OTHERS = 0.02  # the probability that the first token is no label


@dataclass(frozen=True, slots=True)
class JudgedPrompt:
    """The comparisons of a prompt with their verdicts. orders: what the prompt says about the reply.

    by_criterion: (place of a comparison, criterion) -> the verdict by that criterion.
    """

    questions: Sequence[PromptComparison]
    verdicts: Sequence[Decision]
    orders: str
    by_criterion: Callable[[int, str], Decision]
    schema: Mapping[str, Any] | None = None  # of structured outputs

    def best(self, place: int) -> str:
        """The label of the output that wins a comparison. place: of the comparison."""
        return self.questions[place].shown[self.verdicts[place].best].label

    @property
    def places(self) -> range:
        """The places of the comparisons."""
        return range(len(self.questions))


_FIRST = re.compile(r"^Reply in this form:\n(?P<lines>(?:.*\n)*?)Verdict: ", re.MULTILINE)

ReplyForm = Callable[[JudgedPrompt], str]


def letter(asked: JudgedPrompt) -> str:
    """A. For several comparisons, a line for each."""
    if len(asked.questions) == 1:
        return asked.best(0)
    return "\n".join(f"{asked.questions[place].number}. {asked.best(place)}" for place in asked.places)


def plain(asked: JudgedPrompt) -> str:
    """Output (a). For several comparisons, a line for each."""
    return "\n".join(f"Output ({asked.best(place)})" for place in asked.places)


def ranking(asked: JudgedPrompt) -> str:
    """Pair 1: B > A"""
    lines = []
    for question, verdict in zip(asked.questions, asked.verdicts, strict=True):
        labels = " > ".join(question.shown[place].label for place in verdict.order)
        lines.append(f"Pair {question.number}: {labels}")
    return "\n".join(lines)


def ordered(asked: JudgedPrompt) -> str:
    """Ranking: B > C = A, all outputs of a comparison; those of equal worth are equal."""
    lines = []
    for question, verdict in zip(asked.questions, asked.verdicts, strict=True):
        said = question.shown[verdict.best].label
        for before, place in pairwise(verdict.order):
            sign = "=" if verdict.values[before] == verdict.values[place] else ">"
            said += f" {sign} {question.shown[place].label}"
        lines.append(f"Ranking: {said}")
    return "\n".join(lines)


def best_alone(asked: JudgedPrompt) -> str:
    """Best: B"""
    return "\n".join(f"Best: {asked.best(place)}" for place in asked.places)


def rating(asked: JudgedPrompt) -> str:
    """A: 8, B: 4, by rank. Outputs of equal worth get equal numbers."""
    lines = []
    for question, verdict in zip(asked.questions, asked.verdicts, strict=True):
        step = 0 if len(set(verdict.values)) == 1 else max(4 // max(len(verdict.order) - 1, 1), 1)
        numbers = {place: 8 - step * rank for rank, place in enumerate(verdict.order)}
        lines += [f"{shown.label}: {numbers[place]}" for place, shown in enumerate(question.shown)]
    return "\n".join(lines)


def reasoned(asked: JudgedPrompt) -> str:
    """What the prompt wants written first, then the verdict on a line of its own."""
    wanted = _FIRST.search(asked.orders)
    lines = wanted["lines"] if wanted else f"{_REASON}\n"
    said = lines.replace("- ...", f"- {_CRITERION}").replace(": ...", f": {_REASON}")
    return "\n".join(f"{said}Verdict: {asked.best(place)}" for place in asked.places)


def as_json(asked: JudgedPrompt) -> str:
    """An object by the schema of structured outputs, or by the example in the prompt."""
    if asked.schema is not None:
        return json.dumps(_after_schema(asked, asked.schema, 0))
    example = _example(asked.orders)
    return json.dumps({"better": asked.best(0)} if example is None else _after_example(asked, example, 0))


def _after_schema(asked: JudgedPrompt, schema: Mapping[str, Any], place: int) -> Json:
    """A value that the schema allows. Wherever the schema asks for a label, it says the verdict."""
    if "enum" in schema:
        return asked.best(place) if asked.best(place) in schema["enum"] else schema["enum"][0]
    kind = schema.get("type")
    if kind == "object":
        properties = schema.get("properties", {})
        return {
            name: asked.questions[place].number if name == "pair" else _after_schema(asked, each, place)
            for name, each in properties.items()
        }
    if kind == "array":
        return [_after_schema(asked, schema["items"], each) for each in asked.places]
    others: dict[str, Json] = {"string": _SHORT_REASON, "integer": 8, "number": 8, "boolean": True}
    return others.get(str(kind))


def _example(orders: str) -> Json:
    """The last JSON object in the prompt's own words."""
    decoder = json.JSONDecoder()
    for start in reversed([found.start() for found in re.finditer(r"(?<![\[{,:] )(?<![\[{,:])\{", orders)]):
        try:
            value: Json = decoder.raw_decode(orders, start)[0]
        except ValueError:
            continue
        return value
    return None


def _after_example(asked: JudgedPrompt, example: Json, place: int) -> Json:
    """The example with the verdict as its label, and an entry for each comparison in its lists."""
    if isinstance(example, Mapping):
        return {
            name: asked.questions[place].number if name == "pair" else _after_example(asked, value, place)
            for name, value in example.items()
        }
    if isinstance(example, list):
        return [_after_example(asked, example[0], each) for each in asked.places]
    if example in {shown.label for shown in asked.questions[place].shown}:
        return asked.best(place)
    return _SHORT_REASON if isinstance(example, str) else example


def scale(asked: JudgedPrompt) -> str:
    """[[A>>B]], as far apart as the outputs are worth to the judge:

    by their odds, e and e cubed are steps.
    """
    levels = max(map(len, _SIGNS.findall(asked.orders)), default=1)
    lines = []
    for question, verdict in zip(asked.questions, asked.verdicts, strict=True):
        best, other = (question.shown[place].label for place in verdict.order[:2])
        lines.append(f"[[{best}{'>' * min(_gap(verdict), levels) or '='}{other}]]")
    return "\n".join(lines)


def rubric(asked: JudgedPrompt) -> str:
    """clarity: A 4, B 2, for each criterion that the prompt lists.

    The scores stand around the middle, the further apart the surer the judge is by its odds.
    """
    top = max(map(int, _UP_TO.findall(asked.orders)), default=5)

    def scores(decision: Decision) -> list[str]:
        best, other = decision.order[:2]
        gap = min(_gap(decision), top - 1)
        low = (1 + top - gap) // 2
        return [str(low + gap if place == best and gap else low) for place in sorted((best, other))]

    return _by_criteria(asked, _SCORED, scores)


def checklist(asked: JudgedPrompt) -> str:
    """clear: A yes, B no, for each item that the prompt lists: yes for the winner, or for equal ones."""

    def answers(decision: Decision) -> list[str]:
        passing = {decision.best} if _gap(decision) else set(decision.order)
        return ["yes" if place in passing else "no" for place in sorted(decision.order)]

    return _by_criteria(asked, _CHECKED, answers)


def aspects(asked: JudgedPrompt) -> str:
    """clarity: B, for each criterion that the prompt lists; outputs of equal worth are a tie."""
    lines = []
    for place in asked.places:
        for name in _PREFERRED.findall(asked.orders):
            decision = asked.by_criterion(place, name)
            equal = len(set(decision.values)) == 1
            lines.append(f"{name}: {'tie' if equal else asked.questions[place].shown[decision.best].label}")
    return "\n".join(lines)


def _by_criteria(asked: JudgedPrompt, listed: re.Pattern[str], said: Callable[[Decision], list[str]]) -> str:
    """A line for each criterion, with what is said of each output."""
    lines = []
    for place in asked.places:
        labels = [shown.label for shown in asked.questions[place].shown]
        for name in listed.findall(asked.orders):
            values = said(asked.by_criterion(place, name))
            each = (f"{label} {value}" for label, value in zip(labels, values, strict=True))
            lines.append(f"{name}: {', '.join(each)}")
    return "\n".join(lines)


def _gap(decision: Decision) -> int:
    """How many steps the winner is ahead: 1, 2 or 3 by its odds (e and e cubed); 0 of equal worth."""
    lead = abs(decision.values[decision.order[0]] - decision.values[decision.order[1]])
    odds = lead / decision.noise if decision.noise else math.inf
    return (1 + (odds > 1) + (odds > 3)) if lead else 0


FORMS: Mapping[str, ReplyForm] = MappingProxyType(
    {
        "letter": letter,
        "plain": plain,
        "ranking": ranking,
        "rating": rating,
        "reasoned": reasoned,
        "json": as_json,
        "scale": scale,
        "rubric": rubric,
        "checklist": checklist,
        "aspects": aspects,
        "order": ordered,
        "best": best_alone,
    }
)
_SCORED = re.compile(r"^([\w -]+): \w+ number, \w+ number$", re.MULTILINE)
_CHECKED = re.compile(r"^([\w -]+): \w+ yes or no, \w+ yes or no$", re.MULTILINE)
_PREFERRED = re.compile(r"^([\w -]+): \w+, \w+ or tie$", re.MULTILINE)
_UP_TO = re.compile(r"\bfrom \d+ to (\d+)\b")
_SIGNS = re.compile(r"\[\[\w+(>+)\w+\]\]")
_CUES = {
    "rubric": _SCORED,
    "checklist": _CHECKED,
    "aspects": _PREFERRED,
    "order": re.compile(r"^Ranking: ", re.MULTILINE),
    "best": re.compile(r"^Best: ", re.MULTILINE),
    "scale": re.compile(r"\[\[\w+>>\w+\]\]"),
    "json": re.compile(r'\{\s*"'),
    "ranking": re.compile(r"^Pair 1: \S+ > ", re.MULTILINE),
    "rating": re.compile(r"^\S+: (?:a )?number\b", re.MULTILINE),
    "reasoned": re.compile(r"^Verdict: ", re.MULTILINE),
    "plain": re.compile(r"\bOutput \(\w+\)"),
}


def form_of(asked: JudgedPrompt) -> str:
    """The form that the prompt asks for; `letter` where it shows none."""
    if asked.schema is not None:
        return "json"
    return next((name for name, cue in _CUES.items() if cue.search(asked.orders)), "letter")


OFF_FORMAT: Mapping[str, Callable[[str, str], str]] = MappingProxyType(
    {
        "both": lambda best, other: f"Output ({best}) and Output ({other}) are both better in their own way.",
        "none": lambda best, other: "I am not able to judge this.",
        "lower_case": lambda best, other: f"output {best.lower()}",
        "markdown": lambda best, other: f"**Output ({best})**",
        "full_width": lambda best, other: "".join(chr(ord(c) + 0xFEE0) for c in best),
        "other_language": lambda best, other: f"Die Ausgabe {best} ist besser.",
        "quoted": lambda best, other: f'The text says "Output ({other}) is better", which proves nothing.',
        "doubled_keys": lambda best, other: f'{{"better": "{other}", "better": "{best}"}}',
        "huge_number": lambda best, other: '{"better": 1e400}',
        "comments": lambda best, other: f'{{"better": "{best}" /* the other is worse */}}',
        "trailing_comma": lambda best, other: f'{{"better": "{best}",}}',
    }
)
"""How judges word a verdict when they do not keep to the form: (best label, another label) -> text."""


@dataclass(frozen=True, slots=True)
class Wording:
    """The text of a reply, and the alternatives of its first token: token -> probability."""

    text: str
    first_token: Mapping[str, float]

    def logprobs(self, top: int) -> dict[str, Json]:
        """The log-probabilities of the first token, with `top` alternatives, as the API writes them."""
        ranked = sorted(self.first_token.items(), key=lambda each: -each[1])
        entries: list[dict[str, Json]] = [
            {"token": token, "logprob": math.log(max(share, 1e-30)), "bytes": list(token.encode())}
            for token, share in ranked
        ]
        drawn = next((each for each in entries if self.text.startswith(str(each["token"]))), entries[0])
        return {"content": [{**drawn, "top_logprobs": entries[:top]}]}


def word(asked: JudgedPrompt, form: str, off_format: float, key: str) -> Wording:
    """The reply to a prompt. off_format: the share of replies that are worded in another form."""
    if not asked.questions:
        return Wording(_NOTHING, {_NOTHING.split()[0]: 1.0})
    name = form_of(asked) if form == "auto" else form
    text = FORMS[name](asked)
    if keyed_uniform("off format", key) < off_format:
        style = tuple(OFF_FORMAT.values())[keyed_index(len(OFF_FORMAT), "which style", key)]
        labels = [shown.label for shown in asked.questions[0].shown]
        best = asked.best(0)
        text = style(best, next((label for label in labels if label != best), best))
    if name != "letter":
        return Wording(text, {text.split()[0]: 1.0})
    shares = asked.verdicts[0].probabilities()
    shown = zip(asked.questions[0].shown, shares, strict=True)
    first = {output.label: share * (1 - _OTHERS) for output, share in shown}
    return Wording(text, {**first, "The": _OTHERS})
