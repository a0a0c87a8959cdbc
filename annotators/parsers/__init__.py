"""Parsers: an annotator's reply -> verdicts on the pairs of its prompt, or ParseError, on any text whatever.

base        the protocol, ParseError, the slots of a batched prompt
alphabets   letters of other alphabets that are drawn as Latin ones
grammar     what declares a verdict in running text, and what only mentions an output
text        one declared verdict; a list of them
json_text   structured replies
numbers     first-token log-probabilities; ratings; a reward model's scores
rubric      a score for each criterion and output; a checklist, whose scores are yes and no
aspects     a verdict for each criterion
scale       a verdict that says how much better
ranking     several outputs from best to worst, or the best of them

A verdict is about the outputs as shown: P(the first shown is better). The order is undone in judgement.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from types import MappingProxyType

from annotators.clients.request import TokenLogprob
from annotators.clients.thinking import without_thinking
from annotators.judgement import Verdict
from annotators.parsers.aspects import AspectsParser
from annotators.parsers.base import CompletionParser, ParseError, Readable, ReplyText
from annotators.parsers.grammar import NamePatterns
from annotators.parsers.json_text import JsonParser
from annotators.parsers.numbers import LogprobParser, RatingParser, ScoresParser
from annotators.parsers.ranking import RankingParser
from annotators.parsers.rubric import RubricParser, WeighedCriteria, folded
from annotators.parsers.scale import ScaleParser
from annotators.parsers.text import ListParser, VerdictParser
from annotators.spec import AnnotatorSpec
from annotators.strict_yaml import Reader, nearest

__all__ = [
    "PARSERS",
    "CompletionParser",
    "ParseError",
    "Readable",
    "ReplyText",
    "example_problems",
    "parser_of",
    "parser_problems",
    "read_verdicts",
]


def _verdict(spec: AnnotatorSpec, options: Reader) -> CompletionParser:
    start = options.flag("start", False)
    return VerdictParser(NamePatterns.of(*spec.outputs), start)


def _list(spec: AnnotatorSpec, options: Reader) -> CompletionParser:
    start = options.flag("start", True)
    return ListParser(VerdictParser(NamePatterns.of(*spec.outputs), start), spec.batch)


def _json(spec: AnnotatorSpec, options: Reader) -> CompletionParser:
    return JsonParser(NamePatterns.of(*spec.outputs), options.text("field", "better"), spec.batch)


def _logprob(spec: AnnotatorSpec, options: Reader) -> CompletionParser:
    return LogprobParser(spec.outputs, options.number("least", 0.1, 0.0, 1.0))


def _rating(spec: AnnotatorSpec, options: Reader) -> CompletionParser:
    low, high = (options.number(key, default, 0.0, 1000.0) for key, default in (("low", 1.0), ("high", 10.0)))
    return RatingParser(spec.outputs, low, high)


def _rubric(spec: AnnotatorSpec, options: Reader) -> CompletionParser:
    low, high = (options.number(key, default, 0.0, 1000.0) for key, default in (("low", 1.0), ("high", 10.0)))
    return RubricParser(spec.outputs, _criteria(spec, options), low, high)


def _checklist(spec: AnnotatorSpec, options: Reader) -> CompletionParser:
    return RubricParser(spec.outputs, _criteria(spec, options), 0.0, 1.0, answers=True)


def _aspects(spec: AnnotatorSpec, options: Reader) -> CompletionParser:
    return AspectsParser(spec.outputs, _criteria(spec, options))


def _criteria(spec: AnnotatorSpec, options: Reader) -> WeighedCriteria:
    """The criteria with their weights. The prompt has to name each, or the judge would not know of it."""
    given, soft = options.take("criteria", None), options.flag("soft", False)
    weights = dict.fromkeys(given, 1.0) if isinstance(given, list) else given
    if not isinstance(weights, dict) or not weights or not all(map(_is_criterion, weights.items())):
        options.complain("criteria", "expected names of criteria, or names with weights above 0")
        weights = {"quality": 1.0}
    elif len(set(map(folded, weights))) < len(weights):
        options.complain("criteria", "two criteria have one name")
    elif spec.prompt:
        for name in (each for each in weights if folded(each) not in folded(spec.prompt)):
            options.complain("criteria", f"the prompt does not name {name!r:.60}")
    return WeighedCriteria(tuple((name, float(weight)) for name, weight in weights.items()), soft)


def _scale(spec: AnnotatorSpec, options: Reader) -> CompletionParser:
    levels = options.integer("levels", 2, 1, MOST_LEVELS)
    chances = options.take("chances", [])
    if not _are_chances(chances, levels):
        options.complain("chances", f"expected {levels} numbers from 0.5 to 1 that do not fall, one a step")
        chances = []
    assert isinstance(chances, list)
    return ScaleParser(spec.outputs, levels, tuple(map(float, chances)))


def _are_chances(value: object, levels: int) -> bool:
    """Whether this is a list of one chance for each step, or empty."""
    if not isinstance(value, list) or not all(isinstance(each, int | float) for each in value):
        return False
    limits = [0.5, *value, 1.0]
    return len(value) in (0, levels) and all(one <= other for one, other in pairwise(limits))


def _ranking(spec: AnnotatorSpec, options: Reader) -> CompletionParser:
    return RankingParser(spec.names, options.flag("best", False))


def _is_criterion(item: tuple[object, object]) -> bool:
    name, weight = item
    is_number = isinstance(weight, int | float) and not isinstance(weight, bool)
    return isinstance(name, str) and bool(name.strip()) and is_number and 0 < float(str(weight)) < 1e6


def _scores(spec: AnnotatorSpec, options: Reader) -> CompletionParser:
    return ScoresParser(options.flag("hard", False))


PARSERS: Mapping[str, Callable[[AnnotatorSpec, Reader], CompletionParser]] = MappingProxyType(
    {
        "verdict": _verdict,
        "list": _list,
        "json": _json,
        "logprob": _logprob,
        "rating": _rating,
        "rubric": _rubric,
        "checklist": _checklist,
        "aspects": _aspects,
        "scale": _scale,
        "scores": _scores,
        "ranking": _ranking,
    }
)
"""Name -> what makes the parser of a spec, taking its options from the reader."""
MOST_LEVELS = 3  # of a scale on either side of the tie: seven points
_BATCHED = {"list", "json"}
ONLY_THINKING = "thinking without an answer"
EMPTY = "the reply is empty"


def parser_of(spec: AnnotatorSpec) -> CompletionParser:
    """The parser of a spec. The catalogue has checked that there is one."""
    return PARSERS[spec.parser.name](spec, Reader(spec.parser.options))


def parser_problems(spec: AnnotatorSpec) -> list[str]:
    """What is wrong with a spec's parser, one clause each."""
    name = spec.parser.name
    if name not in PARSERS:
        return [f"unknown parser {name!r}{nearest(name, PARSERS)}"]
    options = Reader(spec.parser.options)
    PARSERS[name](spec, options)
    options.close()
    if spec.batch > 1 and name not in _BATCHED:
        options.complain("", f"{name} reads one pair of a prompt, not {spec.batch}: use list or json")
    if name != "logprob" and len({each.casefold() for each in spec.names}) < len(spec.names):
        options.complain("", f"{name} cannot tell apart {', '.join(spec.names)}")
    if spec.more and name != "ranking":
        options.complain("", f"{name} reads one pair of a prompt, not {len(spec.names)} outputs: use ranking")
    if name == "logprob" and not (spec.decoding.wants_logprobs or spec.recorded):
        options.complain("", "logprob needs decoding.top_logprobs")
    return options.problems


