import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import log_softmax, pad
from transformers import AutoModelForCausalLM, Gemma2Config, Gemma2ForCausalLM

from farm.config import ModelConfig
from farm.models.codec import Row, collate
from farm.models.hub import ModelError
from farm.models.ops import full_kl, full_logps
from farm.models.policy import Policy
from farm.models.scorer import Scorer
from farm.models.tokens import Prompt, Tokens
from farm.world.language import BASE

ROWS = [Row([10, 11, 12], [20, 21, 2]), Row([10], [30, 2]), Row([9, 8, 7, 6], [5, 4, 3, 20, 2])]


def left_padded(rows: Sequence[Row], pad_id: int, extra: int = 0) -> Tokens:
    """The same rows with padding at the left, which takes an attention mask."""
    width = max(row.length for row in rows) + extra
    ids = torch.tensor([[pad_id] * (width - r.length) + r.prompt + r.response for r in rows])
    columns = torch.arange(width)
    mask = torch.stack([columns >= width - len(r.response) for r in rows])
    attention = torch.stack([columns >= width - r.length for r in rows])
    return Tokens(ids, mask, attention)


def test_logps_are_those_of_transformers(model_dir: str) -> None:
    policy = Policy.load(model_dir)
    plain = AutoModelForCausalLM.from_pretrained(model_dir)
    tokens = collate(ROWS, 0)
    logps = policy(tokens)
    for i, row in enumerate(ROWS):
        ids = torch.tensor([row.prompt + row.response])
        expected = log_softmax(plain(ids).logits[0, :-1], -1).gather(1, ids[0, 1:, None])[:, 0]
        at = len(row.prompt)
        assert torch.allclose(logps[i, at : row.length], expected[at - 1 :], atol=1e-5)
        assert not logps[i, :at].any()
        assert not logps[i, row.length :].any()


@pytest.mark.parametrize("fixture", ["model_dir", "pad_is_eos_dir"])
def test_padding_side_and_amount_change_nothing(fixture: str, request: pytest.FixtureRequest) -> None:
    policy = Policy.load(request.getfixturevalue(fixture))
    pad_id = policy.codec.pad_id
    right = collate(ROWS, pad_id)
    expected = policy(right)[right.mask]
    wider = Tokens(pad(right.ids, (0, 7), value=pad_id), pad(right.mask, (0, 7)))
    masked = wider._replace(attention=wider.ids.cumsum(1).bool() & (torch.arange(16) < 9))
    left, lefter = left_padded(ROWS, pad_id), left_padded(ROWS, pad_id, extra=5)
    assert torch.allclose(policy(wider)[wider.mask], expected, atol=1e-5)
    assert torch.allclose(policy(masked)[masked.mask], expected, atol=1e-5)
    assert torch.allclose(policy(left)[left.mask], expected, atol=1e-5)
    assert torch.allclose(policy(lefter)[lefter.mask], expected, atol=1e-5)


def test_pad_equal_to_eos_changes_nothing_and_eos_is_scored(model_dir: str, pad_is_eos_dir: str) -> None:
    apart, same = Policy.load(model_dir), Policy.load(pad_is_eos_dir)
    assert same.codec.pad_id == same.codec.eos_id != apart.codec.pad_id
    prompt = Prompt("hi")
    tokens = [
        collate([p.codec.row(prompt, "a"), p.codec.row(prompt, "bcd")], p.codec.pad_id) for p in (apart, same)
    ]
    assert torch.equal(tokens[0].mask, tokens[1].mask)
    assert torch.allclose(apart(tokens[0]), same(tokens[1]), atol=1e-6)
    last = tokens[1].mask.int().cumsum(1).argmax(1)
    assert (tokens[1].ids[[0, 1], last] == 2).all()
    assert (same(tokens[1])[[0, 1], last] < 0).all()


def test_temperature_divides_the_logits(model_dir: str) -> None:
    policy, tokens = Policy.load(model_dir), collate(ROWS, 0)
    expected = log_softmax(policy.response_logits(tokens) / 0.5, -1)
    expected = expected.gather(1, tokens.ids[tokens.mask][:, None])[:, 0]
    assert torch.allclose(policy(tokens, 0.5)[tokens.mask], expected, atol=1e-5)


def test_a_model_that_caps_its_logits_is_found_out(tmp_path: Path, model_dir: str) -> None:
    torch.manual_seed(0)
    config = Gemma2Config(
        vocab_size=259, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, head_dim=16, final_logit_softcapping=0.5, initializer_range=0.5,
        attn_logit_softcapping=None,
    )  # fmt: skip
    Gemma2ForCausalLM(config).save_pretrained(tmp_path)
    Policy.load(model_dir).codec.save(tmp_path)
    policy = Policy.load(str(tmp_path), ModelConfig(attention="eager"))
    assert Policy.load(model_dir).plain_head
    assert not policy.plain_head
    tokens = collate(ROWS[:1], 0)
    assert policy.response_logits(tokens).abs().max() <= 0.5
    expected = policy.model(tokens.ids).logits[0, 2:5]
    assert torch.allclose(policy.response_logits(tokens), expected, atol=1e-6)


