"""The JSON Schemas of docs/schemas are current, accept every file of ours, and refuse wrong ones."""

from __future__ import annotations

import json
import re
import runpy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

jsonschema = pytest.importorskip("jsonschema")
ROOT = Path(__file__).parent.parent
MADE = runpy.run_path(str(ROOT / "docs" / "site" / "schemas.py"))
CATALOG = ROOT / "annotators" / "catalog"
FILES = [
    *(("annotator", path) for path in sorted(CATALOG.glob("*/annotator.yaml"))),
    *(("pool", path) for path in sorted((CATALOG / "pools").glob("*.yaml"))),
    *(
        ("composite", path)
        for path in sorted([*CATALOG.glob("panels/*.yaml"), *CATALOG.glob("cascades/*.yaml")])
    ),
    *(("recipe", path) for path in sorted((ROOT / "farm" / "studies").glob("*.yaml"))),
]


class Loader(yaml.SafeLoader):
    """YAML 1.2, as editors read it: 1e-3 is a number."""


NUMBER = re.compile(r"^\d+(\.\d*)?e[-+]?\d+$")
Loader.add_implicit_resolver("tag:yaml.org,2002:float", NUMBER, list("0123456789"))


def read(path: Path) -> Any:
    return yaml.load(path.read_text(), Loader)  # noqa: S506  (a SafeLoader)


@cache
def validator(name: str) -> Any:
    schema = json.loads((ROOT / "docs" / "schemas" / f"{name}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("name", ["annotator", "pool", "composite", "recipe"])
def test_the_schemas_are_current(name: str) -> None:
    """`python docs/site/schemas.py` writes them."""
    assert (ROOT / "docs" / "schemas" / f"{name}.schema.json").read_text() == MADE["text"](name)


@pytest.mark.parametrize(("name", "path"), FILES)
def test_every_file_of_ours_is_right(name: str, path: Path) -> None:
    assert [error.message for error in validator(name).iter_errors(read(path))] == []


@pytest.mark.parametrize(("name", "path"), FILES)
def test_a_wrong_key_is_refused(name: str, path: Path) -> None:
    assert not validator(name).is_valid({**read(path), "promt": "prompt.jinja"})


@pytest.mark.parametrize(
    ("changed", "value"),
    [("kind", "lm"), ("batch", 0), ("decoding", {"temprature": 0}), ("noise", {"flip": 0.7}), ("name", 3)],
)
def test_a_wrong_value_is_refused(changed: str, value: object) -> None:
    plain = read(CATALOG / "plain" / "annotator.yaml")
    assert not validator("annotator").is_valid({**plain, changed: value})


def test_a_wrong_option_of_a_method_is_refused() -> None:
    recipe = read(ROOT / "farm" / "studies" / "small.yaml")
    recipe["methods"]["dpo"] = {"learning_rat": 1e-3}
    assert not validator("recipe").is_valid(recipe)
    recipe["methods"]["dpo"] = {"beta": -1}
    assert not validator("recipe").is_valid(recipe)
