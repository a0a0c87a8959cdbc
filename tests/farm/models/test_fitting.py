"""Tokenizer, template and weights of a model are checked against each other when it is loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from annotators.clients.request import Message, Request, RequestDecoding, Role
from db.errors import ConfigError
from farm.config import Decoding, ModelConfig
from farm.judging.language_model import LocalJudge
from farm.judging.reward_model import AnyRewardModel
from farm.models.generation import sample
from farm.models.hub import ModelError
from farm.models.loading import load_codec
from farm.models.policy import Policy
from farm.models.scorer import Scorer
from farm.models.tokens import Prompt
from tests.support.tiny_judges import write_judge, write_reward_model
from tests.support.tiny_models import byte_tokenizer

TURNS = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
MARKS = ["<|end|>", "<|user|>", "<|assistant|>"]  # 259, 260, 261


def changed(folder: str, change: Callable[[Any], object]) -> str:
    """The model in a folder, with a tokenizer that was changed."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    change(tokenizer)
    tokenizer.save_pretrained(folder)
    return folder


def turned(folder: Path, template: str = TURNS, *, stops: object = 2, tokens: int = 262) -> str:
    """A model whose chat template ends a turn with another token than the end of sequence."""

    def mark(tokenizer: Any) -> None:
        tokenizer.add_special_tokens({"additional_special_tokens": MARKS})
        tokenizer.chat_template = template

    write_judge(folder, vocab_size=tokens)
    GenerationConfig(eos_token_id=stops).save_pretrained(folder)
    return changed(str(folder), mark)


def test_a_token_more_than_embeddings_is_one_line_wherever_a_model_is_loaded(tmp_path: Path) -> None:
    model = changed(write_judge(tmp_path / "m"), lambda t: t.add_tokens(["[VOTE]"]))
    reward = changed(write_reward_model(tmp_path / "r"), lambda t: t.add_tokens(["[VOTE]"]))
    judge = LocalJudge({"m": model}, frozenset({"A"}))
    loads: list[Callable[[], object]] = [
        lambda: Policy.load(model),
        lambda: Policy.load(model, seed=0),
        lambda: Scorer.load(model, seed=0, new_head=True),
        lambda: AnyRewardModel(reward, 2, ModelConfig()),
        lambda: judge([Request("m", (Message(Role.USER, "?"),), RequestDecoding())]),
    ]
    for load in loads:
        with pytest.raises(ModelError, match=r"260 tokens and the model 259 embeddings: '\[VOTE\]' has none"):
            load()


def test_a_special_token_without_an_embedding_is_refused_where_a_prompt_has_it(tmp_path: Path) -> None:
    """Models of texts come with tokenizers that know images, and work all the same."""
    extra = {"additional_special_tokens": ["<image>"]}
    model = changed(write_judge(tmp_path / "m"), lambda t: t.add_special_tokens(extra))
    codec = Policy.load(model).codec
    assert max(codec.row(Prompt("hi"), "an <image> of it").response) < 259
    with pytest.raises(ConfigError, match="the token '<image>', and the model has no embedding"):
        codec.prompt_ids(Prompt("an <image> of it"))


def test_a_pad_token_without_an_embedding_is_the_end_of_sequence(tmp_path: Path) -> None:
    model = changed(write_judge(tmp_path / "m"), lambda t: t.add_special_tokens({"pad_token": "<more>"}))
    policy = Policy.load(model)
    assert policy.codec.tokenizer.pad_token_id == 259
    assert policy.codec.pad_id == 2
    assert len(sample(policy, [[5], [6, 7]], Decoding(max_new_tokens=3), seed=0)) == 2


@pytest.mark.parametrize("stops", [2, [2, 259], [2, 259, 5000]])
def test_the_turn_end_of_the_template_is_learnt_and_stops_draws(tmp_path: Path, stops: object) -> None:
    policy = Policy.load(turned(tmp_path / "m", stops=stops))
    codec = policy.codec
    chat = [{"role": "user", "content": "Hi?"}, {"role": "assistant", "content": "Yes."}]
    text = str(codec.tokenizer.apply_chat_template(chat, tokenize=False)).rstrip("\n")
    row = codec.row(Prompt("Hi?"), "Yes.")
    assert row.prompt + row.response == codec.tokenizer(text, add_special_tokens=False)["input_ids"]
    assert row.response[-1] == codec.end_id == 259
    assert codec.ends == {2, 259}
    assert codec.text(row.response) == "Yes."
    with torch.no_grad():
        policy.model.lm_head.weight[259] = 4 * policy.model.lm_head.weight[100]
    drawn = sample(policy, [row.prompt], Decoding(max_new_tokens=40), seed=0, n=40)
    assert any(one.ended and one.ids[-1] == 259 for one in drawn)
    assert all(259 not in one.ids[:-1] for one in drawn)


