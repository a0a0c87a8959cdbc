"""A causal backbone with a linear head: a reward model (scores of a row) or a value model (one a token)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from farm.config import ModelConfig
from farm.models.codec import Codec, Row, collate
from farm.models.forward import read
from farm.models.hub import ModelError
from farm.models.loading import add_lora, load_codec, load_model, save_model
from farm.models.ops import last_token, spread
from farm.models.tokens import Prompt, Tokens


class Coded(Protocol):
    """A model with its codec: a policy or a scorer."""

    codec: Codec

    @property
    def device(self) -> torch.device: ...


class Scorer(nn.Module):
    """A sequence-classification model of transformers with one label, or one for each of K outputs.

    Outputs are read at the last response token, which is the end of sequence. Padding may stand on either
    side and have any id.
    """

    entry_points = ("values", "outputs")  # methods beside forward that reach the weights

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
        outputs: int = 1,
    ) -> Scorer:
        """Load from a directory or hub id. seed: make it trainable, with LoRA if config asks for it.

        new_head: the source may be a language model. The head starts as N(0, 1 / (hidden + 1)), by seed.
        outputs: K. Raises ModelError on a model that cannot be loaded or has no such head.
        """
        from transformers import AutoModelForSequenceClassification

        config = config or ModelConfig()
        allowed = ("score.weight",) if new_head else ()
        model = load_model(
            source, AutoModelForSequenceClassification, config, may_be_new=allowed, num_labels=outputs
        )
        if not isinstance(getattr(model, "score", None), nn.Linear):
            what = f"{type(model).__name__} has no linear head named score"
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
        """Score of each row, its first output: (B,)."""
        return self.outputs(tokens)[:, 0]

    def outputs(self, tokens: Tokens) -> Tensor:
        """Outputs of each row: (B, K)."""
        hidden, mask = read(self.model.base_model, tokens)
        rows = torch.arange(hidden.shape[0], device=hidden.device)
        return cast(Tensor, self.model.score(hidden[rows, last_token(mask)])).float()

    def values(self, tokens: Tokens) -> Tensor:
        """Value of the state before each response token is chosen: (B, T), 0 off the mask."""
        hidden, mask = read(self.model.base_model, tokens, last=False)
        return spread(self.model.score(hidden)[..., 0][mask[:, 1:]].float(), tokens.mask)

    def save(self, directory: Path | None) -> None:
        """Write a directory that transformers loads by itself.

        directory: None only takes part in gathering the weights, on a process other than the first.
        """
        save_model(self.model, self.codec, directory)


@torch.no_grad()
def rate_rows(rows: Sequence[Row], model: Coded, rate: Callable[[Tokens], Tensor], batch_rows: int) -> Tensor:
    """What a frozen model says of rows, such as a score: (n,) or (n, K), in their order, on the CPU.

    NaN for a row beyond the model's context, and infinite where the model gives no number. Rows of similar
    length share a pass, of `batch_rows` at most.
    """
    codec = model.codec
    fitting = [i for i, row in enumerate(rows) if codec.context is None or row.length <= codec.context]
    order = sorted(fitting, key=lambda i: rows[i].length)
    found: Tensor | None = None
    for at in range(0, len(order), batch_rows):
        part = order[at : at + batch_rows]
        said = rate(collate([rows[i] for i in part], codec.pad_id, model.device)).cpu()
        if found is None:
            found = torch.full((len(rows), *said.shape[1:]), torch.nan)
        found[part] = said.float().nan_to_num(torch.inf, torch.inf, torch.inf)
    return torch.full((len(rows),), torch.nan) if found is None else found


class TextReward:
    """A frozen model as a reward function: texts in, scores (B,) out. rate: scores of rows of tokens.

    A score is NaN or infinite as `rate_rows` says. Text is tokenized by the model's own codec, so policy and
    reward model need not share a tokenizer. The end of sequence is appended, as in training.
    """

    def __init__(self, model: Coded, rate: Callable[[Tokens], Tensor], batch_rows: int = 64) -> None:
        self.model, self.rate, self.batch_rows = model, rate, batch_rows

    def __call__(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
        codec = self.model.codec
        asked = list(zip(prompts, responses, strict=True))
        place = {each: i for i, each in enumerate(dict.fromkeys(asked))}  # many draws are alike
        prompt_ids = {prompt: codec.prompt_ids(prompt) for prompt in set(prompts)}
        rows = [Row(prompt_ids[prompt], codec.response_ids(response)) for prompt, response in place]
        scores = rate_rows(rows, self.model, self.rate, self.batch_rows)
        return scores[[place[each] for each in asked]]


class ScorerReward(TextReward):
    """The score of a frozen scorer as a reward function."""

    def __init__(self, scorer: Scorer, batch_rows: int = 64) -> None:
        super().__init__(scorer, scorer, batch_rows)
        self.scorer = scorer


class PrincipleReward:
    """The weighted sum of a frozen scorer's log-odds that a response satisfies each of some principles.

    weights: principle -> weight. wording: how a principle is put between prompt and response.
    """

    def __init__(
        self, scorer: Scorer, weights: Mapping[str, float], wording: str, batch_rows: int = 64
    ) -> None:
        self.scorer, self.weights, self.wording, self.batch_rows = scorer, weights, wording, batch_rows

    def __call__(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
        codec, total = self.scorer.codec, torch.zeros(len(responses))
        for principle, weight in self.weights.items():
            asking = codec.with_control(self.wording.replace("{principle}", principle))
            rows = [asking.row(*each) for each in zip(prompts, responses, strict=True)]
            total = total + weight * rate_rows(rows, self.scorer, self.scorer, self.batch_rows)
        return total
