"""Load and save transformers models.

Only safetensors files are read and written. A missing weight is an error.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from farm.config import ModelConfig
from farm.models.codec import Codec, Template
from farm.models.hub import ModelError, check_found
from farm.models.identity import digest_of


def pick_device(name: str) -> torch.device:
    """The device of this name. `auto`: the process's own GPU where there is one, otherwise the CPU."""
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")


def source_key(source: str | None) -> str:
    """Identity of a model: a hash of a directory's files, or a hub id itself. None: an empty text."""
    if source is None or not Path(source).is_dir():
        return source or ""
    return digest_of(path for path in Path(source).iterdir() if path.is_file() and path.suffix != ".md")


def load_codec(source: str, config: ModelConfig, model: Any = None) -> Codec:
    """The tokenizer and prompt template of a model directory or hub id.

    model: gives the longest row that it can read. Raises ModelError where there is no tokenizer, ConfigError
    on a template that cannot be used.
    """
    from transformers import AutoTokenizer, GenerationConfig

    check_found(source)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=config.trust_remote_code)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelError(
            f"no tokenizer could be loaded: {_line(error)}", where=source, remedy=_WHERE
        ) from None
    try:
        stop = GenerationConfig.from_pretrained(source).eos_token_id
    except (OSError, ValueError):
        stop = None
    stop_ids = frozenset(stop if isinstance(stop, list) else [] if stop is None else [stop])
    template = Template.choose(config.template, Path(source), tokenizer)
    known = model.config.get_text_config() if model is not None else None
    return Codec(tokenizer, template, stop_ids, getattr(known, "max_position_embeddings", None))


def load_model(
    source: str, auto: Any, config: ModelConfig, *, may_be_new: tuple[str, ...] = (), **extra: Any
) -> Any:
    """A transformers model in evaluation mode on its device.

    auto: a transformers Auto class. may_be_new: names of weights that the checkpoint may lack, because the
    caller initialises them. Raises ModelError on a weight that is missing, of the wrong shape or not finite.
    """
    check_found(source)
    try:
        with quiet():
            model, info = auto.from_pretrained(
                source,
                dtype=getattr(torch, config.dtype),
                attn_implementation=config.attention,
                trust_remote_code=config.trust_remote_code,
                use_safetensors=True,
                output_loading_info=True,
                **extra,
            )
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        raise ModelError(f"no model could be loaded: {_line(error)}", where=source, remedy=_WHERE) from None
    missing = [name for name in info["missing_keys"] if not any(new in name for new in may_be_new)]
    if missing:
        what = f"the checkpoint is of another architecture: it has no {missing[0]}"
        raise ModelError(what, where=source, remedy=f"give a checkpoint of a {type(model).__name__}")
    for name, weight in model.named_parameters():
        if not any(new in name for new in may_be_new) and not torch.isfinite(weight).all():
            raise ModelError(f"weight {name} is not finite", where=source, remedy="use an earlier checkpoint")
    device = pick_device(config.device)
    if device.type == "cuda":
        torch.backends.cuda.enable_cudnn_sdp(False)  # plans for .1 s at each new shape, and ours are many
    return model.eval().to(device)


def add_lora(model: Any, config: ModelConfig, seed: int) -> None:
    """Freeze the weights and put trainable low-rank adapters beside the linear layers, in place.

    Hu et al. 2021, arXiv 2106.09685. Raises ModelError on layers that the model does not have.
    """
    from peft import LoraConfig

    torch.manual_seed(seed)
    targets = list(config.lora_targets) or "all-linear"
    try:
        model.add_adapter(
            LoraConfig(
                r=config.lora_rank,
                lora_alpha=config.lora_alpha,
                lora_dropout=config.lora_dropout,
                target_modules=targets,
                task_type="CAUSAL_LM",
            )
        )
    except ValueError as error:
        remedy = "name linear layers of the model in lora_targets, or install the peft that it asks for"
        raise ModelError(f"LoRA does not fit: {_line(error)}", where="lora_targets", remedy=remedy) from None


def disable_dropout(model: nn.Module) -> None:
    """Set every dropout rate of the model to 0, in place, but for those of LoRA adapters.

    Layers hold a rate as the `p` of a dropout module, or as a number with "drop" in its name. The model's
    configuration keeps its rates, and they are saved with it.
    """
    for name, module in model.named_modules():
        if ".lora_" not in f".{name}":
            held = {n for n, value in vars(module).items() if isinstance(value, float) and "drop" in n}
            rates = {"p"} if isinstance(module, nn.Dropout) else held
            vars(module).update(dict.fromkeys(rates, 0.0))


def merged_state(model: nn.Module) -> dict[str, Tensor]:
    """The weights with adapters added in, under the names of the model without adapters."""
    state = {name: whole(tensor) for name, tensor in model.state_dict().items() if ".lora_" not in name}
    merged = {name.replace(".base_layer.", "."): tensor for name, tensor in state.items()}
    for name, module in model.named_modules():
        if hasattr(module, "get_delta_weight"):
            weight = merged[f"{name}.weight"]
            delta = whole(sum(module.get_delta_weight(adapter) for adapter in module.active_adapters))
            merged[f"{name}.weight"] = weight + delta.to(weight.dtype)
    return merged


def save_model(model: Any, codec: Codec, directory: Path | None) -> None:
    """Write a directory that transformers loads by itself, with the tokenizer and the prompt template.

    In sharded training every process must call it, for each holds a share of the weights. directory: None on
    processes that write nothing.
    """
    weights = merged_state(model)
    if directory is None:
        return
    directory.mkdir(parents=True, exist_ok=True)
    adapted = getattr(model, "_hf_peft_config_loaded", False)
    model._hf_peft_config_loaded = False  # else transformers writes the adapters alone
    try:
        with quiet():
            model.save_pretrained(directory, state_dict=weights)
    finally:
        model._hf_peft_config_loaded = adapted
    codec.save(directory)


@contextmanager
def quiet() -> Iterator[None]:
    """Inside the block transformers shows no progress bars or load reports. Errors are raised anyway."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]


_WHERE = "give a model directory with safetensors weights, or the id of one on the hub"


def whole(tensor: Any) -> Tensor:
    """The whole of a tensor that may be sharded. Every process must call this."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor  # type: ignore[no-any-return]
