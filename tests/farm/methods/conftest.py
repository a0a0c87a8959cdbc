"""Methods on the tiny model, built and trained."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.support.on_policy import PROMPTS, Run, made_on, trained_on


@pytest.fixture
def made(model_dir: str) -> Callable[..., Any]:
    """Builds a method that learns from its own rollouts: made(name, **options), see `made_on`."""
    return partial(made_on, model=model_dir, prompts=PROMPTS)


@pytest.fixture
def trained(model_dir: str) -> Callable[..., Run]:
    """Builds one as `made` does and trains it to the end."""
    return partial(trained_on, model=model_dir, prompts=PROMPTS)
