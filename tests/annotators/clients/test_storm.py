"""A storm of faults ends as a calm day does, and the books agree to the request."""

from __future__ import annotations

import pytest

from annotators.clients import Reply, Request, RetryPolicy
from annotators.prices import Price
from annotators.simulator import STORM, FaultPlan, Judge, Simulator, request_key
from tests.support.simulated_provider import ask, provider, request

PRICE = Price(input=3.0, output=15.0)
PATIENT = RetryPolicy(attempts=12, paid_attempts=6, first_wait=0.005, longest_wait=0.05)
ASKED = [request(number, temperature=1.0) for number in range(300)]
NOISY = Judge(utility="random", noise=1.0)
LASTING = ("refusal", "length", "content_filter", "tool_calls", "400_filter", "302")


def rounds(simulator: Simulator) -> dict[Request, list[Reply]]:
    """All completions of each request: what fails in one run is asked again in the next."""
    seen: dict[Request, list[Reply]] = {each: [] for each in ASKED}
    for _ in range(6):
        left = [each for each in ASKED if not seen[each] or not seen[each][-1].ok]
        for each, completion in ask(simulator, left, retry=PATIENT, price=lambda model: PRICE).items():
            seen[each].append(completion)
    return seen


@pytest.mark.parametrize("names", [STORM, STORM + LASTING], ids=["passing faults", "lasting faults too"])
def test_a_storm_ends_as_a_calm_day_and_every_sending_is_in_both_books(names: tuple[str, ...]) -> None:
    with provider(judge=NOISY) as simulator:
        calm = {each: done[-1].text for each, done in rounds(simulator).items()}
    with provider(judge=NOISY, faults=FaultPlan(rate=0.3, names=names, seed=5)) as simulator:
        seen = rounds(simulator)
        stats = simulator.stats()
    assert sum(stats.faults.values()) > 80
    assert len(stats.faults) > 20
    assert {each: done[-1].text for each, done in seen.items()} == calm
    assert all(done[-1].ok for done in seen.values())
    for each, completions in seen.items():
        bill = stats.bills[request_key(each.body())]
        assert sum(done.attempts for done in completions) == bill.hits
        known = sum(done.usage.total for done in completions)
        once = (bill.prompt_tokens + bill.completion_tokens) // bill.billed
        unseen = bill.billed - known // once
        assert known % once == 0
        assert unseen <= sum(done.unmetered for done in completions)  # equal but for 408: billed, perhaps
        bound = sum(done.cost_bound or 0.0 for done in completions)
        assert bound >= (bill.prompt_tokens * 3 + bill.completion_tokens * 15) / 1e6
    assert stats.hits == sum(done.attempts for completions in seen.values() for done in completions)


def test_replies_do_not_depend_on_who_else_asks() -> None:
    with provider(judge=NOISY) as one, provider(judge=NOISY) as other:
        alone = {each: ask(one, [each])[each].text for each in ASKED[:10]}
        together = ask(other, reversed(ASKED), concurrency=40)
    assert {each: together[each].text for each in alone} == alone
    assert len(set(alone.values())) == 2
