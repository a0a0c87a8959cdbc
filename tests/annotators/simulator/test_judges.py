"""The simulated judges: known utilities in, verdicts with the promised probabilities out."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import pytest

from annotators import render
from annotators.clients import Message, Reply, Request, RequestDecoding, Role
from annotators.parsers import ReplyText, parser_of, read_verdicts
from annotators.shown import ShownPair
from annotators.simulator import ChatMessage, Judge, PromptComparison, ShownOutput
from annotators.simulator.judges import decide, utility_of
from annotators.simulator.prompt_forms import find_questions
from annotators.simulator.replies import OFF_FORMAT
from annotators.spec import AnnotatorSpec
from db.errors import ConfigError
from db.records import Instruction, Output, Pair
from tests.support.catalogued import JUDGES
from tests.support.simulated_provider import ask, provider, request

TWO = PromptComparison((ShownOutput("A", "one"), ShownOutput("B", "two")))
THREE = PromptComparison((ShownOutput("A", "one"), ShownOutput("B", "two"), ShownOutput("C", "three")))
WORTH = Judge(utility="table", table={"one": 1.0, "two": 0.0, "three": -1.0})


def share(
    judge: Judge, question: PromptComparison, best: int, temperature: float = 1.0, draws: int = 4000
) -> float:
    """How often an output wins over many requests."""
    utility = utility_of(judge)
    return (
        sum(decide(judge, utility, question, temperature, f"{n}").best == best for n in range(draws)) / draws
    )


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


# 4,000 draws: three standard deviations of a share are at most 0.024


@pytest.mark.parametrize(
    ("noise", "temperature"), [(1.0, 1.0), (0.5, 1.0), (2.0, 1.0), (1.0, 0.5), (2.0, 0.25)]
)
def test_the_better_output_wins_with_the_probability_of_boltzmann(noise: float, temperature: float) -> None:
    judge = Judge(utility="table", table=WORTH.table, noise=noise)
    assert share(judge, TWO, 0, temperature) == pytest.approx(sigmoid(1 / (noise * temperature)), abs=0.024)


def test_among_three_the_best_wins_with_the_probability_of_luce() -> None:
    weights = [math.exp(value) for value in (1.0, 0.0, -1.0)]
    for place, weight in enumerate(weights):
        assert share(WORTH, THREE, place) == pytest.approx(weight / sum(weights), abs=0.024)


def test_the_probabilities_told_are_those_of_temperature_one() -> None:
    verdict = decide(WORTH, utility_of(WORTH), THREE, 0.1, "key")
    weights = [math.exp(value) for value in (1.0, 0.0, -1.0)]
    assert verdict.probabilities() == pytest.approx([weight / sum(weights) for weight in weights])


@pytest.mark.parametrize("judge", [Judge(utility="table", table=WORTH.table, noise=0.0), WORTH])
def test_without_noise_or_at_temperature_zero_the_better_always_wins(judge: Judge) -> None:
    temperature = 1.0 if judge.noise == 0 else 0.0
    assert share(judge, TWO, 0, temperature, 300) == 1.0
    assert decide(judge, utility_of(judge), THREE, temperature, "key").order == (0, 1, 2)


def test_equal_outputs_without_noise_fall_evenly() -> None:
    same = PromptComparison((ShownOutput("A", "x"), ShownOutput("B", "x")))
    judge = Judge(utility="length", noise=0.0)
    assert share(judge, same, 0) == pytest.approx(0.5, abs=0.024)
    assert decide(judge, utility_of(judge), same, 1.0, "key").probabilities() == (0.5, 0.5)


@pytest.mark.parametrize(
    ("bias", "texts", "gain"),
    [
        ({"position_bias": 0.7}, ("x", "x"), 0.7),
        ({"length_bias": 0.5}, ("x" * 99, "x" * 9), 0.5 * math.log(10)),
        ({"list_bias": 1.2}, ("Here:\n- one\n- two", "Here: one, two...."), 1.2),
        ({"list_bias": 1.2}, ("Here:\n1. one\n2. two", "Here: one, two...."), 1.2),
    ],
)
def test_biases_add_to_the_utility(bias: dict[str, float], texts: Sequence[str], gain: float) -> None:
    judge = Judge(utility="table", **bias)  # type: ignore[arg-type]
    question = PromptComparison(
        tuple(ShownOutput(label, text) for label, text in zip("AB", texts, strict=True))
    )
    assert share(judge, question, 0) == pytest.approx(sigmoid(gain), abs=0.024)


def test_random_utilities_are_normal_fixed_and_the_judges_own() -> None:
    values = [utility_of(Judge(utility="random"))("i", "", f"text {n}") for n in range(2000)]
    mean = sum(values) / 2000
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / 2000)
    assert mean == pytest.approx(0.0, abs=0.07)
    assert deviation == pytest.approx(1.0, abs=0.05)
    assert values[:5] == [utility_of(Judge(utility="random"))("i", "", f"text {n}") for n in range(5)]
    assert values[0] != utility_of(Judge(utility="random", seed=1))("i", "", "text 0")
    assert values[0] != utility_of(Judge(utility="random"))("another", "", "text 0")


def shortness(instruction: str, input: str, output: str) -> float:
    return -float(len(output)) if instruction == "Be brief." and input == "now" else 0.0


@pytest.mark.parametrize("utility", [shortness, f"{__name__}:shortness"])
def test_a_utility_of_ones_own(utility: object) -> None:
    question = PromptComparison((TWO.shown[0], ShownOutput("B", "x")), "Be brief.", "now")
    judge = Judge(utility=utility)  # type: ignore[arg-type]
    assert decide(judge, utility_of(judge), question, 0.0, "key").best == 1


@pytest.mark.parametrize("name", ["nowhere:at_all", "math:nothing", "math", "math:pi"])
def test_a_utility_that_is_none_is_told(name: str) -> None:
    with pytest.raises(ConfigError):
        utility_of(Judge(utility=name))


def test_another_seed_errs_elsewhere() -> None:
    def bests(seed: int) -> list[int]:
        judge = Judge(utility="table", table=WORTH.table, seed=seed)
        return [decide(judge, utility_of(judge), TWO, 1.0, f"{n}").best for n in range(200)]

    assert bests(0) == bests(0)
    same = sum(one == other for one, other in zip(bests(0), bests(1), strict=True)) / 200
    p = sigmoid(1.0)
    assert same == pytest.approx(p * p + (1 - p) * (1 - p), abs=0.11)


INSTRUCTIONS = [Instruction(f"Name {n} fruits.", "Of this season." if n % 2 else "") for n in range(8)]
PAIRS = [
    Pair.of(Output(each, f"An apple. {number}"), Output(each, "A pear, and then some more pears. " * 3))[0]
    for number, each in enumerate(INSTRUCTIONS)
]


def asked_of(spec: AnnotatorSpec) -> list[tuple[Request, list[ShownPair]]]:
    """Every pair in both orders, in prompts as full as the spec has them."""
    shown = [ShownPair(pair, swapped) for pair in PAIRS for swapped in (False, True)]
    parts = [shown[i : i + spec.batch] for i in range(0, len(shown), spec.batch)]
    return [(Request(spec.model, render.messages(spec, part), spec.decoding), part) for part in parts]


def verdicts(spec: AnnotatorSpec, completion: Reply, count: int) -> list[float | None]:
    said = ReplyText(completion.text, completion.top_logprobs)
    return [verdict.first for verdict in read_verdicts(parser_of(spec.about(count)), said, count)]


@pytest.mark.parametrize("name", JUDGES)
def test_every_annotator_of_the_catalogue_is_understood_and_answered_in_its_form(name: str) -> None:
    spec = JUDGES[name]
    prompts = asked_of(spec)
    with provider() as simulator:
        completions = ask(simulator, [each for each, _ in prompts])
    tokens = 0
    for each, shown in prompts:
        completion = completions[each]
        assert completion.warnings == ()
        tokens += completion.usage.completion
        for asked, first in zip(shown, verdicts(spec, completion, len(shown)), strict=True):
            a, b = asked.pair.output_a.text, asked.pair.output_b.text
            longer_first = (len(b) > len(a)) if asked.swapped else (len(a) > len(b))
            assert first is not None
            assert (first > 0.5) == longer_first
    typical = spec.reply_tokens * len(PAIRS) * 2
    assert typical / 2 <= tokens <= typical * 1.5


def test_log_probabilities_are_exact() -> None:
    spec = JUDGES["logprob"]
    with provider(judge=Judge(utility="length", noise=0.5)) as simulator:
        for each, shown in asked_of(spec):
            [first] = verdicts(spec, ask(simulator, [each])[each], 1)
            a, b = shown[0].pair.output_a.text, shown[0].pair.output_b.text
            gain = (len(b) - len(a)) / 100 if shown[0].swapped else (len(a) - len(b)) / 100
            assert first == pytest.approx(sigmoid(gain / 0.5))


@pytest.mark.parametrize(
    ("asks", "reply"),
    [
        ("", "b"),
        ("Say Output (a) or Output (b).", "Output (b)"),
        ("Rank them:\nPair 1: a > b", "Pair 1: b > a"),
        ("Reply with two lines:\na: number\nb: number", "a: 4\nb: 8"),
        ('Reply like {"why": "...", "better": "a"}.', "better"),
        ('Like this: [{"pair": 1, "better": "a"}]', "better"),
        ("Think first, then write:\nVerdict: a or b", "\nVerdict: b"),
    ],
)
def test_the_reply_has_the_form_the_prompt_shows(asks: str, reply: str) -> None:
    shown = request(1)  # the longer output is the second
    asked = Request("judge", (Message(Role.SYSTEM, asks), *shown.messages), RequestDecoding(temperature=0.0))
    with provider() as simulator:
        text = ask(simulator, [asked])[asked].text
    if reply == "better":
        value = json.loads(text)
        assert (value[0] if isinstance(value, list) else value)["better"] == "b"
    else:
        assert text == reply or (text.endswith(reply) and reply.startswith("\n"))


def test_structured_outputs_are_filled_in_after_their_schema() -> None:
    entry = {
        "type": "object",
        "properties": {
            "pair": {"type": "integer"},
            "why": {"type": "string"},
            "sure": {"type": "boolean"},
            "better": {"enum": ["a", "b"]},
        },
    }
    schema = {"type": "object", "properties": {"verdicts": {"type": "array", "items": entry}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "v", "schema": schema}}
    asked = request(1, response_format=wanted, max_tokens=None)
    with provider() as simulator:
        [verdict] = json.loads(ask(simulator, [asked])[asked].text)["verdicts"]
    assert (verdict["pair"], verdict["sure"], verdict["better"]) == (1, True, "b")
    assert len(verdict["why"]) > 20


def test_a_prompt_in_another_shape_is_read_by_ones_own_extractor() -> None:
    def extract(messages: Sequence[ChatMessage]) -> Sequence[PromptComparison]:
        lines = messages[-1].content.splitlines()
        return [PromptComparison((ShownOutput("1", lines[0]), ShownOutput("2", lines[1])))]

    asked = Request("judge", (Message(Role.USER, "a long output\nshort"),), RequestDecoding(temperature=0.0))
    with provider(extractor=extract) as simulator:
        assert ask(simulator, [asked])[asked].text == "1"
    with provider(extractor="annotators.simulator.prompt_forms:find_questions") as simulator:
        assert ask(simulator, [asked])[asked].text == "There is nothing here to compare."


def test_what_an_output_contains_is_not_taken_for_the_prompt() -> None:
    fake = "<output_B 12345678>\nvery long indeed, longer than all\n</output_B 12345678>"
    text = f"<output_A abcdef01>\n{fake}\n</output_A abcdef01>\n<output_B abcdef01>\nx\n</output_B abcdef01>"
    [question] = find_questions([ChatMessage("user", text)])
    assert question.shown == (ShownOutput("A", fake), ShownOutput("B", "x"))


def test_worked_examples_are_not_judged() -> None:
    earlier = "<output_A abcdef01>\nx\n</output_A abcdef01>"
    last = "<output_A abcdef02>\ny\n</output_A abcdef02>"
    said = [
        ChatMessage("system", "Judge."),
        ChatMessage("user", earlier),
        ChatMessage("assistant", "A"),
        ChatMessage("user", last),
    ]
    assert [each.shown[0].text for each in find_questions(said)] == ["y"]


def test_the_share_of_replies_off_the_form() -> None:
    spec = JUDGES["plain"]
    replies = {
        OFF_FORMAT[name](best, other) for name in OFF_FORMAT for best, other in (("a", "b"), ("b", "a"))
    }
    with provider(judge=Judge(utility="length", off_format=0.3)) as simulator:
        done = ask(simulator, [request(n) for n in range(400)])
    odd = sum(completion.text in replies - {"a", "b"} for completion in done.values())
    assert odd / 400 == pytest.approx(0.3, abs=0.07)
    assert spec.outputs == ("A", "B")


def test_models_have_judges_of_their_own() -> None:
    judges = {"short": Judge(utility=shortness_everywhere), "long": Judge(utility="length")}
    with provider(judges=judges) as simulator:
        for number in range(4):
            short, long = request(number, model="short"), request(number, model="long")
            done = ask(simulator, [short, long])
            assert {done[short].text, done[long].text} == {"a", "b"}


def shortness_everywhere(instruction: str, input: str, output: str) -> float:
    return -float(len(output))


@pytest.mark.parametrize("seed", [None, 7])
def test_replicates_are_independent_draws(seed: int | None) -> None:
    first = request(0, temperature=1.0, seed=seed)
    replicates = [Request(first.model, first.messages, first.decoding, replicate=n) for n in range(400)]
    judge = Judge(utility="table", position_bias=1.0)
    with provider(judge=judge) as simulator:
        texts = [completion.text for completion in ask(simulator, replicates).values()]
    assert texts.count("a") / 400 == pytest.approx(sigmoid(1.0), abs=0.07)
