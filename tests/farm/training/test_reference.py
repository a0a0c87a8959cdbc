from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
import torch
from torch.nn.functional import pad

from farm.config import TrainConfig
from farm.models.codec import Row, collate
from farm.models.ops import masked_sum
from farm.models.policy import Policy
from farm.models.tokens import Tokens
from farm.training.reference import ReferenceLogps, row_keys
from tests.support.tiny_models import ModelMaker

ROWS = [Row([10, 11], [20, 2]), Row([10], [11, 20, 2]), Row([9, 8, 7], [5, 2]), Row([4], [2])]


@pytest.fixture
def reference(model_dir: str) -> Policy:
    return Policy.load(model_dir)


def make(
    model_dir: str,
    load: Callable[[], Policy],
    folder: Path | None,
    precision: Literal["fp32", "bf16"] = "fp32",
) -> ReferenceLogps:
    return ReferenceLogps(model_dir, TrainConfig(precision=precision), load, folder)


def test_each_row_is_computed_once_for_all_orders_selections_and_runs(
    tmp_path: Path, model_dir: str, reference: Policy
) -> None:
    first = make(model_dir, lambda: reference, tmp_path)
    tokens = collate(ROWS, 0)
    expected = masked_sum(reference(tokens), tokens.mask)
    assert torch.equal(first(tokens), expected)
    assert torch.equal(first(tokens), expected)
    assert first.computed == 4

    def never() -> Policy:
        raise AssertionError("the reference was loaded although everything is known")

    later = make(model_dir, never, tmp_path)
    some = [3, 1]
    assert torch.equal(later(collate([ROWS[i] for i in some], 0)), expected[some])
    assert later.computed == 0


def test_rows_are_known_by_prompt_and_response_not_by_padding() -> None:
    plain = collate(ROWS, 0)
    wide = Tokens(pad(plain.ids, (2, 3), value=2), pad(plain.mask, (2, 3)))
    attention = (torch.arange(10) >= 2) & (torch.arange(10) < 2 + torch.tensor([[r.length] for r in ROWS]))
    assert row_keys(wide._replace(attention=attention)) == row_keys(plain)
    assert len(set(row_keys(plain))) == 4, "the same tokens with another border are another row"


def test_another_reference_shares_nothing(
    tmp_path: Path, model_dir: str, make_model: ModelMaker, reference: Policy
) -> None:
    make(model_dir, lambda: reference, tmp_path)(collate(ROWS, 0))
    other_dir = str(make_model(seed=5))
    other = Policy.load(other_dir)
    logps = make(other_dir, lambda: other, tmp_path)
    tokens = collate(ROWS, 0)
    assert torch.equal(logps(tokens), masked_sum(other(tokens), tokens.mask))
    assert logps.computed == 4
    assert len(list(tmp_path.iterdir())) == 2


def test_a_torn_last_line_is_computed_again(tmp_path: Path, model_dir: str, reference: Policy) -> None:
    tokens = collate(ROWS, 0)
    expected = make(model_dir, lambda: reference, tmp_path)(tokens)
    (path,) = tmp_path.iterdir()
    path.write_text(path.read_text()[:-10])
    again = make(model_dir, lambda: reference, tmp_path)
    assert torch.equal(again(tokens), expected)
    assert again.computed == 4
    assert len(path.read_text().splitlines()) == 4
    assert torch.equal(make(model_dir, lambda: reference, tmp_path)(tokens), expected)


def test_values_survive_the_file_to_the_last_bit(tmp_path: Path, model_dir: str, reference: Policy) -> None:
    tokens = collate(ROWS, 0)
    in_memory = make(model_dir, lambda: reference, None)(tokens)
    make(model_dir, lambda: reference, tmp_path)(tokens)
    assert torch.equal(make(model_dir, lambda: reference, tmp_path)(tokens), in_memory)


def test_the_reference_rounds_as_the_policy_does(tmp_path: Path, model_dir: str, reference: Policy) -> None:
    tokens = collate(ROWS, 0)
    exact = make(model_dir, lambda: reference, tmp_path)(tokens)
    rounded = make(model_dir, lambda: reference, tmp_path, "bf16")(tokens)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        policy = masked_sum(reference(tokens), tokens.mask)
    assert torch.equal(rounded, policy)
    assert not torch.equal(rounded, exact)
    assert torch.equal(make(model_dir, lambda: reference, tmp_path)(tokens), exact), "each has its own file"
