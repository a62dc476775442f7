"""Folding a BatchNorm into the layer before it keeps the function, or is not done."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from milp_lth.finding import find_ticket
from milp_lth.network import read_network
from milp_lth.networks.batch_norm import NoSequences, fold_batch_norms
from milp_lth.networks.signs import trace


def disturbed(module: Any, seed: int = 0) -> Any:
    """With weights, biases and statistics that are not 0 and 1, in double precision."""
    torch.manual_seed(seed)
    for tensor in [*module.parameters(), *module.buffers()]:
        if tensor.is_floating_point():
            nn.init.uniform_(tensor, 0.2, 1.5)
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Conv1d | nn.Conv2d):
            nn.init.normal_(part.weight)
    return module.double().eval().requires_grad_(False)


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64)


CASES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], list[str]]] = {
    "linear": (lambda: nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)), (5, 4), ["1"]),
    "no bias": (
        lambda: nn.Sequential(nn.Linear(4, 3, bias=False), nn.BatchNorm1d(3)), (5, 4), ["1"],
    ),
    "no scale": (
        lambda: nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3, affine=False)), (5, 4), ["1"],
    ),
    "conv1d": (lambda: nn.Sequential(nn.Conv1d(2, 3, 3), nn.BatchNorm1d(3)), (2, 2, 7), ["1"]),
    "conv2d": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1, groups=2, padding_mode="reflect"),
            nn.BatchNorm2d(4, eps=0.1), nn.ReLU(),
            nn.Conv2d(4, 3, 1, bias=False), nn.BatchNorm2d(3),
        ),
        (2, 2, 5, 5), ["1", "4"],
    ),
    "norm first": (lambda: nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 3)), (5, 4), []),
    "relu between": (
        lambda: nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.BatchNorm1d(3)), (5, 4), [],
    ),
    "no statistics": (
        lambda: nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3, track_running_stats=False)),
        (5, 4), [],
    ),
    "another norm": (
        lambda: nn.Sequential(nn.Conv2d(2, 3, 1), nn.InstanceNorm2d(3, track_running_stats=True)),
        (2, 2, 5, 5), [],
    ),
    "not a layer": (
        lambda: nn.Sequential(nn.ConvTranspose2d(2, 3, 2), nn.BatchNorm2d(3)), (2, 2, 5, 5), [],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_folding_keeps_the_function(name: str) -> None:
    make, shape, folded = CASES[name]
    module = disturbed(make())
    x = drawn(*shape)
    wanted = module(x)
    assert fold_batch_norms(module, trace(module)) == folded
    torch.testing.assert_close(module(x), wanted, rtol=0, atol=1e-12)
    left = [part for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    assert len(left) == sum("BatchNorm" in type(p).__name__ for p in make().modules()) - len(folded)


class Using(nn.Module):
    """A layer and norms that a forward puts together."""

    def __init__(self, use: Callable[[Any, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.layer, self.other = nn.Linear(4, 4), nn.Linear(4, 4)
        self.norm, self.second = nn.BatchNorm1d(4), nn.BatchNorm1d(4)
        self.use = use

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.use(self, x)


@pytest.mark.parametrize(
    "use",
    [
        lambda m, x: m.norm(m.layer(m.layer(x))),
        lambda m, x: m.norm(m.layer(m.norm(x))),
        lambda m, x: m.norm(m.layer(x)) + m.second(m.layer(x)),
        lambda m, x: (lambda h: m.norm(h) + h)(m.layer(x)),
        lambda m, x: (lambda h: m.norm(h) + m.second(h))(m.layer(x)),
        lambda m, x: m.norm(m.layer(x) + x),
    ],
)
def test_a_layer_or_norm_in_two_places_is_left_alone(
    use: Callable[[Any, torch.Tensor], torch.Tensor],
) -> None:
    module = disturbed(Using(use))
    assert fold_batch_norms(module, trace(module)) == []


def test_shared_weights_are_left_alone() -> None:
    module = Using(lambda m, x: m.norm(m.layer(x)) + m.other(x))
    module.other.weight = module.layer.weight
    disturbed(module)
    assert fold_batch_norms(module, trace(module)) == []
    module.other.weight = nn.Parameter(drawn(4, 4), requires_grad=False)
    x = drawn(5, 4)
    wanted = module(x)
    assert fold_batch_norms(module, trace(module)) == ["norm"]
    torch.testing.assert_close(module(x), wanted, rtol=0, atol=1e-12)


def test_hooks_keep_a_norm() -> None:
    module = disturbed(Using(lambda m, x: m.norm(m.layer(x))))
    module.norm.register_forward_hook(lambda part, given, out: out + 1)
    assert fold_batch_norms(module, trace(module)) == []


def test_behind_a_linear_sequences_are_refused() -> None:
    module = disturbed(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)))
    ticket = find_ticket(module, width=30)
    x = drawn(6, 4)
    assert float((ticket(x) - module(x)).abs().max()) < 0.01
    sequences = drawn(2, 3, 4)  # three steps: the norm would take the steps for channels
    module(sequences)
    with pytest.raises(ValueError, match=r"got \(2, 3, 3\)"):
        ticket(sequences)
    assert torch.equal(NoSequences()(x), x)


def test_what_is_left_of_a_norm_is_named_as_elementwise() -> None:
    module = disturbed(nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 3)))
    (left,) = read_network(module).body.dense  # type: ignore[attr-defined]
    assert (left.name, left.kind, left.num_weights, left.elementwise) == (
        "0",
        "BatchNorm1d",
        8,
        True,
    )
    read_network(module, strict=True)


def test_training_statistics_of_the_target_stay() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 2))
    module.train()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    find_ticket(module, width=12)
    assert module.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
