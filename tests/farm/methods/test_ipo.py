import json
from pathlib import Path
from typing import Any

import pytest
from torch import tensor

from farm.methods.ipo import IPO, IPOConfig
from farm.models.tokens import Prompt
from farm.training.data import Data, PreferencePair
from farm.training.pair_method import RatedPairs, RatedResponses
from farm.training.run_models import LoadedModels
from tests.support.objectives import pair_loss

VECTORS = json.loads((Path(__file__).parents[2] / "golden" / "vectors" / "ipo.json").read_text())["cases"]


@pytest.mark.parametrize("case", VECTORS)
def test_length_normalised_loss_and_gradient_are_trls(case: dict[str, Any]) -> None:
    inputs = {
        ("ref_" if "reference" in name else "") + name.split("_")[-2]: rows
        for name, rows in case.items()
        if name.endswith("_logps")
    }
    loss, gradients = pair_loss(IPO, IPOConfig(tau=case["beta"], length_normalised=True), inputs)
    assert loss == pytest.approx(case["loss"], rel=1e-6)
    for side in ("chosen", "rejected"):
        by_response = [row[0] for row in gradients[side]]
        assert by_response == pytest.approx(case[f"gradient_of_{side}_sums"], rel=1e-5)


def test_the_papers_loss_by_hand() -> None:
    """h = (−1 + 3) − (−4 + 2) = 4, 1 / (2τ) = 2 at τ ¼: (4 − 2)² = 4, the other way round (4 + 2)² = 36."""
    length = tensor([3])
    chosen, rejected = (
        RatedResponses(tensor([-1.0]), -3.0, length),
        RatedResponses(tensor([-4.0]), -2.0, length),
    )
    for preference, expected in ((1.0, 4), (0.0, 36), (0.75, 0.75 * 4 + 0.25 * 36)):
        loss = IPO.loss(RatedPairs(chosen, rejected, preference), IPOConfig(tau=0.25))
        assert loss.item() == expected


def test_at_the_reference_the_loss_is_the_square_of_the_target(model_dir: str) -> None:
    records = [PreferencePair(Prompt(f"q{i}"), "yes " * (1 + i), "no", 1.0) for i in range(4)]
    for normalised in (False, True):
        config = IPOConfig(batch_size=4, tau=0.5, length_normalised=normalised)
        method = IPO(config, Data(records, records), LoadedModels(model_dir, config))
        for (batch,) in (next(method.feed.batches(0)), list(method.feed.held_out())):
            assert method.loss(batch).loss.item() == pytest.approx(1.0, abs=1e-4)
