"""The claims of papers: entries that name what there is, verdicts by one rule, a page made of the results."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy import stats

from annotators import catalogue
from annotators.composite import questions_of
from benchmarks import claims as script
from benchmarks import claims_rules
from benchmarks.claims_jobs import kept_rules
from benchmarks.claims_page import table
from benchmarks.claims_parts import Claims, Difference, read
from benchmarks.claims_verdict import OPEN, REFUTED, SEEDS, SHOWN, decided, over_seeds, paired, verdict
from db.errors import ConfigError
from db.ledger import Ledger
from db.queries.contests import contests
from db.records import Instruction, Output
from farm.config import build
from farm.methods import load
from farm.options.quickstart import QuickstartTask
from farm.world.gold import gold

CLAIMS = read()
PAGE = Path(__file__).parents[2] / "docs" / "claims.md"
MORE = Difference("a", "b", "gold", matters=0.02)
AROUND = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])  # Student's 95 % interval of its mean is ± 1.963


@pytest.mark.parametrize("name", [name for name, arm in CLAIMS.arms.items() if arm.options is not None])
def test_every_arm_has_options_that_its_method_has(name: str) -> None:
    arm = CLAIMS.arms[name]
    build(load(arm.method).Config, dict(arm.options or {}), where=[name])


def test_every_arm_is_used_and_judged_arms_buy_no_more_than_they_may() -> None:
    named = {each for claim in CLAIMS.claims.values() for each in claim.arms if each != "sft"}
    assert {*named, *(each for name in named for each in CLAIMS.before(name))} == set(CLAIMS.arms)
    for arm in CLAIMS.arms.values():
        if arm.judge and arm.judgements:
            config = build(load(arm.method).Config, dict(arm.options or {}))
            assert config.max_steps
            rollouts = config.max_steps // getattr(config, "rollout_epochs", 1)
            pairs = 6 if arm.method == "pairwise_grpo" else 1  # all pairs of four responses
            asked = rollouts * config.batch_size * pairs * questions_of(catalogue.load(arm.judge))
            assert 0.99 * arm.judgements < asked <= arm.judgements


@pytest.mark.parametrize(
    ("shift", "expected"),
    [(0.05, SHOWN), (0.021, SHOWN), (0.019, OPEN), (0.0005, OPEN), (0.0, REFUTED), (-0.05, REFUTED)],
)
def test_a_verdict_follows_the_interval(shift: float, expected: str) -> None:
    """The ends are ± 0.0196: 0.021 lies above 0, and 0.0005 reaches 0.0201, which would matter."""
    assert decided(MORE, list(shift + 0.01 * AROUND), 1).verdict == expected


def test_a_small_effect_that_is_certain_is_refuted_if_it_would_not_matter() -> None:
    """0.01 ± 0.00196: surely above 0, and surely below 0.02."""
    assert decided(MORE, list(0.01 + 0.001 * AROUND), 1).verdict == REFUTED


def test_that_little_is_lost_is_shown_beyond_a_bound_below_0() -> None:
    little = replace(MORE, matters=-0.05, beyond=-0.05)
    seen = [decided(little, list(shift + 0.01 * AROUND), 1).verdict for shift in (-0.01, -0.05, -0.08)]
    assert seen == [SHOWN, OPEN, REFUTED]


def test_intervals_are_students_and_wider_where_several_differences_decide() -> None:
    values = [0.1, 0.3, 0.2, 0.5, 0.4]
    for of in (1, 2, 4):
        interval = decided(MORE, values, of).interval
        assert interval is not None
        level = 1 - 0.05 / of
        expected = stats.t.interval(level, 4, loc=np.mean(values), scale=stats.sem(values))
        assert (interval.low, interval.high) == pytest.approx(expected)


def test_absent_and_large_effects_get_the_wrong_verdict_as_rarely_as_promised() -> None:
    """4,000 studies of five seeds: of no effect 2.5 % are shown, of one that just matters 2.5 % refuted."""
    draws = np.random.default_rng(0).normal(0, 0.02, (4000, SEEDS))
    absent = np.mean([decided(MORE, list(each), 1).verdict == SHOWN for each in draws])
    there = np.mean([decided(MORE, list(0.02 + each), 1).verdict == REFUTED for each in draws])
    assert absent == pytest.approx(0.025, abs=0.008)
    assert there == pytest.approx(0.025, abs=0.008)


@pytest.mark.parametrize("seeds", range(SEEDS))
def test_fewer_seeds_decide_nothing(seeds: int) -> None:
    found = decided(MORE, list(9 + 0.001 * AROUND[:seeds]), 1)
    assert found.verdict == OPEN
    assert (found.interval is None) == (seeds < 2)


def test_equal_seeds_have_no_interval_and_no_verdict() -> None:
    assert over_seeds([0.5] * SEEDS) is None
    assert decided(MORE, [0.5] * SEEDS, 1).verdict == OPEN


def test_a_claim_needs_all_its_differences() -> None:
    assert verdict([SHOWN, SHOWN]) == SHOWN
    assert verdict([SHOWN, OPEN]) == OPEN
    assert verdict([SHOWN, OPEN, REFUTED]) == REFUTED


def test_differences_are_of_equal_seeds_and_turned_where_less_is_claimed() -> None:
    found = {0: {"a": {"gold": 0.3}, "b": {"gold": 0.1}}, 1: {"a": {"gold": 0.5}}, 2: {"b": {"gold": 0.4}}}
    assert paired(MORE, found) == pytest.approx([0.2])
    assert paired(replace(MORE, less=True), found) == pytest.approx([-0.2])


def test_at_equal_kl_the_others_are_a_line() -> None:
    """Between (1, .1) and (3, .3) the line is at .2 for a KL of 2. A KL of 9 lies outside."""
    line = Difference("a", ("b", "c"), "gold", matters=0.02, at_equal="kl")
    others = {"b": {"kl": 3.0, "gold": 0.3}, "c": {"kl": 1.0, "gold": 0.1}}
    found = {seed: {"a": {"kl": kl, "gold": 0.25}, **others} for seed, kl in enumerate((2.0, 9.0))}
    assert paired(line, found) == pytest.approx([0.05])


def small(path: Path, **changes: object) -> Claims:
    """A file of two arms and a claim."""
    claim: dict[str, object] = {"paper": "p", "claim": "More.", "world": "w.", "arms": ["a", "b"]}
    decides = {"arm": "a", "over": "b", "by": "gold", "matters": 0.02}
    claim |= {"shows": changes["shows"]} if "shows" in changes else {}
    given = {
        "arms": {"a": {"method": "dpo"}, "b": {"method": "ipo"}, **dict(changes.get("arms", {}))},  # type: ignore[call-overload]
        "claims": {"one": {**claim, "decides": [{**decides, **dict(changes.get("decides", {}))}]}},  # type: ignore[call-overload]
    }
    path.write_text(yaml.safe_dump(given))
    return read(path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"arms": {"c": {"method": "dpo", "start": "nowhere"}}}, "c: there is no 'nowhere'"),
        ({"arms": {"c": {"method": "dpo", "stat": "sft"}}}, "'stat'"),
        ({"decides": {"over": "c"}}, "there is no 'c'"),
        ({"decides": {"by": "golf"}}, "there is no 'golf'.*gold"),
        ({"decides": {"beyond": 0.5}}, "beyond is 0.5, and no more than 0.02 would matter"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path: Path, changes: Mapping[str, object], words: str) -> None:
    with pytest.raises(ConfigError) as error:
        small(tmp_path / "claims.yaml", **changes)
    assert re.search(words, str(error.value))


def test_what_is_told_beside_decides_nothing(tmp_path: Path) -> None:
    """People prefer a by 5 points with the interval [1.07, 8.93]: 5 ± 2.776 · 1.414."""
    beside = {"arm": "a", "over": "b", "by": "people", "matters": 0.02}
    claims = small(tmp_path / "claims.yaml", shows=[beside])
    found = {
        seed: {
            "a": {"gold": 0.0, "people": 0.05 + 0.02 * (seed - 2)},
            "b": {"gold": 0.001 * seed, "people": 0.0},
        }
        for seed in range(SEEDS)
    }
    page = table(claims, found)
    assert f"| {REFUTED} |" in page
    assert "Told beside, and decides nothing: a, less b, people: +5.0 [+1.1, +8.9] (5 seeds)." in page
    with pytest.raises(ConfigError, match="there is no 'c'"):
        small(tmp_path / "wrong.yaml", shows=[{**beside, "over": "c"}])


def test_the_key_of_an_arm_changes_with_what_it_needs(tmp_path: Path) -> None:
    given = {"c": {"method": "ppo", "reward": "b"}}
    one = small(tmp_path / "one.yaml", arms=given)
    other = small(tmp_path / "two.yaml", arms={**given, "b": {"method": "ipo", "options": {"tau": 0.2}}})
    assert one.key("a") == other.key("a")
    assert one.key("c") != other.key("c")


def runs(claims: Claims, leads: list[float]) -> dict[str, dict[str, dict[str, object]]]:
    """Results of seeds in which arm a leads b by so much."""
    return {
        str(seed): {
            arm: {"key": claims.key(arm), "figures": {"gold": 0.1 + lead * (arm == "a")}} for arm in "ab"
        }
        for seed, lead in enumerate(leads)
    }


def test_the_page_has_verdicts_of_five_seeds_alone(tmp_path: Path) -> None:
    claims = small(tmp_path / "claims.yaml")
    rows = []
    for seeds in (1, 4, 5):
        page = table(claims, script.figures(claims, runs(claims, list(0.1 + 0.01 * AROUND[:seeds]))))
        rows += [line for line in page.splitlines() if line.startswith("| one |")]
    assert "a, less b, gold: – (1 seed) | not decidable at this scale: 1 of 5 seeds |" in rows[0]
    assert rows[1].endswith("(4 seeds) | not decidable at this scale: 4 of 5 seeds |")
    assert rows[2].endswith("a, less b, gold: +10.0 [+8.0, +12.0] (5 seeds) | shown |")


def test_runs_of_an_entry_that_has_changed_do_not_count(tmp_path: Path) -> None:
    before = small(tmp_path / "one.yaml")
    after = small(tmp_path / "two.yaml", arms={"b": {"method": "ipo", "options": {"tau": 0.2}}})
    found = script.figures(after, runs(before, [0.1]))
    assert list(found[0]) == ["a"]


def test_results_of_other_scales_and_seeds_stay(tmp_path: Path) -> None:
    path = tmp_path / "claims.json"
    script.keep(path, "small", {"0": {"a": {"key": "k", "figures": {}}}})
    script.keep(path, "tiny", {"1": {}})
    assert script.kept(path, "small") == {"0": {"a": {"key": "k", "figures": {}}}}
    assert script.kept(path, "tiny") == {"1": {}}
    assert script.kept(tmp_path / "none.json", "tiny") == {}


def test_the_page_in_the_docs_is_that_of_the_results() -> None:
    found = script.figures(CLAIMS, script.kept(script.RESULTS, "small"))
    assert PAGE.read_text() == table(CLAIMS, found)


def test_rules_of_claims_read_the_true_features() -> None:
    asked = "Name two fruits for Mia. Be polite."
    said = {
        "Of course, happy to help. cherry and fig.": (True, True, True),
        "cherry, cherry and fig.": (True, False, False),
        "Of course, happy to help. cherry and": (False, True, True),
    }
    rules = (claims_rules.well_formed, claims_rules.not_repetitive, claims_rules.follows)
    assert {text: tuple(rule(asked, "", text) for rule in rules) for text in said} == said
    outputs = [Output(Instruction(asked), text) for text in said]
    names = [f"benchmarks.claims_rules:{rule.__name__}" for rule in rules]
    assert kept_rules(outputs, names) == pytest.approx(1 / 3)
    assert kept_rules(outputs, names[:1]) == pytest.approx(2 / 3)


def test_the_soft_oracle_has_the_gold_difference_as_log_odds() -> None:
    asked, first, second = "Name two fruits for Mia.", "cherry and fig.", "cherry."
    chance = claims_rules.soft_gold(asked, "", first, second)
    lead = gold(asked, "", first) - gold(asked, "", second)
    assert np.log(chance / (1 - chance)) == pytest.approx(lead)
    assert chance > 0.5
    assert claims_rules.soft_gold(asked, "", second, first) == pytest.approx(1 - chance)


@pytest.mark.slow
def test_an_experiment_runs_from_nothing_to_figures_and_not_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A world, a poor start, fresh judgements by a served crowd, and what is measured of the policies."""
    path, task = tmp_path / "claims.json", QuickstartTask(tmp_path / "tiny-0", "tiny", 0, 1)
    claims = Claims(CLAIMS.arms, {"xpo, poor coverage": CLAIMS.claims["xpo, poor coverage"]})
    script.tested(claims, list(claims.claims), task, path)
    found = script.figures(CLAIMS, script.kept(path, "tiny"))[0]
    assert set(found) == set(claims.claims["xpo, poor coverage"].arms)
    for figures in found.values():
        assert set(figures) == {"gold", "people", "kl", "judgements"}
        assert -1 <= figures["gold"] <= 1
        assert figures["kl"] > 0
        assert 0 < figures["judgements"] <= 100  # four steps are two rollouts of 50 pairs
    capsys.readouterr()
    script.tested(claims, list(claims.claims), task, path)
    assert capsys.readouterr().out == ""
    assert json.loads(path.read_text()).keys() == {"tiny"}


