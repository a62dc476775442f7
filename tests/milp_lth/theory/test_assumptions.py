"""Assumptions of theorems, on networks of known norms; and what rescaling promises."""

import math

import pytest
import torch
from torch import nn

from milp_lth.targets.data import Data
from milp_lth.theory.assumptions import (
    BETWEEN,
    BIASES,
    ENTRIES,
    INPUTS,
    REACH,
    SPECTRAL,
    Assumption,
    Setting,
    check_assumptions,
    read_setting,
)
from milp_lth.theory.bounds import bounds


def linear(weight: torch.Tensor, bias: torch.Tensor | None = None) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    layer.weight = nn.Parameter(weight)
    if bias is not None:
        layer.bias = nn.Parameter(bias)
    return layer


def halves() -> nn.Sequential:
    return nn.Sequential(linear(torch.eye(4) / 2), nn.ReLU(), linear(torch.eye(4) / 2))


def checked(setting: Setting) -> dict[str, Assumption]:
    return {one.name: one for one in check_assumptions(setting)}


def test_half_the_identity_meets_them_all_on_the_ball() -> None:
    setting = read_setting(halves(), domain="ball")
    found = checked(setting)
    for name in (SPECTRAL, ENTRIES, INPUTS, BIASES, BETWEEN, REACH):
        assert found[name].holds, name
    assert [m.norm for m in setting.plain] == pytest.approx([0.5, 0.5])
    assert found[SPECTRAL].measured == "0: 0.5, 2: 0.5"
    assert setting.rescaled(0.01) == pytest.approx(0.04)  # outputs are a quarter of the inputs
    assert setting.rescaled(0.01, entries=True) == pytest.approx(0.01)  # entries are 1/√4 already


def test_a_box_reaches_beyond_the_ball() -> None:
    setting = read_setting(halves(), input_range=(0.0, 3.0))
    found = checked(setting)
    assert not found[INPUTS].holds
    assert "norms up to 6" in found[INPUTS].measured
    assert setting.radius == pytest.approx(6)
    assert setting.inner_radius == pytest.approx(1.5)
    assert setting.rescaled(0.01) == pytest.approx(0.04 / 6)
    assert setting.rescaled_inside(0.01) == pytest.approx(0.04 / 1.5)
    assert checked(read_setting(halves(), input_range=(-0.5, 0.5)))[INPUTS].holds
    assert [m.nonnegative for m in setting.plain] == [True, True]
    assert [m.nonnegative for m in read_setting(halves()).plain] == [False, True]


def test_norms_that_are_too_large_are_named() -> None:
    weight = torch.diag(torch.tensor([3.0, 0.5]))
    found = checked(read_setting(nn.Sequential(linear(weight), nn.ReLU(), linear(torch.eye(2)))))
    assert not found[SPECTRAL].holds
    assert found[SPECTRAL].measured == "0: 3, 2: 1"
    assert not found[REACH].holds
    assert not found[ENTRIES].holds
    assert found[ENTRIES].measured == "0: 3 (of 0.7071), 2: 1 (of 0.7071)"


def test_digits(digits: tuple[nn.Module, Data]) -> None:
    module, data = digits
    setting = read_setting(module, input_range=data.input_range)
    found = checked(setting)
    holds = {name: one.holds for name, one in found.items()}
    assert not any(holds[name] for name in (SPECTRAL, ENTRIES, INPUTS, REACH))
    assert holds[BIASES]
    assert holds[BETWEEN]
    norms = [float(torch.linalg.svdvals(p.double())[0]) for p in module.parameters()]
    assert [m.norm for m in setting.plain] == pytest.approx(norms)
    assert setting.rescaled(0.01) == pytest.approx(0.01 / (8 * norms[0] * norms[1]))
    assert bool((data.x.norm(dim=1) <= setting.radius).all())


def test_biases_are_carried_by_a_constant() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).double()
    module.requires_grad_(False)
    setting = read_setting(module, input_range=(-1.0, 1.0))
    assert not checked(setting)[BIASES].holds
    w0, b0, w1, b1 = module.parameters()
    first, last = torch.column_stack([w0, b0]), torch.column_stack([w1, b1])
    carried = torch.vstack([first, torch.eye(4)[-1:].double()])
    norms = [float(torch.linalg.svdvals(m)[0]) for m in (carried, last)]
    assert [m.norm for m in setting.carried] == pytest.approx(norms)
    assert [(m.inputs, m.outputs) for m in setting.carried] == [(4, 5), (5, 2)]
    assert [(m.inputs, m.outputs) for m in setting.augmented] == [(4, 4), (5, 2)]
    assert setting.radius == pytest.approx(2)  # three inputs and the 1
    x = torch.rand(50, 3, dtype=torch.float64) * 2 - 1
    ones = torch.ones(50, 1, dtype=torch.float64)
    through = torch.relu(torch.hstack([x, ones]) @ carried.T) @ last.T
    torch.testing.assert_close(through, module(x))


def test_no_relu_more_or_less_is_missed() -> None:
    plain = read_setting(nn.Sequential(linear(torch.eye(2)), linear(torch.eye(2))))
    assert not checked(plain)[BETWEEN].holds
    assert bounds(plain)["pensia"].holds == "after rescaling"


@pytest.mark.parametrize("epsilon", [0.01, 1.0])
def test_errors_that_are_allowed_add_up_to_epsilon_at_most(
    digits: tuple[nn.Module, Data], epsilon: float
) -> None:
    module, data = digits
    found = bounds(module, epsilon=epsilon, input_range=data.input_range)
    x = torch.cat([data.x, torch.ones(1, 64), torch.rand(200, 64)]).double()
    weights = [p.double() for p in module.parameters()]
    allowed = [layer["accuracy"] for layer in found.stated()["layers"]]
    generator = torch.Generator().manual_seed(0)
    worst = 0.0
    for pattern in range(4):
        moved = []
        for weight, error in zip(weights, allowed, strict=True):
            signs = torch.randn(weight.shape, generator=generator).sign()
            moved.append(weight + error * (signs if pattern else torch.ones_like(weight)))
        outputs = [torch.relu(x @ first.T) @ last.T for first, last in (weights, moved)]
        worst = max(worst, float((outputs[0] - outputs[1]).norm(dim=1).max()))
    assert worst <= epsilon
    assert worst > epsilon / 10_000


def test_attention_is_read_off_a_module() -> None:
    torch.manual_seed(0)
    attention = nn.MultiheadAttention(8, 2, bias=False)
    setting = read_setting(attention, input_range=(-1.0, 1.0))
    assert setting.heads == (8, 8, 2)
    query, key, _ = (w.detach().double() for w in attention.in_proj_weight.chunk(3))
    norm = float(torch.linalg.svdvals(query[:4].T @ key[:4])[0])
    assert setting.plain[0].norm == pytest.approx(norm, rel=1e-5)
    (width,) = bounds(setting).widths
    assert width.bound.name == "attention"
    assert width.epsilon == 0.01


def test_what_no_theorem_is_about_is_refused() -> None:
    convolution = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))
    with pytest.raises(ValueError, match="--sizes"):
        read_setting(convolution)
    with pytest.raises(ValueError, match="at least two"):
        read_setting((4,))
    with pytest.raises(ValueError, match="at least two"):
        read_setting((4, 0))
    with pytest.raises(ValueError, match="wider"):
        read_setting((4, 4), input_range=(0.0, 0.0))
    with pytest.raises(ValueError, match="finite"):
        read_setting((4, 4), input_range=(0.0, math.inf))
