"""Supermasks: drawn masks in training, likely ones in the end."""

import pytest
import torch

from milp_lth.rivals.found import Found
from milp_lth.rivals.random_network import Shape, random_network
from milp_lth.rivals.supermask import _Supermask, supermask
from milp_lth.rivals.task import load_task
from milp_lth.rivals.training import accuracy, seeded

TASK = load_task("digits")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def found() -> Found:
    network = random_network(Shape("fc2", 64, 10, 128), seed=0)
    return supermask(network, TASK, seed=0, scale=0.5)


def test_edges_are_drawn_with_their_probabilities() -> None:
    weight = torch.ones(100, 100)
    for logit, share in ((0.0, 0.5), (2.0, 0.881)):
        with seeded(0, CPU):
            drawn = _Supermask(False).weight(weight, torch.full((100, 100), logit), True)
        assert set(drawn.unique().tolist()) == {0.0, 1.0}
        assert abs(float(drawn.mean()) - share) < 0.02


def test_the_gradient_is_that_of_the_probability() -> None:
    weight = torch.tensor([2.0, -3.0, 5.0])
    scores = torch.tensor([0.0, 1.0, -2.0], requires_grad=True)
    with seeded(0, CPU):
        _Supermask(False).weight(weight, scores, True).sum().backward()
    likely = torch.sigmoid(scores.detach())
    torch.testing.assert_close(scores.grad, weight * likely * (1 - likely))


def test_layers_are_scaled_by_what_they_keep() -> None:
    weight = torch.tensor([1.0, 2.0, 3.0, 4.0])
    scores = torch.tensor([-1.0, 1.0, 0.0, -1.0])
    assert _Supermask(True).weight(weight, scores, False).tolist() == [0.0, 8.0, 0.0, 0.0]
    assert _Supermask(False).weight(weight, scores, False).tolist() == [0.0, 2.0, 0.0, 0.0]
    assert _Supermask(True).weight(weight, -scores.abs(), False).tolist() == [0.0] * 4


def test_it_classifies_digits_with_frozen_weights(found: Found) -> None:
    network = random_network(Shape("fc2", 64, 10, 128), seed=0)
    for name, weight in network.named_parameters():
        assert torch.equal(weight, found.network.get_parameter(name))
    assert TASK.test.y is not None
    judged = accuracy(found.network, TASK.test.x, TASK.test.y)
    assert judged >= 0.90
    assert judged == found.curve[-1].accuracy
    assert 0.3 < found.kept / found.source_dense < 0.7


def test_drawn_masks_are_judged_apart(found: Found) -> None:
    """They are as good as a likely one within a few points, not the same."""
    drawn = found.extra["sampled_accuracy"]
    assert 0.85 <= drawn <= 1
    assert drawn != found.curve[-1].accuracy


def test_gains_are_edges_by_kept_edges(found: Found) -> None:
    for name, mask in found.masks.items():
        layer = found.network.get_submodule(name.removesuffix(".weight"))
        assert float(layer.gain) == pytest.approx(mask.numel() / int(mask.sum()))


def test_the_same_seed_finds_the_same_mask() -> None:
    network = random_network(Shape("fc2", 64, 10, 16), seed=0)
    before = torch.get_rng_state()
    one, same = (
        supermask(network, TASK, seed=3, scale=0.02, dynamic_scaling=False) for _ in range(2)
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(mask, same.masks[name]) for name, mask in one.masks.items())
    assert one.extra == same.extra
    assert float(one.network[0].gain) == 1.0
