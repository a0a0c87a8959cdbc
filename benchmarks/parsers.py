"""Compares our parsers with the recorded verdicts, on replies of real judges.

    python benchmarks/parsers.py --data FOLDER --out benchmarks/results/parsers

FOLDER has preference rows: llmbar_judge_*.jsonl.gz and optionally judgebench, vicuna_blog_eval and weighted
AlpacaEval annotations. A reply is read at its end where the prompt asked for reasons, in the first round
(CoT) or in the second (Swap). All other replies are read at their beginning. Nothing else is set by judge or
strategy.

LLMBar's own rule is not published, but it can be inferred. It looks for a label at the beginning of a line,
or for "Output (x) is better", or for the second and then the first, and it looks for (a) before (b). For each
judge and strategy those rules are kept that give every recorded verdict. They explain differences: when (a)
and (b) are exchanged in a reply, the verdict of a sound rule is exchanged too. A rule that still says (a)
depends on the order of its checks.
"""

from __future__ import annotations

import argparse
import gzip
import json
import platform
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from annotators.clients.request import TokenLogprob
from annotators.judgement import Verdict
from annotators.parsers import ReplyText, parser_of, read_verdicts
from annotators.spec import AnnotatorSpec, OutputNames, ParserSpec
from db.ids import Json
from db.records import AnnotatorKind

Row = dict[str, Any]

CHECK_ORDER = "recorded (a) because (a) is looked for first: exchanging the labels leaves the record at (a)"
LINE_START = "recorded the label that begins a line, though the reply declares the other output better"
TURNED = "the reply begins with one verdict and ends with the other: recorded the first, ours the last"
OTHER = "other"
ALONE = "read by us alone"
UNREAD = "unread: no verdict is declared"
WHY = {
    CHECK_ORDER: "the record says how the reply was searched, not what it says. The rules that give all"
    " records of the judge look for (a) in the whole reply first. We exchange (a) and (b) everywhere in it:"
    " whoever reads its meaning must now say the other output, and every such rule says (a) again.",
    TURNED: "the reply contradicts itself. Its prompt asked for the verdict at the end, where ours reads it.",
    LINE_START: "a line begins by finding fault with one output, its last sentence concludes for the other;"
    " the rule that gives all records of the judge takes the label at the beginning of the line.",
    ALONE: "the choice is declared in other words than upstream's pattern, or behind a mark of layout.",
    UNREAD: "neither output is said to be better: both or neither are, or the question is refused, or"
    " features are listed, or one output is called wrong. Upstream's pattern fits a part of it.",
}
"""Class of difference -> why the record is not what the reply says."""
OPENED = "opens with (b); (a) is nowhere called better, but begins a later line or sentence"
REPORTED = "reports what somebody said for (a), and decides for (b)"
LIMITED = "calls (a) better in one respect, on a condition or in a part of its own, and concludes for (b)"


@dataclass
class Tally:
    """Counts of the replies of one judge, or of all."""

    recorded: int = 0  # replies with a recorded verdict
    same: int = 0  # ours is the recorded verdict
    differ: Counter[str] = field(default_factory=Counter)  # ours is another verdict, by class
    unread: Counter[str] = field(default_factory=Counter)  # recorded, but not read by us, by reason
    more: int = 0  # read by us alone
    neither: int = 0  # without a verdict on both sides

    def to_json(self) -> dict[str, Json]:
        """The counts and their shares."""
        sound = self.recorded - sum(self.differ[name] for name in (CHECK_ORDER, LINE_START))
        differ, unread = self.differ.total(), self.unread.total()
        return {
            "recorded": self.recorded,
            "same": self.same,
            "same_share": self.same / max(self.recorded, 1),
            "differ": differ,
            "differ_share": differ / max(self.recorded, 1),
            "differ_share_where_the_record_is_sound": (self.differ[OTHER] + self.differ[TURNED])
            / max(sound, 1),
            "unread": unread,
            "unread_share": unread / max(self.recorded, 1),
            "read_by_us_alone": self.more,
            "read_by_neither": self.neither,
        }


