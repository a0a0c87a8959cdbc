"""Specs are read strictly, all errors at once; identity covers all that can change a judgement."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from annotators import catalogue
from annotators.clients.request import RequestDecoding
from annotators.draws import Orders
from annotators.noise import LabelNoise
from annotators.spec import AnnotatorSpec, Library, OutputNames, ParserSpec, Shot, read_spec
from annotators.strict_yaml import MAX_BYTES, Reader, read_yaml
from db.errors import ConfigError
from db.ids import canonical_json
from db.records import AnnotatorKind

PROMPT = "{% block user %}{% for pair in pairs %}{{ pair.first }}{{ pair.second }}{% endfor %}{% endblock %}"
SMALLEST = "name: mine\nkind: llm\nmodel: small\nparser: {name: verdict, start: true}\n"


def load(folder: Path, yaml: str, prompt: str = PROMPT) -> AnnotatorSpec:
    (folder / "annotator.yaml").write_text(yaml)
    (folder / "prompt.jinja").write_text(prompt)
    spec = catalogue.load(str(folder))
    assert isinstance(spec, AnnotatorSpec)
    return spec


def refused(folder: Path, yaml: str, prompt: str = PROMPT) -> str:
    with pytest.raises(ConfigError) as caught:
        load(folder, yaml, prompt)
    assert str(folder) in caught.value.where
    return caught.value.what


def test_the_smallest_spec(tmp_path: Path) -> None:
    spec = load(tmp_path, SMALLEST)
    assert (spec.name, spec.kind, spec.batch, spec.orders) == ("mine", AnnotatorKind.LLM, 1, Orders.RANDOM)
    assert spec.model == catalogue.default_slots()["small"]
    assert spec.prompt == PROMPT


def test_every_error_is_told_at_once_with_its_place(tmp_path: Path) -> None:
    said = refused(
        tmp_path,
        "name: mine\nkind: llm\nmodle: small\nbatch: 0\norders: randm\nnoise: {flip: 0.7, rate: 1}\n"
        "decoding: {temperatur: 1, top_p: high}\nparser: {name: verdct}\n",
        "{% block user %}{{ pears }}{% endblock %}",
    )
    for part in (
        "modle: unknown key, did you mean 'model'?",
        "model: is required",
        "batch: expected a whole number from 1 to 50, not 0",
        "orders: 'randm' is none of its values, did you mean 'random'?",
        "noise.flip: expected a number from 0 to 0.5, not 0.7",
        "noise.rate: unknown key",
        "decoding.temperatur: unknown key, did you mean 'temperature'?",
        "decoding.top_p: expected a number from 0 to 1, not 'high'",
        "parser: unknown parser 'verdct', did you mean 'verdict'?",
        "prompt: block user does not know 'pears', did you mean 'pairs'?",
    ):
        assert part in said


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("shots: [kettel]", "did you mean 'kettle'?"),
        ("outputs: [A]", "expected 2 to 10 different names"),
        ("outputs: [A, A]", "expected 2 to 10 different names"),
        ("outputs: [m, M]", "verdict cannot tell apart m, M"),
        ("batch: 2", "verdict reads one pair of a prompt, not 2"),
        ("examples: [{completion: A, expect: third}]", "examples[0].expect: expected first, second"),
        ("examples: [{completion: A, expect: [first, first]}]", "2 pairs in a prompt of 1"),
        ("examples: [{completion: B, expect: first}]", "examples: [0]: read as [0.0], not as [1.0]"),
        ("prompt: other.jinja", "there is no file 'other.jinja'"),
        ("decoding: {extra: {temperature: 1}}", "decoding.extra: extra body fields may not be temperature"),
        ("kind: human", "stands twice"),
        ("persona:", "has no value"),
        ("batch: true", "expected a whole number"),
    ],
)
def test_what_a_spec_may_not_say(tmp_path: Path, line: str, fault: str) -> None:
    assert fault in refused(tmp_path, SMALLEST + line + "\n")


def test_kinds_that_are_not_made_of_files(tmp_path: Path) -> None:
    assert "of kind llm, rm or rule, not human" in refused(tmp_path, SMALLEST.replace("llm", "human"))
    assert "rule: unknown rule 'longst', did you mean 'longest'?" in refused(
        tmp_path, "name: x\nkind: rule\nrule: longst\n"
    )
    assert "prompt: unknown key" in refused(tmp_path, "name: x\nkind: rule\nrule: longest\nprompt: p\n")


@pytest.mark.parametrize(
    ("prompt", "fault"),
    [
        ("Which is better?", "no {% block user %}"),
        ("Loose text {% block user %}x{% endblock %}", "all text stands in"),
        ("{% block usr %}x{% endblock %}", "did you mean 'user'?"),
        ("{% block user %}{% include 'x' %}{% endblock %}", "stands alone"),
        ("{% block user %}{{ pairs[0].frist }}{% endblock %}", "has no attribute 'frist'"),
        (
            "{% block system %}{{ pairs }}{% endblock %}{% block user %}{% endblock %}",
            "block system does not know",
        ),
        ("{% block user %}{% if %}{% endblock %}", "line 1"),
        ("{% block user %}{{ 'x' | shout }}{% endblock %}", "No filter named 'shout'"),
        ("{% block user %}{{ names.__class__.__mro__ }}{% endblock %}", "unsafe"),
    ],
)
def test_what_a_prompt_may_not_be(tmp_path: Path, prompt: str, fault: str) -> None:
    assert fault in refused(tmp_path, SMALLEST, prompt)


def test_examples_beside_an_annotator_have_the_first_word(tmp_path: Path) -> None:
    """A file shots.yaml adds to those of the catalogue, and its faults are told with its path."""
    folder = tmp_path / "own"
    folder.mkdir()
    prompt = "{% block user %}{% endblock %}{% block answer %}{{ pairs[0].better }}{% endblock %}"
    (folder / "prompt.jinja").write_text(prompt)
    (folder / "annotator.yaml").write_text(SMALLEST + "shots: [mine, kettle]\n")
    mine = {"name": "mine", "instruction": "i", "output_1": "x", "output_2": "y", "better": "second"}
    (folder / "shots.yaml").write_text(yaml.safe_dump({"shots": [mine]}))
    spec = catalogue.load(str(folder))
    assert isinstance(spec, AnnotatorSpec)
    assert spec.shots == (Shot("i", "x", "y", first=False), catalogue.shots()["kettle"])
    assert spec.shots[0].entry("mine") == mine
    (folder / "shots.yaml").write_text(yaml.safe_dump({"shots": [{**mine, "better": "both"}]}))
    with pytest.raises(ConfigError, match=r"shots\.yaml: shots\[0\]\.better"):
        catalogue.load(str(folder))


def test_shots_need_an_answer(tmp_path: Path) -> None:
    assert "{% block answer %}" in refused(tmp_path, SMALLEST + "shots: [kettle]\n")


@pytest.mark.parametrize(
    ("yaml", "fault"),
    [
        ("a: &x [1]\nb: *x\n", "aliases are not read here"),
        ("a: 1\na: 2\n", "stands twice"),
        ("a: !!python/object:os.system x\n", "could not determine a constructor"),
        ("a: [" * 40, "deep"),
        ("a: \x07", "not allowed"),
        ("#" * (MAX_BYTES + 1), "too many"),
    ],
)
def test_yaml_that_is_not_read(tmp_path: Path, yaml: str, fault: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(yaml)
    with pytest.raises(ConfigError, match=fault):
        read_yaml(path)


def test_a_missing_file_and_a_list_are_clear(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_yaml(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="expected a mapping"):
        Reader([1]).finish("here", "write one")


SPEC = AnnotatorSpec("x", AnnotatorKind.LLM, model="m", prompt=PROMPT)
SHOT = Shot("i", "o", "p", True, "w")
ASKED: dict[str, Any] = {
    "model": "n",
    "prompt": PROMPT + " ",
    "persona": "You are in a hurry.",
    "shots": (SHOT,),
    "outputs": OutputNames("1", "2"),
    "batch": 2,
    "decoding": RequestDecoding(temperature=1),
    "seed": 1,
}
READ: dict[str, Any] = {
    "parser": ParserSpec("verdict", {"start": True}),
    "orders": Orders.BOTH,
    "noise": LabelNoise(0.25),
}


@pytest.mark.parametrize("name", ASKED)
def test_a_cache_blind_to_prompt_model_or_parameters(name: str) -> None:
    """AlpacaFarm and AlpacaEval kept replies by texts alone: a new prompt met the old prompt's verdicts."""
    other = replace(SPEC, **{name: ASKED[name]})
    assert other.fingerprint != SPEC.fingerprint
    assert other.draw_key != SPEC.draw_key


