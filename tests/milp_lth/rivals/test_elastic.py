"""Elastic tickets: what a mapping says, what is carried over bit for bit, and what it is worth."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from milp_lth.rivals.elastic import (
    ORDERS,
    BlockMapping,
    elastic,
    parse_mapping,
    random_mask_like,
    squeeze_mapping,
    stretch_mapping,
    transferred,
)
from milp_lth.rivals.found import Found
from milp_lth.rivals.masked import masked_layers
from milp_lth.rivals.random_network import Shape, random_network
from milp_lth.rivals.rewinding import imp
from milp_lth.rivals.task import Task, load_task
from milp_lth.rivals.training import Trained, train

SCALE = 0.05
HIDDEN = 50

SHALLOW, DEEP = (Shape(name, 64, 10, HIDDEN) for name in ("fc3", "fc4"))

mappings = st.lists(st.integers(1, 6), max_size=8).map(lambda found: BlockMapping((0, *found)))


@pytest.fixture(scope="module")
def task() -> Task:
    return load_task("digits")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the tickets of fc3 are, by seed: they are searched once."""
    return tmp_path_factory.mktemp("tickets")


def stretched(task: Task, folder: Path, seed: int = 0, **asked: Any) -> Found:
    return elastic(
        task, DEEP, density=0.1, seed=seed, scale=SCALE, checkpoints=folder / str(seed), **asked
    )


def accuracy(found: Found, task: Task) -> float:
    assert task.test.y is not None
    with torch.no_grad():
        return float((found.network(task.test.x).argmax(dim=1) == task.test.y).double().mean())


def densities(found: Found) -> list[float]:
    return [float(mask.double().mean()) for mask in found.masks.values()]


def test_the_mapping_of_the_paper() -> None:
    mapping = parse_mapping("0:0;1:1,2;2:3,4;3:5,6;4:7,8")
    assert mapping.sources == (0, 1, 1, 2, 2, 3, 3, 4, 4)
    assert str(mapping) == "0:0;1:1,2;2:3,4;3:5,6;4:7,8"
    assert parse_mapping(" 1:2,1 ; 0:0").sources == (0, 1, 1)
    assert parse_mapping("0:0;2:1").sources == (0, 2)


@given(mappings)
def test_a_mapping_is_read_as_it_is_written(mapping: BlockMapping) -> None:
    assert parse_mapping(str(mapping)) == mapping


BAD = [
    ("", "give one such as 0:0;1:1,2"),
    ("0:0;1", "give one such as 0:0;1:1,2"),
    ("0:0;1:-1", "give one such as 0:0;1:1,2"),
    ("0:0;1:1;1:2", "all targets of block 1 in one place"),
    ("0:0;1:1,1", "target block 1 one source"),
    ("0:0;1:1;2:1", "target block 1 one source"),
    ("0:0;1:2", "give target block 1 a source"),
    ("1:1,2", "give target block 0 a source"),
    ("0:0,1", "block 0 is the input layer"),
    ("1:0;0:1", "block 0 is the input layer"),
]


