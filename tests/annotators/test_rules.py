"""The baselines with no model, and the oracle."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotators import catalogue
from annotators.noise import LabelNoise
from annotators.rules import ORACLE, RULES, RuleAnnotator, has_list, load_utility
from annotators.spec import AnnotatorSpec
from db.errors import ConfigError
from db.records import AnnotationStatus, AnnotatorKind, Instruction, Output, Pair

LIST = "Steps:\n- wash\n- dry"


def rule(name: str, **changes: Any) -> RuleAnnotator:
    return RuleAnnotator.of(AnnotatorSpec(name, AnnotatorKind.RULE, rule=name, **changes))


def pair(a: str, b: str, instruction: str = "Say hi.", given: str = "") -> Pair:
    asked = Instruction(instruction, given)
    return Pair(Output(asked, a, "m"), Output(asked, b, "n"))


@pytest.mark.parametrize(
    ("name", "a", "b", "preference"),
    [
        ("longest", "hello", "hi", 1),
        ("longest", "hi", "hello", 0),
        ("longest", "same", "size", 0.5),
        ("longest", "日本語", "abcd", 0),
        ("shortest", "hello", "hi", 0),
        ("shortest", "same", "size", 0.5),
        ("list-lover", LIST, "Wash, then dry.", 1),
        ("list-lover", "Wash, then dry.", LIST, 0),
        ("list-lover", LIST, LIST + "\n- fold", 0.5),
        ("list-lover", "no", "list", 0.5),
    ],
)
@pytest.mark.parametrize("swapped", [False, True, None])
def test_verdicts_in_canonical_order(
    name: str, a: str, b: str, preference: float, swapped: bool | None
) -> None:
    judgement = rule(name).judge(pair(a, b), swapped=swapped)
    assert (judgement.preference, judgement.label, judgement.status) == (
        preference,
        preference,
        AnnotationStatus.OK,
    )
    assert swapped is None or judgement.swapped is swapped


def test_first_prefers_what_is_shown_first() -> None:
    judge = rule("first")
    assert judge.judge(pair("a", "b"), swapped=False).preference == 1
    assert judge.judge(pair("a", "b"), swapped=True).preference == 0


def test_random_is_fair_stable_and_tossed_anew() -> None:
    judge = rule("random")
    pairs = [pair("a", f"b{i}") for i in range(2000)]
    first = [judge.judge(each).preference for each in pairs]
    assert first == [judge.judge(each).preference for each in pairs]
    again = [judge.judge(each, replicate=1).preference for each in pairs]
    orders = [[judge.judge(each, swapped=swapped).preference for each in pairs] for swapped in (False, True)]
    # 2,000 fair coins: a standard error of 22.4, so six of them are 134.
    for one, two in ((first, again), (orders[0], orders[1])):
        assert abs(sum(x == 1 for x in one) - 1000) < 134
        assert abs(sum(x == y for x, y in zip(one, two, strict=True)) - 1000) < 134


def test_another_seed_is_another_annotator_with_other_draws() -> None:
    one, two = rule("random"), rule("random", seed=1)
    assert one.id != two.id
    pairs = [pair("a", f"b{i}") for i in range(50)]
    assert [one.judge(each) for each in pairs] != [two.judge(each) for each in pairs]


def test_the_card_is_the_identity() -> None:
    judge = rule("longest")
    assert judge.id == judge.card().key
    assert judge.card().spec["rule"] == "longest"


def test_noise_is_applied_beside_the_preference() -> None:
    judge = rule("longest", noise=LabelNoise(0.5))
    judged = [judge.judge(pair("long" + "g" * i, "x")) for i in range(100)]
    assert {each.preference for each in judged} == {1}
    assert {each.label for each in judged} == {0, 1}


def test_noise_that_replaces_spares_the_rule() -> None:
    judge = rule("longest", noise=LabelNoise(0.5, replace=True))
    assert judge.judge(pair("long", "x")).preference is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (LIST, True),
        ("1. one\n2. two", True),
        ("  * one\n\n  * two", True),
        ("1) one\n2) two", True),
        ("• one\n• two", True),
        ("- one", False),
        ("well-known - not a list - at all", False),
        ("3.14 is pi\n2.71 is e", False),
        ("-- \n--", False),
        ("", False),
        ("\n" * 100_000 + " " * 100_000, False),
    ],
)
def test_what_is_a_list(text: str, expected: bool) -> None:
    assert has_list(text) is expected


@given(st.text(), st.text())
def test_rules_do_not_mind_the_order_unless_order_is_what_they_judge(a: str, b: str) -> None:
    for name in RULES.keys() - {"first", "random"}:
        judge = rule(name)
        straight, turned = (judge.judge(pair(a, b), swapped=swapped).preference for swapped in (False, True))
        assert straight == turned
        assert judge.judge(pair(b, a), swapped=False).preference == 1 - (straight or 0)


ORACLES = """
def utility(instruction, input, output):
    return len(output) if input == "longer" else -len(output)

