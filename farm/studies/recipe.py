"""Recipes: which methods a study trains, and with which options. A recipe is a YAML file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotators.strict_yaml import read_yaml
from db.errors import ConfigError
from db.ids import Json
from farm.config import Config, Decoding, build
from farm.methods import METHODS, REWARD_MODELS, load
from farm.methods.best_of_n import BestOfNConfig
from farm.settings.checked import schema_of

BEST_OF_N = "best_of_n"  # not among METHODS, since it samples and trains nothing
FOLDER = Path(__file__).parent  # has the recipes that come with the package
GROUPS = ("sft", "reward_model", "methods", "sampling")


@dataclass(frozen=True)
class Recipe:
    """The options of a study, by method."""

    sft: Mapping[str, object]
    reward_model: Mapping[str, object]
    methods: Mapping[str, Mapping[str, object]]  # in the order in which they are trained
    sampling: Mapping[str, object]  # options of Decoding for every output

    @classmethod
    def read(cls, path: Path) -> Recipe:
        """Read a recipe from a file. Raises one ConfigError with all that is wrong with it."""
        given = read_yaml(path)
        if not isinstance(given, dict) or set(given) != set(GROUPS):
            raise ConfigError(f"a recipe has {', '.join(GROUPS)} and no more", where=str(path))
        groups = {name: {} if given[name] is None else given[name] for name in GROUPS}
        if odd := [name for name, group in groups.items() if not isinstance(group, dict)]:
            what = f"{' and '.join(odd)} must map names to values"
            raise ConfigError(what, where=str(path), remedy="see the form in docs/validate.md")
        recipe = cls(**groups)
        if problems := recipe._problems():
            raise ConfigError(
                "; ".join(problems), where=str(path), remedy="`farm train METHOD --help` lists options"
            )
        return recipe

    def _problems(self) -> list[str]:
        named = {"sft": self.sft, "reward_model": self.reward_model, **self.methods}
        problems = []
        for name, given in named.items():
            if name not in METHODS and name != BEST_OF_N:
                problems.append(f"there is no method {name!r}; there are {', '.join([BEST_OF_N, *METHODS])}")
                continue
            if name in REWARD_MODELS and name in self.methods:
                problems.append(f"{name} makes a reward model, and a study draws outputs of what it trains")
            config: type[Config] = BestOfNConfig if name == BEST_OF_N else load(name).Config
            try:
                build(config, given or {}, where=[name])
            except ConfigError as error:
                problems.append(str(error))
        return problems


def recipe_schema() -> dict[str, Json]:
    """The JSON Schema of a recipe's file, made from the configurations of the methods."""

    configs: dict[str, type[Config]] = {BEST_OF_N: BestOfNConfig}
    configs |= {name: load(name).Config for name in METHODS}
    made = {name: schema_of(config) for name, config in configs.items()}
    fields = _shared_fields(made.values())

    def options(schema: Mapping[str, Any]) -> Json:
        named = {
            name: {"$ref": f"#/$defs/{name}"} if each == fields.get(name) else each
            for name, each in schema["properties"].items()
        }
        return {"anyOf": [{**schema, "properties": named}, {"type": "null"}]}

    methods: dict[str, Json] = {name: options(schema) for name, schema in made.items()}
    policies = {name: each for name, each in methods.items() if name not in REWARD_MODELS}
    groups: dict[str, Json] = {
        "sft": methods["sft"],
        "reward_model": methods["reward_model"],
        "methods": {"type": "object", "properties": policies, "additionalProperties": False},
        "sampling": options(schema_of(Decoding)),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A recipe of a study of Preference Farm",
        "type": "object",
        "properties": groups,
        "required": list(GROUPS),
        "additionalProperties": False,
        "$defs": fields,
    }


def _shared_fields(schemas: Iterable[Mapping[str, Any]]) -> dict[str, Json]:
    """The fields that most methods share, each once: the commonest schema of each name that stands twice."""
    seen: dict[str, list[Json]] = {}
    for schema in schemas:
        for name, each in schema["properties"].items():
            seen.setdefault(name, []).append(each)
    commonest = {name: max(found, key=found.count) for name, found in seen.items()}
    return {name: each for name, each in commonest.items() if seen[name].count(each) > 1}


def options_of(given: Mapping[str, object] | None) -> dict[str, str]:
    """Options as texts, as the command line has them."""
    return {name: str(value) for name, value in (given or {}).items()}
