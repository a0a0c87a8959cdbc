"""Chat templates: they say what transformers makes of them, and what has no bound ends in one line."""

from __future__ import annotations

import json
import resource
import time
from pathlib import Path
from typing import Any

import pytest

from db.errors import ConfigError
from db.ledger import Ledger
from db.records import Instruction, Membership, Turn, TurnRole
from farm.models.chat import chat_text
from farm.models.chat_templates import bounded, rendered
from farm.models.codec import Codec, Template
from tests.support.command_line import farm
from tests.support.tiny_models import ModelMaker, byte_tokenizer

MESSAGES = [
    {"role": "system", "content": " Be brief. "},
    {"role": "user", "content": 'Is "é" < e?\nSay.'},
    {"role": "assistant", "content": "<think>\nhm\n</think>\n\nYes."},
    {"role": "user", "content": "Why?"},
]
TOOLS = [{"type": "function", "function": {"name": "add", "parameters": {"x": ["int", 1.5, None, True]}}}]
SAYS = {
    "namespaces and slices": """{{ bos_token }}
{%- set ns = namespace(system="", n=0) %}
{%- if messages[0].role == "system" %}
    {%- set ns.system = messages[0]["content"] | trim %}
    {%- set said = messages[1:] %}
{%- else %}{% set said = messages %}{% endif %}
{% for m in said %}
    {% set ns.n = ns.n + 1 %}
    {% set text = ns.system + "\\n" + m.content if loop.first and ns.system else m.content %}
[{{ m.role | upper }} {{ ns.n }}/{{ loop.length }}]{{ text.split("</think>")[-1].lstrip("\\n") }}
{{- eos_token }}
{% endfor %}
{% if add_generation_prompt %}[ASSISTANT]{% endif %}{{ pad_token }}{{ unk_token }}{{ nothing }}""",
    "macros and tools": """{% macro shown(x, depth=0) %}
    {%- if x is mapping %}{% for k, v in x | dictsort %}{{ "  " * depth }}{{ k }}:
{{ shown(v, depth + 1) }}{% endfor %}
    {%- elif x is iterable and x is not string %}{{ x | map("string") | join(", ") }}
    {%- else %}{{ x }}{% endif %}
{%- endmacro %}
{% for t in tools or [] %}{{ shown(t.function) }}{{ t | tojson }}{{ t | tojson(indent=2) }}{% endfor %}
{{ messages[-1] }}{{ [1, "a", ("b", none)] }}{{ dict(a=1, **{"b": 2}) | items | list }}
{{- messages | selectattr("role", "equalto", "user") | map(attribute="content") | join("|") }}
{{- "/".join(["a", "b"]) ~ 3 ~ [4] }}{{ "aXbX".replace("X", "--", 1) }}{{ "a\\nb" | indent(2) }}{{ "=" * 9 }}
{{- [1, 2] | sum }}{{ 1.256 | round(2) }}{{ "xax" | trim("x") }}{{ "a,b".rsplit(",", 1)[-1] }}
{{- (7 // 2) ** 2 % 5 - 1 / 4 }}{{ messages[::-1] | length }}{{ tools is none }}""",
    "loop controls and generation": """{% for m in messages %}
{% if m.role == "system" %}{% continue %}{% endif %}
{% if loop.index > 3 %}{% break %}{% endif %}
{% if m.role == "assistant" %}<{% generation %}{{ m.content.strip() }}{{ eos_token }}{% endgeneration %}>
{% else %}{{ loop.previtem.role }}{{ m["content"] | tojson }}{% endif %}
{% endfor %}""",
    "options and blocks": """{% set kept %}
{% for m in messages %}{{ m.content | replace("e", "E") }};{% endfor %}{% endset %}
{{- kept | length }}{{ kept }}{% if enable_thinking is defined and enable_thinking is false %}<no>{% endif %}
{%- if documents %}{{ documents[0].title }}{% endif %}{{ level | default("none") }}
{{- strftime_now("%Y")[:2] }}
{%- filter upper %}a{{ bos_token }}{% endfilter %}{{ missing.__class__ is defined }}""",
    "a refusal": """{% if messages[0].role == "system" %}
{{ raise_exception("no " ~ "system") }}{% endif %}""",
    "what is not there": "{{ missing.name }}",
}
OPTIONS: list[dict[str, Any]] = [{}, {"tools": TOOLS, "documents": [{"title": "D", "text": "t"}]}]
OPTIONS += [{"enable_thinking": False, "level": "high", "bos_token": "<other>"}]


def tokenizer(template: str) -> Any:
    made = byte_tokenizer(pad="<pad>", eos="</s>")
    made.chat_template = template
    return made


def said_by(make: Any) -> str:
    try:
        return str(make())
    except Exception as error:
        return f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("name", SAYS)
def test_a_template_says_what_transformers_makes_of_it(name: str) -> None:
    made = tokenizer(SAYS[name])
    for options in OPTIONS:
        for reply in (True, False):
            asked = {"tokenize": False, "add_generation_prompt": reply, **options}
            theirs = said_by(lambda asked=asked: made.apply_chat_template(MESSAGES, **asked))
            with bounded(len(MESSAGES)):
                ours = said_by(
                    lambda reply=reply, options=options: rendered(
                        MESSAGES, made, reply=reply, options=options
                    )
                )
            assert ours == theirs
            assert ("Error: " in ours) == (name in ("a refusal", "what is not there"))


