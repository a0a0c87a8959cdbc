"""Every entry of the catalogue loads, asks, and reads its own examples; models are named in one place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from annotators import catalogue
from annotators.catalogue import FOLDER, ModelSlots
from annotators.composite import models_of
from annotators.parsers import PARSERS, example_problems
from annotators.pool import Pool
from annotators.prompt import ANSWER, SYSTEM, prompt_of
from annotators.render import messages
from annotators.rules import RULES, RuleAnnotator
from annotators.shown import ShownPair
from annotators.spec import AnnotatorSpec
from db.errors import ConfigError
from db.records import AnnotatorKind, Instruction, Output, Pair
from tests.support.benchmark_scripts import script
from tests.support.catalogued import ANNOTATORS, JUDGES, LOADED, POOLS

PAGE = Path(__file__).parents[2] / "docs" / "annotators.md"
every_judge = pytest.mark.parametrize("name", JUDGES)


@pytest.mark.parametrize("name", LOADED)
def test_an_entry_is_called_as_its_place_says_and_described(name: str) -> None:
    assert LOADED[name].name == name
    assert LOADED[name].summary


@every_judge
def test_an_entry_has_examples_of_both_kinds_and_reads_them(name: str) -> None:
    spec = JUDGES[name]
    assert any(None not in example.expected for example in spec.examples)
    assert any(None in example.expected for example in spec.examples)
    assert example_problems(spec) == []


@every_judge
def test_a_judge_can_be_asked_about_a_pair(name: str) -> None:
    asked = Instruction("Add the numbers.", "1, 2")
    pair, _ = Pair.of(Output(asked, "3", "m"), Output(asked, "12", "n"))
    said = messages(JUDGES[name], [ShownPair(pair, False)])
    assert all(text in said[-1].content for text in ("Add the numbers.", "1, 2", "3", "12"))


@every_judge
def test_a_prompt_tells_rules_and_how_to_reply(name: str) -> None:
    spec = JUDGES[name]
    assert all(prompt_of(spec.prompt).has(block) for block in (SYSTEM, ANSWER))
    system = messages(spec, [])[0].content
    assert "instruction" in system
    assert all(name_ in system for name_ in spec.outputs)
    assert spec.reply_tokens > 0
    assert spec.decoding.max_tokens is not None


def test_each_rule_is_an_entry_and_the_oracle_needs_a_callable() -> None:
    rules = {name: spec for name, spec in ANNOTATORS.items() if spec.kind is AnnotatorKind.RULE}
    assert rules.keys() == RULES.keys() | {"oracle"}
    for name, spec in rules.items():
        if name != "oracle":
            assert RuleAnnotator.of(spec).id == spec.fingerprint
    with pytest.raises(ConfigError, match=r"package\.module:function"):
        RuleAnnotator.of(rules["oracle"])


def test_the_crowd_is_as_mixed_as_it_says() -> None:
    crowd = POOLS["crowd"]
    specs = [member.spec for member in crowd.members]
    assert len({spec.draw_key for spec in specs}) == len(specs) == 13
    assert len({spec.model for spec in specs}) == 2
    assert len({spec.prompt for spec in specs}) >= 6
    assert len({spec.persona for spec in specs}) >= 6
    assert len({spec.batch for spec in specs}) >= 3
    assert len({len(spec.shots) for spec in specs}) >= 4
    assert {spec.decoding.temperature for spec in specs} == {1}


def test_identities_are_all_different() -> None:
    assert len({entry.fingerprint for entry in LOADED.values()}) == len(LOADED)


def test_a_retired_model_is_replaced_in_one_place() -> None:
    """AlpacaFarm's judges named retired models in every file, and it waited for them without end."""
    texts = [path.read_text() for path in sorted(FOLDER.rglob("*.yaml")) if path.name != "models.yaml"]
    assert not any(model in text for text in texts for model in catalogue.default_slots().values())
    for name in [*JUDGES, *POOLS]:
        assert models_of(catalogue.load(name, ModelSlots.of(["one-model"]))) == {"one-model"}


def test_slots_are_filled_one_by_one() -> None:
    crowd = catalogue.load("crowd", ModelSlots.of(["small=mini"]))
    assert isinstance(crowd, Pool)
    assert {m.spec.model for m in crowd.members} == {"mini", catalogue.default_slots()["large"]}
    with pytest.raises(ConfigError, match="did you mean 'small'"):
        ModelSlots.of(["smal=mini"])


def test_an_unknown_name_is_told_its_neighbour() -> None:
    with pytest.raises(ConfigError, match="did you mean 'longest'"):
        catalogue.load("longst")


def test_shots_are_balanced_over_places() -> None:
    places = [shot.first for shot in catalogue.shots().values()]
    assert sum(places) * 2 == len(places)


def test_the_page_names_entries_that_there_are_and_every_parser() -> None:
    page = PAGE.read_text(encoding="utf-8")
    table = page.partition("| name | what it does |")[2].partition("\n\n")[0]
    named = [name for row in table.splitlines()[2:] for name in re.findall(r"`([\w-]+)`", row.split("|")[1])]
    assert len(named) > 15
    assert [name for name in named if name not in LOADED] == []
    assert [name for name in PARSERS if f"`{name}`" not in page] == []


def test_the_reference_shows_every_entry() -> None:
    page = script(PAGE.parent / "site" / "reference.py", "site_reference").page("annotators")
    assert [name for name in LOADED if f"\n## {name}\n" not in page] == []


def test_the_example_of_the_page_works_as_it_stands(tmp_path: Path) -> None:
    """Two files and no code: they are taken from the page, and the examples they hold are read."""
    page = PAGE.read_text(encoding="utf-8")
    for name, fence in (("annotator.yaml", "yaml"), ("prompt.jinja", "jinja")):
        (tmp_path / name).write_text(page.split(f"```{fence}\n", 1)[1].split("```", 1)[0])
    spec = catalogue.load(str(tmp_path))
    assert isinstance(spec, AnnotatorSpec)
    assert spec.examples
