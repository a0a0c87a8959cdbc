"""Who wrote what, as pairs that cost no label."""

from __future__ import annotations

from farm.models.tokens import Prompt
from farm.training.authors import by_author


def test_who_wrote_it_is_the_label() -> None:
    written = {"a": ["a1", "a2", "a3"], "b": ["b1", "b2"], "c": ["c1"]}
    found = list(by_author("key", Prompt("q"), written))
    assert [pair.output_a[0] for pair in found] == ["a", "b"], "c wrote once, so it is another author alone"
    for pair in found:
        assert pair.reference[0] == pair.output_a[0] != pair.output_b[0]
        assert pair.reference != pair.output_a
        assert pair.preference == 1
    turned = {name: texts[::-1] for name, texts in reversed(written.items())}
    assert list(by_author("key", Prompt("q"), turned)) == found, "whatever the order of the rows"
    others = [next(by_author(f"key {i}", Prompt("q"), written)) for i in range(60)]
    assert {pair.output_b for pair in others} == {"b1", "b2", "c1"}
    assert {(pair.reference, pair.output_a) for pair in others} == {
        (one, other) for one in written["a"] for other in written["a"] if one != other
    }


def test_two_authors_of_one_text_are_not_told_apart() -> None:
    assert not list(by_author("key", Prompt("q"), {"a": ["same", "same"], "b": ["same"]}))
    assert not list(by_author("key", Prompt("q"), {"a": ["one", "two"]}))
    assert not list(by_author("key", Prompt("q"), {"a": ["one"], "b": ["two"]}))
