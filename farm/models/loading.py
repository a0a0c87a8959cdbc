"""Load and save transformers models.

Only safetensors files are read and written. A missing weight is an error.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from farm.config import ModelConfig
from farm.models.adapters import Adapter
from farm.models.codec import TEMPLATE_FILE, Codec, Template
from farm.models.fitting import check_codec, check_tokenizer
from farm.models.hub import ModelError, line_of
from farm.models.identity import digest_of
from farm.models.sources import ModelSource, locate, packaged


def pick_device(name: str) -> torch.device:
    """The device of this name. `auto`: the process's own GPU where there is one, otherwise the CPU."""
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")


def source_key(source: str | None) -> str:
    """Identity of a model: a hash of its files, or a hub id itself. None: an empty text.

    An adapter's identity is that of its files and of its base.
    """
    if source is None or not Path(packaged(source)).exists():
        return source or ""
    found = locate(source)
    key = digest_of(path for path in found.files("*") if path.suffix != ".md")
    return key if found.is_here else f"{key}+{found.weights}"


def load_codec(source: str, config: ModelConfig, model: Any = None) -> Codec:
    """The tokenizer and prompt template of a model: a folder, a .gguf file or a hub id.

    model: the loaded model. It gives the longest row that it can read and the tokens that it has embeddings
    for. An adapter's folder may lack files, which are then its base's. Raises ModelError where there is no
    tokenizer or it does not fit the model, ConfigError on a template that cannot be used.
    """
    found = locate(source)
    tokenizer = load_tokenizer(source, config, model)
    folders = [Path(part) for part in found.parts]
    written = next((each for each in folders if (each / TEMPLATE_FILE).is_file()), folders[0])
    template = Template.choose(config.template, written, tokenizer)
    codec = Codec(
        tokenizer, template, _stops(found, model), context=_context(model), embeddings=_embeddings(model)
    )
    check_codec(codec, source)
    return codec


def load_tokenizer(source: str, config: ModelConfig, model: Any = None) -> Any:
    """The tokenizer of a model. Raises ModelError where there is none or it does not fit the model."""
    from transformers import AutoTokenizer

    found = locate(source)
    own = found.adapter if found.adapter and _has_tokenizer(found.adapter) else None
    options = {} if own else found.options
    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(
                own or found.weights, trust_remote_code=config.trust_remote_code, **options
            )
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelError(
            f"no tokenizer could be loaded: {line_of(error)}", where=source, remedy=_WHERE
        ) from None
    check_tokenizer(tokenizer, _embeddings(model), source)
    return tokenizer


def _has_tokenizer(part: str) -> bool:
    folder = Path(part)
    names = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json", "vocab.txt")
    return not folder.is_dir() or any((folder / name).is_file() for name in names)


def _stops(found: ModelSource, model: Any) -> frozenset[int]:
    """The tokens that end a response by the generation config, else by the model's own configuration."""
    from transformers import GenerationConfig

    stop = None
    for part in found.parts:
        try:
            stop = GenerationConfig.from_pretrained(part).eos_token_id
        except (OSError, ValueError):
            continue
        break
    if stop is None and model is not None:
        stop = getattr(model.config.get_text_config(), "eos_token_id", None)
    return frozenset(stop if isinstance(stop, list) else [] if stop is None else [stop])


def _context(model: Any) -> int | None:
    known = model.config.get_text_config() if model is not None else None
    return getattr(known, "max_position_embeddings", None)


def _embeddings(model: Any) -> int | None:
    return None if model is None else int(model.get_input_embeddings().weight.shape[0])


def load_model(
    source: str, auto: Any, config: ModelConfig, *, may_be_new: tuple[str, ...] = (), **extra: Any
) -> Any:
    """A transformers model in evaluation mode on its device.

    source: a folder, a hub id, a .gguf file, or an adapter, which is merged into its base. auto: a
    transformers Auto class. may_be_new: names of weights that the checkpoint may lack, because the caller
    initialises them. Raises ModelError on a weight that is missing, of the wrong shape or not finite.
    """
    found = locate(source)
    adapter = Adapter.read(found.adapter) if found.adapter else None
    brought = (*may_be_new, *(adapter.whole if adapter else ()))
    try:
        with quiet(), redirect_stderr(StringIO()) if found.gguf else nullcontext():  # a bar, piped or not
            model, info = auto.from_pretrained(
                found.weights,
                dtype=getattr(torch, config.dtype),
                attn_implementation=config.attention,
                trust_remote_code=config.trust_remote_code,
                use_safetensors=True,
                output_loading_info=True,
                **found.options,
                **(adapter.options if adapter else {}) | extra,
            )
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"no model could be loaded: {line_of(error)}", where=source, remedy=_WHERE) from None
    missing = [name for name in info["missing_keys"] if not any(new in name for new in brought)]
    if missing:
        what = f"the checkpoint is of another architecture: it has no {missing[0]}"
        raise ModelError(what, where=source, remedy=f"give a checkpoint of a {type(model).__name__}")
    if found.gguf:
        forget_quantization(model)
    if adapter is not None:
        model = adapter.merged_into(model)
    for name, weight in model.named_parameters():
        if not any(new in name for new in may_be_new) and not torch.isfinite(weight).all():
            raise ModelError(f"weight {name} is not finite", where=source, remedy="use an earlier checkpoint")
    device = pick_device(config.device)
    if device.type == "cuda":
        torch.backends.cuda.enable_cudnn_sdp(False)  # plans for .1 s at each new shape, and ours are many
    return model.eval().to(device)


def forget_quantization(model: Any) -> None:
    """Let transformers save a model that was read from a .gguf file: its weights are floats by then."""
    model.hf_quantizer = None
    model.is_quantized = False
    vars(model.config).pop("quantization_config", None)


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
        what = f"LoRA does not fit: {line_of(error)}"
        raise ModelError(what, where="lora_targets", remedy=remedy) from None


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
            _stop_at_turn_end(model, codec)
            model.save_pretrained(directory, state_dict=weights)
    finally:
        model._hf_peft_config_loaded = adapted
    codec.save(directory)


def _stop_at_turn_end(model: Any, codec: Codec) -> None:
    """Let plain transformers stop where the model learnt to end its turn, in place."""
    generation = getattr(model, "generation_config", None)
    stop = getattr(generation, "eos_token_id", None)
    known = stop if isinstance(stop, list) else [] if stop is None else [stop]
    if generation is not None and codec.end_id != codec.eos_id and codec.end_id not in known:
        generation.eos_token_id = [*known, codec.end_id]


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


_WHERE = "give a folder with safetensors weights, the id of one on the hub, or a .gguf file"


def whole(tensor: Any) -> Tensor:
    """The whole of a tensor that may be sharded. Every process must call this."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor  # type: ignore[no-any-return]
