"""Methods on the tiny model, built and trained."""

from __future__ import annotations

from functools import partial

import pytest

from tests.support.on_policy import PROMPTS, MethodMaker, MethodTrainer, made_on, trained_on


@pytest.fixture
def made(model_dir: str) -> MethodMaker:
    """Builds a method that learns from its own rollouts: made(name, **options), see `made_on`."""
    return partial(made_on, model=model_dir, prompts=PROMPTS)


@pytest.fixture
def trained(model_dir: str) -> MethodTrainer:
    """Builds one as `made` does and trains it to the end."""
    return partial(trained_on, model=model_dir, prompts=PROMPTS)
