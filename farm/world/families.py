"""Families of instructions: templates with arguments, and which answers are right.

An instruction is a template of a family with its slots filled in. A wish about the form of the answer may
follow it. `draw` makes a task from a seed. `read` finds the task of an instruction's text, so that an answer
can be checked from the texts alone.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType

from db.errors import FarmError
from db.records import Instruction
from farm.world import lexicon as words

Arguments = Mapping[str, str]


class Wish(StrEnum):
    """The end of an instruction, which asks for a form of the answer."""

    NONE = ""
    LIST = " Use a list."
    LINE = " Answer in one line."
    SHORT = " Keep it short."
    POLITE = " Be polite."


class NotOfThisWorld(FarmError):
    """A text is no instruction of the embedded world, so that answers to it cannot be checked."""


@dataclass(frozen=True)
class Goal:
    """What an answer should say, as words."""

    right: frozenset[str]  # right answers
    domain: frozenset[str]  # all words that count as answers, right or wrong
    count: int  # how many answers are asked for
    mentions: frozenset[str] = frozenset()  # further words that a relevant answer has

    @property
    def wrong(self) -> frozenset[str]:
        """Words that count as answers but are wrong."""
        return self.domain - self.right


@dataclass(frozen=True)
class Family:
    """Instructions of one kind. Texts have slots, such as {name}, for the arguments."""

    name: str
    templates: tuple[str, ...]  # texts of the instruction
    draw: Callable[[random.Random], Arguments]  # draws the arguments
    goal: Callable[[Arguments], Goal]  # what an instruction with these arguments asks for
    saying: tuple[str, ...]  # answers in prose; {answers} stands for the words of the answer
    input: str = ""  # text of the input; empty for instructions without one
    joint: str = " and "  # stands before the last of several answers
    lead: str = ""  # first line of an answer that is a list
    entry: str = "{answer}"  # item of an answer that is a list

    @property
    def lists(self) -> bool:
        """Whether instructions ask for a number of answers, which can be listed."""
        return "{n}" in self.templates[0]

    @property
    def wishes(self) -> tuple[Wish, ...]:
        """The wishes that may follow: LIST only where several answers are asked for."""
        plain = (Wish.NONE, Wish.LINE, Wish.SHORT, Wish.POLITE)
        return (*plain, Wish.LIST) if self.lists else plain


@dataclass(frozen=True)
class WorldTask:
    """An instruction with the parts that it is made of."""

    family: Family
    arguments: Arguments
    template: str
    wish: Wish = Wish.NONE

    @property
    def instruction(self) -> Instruction:
        """The texts of instruction and input."""
        text = self.template.format(**self.arguments) + self.wish
        return Instruction(text, self.family.input.format(**self.arguments))

    @property
    def goal(self) -> Goal:
        """What an answer should say."""
        return self.family.goal(self.arguments)


def draw(seed: str) -> WorldTask:
    """Draw a task. It depends on the seed alone; all families are equally likely."""
    chance = random.Random(seed)
    family = chance.choice(FAMILIES)
    arguments = family.draw(chance)
    return WorldTask(family, arguments, chance.choice(family.templates), chance.choice(family.wishes))


@lru_cache(maxsize=100_000)
def read(instruction: str, input: str = "") -> WorldTask:
    """The task of an instruction of this world. Raises NotOfThisWorld on any other text."""
    for family, template, pattern in _patterns():
        found = pattern.fullmatch(f"{instruction}\n{input}")
        if found:
            groups = found.groupdict()
            wish = Wish(groups.pop("wish"))
            return WorldTask(family, MappingProxyType(groups), template, wish)
    raise NotOfThisWorld(
        f"{instruction[:60]!r} is no instruction of the embedded world",
        remedy="use the instructions that `farm world` makes",
    )


def _goal(right: Iterable[str], domain: Iterable[str], count: int, *mentions: str) -> Goal:
    return Goal(frozenset(right), frozenset(domain), count, frozenset(mentions))


def _slots(**choices: Iterable[str]) -> Callable[[random.Random], Arguments]:
    """A function that draws each argument from its choices, independently."""
    options = {name: tuple(values) for name, values in choices.items()}
    return lambda chance: {name: chance.choice(values) for name, values in options.items()}


def _of_one_kind(chance: random.Random) -> Arguments:
    """Draw a number, a kind, and two things x and y of that kind."""
    kinds, kind = chance.choice(tuple(words.PLURALS.items()))
    x, y = chance.sample(words.KINDS[kind], 2)
    return {"n": chance.choice(tuple(words.NUMBERS)), "kinds": kinds, "x": x, "y": y}


def _odd_one(chance: random.Random) -> Arguments:
    """Draw a kind and, in random order, two things of it and one of another kind."""
    kind, other = chance.sample(tuple(words.KINDS), 2)
    things = [*chance.sample(words.KINDS[kind], 2), chance.choice(words.KINDS[other])]
    x, y, z = chance.sample(things, 3)
    return {"kind": kind, "x": x, "y": y, "z": z}


def _two_sized(chance: random.Random) -> Arguments:
    """Draw two things of one kind to be compared by size."""
    x, y = chance.sample(words.KINDS[chance.choice(words.SIZED)], 2)
    return {"x": x, "y": y, "size": chance.choice(("bigger", "smaller")), "name": chance.choice(words.NAMES)}


def _several(least: int, most: int) -> Callable[[random.Random], Arguments]:
    """A function that draws `least` to `most` different things, as one text."""
    return lambda chance: {"things": " ".join(chance.sample(words.THINGS, chance.randint(least, most)))}


def _two_things(chance: random.Random) -> Arguments:
    """Draw two different things and a place."""
    x, y = chance.sample(words.THINGS, 2)
    return {"x": x, "y": y, "place": chance.choice(words.PLACES)}


def _is_a(chance: random.Random) -> Arguments:
    """Draw a thing and a kind, which is the thing's own with a probability of at least 1/2."""
    thing = chance.choice(words.THINGS)
    kind = words.KIND_OF[thing] if chance.random() < 0.5 else chance.choice(tuple(words.KINDS))
    return {"x": thing, "kind": kind, "name": chance.choice(words.NAMES)}


