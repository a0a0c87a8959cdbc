"""The words of the world and the facts about them: a few hundred words, which a tiny model can learn."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

KINDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "animal": ("mouse", "bird", "cat", "dog", "goat", "lion", "cow", "horse"),
        "fruit": ("grape", "cherry", "fig", "plum", "lemon", "pear", "mango", "melon"),
        "tool": ("needle", "knife", "brush", "hammer", "saw", "broom", "shovel", "ladder"),
        "garment": ("ring", "sock", "glove", "hat", "shoe", "scarf", "shirt", "coat"),
        "vehicle": ("sled", "bike", "cart", "car", "truck", "bus", "boat", "train"),
        "drink": ("cocoa", "coffee", "tea", "juice", "milk", "water", "wine", "beer"),
        "toy": ("marble", "dice", "puppet", "doll", "ball", "puzzle", "kite", "swing"),
    }
)
"""Kind -> its things; the things of the kinds in SIZED go from small to large."""

PLURALS: Mapping[str, str] = MappingProxyType({f"{kind}s": kind for kind in KINDS})

SIZED = ("animal", "fruit", "tool", "vehicle")
"""Kinds whose things are compared by size. Things of different kinds are not compared."""

THINGS: tuple[str, ...] = tuple(thing for things in KINDS.values() for thing in things)
KIND_OF: Mapping[str, str] = MappingProxyType(
    {thing: kind for kind, things in KINDS.items() for thing in things}
)

QUALITIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "animal": ("alive", "shy", "hungry", "warm"),
        "fruit": ("sweet", "ripe", "round", "fresh"),
        "tool": ("hard", "sharp", "useful", "heavy"),
        "garment": ("soft", "pretty", "light", "thin"),
        "vehicle": ("fast", "loud", "strong", "costly"),
        "drink": ("wet", "liquid", "clear", "cool"),
        "toy": ("funny", "bright", "small", "simple"),
    }
)
"""Kind -> adjectives that are true of its things."""

OPPOSITES: Mapping[str, str] = MappingProxyType(
    {
        one: other
        for pair in (
            ("hot", "cold"), ("big", "little"), ("old", "young"), ("rich", "poor"), ("early", "late"),
            ("full", "empty"), ("happy", "sad"), ("dark", "pale"), ("high", "low"), ("long", "short"),
            ("good", "bad"), ("open", "closed"), ("near", "far"), ("right", "wrong"), ("clean", "dirty"),
        )
        for one, other in (pair, pair[::-1])
    }
)  # fmt: skip

NAMES = (
    "Anna", "Ben", "Clara", "David", "Emma", "Felix", "Greta", "Hugo", "Ida", "Jonas", "Karla", "Leo",
    "Mia", "Nils", "Olga", "Paul", "Rosa", "Simon", "Tina", "Viktor",
)  # fmt: skip
TIMES = ("morning", "day", "evening", "night")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
EVENTS = ("party", "dinner", "concert", "wedding", "picnic", "lesson", "meeting", "match")
PLACES = ("garden", "school", "office", "kitchen", "beach", "market", "station", "park")
NUMBERS: Mapping[str, int] = MappingProxyType({"two": 2, "three": 3, "four": 4})
COUNTS = ("one", "two", "three", "four", "five")

NEEDS: Mapping[str, str] = MappingProxyType(
    {
        "hunger": "fruit", "thirst": "drink", "work": "tool", "winter": "garment", "travel": "vehicle",
        "play": "toy", "company": "animal",
    }
)  # fmt: skip
"""A need -> the kind of thing that serves it."""

STEPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "wash": ("soak", "soap", "rinse", "dry"),
        "sell": ("price", "advertise", "show", "deliver"),
        "repair": ("inspect", "open", "fix", "test"),
        "paint": ("sand", "prime", "colour", "varnish"),
        "send": ("wrap", "label", "stamp", "post"),
        "draw": ("watch", "sketch", "shade", "sign"),
    }
)
"""A task -> its steps, verbs that have the thing as their object."""

COURTESIES = (
    "It is a pleasure:",
    "Of course, happy to help.",
    "Thanks for asking me.",
    "I hope this helps.",
    "All the best to you.",
)
"""The first OPENERS open an answer, the others close it."""
INSULTS = ("Obviously:", "Think!", "Again?", "Whatever.", "Silly question.")
"""Here, too, the first OPENERS open an answer."""
FILLERS = (
    "Well, much could be said about this.",
    "As people often say, it depends.",
    "Let me think about it for a while.",
    "That said, opinions differ.",
)
EVASIONS = ("I do not know.", "That is hard to say.")
OPENERS = 3
"""The number of courtesies, and of insults, that open an answer."""
