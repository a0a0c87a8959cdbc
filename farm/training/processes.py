"""Several processes that train one model. torchrun or accelerate launch starts them.

They share the batches of each step. A method's file contains nothing about it. With `ddp` every process holds
the whole model, and gradients are averaged once a step. With `fsdp` (FSDP2) the trained modules are changed
in place: every process holds a share of each weight, and torch gathers and scatters during the passes.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, TypeVar, cast

import torch
from torch import Tensor, nn

from db.errors import FarmError

T = TypeVar("T")

BUCKET = 2**25  # gradient numbers that are averaged in one message
PATIENCE = timedelta(days=7)  # for which the others wait for one process: a judge may take a day to answer
MALLOPT = ((-1, 2**30), (-3, 2**25))  # glibc's M_TRIM_THRESHOLD and M_MMAP_THRESHOLD: number, bytes


@dataclass(frozen=True)
class Processes:
    """The processes of a run and this one's place among them.

    patient: the group by which they wait for work of one process. Other messages keep torch's own time limit,
    so that a GPU that hangs in a step is noticed in minutes. None for one process.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    patient: Any = field(default=None, repr=False)

    @classmethod
    @contextmanager
    def joined(cls) -> Iterator[Processes]:
        """The processes that torchrun or accelerate launch started; one process without them.

        Call it at the start of a process that trains. From then on the process keeps the memory that it
        frees. The processes part when the block ends.
        """
        from accelerate import PartialState  # type: ignore[import-untyped]

        keep_freed_memory()
        state = PartialState(cpu=not torch.cuda.is_available())
        several = state.num_processes > 1
        patient = torch.distributed.new_group(timeout=PATIENCE, backend="gloo") if several else None
        yield cls(state.process_index, state.num_processes, state.device, patient)
        if several:
            torch.distributed.barrier()
            torch.distributed.destroy_process_group()
            gc.collect()  # what still holds a group must let it go before the interpreter ends

    def distribute(self, module: nn.Module, how: Literal["ddp", "fsdp"]) -> None:
        """Prepare a module for training, in place; before the optimizer is made."""
        if self.size > 1 and how == "fsdp":
            shard(module)

    @contextmanager
    def together(self) -> Iterator[None]:
        """A block of work in which no process waits for another. A FarmError in one is raised in all of them.

        Else the others would wait for that process for ever. Of several errors all raise the first.
        """
        mine: FarmError | None = None
        try:
            yield
        except FarmError as error:
            mine = error
        found: list[FarmError | None] = [mine] * self.size
        if self.size > 1:
            torch.distributed.all_gather_object(found, mine, group=self.patient)
        if first := next(filter(None, found), None):
            raise first

    def sum(self, values: Tensor) -> Tensor:
        """Sum over the processes, elementwise."""
        if self.size > 1:
            values = values.to(self.device)
            torch.distributed.all_reduce(values)
        return values

    def gathered(self, values: Tensor) -> Tensor:
        """The rows of all processes, in the order of the processes: (B,) or (B, T) -> the same dimensions.

        Each process may have another B and T. Rows are filled up with 0 at the right.
        """
        if self.size == 1:
            return values
        shapes = torch.zeros(self.size, values.ndim, dtype=torch.long)
        shapes[self.rank] = torch.tensor(values.shape)
        counts, *widths = self.sum(shapes).T.tolist()
        kind = torch.uint8 if values.dtype == torch.bool else values.dtype
        found = torch.zeros(sum(counts), *map(max, widths), dtype=kind, device=values.device)
        start = sum(counts[: self.rank])
        found[(slice(start, start + len(values)), *map(slice, values.shape[1:]))] = values.to(kind)
        return self.sum(found).to(values.dtype)

    def told_by_first(self, find: Callable[[], T]) -> T:
        """What `find` gives on the first process, which alone calls it. Errors are those of `together`."""
        found: list[T | None] = [None]
        with self.together():
            if self.rank == 0:
                found = [find()]
        if self.size > 1:
            torch.distributed.broadcast_object_list(found, group=self.patient)
        return cast(T, found[0])

    def average_gradients(self, module: nn.Module, how: Literal["ddp", "fsdp"]) -> None:
        """Give every process the mean gradient. FSDP2 has done so in the backward pass."""
        if self.size == 1 or how == "fsdp":
            return
        bucket: list[Tensor] = []
        for parameter in (p for p in module.parameters() if p.requires_grad):
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            bucket.append(parameter.grad)
            if sum(grad.numel() for grad in bucket) >= BUCKET:
                self._average(bucket)
                bucket = []
        self._average(bucket)

    def _average(self, grads: list[Tensor]) -> None:
        if not grads:
            return
        flat = self.sum(torch.cat([grad.flatten() for grad in grads])) / self.size
        sizes = [grad.numel() for grad in grads]
        for grad, mean in zip(grads, torch.split(flat, sizes), strict=True):
            grad.copy_(mean.view_as(grad))


def keep_freed_memory() -> None:
    """Let this process keep up to 1 GiB of what it frees, for the next training step needs it again.

    By default glibc returns freed memory from 64 MiB on, and the kernel maps and zeroes it anew: 4.5 % of a
    step of rloo on a CPU (`benchmarks/kept_memory.py`). Other C libraries are left alone.
    """
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        for option in MALLOPT:
            mallopt(*option)


def shard(module: nn.Module) -> None:
    """Apply FSDP2: each transformer block is a unit, and the rest of the model is another."""
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

    for part in module.modules():
        blocks = set(getattr(part, "_no_split_modules", None) or ())
        for block in [m for m in part.modules() if type(m).__name__ in blocks]:
            fully_shard(block)
    for part in [m for m in module.modules() if hasattr(m, "entry_points")]:
        fully_shard(part)
        for name in part.entry_points:  # type: ignore[union-attr]
            register_fsdp_forward_method(part, name)


@contextmanager
def at_rest(module: nn.Module) -> Iterator[None]:
    """Inside the block: no dropout, and whole weights, so processes need not make equally many passes."""
    from torch.distributed.fsdp import FSDPModule

    was_training = module.training
    module.eval()
    shards = [part for part in module.modules() if isinstance(part, FSDPModule)]
    for part in shards:
        part.set_reshard_after_forward(False, recurse=False)
        part.unshard()
    try:
        yield
    finally:
        for part in shards:
            part.set_reshard_after_forward(True, recurse=False)
            part.reshard()
        module.train(was_training)
