"""A model that learns to judge: the loss by hand, both orders, and the judge that it is afterwards."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import tensor
from torch.autograd import gradcheck

from db.ledger import Ledger
from db.records import Annotation, Instruction, Output, Pair, Turn, TurnRole
from farm.methods.genrm import GenRM, GenRMConfig, VerdictLogps, genrm_loss, verdict_logps
from farm.snapshot import Choice, snapshot
from farm.train import TrainTask, train
from farm.training.data import AskedPair, Data
from farm.training.run_models import LoadedModels
from tests.support.command_line import refused, told
from tests.support.judged_sums import ADA, write_sums
from tests.support.objectives import Shared, step_gradient
from tests.support.tiny_judges import write_judge

PROMPT = """{% block user %}
{% for pair in pairs %}
{{ pair.instruction }} {{ pair.first }} or {{ pair.second }}?
{% endfor %}
{% endblock %}
"""
SPEC = """name: brief
kind: llm
summary: The shortest prompt.
model: small
decoding: {temperature: 0, max_tokens: 1, top_logprobs: 5}
parser: {name: logprob}
reply_tokens: 1
"""


def test_the_loss_by_hand() -> None:
    """P(A) = ¼ in two tokens, P(B) = ⅛: −¾ log ¼ − ¼ log ⅛ = (1.5 + 0.75) log 2."""
    logits = tensor([[1 / 8, 1 / 8, 1 / 8, 5 / 8]], dtype=torch.float64).log() + 3
    said = verdict_logps(logits, [0, 1], [2])
    assert said.first.exp().item() == pytest.approx(0.25)
    assert genrm_loss(said, 0.75).item() == pytest.approx(2.25 * math.log(2))
    assert genrm_loss(said, 1.0).item() == pytest.approx(2 * math.log(2))
    values = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda of: genrm_loss(verdict_logps(of, [0, 1], [2]), 0.7), [values])


def test_the_papers_own_numbers() -> None:
    """The negative log-likelihood of the right verdicts: 0.2 and 0.5, in the mean 0.35."""
    said = VerdictLogps(tensor([-0.2, -9.0]), tensor([-9.0, -0.5]))
    assert genrm_loss(said, tensor([1.0, 0.0])).mean().item() == pytest.approx(0.35)


def question(i: int, text: str = "Which?") -> AskedPair:
    return AskedPair((Turn(TurnRole.USER, f"{text} {'so ' * i}"),), ("A", "B"), [1.0, 0.0, 0.8, 0.5][i % 4])


def test_one_batch_of_eight_is_four_of_two(make_model: Any) -> None:
    shared = Shared(*(str(make_model(seed=seed, hidden=16, layers=1)) for seed in (0, 1)))
    records = [question(i) for i in range(8)]
    whole = step_gradient("genrm", shared, records, 8)
    for micro_batch in (2, 1):
        assert (step_gradient("genrm", shared, records, micro_batch) - whole).norm() < 1e-12 * whole.norm()


def test_what_is_judged_cannot_begin_a_message(model_dir: str) -> None:
    config = GenRMConfig()
    method = GenRM(config, Data([question(0, "</s>")]), LoadedModels(model_dir, config))
    [row] = method.rows([question(0, "</s><s>")])
    assert row.row.prompt.count(2) == 0
    assert row.row.prompt.count(1) <= 1


def test_it_learns_to_judge_and_judges_at_once(tmp_path: Path) -> None:
    """Ada likes tea better than mud. Trained on it, the model says so in the prompt that it learnt from."""
    folder = tmp_path / "brief"
    folder.mkdir()
    (folder / "annotator.yaml").write_text(SPEC)
    (folder / "prompt.jinja").write_text(PROMPT)
    model = write_judge(tmp_path / "model", initializer_range=0.1)
    with Ledger.open(tmp_path / "farm.db", create=True) as ledger:
        with ledger.writing() as writer:
            [ada] = writer.annotators([ADA])
            for i in range(24):
                ask = Instruction(f"Drink {i}.")
                pair, flipped = Pair.of(Output(ask, "tea"), Output(ask, "mud"))
                [number] = writer.pairs([pair])
                said = 0.0 if flipped else 1.0
                writer.annotations([Annotation(number, ada, said, said, False)])
        snapshot(ledger, "ada", Choice())
        task = TrainTask(model, tmp_path / "run", snapshot="ada", annotator=str(folder), held_out=0.1)
        flags = {"epochs": "12", "learning_rate": "1e-2", "batch_size": "16"}
        report = train(ledger, "genrm", task, None, flags)
    assert report.rows + report.held_out == 48, "a question in each order"
    assert report.metrics["verdict/names"] > 0.9
    assert report.metrics["held_out/accuracy"] == 1
    judge = f"{report.checkpoint}/model"
    told(tmp_path / "farm.db", "annotate", folder, "--model", judge, "--local", "--orders", "both")
    audit = told(tmp_path / "farm.db", "audit", "--annotator", "brief", "--reference", "ada")
    [mine] = audit["annotators"]
    assert mine["n"] == 48
    assert mine["accuracy"]["value"] == 1


def test_what_it_refuses(tmp_path: Path, model_dir: str) -> None:
    with Ledger.open(tmp_path / "farm.db", create=True) as ledger:
        with ledger.writing() as writer:
            write_sums(writer, 4)
        snapshot(ledger, "ada", Choice())
    common = ("--model", model_dir, "--snapshot", "ada", "--out", tmp_path / "run")

    def refuse(method: str, *more: object) -> str:
        return refused(tmp_path / "farm.db", "train", method, *common, *more)

    assert "name one with --annotator" in refuse("genrm")
    assert "has more than one token" in refuse("genrm", "--annotator", "plain")
    assert "no language model with a prompt" in refuse("genrm", "--annotator", "longest")
    assert "no annotator 'logprobs'" in refuse("genrm", "--annotator", "logprobs")
    assert "learns no annotator's prompt" in refuse("dpo", "--annotator", "logprob")
    assert "raise max_length" in refuse("genrm", "--annotator", "logprob", "--max_length", "64")
