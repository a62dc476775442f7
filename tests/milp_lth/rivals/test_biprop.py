"""Biprop: its weights, its gain, its gradient, its accuracy."""

import pytest
import torch
from torch import nn

from milp_lth.rivals.biprop import Sign, _Biprop, biprop
from milp_lth.rivals.found import Found
from milp_lth.rivals.masked import Masked
from milp_lth.rivals.random_network import Shape, random_network
from milp_lth.rivals.task import load_task
from milp_lth.rivals.training import accuracy

TASK = load_task("digits")
SHAPE = Shape("fc2", 64, 10, 256)


@pytest.fixture(scope="module")
def found() -> Found:
    return biprop(random_network(SHAPE, seed=1), TASK, density=0.5, seed=1)


def test_the_gain_is_the_mean_of_what_is_kept(found: Found) -> None:
    drawn = random_network(SHAPE, seed=1)
    for name, mask in found.masks.items():
        weight = drawn.get_parameter(name)
        num_kept = int(0.5 * mask.numel())  # ⌊k · numel⌋
        gain = sum(abs(w) for w in weight[mask].tolist()) / num_kept
        assert int(mask.sum()) == num_kept
        layer = found.network.get_submodule(name.removesuffix(".weight"))
        assert float(layer.gain) == pytest.approx(gain, rel=1e-5)


def test_weights_take_two_values_in_every_layer(found: Found) -> None:
    drawn = random_network(SHAPE, seed=1)
    for name, mask in found.masks.items():
        layer = found.network.get_submodule(name.removesuffix(".weight"))
        assert isinstance(layer, Masked)
        effective = layer.gain * layer.weight * layer.mask
        alpha = float(layer.gain)
        assert alpha > 0
        assert effective[mask].unique().tolist() == [-alpha, alpha]
        assert not effective[~mask].any()
        assert torch.equal(effective[mask].sign(), drawn.get_parameter(name)[mask].sign())


def test_the_gradient_reaches_every_score() -> None:
    weight = torch.tensor([[2.0, -3.0], [5.0, -7.0]])
    scores = torch.tensor([[0.9, -0.8], [-0.1, 0.2]], requires_grad=True)
    outer = torch.tensor([[1.0, 10.0], [100.0, 1000.0]])
    effective = _Biprop(0.5).weight(weight, scores, True)
    assert effective.tolist() == [[2.5, -2.5], [0.0, 0.0]]
    (effective * outer).sum().backward()
    # dL/dŴ · sign(W) · |W| · sign(s): as if the mask alone had been a variable, at all edges
    wanted = outer * weight * torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    assert torch.equal(scores.grad, wanted)


def test_a_weight_of_zero_is_binary_all_the_same() -> None:
    layer = _Biprop(1.0).settle(Masked(torch.tensor([[0.0, -2.0]])), torch.ones(1, 2))
    assert layer.weight.tolist() == [[1.0, -1.0]]
    assert float(layer.gain) == 1.0


def test_signs_pass_gradients_where_inputs_are_small() -> None:
    x = torch.tensor([-1.5, -1.0, -0.2, 0.0, 0.7, 1.2], requires_grad=True)
    signs = Sign()(x)
    assert signs.tolist() == [-1, -1, -1, 1, 1, 1]
    (signs * torch.arange(6)).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0, 1, 2, 3, 4, 0]


def test_binary_weights_classify_digits(found: Found) -> None:
    assert TASK.test.y is not None
    judged = accuracy(found.network, TASK.test.x, TASK.test.y)
    assert judged >= 0.90
    assert judged == pytest.approx(found.curve[-1].accuracy, abs=2.1 / len(TASK.test.y))
    assert found.training == "masks"


def test_binary_activations_classify_digits() -> None:
    network = random_network(SHAPE, seed=0)
    found = biprop(network, TASK, density=0.5, seed=0, scale=0.3, binary_activations=True)
    assert found.curve[-1].accuracy >= 0.88
    assert not any(isinstance(module, nn.ReLU) for module in found.network)
    activations = found.network[:2](TASK.test.x[:20])
    assert activations.unique().tolist() == [-1, 1]
    assert isinstance(network[1], nn.ReLU)
