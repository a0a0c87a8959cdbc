"""A policy: a causal language model of transformers with its codec. It rates responses and draws them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from db.errors import ConfigError
from farm.config import ModelConfig
from farm.models.chunks import head_logps, in_chunks
from farm.models.codec import Codec
from farm.models.forward import cache_option, model_inputs, read
from farm.models.loading import add_lora, load_codec, load_model, save_model
from farm.models.ops import at_temperature, spread, token_logps
from farm.models.tokens import Prompt, Tokens


class Policy(nn.Module):
    """log π(response | prompt), token by token.

    The language-model head is applied to positions that predict response tokens and to no others: with
    the vocabularies of today the head costs as much as many layers. A probe finds models that do more to
    their logits than apply the head (a scale, a soft cap). Those are run by their own forward pass.
    """

    entry_points = (
        "of_each_token",
        "compared",
        "response_logits",
        "step_logits",
    )  # beside forward, reach the weights

    def __init__(self, model: Any, codec: Codec) -> None:
        super().__init__()
        self.model = model
        self.codec = codec
        self.plain_head = has_plain_head(model)
        self.cache_option = cache_option(model)

    @classmethod
    def load(cls, source: str, config: ModelConfig | None = None, *, seed: int | None = None) -> Policy:
        """Load from a directory or hub id. seed: make it trainable, with LoRA if config asks for it.

        Without a seed it is frozen. Raises ModelError on a model that cannot be loaded.
        """
        from transformers import AutoModelForCausalLM

        config = config or ModelConfig()
        model = load_model(source, AutoModelForCausalLM, config)
        if seed is not None and config.lora_rank:
            add_lora(model, config, seed)
        elif seed is None:
            model.requires_grad_(False)
        return cls(model, load_codec(source, config, model)).eval()

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.model.parameters()).device  # type: ignore[no-any-return]

    @property
    def models(self) -> Sequence[Any]:
        """The models that keep keys and values while responses are drawn."""
        return [self.model]

    @property
    def never_drawn(self) -> list[int]:
        """Tokens that must not be drawn, as the checkpoint's generation config says."""
        return list(getattr(self.model.generation_config, "suppress_tokens", None) or [])

    def forward(self, tokens: Tokens, temperature: float = 1.0) -> Tensor:
        """Log-probabilities of the response tokens at a temperature: (B, T), 0 off the mask."""
        head = self.model.get_output_embeddings()
        if self.plain_head and type(head) is nn.Linear and head.bias is None:
            ids = tokens.ids[tokens.mask]
            return spread(head_logps(self._predicting(tokens), head.weight, ids, temperature), tokens.mask)

        def logps(logits: Tensor, ids: Tensor) -> Tensor:
            return token_logps(at_temperature(logits, temperature), ids)

        return spread(self.of_each_token(tokens, logps), tokens.mask)

    def of_each_token(
        self, tokens: Tokens, measure: Callable[..., Tensor], *beside: tuple[Policy, Tokens]
    ) -> Tensor:
        """What `measure` makes of the logits that predict each response token: (N, ...).

        measure: of some positions, logits (n, V) and ids (n,) to (n, ...), each position by itself. It is
        called on a part of them at a time, so that the memory does not follow N times V. beside: other
        policies, and the rows with the same response tokens that each reads. Their logits are passed to
        `measure` after those of this policy.
        """
        sides = [(self, tokens), *beside]
        ids = tokens.ids[tokens.mask]
        if not all(policy.plain_head for policy, _ in sides):
            return measure(*(policy.response_logits(rows) for policy, rows in sides), ids)
        heads = [policy.model.get_output_embeddings() for policy, _ in sides]
        states = [policy._predicting(rows) for policy, rows in sides]

        def of_states(*parts: Tensor) -> Tensor:
            *states, ids = parts
            return measure(*(head(each) for head, each in zip(heads, states, strict=True)), ids)

        return in_chunks(of_states, (*states, ids), sum(head.weight.shape[0] for head in heads))

    def compared(self, tokens: Tokens, other: Policy, measure: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """What `measure` makes of the logits of two policies that predict each response token: (N, ...).

        other: a frozen policy with the same vocabulary. measure: as of `of_each_token`, of the logits of this
        policy and of the other, (n, V) each.
        """
        with torch.no_grad():
            theirs = other._predicting(tokens) if other.plain_head else other.response_logits(tokens)
        mine = self._predicting(tokens) if self.plain_head else self.response_logits(tokens)
        heads = [
            policy.model.get_output_embeddings() if policy.plain_head else nn.Identity()
            for policy in (self, other)
        ]

        def of_states(mine: Tensor, theirs: Tensor) -> Tensor:
            logits, others = heads[0](mine), heads[1](theirs)
            common = min(logits.shape[-1], others.shape[-1])  # one may have embeddings that no token uses
            return measure(logits[:, :common], others[:, :common].detach())

        return in_chunks(of_states, (mine, theirs), 2 * self.model.config.get_text_config().vocab_size)

    def response_logits(self, tokens: Tokens) -> Tensor:
        """Logits that predict each response token: (N, V), in the order of tokens.ids[tokens.mask].

        All of them are in memory at once. `of_each_token` needs less.
        """
        if not self.plain_head:
            inputs = {name: values[:, :-1] for name, values in model_inputs(tokens).items()}
            return cast(Tensor, self.model(**inputs, use_cache=False).logits[tokens.mask[:, 1:]])
        return cast(Tensor, self.model.get_output_embeddings()(self._predicting(tokens)))

    def _predicting(self, tokens: Tokens) -> Tensor:
        """The last hidden states from which the head predicts the response tokens: (N, H)."""
        hidden, mask = read(self.model.base_model, tokens, last=False)
        return hidden[mask[:, 1:]]  # position t predicts token t + 1, so nothing reads the last

    def step_logits(self, ids: Tensor, attention: Tensor, positions: Tensor, cache: Any) -> Tensor:
        """Logits after the last token of ids, (B, S) -> (B, V). Keys and values are added to the cache."""
        out = self.model(
            input_ids=ids,
            attention_mask=attention,
            position_ids=positions,
            use_cache=True,
            logits_to_keep=1,
            **{self.cache_option: cache},
        )
        return out.logits[:, -1]  # type: ignore[no-any-return]

    def condition_on(self, tokens: Sequence[str], prompt: Prompt) -> None:
        """Add control tokens to tokenizer and model. From now on the template asks for the last of them.

        Each starts as half the embedding of the token that it follows, the last one of `prompt`, so that the
        policy answers as before. Noise with the standard deviation of the embeddings is added, so that the
        policy soon tells the tokens apart. The noise is the same in every process. None is ever drawn.
        """
        before = self.codec.prompt_ids(prompt)[-1]
        self.codec = self.codec.with_control(tokens[-1])
        added = self.codec.tokenizer.add_special_tokens({"additional_special_tokens": list(tokens)})
        ids = self.codec.tokenizer.convert_tokens_to_ids(list(tokens))
        self.model.generation_config.suppress_tokens = ids
        if not added:
            return
        generator = torch.Generator().manual_seed(len(tokens))
        old = self.model.get_input_embeddings().weight.shape[0]
        size = max(old, len(self.codec.tokenizer))
        self.model.resize_token_embeddings(size, mean_resizing=False)
        self.codec = replace(self.codec, embeddings=size)
        embedded, drawn = (layer.weight for layer in _embeddings(self.model))
        starts = {id(drawn): (drawn, drawn[:old].mean(0))}
        starts[id(embedded)] = (embedded, embedded[before] / 2)  # in place of the mean, if tied
        with torch.no_grad():
            for weight, start in starts.values():
                noise = torch.randn(len(ids), weight.shape[1], generator=generator).to(weight)
                weight[ids] = start + weight[:old].std(0) * noise

    def save(self, directory: Path | None) -> None:
        """Write a directory that transformers loads by itself.

        directory: None only takes part in gathering the weights, on a process other than the first.
        """
        save_model(self.model, self.codec, directory)


def require_same_tokens(policy: Policy, other: Policy, role: str) -> None:
    """Raise ConfigError if another policy writes other tokens. role: what it is to the policy."""
    if other.codec.tokenizer.get_vocab() != policy.codec.tokenizer.get_vocab():
        what = f"the {role} writes other tokens than the policy"
        raise ConfigError(what, where=role, remedy=f"use a {role} with the policy's tokenizer")


def _embeddings(model: Any) -> list[Any]:
    return [model.get_input_embeddings(), model.get_output_embeddings()]


def has_plain_head(model: Any) -> bool:
    """Whether the logits are the output layer applied to the last hidden states, and nothing else."""
    head = model.get_output_embeddings()
    if head is None or model.base_model is model:
        return False
    ids = (
        torch.arange(1, 4, device=next(model.parameters()).device)[None]
        % model.config.get_text_config().vocab_size
    )
    with torch.no_grad():
        hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        return torch.allclose(
            head(hidden), model(input_ids=ids, use_cache=False).logits, rtol=1e-4, atol=1e-5
        )