def _sized(arguments: Arguments) -> Goal:
    """The goal of a comparison by size: things of a kind stand in the lexicon from small to large."""
    pair = sorted((arguments["x"], arguments["y"]), key=words.THINGS.index)
    return _goal([pair[arguments["size"] == "bigger"]], words.THINGS, 1)


FAMILIES: tuple[Family, ...] = (
    Family(
        "name",
        templates=(
            "Name {n} {kinds} for {name}.",
            "Tell {name} the names of {n} {kinds}.",
            "Which {n} {kinds} might {name} like?",
        ),
        draw=_slots(n=words.NUMBERS, kinds=words.PLURALS, name=words.NAMES),
        goal=lambda a: _goal(words.KINDS[words.PLURALS[a["kinds"]]], words.THINGS, words.NUMBERS[a["n"]]),
        saying=("I would say {answers}.", "My picks are {answers}."),
    ),
    Family(
        "except",
        templates=("Name {n} {kinds} but not {x} or {y}.", "I know {x} and {y}: name {n} other {kinds}."),
        draw=_of_one_kind,
        goal=lambda a: _goal(
            {*words.KINDS[words.PLURALS[a["kinds"]]]} - {a["x"], a["y"]}, words.THINGS, words.NUMBERS[a["n"]]
        ),
        saying=("I would say {answers}.", "My picks are {answers}."),
    ),
    Family(
        "need",
        templates=(
            "Suggest {n} things that {name} needs for {need}.",
            "What {n} things help {name} with {need}?",
        ),
        draw=_slots(n=words.NUMBERS, need=words.NEEDS, name=words.NAMES),
        goal=lambda a: _goal(
            words.KINDS[words.NEEDS[a["need"]]], words.THINGS, words.NUMBERS[a["n"]], a["name"]
        ),
        saying=("{name} needs {answers}.",),
        lead="{name} needs:",
    ),
    Family(
        "steps",
        templates=("Give {n} steps to {task} the {x}.", "How do I {task} the {x} in {n} steps?"),
        draw=_slots(n=words.NUMBERS, task=words.STEPS, x=words.THINGS),
        goal=lambda a: _goal(
            words.STEPS[a["task"]],
            [s for steps in words.STEPS.values() for s in steps],
            words.NUMBERS[a["n"]],
            a["x"],
        ),
        saying=("You {answers} the {x}.",),
        entry="{answer} the {x}",
    ),
    Family(
        "describe",
        templates=(
            "Describe the {x} in {n} words for {name}.",
            "Find {n} words that say what the {x} of {name} is like.",
        ),
        draw=_slots(n=("two", "three"), x=words.THINGS, name=words.NAMES),
        goal=lambda a: _goal(
            words.QUALITIES[words.KIND_OF[a["x"]]],
            [q for qualities in words.QUALITIES.values() for q in qualities],
            words.NUMBERS[a["n"]],
            a["x"],
        ),
        saying=("The {x} is {answers}.",),
        lead="The {x} is:",
    ),
    Family(
        "opposite",
        templates=(
            "What is the opposite of {adjective}, asks {name}.",
            "{name} wants the opposite of {adjective}.",
        ),
        draw=_slots(adjective=words.OPPOSITES, name=words.NAMES),
        goal=lambda a: _goal(
            [words.OPPOSITES[a["adjective"]]], {*words.OPPOSITES} - {a["adjective"]}, 1, a["adjective"]
        ),
        saying=("The opposite of {adjective} is {answers}.",),
    ),
    Family(
        "odd",
        templates=(
            "Which is not a kind of {kind}: {x}, {y} or {z}?",
            "Find what is no {kind} among {x}, {y} and {z}.",
        ),
        draw=_odd_one,
        goal=lambda a: _goal(
            [a[s] for s in "xyz" if words.KIND_OF[a[s]] != a["kind"]], words.THINGS, 1, a["kind"]
        ),
        saying=("The {answers} is no {kind}.",),
    ),
    Family(
        "is a",
        templates=("Is the {x} of {name} a kind of {kind}?", "{name} asks if the {x} is a kind of {kind}."),
        draw=_is_a,
        goal=lambda a: _goal(
            ["Yes" if words.KIND_OF[a["x"]] == a["kind"] else "No"], ["Yes", "No"], 1, a["x"], a["kind"]
        ),
        saying=("{answers}, if you ask me about {x} and {kind}.",),
    ),
    Family(
        "compare",
        templates=(
            "Which is {size}, asks {name}, the {x} or the {y}?",
            "Tell {name} which is {size}: the {x} or the {y}.",
        ),
        draw=_two_sized,
        goal=_sized,
        saying=("The {answers} is {size}.",),
    ),
    Family(
        "sentence",
        templates=(
            "Write a sentence with {x} and {y} in the {place}.",
            "Use {x} and {y} in a sentence about the {place}.",
        ),
        draw=_two_things,
        goal=lambda a: _goal([a["x"], a["y"]], words.THINGS, 2, a["place"]),
        saying=("I see {answers} in the {place}.",),
    ),
    Family(
        "count",
        templates=("How many words are these?", "Count the words."),
        draw=_several(1, 5),
        goal=lambda a: _goal([words.COUNTS[len(a["things"].split()) - 1]], words.COUNTS, 1, "words"),
        saying=("There are {answers} words.",),
        input="{things}",
    ),
    Family(
        "last",
        templates=("What is the last word?", "Repeat the last word."),
        draw=_several(2, 4),
        goal=lambda a: _goal([a["things"].split()[-1]], words.THINGS, 1, "word"),
        saying=("The word is {answers}.",),
        input="{things}",
    ),
    Family(
        "greet",
        templates=(
            "Greet {name} in the {place} at this time: {time}.",
            "It is {time}: say hello to {name} in the {place}.",
        ),
        draw=_slots(name=words.NAMES, place=words.PLACES, time=words.TIMES),
        goal=lambda a: _goal([a["time"]], words.TIMES, 1, a["name"]),
        saying=("Good {answers}, {name}.",),
    ),
    Family(
        "thank",
        templates=(
            "Thank {name} for the {x}.",
            "{name} gave me the {x}: write a thank you.",
            "I got the {x} from {name}: say thanks.",
        ),
        draw=_slots(name=words.NAMES, x=words.THINGS),
        goal=lambda a: _goal([a["x"]], words.THINGS, 1, a["name"]),
        saying=("Thank you for the {answers}, {name}.",),
    ),
    Family(
        "apologise",
        templates=(
            "Tell {name} that I lost the {x}.",
            "I broke the {x} of {name}: say sorry.",
            "Apologise to {name} about the {x}.",
        ),
        draw=_slots(name=words.NAMES, x=words.THINGS),
        goal=lambda a: _goal([a["x"]], words.THINGS, 1, a["name"]),
        saying=("I am sorry about the {answers}, {name}.",),
    ),
    Family(
        "invite",
        templates=(
            "Invite {name} to the {event} on {day} in the {place}.",
            "Ask {name} to come on {day} to the {event} in the {place}.",
        ),
        draw=_slots(name=words.NAMES, event=words.EVENTS, day=words.DAYS, place=words.PLACES),
        goal=lambda a: _goal([a["event"], a["day"]], [*words.EVENTS, *words.DAYS], 2, a["name"], a["place"]),
        saying=("Come to the {place} for the {answers}, {name}.",),
        joint=" on ",
    ),
)

