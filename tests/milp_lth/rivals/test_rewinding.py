"""Iterative magnitude pruning: what a level removes, what it goes back to, and what is counted."""

import copy
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from milp_lth.rivals import rewinding
from milp_lth.rivals.floor import DENSE_SCHEDULE, dense
from milp_lth.rivals.found import Found
from milp_lth.rivals.masked import masked_layers
from milp_lth.rivals.random_network import Shape, random_network
from milp_lth.rivals.rewinding import imp
from milp_lth.rivals.task import Task, load_task
from milp_lth.rivals.training import Schedule, Trained, train

SCALE = 0.05  # five epochs
SHAPE = Shape("fc2", 64, 10, 30)
NUM_EDGES = 64 * 30 + 30 * 10
NUM_INPUTS = 1257


@pytest.fixture(scope="module")
def task() -> Task:
    return load_task("digits")


def weights(network: nn.Module) -> list[torch.Tensor]:
    return [layer.weight.detach() for _, layer in masked_layers(network)]


def kept(network: nn.Module) -> torch.Tensor:
    return torch.cat([layer.mask.flatten() for _, layer in masked_layers(network)])


def sizes(network: nn.Module) -> torch.Tensor:
    return torch.cat([weight.abs().flatten() for weight in weights(network)])


def same(one: Found, other: Found) -> bool:
    networks = zip(
        one.network.state_dict().values(), other.network.state_dict().values(), strict=True
    )
    return one.curve == other.curve and all(torch.equal(a, b) for a, b in networks)


class Level:
    """A network before and after its training."""

    def __init__(self, before: nn.Module, after: nn.Module, options: dict[str, Any]) -> None:
        self.before, self.after, self.options = before, after, options


@pytest.fixture
def levels(monkeypatch: pytest.MonkeyPatch) -> list[Level]:
    """All trainings of a test, as they are done."""
    found: list[Level] = []

    def recorded(network: nn.Module, **options: Any) -> Trained:
        before = copy.deepcopy(network)
        trained = train(network, **options)
        found.append(Level(before, copy.deepcopy(network), options))
        return trained

    monkeypatch.setattr(rewinding, "train", recorded)
    return found


@pytest.mark.parametrize("rewind", [0.0, 0.4])
def test_every_level_removes_the_smallest_and_goes_back(
    task: Task, levels: list[Level], rewind: float
) -> None:
    found = imp(task, SHAPE, density=0.3, seed=1, rewind=rewind, share=0.25, scale=SCALE)
    early, *rest = levels
    first = round(5 * rewind)
    assert all(map(torch.equal, weights(early.before), weights(random_network(SHAPE, 1))))
    assert early.options["epochs"] == range(first)
    assert [int(kept(level.before).sum()) for level in rest] == [2220, 1665, 1249, 937, 703, 666]
    for level in rest:
        assert all(map(torch.equal, weights(level.before), weights(early.after)))
        assert level.options["epochs"] == range(first, 5)
        assert torch.equal(kept(level.before), kept(level.after))
        assert not any(map(torch.equal, weights(level.before), weights(level.after)))
    for level, after in pairwise(rest):
        before, left = kept(level.after), kept(after.before)
        assert not (left & ~before).any()
        assert sizes(level.after)[left].min() >= sizes(level.after)[before & ~left].max()
    assert all(map(torch.equal, weights(found.network), weights(rest[-1].after)))
    assert torch.equal(torch.cat([mask.flatten() for mask in found.masks.values()]), left)


