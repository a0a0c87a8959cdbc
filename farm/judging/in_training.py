"""A judge of the fresh responses of a policy in training. What it says are rows of the ledger.

Responses become outputs and pairs of a source that is named after the run. The names follow from the run and
the number of the rollout, so a run that is started again finds what was judged, and asks nothing twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from annotators.clients.budget import Account, Charge
from annotators.clients.failures import BudgetExhausted, RunStopped
from annotators.clients.sending import repaired
from annotators.composite import AnyAnnotator, all_specs, questions_of
from db.ids import Json, canonical_json
from db.ledger import Ledger, PairFilter
from db.queries import fresh
from db.queries.fresh import LOOKUP, Bought
from db.records import AnnotationStatus, Instruction, Item, Output, Pair
from db.writer import Writer
from farm.config import Decoding
from farm.models.tokens import Prompt
from farm.progress import Progress, silent

TIE = 0.5


def lacking(
    ledger: Ledger, annotator_id: int, pair_ids: Sequence[int], *, replicates: range, times: int
) -> int:
    """The judgements that an annotator has still to give of these pairs. times: judgements of each pair."""
    parts = (pair_ids[at : at + LOOKUP] for at in range(0, len(pair_ids), LOOKUP))
    standing = (each for part in parts for each in ledger.standing(annotator_id, part, replicates).values())
    return len(pair_ids) * times - sum(each.status is not AnnotationStatus.FAILED for each in standing)


def refuse_beyond(limit: int | None, bought: Bought, wanted: int, what: str) -> None:
    """Raise BudgetExhausted where a run may not buy so many judgements more. what: needs them."""
    if limit is not None and bought.judgements + wanted > limit:
        raise BudgetExhausted(
            f"the budget is used up: {bought.judgements:,} of {limit:,} judgements, and {what}"
            f" needs {wanted:,}",
            remedy="raise --max-judgements and run the same command again: nothing is asked twice",
        )


class AskedReport(Protocol):
    """What came of asking, as `farm annotate` tells it."""

    @property
    def statuses(self) -> Mapping[str, int]:
        """The new judgements."""
        ...

    @property
    def requests(self) -> int:
        """Sendings."""
        ...

    @property
    def cost(self) -> float | None:
        """US dollars; None: nothing was paid for, or a price is unknown."""
        ...

    @property
    def cost_bound(self) -> float | None:
        """The same, at most."""
        ...

    @property
    def elsewhere(self) -> int:
        """Questions that another run is asking."""
        ...


class AtWork(Protocol):
    """An annotator that can be asked again and again."""

    annotator: AnyAnnotator
    account: Account

    def judge(self, pairs: PairFilter, progress: Progress) -> AskedReport:
        """Judge those of these pairs that are not judged yet."""
        ...


def bought_by(judges: Iterable[TrainingJudge]) -> Bought:
    """What these judges said for the run so far, and what it cost."""
    return sum((each.bought for each in judges), Bought(0, 0, 0.0))


class TrainingJudge:
    """A judge of one run. It is asked about whole rollouts.

    name: of the run; its pairs stand under this source, and its outputs under this producer. It must follow
    from all that can change what is drawn and judged. decoding: how outputs are drawn.
    replicates: judgements of each pair. limit: judgements at most; None: no limit. This cap and that of the
    account hold for the whole run: what earlier processes of it spent counts, and so does what the judges
    spent with which it shares its account. among: these judges; the new one is added.
    """

    def __init__(
        self,
        ledger: Ledger,
        at_work: AtWork,
        *,
        name: str,
        decoding: Decoding,
        replicates: int = 1,
        limit: int | None = None,
        among: list[TrainingJudge] | None = None,
    ) -> None:
        annotator = at_work.annotator
        drawn: dict[str, Json] = {each.name: getattr(decoding, each.name) for each in fields(Decoding)}
        self.name, self._decoding, self._replicates = name, canonical_json(drawn), range(replicates)
        self._ledger, self._at_work, self._limit = ledger, at_work, limit
        self._times = replicates * questions_of(annotator)
        [self._annotator_id] = ledger.write_patiently(lambda writer: writer.annotators([annotator.card]))
        self.named: dict[str, Json] = {"name": annotator.name, "key": annotator.card.key, "source": name}
        """Who judges, and where its judgements are."""
        draw_keys = [spec.draw_key for spec in all_specs(annotator)]
        self.bought = fresh.bought(ledger, name, self._annotator_id, draw_keys)
        """For the whole run, that of earlier processes included."""
        at_work.account.spent += Charge(requests=self.bought.requests, cost=self.bought.cost)
        self._among = [] if among is None else among
        self._among.append(self)

    def of_rollout(self, number: int) -> Callable[[Sequence[Prompt], Sequence[str], Sequence[str]], Tensor]:
        """The judge of a rollout, by its number: a PairJudge.

        Two equal responses are a tie, and nobody is asked. A pair whose judgement failed has NaN. Raises
        RunStopped where the provider or a budget ends the run, or another run is asking about the same pairs.
        """
        return partial(self._judge, number)

    def _judge(
        self, number: int, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]
    ) -> Tensor:
        places = [i for i in range(len(prompts)) if first[i] != second[i]]
        items = self._items(number, [(prompts[i], first[i], second[i]) for i in range(len(prompts))])
        ids = self._written([items[i] for i in places])
        self._buy(number, ids)
        labels = fresh.labels(self._ledger, self._annotator_id, ids)
        said = torch.full((len(prompts),), TIE, dtype=torch.float64)
        for i, pair_id in zip(places, ids, strict=True):
            label = labels.get(pair_id, torch.nan)
            said[i] = 1 - label if items[i].flipped else label
        return said

    def _items(self, number: int, asked: Sequence[tuple[Prompt, str, str]]) -> list[Item]:
        """The pairs of a rollout. The draws of a prompt are numbered through all rollouts."""
        of_prompt = Counter(prompt for prompt, _, _ in asked)
        before = Counter[Prompt]()
        items = []
        for place, (prompt, *texts) in enumerate(asked):
            draw = 2 * (number * of_prompt[prompt] + before[prompt])
            before[prompt] += 1
            instruction = Instruction(prompt.instruction, prompt.input, prompt.turns)
            outputs = [
                Output(instruction, repaired(text), self.name, decoding=self._decoding, sample=draw + side)
                for side, text in enumerate(texts)
            ]
            pair, flipped = Pair.of(*outputs)
            items.append(Item(self.name, f"{number}/{place}", pair, flipped))
        return items

    def _written(self, items: Sequence[Item]) -> list[int]:
        """The ids of the pairs of these items, which are written first."""

        def write(writer: Writer) -> list[int]:
            writer.items(items)
            return writer.pairs([item.pair for item in items])

        return self._ledger.write_patiently(write)

    def _buy(self, number: int, ids: Sequence[int]) -> None:
        """Ask about those of these pairs that lack a judgement.

        A rollout that the run has left behind is not asked about: its failed judgements stay failed, so that
        a resumed run learns what it had learnt.
        """
        last = fresh.last_item(self._ledger, self.name)
        if not ids or (last is not None and int(last.partition("/")[0]) > number):
            return
        wanted = lacking(
            self._ledger, self._annotator_id, ids, replicates=self._replicates, times=self._times
        )
        refuse_beyond(self._limit, bought_by(self._among), wanted, "the next rollout")
        asked = self._at_work.judge(PairFilter(ids=tuple(sorted(ids))), silent)
        said = sum(asked.statuses.get(status, 0) for status in fresh.SAID)
        cost = asked.cost if asked.cost_bound is None else asked.cost_bound
        self.bought += Bought(said, asked.requests, cost or 0.0)
        if asked.elsewhere:
            raise RunStopped(
                f"another run is asking about {asked.elsewhere:,} of these pairs",
                where=self.name,
                remedy="when it has ended, run the same command again: nothing is asked twice",
            )
