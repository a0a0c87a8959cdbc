"""Drawing responses: a decoding loop that spends nothing on finished rows.

Rows live in the slots of one preallocated key-value cache. When a row ends, the last row moves into its
slot. When half of the slots are free, the next prompts move in. Prompts are taken longest first, so a new
prompt always fits left of the present column. Prompts of like length are drawn together, so a long prompt
costs itself alone. Each distinct prompt of a pass is run once, however many responses are drawn from it.

A token is drawn by inverting the cumulative distribution at a number in [0, 1). That number is a function of
(prompt, seed, index, position) alone. So a response does not depend on the other rows of its batch, beyond
the rounding of the logits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer

from db.errors import ConfigError
from db.ids import content_hash
from farm.config import Decoding
from farm.models.forward import key_value_layers
from farm.models.hub import ModelError
from farm.models.mixture import Drawer
from farm.models.ops import at_temperature

ROWS = (64, 256)  # drawn at the same time: usually, and with a small model
CACHE_BYTES = {"cpu": 2**28, "cuda": 2**32}  # of keys and values, if more rows than usual are drawn
MOST_BYTES = {"cpu": 2**31, "cuda": 2**34}  # of keys and values at most, unless one row has more
PREFILL_TOKENS = 2**13  # of prompts in one pass, padding included


class Drawn(NamedTuple):
    """One response."""

    ids: list[int]  # from the given tokens to the token that ended it, both included
    logps: list[float]  # at the temperature of the draw, before top-p, top-k and tokens that are never drawn;
    # 0 for given tokens
    ended: bool  # False: cut at max_new_tokens, or where the model's context ends


class Start(NamedTuple):
    """Where a draw begins: a prompt, and response tokens that are given and not drawn."""

    prompt: list[int]
    given: Sequence[int] = ()

    @property
    def ids(self) -> list[int]:
        """Prompt and given tokens, in order."""
        return [*self.prompt, *self.given]

    @property
    def width(self) -> int:
        """Number of prompt and given tokens."""
        return len(self.prompt) + len(self.given)


class Pick(NamedTuple):
    """The next token of each row."""

    ids: Tensor  # (n,)
    logps: Tensor  # (n,)


class _Slots(DynamicLayer):
    """Keys and values of one layer: `rows` of its slots are in use, `length` of their columns."""

    def __init__(self, slots: int, columns: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.slots, self.columns, self.rows, self.length = slots, columns, 0, 0
        self.buffers: list[Tensor] = []

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        end = self.length + key_states.shape[-2]
        for buffer, new in zip(self.buffers, (key_states, value_states), strict=True):
            buffer[: self.rows, :, self.length : end] = new
        self.length = end
        keys, values = (buffer[: self.rows, :, :end] for buffer in self.buffers)
        return keys, values

    def get_seq_length(self) -> int:
        return self.length

    def move(self, into: Tensor, out_of: Tensor) -> None:
        for buffer in self.buffers:
            buffer[into, :, : self.length] = buffer[out_of, :, : self.length]

    def trim(self, columns: int) -> None:
        for buffer in self.buffers:
            buffer[: self.rows, :, : self.length - columns] = buffer[
                : self.rows, :, columns : self.length
            ].clone()
        self.length -= columns

    def admit(self, layer: DynamicLayer, repeats: Tensor) -> None:
        """Copy rows of a prefilled layer into the next slots, their last column at the present column."""
        assert layer.keys is not None
        assert layer.values is not None
        for i, states in enumerate((layer.keys, layer.values)):
            if len(self.buffers) <= i:
                shape = (self.slots, states.shape[1], self.columns, states.shape[3])
                self.buffers.append(states.new_zeros(shape))
            width, rows = states.shape[2], len(repeats)
            columns = slice(self.length - width, self.length)
            self.buffers[i][self.rows : self.rows + rows, :, columns] = states[repeats]
        self.rows += len(repeats)


class _Batch:
    """The rows being drawn: slot k of the cache, of the masks and of the lists belongs to `owners[k]`."""

    def __init__(self, policy: Drawer, slots: int, columns: int, width: int) -> None:
        for model in policy.models:
            if not key_value_layers(model.config):
                raise ModelError(
                    f"{type(model).__name__} keeps more than keys and values of what it has read"
                )
        self.policy = policy
        count = sum(key_value_layers(model.config) for model in policy.models)
        self.layers = [_Slots(slots, columns) for _ in range(count)]
        self.cache = Cache(layers=self.layers)  # type: ignore[arg-type]
        self.attention = torch.zeros(slots, columns, dtype=torch.bool, device=policy.device)
        self.positions = torch.zeros(slots, dtype=torch.long, device=policy.device)
        never = policy.never_drawn
        self.never = torch.tensor(never, device=policy.device) if never else None
        self.uniforms = torch.zeros(slots, width, device=policy.device)
        self.made = torch.zeros(slots, dtype=torch.long, device=policy.device)
        self.tokens = torch.zeros(slots, dtype=torch.long, device=policy.device)
        self.logits = torch.empty(0)
        self.owners: list[int] = []

    def admit(self, owners: Sequence[int], starts: Sequence[Start], uniforms: Sequence[Tensor]) -> None:
        """Run the starts of new rows and give them the next slots."""
        distinct = list(dict.fromkeys(tuple(start.ids) for start in starts))
        place = {prompt: i for i, prompt in enumerate(distinct)}
        repeats = torch.tensor([place[tuple(start.ids)] for start in starts], device=self.policy.device)
        width = max(map(len, distinct))
        ids = torch.full((len(distinct), width), self.policy.codec.pad_id)
        attention = torch.zeros(len(distinct), width, dtype=torch.long)
        for i, prompt in enumerate(distinct):
            ids[i, width - len(prompt) :] = torch.tensor(prompt)
            attention[i, width - len(prompt) :] = 1
        ids, attention = ids.to(self.policy.device), attention.to(self.policy.device)
        cache = DynamicCache()
        positions = (attention.cumsum(-1) - 1).clamp(min=0)
        logits = self.policy.step_logits(ids, attention, positions, cache)[repeats]
        old, new = len(self.owners), len(self.owners) + len(owners)
        self._trim()
        length = max(self.layers[0].length, width)
        for slots, layer in zip(self.layers, cache.layers, strict=True):
            slots.length = length
            slots.admit(layer, repeats)  # type: ignore[arg-type]
        self.attention[old:new] = False
        self.attention[old:new, length - width : length] = attention[repeats].bool()
        self.positions[old:new] = attention.sum(-1)[repeats]
        self.uniforms[old:new] = torch.stack(list(uniforms)).to(self.policy.device)
        self.made[old:new] = torch.tensor([len(start.given) for start in starts])
        self.logits = torch.cat([self.logits, logits]) if old else logits
        self.owners.extend(owners)

    def pick(self, decoding: Decoding) -> Pick:
        """Draw every row's next token."""
        rows = len(self.owners)
        uniform = self.uniforms[:rows].gather(1, self.made[:rows, None])[:, 0]
        pick = pick_token(self.logits, uniform, decoding, self.never)
        self.tokens[:rows] = pick.ids
        self.made[:rows] += 1
        return pick

    def step(self) -> None:
        """Read every row's next token."""
        rows, length = len(self.owners), self.layers[0].length
        self.attention[:rows, length] = True
        attention = self.attention[:rows, : length + 1].long()
        ids, positions = self.tokens[:rows, None], self.positions[:rows, None]
        self.logits = self.policy.step_logits(ids, attention, positions, self.cache)
        self.positions[:rows] += 1
        if length + 2 > self.layers[0].columns:
            self._trim()

    def remove(self, gone: Sequence[int]) -> None:
        """Free slots: rows from the tail move into the holes."""
        keep = len(self.owners) - len(gone)
        holes = [k for k in gone if k < keep]
        tail = [k for k in range(keep, len(self.owners)) if k not in set(gone)]
        if holes:
            into, out_of = (torch.tensor(x, device=self.policy.device) for x in (holes, tail))
            for layer in self.layers:
                layer.move(into, out_of)
            for tensor in (self.attention, self.positions, self.uniforms, self.made, self.tokens):
                tensor[into] = tensor[out_of]
            for hole, k in zip(holes, tail, strict=True):
                self.owners[hole] = self.owners[k]
        del self.owners[keep:]
        for layer in self.layers:
            layer.rows = keep

    def _trim(self) -> None:
        """Cut the columns at the left that no row uses."""
        n, length = len(self.owners), self.layers[0].length
        if not n:
            for layer in self.layers:
                layer.length = 0
            return
        unused = int(self.attention[:n].int().argmax(-1).min())
        if unused:
            for layer in self.layers:
                layer.trim(unused)
            self.attention[:n, : length - unused] = self.attention[:n, unused:length].clone()
            self.attention[:n, length - unused : length] = False