LOOP = "{% for i in range(100000) %}"
DOUBLED = "{% set ns = namespace(t='x' * 9) %}" + LOOP + "{% set ns.t = %s %}{% endfor %}"
HOSTILE = {
    "loops in loops": LOOP * 3 + "{% endfor %}" * 3,
    "a repeated text": "{{ 'x' * 10**9 }}",
    "a tower of powers": "{{ 10 ** 10 ** 10 }}",
    "doubled by ~": DOUBLED.replace("%s", "ns.t ~ ns.t"),
    "doubled by +": DOUBLED.replace("%s", "ns.t + ns.t"),
    "doubled by join": DOUBLED.replace("%s", "ns.t.join([ns.t, ns.t])"),
    "replaced": DOUBLED.replace("%s", "ns.t.replace('x', ns.t)"),
    "doubled by a block": DOUBLED.replace(
        "{% set ns.t = %s %}", "{% set ns.t %}{{ ns.t }}{{ ns.t }}{% endset %}"
    ),
    "lists in lists": DOUBLED.replace("%s", "[ns.t, ns.t]"),
    "a list in itself": "{% set ns = namespace() %}{% set ns.a = [ns] %}{{ ns.a }}",
    "doubled arguments": "{% macro f() %}{{ f(varargs, varargs) }}{% endmacro %}{{ f(1) }}",
    "a macro without end": "{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}",
    "a recursive loop": "{% for i in [1] recursive %}{{ loop([1, 2]) }}{% endfor %}",
    "much said": "{% set t = 'x' * 10**6 %}" + LOOP + "{{ t }}{% endfor %}",
    "many texts kept": "{% set t = 'x' * 4000000 %}"
    + "".join(f"{{% set t{i} = t.upper() %}}" for i in range(999)),
    "a wide indentation": "{{ [1] | tojson(indent=10**9) }}",
    "a wide format": "{{ '%999999999d' % 1 }}{{ '{:999999999}'.format(1) }}",
    "a wide centre": "{{ 'x'.center(10**9) }}",
    "filled up": "{{ [1] | batch(10**9, 0) | list }}",
    "long words": "{{ lipsum(n=10**8) }}",
    "a sum of lists": "{{ (range(99999) | map('list') | list) | sum(start=[]) }}",
    "many comments": "{{ ('<!---->' * 500000) | striptags }}",
    "many digits": "{{ 1.5 | round(10**9, 'ceil') }}",
    "much to strip": "{% set t = 'xyz' * 10**6 %}{{ t.strip(t) }}",
    "much to trim": "{% set t = 'xyz' * 10**6 %}{{ t | trim(t) }}",
    "much to look for": "{% set t = 'x' * 10**6 %}{{ (t + t).rfind('y' + t) }}",
    "brackets": "{{ " + "(" * 9999 + ")" * 9999 + " }}",
    "a long source": "{{ 1 }}" * 10**5,
    "slow comparisons": "{% set a = ['x' * 99] * 9999 %}{% set b = ['x' * 99] * 9999 %}"
    + "{{ a == b }}" * 5000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_has_no_bound_ends_soon_in_one_line(name: str) -> None:
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.thread_time()
    with pytest.raises(ConfigError, match="the chat template refuses a question: ") as caught:
        chat_text((Turn(TurnRole.USER, "Hi."),), tokenizer(HOSTILE[name]))
    assert time.thread_time() - began < 6  # a busy machine's core is slow
    assert "\n" not in str(caught.value)
    assert "leaves out" not in str(caught.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000, "KiB"


def test_the_end_of_a_turn_is_looked_for_within_limits_too() -> None:
    codec = Codec(tokenizer(HOSTILE["loops in loops"]), Template(chat=True))
    began = time.thread_time()
    assert codec.end_id == codec.eos_id
    assert time.thread_time() - began < 6  # a busy machine's core is slow


def test_a_long_conversation_stays_within_the_limits() -> None:
    talk = [Turn(role, "word " * 400) for _ in range(250) for role in (TurnRole.USER, TurnRole.ASSISTANT)]
    text = chat_text(talk, tokenizer(SAYS["namespaces and slices"]))
    assert text.count("word") == 500 * 400


def test_the_command_line_says_it_in_one_line(make_model: ModelMaker, tmp_path: Path) -> None:
    folder = make_model()
    settings = folder / "tokenizer_config.json"
    read = json.loads(settings.read_text()) | {"chat_template": HOSTILE["doubled by ~"]}
    settings.write_text(json.dumps(read))
    with Ledger.open(tmp_path / "farm.db", create=True) as opened, opened.writing() as writer:
        writer.memberships([Membership(Instruction("Add 1 and 2."), "sums")])
    said = farm(tmp_path / "farm.db", "sample", folder, "--set", "sums", "--max-new-tokens", 2)
    assert said.code != 0
    assert said.error.count("the chat template refuses a question: a text or list of over") == 1
    assert "Traceback" not in said.error
