import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn

from farm.models import packed_weights as packing
from farm.models.packed_weights import packed


@pytest.fixture
def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(48, 130), nn.GELU(), nn.Linear(130, 7, bias=False))


def packs(model: nn.Sequential) -> list[bool]:
    with packed(model):
        return ["forward" in vars(part) for part in model]


@pytest.mark.parametrize("shape", [(1, 1), (8, 1), (3, 70), (0, 1), (300, 2)])
def test_products_with_packed_weights_are_those_of_the_layers(
    model: nn.Sequential, shape: tuple[int, int]
) -> None:
    double = copy.deepcopy(model).double()
    input = torch.randn(*shape, 96)[..., ::2]
    with torch.inference_mode(), packed(model):
        found = model(input)
    assert found.dtype == torch.float32
    assert found.shape == (*shape, 7)
    assert torch.allclose(found.double(), double(input.double()), atol=1e-6)


def test_a_packed_layer_runs_its_hooks(model: nn.Sequential) -> None:
    seen = []
    model[0].register_forward_hook(lambda layer, inputs, output: seen.append(output.shape))
    with torch.inference_mode(), packed(model):
        model(torch.randn(2, 48))
    assert seen == [(2, 130)]


def test_after_it_layers_multiply_with_their_weights_as_they_are_then(model: nn.Sequential) -> None:
    input = torch.randn(5, 48)
    with torch.inference_mode(), packed(model):
        before = model(input)
    last = model[2]
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        last.weight.mul_(2)
    after = model(input)
    assert torch.allclose(after, 2 * before, atol=1e-5)
    after.sum().backward()
    assert model[0].weight.grad is not None


def test_one_inside_another_leaves_everything_as_it_was(model: nn.Sequential) -> None:
    with packed(model):
        assert packs(model) == [True, False, True]
        assert "forward" in vars(model[0])
    assert packs(model) == [True, False, True]
    assert not any("forward" in vars(part) for part in model)


def test_where_there_is_no_room_for_packed_weights_no_layer_keeps_old_ones(
    model: nn.Sequential, monkeypatch: pytest.MonkeyPatch
) -> None:
    product = packing._product

    def failing_second(layer: nn.Linear) -> Callable[[torch.Tensor], torch.Tensor]:
        if layer is model[2]:
            raise MemoryError
        return product(layer)

    monkeypatch.setattr(packing, "_product", failing_second)
    with pytest.raises(MemoryError), packed(model):
        pass
    assert not any("forward" in vars(part) for part in model)


def test_what_is_no_plain_linear_layer_of_float32_is_left_alone(
    model: nn.Sequential, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Doubled(nn.Linear):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            return 2 * super().forward(input)

    assert packs(nn.Sequential(Doubled(4, 4), nn.Linear(4, 4, dtype=torch.bfloat16))) == [False, False]
    with torch.autocast("cpu", torch.bfloat16):
        assert packs(model) == [False] * 3
    monkeypatch.setattr(packing, "MOST_BYTES", 4 * 130 * (48 + 7) - 1)
    assert packs(model) == [False] * 3
    monkeypatch.setattr(packing, "MOST_BYTES", 4 * 130 * (48 + 7))
    assert packs(model) == [True, False, True]
    with monkeypatch.context() as compiled:
        compiled.setattr(model[0], "_compiled_call_impl", model[0].forward)
        assert packs(model) == [False] * 3
    assert packs(model) == [True, False, True]
    monkeypatch.setattr(packing, "OPERATORS", ("_reorder_linear_weight", "_of_no_torch"))
    assert packs(model) == [False] * 3
