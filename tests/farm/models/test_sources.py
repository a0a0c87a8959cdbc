"""A model is named by a folder, a hub id, a .gguf file or an adapter's folder, alike everywhere."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from db.ledger import Ledger
from db.records import Instruction, Membership
from farm.config import ModelConfig
from farm.judging.in_process import name_of
from farm.judging.reward_model import load_score
from farm.models.hub import ModelError
from farm.models.identity import fingerprint
from farm.models.loading import forget_quantization, source_key
from farm.models.policy import Policy
from farm.models.scorer import Scorer, ScorerReward
from farm.models.sources import locate
from farm.models.tokens import Prompt
from tests.support.command_line import farm, told
from tests.support.judged_sums import write_sums
from tests.support.tiny_judges import write_judge, write_reward_model

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")  # of peft
WITHOUT_GGUF = importlib.util.find_spec("gguf") is None


def adapt(base: str, folder: Path, auto: Any = AutoModelForCausalLM, **changes: Any) -> str:
    """A trained adapter, in a folder without tokenizer and weights of the base."""
    reward = auto is AutoModelForSequenceClassification
    model = auto.from_pretrained(base, **({"num_labels": 1} if reward else {}))
    task = "SEQ_CLS" if reward else "CAUSAL_LM"
    settings = {"r": 4, "target_modules": ["q_proj", "down_proj"], "task_type": task, **changes}
    adapted = get_peft_model(model, LoraConfig(**settings))
    torch.manual_seed(1)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_" in name or "modules_to_save" in name:
                weight.copy_(0.3 * torch.randn(weight.shape))
    adapted.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_judge(tmp_path_factory.mktemp("base"))


@pytest.fixture
def judged(tmp_path: Path) -> Path:
    """Judged pairs with their instructions in the set `sums`."""
    path = tmp_path / "farm.db"
    with Ledger.open(path, create=True) as opened, opened.writing() as writer:
        writer.memberships([Membership(right.instruction, "sums") for right in write_sums(writer)])
    return path


@pytest.fixture
def adapter(base: str, tmp_path: Path) -> str:
    return adapt(base, tmp_path / "adapter")


def test_an_adapters_folder_is_its_base_with_the_adapter_added(base: str, adapter: str) -> None:
    assert not (Path(adapter) / "config.json").exists()
    policy = Policy.load(adapter)
    truth = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter).eval()
    ids = torch.tensor([[5, 6, 7, 8, 9]])
    with torch.no_grad():
        expected, before = truth(ids).logits, Policy.load(base).model(ids).logits
        found = policy.model(ids).logits
    assert torch.allclose(found, expected, atol=1e-4)
    assert not torch.allclose(found, before, atol=1e-2)
    assert policy.codec.prompt_ids(Prompt("x")) == Policy.load(base).codec.prompt_ids(Prompt("x"))


def test_an_adapters_folder_is_saved_whole_after_training(adapter: str, tmp_path: Path) -> None:
    policy = Policy.load(adapter, ModelConfig(lora_rank=2), seed=0)
    policy.save(tmp_path / "saved")
    again, ids = AutoModelForCausalLM.from_pretrained(tmp_path / "saved"), torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        assert torch.allclose(again(ids).logits, Policy.load(adapter).model(ids).logits, atol=1e-4)


def test_an_adapter_of_a_reward_model_brings_its_head(base: str, tmp_path: Path) -> None:
    kind = AutoModelForSequenceClassification
    folder = adapt(base, tmp_path / "reward", kind)
    model = kind.from_pretrained(base, num_labels=1)
    truth = PeftModel.from_pretrained(model, folder).eval()
    scorer = Scorer.load(folder)
    row = scorer.codec.row(Prompt("hi"), "there")
    with torch.no_grad():
        expected = truth(torch.tensor([row.prompt + row.response])).logits[0, 0].item()
    assert ScorerReward(scorer)([Prompt("hi")], ["there"]).item() == pytest.approx(expected, abs=1e-4)
    judge = load_score(folder, 2, ModelConfig())
    assert judge([Prompt("hi")], ["there"])[0] == pytest.approx(expected, abs=1e-4)


def test_an_adapter_with_more_tokens_than_its_base_brings_their_embeddings(base: str, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.add_tokens(["[VOTE]"])
    model = AutoModelForCausalLM.from_pretrained(base)
    model.resize_token_embeddings(len(tokenizer))
    settings = LoraConfig(r=2, target_modules=["q_proj"], modules_to_save=["embed_tokens", "lm_head"])
    adapted = get_peft_model(model, settings)
    adapted.save_pretrained(tmp_path, save_embedding_layers=True)
    tokenizer.save_pretrained(tmp_path)
    policy = Policy.load(str(tmp_path))
    assert policy.model.get_input_embeddings().weight.shape[0] == 260
    assert 259 in policy.codec.prompt_ids(Prompt("a [VOTE] b"))


def test_the_identity_of_an_adapter_is_its_files_and_its_bases(base: str, tmp_path: Path) -> None:
    moved = tmp_path / "base"
    shutil.copytree(base, moved)
    folder, config = adapt(str(moved), tmp_path / "adapter"), ModelConfig()

    def identities() -> tuple[str, ...]:
        return fingerprint(folder, config, lambda: Policy.load(folder)), source_key(folder), name_of(folder)

    first = identities()
    assert first == identities()
    assert first[2].startswith("adapter@")
    write_judge(moved, seed=3)
    second = identities()
    weights = Path(folder) / "adapter_model.safetensors"
    changed = {name: tensor + 1 for name, tensor in load_file(weights).items()}
    save_file(changed, weights, metadata={"format": "pt"})
    third = identities()
    assert all(len({one, two, three}) == 3 for one, two, three in zip(first, second, third, strict=True))


def test_an_adapter_finds_its_base_from_its_own_folder(base: str, tmp_path: Path) -> None:
    shutil.copytree(base, tmp_path / "base")
    folder = adapt(base, tmp_path / "adapter")
    rename(folder, "../base")
    assert Path(locate(folder).weights).resolve() == tmp_path / "base"
    assert Policy.load(folder)


def rename(folder: str, base: object) -> None:
    file = Path(folder) / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"base_model_name_or_path": base}))


def test_what_an_adapter_can_lack_is_one_line(base: str, tmp_path: Path) -> None:
    def error(change: Any) -> str:
        folder = tmp_path / "broken"
        shutil.rmtree(folder, ignore_errors=True)
        change(adapt(base, folder), folder)
        with pytest.raises(ModelError) as found:
            Policy.load(str(folder))
        assert "\n" not in str(found.value)
        return str(found.value)

    other = write_judge(tmp_path / "other", hidden_size=64)
    shallow = write_judge(tmp_path / "shallow", num_hidden_layers=3)
    assert "does not say what its base is" in error(lambda folder, _: rename(folder, None))
    assert "base '/no/such' cannot be used" in error(lambda folder, _: rename(folder, "/no/such"))
    assert "does not fit its base" in error(lambda folder, _: rename(folder, other))
    assert "missing adapter keys" in error(lambda folder, _: rename(folder, shallow))
    weights = "adapter_model.safetensors"
    assert "weights cannot be read" in error(lambda _, path: (path / weights).unlink())
    assert "cannot be read" in error(lambda _, path: (path / "adapter_config.json").write_text("{"))
    assert "is an adapter too" in error(lambda folder, _: rename(folder, adapt(base, tmp_path / "second")))


def test_every_command_takes_an_adapters_folder(judged: Path, base: str, tmp_path: Path) -> None:
    adapter = adapt(base, tmp_path / "adapter")
    reward = adapt(base, tmp_path / "reward", AutoModelForSequenceClassification)
    short = ("--max-new-tokens", 3)
    drawn = told(judged, "sample", adapter, "--set", "sums", "--limit", 2, *short)
    assert (drawn["producer"], drawn["new"]) == ("adapter", 2)
    best = told(
        judged, "sample", base, "--set", "sums", "--limit", 1, *short, "--best-of", 2, "--reward", reward
    )
    assert best["new"] == 1
    said = told(judged, "annotate", "logprob", "--local", "--model", adapter, "--limit", 2)
    assert said["requests"] == 2
    told(judged, "snapshot", "s")
    steps = ("--max-steps", 1, "--batch-size", 2, "--max-length", 512, "--held-out", 0, "--snapshot", "s")
    out = ("--out", tmp_path / "dpo")
    run = told(judged, "train", "dpo", "--model", adapter, "--reference", adapter, *steps, *out)
    assert Policy.load(str(Path(run["checkpoint"]) / "model"))


def test_an_evaluation_takes_a_judge_in_this_process(judged: Path, base: str, tmp_path: Path) -> None:
    folder = tmp_path / "weigh"
    folder.mkdir()
    (folder / "prompt.jinja").write_text(Path("annotators/catalog/logprob/prompt.jinja").read_text())
    settings = "kind: llm\nmodel: small\ndecoding: {max_tokens: 1, top_logprobs: 2}\n"
    (folder / "annotator.yaml").write_text(f"name: weigh\n{settings}parser: {{name: logprob, least: 0}}\n")
    adapter = adapt(base, tmp_path / "adapter")
    judge = ("--annotator", folder, "--judge-model", adapter, "--local", "--rows", 4)
    found = told(
        judged, "evaluate", adapter, "--against", base, "--set", "sums", "--max-new-tokens", 2, *judge
    )
    assert found["judged"]["statuses"]["ok"] > 0
    assert 0 <= found["win_rate"] <= 100


@pytest.mark.skipif(not WITHOUT_GGUF, reason="the package gguf is installed")
def test_a_gguf_file_without_its_package_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "small.gguf"
    file.write_bytes(b"GGUF")
    for source in (str(file), str(tmp_path)):
        with pytest.raises(ModelError, match=r"small\.gguf: .*package gguf.*pip install gguf"):
            Policy.load(source)
    path = tmp_path / "farm.db"
    with Ledger.open(path, create=True) as opened, opened.writing() as writer:
        writer.memberships([Membership(Instruction("Say it."), "one")])
    said = farm(path, "sample", file, "--set", "one")
    assert (said.code, said.error.count("\n")) == (1, 1)
    assert "pip install gguf" in said.error


def test_a_gguf_file_is_found_by_path_and_in_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is looked for; to read one takes the package gguf."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    file = tmp_path / "small.gguf"
    with pytest.raises(ModelError, match="no such file"):
        locate(str(file))
    file.write_bytes(b"GGUF")
    for source in (str(file), str(tmp_path)):
        found = locate(source)
        assert (found.weights, found.options) == (str(tmp_path), {"gguf_file": "small.gguf"})
        assert found.files("*.json") == [file]
    assert source_key(str(file)) != ""
    assert name_of(str(file)).startswith("small.gguf@")
    (tmp_path / "large.gguf").write_bytes(b"GGUF")
    with pytest.raises(ModelError, match=r"several \.gguf files: large.gguf, small.gguf"):
        locate(str(tmp_path))
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(ModelError, match="a file, and no model"):
        locate(str(tmp_path / "notes.txt"))


def test_weights_that_were_quantized_on_disk_can_be_saved(base: str, tmp_path: Path) -> None:
    """transformers marks a model of a .gguf file as quantized, though its weights are floats."""
    from types import SimpleNamespace

    model: Any = AutoModelForCausalLM.from_pretrained(base)
    model.hf_quantizer = SimpleNamespace(is_serializable=False, quantization_config=SimpleNamespace())
    model.config.quantization_config = {"quant_method": "gguf"}
    forget_quantization(model)
    model.save_pretrained(tmp_path)
    assert "quantization_config" not in json.loads((tmp_path / "config.json").read_text())
    assert AutoModelForCausalLM.from_pretrained(tmp_path)


def test_a_reward_model_of_another_publisher_is_still_read(tmp_path: Path) -> None:
    folder = write_reward_model(tmp_path)
    assert len(load_score(folder, 2, ModelConfig())([Prompt("a")] * 3, ["x", "yy", "zzz"])) == 3


def test_the_package_s_model_is_found_by_its_name_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = Path(locate("farm/world/base").weights)
    assert (found / "config.json").is_file()
    assert source_key("farm/world/base") == source_key(str(found))
    own = tmp_path / "farm" / "world" / "base"
    own.mkdir(parents=True)
    (own / "config.json").write_text("{}")
    assert Path(locate("farm/world/base").weights).resolve() == own