def rows(path: Path) -> Iterator[Row]:
    """Stream the rows of a gzipped file of JSON lines."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def replies(files: Iterable[Path]) -> Iterator[Row]:
    """Stream the rows with a reply."""
    return (row for path in files for row in rows(path) if row["raw_completion"] is not None)


def spec(parser: str, names: OutputNames, **options: Json) -> AnnotatorSpec:
    """An annotator with this parser, names of outputs and options of the parser."""
    return AnnotatorSpec("bench", AnnotatorKind.LLM, outputs=names, parser=ParserSpec(parser, options))


def shown_first(row: Row) -> float | None:
    """The recorded verdict as P(the output shown first is preferred); None where there is none."""
    if row["preference"] is None:
        return None
    first = {1: 1.0, 2: 0.0, 0: 0.5}[row["preference"]]
    return 1 - first if row["order_swapped"] else first


def mirrored(text: str) -> str:
    """The reply with the labels exchanged."""
    return re.sub(r"\(([ab])\)", lambda found: "(b)" if found[1] == "a" else "(a)", text)


def _looked_for(pattern: str, text: str) -> float | None:
    """1 where the pattern fits with (a), else 0 where it fits with (b), else None."""
    for label, first in (("a", 1.0), ("b", 0.0)):
        if re.search(pattern.format(label), text):
            return first
    return None


def by_line(text: str) -> float | None:
    """The rule that takes a label at the beginning of a line."""
    return _looked_for(r"(?:^|\n) ?Output \({}\)", text)


def by_claim(text: str) -> float | None:
    """The rule that takes "Output (x) is better"."""
    return _looked_for(r"Output \({}\) is better", text)


def by_claim_or_line(text: str) -> float | None:
    """The rule `by_claim`, and where it finds nothing, `by_line`."""
    claimed = by_claim(text)
    return by_line(text) if claimed is None else claimed


Rule = Callable[[str], float | None]
RULES: tuple[Rule, ...] = (by_line, by_claim, by_claim_or_line)


def inferred_rules(read: Iterable[Row]) -> dict[str, tuple[Rule, ...]]:
    """By annotator, the rules that give all of its recorded verdicts."""
    left: dict[str, tuple[Rule, ...]] = {}
    for row in read:
        rules = left.get(row["annotator"], RULES)
        recorded = shown_first(row)
        left[row["annotator"]] = tuple(rule for rule in rules if rule(row["raw_completion"]) == recorded)
    return left


def difference(text: str, recorded: float, rules: tuple[Rule, ...]) -> str:
    """The class of a difference between our reading and the record."""
    begun = re.match(r"\s*Output \(([ab])\) is better", text)
    if begun and recorded == (1.0 if begun[1] == "a" else 0.0):
        return TURNED
    if rules and all(rule(mirrored(text)) == recorded for rule in rules):
        return CHECK_ORDER
    if rules == (by_line,) and by_claim(text) is not None:
        return LINE_START
    return OTHER


def form(text: str) -> str:
    """The form of a reply of the class CHECK_ORDER, in which (b) is declared better."""
    if "Output (a) is better" in text:
        return REPORTED if "Assistant (a)" in text else LIMITED
    return OPENED if re.match(r"\s*Output \(b\)", text) else OTHER


def llmbar(
    files: Sequence[Path], examples: dict[str, list[dict[str, Json]]], forms: Counter[str]
) -> dict[str, Tally]:
    """Tallies by judge.

    Two arguments are filled: examples, with up to 10 rows of each class of difference, and forms, with the
    number of replies of the class CHECK_ORDER by form.
    """
    names = OutputNames("a", "b")
    parsers = {start: parser_of(spec("verdict", names, start=start)) for start in (True, False)}
    tallies: dict[str, Tally] = {}
    rules = inferred_rules(replies(files))
    for row in replies(files):
        judge, strategy = row["annotator"].split("/")
        reasons = "CoT" in strategy or strategy.startswith("Swap")
        verdict = read_verdicts(parsers[not reasons], ReplyText(row["raw_completion"]), 1)[0]
        found = _count(tallies.setdefault(judge, Tally()), row, verdict, rules[row["annotator"]])
        if found and len(examples.setdefault(found, [])) < 10:
            examples[found].append(_example(row, verdict.first))
        if found == CHECK_ORDER:
            forms[form(row["raw_completion"])] += 1
    return tallies


def _count(tally: Tally, row: Row, verdict: Verdict, rules: tuple[Rule, ...]) -> str:
    """Count one row. Returns the class of its difference, or an empty text where there is none."""
    recorded, ours, reason = shown_first(row), verdict.first, verdict.reason or ""
    if recorded is None:
        tally.neither += ours is None
        tally.more += ours is not None
        return "" if ours is None else ALONE
    tally.recorded += 1
    if ours is None:
        tally.unread[reason] += 1
        return f"unread: {reason}"
    if ours == recorded:
        tally.same += 1
        return ""
    name = difference(row["raw_completion"], recorded, rules)
    tally.differ[name] += 1
    return name


def _example(row: Row, ours: float | None) -> dict[str, Json]:
    """A row's names and both verdicts, without the reply."""
    which = {name: row[name] for name in ("item_id", "annotator", "order_swapped")}
    return which | {"recorded_first": shown_first(row), "ours_first": ours}


def total(tallies: Iterable[Tally]) -> Tally:
    """The sum of tallies."""
    whole = Tally()
    for each in tallies:
        whole.recorded += each.recorded
        whole.same += each.same
        whole.more += each.more
        whole.neither += each.neither
        whole.differ.update(each.differ)
        whole.unread.update(each.unread)
    return whole


