"""A causal language model in this process as a judge: greedy replies, log-probabilities of the first tokens.

The log-probabilities of the outputs' names (A and B) are always given, even if they are not among the
likeliest. So a preference is exact. A request for a single token takes one forward pass. A request that is
held to names (see in_process.py) is answered with the likeliest of the tokens that say one of them, as they
are written; their log-probabilities are the model's own, over its whole vocabulary. Replies are greedy:
temperature, seed and extra fields of a request have no effect, and a warning of the reply says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from annotators.clients.choices import read_completion
from annotators.clients.request import Request, RequestDecoding
from annotators.clients.sending import Sending, failed
from annotators.clients.spelling import LOGPROB_POSITIONS
from db.records import Turn, TurnRole
from farm.config import ModelConfig, build
from farm.judging.in_process import HELD, held_to
from farm.judging.provider import Weights
from farm.models.asked import AROUND, asked_ids, saying, tokens_of
from farm.models.forward import read
from farm.models.loading import load_codec, load_model, pick_device, quiet
from farm.models.ops import last_token
from farm.models.policy import has_plain_head
from farm.models.tokens import Tokens

LONGEST_REPLY = 1_024  # tokens, where the request names no limit
TEMPLATE_OPTIONS = "chat_template_kwargs"  # the extra field that vLLM and others take, too
IGNORED = "settings_ignored"
AS_USUAL = Weights()


@dataclass(frozen=True)
class Generated:
    """One reply. logprobs: (positions, vocabulary) of the first tokens; None where they are not wanted.

    finite: whether all logits were numbers.
    """

    prompt_tokens: int
    ids: list[int]
    logprobs: Tensor | None
    ended: bool
    finite: bool
    allowed: Sequence[int] = ()  # the tokens that the reply was chosen from; empty: any


class _Watch:
    """A logits processor that changes nothing. nan: whether a row of the batch had a NaN among its logits."""

    def __init__(self, rows: int, device: torch.device) -> None:
        self.nan = torch.zeros(rows, dtype=torch.bool, device=device)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        self.nan |= scores.isnan().any(-1)
        return scores


class LocalJudge:
    """Answers requests by models that are loaded when they are needed. Use it as an in_process.Answerer.

    sources: name -> folder or hub id. names: the outputs' names, whose log-probabilities are always given.
    """

    def __init__(
        self, sources: Mapping[str, str], names: frozenset[str], weights: Weights = AS_USUAL
    ) -> None:
        self.sources = sources
        self.names = frozenset(name.casefold() for name in names)
        self.config = config_of(weights)
        self._models: dict[str, CausalModel] = {}

    def __call__(self, requests: Sequence[Request]) -> list[Sending]:
        """The replies, in order. Requests of one model and decoding run as one batch."""
        groups: dict[tuple[str, RequestDecoding], list[int]] = {}
        for place, request in enumerate(requests):
            groups.setdefault((request.model, request.decoding), []).append(place)
        sendings: dict[int, Sending] = {}
        for (name, decoding), places in groups.items():
            model = self._model(name)
            prompts = {place: model.prompt(requests[place]) for place in places}
            fitting = {place: prompt for place, prompt in prompts.items() if len(prompt) < model.longest}
            made = model.generate(list(fitting.values()), decoding) if fitting else []
            for place, each in zip(fitting, made, strict=True):
                sendings[place] = _sending(requests[place], model, each)
            for place in prompts.keys() - fitting.keys():
                said = f"{len(prompts[place])} tokens, and the model reads {model.longest}"
                sendings[place] = failed("context_length", said)
        return [sendings[place] for place in range(len(requests))]

    def _model(self, name: str) -> CausalModel:
        if name not in self._models:
            self._models[name] = CausalModel(self.sources[name], self.names, self.config)
        return self._models[name]


class CausalModel:
    """A causal language model with its tokenizer, asked in batches. names: as in LocalJudge."""

    def __init__(self, source: str, names: frozenset[str], config: ModelConfig) -> None:
        from transformers import AutoModelForCausalLM

        self.names = names
        self.model: Any = load_model(source, AutoModelForCausalLM, config)
        self.codec = load_codec(source, config, self.model)
        self.tokenizer = self.codec.tokenizer
        self.longest = self.codec.context or 2**31
        self.plain_head = has_plain_head(self.model)

    @cached_property
    def tokens(self) -> list[str]:
        """The text of every token."""
        return tokens_of(self.codec, self.model.get_output_embeddings().weight.shape[0])

    @cached_property
    def answers(self) -> list[int]:
        """The ids of the tokens that say a name: " A", "a", "(A"."""
        return [i for i, token in enumerate(self.tokens) if AROUND.sub("", token).casefold() in self.names]

    def saying(self, names: Sequence[str]) -> list[int]:
        """The ids of the tokens that a reply which is held to names can be; see `farm.models.asked`."""
        special = frozenset(self.tokenizer.all_special_ids)
        return [i for name in names for i in saying(self.tokens, name, special)]

    def prompt(self, request: Request) -> list[int]:
        """The token ids of a request."""
        options = request.decoding.extra.get(TEMPLATE_OPTIONS)
        said = [Turn(TurnRole(each.role), each.content) for each in request.messages]
        return asked_ids(self.codec, said, options if isinstance(options, Mapping) else {})

    def generate(self, prompts: Sequence[Sequence[int]], decoding: RequestDecoding) -> list[Generated]:
        """Greedy replies to prompts that are shorter than `longest`.

        A reply has as many tokens at most as the request allows and its own prompt leaves room for. Prompts
        with the same limit run as one batch, so a reply does not depend on the prompts beside it.
        """
        limits: dict[int, list[int]] = {}
        for place, prompt in enumerate(prompts):
            limit = min(decoding.max_tokens or LONGEST_REPLY, self.longest - len(prompt))
            limits.setdefault(limit, []).append(place)
        made: dict[int, Generated] = {}
        for limit, places in limits.items():
            asked = [prompts[place] for place in places]
            names = held_to(decoding)
            replies = (
                self._chosen(asked, self.saying(names))
                if names
                else self._batch(asked, limit, decoding.wants_logprobs)
            )
            made |= zip(places, replies, strict=True)
        return [made[place] for place in range(len(prompts))]

    def _chosen(self, prompts: Sequence[Sequence[int]], allowed: Sequence[int]) -> list[Generated]:
        """The likeliest of the allowed tokens as the reply to each prompt."""
        made = []
        for each in (
            self._weighed(prompts) if self.plain_head else self._batch(prompts, 1, wants_logprobs=True)
        ):
            assert each.logprobs is not None
            best = allowed[int(each.logprobs[0, list(allowed)].argmax())]
            made.append(replace(each, ids=[best], ended=True, allowed=allowed))
        return made

    def _weighed(self, prompts: Sequence[Sequence[int]]) -> list[Generated]:
        """The log-probabilities of the first token of each reply, and no reply."""
        logits = self._next_logits(prompts)
        logprobs, wrong = _first_logprobs([logits]), logits.isnan().any(-1).tolist()
        return [
            Generated(len(prompt), [], logprobs[i], ended=False, finite=not wrong[i])
            for i, prompt in enumerate(prompts)
        ]

    @torch.no_grad()
    def _next_logits(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        """Logits of the token after each prompt: (rows, vocabulary).

        What all prompts begin with is run once, where that pays (farm/models/forward.py).
        """
        lengths = torch.tensor([len(prompt) for prompt in prompts], device=self.model.device)
        ids = torch.full((len(prompts), int(lengths.max())), self.codec.pad_id, device=self.model.device)
        for row, prompt in zip(ids, prompts, strict=True):
            row[: len(prompt)] = torch.tensor(prompt)
        same = (ids == ids[0]).all(0)[: int(lengths.min()) - 1]
        columns = torch.arange(ids.shape[1], device=self.model.device)
        own = (columns >= same.int().cumprod(0).sum()) & (columns < lengths[:, None])
        hidden, mask = read(self.model.base_model, Tokens(ids, own))
        rows = torch.arange(len(prompts), device=hidden.device)
        found: Tensor = self.model.get_output_embeddings()(hidden[rows, last_token(mask)])
        return found

    @torch.no_grad()
    def _batch(self, prompts: Sequence[Sequence[int]], limit: int, wants_logprobs: bool) -> list[Generated]:
        """Greedy replies of at most `limit` tokens."""
        from transformers import GenerationConfig, LogitsProcessorList

        width = max(map(len, prompts))
        ids = torch.full((len(prompts), width), self.codec.pad_id)
        mask = torch.zeros(len(prompts), width, dtype=torch.long)
        for i, prompt in enumerate(prompts):
            ids[i, width - len(prompt) :] = torch.tensor(prompt)
            mask[i, width - len(prompt) :] = 1
        settings = GenerationConfig(
            do_sample=False,
            max_new_tokens=limit,
            pad_token_id=self.codec.pad_id,
            eos_token_id=sorted(self.codec.ends),
            return_dict_in_generate=True,
            output_logits=wants_logprobs,
        )
        device = self.model.device
        watch = _Watch(len(prompts), device)
        with quiet():
            made = self.model.generate(
                ids.to(device),
                attention_mask=mask.to(device),
                generation_config=settings,
                logits_processor=LogitsProcessorList([watch]),
            )
        new = made.sequences[:, width:].tolist()
        weights = _first_logprobs(made.logits) if wants_logprobs else None
        return [
            self._one(len(prompt), new[i], None if weights is None else weights[i], finite=not nan)
            for i, (prompt, nan) in enumerate(zip(prompts, watch.nan.tolist(), strict=True))
        ]

    def _one(self, prompt_tokens: int, ids: list[int], logprobs: Tensor | None, finite: bool) -> Generated:
        end = next((i for i, token in enumerate(ids) if token in self.codec.ends), None)
        said = ids if end is None else ids[: end + 1]
        return Generated(prompt_tokens, said, logprobs, ended=end is not None, finite=finite)


def _sending(request: Request, model: CausalModel, made: Generated) -> Sending:
    """The reply, written as a server would write it, and read by the code that reads a server's."""
    if not made.finite:
        return failed("not_finite", "a logit is NaN")
    text, stopped = _cut(model.codec.text(made.ids), request.decoding.stop)
    choice: dict[str, object] = {
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop" if made.ended or stopped else "length",
    }
    if made.logprobs is not None:
        choice["logprobs"] = {"content": list(_positions(request, model, made))}
    usage = {"prompt_tokens": made.prompt_tokens, "completion_tokens": len(made.ids)}
    sending = read_completion(request, {"model": request.model, "choices": [choice], "usage": usage})
    return replace(sending, warnings=(*sending.warnings, IGNORED)) if _ignores(request) else sending