def preference(instruction, input, output_1, output_2):
    return 0.9 if output_1 > output_2 else 0.2

def refuses(instruction, input, output):
    raise LookupError("no utility\\nknown")

def nan(instruction, input, output):
    return float("nan")

def outside(instruction, input, output_1, output_2):
    return 1.5

def wrong(output):
    return 0.0

class Scale:
    def __call__(self, instruction, input, output, *, unit=1):
        return unit * len(output)

scale = Scale()
number = 3
"""


@pytest.fixture
def oracles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = tmp_path / "some_oracles.py"
    path.write_text(ORACLES)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield path
    sys.modules.pop("some_oracles", None)


def oracle(name: str) -> RuleAnnotator:
    spec = catalogue.load(ORACLE)
    assert isinstance(spec, AnnotatorSpec)
    return RuleAnnotator.of(spec, f"some_oracles:{name}")


@pytest.mark.usefixtures("oracles")
def test_an_oracle_of_utilities() -> None:
    for swapped in (False, True):
        assert oracle("utility").judge(pair("hello", "hi", given="longer"), swapped=swapped).preference == 1
        assert oracle("utility").judge(pair("hello", "hi"), swapped=swapped).preference == 0
        assert oracle("utility").judge(pair("ab", "cd"), swapped=swapped).preference == 0.5
        assert oracle("scale").judge(pair("hello", "hi"), swapped=swapped).preference == 1


@pytest.mark.usefixtures("oracles")
def test_an_oracle_of_preferences_sees_the_shown_order() -> None:
    assert oracle("preference").judge(pair("b", "a"), swapped=False).preference == 0.9
    assert oracle("preference").judge(pair("b", "a"), swapped=True).preference == pytest.approx(0.8)


@pytest.mark.usefixtures("oracles")
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("refuses", "LookupError: no utility known"),
        ("nan", "ValueError: the oracle's utility is not a number"),
        ("outside", "ValueError: the oracle's preference is 1.5, not in [0, 1]"),
    ],
)
def test_an_oracle_that_fails_makes_a_failed_judgement(name: str, reason: str) -> None:
    judgement = oracle(name).judge(pair("a", "b"))
    assert (judgement.preference, judgement.label) == (None, None)
    assert (judgement.status, judgement.reason) == (AnnotationStatus.FAILED, reason)


def test_changed_code_is_another_oracle(oracles: Path) -> None:
    before = oracle("utility").id
    oracles.write_text(ORACLES + "\n# now otherwise\n")
    assert oracle("utility").id != before


@pytest.mark.usefixtures("oracles")
@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("", "names no utility"),
        ("some_oracles", "names no utility"),
        ("some_oracles:none", "cannot be loaded"),
        ("no_such_module:f", "PYTHONPATH"),
        ("some_oracles:number", "is not callable"),
        ("some_oracles:wrong", "does not take"),
    ],
)
def test_an_oracle_that_cannot_be(name: str, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        load_utility(name)


def test_an_unknown_rule_is_named_with_its_neighbour() -> None:
    with pytest.raises(ConfigError, match="did you mean 'longest'"):
        rule("longst")


def test_a_utility_is_for_the_oracle_alone() -> None:
    with pytest.raises(ConfigError, match="takes no utility"):
        RuleAnnotator.of(rule("longest").spec, "some.module:utility")
