"""torch.compile changes how long a run takes, not what comes out of it."""

import os
import shutil

import pytest
import torch

from tests.support.on_policy import MethodTrainer

COMPILER = shutil.which(os.environ.get("CXX", "g++"))


@pytest.mark.slow
@pytest.mark.skipif(not COMPILER, reason="no C++ compiler here, which torch.compile needs on a CPU")
@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # torch's own
def test_compiled_it_draws_and_learns_the_same(
    trained: MethodTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With prompts of many lengths, so that no two batches are of one shape; never compiled anew for ever."""
    monkeypatch.setattr(torch._dynamo.config, "fail_on_recompile_limit_hit", True)
    options = {"epochs": 3.0, "batch_size": 2, "n": 2, "seed": 1}
    plain, compiled = (trained("ppo", compile=each, **options) for each in (False, True))
    assert len(compiled.log) == len(plain.log) > 8
    for mine, theirs in zip(compiled.log, plain.log, strict=True):
        for name in ("loss", "objective/scores", "value/explained_variance", "completions/mean_length"):
            assert mine[name] == pytest.approx(theirs[name], abs=1e-4), name
