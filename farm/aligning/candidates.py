"""A candidate: a judge whose prompt has one more rule, as a folder with its lineage.

    OUT/candidates/NAME/annotator.yaml, prompt.jinja, lineage.json

A folder is written once. The same alignment writes the same files again, which is how it is resumed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from annotators import catalogue
from annotators.spec import AnnotatorSpec
from db.errors import ConfigError, FarmError
from db.ids import Json
from db.whole_files import write_bytes_whole

TASK, LINEAGE = "task.json", "lineage.json"
HEADING = "People whose judgement counts here also go by this:"
_BEGIN = re.compile(r"\{%[-+]?\s*block\s+system\s*[-+]?%\}")
_END = re.compile(r"\{%[-+]?\s*endblock\b[^%]*%\}")
_MARKS = re.compile(r"\{\{[-+]?\s*about_marks\s*[-+]?\}\}")
_ITEMS = re.compile(re.escape(HEADING) + r"\n(?:- [^\n]*\n)+")


@dataclass(frozen=True)
class Candidate:
    """A judge with its rules. folder: where its files are; its path is how it is loaded.

    parent: the name of the judge that it came from. read: keys of the pairs whose disagreements the proposer
    read.
    """

    name: str
    folder: Path
    spec: AnnotatorSpec
    parent: str
    rules: tuple[str, ...]
    round: int = 0
    read: tuple[str, ...] = ()

    @property
    def rule(self) -> str:
        """The rule that it adds to its parent's."""
        return self.rules[-1]


def with_rule(prompt: str, rule: str) -> str:
    """The template with one more rule in its system block, which is made where there is none.

    Rules stand in one list, before the words about marks or at the end of the block.
    """
    if listed := _ITEMS.search(prompt):
        return f"{prompt[: listed.end()]}- {rule}\n{prompt[listed.end() :]}"
    section = f"{HEADING}\n- {rule}\n"
    begin = _BEGIN.search(prompt)
    if begin is None:
        return f"{{% block system %}}\n{section}{{% endblock %}}\n{prompt}"
    end = _END.search(prompt, begin.end())
    assert end is not None  # the template was loaded
    marks = _MARKS.search(prompt, begin.end(), end.start())
    place = marks.start() if marks else end.start()
    before = prompt[:place].rstrip("\n")
    return f"{before}\n\n{section}\n{prompt[place:]}"


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Write the files of a folder. Raises ConfigError where a file of another content is there."""
    for name, text in files.items():
        path, content = folder / name, text.encode()
        if path.exists() and _read(path) == content:
            continue
        if path.exists():
            what = "there is another file of this name, which is never overwritten"
            raise ConfigError(what, where=str(path), remedy="name a new folder with --out")
        write_bytes_whole(path, content)


def begin_folder(out: Path, asked: Mapping[str, Json], what: str) -> None:
    """Say in a folder what was asked for. Raises ConfigError where it is of something else.

    what: what the folder is of, such as an alignment.
    """
    remedy = "name a new folder with --out"
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / TASK).is_file()):
        said = "there is a file of this name, or a folder of something else"
        raise ConfigError(said, where=str(out), remedy=remedy)
    try:
        write_files(out, {TASK: json.dumps(dict(asked), indent=1, ensure_ascii=False) + "\n"})
    except ConfigError:
        said = f"this folder has {what} of another judge, with other options or other votes of people"
        raise ConfigError(said, where=str(out), remedy=remedy) from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        what = f"the file cannot be read: {error.strerror or error}"
        raise FarmError(what, where=str(path), remedy="check its permissions") from None


def files_of(
    source: str, parent: AnnotatorSpec, name: str, rule: str, lineage: Mapping[str, Json]
) -> dict[str, str]:
    """The files of a candidate. source: the parent's name or path."""
    summary = f"{parent.name} with one more rule, which a model proposed."
    prompt = with_rule(parent.prompt, rule)
    files = catalogue.with_prompt(source, parent, name, prompt, summary=summary)
    return {**files, LINEAGE: json.dumps(lineage, indent=1, ensure_ascii=False) + "\n"}
