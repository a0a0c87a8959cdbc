"""One judge asked until its side is clear: values by hand, estimates without bias, files, what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import comb
from pathlib import Path

import numpy as np
import pytest

from annotators import catalogue
from annotators.composite import Composite, Ruling, Stage, Vote
from annotators.sequential import Outlook, Says, SequentialRule, StoppingRule, below_half, outlook, unbiased
from annotators.spec import AnnotatorSpec
from db.errors import ConfigError
from db.records import AnnotatorKind

JUDGE = AnnotatorSpec("judge", AnnotatorKind.LLM, model="m")
TWO_OF_THREE = StoppingRule(sure=0.87, most=3)
"""Two votes alike have a posterior of 1 − 2⁻³ = 0.875 and decide; the third draw is the last."""


def asked(stages: Sequence[Stage], votes: Sequence[float | None]) -> tuple[Ruling, int]:
    """What comes of votes that are drawn one after the other, and after how many of them."""
    found, used = Ruling(None), 0
    for stage in stages:
        used = stage.draws.stop
        found = stage.rule([Vote(0, vote) for vote in votes[:used]])
        if found.verdict:
            break
    return found, used


def test_the_posterior_is_a_sum_of_binomial_chances() -> None:
    """P(Beta(a, b) < ½) = P(Bin(a + b − 1, ½) ≥ a) for whole numbers."""
    for a, b in product(range(1, 6), repeat=2):
        n = a + b - 1
        assert below_half(a, b) == pytest.approx(sum(comb(n, k) for k in range(a, n + 1)) / 2**n, abs=1e-12)


def test_a_side_is_decided_by_hand() -> None:
    """Four votes alike: 1 − 2⁻⁵ = 0.96875; three: 0.9375. Five to one: P(Bin(7, ½) ≤ 5) = 120/128."""
    rule = StoppingRule()
    assert rule.fewest == 4
    assert rule.side([1.0] * 4) == 1.0
    assert rule.side([0.0] * 4) == 0.0
    assert rule.side([1.0] * 3) is None
    assert rule.side([1.0] * 5 + [0.0]) is None
    assert StoppingRule(sure=0.93).side([1.0] * 5 + [0.0]) == 1.0
    assert rule.side([0.5] * 40) is None
    assert StoppingRule(sure=0.999, most=5).fewest == 5


def test_the_estimate_by_hand() -> None:
    """Votes 1, 1, 0 can have come as 101 and 011, since 11 would have ended it: ½, where their mean is ⅔."""
    assert unbiased((0.0, 1.0, 1.0), TWO_OF_THREE) == 0.5
    assert unbiased((0.0, 0.0, 1.0), TWO_OF_THREE) == 0.5
    assert unbiased((1.0, 1.0), TWO_OF_THREE) == 1.0
    assert unbiased((0.5, 0.5, 1.0), StoppingRule(most=3)) == pytest.approx(2 / 3), "no stop: the mean"


def test_the_outlook_by_hand() -> None:
    """θ = 0.8: 11 with chance 0.64, 00 with 0.04, 101 and 011 with 0.128 each, 100 and 010 with 0.032."""
    found = outlook(TWO_OF_THREE, 0.8)
    expected = Outlook(
        draws=2.32, first=0.64, second=0.04, mean=0.8, of_votes=0.64 + 0.256 * 2 / 3 + 0.064 / 3
    )
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("sure", [0.8, 0.95, 0.99])
@pytest.mark.parametrize("most", [1, 4, 9, 12])
def test_the_mean_has_no_bias_and_that_of_the_votes_has_one(sure: float, most: int) -> None:
    rule = StoppingRule(sure, most)
    for chance in (0.0, 0.1, 0.5, 0.7, 0.95, 1.0):
        found = outlook(rule, chance)
        assert found.mean == pytest.approx(chance, abs=1e-12)
        assert found.draws <= most + 1e-9
        if 0.5 < chance < 1 and rule.fewest < most:
            assert found.of_votes > chance + 1e-4, "votes that agree stop it"


def test_ties_soft_votes_and_unreadable_draws_leave_it_without_bias() -> None:
    """All sequences of six draws, each with its chance: the mean judgement is the mean vote, exactly."""
    chances = {1.0: 0.45, 0.5: 0.15, 0.2: 0.2, None: 0.2}
    stages = SequentialRule(JUDGE, StoppingRule(sure=0.8, most=6)).stages
    weight, total, ends = 0.0, 0.0, set()
    for votes in product(chances, repeat=6):
        chance = float(np.prod([chances[vote] for vote in votes]))
        found, used = asked(stages, votes)
        ends.add(used)
        assert found.verdict is not None
        if found.verdict.first is None:
            assert votes == (None,) * 6
        else:
            weight, total = weight + chance, total + chance * found.verdict.first
    assert len(ends) > 3
    assert total / weight == pytest.approx((0.45 + 0.15 * 0.5 + 0.2 * 0.2) / 0.8, abs=1e-12)


@pytest.mark.parametrize("chance", [0.5, 0.65, 0.9])
def test_simulated_judgements_are_as_theory_says(chance: float) -> None:
    """4,000 judgements by the stages, within four standard errors: mean, draws, sides, bias of the votes."""
    rule = StoppingRule(sure=0.9, most=9)
    mean, side = (SequentialRule(JUDGE, rule, says).stages for says in Says)
    drawn = (np.random.default_rng(1).random((4_000, 9)) < chance).astype(float)
    rows = []
    for votes in drawn.tolist():
        found, used = asked(mean, votes)
        decided = asked(side, votes)[0].verdict
        assert found.verdict is not None
        first = decided.first if decided else None
        rows.append((used, first == 1, first == 0, found.verdict.first, np.mean(votes[:used])))
    seen = np.array(rows, float)
    error = np.maximum(seen.std(axis=0), 1e-9) / len(seen) ** 0.5
    assert (np.abs(seen.mean(axis=0) - np.array(outlook(rule, chance))) < 4 * error).all()


def test_a_side_that_is_not_clear_stays_open() -> None:
    stages = SequentialRule(JUDGE, StoppingRule(most=5), Says.SIDE).stages
    found, used = asked(stages, (1.0, 0.0, 1.0, 0.0, 1.0))
    assert (found, used) == (Ruling(None, "undecided after 5 draws"), 5)
    found, used = asked(stages, (0.0, 0.0, 0.0, 0.0))
    assert (found.verdict and found.verdict.first, used) == (0.0, 4)
    found, _ = asked(stages, (None,) * 5)
    assert found.verdict is not None
    assert found.verdict.first is None
    assert stages[0].rule([]).reason == "every member is recused"


FILE = """kind: sequential
name: until-clear
sure: 0.95
most: 6
members:
  - {annotator: judge}
