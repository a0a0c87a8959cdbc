"""Checkpoints in a folder: RUN/step-00000100/{model/, training.pt, manifest.json}.

A checkpoint is written under a temporary name, flushed to the disk and renamed. So a folder named step-N is
always complete, and its manifest shows if a file was damaged since. `model/` is what transformers loads by
itself. `training.pt` holds what a resumed run needs to go on exactly: all that is trained, the optimizer, the
schedule. Frozen weights are those of the model that the run starts from, and are not stored again. Data order
and dropout are functions of (seed, step), so they are not stored.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from db.errors import FarmError
from db.ids import content_hash
from db.whole_files import sync
from farm.config import TrainConfig
from farm.training.method import Method
from farm.training.processes import Processes

MANIFEST, TRAINING, MODEL = "manifest.json", "training.pt", "model"
PARTIAL = ".partial-"  # begins the name of a folder that is being written or removed
MAY_DIFFER = ("log_every", "track", "eval_every", "save_every", "keep", "device")  # when a run goes on


class CheckpointError(FarmError):
    """A checkpoint cannot be written or read; the earlier ones are as they were."""


class RunFolder:
    """The checkpoints of one run, the latest `config.keep` of them.

    inputs: a hash of the model and data that the run starts from. A run with other inputs is refused here.
    before_save: is called before a checkpoint is written, for what must not be younger than it.
    also: steps after which a checkpoint is written too. best: the step whose checkpoint is kept beside the
    latest ones.
    """

    also: Collection[int] = ()
    best: int | None = None

    def __init__(
        self,
        folder: Path,
        config: TrainConfig,
        processes: Processes | None = None,
        inputs: str = "",
        before_save: Callable[[], None] = lambda: None,
    ) -> None:
        self.folder = folder
        self.config = config
        self.processes = processes or Processes()
        self.identity = _identity(config, inputs)
        self.before_save = before_save

    @property
    def latest(self) -> str:
        """Path of the latest complete checkpoint, or a text that says that there is none."""
        steps = whole_checkpoints(self.folder)
        return str(steps[-1]) if steps else f"{self.folder} (no checkpoint yet)"

    def at(self, step: int) -> Path:
        """The folder of the checkpoint of a step, whether it is there or not."""
        return self.folder / f"step-{step:08d}"

    @property
    def steps(self) -> int:
        """Steps made until the latest complete checkpoint; 0 without one."""
        return max(
            (int(path.name.removeprefix("step-")) for path in whole_checkpoints(self.folder)), default=0
        )

    def due(self, step: int) -> bool:
        """Whether `config.save_every` or `also` asks for a checkpoint after this step."""
        every = self.config.save_every
        return step in self.also or (every is not None and step % every == 0)

    def restore(self, method: Method[Any], optimizer: Optimizer, schedule: LambdaLR) -> int:
        """Restore everything from the latest checkpoint. Returns the steps made until then, 0 without one.

        Raises CheckpointError on a damaged checkpoint, and on one of another configuration, data or
        architecture.
        """
        steps = whole_checkpoints(self.folder)
        if not steps:
            return 0
        state = _read(steps[-1])
        if state["identity"] != self.identity:
            what = "the checkpoint is of a run with another configuration or other data"
            raise CheckpointError(what, where=str(steps[-1]), remedy="use the same again, or another folder")
        try:
            _load(method, optimizer, state, self.config.distribute == "fsdp" and self.processes.size > 1)
        except (RuntimeError, ValueError, KeyError) as error:
            what = f"the checkpoint is of another architecture: {' '.join(str(error).split())[:200]}"
            raise CheckpointError(what, where=str(steps[-1]), remedy="use another folder") from None
        schedule.load_state_dict(state["schedule"])
        return int(state["step"])

    def save(self, step: int, method: Method[Any], optimizer: Optimizer, schedule: LambdaLR) -> None:
        """Write a checkpoint, then `prune`. Raises CheckpointError on a full disk."""
        self.before_save()
        sharded = self.config.distribute == "fsdp" and self.processes.size > 1
        state = _state(method, optimizer, sharded) | {"schedule": schedule.state_dict(), "step": step}
        if self.processes.rank:
            if sharded:
                method.product.save(None)  # takes part in gathering the weights
            return
        target = self.at(step)
        partial = self.folder / f"{PARTIAL}{target.name}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for left in self.folder.glob(f"{PARTIAL}*"):
                shutil.rmtree(left, ignore_errors=True)
            (partial / MODEL).mkdir(parents=True)
            method.product.save(partial / MODEL)
            torch.save(state | {"identity": self.identity}, partial / TRAINING)
            _seal(partial)
            if target.exists():
                shutil.rmtree(target)
            partial.rename(target)
            sync(self.folder)
        except (OSError, RuntimeError, SafetensorError) as error:
            shutil.rmtree(partial, ignore_errors=True)
            what = f"checkpoint of step {step} could not be written: {' '.join(str(error).split())[:200]}"
            raise CheckpointError(
                what, where=str(self.folder), remedy="free some space and run again"
            ) from None
        self.prune()

    def prune(self) -> None:
        """Remove the oldest checkpoints beyond `config.keep`, but not the best one."""
        for old in whole_checkpoints(self.folder)[: -self.config.keep]:
            if self.best is None or old != self.at(self.best):
                shutil.rmtree(old.rename(self.folder / f"{PARTIAL}{old.name}"))


def whole_checkpoints(folder: Path) -> list[Path]:
    """Checkpoints that were written to their end, in order of steps."""
    return sorted(path.parent for path in folder.glob(f"step-*/{MANIFEST}"))


def _identity(config: TrainConfig, inputs: str) -> str:
    """A hash of everything that changes what is learnt."""
    return content_hash("training", [inputs, {k: v for k, v in vars(config).items() if k not in MAY_DIFFER}])


def _state(method: Method[Any], optimizer: Optimizer, sharded: bool) -> dict[str, Any]:
    if not sharded:
        frozen = _frozen(method)
        learnt = {name: value for name, value in method.trained.state_dict().items() if name not in frozen}
        return {"trained": learnt, "optimizer": optimizer.state_dict()}
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict

    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    trained, moments = get_state_dict(method.trained, optimizer, options=options)
    return {"trained": trained, "optimizer": moments}


def _frozen(method: Method[Any]) -> set[str]:
    """Names of weights that training does not change: under LoRA all but the adapters'."""
    weights = method.trained.named_parameters(remove_duplicate=False)
    return {name for name, weight in weights if not weight.requires_grad}


