"""What a target may be, and what is refused by name."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from milp_lth.network import read_network


class Functional(nn.Module):
    """An ordinary hand-written MLP."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 4)
        self.last = nn.Linear(4, 2, bias=False)
        self.drop = nn.Dropout(0.3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.view(x.size(0), -1)
        return self.last(self.drop(functional.relu(self.first(torch.flatten(x, 1)))))


def test_modules_functions_and_methods_are_understood() -> None:
    network = read_network(Functional())
    assert network.steps == ("flatten 1 -1", "flatten 1 -1", "linear", "relu", "linear")
    assert [layer.name for layer in network.layers] == ["first", "last"]
    assert network.layers[1].bias is None
    module = Functional().eval()
    x = torch.randn(5, 2, 3)
    assert torch.equal(read_network(module).module()(x), module(x))


@pytest.mark.parametrize(
    "module",
    [
        nn.Linear(3, 2),
        nn.Sequential(nn.Sequential(nn.Flatten(), nn.Linear(3, 3)), nn.ReLU(), nn.Linear(3, 1)),
        nn.Sequential(nn.Linear(3, 3, dtype=torch.float64), nn.Identity(), nn.ReLU(inplace=True)),
    ],
)
def test_the_module_that_is_read_back_computes_the_same(module: nn.Module) -> None:
    dtype = next(module.parameters()).dtype
    x = torch.randn(4, 3, dtype=dtype)
    assert torch.equal(read_network(module).module()(x), module(x))


def test_signs_are_followed() -> None:
    network = read_network(
        nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.ReLU(), nn.Dropout(), nn.Linear(2, 2))
    )
    assert network.nonnegative_inputs((0, 1)) == [True, False, True]
    assert network.nonnegative_inputs((-1, 1)) == [False, False, True]


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.one(x) + x


class Skipping(Branching):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.one(x)
        return torch.relu(x)


class Deciding(Branching):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.one(x) if x.sum() > 0 else x


def with_weight(value: float, dtype: torch.dtype = torch.float32) -> nn.Module:
    module = nn.Sequential(nn.ReLU(), nn.Linear(2, 2, dtype=dtype))
    module[1].weight.data[0, 1] = value
    return module


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Sequential(nn.Conv2d(1, 2, 3)), r"'0' \(Conv2d\) is not supported"),
        (nn.Sequential(nn.Linear(2, 2), nn.Sigmoid()), r"'1' \(Sigmoid\) is not supported"),
        (nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)), "BatchNorm1d"),
        (Branching(), "'add' is not supported"),
        (Skipping(), "branches"),
        (Deciding(), "cannot be traced"),
        (with_weight(float("nan")), "'1' has weights that are NaN or infinite"),
        (with_weight(float("inf")), "NaN or infinite"),
        (with_weight(1.0, torch.float16), r"float16.*\.float\(\)"),
        (nn.Sequential(nn.Linear(2, 3), nn.Linear(4, 2)), "takes 4 inputs, but '0' gives 3"),
        (nn.Sequential(nn.ReLU()), "no linear layer"),
        (nn.Sequential(), "no linear layer"),
        ("resnet50", "torch.nn.Module"),
    ],
)
def test_what_is_not_supported_is_named(module: nn.Module, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_network(module)
