"""Edge-popup: what it keeps, what it leaves alone, and that it works."""

import pytest
import torch

from milp_lth.rivals.edge_popup import _EdgePopup, edge_popup, first_scores, top_mask
from milp_lth.rivals.found import Found
from milp_lth.rivals.masked import Masked
from milp_lth.rivals.random_network import Shape, random_network
from milp_lth.rivals.task import load_task
from milp_lth.rivals.training import accuracy

TASK = load_task("digits")


def test_a_sparsity_of_three_quarters_keeps_a_quarter() -> None:
    """The field's "prune rate" is the share that is kept: mixing them up would keep 75 %."""
    network = random_network(Shape("fc2", 64, 10, 30), seed=0)
    found = edge_popup(network, TASK, density=1 - 0.75, seed=0, scale=0.01)
    assert [int(mask.sum()) for mask in found.masks.values()] == [64 * 30 // 4, 30 * 10 // 4]
    assert found.kept / found.source_dense == 0.25


@pytest.mark.parametrize("density", [0.001, 0.013, 0.333, 0.9, 1.0])
def test_every_layer_keeps_the_rounded_share(density: float) -> None:
    network = random_network(Shape("fc4", 64, 10, 11), seed=0)
    found = edge_popup(network, TASK, density=density, seed=0, scale=0.01)
    for mask in found.masks.values():
        assert int(mask.sum()) == max(1, round(density * mask.numel()))


def test_equal_scores_do_not_add_edges() -> None:
    assert int(top_mask(torch.ones(5, 7), 13).sum()) == 13
    mask = top_mask(torch.tensor([[3.0, 1.0], [1.0, 2.0]]), 3)
    assert mask[0, 0]
    assert mask[1, 1]
    assert int(mask.sum()) == 3


def test_the_gradient_goes_straight_through_to_the_size_of_a_score() -> None:
    weight = torch.tensor([[2.0, -3.0], [5.0, 7.0]])
    scores = torch.tensor([[0.9, -0.8], [-0.1, 0.2]], requires_grad=True)
    outer = torch.tensor([[1.0, 10.0], [100.0, 1000.0]])
    effective = _EdgePopup(0.5).weight(weight, scores, True)
    assert effective.tolist() == [[2.0, -3.0], [0.0, 0.0]]
    (effective * outer).sum().backward()
    wanted = outer * weight * torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    assert torch.equal(scores.grad, wanted)


def test_first_scores_are_those_of_kaiming() -> None:
    scores = first_scores(Masked(torch.zeros(200, 25)), 0, 1)
    assert 0.195 < float(scores.abs().max()) <= 0.2
    assert abs(float(scores.mean())) < 0.005


@pytest.fixture(scope="module")
def popped() -> Found:
    network = random_network(Shape("fc2", 64, 10, 256), 0, distribution="signed-constant")
    return edge_popup(network, TASK, density=0.5, seed=0)


def test_half_of_a_random_network_classifies_digits(popped: Found) -> None:
    network = random_network(Shape("fc2", 64, 10, 256), 0, distribution="signed-constant")
    assert TASK.test.y is not None
    assert accuracy(network, TASK.test.x, TASK.test.y) < 0.3  # all of it does not
    assert accuracy(popped.network, TASK.test.x, TASK.test.y) >= 0.90
    assert popped.curve[-1].accuracy == accuracy(popped.network, TASK.test.x, TASK.test.y)
    assert popped.kept == popped.source_dense // 2
    assert (popped.training, popped.target_seconds) == ("masks", 0.0)
    assert popped.examples == 100 * len(TASK.train.x)


def test_weights_stay_what_they_were_drawn_as(popped: Found) -> None:
    network = random_network(Shape("fc2", 64, 10, 256), 0, distribution="signed-constant")
    found = dict(popped.network.named_parameters())
    assert set(found) == {"0.weight", "2.weight"}
    for name, weight in network.named_parameters():
        assert found[name].detach().numpy().tobytes() == weight.detach().numpy().tobytes()
    assert not any(weight.requires_grad for weight in found.values())


def test_the_same_seed_finds_the_same_mask() -> None:
    network = random_network(Shape("fc2", 64, 10, 32), seed=0)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    one, same, other = (
        edge_popup(network, TASK, density=0.3, seed=seed, scale=0.02) for seed in (1, 1, 2)
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads
    assert all(torch.equal(mask, same.masks[name]) for name, mask in one.masks.items())
    assert not torch.equal(one.masks["0.weight"], other.masks["0.weight"])
    assert bool(network[0].mask.all())  # what was given is as it was


def test_a_density_that_keeps_nothing_is_refused() -> None:
    network = random_network(Shape("fc2", 64, 10, 8), seed=0)
    for density in (0.0, 1.5):
        with pytest.raises(ValueError, match="share to keep"):
            edge_popup(network, TASK, density=density, seed=0)
