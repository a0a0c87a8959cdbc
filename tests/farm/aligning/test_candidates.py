"""A candidate's prompt has one more rule, wherever the template takes one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from annotators import catalogue
from annotators.prompt import SYSTEM, prompt_of
from annotators.spec import AnnotatorSpec
from db.errors import ConfigError
from farm.aligning.candidates import HEADING, with_rule, write_files

JUDGES = [
    name
    for name in catalogue.names()
    if isinstance(spec := catalogue.load(name, check=False), AnnotatorSpec) and spec.prompt
]


def system_of(spec: AnnotatorSpec, prompt: str) -> str:
    variables = {
        "names": spec.outputs,
        "all_names": spec.names,
        "persona": "",
        "batch": spec.batch,
        "about_marks": "MARKS",
    }
    return prompt_of(prompt).render(SYSTEM, variables)


@pytest.mark.parametrize("name", JUDGES)
def test_every_judge_of_the_catalogue_takes_rules(name: str) -> None:
    """The rules stand in one list in the system text, before the words about marks; nothing else changes."""
    spec = catalogue.load(name, check=False)
    assert isinstance(spec, AnnotatorSpec)
    prompt = with_rule(with_rule(spec.prompt, "Prefer care."), "Prefer {x}, and 5 % of y.")
    said = system_of(spec, prompt)
    section = f"{HEADING}\n- Prefer care.\n- Prefer {{x}}, and 5 % of y."
    assert said.count(section) == 1
    assert re.sub(r"\s+", " ", said.replace(section, "")) == re.sub(r"\s+", " ", system_of(spec, spec.prompt))
    assert "MARKS" not in said or said.index(HEADING) < said.index("MARKS")


def test_a_template_without_a_system_block_gets_one() -> None:
    prompt = with_rule("{% block user %}\nWhich?\n{% endblock %}\n", "Prefer care.")
    assert prompt_of(prompt).render(SYSTEM, {}) == f"{HEADING}\n- Prefer care."


def test_a_file_of_another_content_is_never_overwritten(tmp_path: Path) -> None:
    write_files(tmp_path / "one", {"a.txt": "text"})
    write_files(tmp_path / "one", {"a.txt": "text"})
    with pytest.raises(ConfigError, match="never overwritten"):
        write_files(tmp_path / "one", {"a.txt": "other"})
    assert (tmp_path / "one" / "a.txt").read_text() == "text"
