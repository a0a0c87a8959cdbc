"""Names that two annotators share, such as the two versions of one whose prompt was edited."""

from __future__ import annotations

import pytest

from db.errors import ConfigError
from db.records import AnnotatorCard, AnnotatorKind
from farm.evaluation.references import annotator_named, annotators_named, named, reference_members

CARDS = [
    AnnotatorCard("rubric", AnnotatorKind.LLM, {"prompt": "one"}, 1),
    AnnotatorCard("plain", AnnotatorKind.LLM, {}, 2),
    AnnotatorCard("rubric", AnnotatorKind.LLM, {"prompt": "two"}, 3),
]
WHO = named(CARDS)


def test_a_shared_name_means_every_version_where_several_are_shown() -> None:
    assert [each.code for each in annotators_named(WHO, ["rubric"])] == [1, 3]
    assert [each.code for each in annotators_named(WHO, [WHO[2].name, "plain"])] == [2, 3]
    assert [each.code for each in annotators_named(WHO, [])] == [1, 2, 3]


def test_where_one_is_needed_the_versions_are_named_and_the_newest_is_last() -> None:
    first, _, last = (each.name for each in WHO)
    for ask in (lambda: annotator_named(WHO, "rubric"), lambda: reference_members(WHO, "rubric")):
        with pytest.raises(ConfigError) as error:
            ask()
        assert f"name one of {first}, {last}; the last is the newest" in str(error.value)
    assert annotator_named(WHO, last).code == 3


def test_an_unknown_name_is_still_unknown() -> None:
    with pytest.raises(ConfigError, match="no annotator 'rubri' judged here"):
        annotators_named(WHO, ["rubri"])
