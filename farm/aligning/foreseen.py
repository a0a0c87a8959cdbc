"""What an alignment would ask and cost, before anything is asked.

Rules are not known yet, so candidates are estimated as the judge with a rule of the usual length. A test is
counted though it may not take place. What the judge has judged already costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from annotators.clients.budget import Estimate, estimate
from annotators.prices import Price, PriceTable
from annotators.spec import AnnotatorSpec
from db.ledger import Ledger, PairFilter
from farm.aligning.candidates import with_rule
from farm.aligning.proposals import request_for, shown
from farm.aligning.run import Load, judge_of
from farm.aligning.votes import Side, people_votes
from farm.judging.provider import Provider
from farm.judging.questions import unanswered
from farm.judging.transports import Whom, whom_of
from farm.options.align import AlignTask

USUAL_RULE = "Prefer the output that keeps to what people want, and not the one that only looks as if it did."


def foreseen(
    ledger: Ledger, task: AlignTask, load: Load, *, proposer: str, provider: Provider
) -> Mapping[str, Estimate]:
    """What would be asked of judge, proposer and candidates, the most that it can be.

    Nothing is asked and nothing is written. Raises ConfigError as the alignment would.
    """
    spec, votes = judge_of(load, task.judge), people_votes(ledger, task)
    whom = whom_of(spec, provider)
    price = PriceTable.load(provider.prices).price
    candidate = replace(spec, name="", prompt=with_rule(spec.prompt, USUAL_RULE))

    def of_judge(judge: AnnotatorSpec, *sides: Side) -> Estimate:
        return of_pairs(ledger, judge, votes.ids(*sides), whom, price=price)

    rows = votes.of(Side.TRAIN)
    read = shown(ledger, rows, [int(each) for each in rows["pair_id"].head(task.read)])
    request = request_for(proposer, spec, read, task, provider=provider)
    judged = [of_judge(candidate, Side.VALIDATION)] * (task.rules * task.rounds)
    judged += [of_judge(candidate, Side.TRAIN)] * (task.rounds - 1)
    return {
        "judge": of_judge(spec, *Side),
        "proposer": estimate([request] * task.rounds, price),
        "candidates": summed([*judged, of_judge(candidate, Side.TEST)]),
    }


def of_pairs(
    ledger: Ledger,
    judge: AnnotatorSpec,
    ids: tuple[int, ...],
    whom: Whom,
    *,
    price: Callable[[str], Price | None],
) -> Estimate:
    """What the judge would be asked of these pairs, once each. What it has judged already is left out."""
    asked = unanswered(ledger, judge, whom.endpoint, wanted=PairFilter(ids=ids), replicates=1)
    typical = judge.reply_tokens * judge.batch or float(judge.decoding.max_tokens or 0)
    return estimate(asked, price, lambda request: typical)


def summed(parts: Iterable[Estimate]) -> Estimate:
    """The sum; its cost is unknown where one of them is."""
    found = list(parts)
    costs = [each.cost for each in found if each.cost is not None]
    return Estimate(
        requests=sum(each.requests for each in found),
        prompt_tokens=sum(each.prompt_tokens for each in found),
        completion_tokens=sum(each.completion_tokens for each in found),
        cost=sum(costs) if len(costs) == len(found) else None,
    )