@pytest.mark.slow
def test_labels_are_copied_up_to_a_count_and_a_share_of_them_is_flipped(tmp_path: Path) -> None:
    path, task = tmp_path / "claims.json", QuickstartTask(tmp_path / "tiny-0", "tiny", 0, 1)
    arms = ("dpo, 20 % flips", "reward_model, 50 pairs")
    claim = replace(CLAIMS.claims["polar"], name="few", arms=arms)
    script.tested(Claims(CLAIMS.arms, {"few": claim}), ["few"], task, path)
    found = script.figures(CLAIMS, script.kept(path, "tiny"))[0]
    assert found[arms[1]].keys() == {"accuracy", "judgements"}
    assert found[arms[1]]["judgements"] == 50
    with Ledger.open(task.out / "farm.db", read_only=True) as ledger:
        cards = ledger.annotators()
        labels = contests(ledger, "preferences").pivot_table(index="key", columns="annotator", values="label")
    flipped = next(card.id for card in cards if card.spec.get("flips") == 0.2)
    gold = next(card.id for card in cards if card.name == "world-gold")
    told = labels[[gold, flipped]].dropna()
    turned = told[told[gold] != 0.5]
    assert found[arms[0]]["judgements"] == len(told)
    share = (turned[gold] != turned[flipped]).mean()
    assert abs(share - 0.2) < 4 * (0.2 * 0.8 / len(turned)) ** 0.5
    assert set((turned[gold] + turned[flipped]).unique()) == {0.0, 1.0, 2.0}
