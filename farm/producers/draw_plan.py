"""What drawing from a model in this process will take: memory from its sizes, time from a few tokens."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from db.errors import ConfigError
from db.ids import Json
from farm.config import Decoding
from farm.models.footprint import draw_bytes, free_now, held_now, weight_bytes
from farm.models.generation import alike, rows_that_pay, sample
from farm.models.policy import Policy

FEW, MORE = 2, 10  # tokens of the responses that are timed
GB = 1e9


@dataclass(frozen=True)
class DrawPlan:
    """What a draw will take. Bytes, seconds and tokens; responses are taken to have max_new_tokens.

    known: outputs that are there already. held: by the process with the model loaded, `weights` among it.
    drawing: keys, values and logits beside that. free: what the draw may hold. seconds: at most.
    """

    draws: int
    known: int
    prompt_tokens: int
    response_tokens: int
    weights: int
    held: int
    drawing: int
    free: int
    seconds: float

    @property
    def peak(self) -> int:
        """The most that is in memory at once."""
        return self.held + self.drawing

    def to_json(self) -> Json:
        """The plan as a JSON object."""
        return {**asdict(self), "peak": self.peak}


def draw_plan(
    policy: Policy, prompts: Sequence[list[int]], draws: Sequence[int], decoding: Decoding, *, known: int
) -> DrawPlan:
    """The plan of a draw. prompts: token ids. draws: responses to each. Nothing is kept of what is drawn.

    Raises ConfigError where it does not fit into the memory, and as `generation.sample` does.
    """
    lengths = [len(prompt) for prompt, count in zip(prompts, draws, strict=True) for _ in range(count)]
    held, more = held_now(policy.device), decoding.max_new_tokens
    free = held + free_now(policy.device)
    asked = [(prompt, count) for prompt, count in zip(prompts, draws, strict=True) if count]
    drawing = draw_bytes(policy, [len(prompt) for prompt, _ in asked], len(lengths), more) if asked else 0.0
    if held + drawing > free:
        what = (
            f"the draw would take {(held + drawing) / GB:.1f} GB of memory, and {free / GB:.1f} GB are free"
        )
        raise ConfigError(
            what, remedy="lower --max-new-tokens, leave out the longest prompts, or --dtype bfloat16"
        )
    return DrawPlan(
        draws=len(lengths),
        known=known,
        prompt_tokens=sum(len(prompt) for prompt, _ in asked),
        response_tokens=more * len(lengths),
        weights=weight_bytes(policy.parameters()),
        held=held,
        drawing=int(drawing),
        free=free,
        seconds=_seconds(policy, asked, lengths, decoding) if asked else 0.0,
    )


def _seconds(
    policy: Policy, asked: Sequence[tuple[list[int], int]], lengths: Sequence[int], decoding: Decoding
) -> float:
    """Seconds of a draw: of each wave of rows that are drawn together a pass a token, and of the prompts."""
    more = decoding.max_new_tokens
    widths = sorted(lengths, reverse=True)
    parts = list(alike(range(len(widths)), widths, more))
    rows = [min(len(part), rows_that_pay(policy, widths[part[0]] + more + 32)) for part in parts]
    waves = sum(math.ceil(len(part) / most) for part, most in zip(parts, rows, strict=True))
    few = _first(asked, max(rows))
    read, spent = sum(len(prompt) for prompt, _ in few), []
    for tokens in (FEW, FEW, MORE):  # the first one warms up
        began = time.monotonic()
        short = replace(decoding, max_new_tokens=min(tokens, more))
        sample(policy, [prompt for prompt, _ in few], short, seed=0, n=[range(count) for _, count in few])
        spent.append(time.monotonic() - began)
    a_pass = max(0.0, spent[2] - spent[1]) / (MORE - FEW)
    a_prompt_token = max(0.0, spent[1] - FEW * a_pass) / read
    return waves * more * a_pass + sum(len(prompt) for prompt, _ in asked) * a_prompt_token


def _first(asked: Sequence[tuple[list[int], int]], rows: int) -> list[tuple[list[int], int]]:
    """As many prompts, from the middle of their lengths, as make so many rows."""
    ordered = sorted(asked, key=lambda each: len(each[0]))
    found, left = list[tuple[list[int], int]](), rows
    start = max(0, len(ordered) // 2 - rows // 2)
    for prompt, count in ordered[start:]:
        if left <= 0:
            break
        found.append((prompt, min(count, left)))
        left -= count
    return found
