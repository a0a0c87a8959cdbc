"""A reward that reads a reference response beside the one that it scores (farm/methods/polar.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from farm.models.codec import Codec, Row
from farm.models.hub import ModelError
from farm.models.scorer import Scorer, rate_rows
from farm.models.tokens import Prompt


def reference_row(codec: Codec, prompt: Prompt, reference: str, response: str) -> Row:
    """The prompt with the reference, then the prompt with the response; each answer has its end.

    A beginning of sequence stands once.
    """
    asked = codec.prompt_ids(prompt)
    begin = codec.begin
    again = asked[len(begin) :] if begin and asked[: len(begin)] == begin else asked
    return Row([*asked, *codec.response_ids(reference), *again], codec.response_ids(response))


class ReferencedReward:
    """A frozen scorer's scores beside the reference of each prompt: texts in, scores (B,) out.

    references: prompt -> its reference response. source: where the model is, for an error.
    """

    def __init__(
        self, scorer: Scorer, references: Mapping[Prompt, str], source: str, batch_rows: int = 64
    ) -> None:
        self.scorer, self.references, self.source, self.batch_rows = scorer, references, source, batch_rows

    def __call__(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
        """Scores. Raises ModelError on a prompt that has no reference."""
        if missing := {prompt for prompt in prompts if prompt not in self.references}:
            example = min(prompt.instruction for prompt in missing)
            what = f"{len(missing)} prompts have no reference response, such as {example[:60]!r}"
            remedy = (
                "train polar with the --demonstrations of a set that has them, or add them to reward.json"
            )
            raise ModelError(what, where=self.source, remedy=remedy)
        codec, asked = self.scorer.codec, list(zip(prompts, responses, strict=True))
        place = {each: i for i, each in enumerate(dict.fromkeys(asked))}  # many draws are alike
        rows = [reference_row(codec, prompt, self.references[prompt], text) for prompt, text in place]
        scores = rate_rows(rows, self.scorer, self.scorer, self.batch_rows)
        return scores[[place[each] for each in asked]]
