"""The configurations that methods share: how models are loaded, trained and drawn from.

farm/settings says what a configuration is and how its errors read.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from farm.settings.checked import Config, build, read_yaml
from farm.settings.fields import Option, option, options

__all__ = [
    "Combination",
    "Config",
    "Decoding",
    "LogRatioRead",
    "ModelConfig",
    "Option",
    "TrainConfig",
    "build",
    "loading_of",
    "option",
    "options",
    "read_yaml",
]

Schedule: TypeAlias = Literal["cosine", "linear", "constant"]
Precision: TypeAlias = Literal["float32", "bfloat16"]
LogRatioRead: TypeAlias = Literal["sum", "mean"]
Combination: TypeAlias = Literal["mean", "minimum", "lower_bound"]
Attention: TypeAlias = Literal["sdpa", "eager", "flash_attention_2", "flex_attention"]


class ModelConfig(Config):
    """How a model is loaded."""

    dtype: Precision = "float32"
    """Precision of the weights."""
    attention: Attention = "sdpa"
    """Attention implementation of transformers."""
    device: str = "auto"
    """Where the model runs: cpu, cuda, cuda:1, or auto for a GPU where there is one."""
    template: str = "auto"
    """Prompt template: chat (the tokenizer's), plain, a text with {instruction} and {input}, or auto: the one
    stored with the checkpoint, else chat if the tokenizer has one, else plain."""
    trust_remote_code: bool = False
    """Run Python code that comes with a checkpoint. Only for publishers you trust."""
    lora_rank: int = option(0, at_least=0)
    """Rank of the LoRA adapters that are trained in place of the weights; 0 trains the weights."""
    lora_alpha: int = option(16, at_least=1)
    """LoRA's scale: adapters are multiplied by lora_alpha / lora_rank."""
    lora_dropout: float = option(0.0, at_least=0, below=1)
    """Dropout on the input of the LoRA adapters."""
    lora_targets: tuple[str, ...] = ()
    """Names of the linear layers that get adapters; none: all but the output layer."""


def loading_of(config: ModelConfig) -> ModelConfig:
    """How a model that a run made is loaded to draw from: as the run loads it, with its own template."""
    return ModelConfig(
        dtype=config.dtype,
        attention=config.attention,
        device=config.device,
        trust_remote_code=config.trust_remote_code,
    )


class TrainConfig(ModelConfig):
    """What the shared loop needs to know."""

    seed: int = option(0, at_least=0)
    """Seed of data order, initial weights of new heads, dropout and sampling."""
    epochs: float = option(1.0, above=0)
    """Passes over the data."""
    max_steps: int | None = option(None, at_least=1)
    """Stop after so many optimizer steps, even if epochs would give more."""
    batch_size: int = option(32, at_least=1)
    """Rows (demonstrations, pairs or prompts) per optimizer step, over all processes."""
    micro_batch: int | None = option(None, at_least=1)
    """Rows at most in one forward pass of one process; gradients add up over a step. None: all at once."""
    token_budget: int | None = option(None, at_least=1)
    """Tokens at most, padding included, in one forward pass of one process. None: no limit."""
    length_window: int = option(1, at_least=1)
    """Steps over whose rows are sorted by length. 1: the rows of a step are drawn at random. More: less
    padding, so less time; but a step of like lengths weighs its tokens unlike the others, and sft learns
    measurably less from as many steps (docs/train.md, Data order)."""
    max_length: int = option(512, at_least=2)
    """Tokens at most in a prompt with its response."""
    overlong: Literal["error", "drop"] = "error"
    """What to do about a row longer than max_length: stop, or leave it out and say how many."""
    learning_rate: float = option(1e-5, above=0)
    """Peak learning rate of AdamW."""
    schedule: Schedule = "cosine"
    """Learning rate after warm-up: falls to 0 along a cosine or a line, or stays."""
    warmup: float = option(0.03, at_least=0, below=1)
    """Share of the steps over which the learning rate rises from 0."""
    weight_decay: float = option(0.0, at_least=0)
    """Decoupled weight decay of AdamW, on matrices only."""
    adam_betas: tuple[float, float] = (0.9, 0.999)
    """Decay rates of AdamW's two moments."""
    adam_epsilon: float = option(1e-8, above=0)
    """AdamW's denominator floor."""
    max_grad_norm: float = option(1.0, above=0)
    """Gradients are scaled down to this norm."""
    disable_dropout: bool = True
    """Turn off the dropout that the model brings, so that learning and drawing agree; lora_dropout stays."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16: forward passes under bfloat16 autocast; weights keep their own dtype."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, more time."""
    compile: bool = False
    """torch.compile the models, a minute at the start. Measure if it pays: a quarter at best on a CPU."""
    distribute: Literal["ddp", "fsdp"] = "ddp"
    """With several processes: every one holds the model (ddp) or a share of it (fsdp, which is FSDP2)."""
    log_every: int = option(10, at_least=1)
    """Steps between two lines of metrics, each an average over those steps."""
    track: Literal["none", "tensorboard", "trackio"] = "none"
    """Where metrics go beside the ledger."""
    eval_every: int | None = option(None, at_least=1)
    """Steps between evaluations on the held-out rows. None: at the end alone."""
    save_every: int | None = option(None, at_least=1)
    """Steps between checkpoints. None: at the end alone."""
    keep: int = option(2, at_least=1)
    """Checkpoints that are kept, the latest ones."""

    def problems(self) -> list[str]:
        """What is wrong with the two numbers of adam_betas, if anything."""
        if all(0 <= beta < 1 for beta in self.adam_betas):
            return []
        return [f"adam_betas is {self.adam_betas}, both must be at least 0 and below 1"]


class Decoding(Config):
    """How responses are drawn."""

    temperature: float = option(1.0, at_least=0)
    """Logits are divided by it; 0 takes the likeliest token every time."""
    top_p: float = option(1.0, above=0, at_most=1)
    """Draw among the likeliest tokens that together reach this probability; 1 draws among all."""
    top_k: int = option(0, at_least=0)
    """Draw among so many of the likeliest tokens; 0 draws among all."""
    max_new_tokens: int = option(300, at_least=1)
    """Tokens at most in a response, the end-of-sequence token included."""
