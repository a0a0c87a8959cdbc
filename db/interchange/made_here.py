"""What our own format keeps of a judgement that the farm made: `meta._farm.made`.

Such a judgement has facts that no field of a row holds. With them, a file gives the judgement back as it was.
"""

from __future__ import annotations

from collections.abc import Mapping

from db.ids import Json, canonical_json
from db.interchange.fields import is_number, require_storable, shown
from db.interchange.rows import MadeHere, MadeOf, OutputOrigin
from db.records import AnnotationStatus, AnnotatorCard, AnnotatorKind, ProducerKind

WITHOUT_VERDICT = {
    each.value: each
    for each in AnnotationStatus
    if each not in (AnnotationStatus.OK, AnnotationStatus.RETRACTED)
}
MADE = "made"  # in the spec of an annotator whose judgements the farm made elsewhere: its key there
HERE = "farm"  # the source of judgements of pairs that no source has
FIELDS = {"annotator", "status", "label", "attempt", "drawn", "spec", "parts"}
UNDRAWN = (OutputOrigin(), OutputOrigin())


def to_json(made: MadeHere, preference: float | None) -> dict[str, Json]:
    """The facts as an object. What a reader can tell from the row's preference is left out."""
    told: dict[str, Json] = {"annotator": made.annotator}
    if made.status is not _status(preference):
        told["status"] = made.status.value
    if made.label != preference:
        told["label"] = made.label
    if made.attempt:
        told["attempt"] = made.attempt
    if made.drawn != UNDRAWN:
        told["drawn"] = [[each.kind.value, each.decoding, each.sample] for each in made.drawn]
    if made.spec is not None:
        told["spec"] = made.spec
    if made.parts:
        told["parts"] = [list(each) for each in made.parts]
    return told


def of_row(
    told: Mapping[str, object], preference: float | None, annotator: str, *, kind: AnnotatorKind
) -> MadeHere | None:
    """What the field `made` says of a row; None where there is none. annotator, kind: who judged the row.

    Raises ValueError, with the reason, where `farm export` did not write it.
    """
    if "made" not in told:
        return None
    made = from_json(told["made"], preference)
    if made.spec is not None and AnnotatorCard(annotator, kind, made.spec).key != made.annotator:
        raise ValueError("meta._farm.made.spec is not the spec of this annotator")
    return made


def from_json(told: object, preference: float | None) -> MadeHere:
    """The facts of an object. Raises ValueError, with the reason, where it is none of ours."""
    if not isinstance(told, dict) or not told.keys() <= FIELDS or not isinstance(told.get("annotator"), str):
        raise ValueError(f"meta._farm.made is {shown(told)}, not what `farm export` writes")
    require_storable("meta._farm.made", told["annotator"])
    status = _status(preference)
    if "status" in told:
        if preference is not None or told["status"] not in WITHOUT_VERDICT:
            raise ValueError(f"meta._farm.made.status is {shown(told['status'])}, which does not fit")
        status = WITHOUT_VERDICT[told["status"]]
    label = told.get("label", preference)
    if label is not None and not (is_number(label) and 0 <= label <= 1):
        raise ValueError(f"meta._farm.made.label is {shown(label)}, not in [0, 1]")
    attempt = told.get("attempt", 0)
    if not _is_count(attempt):
        raise ValueError(f"meta._farm.made.attempt is {shown(attempt)}, not a whole number from 0")
    drawn = told.get("drawn", [["model", "", 0]] * 2)
    if not isinstance(drawn, list) or len(drawn) != 2:
        raise ValueError(f"meta._farm.made.drawn is {shown(drawn)}, not two lists")
    return MadeHere(
        annotator=told["annotator"],
        status=status,
        label=None if label is None else float(label),
        attempt=attempt,
        drawn=(_drawn(drawn[0]), _drawn(drawn[1])),
        spec=_spec(told.get("spec")),
        parts=_parts(told.get("parts", [])),
    )


def _spec(told: object) -> Mapping[str, Json] | None:
    if told is not None and not isinstance(told, dict):
        raise ValueError(f"meta._farm.made.spec is {shown(told)}, not an object")
    if told is not None:
        require_storable("meta._farm.made.spec", canonical_json(told))
    return told


def _parts(told: object) -> tuple[MadeOf, ...]:
    found = [_part(each) for each in told] if isinstance(told, list) else [None]
    if None in found:
        said = shown(told)
        raise ValueError(
            f"meta._farm.made.parts is {said}, not lists of annotator, replicate, order, attempt"
        )
    return tuple(each for each in found if each)


def _part(told: object) -> MadeOf | None:
    match told:
        case [str(key), int(replicate), bool() | None as swapped, int(attempt)]:
            if _is_count(replicate) and _is_count(attempt):
                require_storable("meta._farm.made.parts", key)
                return MadeOf(key, replicate, swapped, attempt)
    return None


def _status(preference: float | None) -> AnnotationStatus:
    return AnnotationStatus.UNREADABLE if preference is None else AnnotationStatus.OK


def _drawn(told: object) -> OutputOrigin:
    match told:
        case [str(kind), str(decoding), int(sample)] if kind in set(ProducerKind) and _is_count(sample):
            require_storable("meta._farm.made.drawn", decoding)
            return OutputOrigin(ProducerKind(kind), decoding, sample)
    raise ValueError(f"meta._farm.made.drawn has {shown(told)}, not a kind, a decoding and a number")


def _is_count(value: object) -> bool:
    """Whether this is a whole number from 0 that 31 bits hold."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31
