"""Make vectors/scored_objectives.json from the authors' code of Korbak et al. 2023.

    python -m tests.golden.scored_vectors CLONE       no test needs it

CLONE is a clone of github.com/tomekkorbak/pretraining-with-human-feedback (recorded: commit 22e2ea9). There a
score is high where a text is bad, and is read one place after its token. The reward is minus the score in two
objectives; the third takes a score from 0 to 1, which is 1 minus our label.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

FOLDER = Path(__file__).parent / "vectors"
LABELS = [0.0, 1.0, 0.25, 0.7, 1.0]
VOCABULARY, TOKENS = 6, len(LABELS)


def objectives(clone: Path) -> Any:
    """The authors' module, without the packages that only log."""
    for name in ("wandb", "scipy", "scipy.stats"):
        sys.modules.setdefault(name, ModuleType(name))
    sys.modules["scipy.stats"].pearsonr = None  # type: ignore[attr-defined]
    found = importlib.util.spec_from_file_location("apo_objectives", clone / "apo" / "objectives.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def case(objective: Any, options: dict[str, float], worst: float = 0.0) -> dict[str, Any]:
    """Loss and gradients of one text. worst: the score of a token with label 0."""
    torch.manual_seed(1)
    logits = torch.randn(TOKENS, VOCABULARY, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(VOCABULARY, (TOKENS,))
    values = torch.rand(TOKENS + 1, dtype=torch.float64, requires_grad=True)
    scores = worst - torch.tensor([0.0, *LABELS], dtype=torch.float64)
    loss: Tensor = objective(logits=logits, labels=labels, token_scores=scores, values=values).loss
    logps = logits.detach().log_softmax(-1).gather(1, labels[:, None])[:, 0]
    loss.backward()
    return {
        "options": options,
        "logits": logits.tolist(),
        "ids": labels.tolist(),
        "logps": logps.tolist(),
        "labels": LABELS,
        "values": values[:-1].tolist(),
        "loss": loss.item(),
        "gradients": {
            "logits": logits.grad.tolist() if logits.grad is not None else [],
            "values": values.grad[:-1].tolist() if values.grad is not None else [0.0] * TOKENS,
        },
    }


def main(clone: Path) -> None:
    theirs = objectives(clone)
    awr = {"alpha": 0.3, "beta": 0.5, "most_weight": 4.0}
    alone = theirs.AWR(1.0, 0.5, use_value_head=False, clip_weight_max=5.0)
    found = {
        "awr": [case(theirs.AWR(0.3, 0.5, clip_weight_max=4.0), awr)],
        "rwr": [case(alone, {"beta": 0.5, "most_weight": 5.0})],
        "unlikelihood": [case(theirs.Unlikelihood(0.0, 0.6), {"bad_weight": 0.6}, worst=1.0)],
    }
    head = {"made_by": "tests/golden/scored_vectors.py", "commit": "22e2ea9", "torch": torch.__version__}
    path = FOLDER / "scored_objectives.json"
    path.write_text(json.dumps(head | {"methods": found}, separators=(",", ":")), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
