"""What the arms of benchmarks/claims.yaml learn from, made in the world of one seed: pairs, labels, sets.

Everything is a row of the ledger, and what is there already is not made again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from benchmarks.claims_jobs import responses
from benchmarks.claims_parts import Arm, Pairs, plain
from db.ids import Json, canonical_json, content_hash, keyed_uniform
from db.ledger import Ledger, PairFilter
from db.queries import training
from db.queries.contests import contests
from db.queries.outputs import Source
from db.records import Annotation, AnnotatorCard, AnnotatorKind, Instruction, Membership, Output, ProducerKind
from farm.judging.provider import Provider
from farm.pair import PairTask, pair
from farm.quickstart import Stages
from farm.sample import SampleTask
from farm.snapshot import Choice, snapshot
from farm.studies.results import PEOPLE
from farm.studies.validation import SFT, Study
from farm.studies.work import Step, run
from farm.world.build import DEMONSTRATOR, set_name, splits
from farm.world.demonstrations import demonstrate
from farm.world.judges import QUIET_MODEL
from farm.world.lexicon import COURTESIES
from farm.world.people import GOLD, judge_by_gold, people

STRONG = "judge"  # the annotator that is asked by the strong model
NARROW, TEMPERATURES = 0.5, (0.5, 1.0, 1.5)  # temperatures of narrow draws, and of authors
TAUGHT = 300  # responses to learn from where a model teaches another


@dataclass(frozen=True)
class ClaimData:
    """Makes what arms learn from. models: directories by the names of arms. rows: by snapshot."""

    stages: Stages
    study: Study
    provider: Provider
    models: Mapping[str, str]
    rows: dict[str, int] = field(default_factory=dict)

    @property
    def ledger(self) -> Ledger:
        """The ledger of the world."""
        return self.stages.ledger

    def snapshot(self, pairs: Pairs) -> str:
        """The snapshot of judged pairs: the judges' own labels, or a copy of some of them with flips."""
        name = f"claims {content_hash('pairs', [canonical_json(plain(pairs))])[:12]}"
        if name not in self.rows:
            source = self.drawn(pairs.drawn)
            judges = self.judged(pairs.by, source)
            if pairs.count is not None or pairs.flips:
                judges = (self.copied(name, pairs, source, judges),)
            self.rows[name] = snapshot(self.ledger, name, Choice(judges, source)).card.rows
        return name

    def drawn(self, how: str) -> str:
        """The source of the pairs to learn from: the quickstart's, or of narrow draws."""
        study, split = self.study, set_name("preference")
        if how == "usual":
            return study.pairs
        decoding = replace(study.decoding, temperature=NARROW)
        self.sample(how, study.sft, SampleTask(split, how, 2, decoding=decoding, seed=study.seed))
        pair(self.ledger, PairTask(how, (Source(how),), split, seed=study.seed))
        return how

    def judged(self, by: str, source: str) -> tuple[str, ...]:
        """Let people, the gold utility or an annotator judge the pairs of a source. Gives their names."""
        wanted = PairFilter(source=source)
        if by == PEOPLE:
            people(self.ledger, self.stages.world, wanted, 1)
            return self.stages.people.trains
        if by == "gold":
            judge_by_gold(self.ledger, wanted)
            return (GOLD.name,)
        self.stages.ask(by, wanted, self.asked(by))
        return (by,)

    def asked(self, judge: str, model: str | None = None) -> Provider:
        """Where a judge is asked: the strong one by its own model. model: that of the judge in this world."""
        if model is not None:
            return Provider((self.models[model],))
        return replace(self.provider, models=(QUIET_MODEL,)) if judge == STRONG else self.provider

    def copied(self, name: str, pairs: Pairs, source: str, judges: Sequence[str]) -> str:
        """Write the first `count` labels in an order by hash again, some of them turned round."""
        ids = {card.id for card in self.ledger.annotators() if card.name in judges}
        found = contests(self.ledger, source)
        found = found[found["annotator"].isin(ids)].dropna(subset="label")
        said = zip(found["key"], found["pair_id"].tolist(), found["label"].tolist(), strict=True)
        first = sorted(said, key=lambda row: place(row[0]))[: pairs.count]
        seed = self.study.seed
        spec: dict[str, Json] = {"of": sorted(judges), "flips": pairs.flips, "seed": seed}
        with self.ledger.writing() as writer:
            [number] = writer.annotators([AnnotatorCard(name, AnnotatorKind.RULE, spec)])
            facts = []
            for key, pair_id, label in first:
                turned = keyed_uniform("claims flip", str(seed), key) < pairs.flips
                facts.append(Annotation(pair_id, number, label, 1 - label if turned else label, None))
            writer.annotations(facts)
        return name

    def instructions(self, arm: Arm) -> str:
        """The set that an arm learns from. Some are made for it first."""
        if arm.buys:
            return set_name("preference")
        if arm.set == "without courtesy":
            found = training.demonstrated(self.ledger, set_name("sft"))
            kept = [each.instruction for each in found if not any(c in each.output for c in COURTESIES)]
            self.members(kept, arm.set)
        elif arm.set in ("of the oracle", "of the teacher"):
            asked = list(training.instructed(self.ledger, set_name("unlabelled")))
            half = min(TAUGHT, len(asked) // 2)
            mine = asked[:half] if arm.set == "of the oracle" else asked[half : 2 * half]
            self.taught(mine, arm.set, self.models[arm.teacher or SFT])
        for author in arm.authors:
            self.written(author, arm.set)
        return arm.set

    def members(self, instructions: Sequence[Instruction], name: str) -> None:
        """Write a set of instructions."""
        with self.ledger.writing() as writer:
            writer.memberships([Membership(each, name) for each in instructions])

    def taught(self, instructions: Sequence[Instruction], name: str, model: str) -> None:
        """Write a set of instructions with the responses of a model as demonstrations."""
        job = partial(responses, model, instructions, self.study.decoding, self.study.seed)
        [texts] = self.stages.pool.each([job])
        self.members(instructions, name)
        self.demonstrate(zip(instructions, texts, strict=True), name)

    def demonstrations(self) -> str:
        """The set of the pairs, with a demonstration of each of its instructions."""
        seed = str(self.study.seed)
        tasks = splits(self.stages.world)["preference"]
        self.demonstrate([(task.instruction, demonstrate(task, seed)) for task in tasks], DEMONSTRATOR)
        return set_name("preference")

    def demonstrate(self, shown: Iterable[tuple[Instruction, str]], producer: str) -> None:
        """Write demonstrations."""
        with self.ledger.writing() as writer:
            writer.outputs([Output(asked, text, producer, ProducerKind.REFERENCE) for asked, text in shown])

    def written(self, author: str, split: str) -> None:
        """Let a model write two outputs to each instruction of a set, at each of three temperatures."""
        name, study = f"author {author}", self.study
        decodings = [replace(study.decoding, temperature=each) for each in TEMPERATURES]
        tasks = [SampleTask(split, name, 2, decoding=each, seed=study.seed) for each in decodings]
        self.sample(name, self.models[author], *tasks)

    def sample(self, name: str, model: str, *tasks: SampleTask) -> None:
        """Draw outputs of a model in another process."""
        list(self.stages.pool.each([partial(run, Step(name, self.study.ledger, samples=tasks, model=model))]))


def place(key: str) -> float:
    """The place of a pair in the order by hash, from 0 to 1."""
    return keyed_uniform("claims order", key)
