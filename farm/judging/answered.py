"""From a question and what was said of it to an annotation: read from a reply, failed, or made unasked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from annotators.judgement import Judgement, Verdict, failed, judgement_of, spared
from annotators.noise import LabelNoise
from annotators.parsers import ReplyText, parser_of, read_verdicts
from db.records import Annotation
from farm.judging.questions import OpenQuestion, QuestionBatch

IDENTICAL = "identical outputs: a tie, not asked"
NOT_NAMED = "the reply does not name this pair"


@dataclass(frozen=True)
class AnnotationMaker:
    """Makes the annotations of one annotator. noise: its label noise."""

    annotator_id: int
    noise: LabelNoise

    def unasked(self, question: OpenQuestion) -> Annotation | None:
        """The annotation of a question that needs no asking; None where it has to be asked.

        Label noise replaces some judgements. Identical outputs are a tie.
        """
        swapped = question.asked.swapped
        judgement = spared(swapped, self.noise, question.occasion)
        if judgement is None and question.pair.output_a.text == question.pair.output_b.text:
            tie = judgement_of(Verdict(0.5), swapped, self.noise, question.occasion)
            judgement = replace(tie, reason=IDENTICAL)
        return self._annotation(question, judgement) if judgement else None

    def read(self, batch: QuestionBatch, reply: ReplyText, claim_id: int) -> Iterator[Annotation]:
        """What a reply says, one annotation for each question of its batch."""
        asked = len(batch.questions)
        verdicts = read_verdicts(parser_of(batch.spec.about(asked)), reply, asked)
        verdicts += [Verdict(None, NOT_NAMED)] * (asked - len(verdicts))
        for slot, question in enumerate(batch.questions):
            judgement = judgement_of(verdicts[slot], question.asked.swapped, self.noise, question.occasion)
            yield replace(self._annotation(question, judgement), completion_id=claim_id, slot=slot)

    def failed(self, batch: QuestionBatch, failure: str, claim_id: int) -> Iterator[Annotation]:
        """One failed annotation for each question of a batch that has no usable reply."""
        for slot, question in enumerate(batch.questions):
            judgement = failed(failure, question.asked.swapped)
            yield replace(self._annotation(question, judgement), completion_id=claim_id, slot=slot)

    def _annotation(self, question: OpenQuestion, judgement: Judgement) -> Annotation:
        return annotation_of(
            judgement,
            pair_id=question.pair.id,
            annotator_id=self.annotator_id,
            replicate=question.asked.replicate,
            attempt=question.attempt,
        )


def annotation_of(
    judgement: Judgement, *, pair_id: int, annotator_id: int, replicate: int, attempt: int
) -> Annotation:
    """The judgement as the ledger keeps it."""
    return Annotation(
        pair_id=pair_id,
        annotator_id=annotator_id,
        preference=judgement.preference,
        label=judgement.label,
        swapped=judgement.swapped,
        status=judgement.status,
        reason=judgement.reason,
        strength=judgement.degree,
        aspects=judgement.aspects,
        replicate=replicate,
        attempt=attempt,
    )
