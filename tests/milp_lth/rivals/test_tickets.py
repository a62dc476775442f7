"""Tickets as rivals: the target is counted, and so are all entries of both matrices."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from milp_lth.rivals.files import predictions
from milp_lth.rivals.floor import dense
from milp_lth.rivals.found import Found
from milp_lth.rivals.masked import Masked
from milp_lth.rivals.random_network import Shape, random_network
from milp_lth.rivals.task import Task, load_task
from milp_lth.rivals.tickets import as_target, subset_sum_ticket
from milp_lth.ticket import Ticket

SCALE = 0.05
SHAPE = Shape("fc2", 64, 10, 12)
NUM_WEIGHTS = 12 * (64 + 10)


@pytest.fixture(scope="module")
def task() -> Task:
    return load_task("digits")


@pytest.fixture(scope="module")
def target(task: Task) -> Found:
    return dense(task, SHAPE, seed=0, scale=SCALE)


def ticket(task: Task, target: Found | None, objective: str, **options: float) -> Found:
    return subset_sum_ticket(
        task, SHAPE, objective=objective, seed=0, scale=SCALE, target=target, **options
    )


@pytest.mark.parametrize(
    ("objective", "options"),
    [
        ("closest", {}),
        ("sparsest", {}),
        ("budget", {"edges_per_weight": 1.0}),
        ("data-aware", {}),
    ],
)
def test_a_ticket_counts_its_target_and_all_of_both_matrices(
    task: Task, target: Found, objective: str, options: dict[str, float]
) -> None:
    found = ticket(task, target, objective, **options)
    assert isinstance(found.network, Ticket)
    counts = found.network.edges()
    assert found.kept == counts["kept_u"] + counts["kept_v"]
    assert found.source_dense == counts["source_dense"] == 24 * (64 * (64 + 12) + 12 * (12 + 10))
    assert found.training == "target"
    assert found.target_seconds == target.search_seconds
    calibrated = len(task.train.x) if objective == "data-aware" else 0
    assert found.examples == target.examples + calibrated
    agreement = predictions(found.network, task.test.x) == predictions(target.network, task.test.x)
    assert agreement.double().mean() > (0.85 if objective == "budget" else 0.95)
    if objective == "budget":
        assert counts["kept_v"] <= NUM_WEIGHTS
    if objective == "sparsest":
        assert counts["per_weight"] < 4


def test_a_smaller_budget_keeps_fewer_edges(task: Task, target: Found) -> None:
    kept = [ticket(task, target, "budget", edges_per_weight=e).kept for e in (0.25, 0.5)]
    assert kept[0] < kept[1] < 1.5 * NUM_WEIGHTS


def test_no_label_of_the_test_part_is_looked_at(task: Task) -> None:
    assert task.test.y is not None
    other = Task("digits", task.train, replace(task.test, y=task.test.y.flip(0)))
    one, two = ticket(task, None, "closest"), ticket(other, None, "closest")
    assert one.target_seconds > 0
    assert all(torch.equal(one.masks[name], mask) for name, mask in two.masks.items())


def test_a_target_computes_what_its_masked_network_does() -> None:
    network = random_network(SHAPE, 1)
    for layer in network.children():
        if isinstance(layer, Masked):
            layer.mask = layer.weight > 0
            layer.gain.fill_(2.0)
    x = torch.linspace(0, 1, 128).view(2, 64)
    assert torch.equal(as_target(network)(x), network(x))
    with pytest.raises(ValueError, match="Conv2d"):
        as_target(nn.Sequential(nn.Conv2d(1, 1, 3)))


def test_what_is_unknown_is_refused(task: Task) -> None:
    with pytest.raises(ValueError, match="unknown objective 'nearest'"):
        ticket(task, None, "nearest")
    with pytest.raises(ValueError, match="belongs to the objective budget"):
        ticket(task, None, "closest", edges_per_weight=1.0)
    with pytest.raises(ValueError, match="belongs to the objective budget"):
        ticket(task, None, "budget")
