"""The catalogue: annotators by name, or a user's own by path.

An annotator is a folder with annotator.yaml and the prompt that it names. A pool, a panel or a cascade is one
YAML file. All are read strictly. A spec may call its model `small` or `large`. These are slots:
catalog/models.yaml says which model fills each, and the caller may name another.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType

import yaml

from annotators.composite import AnyAnnotator, Composite
from annotators.composite_files import read_composite
from annotators.parsers import example_problems, parser_problems
from annotators.pool import Pool, read_pool
from annotators.prices import PriceTable
from annotators.render import prompt_problems
from annotators.rules import rule_problems
from annotators.spec import AnnotatorSpec, Library, Shot, read_spec
from annotators.strict_yaml import Reader, nearest, read_yaml
from db.errors import ConfigError
from db.records import COMPOSITES, AnnotatorKind

FOLDER = Path(__file__).parent / "catalog"
SPEC_FILE = "annotator.yaml"
SHOTS_FILE = "shots.yaml"
SHELVES = ("pools", "panels", "cascades")  # folders of annotators that are one file
REMEDY = "the form is in docs/annotators.md"


@dataclass(frozen=True)
class ModelSlots:
    """The models that the caller names. every: one for all slots. slots: slot -> model, which goes before
    `every`.
    """

    every: str = ""
    slots: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, options: Sequence[str]) -> ModelSlots:
        """Read options such as `gpt-5.4` (for every slot) or `small=gpt-5.4-nano`. Raises ConfigError."""
        every, slots = "", {}
        for option in options:
            slot, equals, model = option.partition("=")
            if not equals:
                every = option
            elif slot in default_slots() and model:
                slots[slot] = model
            else:
                raise ConfigError(
                    f"{option!r} fills no slot{nearest(slot, default_slots())}", where="--model"
                )
        return cls(every, slots)


def names() -> list[str]:
    """All names of the catalogue: annotators, then pools, panels and cascades."""
    annotators = sorted(path.parent.name for path in FOLDER.glob(f"*/{SPEC_FILE}"))
    return annotators + [path.stem for each in SHELVES for path in sorted((FOLDER / each).glob("*.yaml"))]


def listed(models: ModelSlots) -> list[AnyAnnotator]:
    """All of the catalogue. Its prompts and examples are not checked again: tests do so."""
    return [load(name, models, check=False) for name in names()]


def load(name: str, models: ModelSlots | None = None, *, check: bool = True) -> AnyAnnotator:
    """Load an annotator by its name in the catalogue, or by the path of a folder or a YAML file.

    check: try its prompt on made-up pairs, and read its examples. Raises ConfigError where there is none, or
    with all that is wrong with it.
    """
    return _load(_path_of(name), _library(models or ModelSlots()), check)


def _load(path: Path, library: Library, check: bool, within: tuple[Path, ...] = ()) -> AnyAnnotator:
    """within: the files whose members are being read, the outermost first."""
    if path.name == SPEC_FILE:
        return _load_annotator(path, library, check)
    data = read_yaml(path)
    kind = data.get("kind") if isinstance(data, dict) else None
    if kind in COMPOSITES:
        return _load_composite(path, library, check, within)
    return _load_pool(path, library, check)


def reweighted(name: str, pool: Pool, title: str, weights: Sequence[float], flip: float, folder: Path) -> str:
    """The text of a pool file with other weights, label noise and name.

    name: of the pool, which was loaded as `pool`. title: the new name. flip: the new label noise. folder:
    where the file will stand. Each member names its model, since the weights are good for that model alone.
    Members without weight are left out.
    """
    path = _path_of(name)
    entries = _with_base(read_yaml(path), path.parent)
    assert isinstance(entries, dict)  # it was loaded
    members = []
    for line, member, weight in zip(entries.pop("members"), pool.members, weights, strict=True):
        if weight > 0:
            members.append({**_moved(line, member.spec, path, folder), "weight": weight})
    noise = {**entries.pop("noise", {}), "flip": flip}
    summary = f"{pool.name} with weights and noise fitted to people's votes."
    changed = {**entries, "name": title, "summary": summary, "noise": noise, "members": members}
    return yaml.safe_dump(changed, sort_keys=False, allow_unicode=True, width=110)


def with_chances(name: str, spec: AnnotatorSpec, out: Path, chances: Sequence[float]) -> str:
    """The text of a copy of an annotator whose parser has other `chances`. Its prompt is copied beside it.

    name: of the annotator, which was loaded as `spec`. out: the new annotator.yaml, whose folder's name is
    the new annotator's. It names its model, since what was fitted is good for that model alone. Examples are
    left out: they were of the parser before.
    """
    path = _path_of(name)
    entries = read_yaml(path)
    assert isinstance(entries, dict)  # it was loaded
    prompt = str(entries.get("prompt", "prompt.jinja"))
    if spec.prompt:
        (out.parent / prompt).write_text(spec.prompt, encoding="utf-8")
    entries.pop("examples", None)
    changed = {
        **entries,
        "name": out.parent.name,
        "summary": f"{spec.name}, with chances fitted to people's votes.",
        **({"model": spec.model} if spec.model else {}),
        "parser": {**entries["parser"], "chances": list(chances)},
    }
    return yaml.safe_dump(changed, sort_keys=False, allow_unicode=True, width=110)


def with_prompt(
    name: str,
    spec: AnnotatorSpec,
    title: str,
    prompt: str,
    summary: str,
    changes: Mapping[str, object] = MappingProxyType({}),
) -> dict[str, str]:
    """The files of a copy of an annotator with another prompt: file name -> text.

    name: of the annotator, which was loaded as `spec`. title: the new name. prompt: the new template.
    changes: other entries; of an entry that is a mapping, only the keys that are named change. The copy names
    its model, since what was tried is good for that model alone.
    """
    entries = read_yaml(_path_of(name))
    assert isinstance(entries, dict)  # it was loaded
    for key, value in changes.items():
        entries[key] = {**entries.get(key, {}), **value} if isinstance(value, Mapping) else value
    changed = {**entries, "name": title, "summary": summary, "model": spec.model, "prompt": "prompt.jinja"}
    text = yaml.safe_dump(changed, sort_keys=False, allow_unicode=True, width=110)
    return {SPEC_FILE: text, "prompt.jinja": prompt}


def refitted(
    name: str,
    whole: Composite,
    out: Path,
    *,
    changes: Mapping[str, object],
    thresholds: Sequence[float | None] = (),
) -> str:
    """The text of the file of a panel or cascade with some entries replaced.

    name: of the annotator, which was loaded as `whole`. out: the new file, whose name is the new annotator's.
    thresholds: least_confidence of each member; a member without one is left out. Each member names its
    model, since what was fitted is good for that model alone. Examples are left out: they were of the rule
    before.
    """
    path = _path_of(name)
    entries = read_yaml(path)
    assert isinstance(entries, dict)  # it was loaded
    given = entries.pop("members")
    least = thresholds or [None] * len(given)
    members = []
    for line, member, threshold in zip(given, whole.members, least, strict=False):
        if thresholds and threshold is None:
            continue
        moved = _moved(line, member, path, out.parent)
        members.append(moved if threshold is None else {**moved, "least_confidence": threshold})
    last = entries.pop("contested", None)
    if last is not None:
        changes = {**changes, "contested": _moved(last, whole.members[-1], path, out.parent)}
    entries.pop("examples", None)
    summary = f"{whole.name}, fitted to people's votes."
    changed = {**entries, "name": out.stem, "summary": summary, **changes, "members": members}
    return yaml.safe_dump(changed, sort_keys=False, allow_unicode=True, width=110)


def _moved(line: dict[str, object], member: AnyAnnotator, path: Path, folder: Path) -> dict[str, object]:
    """The line of a member in a file that stands in another folder, with the model that it asks."""
    own = path.parent / str(line["annotator"])
    place = os.path.relpath(own, folder) if _is_annotator(own) else line["annotator"]
    model = member.model if isinstance(member, AnnotatorSpec) else ""
    return {**line, "annotator": place, **({"model": model} if model else {})}


def _path_of(name: str) -> Path:
    given = Path(name)
    shelves = (FOLDER / shelf / f"{name}.yaml" for shelf in SHELVES)
    for path in (FOLDER / name / SPEC_FILE, *shelves, given / SPEC_FILE, given):
        if path.is_file():
            return path
    remedy = "`farm annotators` lists the catalogue; a path names a folder or a file of your own"
    raise ConfigError(f"no annotator {name!r:.200}{nearest(name, names())}", remedy=remedy)


def _load_annotator(path: Path, library: Library, check: bool) -> AnnotatorSpec:
    entry = Reader(read_yaml(path))
    spec = _read_annotator(entry, path.parent, library, check)
    entry.finish(str(path), REMEDY)
    return spec


def _read_annotator(entry: Reader, folder: Path, library: Library, check: bool) -> AnnotatorSpec:
    spec = read_spec(entry, _prompts(folder), _with_shots(library, folder))
    entry.close()
    if not check:
        return spec
    if spec.kind is AnnotatorKind.RULE:
        entry.complain_all("rule", rule_problems(spec))
    else:
        if spec.kind is AnnotatorKind.LLM and not spec.recorded:
            entry.complain_all("prompt", prompt_problems(spec))
        unusable = parser_problems(spec)
        entry.complain_all("parser", unusable)
        entry.complain_all("examples", [] if unusable else example_problems(spec))
    return spec


def _load_pool(path: Path, library: Library, check: bool) -> Pool:
    entry = Reader(_with_base(read_yaml(path), path.parent))

    def read_member(name: str, changes: Mapping[str, object], line: Reader) -> AnnotatorSpec | None:
        base = _base_of(name, path.parent, line)
        spec = _changed(base, changes, line, library=library, check=check) if base else None
        if spec and (spec.kind is not AnnotatorKind.LLM or spec.recorded):
            line.complain("annotator", "a pool's members are language models that can be asked")
        if spec and spec.more:
            line.complain("annotator", "a pool's members judge pairs, not rankings of several outputs")
        return spec

    pool = read_pool(entry, read_member)
    entry.finish(str(path), REMEDY)
    assert pool is not None  # finish raises where there is no member
    return pool


def _load_composite(path: Path, library: Library, check: bool, within: tuple[Path, ...]) -> Composite:
    entry = Reader(read_yaml(path))

    def read_judge(name: str, changes: Mapping[str, object], line: Reader) -> AnyAnnotator | None:
        base = _base_of(name, path.parent, line)
        if base is None or base.name == SPEC_FILE:
            return _changed(base, changes, line, library=library, check=check) if base else None
        if changes:
            line.complain("annotator", f"{name} is a whole: nothing of it is changed here")
        if base in (*within, path):
            line.complain("annotator", f"{name} is made of itself")
            return None
        try:
            return _load(base, library, check, (*within, path))
        except ConfigError as error:
            line.complain("annotator", error.what)
            return None

    found = read_composite(entry, read_judge, PriceTable.load().families)
    entry.finish(str(path), REMEDY)
    assert found is not None  # finish raises where a member is missing
    return found


def _base_of(name: str, folder: Path, line: Reader) -> Path | None:
    """The file of an annotator that a file names: beside it, or as `load` finds it."""
    beside = folder / name
    try:
        return _path_of(str(beside) if _is_annotator(beside) else name)
    except ConfigError as error:
        line.complain("annotator", error.what)
        return None


def _is_annotator(place: Path) -> bool:
    """Whether this is the file of an annotator, or its folder."""
    return place.is_file() or (place / SPEC_FILE).is_file()


def _changed(
    base: Path, changes: Mapping[str, object], line: Reader, *, library: Library, check: bool
) -> AnnotatorSpec | None:
    """The annotator of a file with some entries replaced."""
    try:
        data = read_yaml(base)
    except ConfigError as error:
        line.complain("annotator", error.what)
        return None
    if isinstance(data, dict):  # its examples are of its own parser
        data = {key: value for key, value in {**data, **changes}.items() if key != "examples"}
    return _read_annotator(line.over(data), base.parent, library, check)


def _with_base(data: object, folder: Path) -> object:
    """A pool's entries, completed by those of the pool that its entry `like` names."""
    if not isinstance(data, dict) or not isinstance(data.get("like"), str):
        return data
    base = read_yaml(folder / f"{data['like']}.yaml")
    own = {key: value for key, value in data.items() if key != "like"}
    return {**base, **own} if isinstance(base, dict) else own


