"""What a user gets wrong: one clear line, exit code 1, nothing lost or half-written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from db.ledger import Ledger
from db.records import Annotation, AnnotatorCard, AnnotatorKind, Instruction, Membership, Output, Pair
from farm.models.scorer import Scorer
from farm.snapshot import Choice, snapshot
from farm.training.checkpoint import whole_checkpoints
from tests.support import forked
from tests.support.command_line import farm_arguments

QUICK = ["--max-steps", "2", "--save-every", "1", "--batch-size", "4", "--held-out", "0"]


def write_ledger(folder: Path, outputs: Sequence[tuple[str, str]]) -> Path:
    """A pair of outputs for each instruction, the first preferred; a snapshot `people`, a set `all`."""
    path = folder / "farm.db"
    with Ledger.open(path, create=True) as opened:
        with opened.writing() as writer:
            [ada] = writer.annotators([AnnotatorCard("ada", AnnotatorKind.HUMAN)])
            for i, (good, bad) in enumerate(outputs):
                ask = Instruction(f"Add {i} and 2.")
                pair, flipped = Pair.of(Output(ask, good, "m"), Output(ask, bad, "n"))
                [number] = writer.pairs([pair])
                preference = 0.0 if flipped else 1.0
                writer.annotations([Annotation(number, ada, preference, preference, False)])
                writer.memberships([Membership(ask, "all")])
        if any(good != bad for good, bad in outputs):
            snapshot(opened, "people", Choice())
    return path


PLAIN = [(f"It is {i + 2}.", f"It is {i}.") for i in range(8)]


def farm(ledger: Path, *arguments: object, limit: int | None = None) -> forked.Ended:
    """limit: bytes at which a file is full, as a disk would be."""
    return forked.run(farm_arguments(ledger, *arguments), ledger.with_suffix(".said"), limit=limit)


def refused(found: forked.Ended, *words: str) -> None:
    """One line that says what, where and what to do about it."""
    assert found.code == 1, found.said + found.error
    lines = found.error.strip().splitlines()
    assert [line for line in lines if line.startswith("farm: ")] == lines[-1:], found.error
    for word in words:
        assert word in lines[-1]
    assert "Traceback" not in found.error


def train(ledger: Path, method: str, model: object, *more: object, limit: int | None = None) -> forked.Ended:
    data = ["--set", "all"] if method == "ppo" else ["--snapshot", "people"]
    out = ["--out", ledger.parent / "run"]
    return farm(ledger, "train", method, "--model", model, *out, *data, *QUICK, *more, limit=limit)


def test_an_empty_snapshot(tmp_path: Path, model_dir: str) -> None:
    ledger = write_ledger(tmp_path, [])
    refused(farm(ledger, "snapshot", "people"), "there is nothing to freeze", "annotate or import")
    refused(train(ledger, "dpo", model_dir), "no snapshot 'people'", "farm snapshot")


def test_pairs_with_identical_outputs(tmp_path: Path) -> None:
    """They are left out of a snapshot with a count; where there are no others, nothing is left to freeze."""
    ledger = write_ledger(tmp_path, [("same", "same")] * 3)
    refused(farm(ledger, "snapshot", "people"), "there is nothing to freeze")


def test_an_output_longer_than_the_context(tmp_path: Path, model_dir: str) -> None:
    """256 positions, a token for each byte."""
    ledger = write_ledger(tmp_path, [*PLAIN, ("x" * 300, "y")])
    found = train(ledger, "dpo", model_dir)
    refused(found, "1 of 9 rows are longer than the model's context, 256 tokens", "overlong: drop")
    found = train(ledger, "dpo", model_dir, "--overlong", "drop")
    assert found.code == 0, found.error
    assert "left out: 1 of 9 rows" in found.error


def test_a_tokenizer_without_end_of_sequence(tmp_path: Path, make_model: Callable[..., Path]) -> None:
    found = train(write_ledger(tmp_path, PLAIN), "dpo", make_model(eos=None))
    refused(found, "the tokenizer has no end-of-sequence token", "set eos_token")


def test_a_tokenizer_without_pad_is_no_fault(tmp_path: Path, make_model: Callable[..., Path]) -> None:
    found = train(write_ledger(tmp_path, PLAIN), "dpo", make_model(pad=None))
    assert found.code == 0, found.error


def test_weights_that_are_not_numbers(tmp_path: Path, make_model: Callable[..., Path]) -> None:
    model = make_model()
    weights = load_file(model / "model.safetensors")
    weights["model.norm.weight"][0] = torch.nan
    save_file(weights, model / "model.safetensors", {"format": "pt"})
    found = train(write_ledger(tmp_path, PLAIN), "dpo", model)
    refused(found, "weight model.norm.weight is not finite", "use an earlier checkpoint")


def test_a_header_of_weights_that_lies(tmp_path: Path, make_model: Callable[..., Path]) -> None:
    model = make_model()
    whole = (model / "model.safetensors").read_bytes()
    (model / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    found = train(write_ledger(tmp_path, PLAIN), "dpo", model)
    assert found.code == 1
    assert found.error.count("farm: ") == 1, found.error
    assert "Traceback" not in found.error


def test_a_checkpoint_of_another_architecture(tmp_path: Path, model_dir: str) -> None:
    ledger = write_ledger(tmp_path, PLAIN)
    Scorer.load(model_dir, seed=0, new_head=True).save(tmp_path / "scorer")
    refused(
        train(ledger, "dpo", tmp_path / "scorer"), "of another architecture", "give a checkpoint of a Llama"
    )
    found = train(ledger, "ppo", model_dir, "--reward", model_dir, "--max-new-tokens", 4)
    refused(found, "of another architecture: it has no score.weight", "SequenceClassification")


def test_a_full_disk_while_saving(tmp_path: Path, model_dir: str) -> None:
    """A file-size limit that the ledger keeps and the first checkpoint does not."""
    ledger = write_ledger(tmp_path, PLAIN)
    assert train(ledger, "dpo", model_dir).code == 0
    run = tmp_path / "run"
    size = (whole_checkpoints(run)[-1] / "training.pt").stat().st_size
    run.rename(tmp_path / "whole")
    refused(
        train(ledger, "dpo", model_dir, "--seed", 1, limit=size - 1000),
        "checkpoint of step 1 could not be written",
        "free some space and run again",
    )
    assert whole_checkpoints(run) == []
    assert [path.name for path in run.iterdir()] == ["reference"]


@pytest.mark.parametrize(
    "command",
    [
        ["train", "dpo", "--snapshot", "people", "--out", "run", "--model"],
        ["annotate", "plain", "--local", "--model"],
    ],
    ids=["train", "annotate"],
)
def test_a_hub_that_does_not_answer_is_said_once(
    tmp_path: Path, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # where nobody listens
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.chdir(tmp_path)
    done = farm(write_ledger(tmp_path, PLAIN), *command, "somebody/some-model")
    assert done.code == 1
    assert done.error.startswith(
        "farm: somebody/some-model: no such folder, not in the cache, and the hub does"
    )
    assert done.error.count("\n") == 1
