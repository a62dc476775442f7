"""What is known to be ≥ 0: after every kind of step, and never what is not so."""

import operator
import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from milp_lth.network import read_network
from milp_lth.networks.signs import follow_signs, trace

SHAPE = (2, 4, 6, 6)
SEEDS = 40


class Then(nn.Module):
    """A convolution, whose outputs have both signs, then some steps, then what is looked at."""

    def __init__(self, steps: Callable[["Then", torch.Tensor], Any], *parts: nn.Module) -> None:
        super().__init__()
        self.first = nn.Conv2d(4, 4, 1)
        self.parts = nn.ModuleList(parts)
        self.last = nn.Linear(6, 6)
        self.steps = steps

    def forward(self, x: torch.Tensor) -> Any:
        return self.last(self.steps(self, self.first(x)))


def known(module: nn.Module, name: str = "last", *, nonnegative: bool = False) -> bool:
    return follow_signs(module, trace(module), nonnegative=nonnegative)[name]


MODULES = {
    "relu": nn.ReLU(), "relu in place": nn.ReLU(inplace=True), "relu6": nn.ReLU6(),
    "sigmoid": nn.Sigmoid(), "hardsigmoid": nn.Hardsigmoid(), "softplus": nn.Softplus(),
    "softmax": nn.Softmax(dim=1), "softmin": nn.Softmin(dim=1), "softmax2d": nn.Softmax2d(),
    "hardtanh": nn.Hardtanh(0, 2),
}  # fmt: skip
KEEPING = {
    "flatten": nn.Flatten(0, 1), "dropout": nn.Dropout(), "dropout2d": nn.Dropout2d(),
    "dropout in place": nn.Dropout(inplace=True),
    "identity": nn.Identity(), "max pool": nn.MaxPool2d(3, 1, 1), "mean": nn.AvgPool2d(3, 1, 1),
    "adaptive": nn.AdaptiveAvgPool2d(6), "adaptive max": nn.AdaptiveMaxPool2d(6),
    "pad": nn.ZeroPad2d(1), "shuffle": nn.ChannelShuffle(2), "pixels": nn.PixelShuffle(2),
    "nearest": nn.UpsamplingNearest2d(scale_factor=2), "hardtanh": nn.Hardtanh(-1, 1),
}  # fmt: skip
OTHERS = {
    "tanh": nn.Tanh(), "gelu": nn.GELU(), "leaky": nn.LeakyReLU(), "norm": nn.LayerNorm(6),
    "batch norm": nn.BatchNorm2d(4), "bicubic": nn.Upsample(scale_factor=2, mode="bicubic"),
    "linear": nn.Linear(6, 6), "hardtanh": nn.Hardtanh(-2, -1), "pad": nn.ConstantPad2d(1, -1.0),
}  # fmt: skip


@pytest.mark.parametrize("part", MODULES.values(), ids=MODULES)
def test_modules_that_make_numbers_nonnegative(part: nn.Module) -> None:
    assert known(Then(lambda m, x: m.parts[0](x), part))


@pytest.mark.parametrize("part", KEEPING.values(), ids=KEEPING)
def test_modules_that_keep_what_is_known(part: nn.Module) -> None:
    assert not known(Then(lambda m, x: m.parts[0](x), part))
    assert known(Then(lambda m, x: m.parts[0](torch.relu(x)), part))


@pytest.mark.parametrize("part", OTHERS.values(), ids=OTHERS)
def test_modules_after_which_nothing_is_known(part: nn.Module) -> None:
    assert not known(Then(lambda m, x: m.parts[0](torch.relu(x)), part))