def _prompts(folder: Path) -> dict[str, str]:
    """The texts of a folder's templates, by file name."""
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.jinja"))}


@cache
def default_slots() -> Mapping[str, str]:
    """Slot -> model name, from catalog/models.yaml."""
    entry = Reader(read_yaml(FOLDER / "models.yaml"))
    slots = {str(slot): str(model) for slot, model in entry.rest().items()}
    entry.finish(str(FOLDER / "models.yaml"), REMEDY)
    return slots


@cache
def shots() -> Mapping[str, Shot]:
    """The worked examples that every spec may name."""
    return _shots_in(FOLDER / SHOTS_FILE)


def _with_shots(library: Library, folder: Path) -> Library:
    """The library with the worked examples that stand beside an annotator."""
    path = folder / SHOTS_FILE
    return replace(library, shots={**library.shots, **_shots_in(path)}) if path.is_file() else library


def _shots_in(path: Path) -> Mapping[str, Shot]:
    """The worked examples of a file, by name. Raises ConfigError with all that is wrong with it."""
    entry = Reader(read_yaml(path))
    found = {line.text("name"): Shot.read(line) for line in entry.readers("shots")}
    entry.finish(str(path), REMEDY)
    return found


def _library(models: ModelSlots) -> Library:
    return Library(dict(default_slots()) | dict(models.slots), models.every, shots())
