"""Magnitude and random pruning: what is kept, and what is counted."""

from dataclasses import replace

import pytest
import torch

from milp_lth.rivals.files import predictions
from milp_lth.rivals.floor import dense, magnitude, random_pruning
from milp_lth.rivals.found import Found
from milp_lth.rivals.masked import masked_layers
from milp_lth.rivals.random_network import Shape, random_network
from milp_lth.rivals.task import Task, load_task

SCALE = 0.05
SHAPE = Shape("fc2", 64, 10, 30)


@pytest.fixture(scope="module")
def task() -> Task:
    return load_task("digits")


@pytest.fixture(scope="module")
def target(task: Task) -> Found:
    return dense(task, SHAPE, seed=0, scale=SCALE)


def weights(network: torch.nn.Module) -> list[torch.Tensor]:
    return [layer.weight.detach() for _, layer in masked_layers(network)]


def accuracy(found: Found, task: Task) -> float:
    assert task.test.y is not None
    return float((predictions(found.network, task.test.x) == task.test.y).double().mean())


def test_the_dense_network_learns_and_keeps_everything(task: Task, target: Found) -> None:
    assert target.kept == target.source_dense == 64 * 30 + 30 * 10
    assert target.examples == 5 * len(task.train.x)
    assert target.training == "weights"
    assert accuracy(target, task) > 0.85


@pytest.mark.parametrize("density", [0.05, 0.3, 0.5, 1.0])
def test_magnitude_keeps_the_largest_of_all_layers(
    task: Task, target: Found, density: float
) -> None:
    found = magnitude(task, SHAPE, density=density, seed=0, scale=SCALE, target=target)
    sizes = torch.cat([weight.abs().flatten() for weight in weights(target.network)])
    kept = torch.cat([mask.flatten() for mask in found.masks.values()])
    assert found.kept == int(kept.sum()) == round(density * len(sizes))
    assert density == 1 or sizes[kept].min() >= sizes[~kept].max()
    assert all(map(torch.equal, weights(found.network), weights(target.network)))
    assert found.target_seconds == target.search_seconds
    assert found.examples == target.examples


def test_retraining_trains_what_is_kept_and_counts_it(task: Task, target: Found) -> None:
    options = {"density": 0.1, "seed": 0, "scale": SCALE, "target": target}
    once = magnitude(task, SHAPE, **options)  # type: ignore[arg-type]
    again = magnitude(task, SHAPE, retrain=True, **options)  # type: ignore[arg-type]
    assert all(torch.equal(again.masks[name], mask) for name, mask in once.masks.items())
    assert not all(map(torch.equal, weights(again.network), weights(once.network)))
    assert again.examples == 2 * target.examples
    assert [p.examples for p in again.curve] == [k * len(task.train.x) for k in range(1, 11)]
    assert accuracy(again, task) > accuracy(once, task)
    assert not any(p.requires_grad for p in again.network.parameters())


def test_magnitude_trains_the_target_that_it_is_not_given(task: Task, target: Found) -> None:
    given = magnitude(task, SHAPE, density=0.3, seed=0, scale=SCALE, target=target)
    itself = magnitude(task, SHAPE, density=0.3, seed=0, scale=SCALE)
    assert all(torch.equal(itself.masks[name], mask) for name, mask in given.masks.items())
    assert itself.examples == given.examples
    assert itself.target_seconds > 0


def test_random_pruning_keeps_the_share_of_every_layer(task: Task) -> None:
    found = random_pruning(task, SHAPE, density=0.25, seed=3, scale=SCALE)
    assert [int(mask.sum()) for mask in found.masks.values()] == [480, 75]
    drawn = weights(random_network(SHAPE, 3))
    for mask, weight, first in zip(
        found.masks.values(), weights(found.network), drawn, strict=True
    ):
        assert not torch.equal(weight[mask], first[mask])
    other = random_pruning(task, SHAPE, density=0.25, seed=4, scale=SCALE)
    shared = sum(int((a & b).sum()) for a, b in zip(
        found.masks.values(), other.masks.values(), strict=True
    ))  # fmt: skip
    assert shared == pytest.approx(555 / 4, rel=0.3)


def test_no_label_of_the_test_part_is_looked_at(task: Task) -> None:
    assert task.test.y is not None
    shuffled = Task("digits", task.train, replace(task.test, y=task.test.y.flip(0)))
    for method in (magnitude, random_pruning):
        one = method(task, SHAPE, density=0.2, seed=0, scale=SCALE)
        two = method(shuffled, SHAPE, density=0.2, seed=0, scale=SCALE)
        assert all(map(torch.equal, weights(one.network), weights(two.network)))
        assert all(torch.equal(one.masks[name], mask) for name, mask in two.masks.items())
        assert one.curve != two.curve


@pytest.mark.parametrize("density", [0.0, -0.5, 1.5, float("nan")])
def test_densities_that_are_none_are_refused(task: Task, density: float) -> None:
    with pytest.raises(ValueError, match="density"):
        magnitude(task, SHAPE, density=density, seed=0)
    with pytest.raises(ValueError, match="density"):
        random_pruning(task, SHAPE, density=density, seed=0)