def other_judges(data: Path) -> Iterator[dict[str, Json]]:
    """Counts for other forms of replies, where their files exist: brackets, ratings, log-probabilities."""
    brackets = spec("verdict", OutputNames("A", "B"))
    ratings = spec("rating", OutputNames("1", "2"), low=0)
    for name, annotator in (("judgebench", brackets), ("vicuna_blog_eval", ratings)):
        if (path := data / f"{name}.jsonl.gz").exists():
            parser, counts = parser_of(annotator), Counter[str]()
            for row in rows(path):
                if row["raw_completion"] and (recorded := shown_first(row)) is not None:
                    ours = read_verdicts(parser, ReplyText(row["raw_completion"]), 1)[0].first
                    counts["same" if ours == recorded else "unread" if ours is None else "differ"] += 1
            yield {"source": name, "parser": annotator.parser.name, **counts}
    path = data / "alpaca_eval" / "annotations_weighted_alpaca_eval_gpt4_turbo.jsonl.gz"
    if path.exists():
        yield _weighted(path)


def _weighted(path: Path) -> dict[str, Json]:
    parser, worst, count = parser_of(spec("logprob", OutputNames("m", "M"), least=0.0)), 0.0, 0
    for row in rows(path):
        if row["raw_completion"] is None or row["order_swapped"] is None or row["preference"] is None:
            continue
        tops = tuple(TokenLogprob(*pair) for pair in row["raw_completion"]["top_logprobs"][0].items())
        said = max(tops, key=lambda each: each.logprob).token
        first = read_verdicts(parser, ReplyText(said, (tops,)), 1)[0].first
        model = first if row["order_swapped"] or first is None else 1 - first
        worst = max(worst, 1.0 if model is None else abs(model - (row["preference"] - 1)))
        count += 1
    return {"source": path.name, "parser": "logprob", "same": count, "largest_difference": worst}


def markdown(result: dict[str, Any]) -> str:
    """The result as a page."""
    whole = result["llmbar"]["all"]
    lines = [
        "# Parsers against recorded replies\n",
        f"Made by `{result['command']}` in {result['seconds']:.0f} s.\n",
        f"Of {whole['recorded']:,} replies from which upstream read a verdict, ours read the same in"
        f" {whole['same_share']:.2%}, another in {whole['differ_share']:.2%}, none in"
        f" {whole['unread_share']:.3%}; another in"
        f" {whole['differ_share_where_the_record_is_sound']:.3%} where the record does not hang on the order"
        " of upstream's checks.\n",
        "| judge | recorded | same | differ | unread | read by us alone | by neither |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, each in result["llmbar"].items():
        counts = ("recorded", "same", "differ", "unread", "read_by_us_alone", "read_by_neither")
        lines.append(f"| {name} | " + " | ".join(f"{each[key]:,}" for key in counts) + " |")
    lines += ["\n## Every difference by class\n", "| class | rows | example |", "|---|---|---|"]
    for name, each in result["classes"].items():
        first = each["examples"][0]
        order = "second output first" if first["order_swapped"] else "first output first"
        lines.append(f"| {name} | {each['rows']} | {first['item_id']}, {first['annotator']}, {order} |")
    lines += ["\nWhy the record is not what the reply says:\n"]
    lines += [f"- **{name}**: {WHY[name]}" for name in result["classes"] if name in WHY]
    lines += [f"\nThe replies of the class *{CHECK_ORDER}*:\n"]
    lines += ["| what they look like | rows |", "|---|---|"]
    lines += [f"| {name} | {n} |" for name, n in result["forms_of_check_order"].items()]
    lines += ["\n## Other judges\n", "| source | parser | same | differ | unread | largest difference |"]
    lines += ["|---|---|---|---|---|---|"]
    for each in result["other_judges"]:
        cells = [each.get(key, "") for key in ("source", "parser", "same", "differ", "unread")]
        worst = f"{each['largest_difference']:.1e}" if "largest_difference" in each else ""
        lines.append("| " + " | ".join(map(str, [*cells, worst])) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Compare all replies of a folder, and print and write the results."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--data", type=Path, required=True, help="the folder of recorded replies")
    options.add_argument("--out", type=Path, help="write OUT.json and OUT.md")
    chosen = options.parse_args()
    files = sorted(chosen.data.glob("llmbar_judge_*.jsonl.gz"))
    if not files:
        sys.exit(f"{chosen.data}: no llmbar_judge_*.jsonl.gz there")
    begun = time.perf_counter()
    examples: dict[str, list[dict[str, Json]]] = {}
    forms: Counter[str] = Counter()
    tallies = llmbar(files, examples, forms)
    tallies["all"] = whole = total(tallies.values())
    rows_of = whole.differ + Counter({f"unread: {reason}": n for reason, n in whole.unread.items()})
    rows_of[ALONE] = whole.more
    result: dict[str, Any] = {
        "command": "python benchmarks/parsers.py --data FOLDER",
        "llmbar": {name: each.to_json() for name, each in tallies.items()},
        "classes": {name: {"rows": n, "examples": examples[name]} for name, n in rows_of.most_common() if n},
        "forms_of_check_order": dict(forms.most_common()),
        "other_judges": list(other_judges(chosen.data)),
        "environment": {"python": platform.python_version(), "machine": platform.machine()},
    }
    result["seconds"] = time.perf_counter() - begun
    print(markdown(result))
    if chosen.out:
        chosen.out.with_suffix(".json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
        chosen.out.with_suffix(".md").write_text(markdown(result))


if __name__ == "__main__":
    main()
