"""A simulated judge heeds the rules that its prompt names; a simulated proposer writes those that explain."""

from __future__ import annotations

import pytest

from annotators.simulator import ChatMessage, Leaning, SimulatorConfig
from annotators.simulator.config import Utility
from annotators.simulator.judges import heeding
from annotators.simulator.prompt_forms import PromptDisagreement, find_disagreements, orders
from annotators.simulator.proposals import proposal
from db.errors import ConfigError


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


def test_code_in_a_rule_needs_the_users_word() -> None:
    rule = {"utility": "os:getcwd", "weight": 2}
    for entry in ("heeds", "proposes"):
        with pytest.raises(ConfigError, match="Python code"):
            SimulatorConfig.from_mapping({"judge": {entry: {"short": rule}}})
    allowed = SimulatorConfig.from_mapping({"judge": {"heeds": {"short": rule}}}, ["os:getcwd"])
    assert allowed.judge.heeds == {"short": Leaning(utility="os:getcwd", weight=2.0)}