def test_saved_policies_load_by_transformers_alone(tmp_path: Path, model_dir: str) -> None:
    policy = Policy.load(model_dir, ModelConfig(template="{instruction}:"))
    policy.save(tmp_path)
    code = (
        "import sys, torch; from transformers import AutoModelForCausalLM, AutoTokenizer;"
        f"m = AutoModelForCausalLM.from_pretrained({str(tmp_path)!r});"
        f"t = AutoTokenizer.from_pretrained({str(tmp_path)!r});"
        "print(m(torch.tensor([[5, 6]])).logits.sum().item(), t.eos_token_id, 'farm' in sys.modules)"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    total, eos, ours = out.stdout.split()
    assert float(total) == pytest.approx(policy.model(torch.tensor([[5, 6]])).logits.sum().item(), abs=1e-3)
    assert (eos, ours) == ("2", "False")
    assert Policy.load(str(tmp_path)).codec.template.without_input == "{instruction}:"


def test_lora_trains_adapters_alone_and_saves_whole_weights(tmp_path: Path, model_dir: str) -> None:
    config = ModelConfig(lora_rank=2, lora_targets=("q_proj", "v_proj"))
    policy = Policy.load(model_dir, config, seed=0)
    trainable = [name for name, p in policy.named_parameters() if p.requires_grad]
    assert trainable
    assert all("lora_" in name for name in trainable)
    tokens = collate(ROWS, 0)
    frozen = Policy.load(model_dir)
    assert torch.equal(policy(tokens), frozen(tokens)), "adapters start at zero"
    optimizer = torch.optim.SGD([p for p in policy.parameters() if p.requires_grad], lr=10.0)
    for _ in range(2):
        (-policy(tokens).sum()).backward()
        optimizer.step()
    policy.eval()
    assert not torch.allclose(policy(tokens), frozen(tokens), atol=1e-2)
    policy.save(tmp_path)
    assert not (tmp_path / "adapter_config.json").exists()
    again = Policy.load(str(tmp_path))
    assert torch.allclose(again(tokens), policy(tokens), atol=1e-4)
    with pytest.raises(ModelError, match="LoRA does not fit"):
        Policy.load(model_dir, ModelConfig(lora_rank=2, lora_targets=("nothing",)), seed=0)


def test_control_tokens_start_as_the_token_before_them_and_are_asked_for(
    tmp_path: Path, model_dir: str
) -> None:
    policy = Policy.load(model_dir, seed=0)
    before = policy.model.get_input_embeddings().weight.detach().clone()
    last = policy.codec.prompt_ids(Prompt("x"))[-1]
    policy.condition_on(["<|bad|>", "<|good|>"], Prompt("x"))
    after = policy.model.get_input_embeddings().weight
    assert torch.equal(after[: len(before)], before)
    assert after.shape[0] == len(before) + 2
    noise = (after[-2:] - before[last] / 2) / before.std(0)
    assert 0.6 < noise.std() < 1.4
    assert noise.abs().max() < 6
    assert not torch.equal(after[-1], after[-2])
    good = policy.codec.tokenizer.convert_tokens_to_ids("<|good|>")
    assert policy.codec.prompt_ids(Prompt("x"))[-1] == good
    policy.save(tmp_path)
    assert Policy.load(str(tmp_path)).codec.prompt_ids(Prompt("x"))[-1] == good


def test_new_control_tokens_leave_a_policy_all_but_undisturbed() -> None:
    """A token of random meaning before the response costs most of what was learnt, 2 nats a token here."""
    reference, policy = Policy.load(str(BASE)), Policy.load(str(BASE))
    policy.condition_on(["<|bad|>", "<|good|>"], Prompt("x"))
    asked = [Prompt("name an animal ."), Prompt("what color is the sky ?")]
    plain, controlled = (
        full_logps(each.response_logits(collate([each.codec.row(p, "a red cat .") for p in asked], 0)))
        for each in (reference, policy)
    )
    assert full_kl(plain, controlled[:, : plain.shape[1]]).mean() < 1


def test_a_missing_model_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such folder"):
        Policy.load(str(tmp_path / "nothing"))


def test_a_checkpoint_of_another_architecture_is_a_clear_error(tmp_path: Path, model_dir: str) -> None:
    Scorer.load(model_dir, seed=0, new_head=True).save(tmp_path)
    with pytest.raises(ModelError, match="another architecture"):
        Policy.load(str(tmp_path))
    with pytest.raises(ModelError, match="another architecture"):
        Scorer.load(model_dir)


def test_pickled_weights_are_refused(tmp_path: Path, model_dir: str) -> None:
    policy = Policy.load(model_dir)
    policy.save(tmp_path)
    torch.save(load_file(tmp_path / "model.safetensors"), tmp_path / "pytorch_model.bin")
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="no model could be loaded"):
        Policy.load(str(tmp_path))


def test_nan_weights_are_a_clear_error(tmp_path: Path, model_dir: str) -> None:
    Policy.load(model_dir).save(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    weights["model.norm.weight"][3] = float("nan")
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"weight model.norm.weight is not finite"):
        Policy.load(str(tmp_path))


def test_remote_code_is_not_run_unless_asked(tmp_path: Path, model_dir: str) -> None:
    Policy.load(model_dir).save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.M"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()")
    with pytest.raises(ModelError):
        Policy.load(str(tmp_path))
    assert not (tmp_path / "ran").exists()