examples:
  - {votes: [first, first, first, first], expect: first}
  - {votes: [first, unreadable, first, first, first], expect: first}
  - {votes: [first, tie, second, first, second, first], expect: 0.5833333}
"""


def test_a_file_tests_itself_and_its_rule_is_in_the_identity(tmp_path: Path) -> None:
    def loaded(text: str) -> Composite:
        (tmp_path / "a.yaml").write_text(text)
        found = catalogue.load(str(tmp_path / "a.yaml"))
        assert isinstance(found, Composite)
        return found

    plain, bare = loaded(FILE), FILE[: FILE.index("examples")]
    assert loaded(bare).fingerprint == plain.fingerprint
    assert plain.card.kind is AnnotatorKind.SEQUENTIAL
    changes = ("sure: 0.9", "most: 7", "prior: 2", "says: side")
    changed = [loaded(bare.replace("sure: 0.95\nmost: 6\n", line + "\n")).fingerprint for line in changes]
    assert len({plain.fingerprint, *changed}) == 1 + len(changes)
    with pytest.raises(ConfigError, match="the votes give 1 after 4 draws"):
        loaded(FILE.replace("expect: first", "expect: tie", 1))
    with pytest.raises(ConfigError, match="the votes give 1 after 4 draws"):
        loaded(FILE.replace("[first, first, first, first]", "[first, first, first, first, first]"))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("sure: 0.95", "sure: 1", "between 0.5 and 1, and neither"),
        ("most: 6", "most: 13", "a whole number from 1 to 12"),
        ("most: 6", "prior: 0", "a number above 0"),
        ("- {annotator: judge}", "- {annotator: judge}\n  - {annotator: plain}", "there is 1 member"),
        ("{annotator: judge}", "{annotator: longest}", "longest says the same each time"),
        ("{annotator: judge}", "{annotator: reward-model}", "reward-model says the same each time"),
        ("{annotator: judge}", "{annotator: frugal}", "frugal is made of others"),
        ("{annotator: judge}", "{annotator: ranking}", "ranking judges several outputs in one reply"),
        ("most: 6", "mots: 6", "did you mean"),
        ("{annotator: judge}", "{annotator: judge, least_confidence: 0.7}", "a member does not change this"),
    ],
)
def test_what_a_file_may_not_say(tmp_path: Path, old: str, new: str, said: str) -> None:
    (tmp_path / "a.yaml").write_text(FILE[: FILE.index("examples")].replace(old, new))
    with pytest.raises(ConfigError, match=said):
        catalogue.load(str(tmp_path / "a.yaml"))
