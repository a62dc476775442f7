"""PHEW: what walks keep, and that it can be trained."""

from collections.abc import Callable
from itertools import pairwise
from math import prod
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch import nn

from milp_lth.rivals.floor import random_pruning
from milp_lth.rivals.masked import Masked, masked_layers, masks_of
from milp_lth.rivals.phew import edges_off_paths, phew, walk_masks
from milp_lth.rivals.random_network import Shape, random_network
from milp_lth.rivals.task import Task, load_task

SHAPE = Shape("fc2", 64, 10, 100)
SEEDS = range(600)


@pytest.fixture(scope="module")
def task() -> Task:
    return load_task("digits")


def row(*weights: torch.Tensor) -> nn.Sequential:
    return nn.Sequential(*map(Masked, weights))


@st.composite
def shapes(draw: st.DrawFn) -> list[tuple[int, ...]]:
    """Of some convolutions, and then some matrices; there may be none of one kind."""
    sizes = st.integers(2, 9)
    found: list[tuple[int, ...]] = []
    units, positions = draw(sizes), 1
    for _ in range(draw(st.integers(0, 2))):
        found.append((draw(sizes), units, kernel := draw(st.integers(1, 3)), kernel))
        units, positions = found[-1][0], draw(st.integers(1, 4))
    for _ in range(draw(st.integers(0 if found else 1, 3))):
        found.append((draw(sizes), units * positions))
        units, positions = found[-1][0], 1
    return found


