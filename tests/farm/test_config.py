from pathlib import Path
from typing import Literal

import pytest

from db.errors import ConfigError
from farm.config import Config, ModelConfig, TrainConfig, build, option, options, read_yaml
from farm.methods import METHODS, load


class Base(Config):
    seed: int = option(0, at_least=0)
    """Where randomness starts."""


class Example(Base):
    name: str
    """What it is called."""
    rate: float = option(0.1, above=0, at_most=1)
    """How fast,
    in units."""
    kind: Literal["a", "bb"] = "a"
    """Which."""
    limit: int | None = None
    """How many."""
    loud: bool = False
    """Whether."""
    parts: tuple[str, ...] = ()
    """Which parts."""
    ends: tuple[float, float] = (0.0, 1.0)
    """From, to."""

    def problems(self) -> list[str]:
        return [] if self.ends[0] <= self.ends[1] else ["ends are the wrong way round"]


def test_default_yaml_flag_in_this_order() -> None:
    config = build(Example, {"name": "x", "rate": 0.2, "seed": 3}, {"rate": "0.5"})
    assert (config.rate, config.seed, config.kind) == (0.5, 3, "a")


def test_texts_are_read_as_the_type_of_the_field() -> None:
    flags = {
        "name": "1",
        "rate": "1e-3",
        "limit": "none",
        "loud": "yes",
        "parts": "q, v",
        "ends": "0,2",
        "seed": "7",
    }
    config = build(Example, flags)
    assert config == Example(name="1", rate=0.001, loud=True, parts=("q", "v"), ends=(0.0, 2.0), seed=7)
    assert build(Example, {"name": "x", "limit": "5"}).limit == 5
    assert build(TrainConfig, {"batch-size": 4}).batch_size == 4


def test_yaml_1_1_reads_1e_5_as_a_text_and_we_read_it_as_a_number(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("learning_rate: 1e-5\nlora_targets: [q_proj, v_proj]\nmicro_batch: null\n")
    config = build(TrainConfig, read_yaml(path))
    assert (config.learning_rate, config.lora_targets, config.micro_batch) == (
        1e-5,
        ("q_proj", "v_proj"),
        None,
    )


def test_all_errors_at_once_with_the_nearest_names() -> None:
    yaml = {"rat": 1, "kind": "b", "limit": 1.5, "loud": "perhaps", "ends": [1]}
    with pytest.raises(ConfigError) as error:
        build(Example, yaml, {"rate": "0"}, where=["run.yaml", "flags"])
    text = str(error.value)
    for part in (
        "run.yaml: unknown option 'rat'; did you mean 'rate'?",
        "run.yaml: kind is 'b', expected one of a, bb; did you mean 'bb'?",
        "limit is 1.5, expected a whole number",
        "loud is 'perhaps', expected true or false",
        "ends is [1], expected 2 values",
        "flags: rate is 0.0, must be above 0",
        "name is required",
    ):
        assert part in text


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_must_be_finite(value: float) -> None:
    with pytest.raises(ConfigError, match="expected a finite number"):
        Example(name="x", rate=value)


def test_limits_and_problems_hold_without_build_too() -> None:
    with pytest.raises(ConfigError, match="rate is 2, must be at most 1"):
        Example(name="x", rate=2)
    with pytest.raises(ConfigError, match="wrong way round"):
        build(Example, {"name": "x", "ends": [2, 1]})
    with pytest.raises(ConfigError, match="adam_betas"):
        TrainConfig(adam_betas=(0.9, 1.0))


def test_options_have_docs_of_their_own_class_first() -> None:
    found = options(Example)
    assert [o.name for o in found] == ["name", "rate", "kind", "limit", "loud", "parts", "ends", "seed"]
    by_name = {o.name: o for o in found}
    assert by_name["rate"].doc == "How fast, in units."
    assert by_name["seed"].doc == "Where randomness starts."
    assert by_name["kind"].type == "a|bb"
    assert by_name["limit"].type == "int or none"
    assert by_name["ends"].type == "float,float"


@pytest.mark.parametrize("name", METHODS)
def test_every_option_of_every_method_is_documented(name: str) -> None:
    config = load(name).Config
    config()
    assert [o.name for o in options(config) if not o.doc] == []


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [", "\tb"])
def test_a_file_that_is_no_mapping_is_one_clear_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"config.yaml"):
        read_yaml(path)
    with pytest.raises(ConfigError, match="not readable YAML"):
        read_yaml(tmp_path / "none.yaml")


def test_an_empty_file_is_no_options(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("")
    assert build(ModelConfig, read_yaml(path)) == ModelConfig()