@torch.inference_mode()
def sample(
    policy: Drawer,
    prompts: Sequence[list[int]],
    decoding: Decoding,
    *,
    seed: int,
    n: int | Sequence[Sequence[int]] = 1,
    given: Sequence[Sequence[int]] = (),
    slots: int | None = None,
    ended: Callable[[int, Drawn], None] | None = None,
) -> list[Drawn]:
    """Responses to each prompt. The responses to one prompt stand together.

    prompts: token ids. n: responses to each prompt, or for each prompt the numbers of its draws. given: for
    each prompt, the tokens that its responses begin with, which count among max_new_tokens; none by default.
    A response that is continued from its own first tokens, with the same prompt, seed and index, is the same
    response. slots: rows that are drawn at the same time; None: as many as pay. ended: is told the place and
    the response of each row as it ends. Raises ConfigError if a prompt leaves no room in the model's context,
    or given tokens none in the response. Raises ModelError on a model that keeps more than keys and values.
    """
    asked = [Start(p, g) for p, g in zip(prompts, given or [()] * len(prompts), strict=True)]
    rooms = [room_for(start, policy, decoding) for start in asked]
    numbers = [range(n)] * len(prompts) if isinstance(n, int) else n
    owners = [(i, k) for i, draws in enumerate(numbers) for k in draws]
    starts, limits = [asked[i] for i, _ in owners], [rooms[i] for i, _ in owners]
    drawn = [Drawn([*start.given], [0.0] * len(start.given), False) for start in starts]
    widths = [start.width for start in starts]
    order = sorted(range(len(owners)), key=lambda row: (-widths[row], owners[row]))
    ends = torch.tensor(sorted(policy.codec.ends), device=policy.device)

    with _at_work(policy):
        for waiting in alike(order, widths, decoding.max_new_tokens):
            columns = widths[waiting[0]] + decoding.max_new_tokens + 32
            most = min(slots or rows_that_pay(policy, columns), len(waiting))
            batch = _Batch(policy, most, columns, decoding.max_new_tokens)
            while waiting or batch.owners:
                if waiting and len(batch.owners) <= most // 2:
                    free = most - len(batch.owners)
                    new, waiting = waiting[:free], waiting[free:]
                    for part in alike(new, widths, 0, PREFILL_TOKENS):
                        own = [starts[row] for row in part]
                        draws = [owners[row][1] for row in part]
                        batch.admit(part, own, _uniforms(own, draws, seed, decoding))
                pick = batch.pick(decoding)
                stopped = torch.isin(pick.ids, ends).tolist()
                done = []
                for k, (token, logp) in enumerate(zip(pick.ids.tolist(), pick.logps.tolist(), strict=True)):
                    place = batch.owners[k]
                    row = drawn[place]
                    row.logps.append(_number(logp, row, starts[place]))
                    row.ids.append(token)
                    if stopped[k] or len(row.ids) == limits[place]:
                        drawn[place] = row._replace(ended=stopped[k])
                        done.append(k)
                        if ended is not None:
                            ended(place, drawn[place])
                batch.remove(done)
                if batch.owners:
                    batch.step()
    return drawn


