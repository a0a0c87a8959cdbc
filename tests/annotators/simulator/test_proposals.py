"""A simulated judge heeds the rules that its prompt names and learns from worked examples.

A simulated proposer writes the rules that explain.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from annotators import catalogue
from annotators.render import messages
from annotators.shown import ShownPair
from annotators.simulator import ChatMessage, Leaning, SimulatorConfig
from annotators.simulator.config import Utility
from annotators.simulator.judges import having_learnt, heeding
from annotators.simulator.prompt_forms import (
    PromptDisagreement,
    WorkedExample,
    find_disagreements,
    find_examples,
    find_questions,
    orders,
)
from annotators.simulator.proposals import proposal
from annotators.spec import AnnotatorSpec
from db.errors import ConfigError
from db.records import Instruction, Output, Pair


def length(instruction: str, input: str, output: str) -> float:
    return float(len(output))


def words(instruction: str, input: str, output: str) -> float:
    return float(len(output.split()))


def test_a_rule_counts_only_where_the_prompts_own_text_names_it() -> None:
    heeds: dict[str, Utility] = {"many words": words}
    bare = "Which is better?\n<output_A 0a1b2c>\nmany words\n</output_A 0a1b2c>"
    named = "Which is better? Prefer\n  Many  Words."
    for text, worth in ((bare, 9.0), (named, 11.0)):
        told = orders([ChatMessage("user", text)])
        assert heeding(length, heeds, told)("i", "", "two words") == worth


def test_the_rules_that_explain_most_disagreements_are_written_first() -> None:
    shown = [
        PromptDisagreement("i", "", "a b c", "abcdefgh"),  # more words, shorter
        PromptDisagreement("i", "", "a b", "a"),  # more words, longer
        PromptDisagreement("i", "", "abc", "abcdef"),  # as many words, shorter
    ]  # words explain 2.5 of 3, length 1, shortness 2
    rules: dict[str, Utility] = {"length": length, "words": words, "short": lambda *texts: -length(*texts)}
    assert proposal(rules, shown, "Write 2 rules.") == "Rule: words\nRule: short"
    assert proposal(rules, shown, "").splitlines() == ["Rule: words", "Rule: short", "Rule: length"]


def test_disagreements_are_read_from_their_marks() -> None:
    texts = {"instruction": "Say it.", "people_preferred": "yes", "judge_preferred": "no"}
    block = "\n".join(f"<{mark} 0a1b2c>\n{text}\n</{mark} 0a1b2c>" for mark, text in texts.items())
    alone = "<people_preferred 0d0d0d>\nx\n</people_preferred 0d0d0d>"
    found = find_disagreements([ChatMessage("user", f"{block}\n{alone}")])
    assert found == [PromptDisagreement("Say it.", "", "yes", "no")]


EXAMPLES = ("structured-list", "ranked-list", "structured", "explained", "plain", "five-point", "criteria")


@pytest.mark.parametrize("name", EXAMPLES)
def test_worked_examples_are_read_from_the_prompts_of_the_catalogue(name: str) -> None:
    """Their verdicts are read as the template writes them, and no question is taken for an example."""
    found = catalogue.load(name)
    assert isinstance(found, AnnotatorSpec)
    shots = tuple(catalogue.shots()[each] for each in ("haiku", "capital", "sum"))
    asked = Instruction("Say it.")
    pair, _ = Pair.of(Output(asked, "yes", "m"), Output(asked, "no", "n"))
    said = messages(replace(found, shots=shots), [ShownPair(pair, swapped=False)])
    chat = [ChatMessage(str(each.role), each.content) for each in said]
    expected = [
        WorkedExample(each.instruction, each.input, *ordered(each.output_1, each.output_2, each.first))
        for each in shots
    ]
    assert find_examples(chat) == expected
    assert [each.instruction for each in find_questions(chat)] == ["Say it."]


def ordered(one: str, other: str, first: bool) -> tuple[str, str]:
    return (one, other) if first else (other, one)


def test_what_examples_teach_is_how_they_lean_on_average() -> None:
    """Two of three examples have more words in the better output, one has fewer: a lean of 1/3."""
    shown = [WorkedExample("i", "", *texts) for texts in (("a b", "a"), ("a b c", "a"), ("a", "a b"))]
    learns: dict[str, Utility] = {"words": words}
    assert having_learnt(length, learns, shown)("i", "", "two words") == pytest.approx(9 + 2 / 3)
    assert having_learnt(length, learns, [])("i", "", "two words") == 9
    assert having_learnt(length, learns, shown[2:])("i", "", "two words") == 7


def test_code_in_a_rule_needs_the_users_word() -> None:
    rule = {"utility": "os:getcwd", "weight": 2}
    for entry in ("heeds", "learns", "proposes"):
        with pytest.raises(ConfigError, match="Python code"):
            SimulatorConfig.from_mapping({"judge": {entry: {"short": rule}}})
    allowed = SimulatorConfig.from_mapping({"judge": {"heeds": {"short": rule}}}, ["os:getcwd"])
    assert allowed.judge.heeds == {"short": Leaning(utility="os:getcwd", weight=2.0)}