def _positions(request: Request, model: CausalModel, made: Generated) -> Iterator[dict[str, object]]:
    """The first tokens with their alternatives: the likeliest, and all that say a name.

    Where the reply was chosen from some tokens, these alone.
    """
    assert made.logprobs is not None
    top = min(request.decoding.top_logprobs or 0, made.logprobs.shape[-1])
    for token, values in zip(made.ids, made.logprobs, strict=False):
        others = made.allowed or [*values.topk(top).indices.tolist(), *model.answers]
        shown = dict.fromkeys([token, *others])
        weighed = [{"token": model.tokens[each], "logprob": float(values[each])} for each in shown]
        yield {**weighed[0], "top_logprobs": weighed}


def _ignores(request: Request) -> bool:
    """Whether the request has settings that a greedy reply ignores."""
    decoding = request.decoding
    return bool(decoding.temperature or request.replicate or decoding.extra.keys() - {TEMPLATE_OPTIONS, HELD})


def config_of(weights: Weights) -> ModelConfig:
    """How a judge is loaded: in bfloat16 on a GPU and in float32 elsewhere, unless it is said otherwise."""
    usual = "bfloat16" if pick_device(weights.device).type == "cuda" else "float32"
    given = {"dtype": weights.dtype or usual, "device": weights.device, "attention": weights.attention}
    return build(ModelConfig, given)


def _first_logprobs(logits: Sequence[Tensor]) -> Tensor:
    """Log-probabilities of the first positions, (rows, positions, vocabulary), on the CPU."""
    first = torch.stack([step.float() for step in logits[:LOGPROB_POSITIONS]], dim=1)
    return torch.log_softmax(first, dim=-1).cpu()


def _cut(text: str, stop: Sequence[str]) -> tuple[str, bool]:
    """The text before the first stop text, and whether there was one."""
    places = [place for each in stop if (place := text.find(each)) >= 0]
    return (text[: min(places)], True) if places else (text, False)
