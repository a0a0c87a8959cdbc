"""The transport without a wire: batches in order, Ctrl-C between them, a budget of requests, no bill."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

import pytest

from annotators.clients.budget import Account, Budget
from annotators.clients.failures import BudgetExhausted
from annotators.clients.request import Message, Reply, Request, Role
from annotators.clients.run import run_all
from annotators.clients.sending import Sending, failed
from annotators.prices import Usage
from db.errors import ConfigError
from farm.judging.in_process import InProcess, name_of


def request(number: int) -> Request:
    return Request("m", (Message(Role.USER, f"Question {number}"),))


class Echo:
    """Repeats the question; what ends in 3 fails. interrupt_at: the batch under which Ctrl-C is pressed."""

    def __init__(self, interrupt_at: int | None = None) -> None:
        self.batches: list[int] = []
        self.interrupt_at = interrupt_at

    def __call__(self, requests: Sequence[Request]) -> list[Sending]:
        self.batches.append(len(requests))
        if len(self.batches) == self.interrupt_at:
            os.kill(os.getpid(), signal.SIGINT)
        texts = [each.messages[0].content for each in requests]
        return [
            failed("context_length", "too long")
            if text.endswith("3")
            else Sending(text=text, usage=Usage(5, 1))
            for text in texts
        ]


def run(echo: Echo, count: int, account: Account) -> list[tuple[Request, Reply]]:
    found: list[tuple[Request, Reply]] = []
    transport = InProcess(echo, 4, account)
    try:
        run_all(transport, map(request, range(count)), lambda asked, got: found.append((asked, got)))
    finally:
        assert [asked for asked, _ in found] == [request(i) for i in range(len(found))]
    return found


def test_each_request_is_answered_once_in_order_and_costs_nothing() -> None:
    echo, account = Echo(), Account()
    found = run(echo, 10, account)
    assert echo.batches == [4, 4, 2]
    assert [got.request_key for _, got in found] == [request(i).key for i in range(10)]
    assert {got.cost for _, got in found} == {got.cost_bound for _, got in found} == {0.0}
    assert [got.failure for _, got in found] == [None, None, None, "context_length", *[None] * 6]
    assert (account.spent.requests, account.spent.tokens, account.spent.cost) == (10, 9 * 6, 0.0)


def test_ctrl_c_ends_the_run_after_the_batch_under_way() -> None:
    echo = Echo(interrupt_at=2)
    found: list[Reply] = []
    with pytest.raises(KeyboardInterrupt):
        run_all(InProcess(echo, 4, Account()), map(request, range(40)), lambda _, got: found.append(got))
    assert echo.batches == [4, 4]
    assert len(found) == 8


def test_a_budget_of_requests_is_used_up_and_not_passed() -> None:
    echo = Echo()
    with pytest.raises(BudgetExhausted):
        run(echo, 40, Account(Budget(max_requests=6)))
    assert echo.batches == [4, 2]


def test_nothing_has_no_name() -> None:
    with pytest.raises(ConfigError, match="no model is named"):
        name_of("")
