"""Between text and tokens: the prompt template, the tokenizer, and rows of tokens padded into batches.

A prompt and its response are tokenized apart and joined as tokens. So the prompt is a prefix of the row in
training, sampling and scoring alike, and no beginning-of-sequence token is doubled or lost. A response ends
with the same token everywhere: the end of the assistant's turn in the chat template, else end of sequence.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch

from db.errors import ConfigError
from farm.models.chat import chat_text
from farm.models.chat_templates import bounded, rendered
from farm.models.tokens import Prompt, Tokens

TEMPLATE_FILE = "prompt_template.json"
_ANSWER = "Answer."  # an answer whose end is looked for in a chat
PLAIN = "Instruction:\n{instruction}\n\nResponse:\n"
PLAIN_WITH_INPUT = "Instruction:\n{instruction}\n\nInput:\n{input}\n\nResponse:\n"


class Row(NamedTuple):
    """One prompt and one response as token ids."""

    prompt: list[int]
    response: list[int]

    @property
    def length(self) -> int:
        """Tokens of prompt and response."""
        return len(self.prompt) + len(self.response)


@dataclass(frozen=True)
class Template:
    """How a prompt becomes text. Every checkpoint stores it, so that a model is asked as it was trained.

    chat: use the tokenizer's chat template, which gets the turns of a conversation. Otherwise the two texts
    are used, with {instruction} and {input} filled in. control: text between prompt and response, for models
    with control tokens.
    """

    chat: bool = False
    without_input: str = PLAIN
    with_input: str = PLAIN_WITH_INPUT
    control: str = ""

    @classmethod
    def choose(cls, name: str, directory: Path, tokenizer: Any) -> Template:
        """The template that `ModelConfig.template` names. Raises ConfigError on one that cannot be used."""
        stored = directory / TEMPLATE_FILE
        if name == "auto" and stored.is_file():
            return cls.read(stored)
        has_chat = getattr(tokenizer, "chat_template", None) is not None
        if name == "chat" and not has_chat:
            remedy = "use --template plain, or a tokenizer with a chat template"
            raise ConfigError("the tokenizer has no chat template", where=str(directory), remedy=remedy)
        if name in ("auto", "chat", "plain"):
            return cls(chat=has_chat and name != "plain")
        if "{instruction}" not in name:
            remedy = "use auto, chat, plain, or a text with {instruction} in it"
            raise ConfigError(f"template {name!r} has no {{instruction}}", where="template", remedy=remedy)
        return cls(without_input=name, with_input=name)

    @classmethod
    def read(cls, path: Path) -> Template:
        """The template in a file. Raises ConfigError where the file holds none."""
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError, OSError) as error:
            raise ConfigError(f"not a prompt template: {error}", where=str(path)) from None

    def save(self, directory: Path) -> None:
        """Write the template to TEMPLATE_FILE in a directory."""
        text = json.dumps(asdict(self), indent=1, ensure_ascii=False)
        (directory / TEMPLATE_FILE).write_text(text + "\n", encoding="utf-8")

    def text(self, prompt: Prompt, tokenizer: Any) -> str:
        """The text of a prompt, without `control`. An instruction is never scanned for placeholders.

        Without a chat template, a conversation is its transcript. Raises ConfigError where the chat template
        refuses it.
        """
        if self.chat:
            return chat_text(prompt.messages, tokenizer)
        values = {"instruction": prompt.instruction, "input": prompt.input}
        pattern = self.with_input if prompt.input else self.without_input
        return re.sub(r"\{(instruction|input)\}", lambda match: values[match[1]], pattern)


@dataclass(frozen=True)
class Codec:
    """A tokenizer with its prompt template, and the context of its model.

    Raises ConfigError on a tokenizer without an end-of-sequence token.
    """

    tokenizer: Any
    template: Template = field(default_factory=Template)
    stop_ids: frozenset[int] = frozenset()  # tokens that end a response, beside end-of-sequence
    context: int | None = None  # tokens at most in a prompt with its response; None: the model has no limit
    embeddings: int | None = None  # tokens that the model has embeddings for; None: not known

    def __post_init__(self) -> None:
        if self.tokenizer.eos_token_id is None:
            raise ConfigError(
                "the tokenizer has no end-of-sequence token, so no response could ever end",
                where=str(getattr(self.tokenizer, "name_or_path", "")),
                remedy="set eos_token in the model's tokenizer_config.json",
            )

    @property
    def eos_id(self) -> int:
        """The end-of-sequence token."""
        return int(self.tokenizer.eos_token_id)

    @cached_property
    def end_id(self) -> int:
        """The token that ends a response: the turn end of the chat template, else end of sequence."""
        turn_end = self._turn_end() if self.template.chat else None
        return self.eos_id if turn_end is None else turn_end

    def _turn_end(self) -> int | None:
        """The special token that the chat template writes after an answer; None where it writes none."""
        turns = [{"role": "user", "content": "Question?"}, {"role": "assistant", "content": _ANSWER}]
        try:
            with bounded(len(turns)):
                text = rendered(turns, self.tokenizer, reply=False)
        except Exception:  # a template is foreign code, and may know no turns of an assistant
            return None
        _, found, after = text.rpartition(_ANSWER)
        ids = self.tokenizer(after.lstrip(), add_special_tokens=False)["input_ids"] if found else []
        return int(ids[0]) if ids and ids[0] in self.special_ids else None

    @cached_property
    def special_ids(self) -> frozenset[int]:
        """Tokens that no plain text is made of: special ones, and those added to the vocabulary."""
        return frozenset(self.tokenizer.all_special_ids) | frozenset(self.tokenizer.added_tokens_decoder)

    @property
    def pad_id(self) -> int:
        """The token that fills rows up. It may be an end of responses: masks alone say what is padding."""
        choice = (self.tokenizer.pad_token_id, self.eos_id, self.end_id)
        return next(int(each) for each in choice if each is not None and self.has_embedding(each))

    @cached_property
    def ends(self) -> frozenset[int]:
        """The tokens that end a draw: turn end, end of sequence, and the model's other stop tokens."""
        return frozenset(filter(self.has_embedding, {*self.stop_ids, self.eos_id, self.end_id}))

    def has_embedding(self, token: int) -> bool:
        """Whether the model can read a token."""
        return self.embeddings is None or 0 <= token < self.embeddings

    @cached_property
    def begin(self) -> list[int]:
        """The beginning-of-sequence token, where the tokenizer puts one before a plain text."""
        begin = self.tokenizer.bos_token_id
        ids = self.tokenizer("a")["input_ids"]
        return [begin] if begin is not None and ids[:1] == [begin] else []

    def prompt_ids(self, prompt: Prompt) -> list[int]:
        """The tokens of a prompt, which the response follows. Raises ConfigError if there are none."""
        text = self.template.text(prompt, self.tokenizer) + self.template.control
        ids = self.ids(text, plain=not self.template.chat)
        if not ids:
            raise ConfigError(
                "a prompt has no tokens", where="template", remedy="put some text into the template"
            )
        return ids

    def response_ids(self, output: str, *, ended: bool = True) -> list[int]:
        """The tokens of a response, `end_id` last. Names of special tokens in it are plain text.

        ended: False for a response that was cut, which has no end.
        """
        ids = self.tokenizer(output, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return [*ids, self.end_id] if ended else list(ids)

    def row(self, prompt: Prompt, output: str, control: str = "", *, ended: bool = True) -> Row:
        """A prompt with its response. control: replaces the template's own, see `Template`."""
        codec = self.with_control(control) if control else self
        return Row(codec.prompt_ids(prompt), self.response_ids(output, ended=ended))

    def text(self, ids: Sequence[int]) -> str:
        """The text of response tokens, without special tokens and without the end of the turn."""
        said = list(ids[:-1] if ids and ids[-1] == self.end_id else ids)
        return str(self.tokenizer.decode(said, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def with_control(self, control: str) -> Codec:
        """The same codec with this text between prompt and response."""
        return replace(self, template=replace(self.template, control=control))

    def save(self, directory: Path) -> None:
        """Write tokenizer and template to a directory."""
        self.tokenizer.save_pretrained(directory)
        self.template.save(directory)

    def fingerprint(self) -> str:
        """A hash of the files that `save` writes, which decide the tokens of a prompt."""
        digest = hashlib.sha256()
        with tempfile.TemporaryDirectory() as folder:
            self.save(Path(folder))
            for path in sorted(Path(folder).rglob("*")):
                if path.is_file():
                    digest.update(path.name.encode() + path.read_bytes())
        return digest.hexdigest()[:32]

    def ids(self, text: str, *, plain: bool) -> list[int]:
        """The tokens of a prompt's text.

        plain: no chat template wrote it, so the tokenizer's beginning comes first. Raises ConfigError on a
        token that the model has no embedding for.
        """
        ids = list(self.tokenizer(text, add_special_tokens=False)["input_ids"])
        if plain and ids[:1] != self.begin:
            ids = self.begin + ids
        if lost := [token for token in ids if not self.has_embedding(token)]:
            name = self.tokenizer.convert_ids_to_tokens(lost[0])
            raise ConfigError(
                f"a prompt has the token {name!r}, and the model has no embedding for it",
                where=str(getattr(self.tokenizer, "name_or_path", "")),
                remedy="leave this text out, or take the tokenizer that belongs to these weights",
            )
        return ids


def collate(rows: Sequence[Row], pad_id: int, device: torch.device | str = "cpu") -> Tokens:
    """Rows padded at the right to the longest: Tokens of (B, T)."""
    width = max(row.length for row in rows)
    ids = torch.tensor([row.prompt + row.response + [pad_id] * (width - row.length) for row in rows])
    begin, end = torch.tensor([(len(row.prompt), row.length) for row in rows])[..., None].unbind(1)
    columns = torch.arange(width)
    mask = (begin <= columns) & (columns < end)
    return Tokens(ids.to(device), mask.to(device))
