"""Losses on pairs and their gradients are the numbers of TRL, or the paper's where the two differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import tensor

from farm.methods import load
from farm.methods.cpo import CPO, CPOConfig
from farm.methods.simpo import SimPOConfig, shaped
from farm.methods.slic import SLiC, SLiCConfig
from farm.methods.sppo import SPPO, SPPOConfig
from tests.support.objectives import Case, cases, pair_loss, pair_trainers

Options = Mapping[str, Any]
Made = Callable[[Options], dict[str, Any]]
PAIR_METHODS = [name for name, _ in pair_trainers()]
DIVERGENCES = {"forward_kl": "forward_kl", "js_divergence": "js", "alpha_divergence": "alpha"}


def beta(options: Options) -> dict[str, Any]:
    return {"beta": options["beta"]}


def divergence(options: Options, alpha: Callable[[float], float]) -> dict[str, Any]:
    given = {"beta": options["beta"], "divergence": DIVERGENCES[options["f_divergence_type"]]}
    return given | {"alpha": alpha(options.get("f_alpha_divergence_coef", 0.5))}


# family and name of the vectors -> the method, and its options made of TRL's
TRLS: dict[tuple[str, str], tuple[str, Made]] = {
    ("pair", "dpo"): ("dpo", beta),
    ("pair", "sigmoid_norm"): ("dpo", lambda o: {"beta": o["beta"], "length_normalised": True}),
    ("pair", "ipo"): ("ipo", lambda o: {"tau": o["beta"], "length_normalised": True}),
    ("pair", "robust"): ("robust_dpo", lambda o: {"beta": o["beta"], "flip_rate": o["label_smoothing"]}),
    ("pair", "hinge"): ("hinge", beta),
    ("pair", "exo_pair"): ("exo", lambda o: {n: o[n] for n in ("beta", "label_smoothing")}),
    ("pair", "nca_pair"): ("nca", beta),
    ("pair", "apo_zero"): ("apo_zero", beta),
    ("pair", "apo_down"): ("apo_down", beta),
    ("pair", "discopop"): ("discopop", lambda o: {"beta": o["beta"], "tau": o.get("discopop_tau", 0.05)}),
    ("pair", "f_dpo"): ("f_dpo", lambda o: divergence(o, lambda alpha: 1 - alpha)),
    ("reference_free", "simpo"): (
        "simpo",
        lambda o: {"beta": o["beta"], "gamma_ratio": o["simpo_gamma"] / o["beta"]},
    ),
    ("reference_free", "alphapo"): (
        "simpo",
        lambda o: {"beta": o["beta"], "gamma_ratio": o["simpo_gamma"] / o["beta"], "alpha": o["alpha"]},
    ),
    ("hand", "dpop"): ("dpop", lambda o: {"beta": o["beta"], "penalty": o["lam"]}),
    ("hand", "slic"): ("slic", lambda o: {"delta": o["delta"], "nll": o["lam"]}),
}
# where paper and TRL differ and ours is the paper's
PAPERS: dict[tuple[str, str], tuple[str, Made]] = {
    ("pair", "ipo"): ("ipo", lambda o: {"tau": o["beta"]}),
    ("pair", "rpo"): ("dpo", lambda o: {"beta": o["beta"], "nll": o["loss_weights"][1]}),
    ("pair", "irpo"): (
        "dpo",
        lambda o: {"beta": o["beta"], "nll": o["loss_weights"][1], "nll_per_token": True},
    ),
    ("pair", "f_dpo"): ("f_dpo", lambda o: divergence(o, lambda alpha: alpha)),
    ("reference_free", "cpo"): ("cpo", lambda o: {"beta": o["beta"], "nll": o["cpo_alpha"]}),
    ("reference_free", "orpo"): ("orpo", beta),
}
REFERENCES = {"dpop": ([[-4.0]], [[-6.0]]), "sppo_soft": ([[-4.0]], [[-6.0]])}


def listed(table: Mapping[tuple[str, str], tuple[str, Made]], paper: bool) -> list[Any]:
    return [
        pytest.param(case, *made, id=f"{place[1]}-{number}")
        for place, made in table.items()
        for number, case in enumerate(cases(*place))
        if not paper or case.paper
    ]


def holds(found: tuple[float, dict[str, Any]], expected: Mapping[str, Any], rel: float) -> None:
    loss, gradients = found
    assert loss == pytest.approx(expected["loss"], rel=rel)
    for side, rows in expected["gradients"].items():
        if side == "prompt":
            continue
        for mine, theirs in zip(gradients[side], rows, strict=True):
            assert mine == pytest.approx(theirs, rel=max(rel, 1e-6), abs=1e-8)


def of(case: Case, method: str, made: Made, name: str = "") -> tuple[float, dict[str, Any]]:
    trainer: Any = load(method)
    inputs = dict(case.inputs)
    if method == "dpop":
        inputs |= {"ref_chosen": REFERENCES["dpop"][0], "ref_rejected": REFERENCES["dpop"][1]}
    return pair_loss(trainer, trainer.Config(**made(case.options)), inputs)


@pytest.mark.parametrize(("case", "method", "made"), listed(TRLS, paper=False))
def test_loss_and_gradient_are_those_of_another_implementation(case: Case, method: str, made: Made) -> None:
    single = case.dtype == "float32"
    holds(of(case, method, made), case._asdict(), 3e-5 if single else 1e-7)


@pytest.mark.parametrize(("case", "method", "made"), listed(PAPERS, paper=True))
def test_where_trl_differs_from_the_paper_ours_is_the_papers(case: Case, method: str, made: Made) -> None:
    assert case.paper
    found = of(case, method, made)
    holds(found, case.paper, 1e-6)
    if case.options.get("f_alpha_divergence_coef") != 0.5:  # there both mean the same
        assert found[0] != pytest.approx(case.loss, rel=1e-4)


@pytest.mark.parametrize("case", cases("pair", "sppo_hard"))
def test_sppo_is_the_authors_half_of_the_sum_times_beta_squared(case: Case) -> None:
    scale = case.options["beta"] ** 2
    loss, gradients = pair_loss(SPPO, SPPOConfig(beta=case.options["beta"], hard=True), case.inputs)
    assert loss / scale == pytest.approx(case.loss / 2, rel=1e-9)
    for side, rows in gradients.items():
        for mine, theirs in zip(rows, case.gradients[side], strict=True):
            assert [each / scale for each in mine] == pytest.approx([each / 2 for each in theirs], rel=1e-7)


def test_soft_sppo_takes_the_probability_of_winning() -> None:
    [case] = cases("hand", "sppo_soft")
    inputs = {**case.inputs, "ref_chosen": [[-4.0]], "ref_rejected": [[-6.0]]}
    loss, _ = pair_loss(SPPO, SPPOConfig(beta=0.1), inputs, preference=case.options["p_chosen"])
    assert loss / 0.1**2 == pytest.approx(case.loss)


def test_slics_first_term_is_trls_hinge_without_reference_over_beta() -> None:
    for case in cases("reference_free", "cpo_hinge"):
        if case.options["cpo_alpha"] == 0:
            config = SLiCConfig(delta=1 / case.options["beta"], nll=0.0)
            loss, _ = pair_loss(SLiC, config, case.inputs)
            assert loss * case.options["beta"] == pytest.approx(case.loss)


def test_cpo_without_imitation_is_trls() -> None:
    case = cases("reference_free", "cpo")[1]
    loss, _ = pair_loss(CPO, CPOConfig(beta=case.options["beta"], nll=0.0), case.inputs)
    assert loss == pytest.approx(case.loss)


def test_simpo_starts_with_the_papers_margin_and_without_imitation() -> None:
    """TRL's own defaults (β 0.1, γ 0.5, with an NLL term) are another method."""
    config = SimPOConfig()
    assert (config.beta, config.gamma_ratio, config.alpha) == (2.0, 0.5, 0.0)
    means = tensor([-0.5, -2.0], dtype=torch.float64)
    assert shaped(means, 1e-7).tolist() == pytest.approx(means.tolist(), rel=1e-6), "α to 0 is SimPO"