_SLOTS: Mapping[str, Iterable[str]] = {
    "n": words.NUMBERS,
    "kinds": words.PLURALS,
    "kind": words.KINDS,
    "x": words.THINGS,
    "y": words.THINGS,
    "z": words.THINGS,
    "name": words.NAMES,
    "need": words.NEEDS,
    "task": words.STEPS,
    "adjective": words.OPPOSITES,
    "size": ("bigger", "smaller"),
    "place": words.PLACES,
    "time": words.TIMES,
    "event": words.EVENTS,
    "day": words.DAYS,
}


@lru_cache(maxsize=1)
def _patterns() -> list[tuple[Family, str, re.Pattern[str]]]:
    """For every template, a pattern with a group for every slot and one for the wish."""
    groups = {slot: f"(?P<{slot}>{'|'.join(values)})" for slot, values in _SLOTS.items()}
    groups["things"] = rf"(?P<things>(?:{'|'.join(words.THINGS)})(?: (?:{'|'.join(words.THINGS)}))*)"
    wish = f"(?P<wish>{'|'.join(map(re.escape, Wish))})"

    def pattern(text: str) -> str:
        return re.sub(r"\\\{(\w+)\\\}", lambda slot: groups[slot[1]], re.escape(text))

    return [
        (family, template, re.compile(f"{pattern(template)}{wish}\n{pattern(family.input)}"))
        for family in FAMILIES
        for template in family.templates
    ]