def _load(method: Method[Any], optimizer: Optimizer, state: dict[str, Any], sharded: bool) -> None:
    if not sharded:
        lacking, surplus = method.trained.load_state_dict(state["trained"], strict=False)
        if wrong := [*(set(lacking) - _frozen(method)), *surplus]:
            raise KeyError(min(wrong))
        optimizer.load_state_dict(state["optimizer"])
        return
    from torch.distributed.checkpoint.state_dict import StateDictOptions, set_state_dict

    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    set_state_dict(
        method.trained,
        optimizer,
        model_state_dict=state["trained"],
        optim_state_dict=state["optimizer"],
        options=options,
    )


def _read(checkpoint: Path) -> dict[str, Any]:
    """training.pt of a checkpoint whose files all have the sizes that the manifest gives."""
    try:
        sizes = json.loads((checkpoint / MANIFEST).read_text(encoding="utf-8"))
        damaged = [name for name, size in sizes.items() if (checkpoint / name).stat().st_size != size]
        if not damaged:
            return _loaded(checkpoint / TRAINING)
    except (OSError, ValueError, RuntimeError, AttributeError) as error:
        damaged = [" ".join(str(error).split())[:200]]
    remedy = "remove this folder to go on from the checkpoint before it"
    raise CheckpointError(f"the checkpoint is damaged: {damaged[0]}", where=str(checkpoint), remedy=remedy)


def _loaded(path: Path) -> dict[str, Any]:
    """The saved state. Raises the errors of torch.load, and ValueError on a file that holds none."""
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return state
    except (OSError, ValueError, RuntimeError, MemoryError):
        raise
    except Exception as error:  # the unpickler says much of itself, and nothing of the file
        raise ValueError(f"{path.name} does not hold what was written") from error


def _seal(directory: Path) -> None:
    """Write the manifest last and force everything to the disk."""
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    sizes = {str(path.relative_to(directory)): path.stat().st_size for path in files}
    manifest = directory / MANIFEST
    manifest.write_text(json.dumps(sizes, indent=1), encoding="utf-8")
    for path in [*files, manifest, *(p for p in directory.rglob("*") if p.is_dir()), directory]:
        sync(path)
