"""What our own format keeps of a judgement that the farm made: `meta._farm.made`.

Such a judgement has facts that no field of a row holds. With them, a file gives the judgement back as it was.
"""

from __future__ import annotations

from db.ids import Json
from db.interchange.fields import is_number, require_storable, shown
from db.interchange.rows import MadeHere, OutputOrigin
from db.records import AnnotationStatus, ProducerKind

WITHOUT_VERDICT = {
    each.value: each
    for each in AnnotationStatus
    if each not in (AnnotationStatus.OK, AnnotationStatus.RETRACTED)
}
MADE = "made"  # in the spec of an annotator whose judgements the farm made elsewhere: its key there
HERE = "farm"  # the source of judgements of pairs that no source has
FIELDS = {"annotator", "status", "label", "attempt", "drawn"}


def to_json(made: MadeHere, preference: float | None) -> dict[str, Json]:
    """The facts as an object. What a reader can tell from the row's preference is left out."""
    told: dict[str, Json] = {"annotator": made.annotator}
    if made.status is not _status(preference):
        told["status"] = made.status.value
    if made.label != preference:
        told["label"] = made.label
    if made.attempt:
        told["attempt"] = made.attempt
    if made.drawn != (OutputOrigin(), OutputOrigin()):
        told["drawn"] = [[each.kind.value, each.decoding, each.sample] for each in made.drawn]
    return told


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
    )


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
