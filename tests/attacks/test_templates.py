"""A template of a stranger: one line for each form that hangs, fills memory, draws lots or changes things."""

from __future__ import annotations

import time

import pytest

from annotators.prompt import PromptTemplate, template_problems
from annotators.render import PromptOutput, PromptPair
from db.errors import ConfigError

FORMS = (
    "{% for p in pairs %}{% set _ = pairs.append(p) %}{% endfor %}",
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "{% for a in pairs[0].first %}{% for b in pairs[0].first %}{{ a ~ b }}{% endfor %}{% endfor %}",
    "{{ [].pop() }}",
    "{{ 'x'.encode('x') }}",
    "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    "{{ 'x' * 10000000000 }}",
    "{{ [0] * 10000000000 }}",
    "{{ '%10000000000d' % 1 }}",
    "{{ '{:>10000000000}'.format(1) }}",
    "{{ '%10000000000d'|format(1) }}",
    "{{ 'x'|center(10000000000) }}",
    "{{ 'x'.center(10000000000) }}",
    "{{ 'x'.ljust(10000000000) }}",
    "{{ 'x'|indent(10000000000) }}",
    "{{ [1]|batch(10000000000, 0)|list }}",
    "{{ 10 ** 10 ** 10 }}",
    "{{ 1|round(100000000) }}",
    "{{ range(10000000000)|list }}",
    "{{ ['a', 'b']|random }}",
    "{{ lipsum() }}",
    "{{ ['a', 'b']|shuffle }}",
    "{{ cycler('a') }}",
    "{% set x = 'x' * 9 %}",
    "{% set ns = namespace(x='xx') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
    "{% set x = pairs[0].first %}" + "{% set x = x ~ x %}" * 40,
    "{% set x = pairs[0].first %}" + "{% set x = x + x %}" * 40,
    "{% set x = pairs[0].first %}" + "{% set x = x|replace('', x) %}" * 10,
    "{% set x = [1] %}" + "{% set x = [x, x] %}" * 40 + "{{ x }}",
    "{% for a in [1] recursive %}{{ loop([a]) }}{% endfor %}",
    "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "{{ ''.__class__.__mro__ }}",
    "{{ pairs.clear() }}",
    "{% do pairs.clear() %}",
    "x" * 300_000,
)


@pytest.mark.parametrize("form", FORMS, ids=range(len(FORMS)))
def test_a_strangers_template_is_stopped(form: str) -> None:
    """When it is read or when it is rendered, within seconds, and what it was given stays as it was."""
    pair = PromptPair(1, "instruction", "", (PromptOutput("A", "o" * 2000), PromptOutput("B", "p")))
    pairs, began = [pair], time.monotonic()
    text = f"{{% block user %}}{form}{{% endblock %}}"
    problems = template_problems(text)
    if not problems:
        with pytest.raises(ConfigError):
            PromptTemplate(text).render("user", {"pairs": pairs})
    assert all("\n" not in problem for problem in problems)
    assert pairs == [pair]
    assert time.monotonic() - began < 11


def test_an_honest_template_is_rendered() -> None:
    text = (
        "{% block user %}{% macro m(x) %}<{{ x }}>{% endmacro %}"
        "{% for p in pairs %}{{ loop.index }}/{{ loop.length }}{{ '' if loop.last else ',' }}"
        " {{ m(p.first|upper) }} {{ p.second.strip() ~ '!' }} {{ (1 + 2) * 3 }}"
        " {{ [p.first, p.second]|join('-') }} {{ {'a': p.first}|tojson }}{% endfor %}{% endblock %}"
    )
    pair = PromptPair(1, "i", "", (PromptOutput("A", "one"), PromptOutput("B", " two ")))
    shown = PromptTemplate(text).render("user", {"pairs": [pair]})
    assert shown == '1/1 <ONE> two! 9 one- two  {"a": "one"}'
