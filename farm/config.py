"""Options as frozen dataclasses, filled from defaults < YAML file < flags; all errors at once.

Each field has its documentation in a string literal under it, which `options` reads for `--help`; its limits
stand in `option(...)`. A class may add `problems()`, naming what is wrong between its fields.
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import inspect
import math
import textwrap
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints

from annotators.strict_yaml import read_yaml as read_strictly
from db.errors import ConfigError

C = TypeVar("C", bound="Config")
Schedule: TypeAlias = Literal["cosine", "linear", "constant"]


def option(
    default: Any = dataclasses.MISSING,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
) -> Any:
    """A field with a default and the limits of its value."""
    limits = {"at least": at_least, "above": above, "at most": at_most, "below": below}
    return dataclasses.field(default=default, metadata={k: v for k, v in limits.items() if v is not None})


@dataclass(frozen=True, kw_only=True)
class Config:
    """What all configurations share."""

    def problems(self) -> list[str]:
        """What is wrong between fields that are each right alone; one clause each."""
        return []

    def __post_init__(self) -> None:
        found = [
            text for field in dataclasses.fields(self) for text in _outside(field, getattr(self, field.name))
        ]
        if found := found or self.problems():
            raise _config_error(found, type(self).__name__)


@dataclass(frozen=True, kw_only=True)
class ModelConfig(Config):
    """How a model is loaded."""

    dtype: Literal["float32", "bfloat16"] = "float32"
    """Precision of the weights."""
    attention: Literal["sdpa", "eager", "flash_attention_2", "flex_attention"] = "sdpa"
    """Attention implementation of transformers."""
    device: str = "auto"
    """Where the model runs: cpu, cuda, cuda:1, or auto for a GPU where there is one."""
    template: str = "auto"
    """Prompt template: chat (the tokenizer's), plain, a text with {instruction} and {input}, or auto: the one
    stored with the checkpoint, else chat if the tokenizer has one, else plain."""
    trust_remote_code: bool = False
    """Run Python code that comes with a checkpoint. Only for publishers you trust."""
    lora_rank: int = option(0, at_least=0)
    """Rank of the LoRA adapters that are trained in place of the weights; 0 trains the weights."""
    lora_alpha: int = option(16, at_least=1)
    """LoRA's scale: adapters are multiplied by lora_alpha / lora_rank."""
    lora_dropout: float = option(0.0, at_least=0, below=1)
    """Dropout on the input of the LoRA adapters."""
    lora_targets: tuple[str, ...] = ()
    """Names of the linear layers that get adapters; none: all but the output layer."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig(ModelConfig):
    """What the shared loop needs to know."""

    seed: int = option(0, at_least=0)
    """Seed of data order, initial weights of new heads, dropout and sampling."""
    epochs: float = option(1.0, above=0)
    """Passes over the data."""
    max_steps: int | None = option(None, at_least=1)
    """Stop after so many optimizer steps, even if epochs would give more."""
    batch_size: int = option(32, at_least=1)
    """Rows (demonstrations, pairs or prompts) per optimizer step, over all processes."""
    micro_batch: int | None = option(None, at_least=1)
    """Rows at most in one forward pass of one process; gradients add up over a step. None: all at once."""
    token_budget: int | None = option(None, at_least=1)
    """Tokens at most, padding included, in one forward pass of one process. None: no limit."""
    max_length: int = option(512, at_least=2)
    """Tokens at most in a prompt with its response."""
    overlong: Literal["error", "drop"] = "error"
    """What to do about a row longer than max_length: stop, or leave it out and say how many."""
    learning_rate: float = option(1e-5, above=0)
    """Peak learning rate of AdamW."""
    schedule: Schedule = "cosine"
    """Learning rate after warm-up: falls to 0 along a cosine or a line, or stays."""
    warmup: float = option(0.03, at_least=0, below=1)
    """Share of the steps over which the learning rate rises from 0."""
    weight_decay: float = option(0.0, at_least=0)
    """Decoupled weight decay of AdamW, on matrices only."""
    adam_betas: tuple[float, float] = (0.9, 0.999)
    """Decay rates of AdamW's two moments."""
    adam_epsilon: float = option(1e-8, above=0)
    """AdamW's denominator floor."""
    max_grad_norm: float = option(1.0, above=0)
    """Gradients are scaled down to this norm."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16: forward passes under bfloat16 autocast; weights keep their own dtype."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, more time."""
    compile: bool = False
    """torch.compile the models, a minute at the start. Measure if it pays: a quarter at best on a CPU."""
    distribute: Literal["ddp", "fsdp"] = "ddp"
    """With several processes: every one holds the model (ddp) or a share of it (fsdp, which is FSDP2)."""
    log_every: int = option(10, at_least=1)
    """Steps between two lines of metrics, each an average over those steps."""
    track: Literal["none", "tensorboard", "trackio"] = "none"
    """Where metrics go beside the ledger."""
    eval_every: int | None = option(None, at_least=1)
    """Steps between evaluations on the held-out rows. None: at the end alone."""
    save_every: int | None = option(None, at_least=1)
    """Steps between checkpoints. None: at the end alone."""
    keep: int = option(2, at_least=1)
    """Checkpoints that are kept, the latest ones."""

    def problems(self) -> list[str]:
        if all(0 <= beta < 1 for beta in self.adam_betas):
            return []
        return [f"adam_betas is {self.adam_betas}, both must be at least 0 and below 1"]


@dataclass(frozen=True, kw_only=True)
class Decoding(Config):
    """How responses are drawn."""

    temperature: float = option(1.0, at_least=0)
    """Logits are divided by it; 0 takes the likeliest token every time."""
    top_p: float = option(1.0, above=0, at_most=1)
    """Draw among the likeliest tokens that together reach this probability; 1 draws among all."""
    top_k: int = option(0, at_least=0)
    """Draw among so many of the likeliest tokens; 0 draws among all."""
    max_new_tokens: int = option(300, at_least=1)
    """Tokens at most in a response, the end-of-sequence token included."""


@dataclass(frozen=True)
class Option:
    """One option as a user meets it."""

    name: str
    type: str
    default: Any  # dataclasses.MISSING where the option is required
    doc: str


def options(config: type[Config]) -> list[Option]:
    """Every option of a configuration, those of its own class first."""
    docs, hints = _docs(config), get_type_hints(config)
    found = [
        Option(f.name, _type_name(hints[f.name]), f.default, docs.get(f.name, ""))
        for f in dataclasses.fields(config)
    ]
    own = inspect.get_annotations(config)
    return sorted(found, key=lambda o: o.name not in own)


def build(config: type[C], *sources: Mapping[str, object], where: Sequence[str] = ()) -> C:
    """A configuration from mappings, later ones over earlier ones. Texts are read as the field's type.

    where: what to call each source in an error. Raises one ConfigError that lists everything that is wrong.
    """
    hints = get_type_hints(config)
    fields = {field.name: field for field in dataclasses.fields(config)}
    values: dict[str, Any] = {}
    errors: list[str] = []
    for number, source in enumerate(sources):
        place = f"{where[number]}: " if number < len(where) else ""
        for key, raw in source.items():
            name = str(key).replace("-", "_")
            if name not in fields:
                errors.append(f"{place}unknown option {key!r}{_suggestion(name, list(fields))}")
                continue
            try:
                values[name] = _read(raw, hints[name])
            except ValueError as error:
                errors.append(f"{place}{name} is {raw!r}, expected {error}")
                continue
            errors.extend(place + text for text in _outside(fields[name], values[name]))
    missing = [
        name for name, field in fields.items() if name not in values and field.default is dataclasses.MISSING
    ]
    errors.extend(f"{name} is required" for name in missing if not any(f"{name} is" in e for e in errors))
    if errors:
        raise _config_error(errors, config.__name__)
    return config(**values)


def read_yaml(path: Path) -> dict[str, object]:
    """The mapping that a YAML file holds. Raises ConfigError if there is none."""
    loaded = read_strictly(path)
    if loaded is not None and not isinstance(loaded, dict):
        raise ConfigError(
            "not a mapping of options", where=str(path), remedy="write lines such as `epochs: 2`"
        )
    return loaded or {}


def _config_error(errors: Sequence[str], name: str) -> ConfigError:
    remedy = (
        "`--help` lists every option"
        if len(errors) == 1
        else f"{len(errors)} errors; `--help` lists every option"
    )
    return ConfigError("; ".join(errors), where=name, remedy=remedy)


def _suggestion(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _outside(field: dataclasses.Field[Any], value: Any) -> list[str]:
    """The limits that a value breaks."""
    if isinstance(value, float) and not math.isfinite(value):
        return [f"{field.name} is {value}, expected a finite number"]
    if not isinstance(value, int | float):
        return []
    holds = {
        "at least": lambda limit: value >= limit,
        "above": lambda limit: value > limit,
        "at most": lambda limit: value <= limit,
        "below": lambda limit: value < limit,
    }
    broken = [f"{word} {limit}" for word, limit in field.metadata.items() if not holds[word](limit)]
    return [f"{field.name} is {value}, must be {' and '.join(broken)}"] if broken else []


def _read(raw: object, hint: Any) -> Any:
    """A value of the hinted type from YAML or a flag. Raises ValueError(what was expected)."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if raw is None or (isinstance(raw, str) and raw.lower() in ("none", "null")):
            return None
        return _read(raw, next(a for a in arguments if a is not type(None)))
    if origin is Literal:
        if raw in arguments:
            return raw
        raise ValueError(
            "one of " + ", ".join(map(str, arguments)) + _suggestion(str(raw), [str(a) for a in arguments])
        )
    if origin is tuple:
        parts = raw.split(",") if isinstance(raw, str) else raw
        if not isinstance(parts, list | tuple):
            raise ValueError("a list")
        if arguments[-1] is not Ellipsis and len(parts) != len(arguments):
            raise ValueError(f"{len(arguments)} values")
        kinds = [arguments[0]] * len(parts) if arguments[-1] is Ellipsis else arguments
        return tuple(
            _read(part.strip() if isinstance(part, str) else part, kind)
            for part, kind in zip(parts, kinds, strict=True)
        )
    return _read_scalar(raw, hint)


def _read_scalar(raw: object, hint: type) -> Any:
    if hint is bool:
        words = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
        if isinstance(raw, bool):
            return raw
        if isinstance(raw, str) and raw.lower() in words:
            return words[raw.lower()]
        raise ValueError("true or false")
    if hint in (int, float) and not isinstance(raw, bool) and isinstance(raw, int | float | str):
        try:
            number = float(raw)  # YAML 1.1 reads 1e-5 as a text
        except ValueError:
            pass
        else:
            if hint is float:
                return number
            if number.is_integer():
                return int(raw) if isinstance(raw, int) else int(number)
    if hint is str and isinstance(raw, str):
        return raw
    raise ValueError({int: "a whole number", float: "a number", str: "a text"}[hint])


def _type_name(hint: Any) -> str:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(_type_name(a) for a in arguments)
    if origin is Literal:
        return "|".join(map(str, arguments))
    if origin is tuple:
        return ",".join("..." if a is Ellipsis else _type_name(a) for a in arguments)
    return "none" if hint is type(None) else hint.__name__


def _docs(config: type) -> dict[str, str]:
    """Field name -> the string literal under it, over the class and those it inherits from."""
    found: dict[str, str] = {}
    for cls in reversed(config.__mro__):
        if not dataclasses.is_dataclass(cls):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, doc in zip(body.body, body.body[1:], strict=False):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(doc, ast.Expr)
            ):
                value = doc.value
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    found[field.target.id] = " ".join(value.value.split())
    return found
