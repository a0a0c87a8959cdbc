"""Retry-After in every form, and how patient we are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotators.clients import RetryPolicy
from annotators.clients.retry import retry_after
from tests.support.simulated_provider import request

NOW = datetime(2026, 3, 29, 0, 59, 30, tzinfo=UTC)


YEAR_9999 = (datetime(9999, 12, 31, 23, 59, 30, tzinfo=UTC) - NOW).total_seconds()


def http_date(seconds: float) -> str:
    return format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "-inf"}, None),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "1e300"}, 1e300),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:30 -2359"}, YEAR_9999 + 86_340),
        ({"retry-after": "Fri, 31 Dec 99999 23:59:59 GMT"}, None),
        ({"retry-after": "Mon, 01 Jan 0001 00:00:00 +2359"}, 0.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"retry-after": "-5"}, 0.0),
        ({"retry-after": "86400"}, 86400.0),
        ({"retry-after": http_date(90)}, 90.0),
        ({"retry-after": http_date(-90)}, 0.0),
        ({"retry-after": "Sun, 29 Mar 2026 01:00:30 -0000"}, 60.0),
        ({"retry-after": "Sun, 29 Mar 2026 25:61:00 GMT"}, None),
        ({"retry-after": http_date(3690), "date": http_date(3600)}, 90.0),  # the server's clock is ahead
        ({"retry-after": http_date(90), "date": "yesterday"}, 90.0),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "-250"}, 0.0),
        ({"retry-after-ms": "nan", "retry-after": "9"}, 9.0),
    ],
)
def test_what_the_server_asks(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOW) == seconds


@given(st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms", "date"]), st.text(max_size=40)))
def test_no_header_is_an_exception_or_a_time_before_now(headers: dict[str, str]) -> None:
    seconds = retry_after(headers, NOW)
    assert seconds is None or 0.0 <= seconds < float("inf")


def test_a_wait_that_is_asked_for_is_kept_and_bounded() -> None:
    policy = RetryPolicy(longest_wait=30.0)
    for number in range(20):
        assert 4.0 <= policy.wait(request(number), 1, 4.0) <= 4.4
        assert policy.wait(request(number), 1, 86400.0) == 30.0
        assert policy.wait(request(number), 1, 1.79e308) == 30.0
        assert policy.wait(request(number), 1, 0.0) == 0.0


def test_our_own_backoff_doubles_up_to_its_bound() -> None:
    policy = RetryPolicy(first_wait=0.5, longest_wait=10.0)
    for attempt, step in enumerate((0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0), 1):
        waits = {policy.wait(request(number), attempt, None) for number in range(50)}
        assert all(step / 2 <= wait < step for wait in waits)
        assert len(waits) == 50  # requests that failed together do not come back together


def test_attempts_are_bounded_and_paid_ones_more_tightly() -> None:
    policy = RetryPolicy(attempts=5, paid_attempts=2)
    assert policy.allows(4, 0)
    assert not policy.allows(5, 0)
    assert policy.allows(2, 1)
    assert not policy.allows(2, 2)