MAKING: list[Callable[[Any], Any]] = [
    torch.relu, functional.relu, functional.relu6, torch.sigmoid, functional.sigmoid,
    functional.hardsigmoid, functional.softplus, torch.abs, abs, torch.square, torch.exp,
    lambda x: torch.softmax(x, -1), lambda x: functional.softmax(x, -1), lambda x: x.softmax(-1),
    lambda x: x.relu(), lambda x: x.sigmoid(), lambda x: x.abs(), lambda x: x.square(),
    lambda x: x.exp(), lambda x: x.clamp(min=0), lambda x: torch.clamp(x, 0, 3),
    lambda x: x.clip(0.5), lambda x: torch.maximum(x, torch.relu(x)),
    lambda x: functional.relu(x, inplace=True),
]  # fmt: skip
SIGN_KEEPING: list[Callable[[Any], Any]] = [
    lambda x: torch.flatten(x, 0, 1), lambda x: x.flatten(0, 1), lambda x: x.view(2, 4, 36),
    lambda x: x.reshape(-1, 6), lambda x: torch.reshape(x, (-1, 6)), lambda x: x.contiguous(),
    lambda x: x.clone(), lambda x: x.detach(), lambda x: x.permute(0, 2, 1, 3),
    lambda x: torch.transpose(x, 1, 2), lambda x: x.transpose(1, 2), lambda x: x.unsqueeze(0),
    lambda x: x.mean(dim=1), lambda x: torch.mean(x, 1), lambda x: x.sum(1), lambda x: x.amax(1),
    lambda x: x[:, 0], lambda x: x.chunk(2, 1)[1], lambda x: torch.chunk(x, 2, 1)[0],
    lambda x: x.split(2, 1)[0], lambda x: x.repeat(1, 1, 1, 1), lambda x: x.double(),
    lambda x: functional.dropout(x, 0.5, False), lambda x: functional.max_pool2d(x, 3, 1, 1),
    lambda x: functional.avg_pool2d(x, 3, 1, 1), lambda x: functional.adaptive_avg_pool2d(x, 6),
    lambda x: functional.pad(x, (1, 1)), lambda x: functional.pad(x, (1, 1), value=0.5),
    lambda x: functional.pad(input=x, pad=(1, 1), mode="reflect"),
    lambda x: x + x, lambda x: x * 2, lambda x: 3 + x, lambda x: x / 4, lambda x: torch.add(x, 1),
    lambda x: x.add(x), lambda x: torch.mul(x, x), lambda x: torch.cat([x, torch.abs(x)]),
    lambda x: torch.stack([x, x]), lambda x: torch.minimum(x, torch.abs(x)),
    lambda x: torch.clamp(x, -1, 1), lambda x: torch.flatten(input=x, start_dim=1, end_dim=2),
    lambda x: operator.iadd(x, x), lambda x: x.mul_(2),
]  # fmt: skip
LOSING: list[Callable[[Any], Any]] = [
    torch.tanh, torch.neg, lambda x: -x, lambda x: x - 1, lambda x: x + (-1), lambda x: -2 * x,
    lambda x: torch.add(x, x, alpha=-2), lambda x: x.sub(1), lambda x: torch.flatten(input=x - 1),
    lambda x: functional.pad(x, (1, 1), value=-1.0), lambda x: torch.cat([x, x - 1]),
    lambda x: torch.clamp(x, -1, -0.5), lambda x: torch.clamp(x, 0, max=-1),
    lambda x: x.clip(0, -1),
    lambda x: torch.minimum(x, -x), lambda x: x.mul(-1), lambda x: operator.isub(x, 1),
    lambda x: x.sub_(1), lambda x: x / -1,
]  # fmt: skip


@pytest.mark.parametrize("step", MAKING)
def test_functions_that_make_numbers_nonnegative(step: Callable[[Any], Any]) -> None:
    assert known(Then(lambda m, x: step(x)))


@pytest.mark.parametrize("step", SIGN_KEEPING)
def test_functions_that_keep_what_is_known(step: Callable[[Any], Any]) -> None:
    assert not known(Then(lambda m, x: step(x)))
    assert known(Then(lambda m, x: step(torch.relu(x))))


@pytest.mark.parametrize("step", LOSING)
def test_functions_after_which_nothing_is_known(step: Callable[[Any], Any]) -> None:
    assert not known(Then(lambda m, x: step(torch.relu(x))))


def test_a_residual_sum_is_known_where_both_are() -> None:
    assert known(Then(lambda m, x: torch.relu(x) + m.parts[0](x), nn.Sigmoid()))
    assert not known(Then(lambda m, x: torch.relu(x) + m.parts[0](x), nn.Tanh()))


def test_inputs_are_what_they_are_declared_to_be() -> None:
    module = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 2))
    for nonnegative in (False, True):
        found = follow_signs(module, trace(module), nonnegative=nonnegative)
        assert (found["1"], found["3"]) == (nonnegative, False)
    network = read_network(module)
    assert network.nonnegative_inputs((0, 1)) == [True, False]
    assert network.nonnegative_inputs((-1, 1)) == [False, False]