@pytest.mark.parametrize("name", READ)
def test_what_is_read_or_noised_otherwise_is_another_annotator_of_the_same_requests(name: str) -> None:
    other = replace(SPEC, **{name: READ[name]})
    assert other.fingerprint != SPEC.fingerprint
    assert other.draw_key == SPEC.draw_key


@pytest.mark.parametrize("change", [{"summary": "new"}, {"reply_tokens": 9}, {"examples": ()}])
def test_what_cannot_change_a_judgement_is_no_part_of_the_identity(change: dict[str, Any]) -> None:
    assert replace(SPEC, **change).fingerprint == SPEC.fingerprint


def test_the_card_holds_the_whole_spec_as_json() -> None:
    assert canonical_json(SPEC.card.spec) == SPEC.card.spec_json
    assert {"model", "prompt", "parser", "decoding", "orders", "noise", "seed"} <= SPEC.card.spec.keys()


KEYS = ["name", "kind", "model", "prompt", "parser", "decoding", "noise", "batch", "shots", "examples", "x"]
DATA = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=12,
)


@given(DATA)
def test_no_data_at_all_breaks_the_reading(data: object) -> None:
    entry = Reader(data)
    read_spec(entry, {"prompt.jinja": PROMPT}, Library())
    with pytest.raises(ConfigError):
        entry.finish("here", "correct it")