def _number(logp: float, row: Drawn, start: Start) -> float:
    """The log-probability of a row's next token. Raises ModelError where the logits are no numbers."""
    if math.isnan(logp):
        place = f"token {len(row.ids) + 1} of a response to a prompt of {start.width} tokens"
        remedy = "use an earlier checkpoint, or --dtype float32 if half precision overflows"
        raise ModelError(f"the logits of {place} are no numbers", remedy=remedy)
    return logp


def alike(
    order: Sequence[int], widths: Sequence[int], more: int, tokens: int | None = None
) -> Iterator[list[int]]:
    """Rows of like length, longest first: none is padded to more than twice its own columns.

    order: rows by falling width. widths: columns of each row. more: columns that each row gets beside them.
    tokens: of a part at most, padding included, unless one row has more.
    """
    part: list[int] = []
    for row in order:
        longest = widths[part[0]] + more if part else 0
        full = tokens is not None and (len(part) + 1) * longest > tokens
        if part and (full or 2 * (widths[row] + more) < longest):
            yield part
            part = []
        part.append(row)
    if part:
        yield part


@contextmanager
def _at_work(policy: Drawer) -> Iterator[None]:
    """Inside the block: no dropout."""
    was_training = policy.training
    policy.eval()
    try:
        yield
    finally:
        policy.train(was_training)


