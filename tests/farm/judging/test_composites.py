"""Panels over a real HTTP provider: what they judge is what theory says, and nothing is asked twice."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from annotators.clients.failures import BudgetExhausted
from annotators.simulator import FaultPlan, Judge, Simulator, SimulatorConfig
from db.ids import keyed_uniform
from db.ledger import Ledger, PairFilter
from db.records import AnnotationStatus, AnnotatorCard, AnnotatorKind, Instruction, Output, Pair
from db.tables import ANNOTATION, CLAIM, CLAIM_SLOT, MADE_OF
from farm.annotate import plan
from farm.judging.provider import Provider, Task
from tests.support.command_line import farm, told
from tests.support.judging_runs import count, fill, run
from tests.support.known_members import chance_of_votes, chances, composite_file, served
from tests.support.known_pools import pairs_of, write

NAMES = ("one", "two", "three")
PAIRS = pairs_of(160)
GOLD = AnnotatorCard("truth", AnnotatorKind.GOLD)


def judge(seed: int) -> Judge:
    """Sees what all see, and something of its own; errs at random beside."""

    def worth(instruction: str, input: str, output: str) -> float:
        common, own = (keyed_uniform("worth", output, who) - 0.5 for who in ("all", seed))
        return 4 * common + 3 * own

    return Judge(utility=worth, noise=0.6, seed=seed)


JUDGES = {name: judge(k) for k, name in enumerate(NAMES)}
TRUE = np.array([keyed_uniform("gold", pair.key) < 0.5 for pair in PAIRS])


def near(found: float, chance: np.ndarray[Any, Any]) -> bool:
    """Whether a count is within four standard deviations of the sum of independent chances."""
    return bool(abs(found - chance.sum()) < 4 * np.sqrt((chance * (1 - chance)).sum()))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A panel that votes and one with a gate, over three judges whose chances are known."""
    folder = tmp_path_factory.mktemp("panel")
    ledger = write(folder / "farm.db", PAIRS, (GOLD, TRUE.astype(float)))
    vote = composite_file(folder / "vote.yaml", "panel", NAMES)
    strict = composite_file(folder / "strict.yaml", "panel", NAMES, "least_agreement: 1")
    with served(JUDGES) as simulator:
        first, second = (
            told(ledger, "annotate", file, "--base-url", simulator.base_url) for file in (vote, strict)
        )
        hits = simulator.stats().hits
    audit = told(ledger, "audit", "--reference", "gold")
    return {"first": first, "second": second, "hits": hits, "audit": audit, "ledger": ledger}


def test_a_panel_asks_its_members_once_and_a_second_panel_nobody(study: dict[str, Any]) -> None:
    assert study["hits"] == study["first"]["requests"] == 3 * len(PAIRS)
    assert [each["annotator"] for each in study["first"]["members"]] == list(NAMES)
    assert study["first"]["statuses"] == {"ok": len(PAIRS)}
    assert (study["second"]["requests"], study["second"]["members"]) == (0, [])
    assert sum(study["second"]["statuses"].values()) == len(PAIRS)


def test_a_majoritys_agreement_is_what_theory_says(study: dict[str, Any]) -> None:
    of_votes = chance_of_votes([chances(JUDGES[name], PAIRS) for name in NAMES])
    first = sum(chance for votes, chance in of_votes.items() if sum(votes) >= 2)
    [panel] = [each for each in study["audit"]["annotators"] if each["annotator"] == "vote"]
    right = np.where(TRUE, first, 1 - first)
    assert panel["kind"] == "panel"
    assert near(panel["accuracy"]["value"] * len(PAIRS), right)


def test_a_gate_leaves_as_much_open_as_theory_says(study: dict[str, Any]) -> None:
    of_votes = chance_of_votes([chances(JUDGES[name], PAIRS) for name in NAMES])
    agreed = of_votes[0, 0, 0] + of_votes[1, 1, 1]
    statuses = study["second"]["statuses"]
    assert near(statuses["ok"], agreed)
    assert study["second"]["contested"] == {"2 of 3 members agree": statuses["contested"]}
    [strict] = [each for each in study["audit"]["annotators"] if each["annotator"] == "strict"]
    assert strict["n"] == statuses["ok"]  # an open pair is no wrong verdict


