"""A causal backbone with a scalar head: a reward model (one score a row) or a value (one a token)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from farm.config import ModelConfig
from farm.models.codec import Codec, Row, collate
from farm.models.forward import read
from farm.models.hub import ModelError
from farm.models.loading import add_lora, load_codec, load_model, save_model
from farm.models.ops import last_token, spread
from farm.models.tokens import Prompt, Tokens


class Scorer(nn.Module):
    """A sequence-classification model of transformers with one label.

    The score is read at the last response token, which is the end of sequence. Padding may stand on either
    side and have any id.
    """

    entry_points = ("values",)  # methods beside forward that reach the weights

    def __init__(self, model: Any, codec: Codec) -> None:
        super().__init__()
        self.model = model
        self.codec = codec

    @classmethod
    def load(
        cls,
        source: str,
        config: ModelConfig | None = None,
        *,
        seed: int | None = None,
        new_head: bool = False,
    ) -> Scorer:
        """Load from a directory or hub id. seed: make it trainable, with LoRA if config asks for it.

        new_head: the source may be a language model. The head starts as N(0, 1 / (hidden + 1)), by seed.
        Raises ModelError on a model that cannot be loaded or has no scalar head.
        """
        from transformers import AutoModelForSequenceClassification

        config = config or ModelConfig()
        allowed = ("score.weight",) if new_head else ()
        model = load_model(
            source, AutoModelForSequenceClassification, config, may_be_new=allowed, num_labels=1
        )
        if not isinstance(getattr(model, "score", None), nn.Linear):
            what = f"{type(model).__name__} has no scalar head named score"
            raise ModelError(what, where=source, remedy="use a decoder-only model")
        if new_head:
            generator = torch.Generator().manual_seed(seed or 0)
            with torch.no_grad():
                noise = torch.randn(model.score.weight.shape, generator=generator)
                model.score.weight.copy_(noise / (model.score.in_features + 1) ** 0.5)
        if seed is not None and config.lora_rank:
            add_lora(model, config, seed)
            model.score.requires_grad_(True)
        elif seed is None:
            model.requires_grad_(False)
        scorer = cls(model, load_codec(source, config, model)).eval()
        model.config.get_text_config().pad_token_id = (
            scorer.codec.pad_id
        )  # transformers asks for one in batches
        return scorer

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.model.parameters()).device  # type: ignore[no-any-return]

    def forward(self, tokens: Tokens) -> Tensor:
        """Score of each row: (B,)."""
        hidden, mask = read(self.model.base_model, tokens)
        rows = torch.arange(hidden.shape[0], device=hidden.device)
        return cast(Tensor, self.model.score(hidden[rows, last_token(mask)]))[:, 0].float()

    def values(self, tokens: Tokens) -> Tensor:
        """Value of the state before each response token is chosen: (B, T), 0 off the mask."""
        hidden, mask = read(self.model.base_model, tokens, last=False)
        return spread(self.model.score(hidden)[..., 0][mask[:, 1:]].float(), tokens.mask)

    def save(self, directory: Path | None) -> None:
        """Write a directory that transformers loads by itself.

        directory: None only takes part in gathering the weights, on a process other than the first.
        """
        save_model(self.model, self.codec, directory)


class ScorerReward:
    """A frozen scorer as a reward function: texts in, scores (B,) out.

    The score is NaN for a row beyond the scorer's context, and infinite where the scorer gives no number.

    Text is tokenized by the scorer's own codec, so policy and reward model need not share a tokenizer. The
    end of sequence is appended, as in training.
    """

    def __init__(self, scorer: Scorer, batch_rows: int = 64) -> None:
        self.scorer = scorer
        self.batch_rows = batch_rows

    @torch.no_grad()
    def __call__(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
        codec = self.scorer.codec
        asked = list(zip(prompts, responses, strict=True))
        place = {each: i for i, each in enumerate(dict.fromkeys(asked))}  # many draws are alike
        prompt_ids = {prompt: codec.prompt_ids(prompt) for prompt in set(prompts)}
        rows = [Row(prompt_ids[prompt], codec.response_ids(response)) for prompt, response in place]
        scores = torch.full((len(rows),), torch.nan)
        fitting = [i for i, row in enumerate(rows) if codec.context is None or row.length <= codec.context]
        order = sorted(fitting, key=lambda i: rows[i].length)
        for at in range(0, len(order), self.batch_rows):
            part = order[at : at + self.batch_rows]
            tokens = collate([rows[i] for i in part], codec.pad_id, self.scorer.device)
            scores[part] = self.scorer(tokens).cpu().nan_to_num(torch.inf, torch.inf, torch.inf)
        return scores[[place[each] for each in asked]]
