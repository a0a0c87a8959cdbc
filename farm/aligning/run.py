"""The search: a proposer reads disagreements, candidates are judged, the best of them is tested once.

1. The judge judges the training side. The proposer reads pairs on which people disagree with it, and writes
   rules. Each rule makes a candidate.
2. Judge and candidates judge the validation side. The candidate with which people agree most is the best so
   far; the next round starts from it.
3. Only where the best gains something on the validation side, it and the judge judge the test side. It is
   accepted where the interval of its gain there lies above 0.

The test side takes no part in 1 and 2, so choosing among many candidates does not make a false acceptance
likelier. Everything is asked through the ledger's claims. So the same command goes on where it was stopped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TypeAlias

from annotators.composite import AnyAnnotator
from annotators.spec import AnnotatorSpec
from db.errors import ConfigError
from db.ids import Json
from db.ledger import Ledger, PairFilter
from db.queries.costs import PROPOSING
from db.records import AnnotatorKind
from db.whole_files import Kind, write_bytes_whole
from farm.aligning.candidates import LINEAGE, Candidate, begin_folder, files_of, write_files
from farm.aligning.proposals import (
    ProposedRule,
    ReadPair,
    differing,
    disagreements,
    request_for,
    rules_in,
    shown,
)
from farm.aligning.report import Alignment, PaidNow, Tried
from farm.aligning.verdicts import JudgesCompared, compared, verdicts
from farm.aligning.votes import Side, people_votes
from farm.judging.asking_once import Answered, ask_once
from farm.judging.at_work import AnnotateReport, AnnotatorAtWork, account_of
from farm.judging.provider import Provider, Task
from farm.options.align import AlignTask
from farm.progress import Progress
from farm.statistics.agreement import Floats

Load: TypeAlias = Callable[[str], AnyAnnotator]
"""Loads an annotator by its name or path, with the changes of the provider."""

REPORT = "alignment.json"
OURS = Kind(b'{\n "alignment": ')


def judge_of(load: Load, name: str) -> AnnotatorSpec:
    """The judge of this name. Raises ConfigError where it has no prompt of its own."""
    found = load(name)
    if isinstance(found, AnnotatorSpec) and found.kind is AnnotatorKind.LLM and found.prompt:
        return found
    what = f"{found.name} is no language model with a prompt, so no rule can be added to it"
    raise ConfigError(what, where=name, remedy="name one judge, such as plain; `farm annotators` lists them")


class Search:
    """One alignment. Raises ConfigError where it cannot begin; see `run`."""

    def __init__(
        self,
        ledger: Ledger,
        task: AlignTask,
        load: Load,
        *,
        proposer: str,
        provider: Provider,
        progress: Progress,
    ) -> None:
        self._ledger, self._task, self._load = ledger, task, load
        self._proposer, self._provider, self._progress = proposer, provider, progress
        spec = judge_of(load, task.judge)
        self._base = Candidate(spec.name, Path(task.judge), spec, parent="", rules=())
        self._votes = people_votes(ledger, task)
        self._account = account_of(provider)
        self._paid = {who: PaidNow() for who in ("judge", "proposer", "candidates")}
        self._left_out: list[ProposedRule] = []
        self._known: dict[tuple[str, Side], Floats] = {}

    def run(self) -> Alignment:
        """Search, and write the folder.

        Raises ConfigError where there is nothing to learn from, RunStopped where the provider or the budget
        ends the run early. What was asked until then is in the ledger.
        """
        self._begin_folder()
        tried: list[Tried] = []
        for round_ in range(1, self._task.rounds + 1):
            best = _best(tried)
            for candidate in self._candidates(best or self._base, round_):
                tried.append(Tried(candidate, self._compare(candidate, Side.VALIDATION)))
        best = _best(tried)
        rows = self._votes.of(Side.TRAIN)
        found = Alignment(
            judge=self._base.name,
            fingerprint=self._base.spec.fingerprint,
            out=self._task.out,
            people=self._task.people,
            proposer=self._proposer,
            pairs={side.value: len(self._votes.of(side)) for side in Side},
            differ=int(differing(rows, self._verdicts(self._base, Side.TRAIN)).sum()),
            tried=tuple(tried),
            left_out=tuple(self._left_out),
            best=best,
            test=self._compare(best, Side.TEST) if best else None,
            level=self._task.level,
            paid=self._paid,
        )
        self._end_folder(found)
        return found

    def _candidates(self, parent: Candidate, round_: int) -> Iterator[Candidate]:
        """Let the proposer read where people and the parent differ; a candidate for each usable rule."""
        rows = self._votes.of(Side.TRAIN)
        ids = disagreements(rows, self._verdicts(parent, Side.TRAIN), self._task, round_)
        if not ids:
            what = f"people and {parent.name} differ on no pair of the training side: nothing can be learnt"
            raise ConfigError(what, where=self._task.judge, remedy="let people judge more, or use this judge")
        read = shown(self._ledger, rows, ids)
        answered = self._propose(parent, read)
        rules = rules_in(answered.text, self._task.rules, parent.rules)
        if not rules:
            what = f"{self._proposer} wrote no line that begins with Rule: ({answered.text[:120]!r})"
            raise ConfigError(what, where="--proposer", remedy="ask another model, or with another --read")
        for number, rule in enumerate(rules, 1):
            if rule.why:
                self._left_out.append(rule)
                continue
            yield self._written(parent, rule.text, answered, read=read, place=(round_, number))

    def _propose(self, parent: Candidate, read: list[ReadPair]) -> Answered:
        request = request_for(self._proposer, parent.spec, read, self._task, provider=self._provider)
        answered = ask_once(self._ledger, request, PROPOSING, self._provider, account=self._account)
        self._pay("proposer", answered)
        return answered

    def _written(
        self,
        parent: Candidate,
        rule: str,
        answered: Answered,
        *,
        read: list[ReadPair],
        place: tuple[int, int],
    ) -> Candidate:
        """Write a candidate's folder and load it as `farm annotate` would. place: round and number."""
        name = f"{self._task.out.absolute().name}-{place[0]}-{place[1]}"
        rules, folder = (*parent.rules, rule), self._task.out / "candidates" / name
        keys = tuple(each.pair.key for each in read)
        lineage: dict[str, Json] = {
            "judge": self._base.name,
            "judge_fingerprint": self._base.spec.fingerprint,
            "from": parent.name,
            "from_fingerprint": parent.spec.fingerprint,
            "rules": list(rules),
            "proposer": self._proposer,
            "completion": answered.claim_id,
            "people": self._task.people,
            "read": list(keys),
        }
        write_files(folder, files_of(str(parent.folder), parent.spec, name, rule, lineage=lineage))
        spec = judge_of(self._load, str(folder))
        return Candidate(name, folder, spec, parent=parent.name, rules=rules, round=place[0], read=keys)

    def _compare(self, candidate: Candidate, side: Side) -> JudgesCompared:
        judge, mine = self._verdicts(self._base, side), self._verdicts(candidate, side)
        return compared(self._votes.of(side), judge, mine, self._task.level)

    def _verdicts(self, judge: Candidate, side: Side) -> Floats:
        """What a judge says of one side; it is asked for what it has not judged."""
        key = judge.spec.fingerprint, side
        if key not in self._known:
            ids = self._votes.ids(side)
            at_work = AnnotatorAtWork(self._ledger, judge.spec, Task(), self._provider, account=self._account)
            self._pay(
                "candidates" if judge.rules else "judge",
                at_work.judge(PairFilter(ids=ids), self._progress),
            )
            said = verdicts(self._ledger, at_work.annotator.fingerprint, ids)
            self._known[key] = said
        return self._known[key]

    def _pay(self, who: str, asked: Answered | AnnotateReport) -> None:
        self._paid[who] = self._paid[who].plus(asked.requests, asked.tokens, asked.cost)

    def _begin_folder(self) -> None:
        """Say in the folder which alignment it is of. Raises ConfigError where it is something else's."""
        asked: dict[str, Json] = {
            **{name: value for name, value in asdict(self._task).items() if name != "out"},
            "judge_fingerprint": self._base.spec.fingerprint,
            "proposer": self._proposer,
            "votes": self._votes.key,
        }
        begin_folder(self._task.out, asked, "an alignment")

    def _end_folder(self, found: Alignment) -> None:
        """Write the report. An accepted candidate's files become those of the folder itself."""
        text = json.dumps({"alignment": found.to_json()}, indent=1, ensure_ascii=False) + "\n"
        write_bytes_whole(self._task.out / REPORT, text.encode(), OURS)
        if found.best and found.accepted:
            names = ("annotator.yaml", "prompt.jinja", LINEAGE)
            files = {each: (found.best.folder / each).read_text(encoding="utf-8") for each in names}
            write_files(self._task.out, files)


def _best(tried: list[Tried]) -> Candidate | None:
    """The candidate with the largest gain, the first of equal ones; None where none has one."""
    found = max(tried, key=lambda each: each.gain, default=None)
    return found.candidate if found and found.gain > 0 else None
