"""The three structures of Pensia's second experiment."""

import math
from itertools import pairwise

import pytest
import torch

from milp_lth.rivals.edge_popup import edge_popup
from milp_lth.rivals.masked import masks_of
from milp_lth.rivals.random_network import Shape, random_network
from milp_lth.rivals.structures import REDUNDANCY, matrices, num_weights
from milp_lth.rivals.task import load_task

SIZES = [(784, 500, 10), (784, 500, 500, 500, 10), (400, 120, 84, 10), (64, 20, 10)]


@pytest.mark.parametrize("relu", [True, False])
def test_redundant_layers_are_two_matrices(relu: bool) -> None:
    """V relu(U x), where unit h sees input h // r."""
    structure = "redundant-relu" if relu else "redundant-linear"
    network = random_network(Shape("fc2", 12, 4, 6), seed=2, structure=structure)
    x = torch.randn(9, 12, generator=torch.Generator().manual_seed(0))
    weights = [weight.detach() for weight in network.parameters()]
    value = x
    for number, (block, v) in enumerate(zip(weights[::2], weights[1::2], strict=True)):
        num_inputs = value.shape[1]
        u = torch.zeros(len(block), num_inputs)
        for h in range(len(block)):
            u[h, h // REDUNDANCY] = block[h]
        inner = value @ u.T
        value = (inner.relu() if relu else inner) @ v.T
        if number == 0:
            value = value.relu()
    torch.testing.assert_close(network(x), value)


def test_first_weights_have_the_deviations_of_the_paper() -> None:
    network = random_network(Shape("fc2", 784, 10, 100), seed=0, structure="redundant-relu")
    block, dense = network[0].weight, network[2].weight
    assert float(block.std()) == pytest.approx(math.sqrt(2), rel=0.05)
    assert float(dense.std()) == pytest.approx(math.sqrt(2 / (5 * 784)), rel=0.01)


@pytest.mark.parametrize("sizes", SIZES)
def test_wide_networks_have_as_many_weights_and_not_a_unit_more(sizes: tuple[int, ...]) -> None:
    wanted = num_weights(matrices(sizes, "redundant-linear"))
    assert wanted == sum(5 * a + 5 * a * b for a, b in pairwise(sizes))
    wide = matrices(sizes, "wide")
    widths = [matrix.shape[0] for matrix in wide[:-1]]
    assert (wide[0].shape[1], wide[-1].shape[0]) == (sizes[0], sizes[-1])
    narrower = (sizes[0], *(width - 1 for width in widths), sizes[-1])
    assert num_weights(matrices(narrower, "plain")) < wanted <= num_weights(wide)
    ratios = [width / hidden for width, hidden in zip(widths, sizes[1:-1], strict=True)]
    assert max(ratios) - min(ratios) < 0.01


def test_lenet_has_a_structure_behind_its_convolutions() -> None:
    network = random_network(Shape("lenet5", 784, 10), seed=0, structure="redundant-relu")
    assert network(torch.rand(2, 784)).shape == (2, 10)
    shapes = [tuple(mask.shape) for mask in masks_of(network).values()]
    assert shapes == [(2000,), (120, 2000), (600,), (84, 600), (420,), (10, 420)]


def test_the_structure_with_relus_degrades_first() -> None:
    """As in the figure of the paper, on as many weights: wide, then linear, then with ReLUs."""
    task = load_task("digits")
    found = []
    for structure in ("wide", "redundant-linear", "redundant-relu"):
        network = random_network(Shape("fc2", 64, 10, 64), seed=0, structure=structure)
        found.append(edge_popup(network, task, density=0.5, seed=0, scale=0.2))
        assert found[-1].kept / found[-1].source_dense == pytest.approx(0.5, abs=0.001)
    wide, linear, relu = (one.curve[-1].accuracy for one in found)
    assert wide > 0.88
    assert wide > linear + 0.02
    assert linear > relu + 0.1
    sizes = [one.source_dense for one in found]
    assert max(sizes) < 1.01 * min(sizes)


def test_an_unknown_structure_is_refused() -> None:
    with pytest.raises(ValueError, match="plain, wide, redundant-relu, redundant-linear"):
        matrices((4, 3, 2), "narrow")
