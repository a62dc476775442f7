"""Interrupted trainings go on to what they would have come to."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from milp_lth.rivals import checkpoint
from milp_lth.rivals.checkpoint import checkpoint_in
from milp_lth.rivals.edge_popup import edge_popup
from milp_lth.rivals.files import same
from milp_lth.rivals.floor import DENSE_SCHEDULE, dense, magnitude
from milp_lth.rivals.found import Found
from milp_lth.rivals.masked import masked_layers
from milp_lth.rivals.random_network import Shape, random_network
from milp_lth.rivals.supermask import supermask
from milp_lth.rivals.task import Task, load_task
from milp_lth.rivals.training import train

SCALE = 0.08
SHAPE = Shape("fc2", 64, 10, 24)


@pytest.fixture(scope="module")
def task() -> Task:
    return load_task("digits")


@pytest.fixture(autouse=True)
def state_after_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "_EVERY", 0.0)


def interrupt_after(num_epochs: int) -> Callable[[int, int], None]:
    calls = iter(range(1, 1000))

    def on_epoch(epoch: int, total: int) -> None:
        if next(calls) == num_epochs:
            raise KeyboardInterrupt

    return on_epoch


def searched(name: str, task: Task, **options: object) -> Found:
    options |= {"seed": 3, "scale": SCALE}
    network = random_network(SHAPE, 3, distribution="signed-constant")
    found: Found
    if name == "dense":
        found = dense(task, SHAPE, **options)  # type: ignore[arg-type]
    elif name == "magnitude":
        found = magnitude(task, SHAPE, density=0.3, retrain=True, **options)  # type: ignore[arg-type]
    elif name == "edge-popup":
        found = edge_popup(network, task, density=0.3, **options)  # type: ignore[arg-type]
    else:
        found = supermask(network, task, **options)  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize("name", ["dense", "magnitude", "edge-popup", "supermask"])
@pytest.mark.parametrize("after", [1, 3])
def test_what_was_interrupted_ends_bit_for_bit_where_it_would_have(
    name: str, after: int, task: Task, tmp_path: Path
) -> None:
    whole = searched(name, task)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            searched(name, task, on_epoch=interrupt_after(after), checkpoints=tmp_path)
    told: list[int] = []
    found = searched(name, task, on_epoch=lambda epoch, _: told.append(epoch), checkpoints=tmp_path)
    assert same(found.network, whole.network)
    assert found.curve == whole.curve
    assert found.examples == whole.examples
    assert len(told) < len(whole.curve)  # and not by training anew


def test_a_finished_training_does_nothing(task: Task, tmp_path: Path) -> None:
    first = dense(task, SHAPE, seed=0, scale=SCALE, checkpoints=tmp_path)
    again = dense(task, SHAPE, seed=0, scale=SCALE, checkpoints=tmp_path,
                  on_epoch=interrupt_after(1))  # fmt: skip
    assert same(first.network, again.network)
    assert again.search_seconds == first.search_seconds


def test_the_state_of_another_training_is_refused(task: Task, tmp_path: Path) -> None:
    dense(task, SHAPE, seed=0, scale=SCALE, checkpoints=tmp_path)
    for options in ({"seed": 1, "scale": SCALE}, {"seed": 0, "scale": 2 * SCALE}):
        with pytest.raises(ValueError, match="another training: delete it"):
            dense(task, SHAPE, checkpoints=tmp_path, **options)  # type: ignore[arg-type]
    other = random_network(SHAPE, 0, trainable=True)
    next(masked_layers(other))[1].mask[0, 0] = False
    path = checkpoint_in(tmp_path, "dense")
    with pytest.raises(ValueError, match="another training: delete it"):
        train(other, task, DENSE_SCHEDULE, seed=0, scale=SCALE, checkpoint=path)
    larger = Shape("fc2", 64, 10, 25)
    with pytest.raises(ValueError, match="delete it"):
        dense(task, larger, seed=0, scale=SCALE, checkpoints=tmp_path)


@pytest.mark.parametrize("size", [0, 7, 100, 2000])
def test_a_torn_state_is_one_error_that_names_it(size: int, task: Task, tmp_path: Path) -> None:
    dense(task, SHAPE, seed=0, scale=SCALE, checkpoints=tmp_path)
    path = checkpoint_in(tmp_path, "dense")
    assert path is not None
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ValueError, match=r"dense\.safetensors.*delete it"):
        dense(task, SHAPE, seed=0, scale=SCALE, checkpoints=tmp_path)


def test_the_users_generator_is_left_alone(task: Task, tmp_path: Path) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    path = tmp_path / "state.safetensors"
    for _ in range(2):
        network = random_network(SHAPE, 0, trainable=True)
        train(network, task, DENSE_SCHEDULE, seed=0, scale=0.02, checkpoint=path)
    assert torch.equal(torch.get_rng_state(), before)
