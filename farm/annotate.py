"""Let annotators judge the ledger's pairs: `farm annotate`.

A pair that was judged before is not judged again, so an interrupted run goes on when it is started again. A
failed judgement is tried again, and stored as a later attempt.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from annotators import catalogue
from annotators.clients.budget import Estimate, estimate
from annotators.clients.request import Request
from annotators.composite import AnyAnnotator, Composite
from annotators.pool import Pool, specs_of
from annotators.prices import PriceTable
from annotators.spec import AnnotatorSpec
from db.errors import ConfigError
from db.ledger import Ledger
from farm.judging.at_work import ANYWHERE, AnnotatorAtWork, account_of, total
from farm.judging.at_work import AnnotateReport as AnnotateReport
from farm.judging.composites import open_pairs, resolved
from farm.judging.in_process import FREE
from farm.judging.provider import Provider as Provider
from farm.judging.provider import Task as Task
from farm.judging.questions import unanswered
from farm.judging.transports import Whom, whom_of, with_thinking
from farm.judging.unasked import is_quiet
from farm.progress import Progress


def annotate(
    ledger: Ledger, name: str, task: Task, progress: Progress, provider: Provider = ANYWHERE
) -> AnnotateReport:
    """Let one annotator judge the pairs that it has not judged yet. name: in the catalogue, or a path.

    Raises ConfigError on a wrong name or option. Raises RunStopped where the provider or the budget ends the
    run early; the judgements made until then are in the ledger.
    """
    return judge_by(ledger, loaded(name, task, provider), task, progress, provider=provider)


def judge_by(
    ledger: Ledger, annotator: AnyAnnotator, task: Task, progress: Progress, provider: Provider = ANYWHERE
) -> AnnotateReport:
    """As `annotate`, for an annotator that is `loaded` already."""
    return AnnotatorAtWork(ledger, annotator, task, provider).judge(task.pairs, progress)


def annotate_members(
    ledger: Ledger, name: str, task: Task, progress: Progress, provider: Provider = ANYWHERE
) -> list[AnnotateReport]:
    """Let each member of a pool judge all the pairs, as an annotator of its own and without label noise.

    The members of panels and cascades are annotators of their own anyway. One budget holds for all members.
    Raises as `annotate` does, and ConfigError where the name is that of one annotator.
    """
    account = account_of(provider)
    return [
        AnnotatorAtWork(ledger, member, task, provider, account=account).judge(task.pairs, progress)
        for member in _members(name, task, provider)
    ]


def _members(name: str, task: Task, provider: Provider) -> Sequence[AnyAnnotator]:
    found = loaded(name, task, provider)
    if isinstance(found, Composite):
        return found.members
    if not isinstance(found, Pool):
        raise ConfigError(f"{found.name} is one annotator and has no members", where="--members")
    return found.alone


def plan(ledger: Ledger, name: str, task: Task, provider: Provider) -> Estimate:
    """Estimate the requests, tokens and cost of `annotate`, in US dollars.

    Nothing is asked and nothing is written. Raises ConfigError as `annotate` does.
    """
    return _estimate(ledger, loaded(name, task, provider), task, provider)


def plan_members(ledger: Ledger, name: str, task: Task, provider: Provider) -> Estimate:
    """The same estimate for `annotate_members`."""
    return _sum(_estimate(ledger, member, task, provider) for member in _members(name, task, provider))


def _estimate(
    ledger: Ledger, annotator: AnyAnnotator, task: Task, provider: Provider, times: int = 1
) -> Estimate:
    """Of an annotator made of others it is the most: as if each stage had to judge all the pairs.

    times: how often the annotator is asked for one judgement of a whole that it is a member of.
    """
    if isinstance(annotator, Composite):
        known = resolved(ledger, annotator, provider, task.utility).annotator
        left = replace(task, pairs=open_pairs(ledger, known, task.pairs, task.replicates))
        times = times * annotator.rule.draws
        return _sum(_estimate(ledger, member, left, provider, times=times) for member in annotator.members)
    if isinstance(annotator, AnnotatorSpec) and is_quiet(annotator):
        return Estimate(0, 0, 0, 0.0)
    return _plan(ledger, whom_of(annotator, provider), task, provider=provider, times=times)


def _sum(estimates: Iterable[Estimate]) -> Estimate:
    found = list(estimates)
    return Estimate(
        sum(each.requests for each in found),
        sum(each.prompt_tokens for each in found),
        sum(each.completion_tokens for each in found),
        total(each.cost for each in found),
    )


def _plan(ledger: Ledger, whom: Whom, task: Task, *, provider: Provider, times: int) -> Estimate:
    replies = {spec.decoding: spec.reply_tokens * spec.batch for spec in specs_of(whom.annotator)}
    asked = task.replicates * times
    requests = unanswered(ledger, whom.annotator, whom.endpoint, wanted=task.pairs, replicates=asked)

    def reply_tokens(request: Request) -> float:
        return replies[request.decoding] or float(request.decoding.max_tokens or 0)

    price = PriceTable.load(provider.prices).price
    return estimate(requests, (lambda model: FREE) if whom.sources else price, reply_tokens)


def loaded(name: str, task: Task, provider: Provider) -> AnyAnnotator:
    """The annotator with the changes of task and provider. Raises ConfigError on a wrong name."""
    return _changed(catalogue.load(name, catalogue.ModelSlots.of(provider.models)), task, provider)


def _changed(found: AnyAnnotator, task: Task, provider: Provider) -> AnyAnnotator:
    """The annotator, and each of its members, with the changes of task and provider."""
    if isinstance(found, Composite):
        families = found.families and PriceTable.load(provider.prices).families
        whole = replace(found, families=families, seed=found.seed if task.seed is None else task.seed)
        return whole.changed(lambda member: _changed(member, task, provider))
    seed = found.seed if task.seed is None else task.seed
    changed = replace(found, orders=task.orders or found.orders, seed=seed)
    if isinstance(changed, Pool):
        specs = (with_thinking(replace(each.spec, seed=seed), provider) for each in changed.members)
        members = (replace(each, spec=spec) for each, spec in zip(changed.members, specs, strict=True))
        return replace(changed, members=tuple(members))
    return with_thinking(changed, provider)