def test_a_layer_in_two_places_is_known_where_both_are() -> None:
    def twice(m: Then, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(m.last(torch.relu(x)))

    def once(m: Then, x: torch.Tensor) -> torch.Tensor:
        return m.last(x)

    assert known(Then(twice))
    assert not known(Then(once))
    module = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 2))
    assert read_network(module).nonnegative_inputs((-1, 1)) == [False, True, False]
    module[4].weight, module[4].bias = module[2].weight, module[2].bias  # one layer, two modules
    assert read_network(module).nonnegative_inputs((-1, 1)) == [False, False]


class Deciding(Then):
    def forward(self, x: torch.Tensor) -> Any:
        x = torch.relu(self.first(x))
        return self.last(x) if x.sum() > 1 else self.last(-x)


def test_nothing_is_known_where_the_forward_cannot_be_traced() -> None:
    network = read_network(Deciding(lambda m, x: x))
    assert network.nonnegative_inputs((0, 1)) == [False, False]
    assert "cannot be traced" in network.body.untraced  # type: ignore[attr-defined]


def test_tracing_leaves_nothing_behind() -> None:
    def keep(m: Then, x: torch.Tensor) -> torch.Tensor:
        m.seen = [*getattr(m, "seen", []), x]
        m.parts[0].last = x  # type: ignore[assignment]
        return torch.relu(x)

    module = Then(keep, nn.Identity())
    assert known(module)
    assert not hasattr(module, "seen")
    assert not hasattr(module.parts[0], "last")