@pytest.mark.parametrize(("text", "remedy"), BAD)
def test_mappings_that_are_none_are_refused(text: str, remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        parse_mapping(text)


def test_stretching_copies_many_blocks_a_few_times() -> None:
    assert stretch_mapping(3, 5).sources == (0, 1, 2, 1, 2)
    assert stretch_mapping(3, 5, "interpolate").sources == (0, 1, 1, 2, 2)
    assert stretch_mapping(4, 6, "interpolate").sources == (0, 1, 1, 2, 2, 3)
    assert str(stretch_mapping(2, 3)) == "0:0;1:1,2"
    assert str(stretch_mapping(1, 1)) == "0:0"
    for order in ORDERS:
        for num_source in range(2, 7):
            for num_target in range(num_source, 15):
                sources = stretch_mapping(num_source, num_target, order).sources
                copies = [sources.count(block) for block in range(1, num_source)]
                assert len(sources) == num_target
                assert copies == sorted(copies, reverse=True)
                assert max(copies) - min(copies) <= 1
    for asked in ((3, 2), (0, 2), (1, 2)):
        with pytest.raises(ValueError, match="give"):
            stretch_mapping(*asked)
    with pytest.raises(ValueError, match="append or interpolate"):
        stretch_mapping(2, 3, "shuffle")


def test_squeezing_keeps_the_early_blocks() -> None:
    assert squeeze_mapping(4, 2).sources == (0, 1)
    for asked in ((2, 3), (3, 0)):
        with pytest.raises(ValueError, match="give no more target blocks"):
            squeeze_mapping(*asked)


@given(st.integers(2, 6), st.integers(0, 6), st.sampled_from(ORDERS), st.booleans())
def test_squeezing_undoes_stretching(num_source: int, more: int, order: str, bits: bool) -> None:
    """The same function for weights and for masks, and back again to the same bits."""
    generator = torch.Generator().manual_seed(num_source)
    matrices = [torch.randn(4, 3 + k, generator=generator) for k in range(num_source + 1)]
    if bits:
        matrices = [matrix > 0 for matrix in matrices]
    stretch = stretch_mapping(num_source, num_source + more, order)
    long = transferred(matrices, stretch)
    assert len(long) == num_source + more + 1
    backs = [stretch.undone()]
    if order == "append":
        backs.append(squeeze_mapping(num_source + more, num_source))
    for back in backs:
        again = transferred(long, back)
        assert all(map(torch.equal, again, matrices))
        assert [part.dtype for part in again] == [part.dtype for part in matrices]


def test_what_was_dropped_does_not_come_back() -> None:
    with pytest.raises(ValueError, match="drops block 1: keep it"):
        parse_mapping("0:0;2:1").undone()
    with pytest.raises(ValueError, match="the source has blocks 0 to 1, not 2"):
        transferred([torch.ones(1)] * 3, parse_mapping("0:0;2:1"))


def test_a_copy_is_not_the_same_tensor() -> None:
    first = [torch.ones(2, 2), torch.ones(2, 2), torch.ones(1, 2)]
    copied = transferred(first, parse_mapping("0:0;1:1,2"))
    copied[1].zero_()
    assert [bool(part.all()) for part in copied] == [True, False, True, True]
    assert bool(first[1].all())


def test_random_masks_keep_as_many_of_every_layer(task: Task, folder: Path) -> None:
    masks = stretched(task, folder).masks
    drawn, other = random_mask_like(masks, 1), random_mask_like(masks, 2)
    assert drawn.keys() == masks.keys()
    for name, mask in masks.items():
        assert int(drawn[name].sum()) == int(mask.sum())
        assert not torch.equal(drawn[name], other[name])
    assert random_mask_like({"0": torch.zeros(2, 2, dtype=torch.bool)}, 0)["0"].sum() == 0


def test_stretching_carries_weights_and_masks_alike(
    task: Task, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks 1 and 2 start as block 1 of the source, weight and mask, bit for bit."""
    started: list[list[torch.Tensor]] = []
    monkeypatch.setattr("milp_lth.rivals.elastic.train", recording(started))
    found = stretched(task, folder)
    ticket = imp(task, SHALLOW, density=0.1, seed=0, scale=SCALE, checkpoints=folder / "0")
    first = [layer.weight.detach() for _, layer in masked_layers(random_network(SHALLOW, 0))]
    masks = list(ticket.masks.values())
    assert all(map(torch.equal, started[-1], [first[0], first[1], first[1], first[2]]))
    assert all(map(torch.equal, found.masks.values(), [masks[0], masks[1], masks[1], masks[2]]))
    assert list(found.masks) == ["0.weight", "2.weight", "4.weight", "6.weight"]
    moved = [layer.weight.detach() for _, layer in masked_layers(found.network)]
    assert not any(map(torch.equal, moved, started[-1]))


def recording(started: list[list[torch.Tensor]]) -> Callable[..., Trained]:
    """Return `train` that notes the weights which it starts from."""

    def noting(network: torch.nn.Module, *given: Any, **asked: Any) -> Trained:
        started.append([layer.weight.detach().clone() for _, layer in masked_layers(network)])
        return train(network, *given, **asked)

    return noting


def test_sparsity_is_kept(task: Task, folder: Path) -> None:
    found = stretched(task, folder)
    ticket = imp(task, SHALLOW, density=0.1, seed=0, scale=SCALE, checkpoints=folder / "0")
    before, after = densities(ticket), densities(found)
    assert after == [before[0], before[1], before[1], before[2]]
    assert found.extra["source_density"] == ticket.kept / ticket.source_dense
    sparsity = 1 - found.kept / found.source_dense
    assert sparsity == pytest.approx(1 - found.extra["source_density"], abs=0.02)
    assert found.examples == ticket.examples + 5 * len(task.train.x)


def test_a_stretched_ticket_beats_a_random_mask_of_the_same_densities(
    task: Task, folder: Path
) -> None:
    for seed in range(3):
        ours = stretched(task, folder, seed)
        chance = stretched(task, folder, seed, mask="random")
        assert densities(ours) == densities(chance)
        assert accuracy(ours, task) > accuracy(chance, task) + 0.2
        assert ours.curve[-1].accuracy == pytest.approx(accuracy(ours, task))


@pytest.mark.parametrize(("mapping", "kept"), [(None, (0, 1)), ("0:0;2:1", (0, 2))])
def test_squeezing(
    task: Task, mapping: str | None, kept: tuple[int, int], tmp_path_factory: Any
) -> None:
    place = tmp_path_factory.getbasetemp() / "deep"
    asked: dict[str, Any] = {"density": 0.1, "seed": 0, "scale": SCALE, "checkpoints": place}
    found = elastic(task, SHALLOW, source="fc4", mapping=mapping, **asked)
    masks = list(imp(task, DEEP, **asked).masks.values())
    assert all(map(torch.equal, found.masks.values(), [*(masks[k] for k in kept), masks[3]]))
    chance = elastic(task, SHALLOW, source="fc4", mapping=mapping, mask="random", **asked)
    assert accuracy(found, task) > accuracy(chance, task)


def test_an_interrupted_transfer_goes_on_to_the_same_weights(task: Task, tmp_path: Path) -> None:
    class Interrupted(Exception):  # noqa: N818
        pass

    told: list[tuple[int, int]] = []

    def stop(epoch: int, num_epochs: int) -> None:
        told.append((epoch, num_epochs))
        if epoch == num_epochs - 2:  # in the deep network
            raise Interrupted

    asked: dict[str, Any] = {"density": 0.3, "seed": 1, "scale": SCALE, "rewind": 0.2}
    whole = elastic(task, DEEP, **asked)
    with pytest.raises(Interrupted):
        elastic(task, DEEP, **asked, on_epoch=stop, checkpoints=tmp_path)
    before = len(told)
    again = elastic(task, DEEP, **asked, on_epoch=lambda *at: told.append(at), checkpoints=tmp_path)
    assert len(told) - before <= 4  # the source is not trained again
    assert told[-1][0] == told[-1][1] == whole.examples // len(task.train.x)
    state = again.network.state_dict()
    assert all(
        torch.equal(state[name], value) for name, value in whole.network.state_dict().items()
    )
    assert [p.accuracy for p in again.curve] == [p.accuracy for p in whole.curve]


REFUSED = [
    ({"mapping": "0:0;1:1"}, "fc4 needs blocks 0 to 2"),
    ({"mapping": "0:0;1:1;2:2"}, "fc3 has blocks 0 to 1"),
    ({"source": "lenet5"}, "choose one of fc2, fc3, fc4"),
    ({"source": "fc2"}, "give a deeper one"),
    ({"mask": "dense"}, "transferred or random"),
    ({"density": 0.0}, "give the share to keep"),
]


@pytest.mark.parametrize(("asked", "remedy"), REFUSED, ids=range(len(REFUSED)))
def test_bad_input(task: Task, asked: dict[str, Any], remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        elastic(task, DEEP, **{"density": 0.1, "seed": 0, **asked})