def rows_that_pay(policy: Drawer, columns: int) -> int:
    """How many rows to draw at the same time: more for a small model, whose passes hardly depend on it.

    A larger one gets 64, and fewer where their keys and values would not fit.
    """
    row = columns * sum(map(bytes_of_a_token, policy.models))
    few, many = ROWS
    pays, fits = (limit.get(policy.device.type, 0) // row for limit in (CACHE_BYTES, MOST_BYTES))
    return max(1, min(many, pays), min(few, fits))


def bytes_of_a_token(model: Any) -> int:
    """Bytes that a model keeps for each token that it has read."""
    config = model.config.get_text_config()
    queries: int = getattr(config, "num_attention_heads", 1)
    heads = getattr(config, "num_key_value_heads", None) or queries
    size: int = getattr(config, "head_dim", None) or config.hidden_size // queries
    return 2 * config.num_hidden_layers * heads * size * model.dtype.itemsize  # type: ignore[no-any-return]


def room_for(start: Start, policy: Drawer, decoding: Decoding) -> int:
    """How many tokens a response may have, given ones included."""
    context, room = policy.codec.context, decoding.max_new_tokens
    if context is not None:
        if len(start.prompt) >= context:
            what = (
                f"a prompt of {len(start.prompt)} tokens leaves no room in the model's context of {context}"
            )
            raise ConfigError(what, remedy="leave it out, or use a model with a longer context")
        room = min(room, context - len(start.prompt))
    if len(start.given) >= room:
        what = f"{len(start.given)} given tokens leave no room in a response of at most {room}"
        raise ConfigError(what, where="max_new_tokens", remedy="give fewer, or raise max_new_tokens")
    return room


def pick_token(logits: Tensor, uniform: Tensor, decoding: Decoding, never: Tensor | None = None) -> Pick:
    """Draw the next token of each row: logits (n, V), uniform (n,) in [0, 1) -> Pick of (n,).

    never: ids of tokens that are not drawn.
    """
    logits = logits.float()
    if decoding.temperature == 0:
        logps = logits.log_softmax(-1)
        ids = (logits if never is None else logits.index_fill(1, never, -torch.inf)).argmax(-1)
        return Pick(ids, logps.gather(1, ids[:, None])[:, 0])
    logps = at_temperature(logits, decoding.temperature).log_softmax(-1)
    probabilities, order = logps.exp(), None
    if never is not None:
        probabilities[:, never] = 0
    if decoding.top_k or decoding.top_p < 1:
        probabilities, order = probabilities.sort(-1, descending=True)
        if decoding.top_k:
            probabilities[:, decoding.top_k :] = 0
        before = (
            probabilities.cumsum(-1) - probabilities
        )  # a token stays while those above it fall short of top_p
        probabilities = probabilities.masked_fill(before >= decoding.top_p * probabilities.sum(-1, True), 0)
    reached = probabilities.cumsum(-1)
    total = reached[:, -1:]
    below = total.nextafter(torch.zeros_like(total))  # rounding must not reach beyond the last likely token
    ids = torch.searchsorted(reached, (uniform[:, None] * total).minimum(below), right=True)
    ids = ids.clamp(
        max=logits.shape[1] - 1
    )  # logits that are no numbers are refused by their log-probability
    ids = ids if order is None else order.gather(1, ids)
    return Pick(ids[:, 0], logps.gather(1, ids)[:, 0])


def _uniforms(starts: Sequence[Start], draws: Sequence[int], seed: int, decoding: Decoding) -> list[Tensor]:
    """A number in [0, 1) for each token of each response, from (prompt, seed, index) alone."""
    keys = [
        int(content_hash("sample", [start.prompt, seed, index])[:15], 16)
        for start, index in zip(starts, draws, strict=True)
    ]
    size = decoding.max_new_tokens
    return [torch.rand(size, generator=torch.Generator().manual_seed(key)) for key in keys]
