"""The reports of `farm people` as records, and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from db.ids import Json
from farm.statistics.alt_test import AltTest
from farm.statistics.bootstrap import Interval
from farm.statistics.label_budget import LabelPlan
from farm.statistics.prediction_powered import PredictionPowered
from farm.statistics.rogan_gladen import RoganGladen


@dataclass(frozen=True)
class Replacement:
    """The alternative annotator tests of one annotator, one for each epsilon.

    refused: why there is no test; "" where there are tests.
    """

    annotator: str
    tests: tuple[AltTest, ...]
    refused: str = ""

    def to_json(self) -> dict[str, Json]:
        """The tests as JSON; rates are shares."""
        tests: list[Json] = [
            {
                "epsilon": test.epsilon,
                "winning_rate": test.winning_rate,
                "advantage": test.advantage,
                "passes": test.passes,
                "people": [asdict(person) for person in test.people],
                "left_out": list(test.left_out),
                "n": test.n,
                "n_failed": test.n_failed,
            }
            for test in self.tests
        ]
        return {"annotator": self.annotator, "tests": tests, "refused": self.refused or None}


@dataclass(frozen=True)
class Counts:
    """What an estimate rests on. instructions: those of its labels, or of the verdicts where it has no label.

    labels: questions that people labelled. verdicts: questions with a verdict of the judge.
    """

    instructions: int
    labels: int
    verdicts: int


@dataclass(frozen=True)
class PeopleWinRate:
    """One win rate, by a judge and as people would give it. Rates are shares in [0, 1].

    of: the model, or `first output`. pool: the number of questions that the judge was asked. judge: the
    judge's own win rate. people: the win rate from people's labels alone. corrected: Rogan and Gladen's, or
    why it was refused. powered: the prediction-powered one, or why it was refused. plan: the labels for the
    wanted half-width, or why there is no plan; None where no plan was asked for. n_failed: questions of the
    pool without a verdict of the judge. outside: questions with people's labels that do not count.
    judge_counts, people_counts: what the judge's and people's own win rates rest on."""

    of: str
    annotator: str
    pool: int
    judge: Interval | None
    people: Interval | None
    corrected: RoganGladen | str
    powered: PredictionPowered | str
    plan: LabelPlan | str | None
    n_failed: int
    outside: int
    judge_counts: Counts
    people_counts: Counts

    def counts(self) -> dict[str, Counts]:
        """What each estimate that was not refused rests on, by its name in the JSON."""
        made = {}
        if self.judge:
            made["judge"] = self.judge_counts
        if self.people:
            made["people"] = self.people_counts
        if not isinstance(self.corrected, str):
            found = self.corrected
            verdicts = found.n + found.n_calibration
            made["rogan_gladen"] = Counts(found.n_instructions, found.n_calibration, verdicts)
        if not isinstance(self.powered, str):
            labels = self.powered.n
            verdicts = labels + self.powered.n_unlabelled - self.powered.n_failed
            made["prediction_powered"] = Counts(self.powered.n_instructions, labels, verdicts)
        return made

    def to_json(self) -> Json:
        """The estimates as JSON; a refused one is an object with the reason under `refused`.

        counts: what each estimate rests on: instructions, labels and verdicts.
        """
        return {
            "of": self.of,
            "annotator": self.annotator,
            "pool": self.pool,
            "n_failed": self.n_failed,
            "outside": self.outside,
            "judge": _json(self.judge),
            "people": _json(self.people),
            "prediction_powered": _json(self.powered),
            "rogan_gladen": _json(self.corrected),
            "plan": _json(self.plan),
            "counts": {name: asdict(each) for name, each in self.counts().items()},
        }


def _json(found: Interval | PredictionPowered | RoganGladen | LabelPlan | str | None) -> Json:
    if found is None:
        return None
    return {"refused": found} if isinstance(found, str) else asdict(found)
