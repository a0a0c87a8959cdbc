"""Another instruction of the same family: what the world's models make of one that they are to rewrite."""

from __future__ import annotations

import random
from dataclasses import replace

from farm.world.families import NotOfThisWorld, read


def rewritten(instruction: str, input: str, key: str) -> str:
    """The text with other arguments and another wish, drawn by the key; the input and its arguments stay.

    A text that is no instruction of this world stays as it is.
    """
    try:
        task = read(instruction, input)
    except NotOfThisWorld:
        return instruction
    chance = random.Random(f"rewritten {key}")
    arguments = task.arguments if task.family.input else task.family.draw(chance)
    wish = chance.choice([each for each in task.family.wishes if each is not task.wish])
    return replace(task, arguments=arguments, wish=wish).instruction.text
