"""Fresh responses to the prompts of records at hand, for methods that learn from both.

The draws of a step are a function of the seed, the step, the model that draws and the prompts. So a resumed
run draws the same, and so does a step that is split otherwise.
"""

from __future__ import annotations

from farm.models.forward import autocast
from farm.models.generation import sample
from farm.models.policy import Policy
from farm.models.tokens import Tokens
from farm.training.clock import spent
from farm.training.on_policy import seed_of
from farm.training.processes import Processes, at_rest
from farm.training.rollout import DrawingConfig, as_rows


def prompt_ids(tokens: Tokens) -> list[list[int]]:
    """The tokens of each row's prompt, without padding."""
    rows = []
    attention = tokens.attention
    for i, (ids, mask) in enumerate(zip(tokens.ids.tolist(), tokens.mask.tolist(), strict=True)):
        first = 0 if attention is None else int(attention[i].int().argmax())
        rows.append(ids[first : mask.index(True)])
    return rows


@spent("drawing")
def drawn_beside(
    tokens: Tokens, model: Policy, config: DrawingConfig, processes: Processes, *, step: int, n: int = 1
) -> Tokens:
    """n responses of a model to the prompt of each of B rows: Tokens of B · n rows, those of a row together.

    step: the number of the optimizer step. Raises ConfigError where a prompt leaves no room for a response.
    """
    prompts = prompt_ids(tokens)
    with at_rest(model), autocast(config), processes.together():
        drawn = sample(model, prompts, config, seed=seed_of("beside", config.seed, step), n=n)
    return as_rows(model, prompts, drawn)