def swept(masks: list[torch.Tensor]) -> int:
    """Count the edges on no path by going through the layers once in each direction."""
    units = [mask.flatten(2).any(dim=2) if mask.dim() > 2 else mask for mask in masks]
    per_unit = [1] + [b.shape[1] // a.shape[0] for a, b in pairwise(units)]
    reached = [torch.ones(units[0].shape[1], dtype=torch.bool)]
    for edges, size in zip(units, per_unit, strict=True):
        reached.append((edges & reached[-1].repeat_interleave(size)).any(dim=1))
    reaching = [torch.ones(units[-1].shape[0], dtype=torch.bool)]
    for edges, size in zip(units[::-1], per_unit[::-1], strict=True):
        reaching.append((edges & reaching[-1][:, None]).view(len(edges), -1, size).any(dim=(0, 2)))
    total = 0
    for mask, size, start, end in zip(masks, per_unit, reached, reaching[-2::-1], strict=False):
        dead = ~(start.repeat_interleave(size) & end[:, None])
        total += int(mask[dead].sum())
    return total


@given(shapes(), st.floats(0.01, 1), st.integers(0, 2**32 - 1))
def test_exactly_as_many_edges_as_asked_for_and_all_on_paths(
    shapes: list[tuple[int, ...]], density: float, seed: int
) -> None:
    order = torch.Generator().manual_seed(seed)
    network = row(*(torch.randn(shape, generator=order) for shape in shapes))
    num_kept = max(round(density * sum(map(prod, shapes))), len(shapes))
    masks = walk_masks(network, num_kept / sum(map(prod, shapes)), seed)
    assert list(masks) == list(masks_of(network))
    assert [mask.shape for mask in masks.values()] == shapes
    assert sum(int(mask.sum()) for mask in masks.values()) == num_kept
    assert edges_off_paths(masks) == swept(list(masks.values())) == 0


@given(shapes(), st.floats(0.05, 0.6), st.integers(0, 2**32 - 1))
def test_edges_off_paths_are_those_that_two_sweeps_find(
    shapes: list[tuple[int, ...]], density: float, seed: int
) -> None:
    order = torch.Generator().manual_seed(seed)
    masks = [torch.rand(shape, generator=order) < density for shape in shapes]
    assert edges_off_paths({str(k): mask for k, mask in enumerate(masks)}) == swept(masks)


def test_edges_off_paths_of_a_network_known_by_heart() -> None:
    """0 → 0 → 0 is a path; the edge to hidden unit 1 ends there, that of unit 2 begins there."""
    one = torch.tensor([[1, 0], [0, 1], [0, 0]], dtype=torch.bool)
    other = torch.tensor([[1, 0, 1]], dtype=torch.bool)
    assert edges_off_paths({"a": one, "b": other}) == 2


@pytest.mark.parametrize("density", [0.01, 0.05, 0.2, 0.7])
@pytest.mark.parametrize("masked_convolutions", [False, True])
def test_lenet5(density: float, masked_convolutions: bool) -> None:
    shape = Shape("lenet5", 784, 10, masked_convolutions=masked_convolutions)
    masks = walk_masks(random_network(shape, 1), density, 1)
    num_edges = sum(mask.numel() for mask in masks.values())
    assert len(masks) == 3 + 2 * masked_convolutions
    assert sum(int(mask.sum()) for mask in masks.values()) == round(density * num_edges)
    assert edges_off_paths(masks) == swept(list(masks.values())) == 0


def test_every_input_and_every_output_starts_a_walk_in_its_turn() -> None:
    """370 edges are 185 walks or more, 92 from inputs: each of the 64 begins one of them."""
    for seed in range(3):
        first, last = walk_masks(random_network(SHAPE, seed), 0.05, seed).values()
        assert first.any(dim=0).all()
        assert last.any(dim=1).all()
    one, _ = walk_masks(random_network(SHAPE, 0), 20 / 7400, 0).values()
    walks_at_most, walks_at_least = 20, 10
    assert one[:, : walks_at_least // 2].any(dim=0).all()
    assert int(one.any(dim=0).sum()) <= walks_at_most


def counted(network: nn.Module, num_kept: int, place: Callable[[torch.Tensor], int]) -> list[int]:
    """Count over many seeds where in the last mask an edge is kept."""
    num_edges = sum(layer.weight.numel() for _, layer in masked_layers(network))
    counts = [0] * max(layer.weight.numel() for _, layer in masked_layers(network))
    for seed in SEEDS:
        *_, mask = walk_masks(network, num_kept / num_edges, seed).values()
        counts[place(mask)] += 1
    return counts


def fits(counts: list[int], sizes: list[float]) -> bool:
    total = sum(sizes)
    assert not any(count for count, size in zip(counts, sizes, strict=True) if not size)
    expected = [(n, len(SEEDS) * s / total) for n, s in zip(counts, sizes, strict=True) if s]
    return float(chisquare(*zip(*expected, strict=True)).pvalue) > 1e-3


def test_a_walk_forward_takes_edges_by_their_sizes() -> None:
    network = row(torch.tensor([[0.5], [-2.0], [0.0], [1.0]]))
    counts = counted(network, 1, lambda mask: int(mask.flatten().nonzero()))
    assert fits(counts, [0.5, 2, 0, 1])
    assert not fits(counts, [1, 1, 0, 1])


def test_a_walk_backward_takes_edges_by_their_sizes() -> None:
    """Input 0 leads to output 1 alone: what else is kept, the walk back from output 0 took."""
    network = row(torch.tensor([[0.0, 3.0, -1.0, 2.0], [1.0, 0.0, 0.0, 0.0]]))
    counts = counted(network, 2, lambda mask: int(mask[0].nonzero()))
    assert fits(counts[:4], [0, 3, 1, 2])


def test_where_all_weights_are_zero_every_edge_is_as_likely() -> None:
    network = row(torch.zeros(5, 1))
    assert fits(counted(network, 1, lambda mask: int(mask.flatten().nonzero())), [1] * 5)


def test_kernels_are_taken_by_their_norms_and_in_them_one_weight() -> None:
    network = row(torch.tensor([[[[1.0, -1.0]]], [[[4.0, 0.0]]]]))
    counts = counted(network, 1, lambda mask: int(mask.flatten().nonzero()))
    assert fits(counts, [1, 1, 4, 0])


def test_where_channels_are_flattened_a_walk_takes_any_position() -> None:
    """Channel 0 of two has the first three inputs of the matrix."""
    network = row(torch.tensor([1.0, 0.0]).view(2, 1, 1, 1), torch.tensor([[1.0, 2, 3, 4, 5, 6]]))
    counts = counted(network, 2, lambda mask: int(mask.flatten().nonzero()))
    assert fits(counts, [1, 1, 1, 0, 0, 0])


def test_the_scale_of_a_layer_and_the_masks_it_has_do_not_matter() -> None:
    network = random_network(SHAPE, 0)
    other = random_network(SHAPE, 0)
    for k, (_, layer) in enumerate(masked_layers(other)):
        layer.weight.data *= (-1) ** k * 2.0 ** (5 * k)
        layer.mask[:] = False
    one, two = walk_masks(network, 0.1, 3), walk_masks(other, 0.1, 3)
    assert all(torch.equal(mask, two[name]) for name, mask in one.items())
    third = walk_masks(network, 0.1, 4)
    assert not any(torch.equal(mask, third[name]) for name, mask in one.items())


def test_the_seed_is_the_mask() -> None:
    masks = walk_masks(random_network(Shape("fc2", 4, 3, 5), 7), 0.3, 7)
    assert [mask.flatten().nonzero().flatten().tolist() for mask in masks.values()] == [
        [0, 9, 12, 18],
        [2, 5, 9, 12, 13, 14],
    ]


def test_phew_trains_what_walks_keep(task: Task, tmp_path: Path) -> None:
    found = phew(task, SHAPE, density=0.1, seed=2, scale=0.1, checkpoints=tmp_path)
    drawn = random_network(SHAPE, 2)
    masks = walk_masks(drawn, 0.1, 2)
    assert found.kept == 740
    assert found.training == "weights"
    assert found.examples == 10 * len(task.train.x) == found.curve[-1].examples
    for name, layer in masked_layers(found.network):
        assert torch.equal(layer.mask, masks[f"{name}.weight"])
        assert torch.equal(found.masks[f"{name}.weight"], layer.mask)
        first = dict(masked_layers(drawn))[name].weight
        assert not torch.isclose(layer.weight, first)[layer.mask].all()
    again = phew(task, SHAPE, density=0.1, seed=2, scale=0.1, checkpoints=tmp_path)
    assert again.curve == found.curve
    assert again.search_seconds == found.search_seconds


def test_walks_beat_edges_kept_at_random(task: Task) -> None:
    """At 5 % of the edges of every seed; each is trained for a fifth of the schedule."""
    ahead = []
    for seed in range(5):
        walked = phew(task, SHAPE, density=0.05, seed=seed, scale=0.2)
        random = random_pruning(task, SHAPE, density=0.05, seed=seed, scale=0.2)
        assert walked.kept == random.kept
        assert edges_off_paths(walked.masks) == 0 < edges_off_paths(random.masks)
        ahead.append(walked.curve[-1].accuracy - random.curve[-1].accuracy)
    assert min(ahead) > 0
    assert sum(ahead) / 5 > 0.1


@pytest.mark.parametrize("density", [0.0, -0.1, 1.1, float("nan")])
def test_densities_that_are_none_are_refused(task: Task, density: float) -> None:
    with pytest.raises(ValueError, match="above 0 and up to 1"):
        phew(task, SHAPE, density=density, seed=0)


def test_what_has_no_such_masks_is_refused() -> None:
    with pytest.raises(ValueError, match=r"1 of 7400 edges, and a path has 2; give 0.00027"):
        walk_masks(random_network(SHAPE, 0), 1e-4, 0)
    with pytest.raises(ValueError, match="structure plain or wide"):
        walk_masks(random_network(SHAPE, 0, structure="redundant-relu"), 0.5, 0)
    with pytest.raises(ValueError, match="random_network"):
        walk_masks(nn.Sequential(nn.Linear(3, 2)), 0.5, 0)
    with pytest.raises(ValueError, match="layers in a row"):
        walk_masks(row(torch.ones(3, 4), torch.ones(2, 4)), 0.5, 0)
    with pytest.raises(ValueError, match="no 3 edges"):  # every path has two of its own
        walk_masks(row(torch.ones(5, 1), torch.ones(1, 5)), 0.3, 0)