def test_the_audit_says_what_was_decided_and_by_whom(study: dict[str, Any]) -> None:
    vote, strict = study["audit"]["coverage"]
    open_ = study["second"]["statuses"]["contested"]
    assert (vote["annotator"], vote["decided"]["value"], vote["parts"]) == ("vote", 1.0, 3.0)
    assert strict["decided"]["value"] == pytest.approx(1 - open_ / len(PAIRS))
    assert strict["decided"]["low"] < strict["decided"]["value"] < strict["decided"]["high"]
    assert (strict["contested"], strict["by"]) == (open_, {"one, two, three": len(PAIRS) - open_})
    assert (vote["price_per_1000"], vote["promise"]) == (None, None)  # nobody knows what these models cost
    assert study["audit"]["panel"]["effective_judges"]["judges"] == 3  # the panels are none of them
    seen = farm(study["ledger"], "audit", "--reference", "gold").out
    assert "Panels and cascades" in seen


def test_every_judgement_points_to_its_members_judgements(study: dict[str, Any]) -> None:
    with Ledger.open(study["ledger"]) as ledger, ledger.reading() as connection:
        whole, part = ANNOTATION.alias(), ANNOTATION.alias()
        found = MADE_OF.join(whole, whole.c.id == MADE_OF.c.annotation_id)
        found = found.join(part, part.c.id == MADE_OF.c.part_id)
        rows = connection.execute(
            found.select().with_only_columns(whole.c.id, whole.c.pair_id, part.c.pair_id)
        )
        by_whole = Counter((number, own == theirs) for number, own, theirs in rows)
    assert by_whole == {(number, True): 3 for number, _ in by_whole}
    assert len(by_whole) == 2 * len(PAIRS)


def test_a_trace_goes_from_a_panel_to_its_members_prompts(study: dict[str, Any]) -> None:
    with Ledger.open(study["ledger"]) as ledger, ledger.reading() as connection:
        number = connection.execute(MADE_OF.select()).first().annotation_id  # type: ignore[union-attr]
    node = told(study["ledger"], "trace", f"annotation:{number}")
    kinds = [each["name"].split(":")[0] for each in node["basis"]]
    assert kinds.count("annotation") == 3
    inner = [each for each in node["basis"] if each["name"].startswith("annotation")]
    assert all(any(leaf["name"].startswith("completion") for leaf in each["basis"]) for each in inner)


def test_contested_pairs_go_to_one_more_annotator(tmp_path: Path) -> None:
    arbiter = "contested: {annotator: single-token, name: arbiter, model: arbiter}"
    file = composite_file(tmp_path / "p.yaml", "panel", NAMES, "least_agreement: 1", arbiter)
    fill(tmp_path / "farm.db", 60)
    with (
        served({**JUDGES, "arbiter": Judge(utility="length")}) as simulator,
        Ledger.open(tmp_path / "farm.db") as ledger,
    ):
        report = run(ledger, simulator, file)
        asked = {each.annotator: each.requests for each in report.members}
        assert report.statuses == {"ok": 60}
        assert 0 < asked["arbiter"] < 60
        assert report.decided == {"one, two, three": 60 - asked["arbiter"], "arbiter": asked["arbiter"]}
        assert run(ledger, simulator, file).known == 60
        assert simulator.stats().hits == 180 + asked["arbiter"]


def test_a_budget_stops_a_panel_and_what_was_paid_is_used(ledger_url: str, tmp_path: Path) -> None:
    file = composite_file(tmp_path / "p.yaml", "panel", NAMES, "combine: mean")
    fill(ledger_url, 40)
    with served(JUDGES) as simulator, Ledger.open(ledger_url) as ledger:
        task = Task(PairFilter(limit=30), replicates=2)
        assert plan(ledger, file, task, Provider(base_url=simulator.base_url)).requests == 180
        with pytest.raises(BudgetExhausted):
            run(ledger, simulator, file, task, max_requests=100)
        report = run(ledger, simulator, file, task)
        assert (report.statuses, simulator.stats().hits) == ({"ok": 60}, 180)
        assert plan(ledger, file, task, Provider(base_url=simulator.base_url)).requests == 0
        assert count(ledger, MADE_OF) == 180
        again = run(ledger, simulator, file, Task(replicates=2))
        assert (again.known, again.statuses) == (60, {"ok": 20})


