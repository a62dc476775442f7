"""Targets of every kind, small, with inputs for each."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional


class Residual(nn.Module):
    """A block with a norm, a sum and a concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.one = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.norm, self.second = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        self.last = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.stem(x)))
        y = functional.relu(x + self.second(self.one(x)))
        return self.last(torch.cat([x, y], dim=1).mean(dim=(2, 3)))


class Functional(nn.Module):
    """A forward of functions and methods."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(1, 3, 3), nn.Conv2d(3, 4, 3, bias=False)
        self.last = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.max_pool2d(functional.relu(self.one(x)), 2)
        x = functional.adaptive_avg_pool2d(torch.tanh(self.two(x)), 1)
        return functional.log_softmax(self.last(x.view(-1, self.last.in_features)), dim=1)


class Untraceable(Functional):
    """A forward that looks at its data."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x if x.mean() > 0 else -x)


class Words(nn.Module):
    """An embedding, a norm and a recurrent layer over words."""

    def __init__(self, recurrent: nn.Module) -> None:
        super().__init__()
        self.words, self.norm = nn.Embedding(7, 4, padding_idx=0), nn.LayerNorm(4)
        self.recurrent, self.last = recurrent, nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y, _ = self.recurrent(self.norm(self.words(x)))
        return self.last(y[:, -1])


class Several(nn.Module):
    """Two inputs and an option."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 4), nn.Linear(3, 4)

    def forward(
        self, x: torch.Tensor, y: torch.Tensor, sign: int = 1
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        z = self.one(x) + sign * self.two(y)
        return z, {"sum": z.sum(dim=-1)}


class Part(nn.Module):
    """What a module returns first."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.module(*x)[0]
        return y


class Kind(NamedTuple):
    """How to make a target, and inputs for it."""

    make: Callable[[], nn.Module]
    shapes: tuple[tuple[int, ...], ...] = ((6, 1, 8, 8),)
    words: int = 0
    """Inputs are whole numbers below it, where it is not 0."""

    def inputs(self, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, ...]:
        if self.words:
            return tuple(torch.randint(self.words, shape) for shape in self.shapes)
        return tuple(torch.randn(*shape, dtype=dtype) for shape in self.shapes)


STEPS = (3, 5, 4)  # a batch of sequences, batch first
ENCODER: dict[str, Any] = {"dim_feedforward": 6, "batch_first": True, "dropout": 0.1}

KINDS = {
    "conv2d": Kind(lambda: nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3, groups=2, padding=1, padding_mode="circular"), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3),
    )),
    "conv1d": Kind(lambda: nn.Sequential(
        nn.Conv1d(2, 4, 3, stride=2, padding=2, dilation=2), nn.GELU(),
        nn.Conv1d(4, 3, 3, padding="same"), nn.Flatten(), nn.Linear(12, 3),
    ), ((3, 2, 7),)),
    "residual": Kind(Residual),
    "functional": Kind(Functional),
    "untraceable": Kind(Untraceable),
    "several inputs": Kind(Several, ((5, 4), (5, 3))),
    "transposed": Kind(lambda: nn.Sequential(
        nn.ConvTranspose2d(1, 2, 2), nn.Tanh(), nn.Conv2d(2, 2, 3),
    )),
    "bare conv": Kind(lambda: nn.Conv2d(1, 3, 3, stride=2)),
    "bare embedding": Kind(lambda: nn.Embedding(7, 4), ((3, 5),), 7),
    "bare rnn": Kind(lambda: nn.RNN(4, 5, 2, nonlinearity="relu"), (STEPS,)),
    "bare gru": Kind(lambda: nn.GRU(4, 5, bidirectional=True, batch_first=True), (STEPS,)),
    "bare lstm": Kind(lambda: nn.LSTM(4, 5, 2, proj_size=3), (STEPS,)),
    "rnn": Kind(lambda: Words(nn.RNN(4, 5, batch_first=True)), ((3, 5),), 7),
    "gru": Kind(lambda: Words(nn.GRU(4, 5, batch_first=True)), ((3, 5),), 7),
    "lstm": Kind(lambda: Words(nn.LSTM(4, 5, batch_first=True)), ((3, 5),), 7),
    "attention": Kind(lambda: nn.MultiheadAttention(4, 2), (STEPS,) * 3),
    "encoder": Kind(lambda: nn.Sequential(
        nn.Embedding(7, 4),
        nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, **ENCODER), 2),
        nn.Flatten(), nn.Linear(20, 3),
    ), ((3, 5),), 7),
    "transformer": Kind(lambda: nn.Transformer(4, 2, 1, 1, **ENCODER), (STEPS, STEPS)),
}  # fmt: skip
ATTENDING = ("attention", "encoder", "transformer")


def made(kind: str, dtype: torch.dtype = torch.float32, seed: int = 0) -> nn.Module:
    """Return the target of a kind, with norms whose statistics are not 0 and 1."""
    torch.manual_seed(seed)
    module = KINDS[kind].make()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            for tensor in (part.weight, part.bias, part.running_mean, part.running_var):
                nn.init.uniform_(tensor, 0.5, 1.5)
    return module.to(dtype).eval()


def outputs(result: Any) -> torch.Tensor:
    """Return all numbers of a result, in one row."""
    if isinstance(result, torch.Tensor):
        return result.detach().flatten()
    values = result.values() if isinstance(result, dict) else result
    return torch.cat([outputs(value) for value in values if value is not None])