def test_arguments_by_name() -> None:
    assert known(Then(lambda m, x: m.parts[0](input=torch.relu(x)), nn.Identity()))
    assert not known(Then(lambda m, x: m.parts[0](input=x), nn.Identity()))

    def named(m: Then, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(m.last(input=x))

    assert not known(Then(named))


def test_hooks_may_compute_anything() -> None:
    relu = nn.ReLU()
    relu.register_forward_hook(lambda module, given, out: out - 1)
    assert not known(Then(lambda m, x: m.parts[0](x), relu))


def test_children_of_composites() -> None:
    def of(module: nn.Module, low: float) -> list[bool]:
        return read_network(module).nonnegative_inputs((low, 1))

    assert of(nn.GRU(3, 3), 0) == [True, False]
    assert of(nn.GRU(3, 3), -1) == [False, False]
    assert of(nn.RNN(3, 3, 2, nonlinearity="relu"), -1) == [False, False, True, False]
    assert of(nn.MultiheadAttention(4, 2), 0) == [True, True, True, False]

    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(4, 2)
            self.rnn = nn.RNN(4, 4, nonlinearity="relu")
            self.last = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> Any:
            y, _ = self.attention(query=x, value=torch.relu(x), key=x)
            return self.last(self.rnn(input=y)[0])

    order = ["query", "key", "value", "output", "layers.0.input", "layers.0.hidden", "last"]
    network = read_network(Named())
    assert [layer.name.split(".", 1)[-1] for layer in network.layers] == order
    assert network.nonnegative_inputs((-1, 1)) == [False, False, True, False, False, False, True]


Pool = list[torch.Tensor]
STEPS: list[Callable[["Program", Any, Any], Any]] = [
    *(lambda m, x, y, f=f: f(x) for f in MAKING),
    *(lambda m, x, y, f=f: f(x) for f in (torch.tanh, torch.neg, torch.clone)),
    lambda m, x, y: x + y, lambda m, x, y: x - y, lambda m, x, y: x * y, lambda m, x, y: 0.5 * x,
    lambda m, x, y: -0.5 * x, lambda m, x, y: x.add(y), lambda m, x, y: torch.add(x, y, alpha=-1),
    lambda m, x, y: torch.maximum(x, y), lambda m, x, y: torch.minimum(x, y),
    lambda m, x, y: torch.cat([x, y], dim=1)[:, 2:6], lambda m, x, y: torch.stack([x, y]).sum(0),
    lambda m, x, y: functional.pad(x, (1, 0))[..., 1:],
    lambda m, x, y: functional.pad(x, (1, 0), value=-1.0)[..., :6],
    lambda m, x, y: functional.max_pool2d(x, 3, 1, 1), lambda m, x, y: x.view(2, -1).view(SHAPE),
    lambda m, x, y: x.transpose(2, 3), lambda m, x, y: x.mean(1, keepdim=True).repeat(1, 4, 1, 1),
    lambda m, x, y: x.permute(0, 1, 3, 2), lambda m, x, y: x[:, :], lambda m, x, y: x.detach(),
    lambda m, x, y: torch.clamp(x, -0.1, 1), lambda m, x, y: x.sub_(0.3),
    lambda m, x, y: x.mul_(-1), lambda m, x, y: x.add_(y), lambda m, x, y: operator.iadd(x, y),
    lambda m, x, y: operator.isub(x, y), lambda m, x, y: operator.imul(x, y),
    lambda m, x, y: x.relu_(), lambda m, x, y: x.abs_(), lambda m, x, y: x.clamp_(-1, 1),
    lambda m, x, y: functional.leaky_relu(x, 0.1, inplace=True),
    lambda m, x, y: functional.elu(x, 1.0, True), lambda m, x, y: torch.neg(x, out=x),
    *(lambda m, x, y, k=k: m.parts[k](x) for k in range(10)),
    *(lambda m, x, y, k=k: m.parts[k](input=x) for k in range(3)),
    lambda m, x, y: m.layers[0](input=x), lambda m, x, y: m.layers[1](x),
    lambda m, x, y: m.layers[2](x), lambda m, x, y: torch.relu(m.layers[3](x)),
]  # fmt: skip


class Program(nn.Module):
    """Steps drawn at random, each of two that came before; then all are looked at."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        choose = random.Random(seed)
        self.layers = nn.ModuleList(nn.Conv2d(4, 4, 1) for _ in range(4))
        self.parts = nn.ModuleList([
            nn.ReLU(), nn.ELU(), nn.MaxPool2d(3, 1, 1), nn.ReLU(inplace=True), nn.Dropout(),
            nn.LeakyReLU(inplace=True), nn.Hardtanh(-0.1, 1), nn.Hardtanh(0, 1, inplace=True),
            nn.SiLU(inplace=True), nn.BatchNorm2d(4),
        ])  # fmt: skip
        self.steps = [
            (choose.choice(STEPS), choose.random(), choose.random())
            for _ in range(choose.randint(4, 14))
        ]
        self.looks = nn.ModuleList(nn.Conv2d(4, 4, 1) for _ in range(16))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pool = [x, self.layers[0](x)]
        for step, one, two in self.steps:
            pool.append(step(self, pool[int(one * len(pool))], pool[int(two * len(pool))]))
        for k, value in enumerate(pool):  # as it is after all changes in place
            self.looks[k](value)
        return pool[-1]


def negative_inputs(module: nn.Module, x: torch.Tensor) -> dict[str, bool]:
    """Whether any input of each convolution that is called is below 0."""
    seen: dict[str, bool] = {}
    handles = []
    for name, part in module.named_modules():
        if isinstance(part, nn.Conv2d):

            def look(_: Any, args: Any, kwargs: Any, name: str = name) -> None:
                given = [*args, *kwargs.values()][0]
                seen[name] = seen.get(name, False) or bool((given < 0).any())

            handles.append(part.register_forward_pre_hook(look, with_kwargs=True))
    module(x)
    for handle in handles:
        handle.remove()
    return seen


@pytest.mark.parametrize("block", range(4))
@torch.no_grad()
def test_whatever_is_said_to_be_nonnegative_is(block: int) -> None:
    said = 0
    for seed in range(SEEDS * block, SEEDS * (block + 1)):
        torch.manual_seed(seed)
        module = Program(seed).eval().requires_grad_(False)
        graph = trace(module)
        for nonnegative in (False, True):
            found = follow_signs(module, graph, nonnegative=nonnegative)
            x = torch.randn(SHAPE)
            try:
                seen = negative_inputs(module, x.abs() if nonnegative else x)
            except RuntimeError:  # torch refuses, for instance, to change one view by another
                continue
            for name, negative in seen.items():
                said += found[name]
                assert not (negative and found[name]), (seed, name)
    assert said > SEEDS  # the law is about something
