"""Noisy demonstrations: answers as people write them. Some are rude, rambling, wrong, repetitive or cut."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from farm.world import lexicon
from farm.world.families import Wish, WorldTask


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Shares of the demonstrations that have a fault or a form. The instruction's wish changes some."""

    courteous: float = 0.35
    """It has a courtesy."""
    rude: float = 0.15
    """It has an insult."""
    rambling: float = 0.1
    """It has one or two fillers."""
    wrong: float = 0.25
    """A word of the answer is wrong; counted by word, not by answer."""
    incomplete: float = 0.35
    """It gives too few words or one too many, where several are asked for."""
    repeating: float = 0.12
    """It repeats a word."""
    vague: float = 0.15
    """It does not mention what the instruction is about."""
    evasive: float = 0.06
    """It gives an evasion and no answer."""
    listed: float = 0.35
    """It is a list, where several words are asked for."""
    cut: float = 0.1
    """It breaks off."""

    def under(self, wish: Wish) -> Rates:
        """The rates for an instruction with this wish, which demonstrators follow more often than not."""
        if wish is Wish.LIST:
            return replace(self, listed=0.65)
        if wish is Wish.LINE:
            return replace(self, listed=self.listed / 2)
        if wish is Wish.SHORT:
            return replace(self, rambling=self.rambling / 2)
        if wish is Wish.POLITE:
            return replace(self, courteous=0.6, rude=self.rude / 2)
        return self


USUAL = Rates()
PHRASES = (*lexicon.COURTESIES, *lexicon.INSULTS, *lexicon.FILLERS, *lexicon.EVASIONS)
"""Phrases that are put around the core of an answer, or that replace it."""
_NO_MARKS = str.maketrans(".,:?", "    ")


def demonstrate(task: WorldTask, seed: str, rates: Rates = USUAL) -> str:
    """Write an answer to the instruction. It depends on (task, seed, rates) alone."""
    chance = random.Random(f"{seed}\n{task.instruction.text}\n{task.instruction.input}")
    rates = rates.under(task.wish)
    if chance.random() < rates.evasive:
        core = chance.choice(lexicon.EVASIONS)
    else:
        answers = _answers(task, chance, rates)
        core = _core(task, answers, chance, rates)
    text = _framed(core, chance, rates)
    return _cut(text, chance) if chance.random() < rates.cut else text


def _answers(task: WorldTask, chance: random.Random, rates: Rates) -> list[str]:
    """Draw the words of the answer: how many, which are wrong, and which are repeated."""
    goal = task.goal
    count = goal.count
    if count > 1 and chance.random() < rates.incomplete:
        count = chance.choice([*range(1, count), count + 1])
    right, wrong = _shuffled(goal.right, chance), _tempting(task, chance)
    said = []
    for _ in range(count):
        source = wrong if wrong and (not right or chance.random() < rates.wrong) else right
        said.append(source.pop())
    said.sort(key=str.istitle)  # an event comes before its day, which has a capital
    if chance.random() < rates.repeating:
        said += said[-1:] if len(said) > 1 else said * chance.randint(1, 2)
    return said


def _tempting(task: WorldTask, chance: random.Random) -> list[str]:
    """Wrong words in random order. Those in the instruction come last, so that `pop` takes them first."""
    shown = f"{task.instruction.text} {task.instruction.input}"
    wrong = _shuffled(task.goal.wrong, chance)
    return sorted(wrong, key=lambda word: f" {word} " in f" {shown} ".translate(_NO_MARKS))


def _core(task: WorldTask, answers: Sequence[str], chance: random.Random, rates: Rates) -> str:
    """The answer without phrases around it: a list or a sentence."""
    family, slots = task.family, task.arguments
    vague = chance.random() < rates.vague
    if family.lists and chance.random() < rates.listed:
        lead = [] if vague or not family.lead else [family.lead.format(**slots)]
        items = [f"- {family.entry.format(answer=answer, **slots)}" for answer in answers]
        return "\n".join([*lead, *items])
    joined = family.joint.join([", ".join(answers[:-1]), answers[-1]] if len(answers) > 1 else answers)
    if vague and task.goal.mentions:
        return f"{joined}."
    return chance.choice(family.saying).format(answers=joined, **slots)


def _framed(core: str, chance: random.Random, rates: Rates) -> str:
    """The core of an answer with courtesies, insults and fillers before and after it."""
    tone: tuple[str, ...] = ()
    if chance.random() < rates.courteous:
        tone = lexicon.COURTESIES
    elif chance.random() < rates.rude / (1 - rates.courteous):
        tone = lexicon.INSULTS
    phrase = chance.choice(tone) if tone else ""
    opens = phrase in tone[: lexicon.OPENERS]
    before = [phrase] if phrase and opens else []
    after = [phrase] if phrase and not opens else []
    if chance.random() < rates.rambling:
        fillers = chance.sample(lexicon.FILLERS, chance.randint(1, 2))
        before += fillers[:1]
        after = fillers[1:] + after
    gap = "\n" if "- " in core else " "
    return gap.join(part for part in (" ".join(before), core, " ".join(after)) if part)


def _cut(text: str, chance: random.Random) -> str:
    """The beginning of a text: from a third of its words to all but one, and at least one word."""
    words = text.split(" ")
    return " ".join(words[: chance.randint(max(1, len(words) // 3), max(1, len(words) - 1))]).rstrip()


def _shuffled(pool: frozenset[str], chance: random.Random) -> list[str]:
    ordered = sorted(pool)
    chance.shuffle(ordered)
    return ordered
