"""Reward models as judges: any sequence-classification model, and one of ours, with their scores stored."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from transformers import BatchEncoding, LlamaForSequenceClassification

from annotators import catalogue
from annotators.clients.failures import ProviderDown
from annotators.draws import Orders
from db.errors import ConfigError
from db.ledger import Ledger
from db.records import AnnotatorKind, Instruction, Pair, Turn, TurnRole
from db.tables import ANNOTATION, COMPLETION
from farm.annotate import AnnotateReport, annotate, plan
from farm.judging.provider import Provider, Task
from farm.models.hub import ModelError
from farm.models.scorer import Scorer, ScorerReward
from farm.models.tokens import Prompt
from tests.support.judging_runs import answers, silent
from tests.support.tiny_judges import overflow, tokenizer, write_judge, write_reward_model


@pytest.fixture(scope="module")
def reward_dir(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_reward_model(tmp_path_factory.mktemp("reward"))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "farm.db", create=True) as opened:
        asked = [Instruction(f"Number {i}?", "0 1 2" if i % 2 else "") for i in range(9)]
        asked[4] = Instruction.of_turns(
            [Turn(TurnRole.SYSTEM, "Count."), Turn(TurnRole.USER, "1?"), Turn(TurnRole.ASSISTANT, "2")]
        )
        with opened.writing() as writer:
            writer.pairs([answers(each, i) for i, each in enumerate(asked)])
        yield opened


def run(ledger: Ledger, model: str, name: str = "reward-model", **options: object) -> AnnotateReport:
    task = Task(**options)  # type: ignore[arg-type]
    return annotate(ledger, name, task, silent, Provider((model,), rows=4))


def preferences(ledger: Ledger, fingerprint: str) -> dict[tuple[int, bool], float]:
    """P(output_a) by pair and order."""
    [card] = [card for card in ledger.annotators() if card.key == fingerprint]
    with ledger.reading() as connection:
        rows = connection.execute(ANNOTATION.select().where(ANNOTATION.c.annotator_id == card.id)).all()
    return {(each.pair_id, bool(each.swapped)): each.preference for each in rows}


def score(folder: str, pair: Pair, text: str) -> float:
    """The score of an answer by itself, as the model's page would tell us to compute it."""
    model = LlamaForSequenceClassification.from_pretrained(folder).eval()
    asked = pair.instruction
    said = f"{asked.text}\n\n{asked.input}" if asked.input else asked.text
    turns = asked.turns or (Turn(TurnRole.USER, said),)
    chat = [{"role": str(role), "content": each} for role, each, *_ in (*turns, ("assistant", text))]
    ids = tokenizer().apply_chat_template(chat, return_tensors="pt", return_dict=True)
    assert isinstance(ids, BatchEncoding)
    with torch.no_grad():
        return float(model(**ids).logits[0, 0])


def test_a_preference_is_the_logistic_of_the_difference_of_scores(ledger: Ledger, reward_dir: str) -> None:
    report = run(ledger, reward_dir, orders=Orders.BOTH)
    assert (report.statuses, report.cost) == ({"ok": 18}, 0.0)
    found = preferences(ledger, report.fingerprint)
    for pair in ledger.pairs():
        a, b = (score(reward_dir, pair, each.text) for each in (pair.output_a, pair.output_b))
        assert found[pair.id, False] == pytest.approx(1 / (1 + math.exp(b - a)), abs=1e-4)
        assert found[pair.id, True] == pytest.approx(found[pair.id, False], abs=1e-5)
    [card] = [card for card in ledger.annotators() if card.name == "reward-model"]
    assert card.kind is AnnotatorKind.REWARD_MODEL


def test_scores_are_stored_and_read_again_as_a_plain_choice(
    ledger: Ledger, tmp_path: Path, reward_dir: str
) -> None:
    soft = run(ledger, reward_dir)
    with ledger.reading() as connection:
        texts = [row.text for row in connection.execute(COMPLETION.select())]
    assert all(len(json.loads(text)["scores"]) == 2 for text in texts)
    (tmp_path / "hard").mkdir()
    (tmp_path / "hard" / "annotator.yaml").write_text(
        "name: hard\nkind: rm\nparser: {name: scores, hard: true}\n"
    )
    hard = run(ledger, reward_dir, str(tmp_path / "hard"))
    assert (hard.statuses, hard.requests) == ({"ok": 9}, 0)  # nothing is scored twice
    assert hard.fingerprint != soft.fingerprint
    chosen, likely = preferences(ledger, hard.fingerprint), preferences(ledger, soft.fingerprint)
    assert chosen == {asked: float(value > 0.5) for asked, value in likely.items()}


def test_one_of_our_reward_models_is_asked_by_its_own_template(ledger: Ledger, scorer_dir: str) -> None:
    report = run(ledger, scorer_dir)
    ours = ScorerReward(Scorer.load(scorer_dir))
    found = preferences(ledger, report.fingerprint)
    for pair in ledger.pairs():
        prompt = Prompt.of(pair.instruction)
        a, b = ours([prompt, prompt], [pair.output_a.text, pair.output_b.text]).tolist()
        [value] = [value for (pair_id, _), value in found.items() if pair_id == pair.id]
        assert value == pytest.approx(1 / (1 + math.exp(b - a)), abs=1e-4)


def test_a_model_without_a_chat_template_scores_two_texts(ledger: Ledger, tmp_path: Path) -> None:
    report = run(ledger, write_reward_model(tmp_path / "pairs", chat=None))
    assert report.statuses == {"ok": 9}


def test_a_text_that_is_too_long_fails_alone(ledger: Ledger, tmp_path: Path) -> None:
    short = write_reward_model(tmp_path / "short", max_position_embeddings=64)
    report = run(ledger, short)
    assert report.statuses.keys() == {"ok", "failed"}
    with ledger.reading() as connection:
        reasons = {row.reason for row in connection.execute(ANNOTATION.select()) if row.reason}
    assert all(reason.startswith("context_length") for reason in reasons)


@pytest.mark.parametrize("ours", [True, False])
def test_a_score_that_is_no_number_says_so(ours: bool, ledger: Ledger, tmp_path: Path) -> None:
    """It is not told as a text that is too long."""
    folder = overflow(write_reward_model(tmp_path / "broken"))
    if ours:
        Scorer.load(folder).save(Path(folder))
    with pytest.raises(ProviderDown, match=r"not_finite a score is NaN or infinite .use another checkpoint"):
        run(ledger, folder)


def test_a_language_model_is_no_reward_model(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"it has no score\.weight"):
        run(ledger, write_judge(tmp_path / "lm"))
    with pytest.raises(ModelError, match="3 labels"):
        run(ledger, write_reward_model(tmp_path / "three", num_labels=3))


def test_a_reward_model_is_no_member_of_a_pool(tmp_path: Path) -> None:
    (tmp_path / "mixed.yaml").write_text("name: mixed\nmembers: [{annotator: reward-model}]\n")
    with pytest.raises(ConfigError, match="language models that can be asked"):
        catalogue.load(str(tmp_path / "mixed.yaml"))


def test_a_model_must_be_named_and_a_dry_run_is_free(ledger: Ledger, reward_dir: str) -> None:
    with pytest.raises(ConfigError, match="--model"):
        annotate(ledger, "reward-model", Task(), silent, Provider())
    estimate = plan(ledger, "reward-model", Task(), Provider((reward_dir,)))
    assert (estimate.requests, estimate.cost) == (9, 0.0)