def test_what_is_found_counts_all_levels(task: Task) -> None:
    told: list[tuple[int, int]] = []
    found = imp(
        task, SHAPE, density=0.6, seed=0, rewind=0.2, scale=SCALE,
        on_epoch=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    num_levels = 4  # of 2220, 1776, 1421 and 1332 edges
    num_epochs = 1 + num_levels * 4
    assert found.kept == 1332
    assert found.source_dense == NUM_EDGES
    assert found.extra == {"levels": num_levels}
    assert found.training == "weights"
    assert found.examples == num_epochs * NUM_INPUTS
    assert [point.examples // NUM_INPUTS for point in found.curve] == [1, 14, 15, 16, 17]
    assert told == [(done, num_epochs) for done in range(1, num_epochs + 1)]
    assert not any(parameter.requires_grad for parameter in found.network.parameters())


def test_with_nothing_to_remove_it_is_the_dense_network(task: Task) -> None:
    found = imp(task, SHAPE, density=1.0, seed=3, scale=SCALE)
    assert same(found, dense(task, SHAPE, seed=3, scale=SCALE))
    assert found.extra == {"levels": 1}


@pytest.mark.parametrize("share", [0.0003, 0.999])
def test_the_density_is_met_whatever_the_share(task: Task, share: float) -> None:
    """A share of less than one edge removes one."""
    density = 2215 / NUM_EDGES if share < 0.5 else 1 / NUM_EDGES
    found = imp(task, SHAPE, density=density, seed=0, share=share, scale=0.01)
    assert found.kept == round(density * NUM_EDGES)
    assert found.extra == {"levels": 6 if share < 0.5 else 3}


@pytest.mark.parametrize("rewind", [0.0, 0.4])
def test_what_was_interrupted_goes_on_to_the_same_weights(
    task: Task, tmp_path: Path, rewind: float
) -> None:
    def stop(done: int, total: int) -> None:
        if done > total // 2:
            raise KeyboardInterrupt

    def run(folder: Path | None, on_epoch: Any = None) -> Found:
        return imp(
            task, SHAPE, density=0.5, seed=0, rewind=rewind, scale=SCALE,
            on_epoch=on_epoch, checkpoints=folder,
        )  # fmt: skip

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, stop)
    told: list[int] = []
    resumed = run(tmp_path, lambda done, _: told.append(done))
    assert same(resumed, run(None))
    assert told[-1] * NUM_INPUTS == resumed.examples
    assert len(told) < told[-1] * 0.8
    assert same(run(tmp_path, lambda *_: pytest.fail("trained again")), resumed)


def test_densities_share_levels_in_one_folder(task: Task, tmp_path: Path) -> None:
    imp(task, SHAPE, density=0.6, seed=0, scale=SCALE, checkpoints=tmp_path)
    told: list[int] = []
    options: dict[str, Any] = {"density": 0.5, "seed": 0, "scale": SCALE}
    found = imp(
        task, SHAPE, **options, checkpoints=tmp_path, on_epoch=lambda done, _: told.append(done)
    )
    assert told == list(range(16, 26))  # three of five levels were there
    assert same(found, imp(task, SHAPE, **options))
    with pytest.raises(ValueError, match="another training"):
        imp(task, SHAPE, **options | {"seed": 1}, checkpoints=tmp_path)


def test_a_fifth_of_the_edges_does_what_all_do(task: Task, tmp_path: Path) -> None:
    """Within half a point of the dense network, in the mean of three seeds."""
    behind = []
    for seed in range(3):
        options: dict[str, Any] = {
            "seed": seed, "share": 0.5, "scale": 0.6, "checkpoints": tmp_path / str(seed),
        }  # fmt: skip
        found, whole = (
            imp(task, Shape("fc2", 64, 10, 100), density=density, **options)
            for density in (0.2, 1.0)
        )
        assert (found.kept, whole.kept) == (1480, 7400)
        behind.append(whole.curve[-1].accuracy - found.curve[-1].accuracy)
    assert sum(behind) / 3 < 0.005


def test_without_momentum_parts_of_a_schedule_are_the_whole(task: Task) -> None:
    """What a part does not have of the whole is the momentum of the epochs before."""
    plain = Schedule(5, 0.1, 1e-4, momentum=0.0)
    for schedule, expected in ((plain, True), (DENSE_SCHEDULE, False)):
        whole, parts = (random_network(SHAPE, 0, trainable=True) for _ in range(2))
        scale = 5 / schedule.num_epochs
        curve = train(whole, task, schedule, seed=4, scale=scale).curve
        first = train(parts, task, schedule, seed=4, scale=scale, epochs=range(2))
        assert first.curve == curve[:2]
        second = train(parts, task, schedule, seed=4, scale=scale, epochs=range(2, 5))
        assert second.examples == 3 * NUM_INPUTS
        assert [point.examples // NUM_INPUTS for point in second.curve] == [1, 2, 3]
        assert all(map(torch.equal, weights(whole), weights(parts))) == expected
        assert ([p.loss for p in second.curve] == [p.loss for p in curve[2:]]) == expected


def test_no_epochs_change_nothing(task: Task) -> None:
    network = random_network(SHAPE, 0, trainable=True)
    trained = train(network, task, DENSE_SCHEDULE, seed=0, scale=SCALE, epochs=range(0))
    assert trained == Trained(0, 0.0, ())
    assert all(map(torch.equal, weights(network), weights(random_network(SHAPE, 0))))


def test_a_part_that_was_finished_is_not_trained_again(task: Task, tmp_path: Path) -> None:
    file = tmp_path / "part.safetensors"
    options: dict[str, Any] = {"seed": 0, "scale": SCALE, "checkpoint": file}
    one, other = (random_network(SHAPE, 0, trainable=True) for _ in range(2))
    first = train(one, task, DENSE_SCHEDULE, epochs=range(1, 3), **options)
    assert train(other, task, DENSE_SCHEDULE, epochs=range(1, 3), **options) == first
    assert all(map(torch.equal, weights(one), weights(other)))
    with pytest.raises(ValueError, match="another training"):
        train(other, task, DENSE_SCHEDULE, epochs=range(2, 4), **options)


@pytest.mark.parametrize("epochs", [range(6), range(3, 2), range(0, 4, 2), range(-1, 2)])
def test_epochs_that_the_schedule_has_not_are_refused(task: Task, epochs: range) -> None:
    with pytest.raises(ValueError, match=r"within range\(5\)"):
        train(
            random_network(SHAPE, 0, trainable=True), task, DENSE_SCHEDULE,
            seed=0, scale=SCALE, epochs=epochs,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [("density", 0.0), ("density", 1.5), ("rewind", -0.1), ("rewind", 1.0), ("share", 0.0),
     ("share", 1.0), ("share", float("nan")), ("scale", 0.0)],
)  # fmt: skip
def test_what_is_out_of_range_is_refused(task: Task, name: str, value: float) -> None:
    options: dict[str, Any] = {"density": 0.5, "seed": 0, "scale": SCALE} | {name: value}
    with pytest.raises(ValueError, match=f"{name} .*give"):
        imp(task, SHAPE, **options)


def test_the_last_epoch_is_never_gone_back_to(task: Task, levels: list[Level]) -> None:
    imp(task, SHAPE, density=1.0, seed=0, rewind=0.99, scale=SCALE)
    assert [level.options["epochs"] for level in levels] == [range(4), range(4, 5)]
