"""Layers under a mask, random networks made of them, and how they are trained."""

import copy
import math

import pytest
import torch
from torch import nn

from milp_lth.rivals.found import Point
from milp_lth.rivals.masked import Masked, masks_of, scored
from milp_lth.rivals.random_network import SHAPES, Shape, random_network
from milp_lth.rivals.supermask import _Supermask
from milp_lth.rivals.task import load_task
from milp_lth.rivals.training import Schedule, converged, train

TASK = load_task("digits")
IMAGES = 28 * 28


def pruned(name: str = "lenet5") -> nn.Sequential:
    network = random_network(Shape(name, IMAGES, 10, 20, masked_convolutions=True), seed=4)
    generator = torch.Generator().manual_seed(0)
    for module in network:
        if isinstance(module, Masked):
            module.mask.copy_(torch.rand(module.mask.shape, generator=generator) < 0.5)
            module.gain.fill_(1.5)
    return network


def test_it_computes_what_plain_layers_do() -> None:
    x = torch.rand(6, IMAGES)
    network = pruned()
    plain = copy.deepcopy(network)
    for name, layer in network.named_children():
        if isinstance(layer, Masked):
            weight = torch.where(layer.mask, 1.5 * layer.weight, 0.0)
            sizes = weight.shape[1], weight.shape[0]
            same = (
                nn.Linear(*sizes, bias=False)
                if weight.dim() == 2
                else nn.Conv2d(*sizes, 5, padding=2 if sizes[0] == 1 else 0, bias=False)
            )
            same.weight = nn.Parameter(weight)
            plain.set_submodule(name, same)
    assert not any(isinstance(layer, Masked) for layer in plain)
    torch.testing.assert_close(network(x), plain(x))


def test_it_is_copied_saved_and_exported_like_any_module() -> None:
    x = torch.rand(6, IMAGES)
    network = pruned()
    wanted = network(x)
    assert torch.equal(copy.deepcopy(network)(x), wanted)
    fresh = random_network(Shape("lenet5", IMAGES, 10, masked_convolutions=True), seed=5)
    assert not torch.allclose(fresh(x), wanted)
    fresh.load_state_dict(network.state_dict())
    assert torch.equal(fresh(x), wanted)
    exported = torch.export.export(network, (x,)).module()
    torch.testing.assert_close(exported(x), wanted)
    double = copy.deepcopy(network).double()
    assert double[1].mask.dtype == torch.bool
    torch.testing.assert_close(double(x.double()).float(), wanted)


def test_masks_are_named_after_weights_and_are_copies() -> None:
    network = pruned("fc4")
    masks = masks_of(network)
    weights = dict(network.named_parameters())
    assert {n: m.shape for n, m in masks.items()} == {n: w.shape for n, w in weights.items()}
    network[0].mask.fill_(False)
    assert masks["0.weight"].any()


def test_a_weight_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="Linear or a Conv2d"):
        Masked(torch.zeros(2, 2, 2))


def test_a_network_without_masks_cannot_be_searched() -> None:
    with pytest.raises(ValueError, match="random_network"):
        scored(nn.Sequential(nn.Linear(2, 2)), _Supermask(True), 0)


@pytest.mark.parametrize("distribution", ["normal", "signed-constant", "uniform"])
def test_weights_have_the_deviation_of_kaiming(distribution: str) -> None:
    network = random_network(Shape("fc2", 784, 10, 300), 7, distribution=distribution)
    wanted = math.sqrt(2 / 784)
    weight = network[0].weight
    assert abs(float(weight.std()) / wanted - 1) < 0.01
    assert abs(float(weight.mean())) < 0.01 * wanted
    if distribution == "signed-constant":
        assert len(weight.abs().unique()) == 1
        assert float(weight.abs().max()) == pytest.approx(wanted)
    if distribution == "uniform":
        assert float(weight.abs().max()) <= math.sqrt(3) * wanted


def test_the_seed_is_the_network() -> None:
    shape = Shape("fc2", 64, 10, 16)
    state = torch.get_rng_state()
    lenet = random_network(Shape("lenet5", IMAGES, 10), seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    for name, weight in random_network(Shape("lenet5", IMAGES, 10), seed=3).named_parameters():
        assert torch.equal(weight, lenet.get_parameter(name))
    first, other = (random_network(shape, seed)[0].weight for seed in (3, 4))
    assert not torch.equal(first, other)
    golden = [0.00403722748, -0.15197841823, 0.18002909422]  # drawn once: must never change
    torch.testing.assert_close(first[0, :3].detach(), torch.tensor(golden), rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", SHAPES)
def test_shapes(name: str) -> None:
    network = random_network(Shape(name, IMAGES, 10, num_hidden=30), seed=0)
    assert network(torch.rand(3, IMAGES)).shape == (3, 10)
    edges = {
        "fc2": 784 * 30 + 30 * 10,
        "fc3": 784 * 30 + 30 * 30 + 30 * 10,
        "fc4": 784 * 30 + 2 * 30 * 30 + 30 * 10,
        "lenet5": 400 * 120 + 120 * 84 + 84 * 10,  # convolutions have no mask
    }
    assert sum(mask.numel() for mask in masks_of(network).values()) == edges[name]
    assert not any(weight.requires_grad for weight in network.parameters())


def test_what_is_unknown_is_refused() -> None:
    with pytest.raises(ValueError, match="fc2, fc3, fc4, lenet5"):
        Shape("resnet", 64, 10)
    with pytest.raises(ValueError, match="28×28"):
        Shape("lenet5", 64, 10)
    with pytest.raises(ValueError, match="normal, signed-constant, uniform"):
        random_network(Shape("fc2", 64, 10), 0, distribution="cauchy")
    with pytest.raises(ValueError, match="scale 0"):
        Schedule(100, 0.1, 0.0).scaled(0)


def test_weights_can_be_trained_under_a_random_mask() -> None:
    shape = Shape("fc2", 64, 10, 64)
    network = random_network(shape, seed=0, trainable=True)
    generator = torch.Generator().manual_seed(0)
    for layer in (network[0], network[2]):
        layer.mask.copy_(torch.rand(layer.mask.shape, generator=generator) < 0.5)
    masks = masks_of(network)
    told: list[tuple[int, int]] = []
    trained = train(
        network,
        TASK,
        Schedule(100, 0.1, 1e-4),
        seed=0,
        scale=0.2,
        on_epoch=lambda *epochs: told.append(epochs),
    )
    assert told == [(k, 20) for k in range(1, 21)]
    assert trained.examples == 20 * len(TASK.train.x) == trained.curve[-1].examples
    assert trained.curve[-1].accuracy > 0.93
    found = trained.found(network, "weights")
    assert all(torch.equal(mask, masks[name]) for name, mask in found.masks.items())
    assert not torch.equal(network[0].weight, random_network(shape, seed=0)[0].weight)


def curve(*accuracies: float) -> list[Point]:
    return [Point(k, accuracy, 1.0) for k, accuracy in enumerate(accuracies)]


def test_a_curve_converged_when_it_was_flat_since_the_middle() -> None:
    assert converged(curve(0.3, 0.6, 0.9, 0.902, 0.904))
    assert not converged(curve(0.3, 0.6, 0.89, 0.902, 0.902))  # flat where the rate is low, alone
    assert not converged(curve(0.9, 0.9, 0.9, 0.9))
    assert converged([p for p in curve(0.3, 0.6, 0.9, 0.9, 0.9) for _ in range(4)])
