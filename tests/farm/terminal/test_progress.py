"""Progress as lines of a log."""

from __future__ import annotations

import pytest

from farm.terminal import progress
from farm.terminal.progress import line_of, progress_of, told


@pytest.mark.parametrize(
    ("done", "total", "rate", "line"),
    [
        (12, 60, 0.25, "sft: 12 of 60 steps, 0.25 a second, 3 min to go; loss 2.31"),
        (12, 60, 0.0, "sft: 12 of 60 steps; loss 2.31"),
        (60, 60, 1234.5, "sft: 60 of 60 steps, 1,234 a second, 0.0 s to go; loss 2.31"),
        (2_000, None, 3.14159, "sft: 2,000 steps, 3.1 a second; loss 2.31"),
        (1, 40_000, 1.0, "sft: 1 of 40,000 steps, 1 a second, 11 h 7 min to go; loss 2.31"),
    ],
)
def test_a_line_says_what_is_done_how_fast_and_how_long_it_will_be(
    done: int, total: int | None, rate: float, line: str
) -> None:
    assert line_of("sft; loss 2.31", done, total, unit="steps", rate=rate) == line


def test_lines_come_by_time_and_the_rate_is_that_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """100 outputs were there. From the first call on 4 a second are drawn."""
    clock, lines = [0.0], list[str]()
    monkeypatch.setattr(progress, "monotonic", lambda: clock[0])
    tell = told("outputs", lines.append, every=30.0)
    for second in range(1, 101):
        clock[0] = float(second)
        tell("smol", 100 + 4 * second, 600)
    assert lines == [
        "smol: 220 of 600 outputs, 4 a second, 95 s to go",
        "smol: 340 of 600 outputs, 4 a second, 65 s to go",
        "smol: 460 of 600 outputs, 4 a second, 35 s to go",
    ]


def test_where_there_is_no_terminal_lines_go_to_standard_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.0)
    with progress_of("steps", shown=True) as tell:
        tell("a [bold]name\x1b", 3, 9)
    with progress_of("steps", shown=False) as tell:
        tell("sft", 4, 9)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "a [bold]name\\x1b: 3 of 9 steps\n"
