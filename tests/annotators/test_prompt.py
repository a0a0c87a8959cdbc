"""Templates: checked whole when they are read, rendered block by block, values never scanned again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotators.prompt import PromptTemplate, fenced, template_problems
from db.errors import ConfigError

USER = "{% block user %}{{ pairs[0] }}{% endblock %}"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "there is no {% block user %}"),
        ("Judge. " + USER, "all text stands in {% block system %}"),
        ("{% block usr %}{% endblock %}" + USER, "unknown block 'usr', did you mean 'user'?"),
        (
            "{% block user %}{{ pair }}{% endblock %}",
            "block user does not know 'pair', did you mean 'pairs'?",
        ),
        ("{% block system %}{{ pairs }}{% endblock %}" + USER, "block system does not know 'pairs'"),
        ("{% include 'x' %}" + USER, "a template stands alone"),
        ("{% block user %}\n{{ pairs", "line 2: "),
    ],
)
def test_what_is_wrong_with_a_template_is_said(text: str, problem: str) -> None:
    assert any(each.startswith(problem) for each in template_problems(text))


def test_what_cannot_be_parsed_cannot_be_rendered() -> None:
    with pytest.raises(ValueError, match="line 2: "):
        PromptTemplate("{% block user %}\n{{ pairs")


def test_all_that_is_wrong_is_said_at_once() -> None:
    found = template_problems("Judge. {% block usr %}{% endblock %}")
    assert len(found) == 3


@given(st.text())
def test_a_value_is_put_in_whole_and_never_scanned(value: str) -> None:
    text = "{% block user %}<{{ pairs[0] }}>{% endblock %}"
    assert PromptTemplate(text).render("user", {"pairs": [value]}) == f"<{value}>"


def test_blocks_are_rendered_alone_and_without_blank_lines_around() -> None:
    template = PromptTemplate("{% block system %}\n\nJudge.\n\n{% endblock %}\n" + USER)
    assert (template.has("system"), template.has("answer")) == (True, False)
    assert template.render("system", {}) == "Judge."
    assert PromptTemplate("{% block user %}{{ pairs[0] | fenced('a', 'n1') }}{% endblock %}").render(
        "user", {"pairs": ["x"]}
    ) == fenced("x", "a", "n1")


def test_a_template_reaches_no_further_than_its_values() -> None:
    text = "{% block user %}{{ pairs.__class__.__mro__ }}{% endblock %}"
    with pytest.raises(ConfigError, match=r"unsafe|no attribute|access to attribute"):
        PromptTemplate(text).render("user", {"pairs": []})
