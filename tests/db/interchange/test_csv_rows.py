"""Broken rows of a CSV file are refused by line; broken quotes never shift what stands after them."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.errors import FormatError
from db.interchange.csv_rows import csv_rows
from db.interchange.rows import Refusal

HEAD = "q,a,b,v\n"


def read(text: str) -> list[tuple[int, dict[str, Any]] | Refusal]:
    return list(csv_rows(io.StringIO(text, newline=""), ",", "x.csv"))


def lines_of(found: list[tuple[int, dict[str, Any]] | Refusal]) -> tuple[list[int], list[int]]:
    """The lines of the rows that were read, and of those that were refused."""
    refused = [row.row for row in found if isinstance(row, Refusal)]
    return [row[0] for row in found if not isinstance(row, Refusal)], refused


def test_a_row_of_another_number_of_cells_is_refused_and_the_others_are_read() -> None:
    found = read(HEAD + 'one,"a,\n1",b,first\ntwo,a,b\n\nthree,a,b,first,more\nfour,a,b,second\n')
    assert lines_of(found) == ([2, 7], [4, 6])
    assert found[0] == (2, {"q": "one", "a": "a,\n1", "b": "b", "v": "first"})
    reasons = [row.reason for row in found if isinstance(row, Refusal)]
    assert reasons == [f"this row has {n} cells, and the header 4" for n in (3, 5)]


def test_quotes_that_are_not_doubled_refuse_their_row_alone() -> None:
    found = read(HEAD + 'one,"he said "no" twice",b,first\ntwo,a,b,first\nthree,"a, 1",b,second\n')
    assert lines_of(found) == ([3, 4], [2])


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param('one,"a,b,first\ntwo,a,b,first\n', id="to the end"),
        pytest.param('one,"a,b,first\ntwo,"a, 1",b,first\n', id="to a quote"),
    ],
)
def test_a_quote_that_swallows_rows_ends_the_file_at_its_line(rows: str) -> None:
    found = read(HEAD + 'zero,"a\n1",b,second\nhalf,a,b,first\n' + rows)
    assert lines_of(found) == ([2], [4, 5])
    end = found[-1]
    assert isinstance(end, Refusal)
    assert end.is_end
    assert end.reason.startswith(
        "a row's quotes are broken, which was found on line 6; the file is not read beyond"
    )


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        pytest.param('one,"a"x,b,first\ntwo,a",b,first\n', 2, id="even, then odd"),
        pytest.param('one,"a"x,b,first\ntwo,"a,b,first\nthree,"x"y,b,first\n', 2, id="even, then broken"),
        pytest.param('one,"a,b,first\ntwo,", x",b,first\nthree,"b"c"\n', 2, id="a joined row before"),
        pytest.param('one,a,b,"\n"\n;",a,b,first\n', 2, id="a joined row, then an odd one"),
    ],
)
def test_rows_in_doubt_refuse_the_file_whole(rows: str, line: int) -> None:
    with pytest.raises(FormatError, match=rf"x\.csv:{line}: a row's quotes are broken"):
        read(HEAD + rows)


def test_two_stray_quotes_that_join_whole_rows_are_said() -> None:
    """The joined row has four cells too, so nothing else would tell."""
    joined = 'one,"a,b,first\ntwo,a,b,first\nthree,a",b,second\n'
    assert len(next(csv.reader(io.StringIO(joined)))) == 4
    found = read(HEAD + joined + "four,a,b,first\n")
    assert lines_of(found) == ([5], [2])
    assert isinstance(found[0], Refusal)
    assert "lines 2 to 4 look like rows of their own" in found[0].reason


def test_a_column_named_twice_refuses_the_file() -> None:
    with pytest.raises(FormatError, match=r"x\.csv:1: two columns are called 'a'"):
        read("q,a,a\none,1,2\n")


CELLS = st.lists(st.text("a,\"\n;'", max_size=6), min_size=4, max_size=4)


@given(st.lists(CELLS, max_size=6))
def test_what_a_csv_writer_wrote_is_read_or_said_to_look_like_rows(rows: list[list[str]]) -> None:
    """No true row gives a wrong value: each is read as it is, or refused at its own line."""
    file = io.StringIO(newline="")
    csv.writer(file).writerows([["q", "a", "b", "v"], *rows])
    begins, line = [], 2
    for row in rows:
        begins.append(line)
        line += 1 + sum(cell.count("\n") for cell in row)
    found = read(file.getvalue())
    assert [row.row if isinstance(row, Refusal) else row[0] for row in found] == begins
    for each, cells in zip(found, rows, strict=True):
        assert isinstance(each, Refusal) or list(each[1].values()) == cells


@given(st.lists(CELLS, min_size=2, max_size=5), st.data())
def test_a_missing_quote_never_changes_another_row(rows: list[list[str]], data: st.DataObject) -> None:
    """Of a file that lost one quote no row but the one that lost it is read with other values."""
    file = io.StringIO(newline="")
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows([["q", "a", "b", "v"], *rows])
    text = file.getvalue()
    quotes = [place for place, sign in enumerate(text) if sign == '"' and place > text.index("\r\n")]
    place = data.draw(st.sampled_from(quotes))
    try:
        found = read(text[:place] + text[place + 1 :])
    except FormatError:
        return
    true = {tuple(cells) for cells in rows}
    wrong = [row for row in found if not isinstance(row, Refusal) and tuple(row[1].values()) not in true]
    is_cut = any(isinstance(row, Refusal) and row.is_end for row in found)
    assert len(wrong) <= (0 if is_cut else 1)
