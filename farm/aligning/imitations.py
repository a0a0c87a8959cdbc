"""A judge for one person: it is shown the person's earlier judgements, or told a persona.

    OUT/pool.yaml, OUT/alone/, OUT/members/NAME/annotator.yaml, prompt.jinja, shots.yaml, lineage.json

Every member is an annotator of its own, and the pool is all of them. A folder is written once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

import yaml

from annotators import catalogue
from annotators.prompt import has_persona
from annotators.render import prompt_problems
from annotators.spec import AnnotatorSpec, Shot
from db.errors import ConfigError
from db.ids import Json, keyed_uniform
from db.ledger import Ledger, PairFilter
from db.records import Pair
from farm.aligning.candidates import LINEAGE, write_files
from farm.aligning.persons import Imitated
from farm.options.imitate import ImitateTask

PAST = (
    "You are one particular person. The judgements before this one are your own earlier ones, of other"
    " outputs. Judge as the person who made them would."
)
POOL, ALONE, MEMBERS = "pool.yaml", "alone", "members"
BARE = "{} at the temperature of the imitations, with nothing of any person."


@dataclass(frozen=True)
class Imitator:
    """A judge that imitates a person. read: keys of the pairs that its worked examples show, in order."""

    person: Imitated
    spec: AnnotatorSpec
    read: tuple[str, ...] = ()

    @property
    def shots(self) -> Mapping[str, Shot]:
        """Its worked examples by name."""
        return {f"{self.spec.name}-{place}": shot for place, shot in enumerate(self.spec.shots, 1)}


def alone(judge: AnnotatorSpec, task: ImitateTask) -> AnnotatorSpec:
    """The judge at the temperature of the imitations, as it is otherwise."""
    decoding = replace(judge.decoding, temperature=task.temperature)
    return replace(judge, name=f"{task.out.absolute().name}-alone", decoding=decoding, examples=())


def members(
    ledger: Ledger, judge: AnnotatorSpec, people: tuple[Imitated, ...], task: ImitateTask
) -> list[Imitator]:
    """A judge for each person. Raises ConfigError where its prompt has no place for what is told of them."""
    if judge.more:
        what = f"{judge.name} ranks several outputs, and people's judgements are of two"
        raise ConfigError(what, where=task.judge, remedy="name a judge of pairs, such as plain")
    if task.personas and not has_persona(judge.prompt):
        what = f"the prompt of {judge.name} shows no {{{{ persona }}}}"
        raise ConfigError(what, where=task.judge, remedy="add it to the prompt, or leave out --personas")
    made = [_member(ledger, judge, person, number, task=task) for number, person in enumerate(people, 1)]
    if problems := prompt_problems(made[0].spec):
        raise ConfigError("; ".join(problems), where=task.judge, remedy="mend the prompt, or --shots 0")
    return made


def _member(
    ledger: Ledger, judge: AnnotatorSpec, person: Imitated, number: int, *, task: ImitateTask
) -> Imitator:
    rows = person.known.head(2 * task.shots)  # twice as many, since those with an empty text show nothing
    means = dict(zip(rows["pair_id"], rows["mean"], strict=True))
    pairs = {pair.id: pair for pair in ledger.pairs(PairFilter(ids=tuple(map(int, means))))}
    whole = [pairs[each] for each in means if _whole(pairs[each])][: task.shots]
    shots = tuple(_shot(pair, means[pair.id], f"{task.seed} {person.key}") for pair in whole)
    bare = alone(judge, task)
    spec = replace(
        bare,
        name=f"{task.out.absolute().name}-{number}",
        persona=" ".join(filter(None, (person.persona, PAST if shots else ""))),
        shots=shots or bare.shots,
    )
    return Imitator(person, spec, tuple(pair.key for pair in whole))


def _whole(pair: Pair) -> bool:
    return all(each.strip() for each in (pair.instruction.text, pair.output_a.text, pair.output_b.text))


def _shot(pair: Pair, mean: float, key: str) -> Shot:
    """The person's judgement as a worked example; a keyed draw says which output it shows first."""
    asked, (first, second) = pair.instruction, (pair.output_a.text, pair.output_b.text)
    swapped = keyed_uniform("imitation shown order", pair.key, key) < 0.5
    if swapped:
        first, second = second, first
    return Shot(asked.text, first, second, first=(mean > 0.5) != swapped, input=asked.input)


def write_members(judge: AnnotatorSpec, made: list[Imitator], task: ImitateTask) -> None:
    """Write the folder. Raises ConfigError where another file of a name is there."""
    temperature = {"decoding": {"temperature": task.temperature}}
    bare, out = alone(judge, task), task.out
    files = catalogue.with_prompt(
        task.judge, judge, bare.name, judge.prompt, summary=BARE.format(judge.name), changes=temperature
    )
    write_files(out / ALONE, files)
    for each in made:
        write_files(out / MEMBERS / each.spec.name, _files(judge, each, task, temperature))
    pool = {
        "name": out.absolute().name,
        "summary": f"{judge.name} as {len(made)} persons, one by one.",
        "orders": str(judge.orders),
        "noise": {"flip": judge.noise.flip, "replace": judge.noise.replace},
        "seed": judge.seed,
        "members": [{"annotator": f"{MEMBERS}/{each.spec.name}"} for each in made],
    }
    write_files(out, {POOL: _yaml(pool)})


def _files(
    judge: AnnotatorSpec, each: Imitator, task: ImitateTask, temperature: Mapping[str, object]
) -> dict[str, str]:
    """The files of a member, with whom it imitates and which judgements it shows."""
    changes = dict(temperature)
    if each.spec.persona:
        changes["persona"] = each.spec.persona
    if each.read:
        changes["shots"] = list(each.shots)
    summary = f"{judge.name} as {each.person.name} judges."
    files = catalogue.with_prompt(
        task.judge, judge, each.spec.name, judge.prompt, summary=summary, changes=changes
    )
    lineage: dict[str, Json] = {
        "judge": judge.name,
        "judge_fingerprint": judge.fingerprint,
        "person": each.person.name,
        "person_fingerprint": each.person.key,
        "read": list(each.read),
    }
    files[LINEAGE] = json.dumps(lineage, indent=1, ensure_ascii=False) + "\n"
    if each.read:
        shown: list[Json] = [shot.entry(name) for name, shot in each.shots.items()]
        files[catalogue.SHOTS_FILE] = _yaml({"shots": shown})
    return files


def _yaml(entries: Mapping[str, object]) -> str:
    return yaml.safe_dump(dict(entries), sort_keys=False, allow_unicode=True, width=110)
