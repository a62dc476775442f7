"""Linear mode connectivity: barriers between networks, between copies, and between tickets."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from milp_lth.rivals.connectivity import (
    NUM_POINTS,
    Barrier,
    error_barrier,
    instability,
    ticket_barriers,
)
from milp_lth.rivals.floor import dense, random_pruning
from milp_lth.rivals.found import Found
from milp_lth.rivals.masked import masked_layers
from milp_lth.rivals.random_network import Shape, random_network
from milp_lth.rivals.rewinding import imp
from milp_lth.rivals.task import Task, load_task
from milp_lth.targets.data import Data

SCALE = 0.2
SHAPE = Shape("fc2", 64, 10, 100)
LIMIT = 0.02
"""Of a barrier that is none, as in the paper."""


@pytest.fixture(scope="module")
def task() -> Task:
    return load_task("digits")


@pytest.fixture(scope="module")
def target(task: Task) -> Found:
    return dense(task, SHAPE, seed=0, scale=SCALE)


def between(one: nn.Module, other: nn.Module, data: Data, **options: Any) -> Barrier:
    assert data.y is not None
    return error_barrier(one, other, data.x, data.y, **options)


def error(network: nn.Module, data: Data) -> float:
    assert data.y is not None
    return float((network(data.x).argmax(dim=1) != data.y).double().mean())


def test_there_is_none_from_a_network_to_itself(task: Task, target: Found) -> None:
    found = between(target.network, copy.deepcopy(target.network), task.test)
    assert found.barrier == 0
    assert found.errors == pytest.approx([error(target.network, task.test)] * NUM_POINTS)
    assert found.alphas == pytest.approx([k / 29 for k in range(30)])


def test_the_same_network_with_its_units_in_another_order_is_far_away(
    task: Task, target: Found
) -> None:
    order = torch.randperm(100, generator=torch.Generator().manual_seed(0))
    other = copy.deepcopy(target.network)
    (_, first), (_, last) = masked_layers(other)
    first.weight.data, last.weight.data = first.weight[order], last.weight[:, order]
    found = between(target.network, other, task.test)
    assert found.errors[0] == found.errors[-1] == pytest.approx(error(other, task.test))
    assert found.barrier > 2 * LIMIT


def test_networks_of_other_first_weights_are_apart(task: Task, target: Found) -> None:
    other = dense(task, SHAPE, seed=1, scale=SCALE)
    assert between(target.network, other.network, task.train).barrier > 2 * LIMIT


def test_errors_are_those_of_effective_weights(task: Task) -> None:
    """Against products of matrices in NumPy, with masks and gains that differ."""
    ends = []
    for seed in range(2):
        network = random_pruning(task, SHAPE, density=0.3, seed=seed, scale=0.05).network
        for _, layer in masked_layers(network):
            layer.gain.fill_(0.5 + seed)
        ends.append(network)
    states = [copy.deepcopy(network.state_dict()) for network in ends]
    found = between(ends[0], ends[1], task.test, num_points=7)
    assert task.test.y is not None
    x, y = task.test.x.double().numpy(), task.test.y.numpy()
    for k, alpha in enumerate(np.linspace(0, 1, 7)):
        share = {0: alpha, 1: 1 - alpha}
        w, v = (
            sum(
                share[n] * (0.5 + n) * layer.weight.double().numpy() * layer.mask.numpy()
                for n, layer in enumerate(pair)
            )
            for pair in zip(*([e for _, e in masked_layers(n)] for n in ends), strict=True)
        )
        wrong = (np.maximum(x @ w.T, 0) @ v.T).argmax(axis=1) != y
        assert found.errors[k] == pytest.approx(wrong.mean(), abs=1.5 / len(y))
    expected = max(found.errors) - (found.errors[0] + found.errors[-1]) / 2
    assert found.barrier == pytest.approx(expected)
    for network, state in zip(ends, states, strict=True):  # they stay as they are
        assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())


def test_any_module_will_do() -> None:
    """Between weights of 1 and of −1 the class changes half way."""
    networks = []
    for weight in (1.0, -1.0):
        linear = nn.Linear(1, 2)
        linear.weight.data, linear.bias.data = torch.tensor([[0.0], [weight]]), torch.zeros(2)
        networks.append(nn.Sequential(linear, nn.BatchNorm1d(2).eval()))
    one, other = networks
    found = error_barrier(one, other, torch.tensor([[1.0]]), torch.tensor([1]), num_points=4)
    assert found.errors.tolist() == [1, 1, 0, 0]
    assert found.barrier == 0.5


@pytest.mark.parametrize("seed", range(3))
def test_copies_in_different_orders_have_no_barrier_from_the_first_weights(
    task: Task, seed: int
) -> None:
    found = instability(task, SHAPE, seed=seed, scale=SCALE)
    assert found.training.barrier < LIMIT
    assert found.held_out.barrier < LIMIT
    assert max(found.training.errors[0], found.training.errors[-1]) < 0.02


def test_copies_part_where_they_are_told_to(task: Task, tmp_path: Path) -> None:
    """With one order they do not part at all; the later they part, the closer they stay."""
    options: dict[str, Any] = {"seed": 0, "scale": SCALE}
    together = instability(task, SHAPE, order_seeds=(5, 5), **options)
    assert len(set(together.training.errors)) == 1
    apart = []
    for rewind in (0.0, 0.5, 0.95):
        folder = tmp_path / str(rewind)
        told: list[tuple[int, int]] = []
        instability(
            task, SHAPE, rewind=rewind, checkpoints=folder, **options,
            on_epoch=lambda *done, told=told: told.append(done),
        )  # fmt: skip
        first = round(20 * rewind)
        assert told == [(k, 40 - first) for k in range(1, 41 - first)]
        instability(
            task, SHAPE, rewind=rewind, checkpoints=folder, **options,
            on_epoch=lambda *_: pytest.fail("trained again"),
        )  # fmt: skip
        one, other = (load_file(folder / f"order-{k}.safetensors") for k in range(2))
        apart.append(float((one["network.0.weight"] - other["network.0.weight"]).norm()))
    assert apart[0] > apart[1] > apart[2] > 0


def test_subnetworks_are_measured_under_their_masks(task: Task) -> None:
    found = imp(task, SHAPE, density=0.2, seed=0, share=0.5, scale=SCALE)
    under = instability(task, SHAPE, seed=0, masks=found.masks, scale=SCALE)
    assert under.training.barrier < LIMIT
    assert under.held_out.barrier < LIMIT
    # with the order that it was found in, a copy is what was found
    again = instability(task, SHAPE, seed=0, masks=found.masks, scale=SCALE, order_seeds=(0, 0))
    assert again.held_out.errors[0] == pytest.approx(error(found.network, task.test))


def test_tickets_of_one_target_and_the_target_have_no_barriers(task: Task, target: Found) -> None:
    found = ticket_barriers(target.network, task.test, seeds=(3, 4))
    assert found.tickets.barrier < LIMIT / 10
    assert found.target.barrier < LIMIT / 10
    assert found.target.errors[-1] == pytest.approx(error(target.network, task.test))
    assert found.target.errors[0] == found.tickets.errors[-1]  # of the first ticket


def test_tickets_of_any_module(task: Task) -> None:
    network = nn.Sequential(nn.Linear(64, 4), nn.ReLU(), nn.Linear(4, 10)).eval()
    for k, parameter in enumerate(network.parameters()):
        order = torch.Generator().manual_seed(k)
        parameter.data = torch.randn(parameter.shape, generator=order) / 8
    assert ticket_barriers(network, task.test).tickets.barrier < LIMIT / 10


def test_networks_that_cannot_be_compared_are_refused(task: Task, target: Found) -> None:
    wider = random_network(Shape("fc2", 64, 10, 101), 0)
    with pytest.raises(ValueError, match="give two of one structure"):
        between(target.network, wider, task.test)
    with pytest.raises(ValueError, match="give two of one structure"):
        between(nn.Linear(64, 10), nn.Linear(64, 10, bias=False), task.test)
    with pytest.raises(ValueError, match="num_points 1: give 2 or more"):
        between(target.network, target.network, task.test, num_points=1)


def test_what_is_no_mask_or_share_is_refused(task: Task, target: Found) -> None:
    with pytest.raises(ValueError, match=r"give Found\.masks"):
        instability(task, Shape("fc2", 64, 10, 30), seed=0, masks=target.masks, scale=SCALE)
    with pytest.raises(ValueError, match="rewind 1.0: give"):
        instability(task, SHAPE, seed=0, rewind=1.0, scale=SCALE)