def test_a_saved_model_stops_at_its_turn_end_elsewhere_too(tmp_path: Path) -> None:
    Policy.load(turned(tmp_path / "m")).save(tmp_path / "saved")
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "saved")
    assert plain.generation_config.eos_token_id == [2, 259]


@pytest.mark.parametrize(
    ("template", "end"),
    [
        ("{% for m in messages %}{{ m['content'] }}</s>{% endfor %}", 2),
        ("{% for m in messages %}{{ m['content'] }}<|end|></s>{% endfor %}", 259),
        ("{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}", 2),
        ("{{ messages[0]['content'] }}<|user|>", 2),
        ("{% if messages[1] %}{{ raise_exception('one turn') }}{% endif %}{{ messages[0]['content'] }}", 2),
    ],
    ids=["end of sequence", "both", "no mark", "no answer", "one turn alone"],
)
def test_where_a_template_ends_a_turn(tmp_path: Path, template: str, end: int) -> None:
    codec = load_codec(turned(tmp_path / "m", template), ModelConfig())
    assert codec.end_id == end
    plain = load_codec(str(tmp_path / "m"), ModelConfig(template="plain"))
    assert plain.end_id == 2


def test_marks_of_the_template_without_embeddings_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"the token '<\|.*\|>', and the model has no embedding"):
        Policy.load(turned(tmp_path / "m", tokens=259))


def test_a_template_that_refuses_a_question_is_one_line(tmp_path: Path) -> None:
    model = turned(tmp_path / "m", "{{ raise_exception('no users') }}")
    with pytest.raises(ModelError, match=r"refuses a question: no users \(use --template plain\)"):
        Policy.load(model)
    assert Policy.load(model, ModelConfig(template="plain")).codec.prompt_ids(Prompt("x"))


@pytest.mark.parametrize("refusal", ["{{ raise_exception('no system') }}", "{% set skip = true %}"])
def test_a_template_without_a_system_role_loses_no_system_text(tmp_path: Path, refusal: str) -> None:
    """Some templates raise, others leave the text out without a word."""
    template = (
        "{% for m in messages %}{% if m['role'] == 'system' %}" + refusal + "{% else %}"
        "<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endif %}{% endfor %}<|assistant|>"
    )
    judge = LocalJudge({"m": turned(tmp_path / "m", template)}, frozenset({"A"}))
    said = (Message(Role.SYSTEM, "Be strict."), Message(Role.USER, "Which?"))
    model = judge._model("m")
    found = model.tokenizer.decode(model.prompt(Request("m", said, RequestDecoding())))
    assert found == "<|user|>Be strict.\n\nWhich?<|end|><|assistant|>"


def test_a_beginning_that_template_and_tokenizer_both_write_stands_once(tmp_path: Path) -> None:
    from tokenizers.processors import TemplateProcessing

    begins = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    chat = "<s>{% for m in messages %}{{ m['content'] }}</s>{% endfor %}"
    for name, template in (("chat", chat), ("none", None)):
        folder = tmp_path / name
        write_judge(folder, chat=template)
        tokenizer = byte_tokenizer(pad="<pad>", eos="</s>")
        tokenizer.backend_tokenizer.post_processor = begins
        tokenizer.chat_template = template
        tokenizer.save_pretrained(folder)
        assert Policy.load(str(folder)).codec.prompt_ids(Prompt("x")).count(1) == 1
        judge = LocalJudge({"m": str(folder)}, frozenset({"A"}))
        asked = Request("m", (Message(Role.USER, "Which?"),), RequestDecoding())
        assert judge._model("m").prompt(asked).count(1) == 1


def test_a_reply_does_not_depend_on_the_prompts_beside_it(tmp_path: Path) -> None:
    """A prompt that nearly fills the context has a limit of its own."""
    judge = LocalJudge({"m": write_judge(tmp_path / "m", max_position_embeddings=256)}, frozenset({"A"}))
    asked = [
        Request("m", (Message(Role.USER, "x" * n),), RequestDecoding(max_tokens=30)) for n in (5, 223, 9)
    ]
    assert judge._model("m").longest - len(judge._model("m").prompt(asked[1])) < 30
    alone = [judge([each])[0] for each in asked]
    together = judge(asked)
    assert [each.usage for each in together] == [each.usage for each in alone]
    assert [each.text for each in together] == [each.text for each in alone]
    assert alone[0].usage is not None
    assert alone[0].usage.completion > 12
