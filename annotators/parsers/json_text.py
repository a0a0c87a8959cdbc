"""A parser of JSON replies as models write them: with comments, trailing commas, fences and prose around.

The text is cut into tokens once, each string whole. So a verdict that is quoted in a string is not taken for
one. A number that is too large for JSON (1e400) is a value that names no output.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from annotators.judgement import Verdict
from annotators.parsers.alphabets import latin
from annotators.parsers.base import ParseError, Readable, Slots
from annotators.parsers.grammar import NamePatterns, plain

PAIR = "pair"  # the key that numbers the objects of a batch

_TOKEN = re.compile(
    r'"(?P<string>(?:[^"\\\n]|\\.)*+)"?|(?P<mark>[{}\[\]:,])|//[^\n]*|(?P<word>[^\s"{}\[\]:,/]+)', re.DOTALL
)

Object = dict[str, str]
"""The scalar entries of one JSON object, as texts."""


def read_objects(text: str, keys: frozenset[str]) -> list[Object]:
    """All objects of a text, in the order in which they begin, with those of their entries that are wanted.
    keys: without capitals; case does not count.

    Where a key stands twice in an object, the last one counts.
    """
    objects: list[Object] = []
    stack: list[Object] = []  # the objects that are open; a list within stands as its owner
    key: str | None = None
    last: str | None = None  # the last scalar: a colon makes it a key
    for token in _TOKEN.finditer(text):
        mark = token["mark"]
        if mark == ":":
            key, last = last, None
        elif mark is None:
            scalar = token["string"] if token["word"] is None else token["word"].strip("'")
            if key is not None and (key := key.casefold()) in keys and stack and scalar is not None:
                stack[-1][key] = scalar
            key, last = None, scalar
        else:
            last = None
            key = key if mark == "[" else None  # the first value of a list stands for it
            if mark == "{":
                objects.append({})
                stack.append(objects[-1])
            elif mark == "[":
                stack.append(stack[-1] if stack else {})
            elif mark in "}]" and stack:
                stack.pop()
    return objects


@dataclass(frozen=True)
class JsonParser:
    """Verdicts under the key `field`: {"better": "A"}; for several pairs [{"pair": 1, "better": "A"}, ...].

    Where several objects hold the key, or the same pair, the last one counts. Objects without numbers are
    taken in order if there are as many as pairs.
    """

    labels: NamePatterns
    field: str = "better"
    batch: int = 1

    def __call__(self, reply: Readable) -> list[Verdict]:
        found = self._holders(reply.text)
        if not found:  # an odd quotation mark in prose before it can hide the object
            found = self._holders(reply.text[max(reply.text.rfind("{"), 0) :])
        if not found:
            raise ParseError(f"no {self.field!r} in the reply")
        slots = Slots(self.batch)
        for number, holder in self._numbered(found):
            slots.put(number, self._verdict(holder[self.field.casefold()]))
        return slots.close()

    def _holders(self, text: str) -> list[Object]:
        field = self.field.casefold()
        return [found for found in read_objects(text, frozenset({field, PAIR})) if field in found]

    def _numbered(self, found: list[Object]) -> list[tuple[int, Object]]:
        if self.batch == 1:
            return [(1, found[-1])]
        if any(PAIR in holder for holder in found):
            numbers = [(holder.get(PAIR, "").strip(), holder) for holder in found]
            return [(int(text), holder) for text, holder in numbers if re.fullmatch("[0-9]{1,3}", text)]
        if len(found) != self.batch:
            raise ParseError(f"{len(found)} objects for {self.batch} pairs, and no numbers")
        return list(enumerate(found, 1))

    def _verdict(self, value: str) -> Verdict:
        text = latin(plain(value))
        if named := self.labels.alone.search(text) or self.labels.leading.match(text):
            return Verdict(NamePatterns.meaning(named))
        if text.strip(" .'").casefold() in ("tie", "draw", "a tie"):
            return Verdict(0.5)
        return Verdict(None, f"{value!r:.60} names no output")
