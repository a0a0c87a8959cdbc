"""How a judge declares a verdict in running text: the grammar shared by the text parsers.

A verdict is declared, never merely mentioned. From strong to weak:

    leading      the reply begins with the label, or with the line "Tie": "Output (a)", "B - it is shorter"
    marked       "Verdict: A", "The better output is (b)", "[[B]]", "[[A>>B]]", "Verdict: tie"; or the label
                 alone on the last line. "Verdict: 2" where that is all of the line and no output is called 2;
                 "Response 2" where that is all of the reply.
                 "[[C]]", which MT-Bench asks for as a tie, where the outputs are called A and B
    concluding   "Therefore, Output (a) is better.", "Hence, B." at the end of a line, "My answer is B"
                 (which may answer something else)
    claimed      "Output (b) is better because ...", "I prefer B", "so to me the better response is (a)"

What is no declaration: a label that is only talked about; a claim that is denied, asked, conditional, limited
to one respect ("better in terms of ...") or reported ("Assistant (a) argues that ..."). Every pattern has
bounded repetitions, so that reading takes time linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

# Full-width forms become ASCII, quotes and dashes their plain forms; emphasis and invisible marks vanish.
_PLAIN: dict[int, str | None] = {
    **{0xFEE0 + code: chr(code) for code in range(0x21, 0x7F)},
    **dict.fromkeys(map(ord, "\u3000\u00a0\u2002\u2003\u2009\u202f_\t"), " "),
    **dict.fromkeys(map(ord, "\u201c\u201d\u201e\u00ab\u00bb\u300c\u300d\u2018\u2019\u201a"), "'"),
    **dict.fromkeys(map(ord, "\u2013\u2014\u2212"), "-"),
    **dict.fromkeys(map(ord, "\r\u2028\u2029\u0085\v\f"), "\n"),
    **dict.fromkeys([*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x206A)], None),
    **dict.fromkeys([0xFEFF, 0xAD, ord("*"), ord("`"), 0], None),
    **dict.fromkeys([*map(ord, "\u2705\u2714\u2611\U0001f3c6\U0001f449\u2b50"), 0xFE0F], None),
    ord("\u3002"): ".",
    ord("\u3010"): "[",
    ord("\u3011"): "]",
    ord("\u227b"): ">",
}


_WORDS = r"(?:final[ _])?(?:verdict|answer|judge?ment|choice|winner|decision|preference|result|conclusion)"
_BOXED = re.compile(
    r"\$?\\f?box(?:ed)?\s?\{\s?(?:\\[a-z]{2,10}\s?\{\s?)?([^{}\\\n]{1,40}?)\s?\}{1,2}\$?", re.IGNORECASE
)
_TAGGED = re.compile(rf"<({_WORDS})>\s{{0,9}}([^<>]{{1,60}}?)\s{{0,9}}</\1>", re.IGNORECASE)
_BRACKETED = re.compile(rf"\[{_WORDS}\](?=\s{{0,9}}:?\s{{0,9}}[\w(\['\"])\s{{0,9}}:?", re.IGNORECASE)
_BOLD = re.compile(r"<(b|strong|em|i|u)>([^<>]{1,200})</\1>", re.IGNORECASE)
_CAGED = re.compile(
    rf"\b((?:{_WORDS}) {{0,3}}(?:is|:|=)\s{{0,3}})[<{{$]{{1,2}} ?(\w{{1,12}}) ?[>}}$]{{1,2}}(?!\s{{0,3}}\w)",
    re.IGNORECASE,
)
_LINE_MARK = re.compile(
    r"^([ #>'-]{0,20})(?:better|best|preferred|chosen|selected|result|outcome|urteil|gewinner|antwort"
    r"|\u0432\u0435\u0440\u0434\u0438\u043a\u0442|\u043e\u0442\u0432\u0435\u0442"
    r"|(?:\u6700\u7ec8)?(?:\u5224\u5b9a|\u88c1\u51b3|\u7ed3\u8bba|\u7b54\u6848))[ ]{0,3}[:=]",
    re.IGNORECASE | re.MULTILINE,
)


def plain(text: str) -> str:
    """The text without mark-up and invisible characters, in ASCII forms where there are any.

    Verdicts in boxes, tags and brackets, and marks in other languages, are written as this grammar has them.
    """
    for pattern, form in (
        (_TAGGED, "\nVerdict: \\2\n"),
        (_BOXED, " [[\\1]] "),
    ):
        text = pattern.sub(form, text)
    text = _BOLD.sub("\\2", text).translate(_PLAIN)
    for pattern, form in ((_BRACKETED, "\nVerdict:"), (_CAGED, "\\1\\2"), (_LINE_MARK, "\\1Verdict:")):
        text = pattern.sub(form, text)
    return text


class Firmness(IntEnum):
    """How firmly a verdict is declared."""

    CLAIMED = 1
    CONCLUDING = 2
    MARKED = 3
    LEADING = 4


@dataclass(frozen=True, slots=True)
class Declaration:
    """A declared verdict. first: P(first): 1, 0, or 0.5 for a tie. strength: how firmly. place: where in the
    text.
    """

    first: float
    strength: Firmness
    place: int


def _any(words: str) -> str:
    """A pattern of alternatives, which are separated by blanks. ~ stands for a blank."""
    return f"(?:{'|'.join(words.split()).replace('~', ' ')})"


_NOUN = _any("output response answer option assistant model candidate completion choice text reply")
_OPEN, _CLOSE = r"[\s'\"(\[{<]{0,4}", r"[\s'\")\]}>]{0,4}?"
_GOOD = _any("better best superior preferable preferred stronger winner favou?red winning")
_DENIED = _any("not never no less hardly worse equally neither than as")
_ADVERBS = rf"(?:(?!{_DENIED} )\w{{1,14}} ){{0,3}}?"
_IS = _any("is was would~be seems appears remains stands~out~as")
_BEATS = r"(?:clearly |narrowly )?" + _any("outperforms beats surpasses")
_CHOOSE = _any("choose chose pick picked select selected prefer favou?r go~with vote~for")
_MARK = _any("verdict judge?ment preference winner")
_WEAK_MARK = _any("answer choice decision selection conclusion")
_BEST = rf"(?:better|best|preferred|winning) (?:{_NOUN}|one|of the two)"
_LIMITS = _any("in~terms~of if when with~respect~to with~regards?~to regarding only")
_END = rf"(?=\s*(?:$|[\n.,;:!?)\]}}>'\"-]|{_any('is because since as wins over due for')}\b))"

_CONCLUDES = re.compile(
    rf"\b{_any('therefore thus hence overall ultimately consequently accordingly finally so')}\b"
    rf"|\b{_any('in~conclusion in~summary to~conclude to~sum~up all~in~all as~a~result based~on')}\b"
    rf"|\b{_any('conclude conclusion determined decided decision')}\b"
)
_UNMEANT = re.compile(
    rf"\b{_any('not never neither cannot hardly whether if unless than either which')}\b"
    r"|n't\b|\bn?or(?: the)? ?$"
    rf"|\b{_any('argu claim assert contend maintain')}\w{{0,4}}\b"
    rf"|\b{_any('assistant evaluator evaluation debate output response it he she they')}\b.{{0,40}}"
    rf"\b{_any('say state suggest believe think conclude favor prefer')}\w{{0,3}}\b"
)
_OPENER = _any("so therefore thus hence overall finally and in conclusion my our the final i would say is")
_OPENING = re.compile(rf"[\s#>'\"(-]{{0,20}}(?:{_OPENER},? ){{0,6}}\Z")
_IS_WEAK = re.compile(_WEAK_MARK, re.IGNORECASE)
_OTHER_TOO = re.compile(
    r"[\s'\")\]}]{0,4}(?:or|and|/|&|vs\.?|versus)[\s'\"(\[{]{1,4}(?:the )?(?:\w{1,12} ?\(?)?\w{1,12}"
)
_BREAK = ".,;:!?\n"
_SENTENCE = ".!?\n"
_SENTENCE_END = re.compile(r"[.!?\n]")


@dataclass(frozen=True, slots=True)
class NamePatterns:
    """The patterns of one pair of output names. Each match holds one group: f..., s... or t... for a tie."""

    leading: re.Pattern[str]
    alone: re.Pattern[str]
    marked: re.Pattern[str]
    claimed: re.Pattern[str]
    concluded: re.Pattern[str]
    repeated: re.Pattern[str]

    @classmethod
    def of(cls, first: str, second: str) -> NamePatterns:
        """The patterns of these names, without regard to case."""
        return _labels(first.casefold(), second.casefold())

    @staticmethod
    def meaning(found: re.Match[str]) -> float:
        """P(first) that a match declares: 1, 0, or 0.5 for a tie."""
        assert found.lastgroup is not None  # every match holds a label
        return {"f": 1.0, "s": 0.0, "t": 0.5}[found.lastgroup[0]]


@lru_cache(maxsize=64)
def _labels(first: str, second: str) -> NamePatterns:
    name = f"(?:(?P<f>{re.escape(first)})|(?P<s>{re.escape(second)}))"
    ordinal = "(?:(?P<f>first)|(?P<s>second))"  # of the outputs as shown
    sure = rf"(?:\b(?:the )?{_NOUN}{_OPEN}{name}(?!\w){_CLOSE}|[(\[]{{1,2}}\s?{name}\s?[)\]]{{1,2}})"
    nth = rf"(?:\bthe {ordinal}\b(?: (?:{_NOUN}|one)\b)?|\b{ordinal} (?:{_NOUN}|one)\b)"
    bare = rf"(?<![\w-])(?<!\w'){name}(?![\w-]|'\w)"
    tie = "(?P<t>(?:a )?(?:tie|draw))"
    subject = f"(?:{sure}|{nth}|{bare})"
    object_ = f"(?:{sure}|{nth}|{bare}{_END})"
    head = rf"[\s#>'\"-]{{0,20}}(?:{sure}|{nth}|[('\"\[]{{0,2}}{bare})"
    digit = "(?:(?P<f>1)|(?P<s>2))"  # of the outputs as shown, where that is no name
    number = rf"(?:{_NOUN} ?#?)?{digit}"
    mark = rf"\b(?:verdict|winner|{_BEST}) {{0,3}}(?:is|:|=)"
    line = rf"{mark} {{0,3}}['\"(]{{0,2}}{number}[ .)'\"]{{0,4}}(?=\n|\Z)"
    numbered = "" if {first, second} & {"1", "2"} else f"|{line}"
    ordered = "" if {first, second} & {"1", "2"} else rf"|\A[\s#>'\"(\[-]{{0,20}}(?:the )?{_NOUN} ?#?{digit}"
    third = "|(?P<t>c)" if {first, second} == {"a", "b"} else ""
    return NamePatterns(
        leading=_compile(
            rf"\A(?:{head}['\")\]]{{0,3}}(?:\s{{0,4}}(?:\Z|\n|[.,;!>(]|- )"
            rf"|\s{{1,4}}(?:is\s{_ADVERBS}{_GOOD}|because|since|wins)\b)"
            r"|[\s#>'\"-]{0,20}(?P<t>tie)[ .!'\"]{0,4}(?:\n|\Z))"
        ),
        alone=_compile(rf"(?:(?:\A|\n){head}{ordered})[\s.!'\")\]]{{0,20}}\Z"),
        marked=_compile(
            rf"\b(?:{_MARK}|{_BEST}|{_WEAK_MARK}) {{0,3}}(?:is|:|=|->?|=>)"
            rf"(?:[ :'\"]{{0,4}}(?:{object_}|{tie}{_END})|\s{{1,4}}{head}[ '\".)]{{0,4}}(?=\n|\Z))"
            rf"|\[\[ ?(?:(?:the )?(?:{_NOUN} ?\(?)?{name}\)? ?(?:>[^\]\n]{{1,14}})?|{tie}"
            rf"|(?P<t>\w{{1,12}} ?= ?\w{{1,12}}){third}) ?\]\]{numbered}"
        ),
        claimed=_compile(
            rf"{subject}(?:'s)?\s{{1,3}}(?:{_IS}\s{_ADVERBS}{_GOOD}|wins|{_BEATS})\b(?!\s{{1,3}}{_LIMITS}\b)"
            rf"|\b{_CHOOSE}[\s:]{{1,3}}{object_}"
        ),
        concluded=_compile(
            rf"\b{_any('therefore thus hence consequently accordingly in~conclusion so')}[,:] {{1,3}}"
            rf"{subject}['\")\]]{{0,3}}(?:[.!][ '\")\]]{{0,4}}(?=\n|\Z)| {{0,4}}\n)"  # not cut
        ),
        repeated=re.compile(
            rf"(?<!\w)({re.escape(first)}|{re.escape(second)}) {{1,2}}"
            rf"[(\[](?:the )?(?:{_NOUN}[ (]{{1,2}})?\1[)\]]{{1,2}}",
            re.IGNORECASE,
        ),
    )


def _compile(pattern: str) -> re.Pattern[str]:
    """The pattern with its label groups numbered apart."""
    counts = dict.fromkeys("fst", 0)

    def numbered(match: re.Match[str]) -> str:
        counts[match[1]] += 1
        return f"(?P<{match[1]}{counts[match[1]]}>"

    return re.compile(re.sub(r"\(\?P<([fst])>", numbered, pattern), re.IGNORECASE)


def declarations(text: str, labels: NamePatterns) -> Iterator[Declaration]:
    """All verdicts that a plain text declares, in no order. At most one is leading."""
    text = labels.repeated.sub(r"\1", text)  # Verdict: B (Output B)
    if lead := labels.leading.match(text):
        yield Declaration(NamePatterns.meaning(lead), Firmness.LEADING, 0)
    if alone := labels.alone.search(text, max(0, len(text.rstrip()) - 80)):
        yield Declaration(NamePatterns.meaning(alone), Firmness.MARKED, alone.start())
    for found in labels.marked.finditer(text):
        if _is_meant(text, found):
            yield Declaration(NamePatterns.meaning(found), _strength(text, found, marked=True), found.start())
    for found in labels.concluded.finditer(text):
        if _is_meant(text, found):
            yield Declaration(NamePatterns.meaning(found), Firmness.CONCLUDING, found.start())
    for found in labels.claimed.finditer(text):
        if _is_meant(text, found):
            yield Declaration(NamePatterns.meaning(found), _strength(text, found), found.start())


def _is_meant(text: str, found: re.Match[str]) -> bool:
    """Whether a claim is made, and not denied, asked, reported, conditional or made of both outputs."""
    before = _before(text, found)
    clause = before[_after_last(before, _BREAK) :]
    if _UNMEANT.search(clause) or _OTHER_TOO.match(text, found.end()):
        return False
    stop = _SENTENCE_END.search(text, found.end(), found.end() + 200)
    return stop is None or stop[0] != "?"


def _strength(text: str, found: re.Match[str], *, marked: bool = False) -> Firmness:
    """The strength of a mark: in brackets or at the beginning of a line it is marked, else it is a claim."""
    before = _before(text, found)
    if marked and (found[0].startswith("[[") or _OPENING.match(before[before.rfind("\n") + 1 :])):
        return Firmness.CONCLUDING if _IS_WEAK.match(found[0]) else Firmness.MARKED
    if _CONCLUDES.search(before, _after_last(before, _SENTENCE)):
        return Firmness.CONCLUDING
    return Firmness.CLAIMED


def _before(text: str, found: re.Match[str]) -> str:
    return text[max(0, found.start() - 160) : found.start()].casefold()


def _after_last(text: str, marks: str) -> int:
    return max(text.rfind(mark) for mark in marks) + 1