def test_what_a_member_failed_on_is_tried_again(tmp_path: Path) -> None:
    file = composite_file(tmp_path / "p.yaml", "panel", NAMES)
    fill(tmp_path / "farm.db", 20)
    with Ledger.open(tmp_path / "farm.db") as ledger:
        faults = FaultPlan(rate=0.2, names=("content_filter",), seed=1)
        with Simulator(SimulatorConfig(judges=JUDGES, faults=faults)) as simulator:
            first = run(ledger, simulator, file)
        assert first.statuses["failed"] > 0
        with served(JUDGES) as simulator:
            second = run(ledger, simulator, file)
            assert second.statuses == {"ok": first.statuses["failed"]}
            assert second.known == first.statuses["ok"]


MODELS = {"gpt-4.1-mini": 1, "claude-haiku-5-5": 2, "qwen-3": 3}


def test_no_family_judges_itself(tmp_path: Path) -> None:
    """Pairs of every two of five producers, before a panel of three families."""
    producers = ("gpt-4-0613", "text_davinci_003", "claude-2", "meta/vicuna-7b", "Qwen/Qwen2")
    made = []
    for i, (a, b) in enumerate((a, b) for a in producers for b in producers if a < b):
        asked = Instruction(f"Say {i}.")
        made.append(Pair.of(Output(asked, f"It is {i}.", a), Output(asked, f"{i}!", b))[0])
    path = write(tmp_path / "farm.db", made)
    file = composite_file(tmp_path / "p.yaml", "panel", list(MODELS), "recuse: family")
    free = composite_file(tmp_path / "free.yaml", "panel", list(MODELS))
    judges = {name: judge(seed) for name, seed in MODELS.items()}
    family = {"gpt-4.1-mini": producers[:2], "claude-haiku-5-5": producers[2:3], "qwen-3": producers[4:]}
    with served(judges) as simulator, Ledger.open(path) as ledger:
        report = run(ledger, simulator, file)
        by_id = {pair.id: pair for pair in ledger.pairs()}
        with ledger.reading() as connection:
            slots = connection.execute(CLAIM_SLOT.join(CLAIM).select()).all()
        claimed = [(json.loads(row.request)["model"], by_id[row.pair_id]) for row in slots]
        wrong = [
            model for model, pair in claimed for output in (pair.output_a, pair.output_b)
            if output.producer in family[model]
        ]  # fmt: skip
        own = [
            {m for m, of in family.items() for o in (p.output_a, p.output_b) if o.producer in of}
            for p in made
        ]
        assert wrong == []
        assert report.requests == len(claimed) == sum(3 - len(each) for each in own)
        assert report.statuses == {"ok": len(made)}
        assert run(ledger, simulator, free).requests == sum(map(len, own))


def test_a_pair_that_all_are_recused_from_stays_open(tmp_path: Path) -> None:
    asked = Instruction("Say it.")
    pair = Pair.of(Output(asked, "a", "gpt-4"), Output(asked, "bb", "claude-3"))[0]
    path = write(tmp_path / "farm.db", [pair])
    models = ["gpt-5", "claude-opus-5"]
    file = composite_file(tmp_path / "p.yaml", "panel", models, "recuse: family")
    with served({name: judge(1) for name in models}) as simulator, Ledger.open(path) as ledger:
        report = run(ledger, simulator, file)
        assert (report.requests, report.statuses) == (0, {"contested": 1})
        assert report.contested == {"every member is recused": 1}


def test_rules_and_two_orders_make_one_vote_each(tmp_path: Path) -> None:
    """longest and shortest contradict each other; first says tie in both orders: the mean is 0.5."""
    (tmp_path / "p.yaml").write_text(
        "kind: panel\nname: p\ncombine: mean\nmembers:\n- {annotator: longest}\n- {annotator: shortest}\n"
        "- {annotator: first, orders: both}\n"
    )
    fill(tmp_path / "farm.db", 12)
    report = told(tmp_path / "farm.db", "annotate", tmp_path / "p.yaml")
    assert (report["statuses"], report["requests"]) == ({"ok": 12}, 0)
    with Ledger.open(tmp_path / "farm.db") as ledger:
        [panel] = [card for card in ledger.annotators() if card.name == "p"]
        with ledger.reading() as connection:
            rows = connection.execute(ANNOTATION.select().where(ANNOTATION.c.annotator_id == panel.id)).all()
        assert {row.preference for row in rows} == {0.5}
        assert {(row.swapped, row.status) for row in rows} == {(None, AnnotationStatus.OK.value)}
        assert count(ledger, MADE_OF) == 12 * 4