def example_problems(spec: AnnotatorSpec) -> list[str]:
    """The spec's own examples that its parser reads wrongly, one clause each."""
    parser, problems = parser_of(spec), []
    for number, example in enumerate(spec.examples):
        tops = tuple(TokenLogprob(token, logprob) for token, logprob in example.top_logprobs.items())
        reply = ReplyText(example.completion, (tops,) if tops else ())
        verdicts = read_verdicts(parser, reply, len(example.expected))
        read = [verdict.first for verdict in verdicts]
        if not all(map(_same, read, example.expected)):
            problems.append(f"[{number}]: read as {read}, not as {list(example.expected)}")
        steps = [verdict.degree and verdict.degree.steps for verdict in verdicts]
        if example.degree is not None and steps != [example.degree]:
            problems.append(f"[{number}]: {steps} steps from the tie, not {example.degree}")
        by_criterion = {each.name: each.preference for verdict in verdicts for each in verdict.aspects}
        for name, expected in example.aspects.items():
            if name not in by_criterion or not _same(by_criterion[name], expected):
                problems.append(f"[{number}]: {name} read as {by_criterion.get(name)}, not as {expected}")
    return problems


def _same(read: float | None, expected: float | None) -> bool:
    if read is None or expected is None:
        return read is expected
    return math.isclose(read, expected, abs_tol=1e-6)


def read_verdicts(parser: CompletionParser, reply: Readable, pairs: int) -> list[Verdict]:
    """One verdict for each of `pairs` pairs. Where none can be read, all are unreadable with the reason.

    What is thought is cut off before, wherever the reply comes from. Without an answer there is no verdict.
    """
    said = without_thinking(reply.text)
    if not said.answer.strip():
        thought = said.thinking or reply.thinking
        return [Verdict(None, ONLY_THINKING if thought else EMPTY)] * pairs
    try:
        return parser(ReplyText(said.answer, tuple(map(tuple, reply.top_logprobs))))[:pairs]
    except ParseError as error:
        return [Verdict(None, str(error))] * pairs
