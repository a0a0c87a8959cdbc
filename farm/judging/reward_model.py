"""A reward model in this process as a judge: a score for each output, by any sequence-classification model.

A model of `farm train` is asked by the prompt template that is stored with it, and so is an ensemble. Any
other is asked by its tokenizer's chat template, or, without one, with instruction and output as a pair of
texts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from annotators.clients.request import Request
from annotators.clients.sending import Sending, failed
from annotators.prices import Usage
from annotators.reward_model import scored_pair, scores_text
from db.records import Turn, TurnRole
from farm.config import ModelConfig
from farm.judging.language_model import AS_USUAL, config_of
from farm.judging.provider import Weights
from farm.models.chat import chat_text
from farm.models.codec import TEMPLATE_FILE
from farm.models.hub import ModelError
from farm.models.loading import load_model, load_tokenizer
from farm.models.reward_cards import reward_card
from farm.models.rewards import compares, load_margins, load_reward
from farm.models.sources import locate
from farm.models.tokens import Prompt

Score = Callable[[Sequence[Prompt], Sequence[str]], Sequence[float]]
"""(prompts, responses) -> one score each."""
TwoScores = tuple[float, float]
ScorePairs = Callable[[Sequence[Prompt], Sequence[str], Sequence[str]], Sequence[TwoScores]]
"""(prompts, first outputs, second outputs) -> the scores of both."""


class RewardJudge:
    """Answers the requests of annotators.reward_model. Use it as an in_process.Answerer.

    source: a folder or hub id, which is loaded when it is needed. rows: texts in one forward pass.
    """

    def __init__(self, source: str, rows: int, weights: Weights = AS_USUAL) -> None:
        self.source = source
        self.rows = rows
        self.config = config_of(weights)
        self._score: ScorePairs | None = None

    def __call__(self, requests: Sequence[Request]) -> list[Sending]:
        """Two scores for each request, as a reply."""
        self._score = self._score or load_pair_scores(self.source, self.rows, self.config)
        asked = [scored_pair(request) for request in requests]
        prompts = [Prompt.of(each.instruction) for each in asked]
        scores = self._score(prompts, [each.first for each in asked], [each.second for each in asked])
        return [_sending(*each) for each in zip(requests, scores, strict=True)]


def load_pair_scores(source: str, rows: int, config: ModelConfig) -> ScorePairs:
    """The function that scores pairs, of any model that does so. Raises ModelError where there is none.

    A model that compares two outputs gives them half its log-odds each, so that their difference is right.
    """
    if compares(source):
        margins = load_margins(source, config, rows)

        def halves(prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]) -> list[TwoScores]:
            return [(half, -half) for half in (margins(prompts, first, second) / 2).tolist()]

        return halves
    alone = load_score(source, rows, config)

    def both(prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]) -> list[TwoScores]:
        scores = alone([*prompts, *prompts], [*first, *second])
        return list(zip(scores[: len(first)], scores[len(first) :], strict=True))

    return both


def load_score(source: str, rows: int, config: ModelConfig) -> Score:
    """The scoring function of any reward model, ours or not. Raises ModelError where there is none."""
    is_ours = any((Path(part) / TEMPLATE_FILE).is_file() for part in locate(source).parts)
    if is_ours or reward_card(source) is not None:
        ours = load_reward(source, config, rows)
        return lambda prompts, responses: ours(prompts, responses).tolist()
    return AnyRewardModel(source, rows, config)


class AnyRewardModel:
    """A sequence-classification model with one label, of any publisher. None of its code is run."""

    def __init__(self, source: str, rows: int, config: ModelConfig) -> None:
        from transformers import AutoModelForSequenceClassification

        self.model: Any = load_model(source, AutoModelForSequenceClassification, config)
        if self.model.config.num_labels != 1:
            what = f"the model has {self.model.config.num_labels} labels, a reward model has one"
            raise ModelError(what, where=source, remedy="name a model that gives a single score")
        self.tokenizer: Any = load_tokenizer(source, config, self.model)
        pads = self.tokenizer.pad_token_id is not None and self.model.config.pad_token_id is not None
        self.rows = rows if pads else 1
        self.longest = int(getattr(self.model.config, "max_position_embeddings", 0) or 2**31)

    @torch.no_grad()
    def __call__(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> list[float]:
        """One score for each prompt and response: NaN where the text is longer than the model can read.

        It is infinite where the model gives no number.
        """
        rows = [self._encoded(*each) for each in zip(prompts, responses, strict=True)]
        scores = [float("nan")] * len(rows)
        fitting = [i for i, row in enumerate(rows) if len(row["input_ids"]) <= self.longest]
        fitting.sort(key=lambda i: len(rows[i]["input_ids"]))
        for at in range(0, len(fitting), self.rows):
            part = fitting[at : at + self.rows]
            found = self._scores([rows[i] for i in part])
            for i, score in zip(part, found, strict=True):
                scores[i] = score if math.isfinite(score) else math.inf
        return scores

    def _encoded(self, prompt: Prompt, response: str) -> dict[str, list[int]]:
        if getattr(self.tokenizer, "chat_template", None) is None:
            text = prompt.instruction if prompt.turns else prompt.messages[0].content
            return dict(self.tokenizer(text, response))
        chat = (*prompt.messages, Turn(TurnRole.ASSISTANT, response))
        whole = chat_text(chat, self.tokenizer, reply=False)
        return dict(self.tokenizer(whole, add_special_tokens=False))

    def _scores(self, rows: Sequence[dict[str, list[int]]]) -> list[float]:
        padded: Any = rows[0]
        if len(rows) > 1:
            padded = self.tokenizer.pad(rows, padding_side="right")
        width = len(rows) > 1
        inputs = {
            name: torch.tensor(values if width else [values]).to(self.model.device)
            for name, values in padded.items()
        }
        scores: list[float] = self.model(**inputs).logits[:, 0].float().tolist()
        return scores


def _sending(request: Request, scores: Sequence[float]) -> Sending:
    if any(map(math.isnan, scores)):
        return failed("context_length", "the text is longer than the model reads")
    if any(map(math.isinf, scores)):
        return failed("not_finite", "a score is NaN or infinite")
    return Sending(text=scores_text(scores), finish_reason="stop", model=request.model, usage=Usage())
