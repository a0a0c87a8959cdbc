"""The claims of one run that draws from a server: two runs at once never ask for the same output.

A draw is claimed before its request is sent, as a question to a judge is (farm/judging/asking.py). The output
itself stands for the completion. A claim of a run that ended without an output is free.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType

from annotators.clients.request import Request
from db.ids import canonical_json, content_hash
from db.queries import asking
from db.records import Claim
from farm.judging.runs import Lease, LeftToOthers, new_run_name
from farm.producers.answers import Wanted, WantedDraw
from farm.producers.outputs import Outputs

DrawRequests = Mapping[Request, Sequence[WantedDraw]]
"""Requests, each with the draws that it answers: several where instructions have the same prompt."""


class SampleClaims:
    """The claims of one run, in a `with` statement. While it lives, other runs leave them alone."""

    def __init__(self, outputs: Outputs) -> None:
        self._outputs, self._ledger = outputs, outputs.ledger
        self._lease = Lease(outputs.ledger, new_run_name())
        self._left: LeftToOthers[Wanted] = LeftToOthers()

    @property
    def elsewhere(self) -> int:
        """How many draws other runs are asking for."""
        return self._left.elsewhere

    def __enter__(self) -> SampleClaims:
        self._lease.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lease.__exit__(kind, error, trace)

    async def before_send(self, request: Request, attempt: int) -> None:
        """The hook of a client before each sending: see Lease.confirm."""
        await self._lease.confirm()

    def freed(self) -> list[Wanted]:
        """Wait until it is known whether other runs live. Returns the draws that dead ones had claimed."""
        return self._left.freed(self._ledger)

    def take(self, asked: DrawRequests) -> dict[Request, list[WantedDraw]]:
        """Claim the draws that are lacking and that no other run asks for. Returns them by their requests."""
        known = self._outputs.known

        def again() -> dict[Request, list[WantedDraw]]:
            self._outputs.known = known
            return self._taken(asked)

        return self._left.patiently(self._ledger, again)

    def _taken(self, asked: DrawRequests) -> dict[Request, list[WantedDraw]]:
        with self._ledger.writing() as writer:
            self._left.others.look(writer.beats())
            wanted = [Wanted(each, (k,)) for draws in asked.values() for each, k in draws]
            lacking = {WantedDraw(each, k) for each, (k,) in self._outputs.lacking(wanted)}
            before = asking.answers(self._ledger, [request.key for request in asked])
            mine = {}
            for request, draws in asked.items():
                latest, still = before.get(request.key), [draw for draw in draws if draw in lacking]
                if still and not (latest and self._leaves(latest.run, still)):
                    mine[request] = still
            writer.claims([self._claim(each, before.get(each.key)) for each in mine])
            if dead := self._left.others.ended:
                writer.end_leases(dead)
        return mine

    def _leaves(self, run: str, draws: Sequence[WantedDraw]) -> bool:
        """Leave draws to the run that claimed them. A claim of ours was written by a lost transaction, or was
        answered before another instruction gave the same prompt.
        """
        return run != self._lease.run and self._left.leave(run, [Wanted(each, (k,)) for each, k in draws])

    def _claim(self, request: Request, before: asking.RequestStanding | None) -> Claim:
        return Claim(
            request_key=request.key,
            draw_key=content_hash("sample", self._outputs.decoding),
            run=self._lease.run,
            request=canonical_json(request.body()),
            questions=(),
            attempt=before.attempts if before else 0,
        )
