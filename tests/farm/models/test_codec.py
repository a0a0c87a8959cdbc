from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from db.errors import ConfigError
from farm.config import ModelConfig
from farm.models.codec import Codec, Row, Template, collate
from farm.models.loading import load_codec
from farm.models.tokens import Prompt
from tests.support.tiny_models import ModelMaker

PLAIN = Template(without_input="Q: {instruction} A:", with_input="Q: {instruction} ({input}) A:")
CHAT = "{% for m in messages %}<s>{{ m.role }}: {{ m.content }}</s>{% endfor %}<s>assistant: "


@pytest.fixture
def tokenizer(model_dir: str) -> PreTrainedTokenizerFast:
    found = AutoTokenizer.from_pretrained(model_dir)
    assert isinstance(found, PreTrainedTokenizerFast)
    return found


def test_a_value_is_never_scanned_for_placeholders(tokenizer: PreTrainedTokenizerFast) -> None:
    prompt = Prompt("repeat {input} and {instruction}", "{instruction}")
    assert PLAIN.text(prompt, tokenizer) == "Q: repeat {input} and {instruction} ({instruction}) A:"
    assert PLAIN.text(Prompt("hi"), tokenizer) == "Q: hi A:"


def test_the_prompt_is_a_prefix_of_the_row_and_the_end_of_sequence_its_last_token(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    codec = Codec(tokenizer, PLAIN)
    prompt = Prompt("hi")
    for output in ("there", "", " there"):
        row = codec.row(prompt, output)
        assert row.prompt == codec.prompt_ids(prompt)
        assert row.response[-1] == tokenizer.eos_token_id
        assert codec.text(row.response) == output
    assert codec.row(prompt, "cut", ended=False).response == codec.row(prompt, "cut").response[:-1]


def test_names_of_special_tokens_in_an_output_are_plain_text(tokenizer: PreTrainedTokenizerFast) -> None:
    codec = Codec(tokenizer, PLAIN)
    ids = codec.response_ids("a</s>b<pad>")
    assert ids.count(tokenizer.eos_token_id) == 1
    assert tokenizer.pad_token_id not in ids
    assert codec.text(ids) == "a</s>b<pad>"


def test_bos_stands_once_where_the_tokenizer_puts_one(tokenizer: PreTrainedTokenizerFast) -> None:
    from tokenizers.processors import TemplateProcessing

    assert Codec(tokenizer, PLAIN).prompt_ids(Prompt("x"))[0] != tokenizer.bos_token_id
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    ids = Codec(tokenizer, PLAIN).prompt_ids(Prompt("x"))
    assert ids.count(1) == 1
    assert ids[0] == 1
    assert 2 not in ids, "a prompt must not end in the end of sequence"
    written = Template(without_input="<s>{instruction}", with_input="<s>{instruction}")
    assert Codec(tokenizer, written).prompt_ids(Prompt("x")).count(1) == 1


def test_chat_templates(tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(ConfigError, match="no chat template"):
        Template.choose("chat", __import__("pathlib").Path("."), tokenizer)
    tokenizer.chat_template = CHAT
    codec = Codec(tokenizer, Template(chat=True))
    ids = codec.prompt_ids(Prompt("hi", "there"))
    assert tokenizer.decode(ids) == "<s>user: hi\n\nthere</s><s>assistant: "
    assert ids[:2] != [1, 1]


def test_a_tokenizer_without_end_of_sequence_is_a_clear_error(make_model: ModelMaker) -> None:
    with pytest.raises(ConfigError, match="no end-of-sequence token"):
        load_codec(str(make_model(eos=None)), ModelConfig())


def test_a_tokenizer_without_pad_pads_with_anything_since_masks_tell(make_model: ModelMaker) -> None:
    codec = load_codec(str(make_model(pad=None)), ModelConfig())
    assert codec.pad_id == codec.eos_id


def test_the_template_is_stored_with_the_model_and_found_again(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    codec = Codec(tokenizer, PLAIN).with_control("!")
    codec.save(tmp_path)
    again = load_codec(str(tmp_path), ModelConfig())
    assert again.template == codec.template
    assert again.prompt_ids(Prompt("x")) == codec.prompt_ids(Prompt("x"))
    assert again.prompt_ids(Prompt("x"))[-1] == tokenizer("!").input_ids[0]
    assert load_codec(str(tmp_path), ModelConfig(template="plain")).template == Template()


def test_bad_templates_are_clear_errors(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(ConfigError, match=r"has no \{instruction\}"):
        Template.choose("Say: ", tmp_path, tokenizer)
    (tmp_path / "prompt_template.json").write_text('{"colour": 1}')
    with pytest.raises(ConfigError, match="not a prompt template"):
        Template.choose("auto", tmp_path, tokenizer)
    with pytest.raises(ConfigError, match="no tokens"):
        Codec(tokenizer, Template(without_input="{instruction}", with_input="")).prompt_ids(Prompt(""))


def test_collate_pads_at_the_right_and_marks_responses() -> None:
    tokens = collate([Row([5, 6], [7, 2]), Row([5], [2])], pad_id=2)
    assert tokens.ids.tolist() == [[5, 6, 7, 2], [5, 2, 2, 2]]
    assert tokens.mask.tolist() == [[False, False, True, True], [False, True, False, False]]
    assert tokens.weight == torch.tensor(3)
