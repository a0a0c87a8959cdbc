"""A model's own dropout: off where policy, reference and draws must agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.models.opt import OPTConfig, OPTForCausalLM

from farm.methods import load
from farm.models.loading import disable_dropout
from farm.training.data import Data, PreferencePair
from farm.training.run_models import LoadedModels
from tests.support.on_policy import PROMPTS, SHORT, letters
from tests.support.tiny_models import byte_tokenizer

PAIRS = [PreferencePair(prompt, "good", "bad", 1.0) for prompt in PROMPTS]


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> str:
    """GPT-2 as its configuration comes, with dropout of 0.1 in three places."""
    folder = tmp_path_factory.mktemp("gpt2")
    tokenizer = byte_tokenizer(pad="<pad>", eos="</s>")
    size: dict[str, Any] = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256}
    config = GPT2Config(vocab_size=len(tokenizer), eos_token_id=2, **size)
    assert (config.attn_pdrop, config.embd_pdrop, config.resid_pdrop) == (0.1, 0.1, 0.1)
    torch.manual_seed(0)
    GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def _loss(name: str, source: str, data: Data[Any], **options: Any) -> dict[str, float]:
    """The metrics of a run's first batch, in training mode."""
    method_class = load(name)
    config = method_class.Config(**options)
    method = method_class(config, data, LoadedModels(source, config, reward=letters))
    batches = next(iter(method.feed.batches(0)))
    method.trained.train()
    torch.manual_seed(1)
    loss, stats = method.loss(batches[0])
    return {"loss": float(loss.detach()), **{name: float(value) for name, value in stats.items()}}


@pytest.mark.parametrize("name", ["rloo", "grpo", "ppo"])
def test_the_first_step_of_a_rollout_clips_nothing(name: str, gpt2: str) -> None:
    options = {each: value for each, value in SHORT.items() if each != "n" or name != "ppo"}
    assert _loss(name, gpt2, Data(PROMPTS), **options)["policy/clipfrac_avg"] == 0
    with_dropout = _loss(name, gpt2, Data(PROMPTS), disable_dropout=False, **options)
    assert with_dropout["policy/approxkl_avg"] > 1e-6  # the model has dropout to disable


def test_dpo_starts_at_log_2(gpt2: str) -> None:
    assert _loss("dpo", gpt2, Data(PAIRS))["loss"] == pytest.approx(0.6931472, abs=1e-6)
    with_dropout = _loss("dpo", gpt2, Data(PAIRS), disable_dropout=False)["loss"]
    assert abs(with_dropout - 0.6931472) > 1e-4  # the model has dropout to disable


def test_sft_keeps_the_models_dropout() -> None:
    assert not load("sft").Config().disable_dropout
    assert load("quark").Config().disable_dropout


def test_rates_that_are_numbers_go_and_those_of_adapters_stay() -> None:
    peft = pytest.importorskip("peft")
    config = OPTConfig(hidden_size=16, ffn_dim=16, num_hidden_layers=1, num_attention_heads=2, dropout=0.3)
    config.attention_dropout = config.layerdrop = 0.2
    model = OPTForCausalLM(config)
    model.add_adapter(peft.LoraConfig(r=2, lora_dropout=0.25, target_modules=["q_proj"]))
    disable_dropout(model)
    modules = dict(model.named_modules())
    layer = modules["model.decoder.layers.0"]
    assert (layer.dropout, layer.self_attn.dropout, modules["model.decoder"].layerdrop) == (0, 0, 0)
    rates = {name: m.p for name, m in modules.items() if isinstance(m, torch.nn.Dropout)}
    assert [rate for name, rate in rates.items() if "lora_" in name] == [0.25]
    assert model.config.dropout == 0.3


def test_the_template_may_end_with_the_instruction_where_no_token_begins_a_text(
    gpt2: str, tmp_path: Path
) -> None:
    method_class: Any = load("reward_conditioning")
    config = method_class.Config(template="{instruction}", n=4, max_new_tokens=4)
    method = method_class(config, Data(PROMPTS), LoadedModels(gpt2, config, reward=letters))
    best = method.policy.codec.tokenizer.convert_tokens_to_ids("<|quality_3|>")
    assert method.policy.codec.prompt_ids(PROMPTS[0])[-1] == best
