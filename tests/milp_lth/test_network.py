"""What a target may be, and what is refused by name."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from milp_lth.network import read_network
from milp_lth.networks.walked import LeftDense, Walked


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


@pytest.mark.parametrize(
    ("module", "shape", "num_layers"),
    [
        (nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU()), (2, 1, 4, 4), 1),
        (nn.Sequential(nn.Linear(2, 2), nn.Sigmoid()), (3, 2), 1),
        (nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).eval(), (3, 2), 1),
        (Branching(), (3, 2), 1),
        (Skipping(), (3, 2), 1),
        (Deciding(), (3, 2), 1),
        (nn.Sequential(nn.Linear(2, 2), nn.Softmax(-1), nn.Linear(2, 2)), (3, 2), 2),
    ],
)
def test_any_other_module_is_a_copy_with_holes(
    module: nn.Module, shape: tuple[int, ...], num_layers: int
) -> None:
    network = read_network(module)
    assert isinstance(network.body, Walked)
    assert network.steps == ()
    assert len(network.layers) == num_layers
    assert network.body.described() == type(module).__name__
    x = torch.randn(shape)
    with torch.no_grad():
        torch.testing.assert_close(network.module()(x), module(x), rtol=0, atol=1e-6)
    before = network.layers[0].weight.copy()
    nn.init.zeros_(next(module.parameters()))
    assert (network.layers[0].weight == before).all()  # a copy


class Comparing(nn.Module):
    """One module that no random layer stands for."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.both = nn.Linear(2, 2), nn.Bilinear(2, 2, 3)
        self.norm = nn.LayerNorm(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.both(self.one(x), x))


def test_what_is_left_dense_is_named() -> None:
    body = read_network(Comparing()).body
    assert isinstance(body, Walked)
    assert body.dense == (
        LeftDense("both", "Bilinear", 15, elementwise=False),
        LeftDense("norm", "LayerNorm", 6, elementwise=True),
    )
    assert body.described() == "Comparing; left dense: both (Bilinear)"
    with pytest.raises(ValueError, match=r"would be left dense: both \(Bilinear\)"):
        read_network(Comparing(), strict=True)


def with_weight(value: float, dtype: torch.dtype = torch.float32) -> nn.Module:
    module = nn.Sequential(nn.ReLU(), nn.Linear(2, 2, dtype=dtype))
    module[1].weight.data[0, 1] = value
    return module


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (with_weight(float("nan")), "'1' has weights that are NaN or infinite"),
        (with_weight(float("inf")), "NaN or infinite"),
        (with_weight(1.0, torch.float16), r"float16.*\.float\(\)"),
        (nn.Sequential(nn.Linear(2, 3), nn.Linear(4, 2)), "takes 4 inputs, but '0' gives 3"),
        (nn.Sequential(nn.ReLU()), "no linear layer"),
        (nn.Sequential(), "no linear layer"),
        (nn.Sequential(nn.Bilinear(2, 2, 2)), "no linear layer"),
        ("resnet50", "torch.nn.Module"),
    ],
)
def test_what_cannot_be_approximated_is_refused(module: nn.Module, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_network(module)
