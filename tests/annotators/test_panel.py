"""The rules of panels and cascades: values by hand, files that test themselves, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from annotators import catalogue
from annotators.cascade import CascadeRule
from annotators.composite import Composite, MakingRule, Ruling, Vote
from annotators.panel import Combine, PanelRule, Reliability
from annotators.spec import AnnotatorSpec
from db.errors import ConfigError
from db.records import AnnotatorKind

MEMBERS = tuple(AnnotatorSpec(name, AnnotatorKind.LLM, model=name) for name in ("one", "two", "three"))


def ruling(rule: MakingRule, *preferences: float | None, stage: int = 0) -> Ruling:
    return rule.stages[stage].rule([Vote(k, each) for k, each in enumerate(preferences)])


def verdict(rule: MakingRule, *preferences: float | None) -> float | None:
    found = ruling(rule, *preferences).verdict
    assert found is not None
    return found.first


def test_the_mean_keeps_how_sure_members_are_and_the_majority_counts_sides() -> None:
    mean, majority = (PanelRule(MEMBERS, combine) for combine in (Combine.MEAN, Combine.MAJORITY))
    assert verdict(mean, 1.0, 0.75, 0.25) == pytest.approx(2 / 3)
    assert verdict(majority, 1.0, 0.75, 0.25) == 1.0
    assert verdict(majority, 0.4, 0.1, 1.0) == 0.0
    assert verdict(majority, 0.5, 0.5, 1.0) == 0.5
    assert verdict(majority, 1.0, 0.5, 0.0) == 0.5  # three sides with one vote each are a tie
    assert verdict(majority, None, 1.0, 0.0) == 0.5
    assert verdict(majority, None, None, 0.2) == 0.0
    assert verdict(mean, None, None, None) is None


def test_a_panel_of_a_gate_leaves_what_too_few_agree_on() -> None:
    gated = PanelRule(MEMBERS, Combine.MEAN, least_agreement=2 / 3)
    assert verdict(gated, 1.0, 0.8, 0.1) == pytest.approx(1.9 / 3)
    assert ruling(gated, 1.0, 0.5, 0.1) == Ruling(None, "1 of 3 members agree")
    assert ruling(gated, 1.0, None, None) == Ruling(None, "1 of 3 members agree")  # silence is no agreement
    assert ruling(gated).verdict is None
    two_left = gated.stages[0].rule([Vote(0, 1.0), Vote(2, 0.9)])  # the second is recused
    assert two_left.verdict is not None


def test_dawid_and_skenes_posterior_by_hand() -> None:
    """Two members say first, which is true a priori half of the time and false the other half.

    The first is right 9 times in 10, the second 6 in 10, ties aside (0.001 of each row is a tie):
    9 x 6 to 1 x 4 are the odds of two votes that agree, and 9 x 4 to 1 x 6 where the second contradicts.
    """

    def table(right: float) -> tuple[tuple[float, ...], ...]:
        wrong = 1 - right
        rows = [[right, 0.0, wrong], [1 / 3, 1 / 3, 1 / 3], [wrong, 0.0, right]]
        return tuple(tuple(0.999 * cell + 0.001 / 3 for cell in row) for row in rows)

    known = Reliability((table(0.9), table(0.6)), (0.5 - 5e-7, 1e-6, 0.5 - 5e-7))
    rule = PanelRule(MEMBERS[:2], Combine.DAWID_SKENE, reliability=known)
    assert verdict(rule, 1.0, 1.0) == pytest.approx(54 / 58, abs=1e-3)
    assert verdict(rule, 1.0, 0.0) == pytest.approx(36 / 42, abs=1e-3)
    assert verdict(rule, None, 0.9) == pytest.approx(0.6, abs=1e-3)
    assert "not fitted yet" in PanelRule(MEMBERS, Combine.DAWID_SKENE).lacking


def test_a_cascade_asks_on_where_a_judge_is_unsure() -> None:
    rule = CascadeRule(MEMBERS[:2], (0.9, 0.7))
    assert verdict(rule, 0.1) == 0.1  # sure of the second output
    assert ruling(rule, 0.89) == Ruling(None, "confidence 0.89, less than 0.90")
    assert ruling(rule, None).verdict is None
    assert ruling(rule, 0.69, stage=1).verdict is None
    assert "least_confidence" in CascadeRule(MEMBERS, (0.9, None, None)).lacking


def panel(path: Path, *lines: str) -> str:
    path.write_text("\n".join(["kind: panel", "name: trio", *lines]))
    return str(path)


TWO = "members: [{annotator: plain}, {annotator: rating}]"


def test_what_changes_a_judgement_changes_the_fingerprint(tmp_path: Path) -> None:
    said: tuple[list[str], ...] = (
        [],
        ["combine: mean"],
        ["least_agreement: 1"],
        ["contested: {annotator: judge}"],
        ["seed: 3"],
    )
    loaded = [catalogue.load(panel(tmp_path / "p.yaml", TWO, *more)) for more in [*said, ["recuse: family"]]]
    assert len({each.fingerprint for each in loaded}) == len(loaded)
    assert all(isinstance(each, Composite) and each.card.kind is AnnotatorKind.PANEL for each in loaded)
    other = "members: [{annotator: plain}, {annotator: rating, model: large}]"
    assert catalogue.load(panel(tmp_path / "p.yaml", other)).fingerprint != loaded[0].fingerprint


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        (["members: [{annotator: plain}]"], "a panel has 2 members or more"),
        (["members: [{annotator: plain}, {annotator: plain}]"], "two members have one name"),
        (["members: [{annotator: plain}, {annotator: crowd}]"], "crowd has label noise"),
        (["members: [{annotator: plain}, {annotator: ratng}]"], "did you mean 'rating'"),
        (["members: [{annotator: plain, parsr: x}, {annotator: rating}]"], "did you mean 'parser'"),
        (["members: [{annotator: plain}, {annotator: jury, model: x}]"], "nothing of it is changed here"),
        ([TWO, "combine: median"], "'median' is none of its values"),
        ([TWO, "least_agreement: 1.5"], "expected a number from 0 to 1"),
        ([TWO, "examples: [{votes: {plain: first}, expect: second}]"], r"expect: the votes give 1"),
        ([TWO, "examples: [{votes: {plan: first}, expect: first}]"], "no member, did you mean 'plain'"),
        ([TWO, "combine: dawid-skene", "confusion: [[1, 2]]"], "three rows of three chances"),
        ([TWO, "thresholds: 3"], "unknown key"),
    ],
)
def test_a_wrong_file_is_told_what_is_wrong(tmp_path: Path, lines: list[str], what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        catalogue.load(panel(tmp_path / "p.yaml", *lines))


def test_a_panel_is_not_made_of_itself(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    with pytest.raises(ConfigError, match="made of itself"):
        catalogue.load(panel(path, f"members: [{{annotator: plain}}, {{annotator: {path}}}]"))


def test_a_cascades_file_tests_itself_and_names_its_decider(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    text = (
        "kind: cascade\nname: two\nmembers:\n- {annotator: logprob, least_confidence: 0.9}\n"
        "- {annotator: judge}\nexamples: [{votes: {logprob: 0.95}, expect: 0.95, by: %s}]\n"
    )
    path.write_text(text % "logprob")
    assert isinstance(catalogue.load(str(path)), Composite)
    path.write_text(text % "judge")
    with pytest.raises(ConfigError, match=r"the votes give 0\.95 by logprob"):
        catalogue.load(str(path))


def test_one_judge_alone_is_a_cascade_where_it_has_a_threshold(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("kind: cascade\nname: one\nmembers:\n- {annotator: logprob}\n")
    with pytest.raises(ConfigError, match="2 members or more, or 1 with a least_confidence"):
        catalogue.load(str(path))
    path.write_text("kind: cascade\nname: one\nmembers:\n- {annotator: logprob, least_confidence: 0.7}\n")
    loaded = catalogue.load(str(path))
    assert isinstance(loaded, Composite)
    assert loaded.rule.lacking == ""
