"""Small networks of many kinds, trained in seconds: the targets of networks.py.

Every function returns a network in evaluation mode, inputs that it was not trained on, and their
classes. Seeded: the same on every run of one machine.
"""

from collections.abc import Callable
from functools import cache

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

Trained = tuple[nn.Module, torch.Tensor, torch.Tensor]
HELD_OUT = 450  # of 1,797 digits


class LeNet5(nn.Module):
    """The network of Pensia et al.'s second experiment: no biases."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2, bias=False)
        self.conv2 = nn.Conv2d(6, 16, 5, bias=False)
        self.fc1 = nn.Linear(400, 120, bias=False)
        self.fc2 = nn.Linear(120, 84, bias=False)
        self.fc3 = nn.Linear(84, 10, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map images (batch, 1, 28, 28), normalised as they were in training, to logits."""
        x = functional.max_pool2d(torch.relu(self.conv1(x)), 2)
        x = functional.max_pool2d(torch.relu(self.conv2(x)), 2)
        x = torch.relu(self.fc2(torch.relu(self.fc1(x.flatten(1)))))
        return self.fc3(x)

    @staticmethod
    def normalised(x: torch.Tensor) -> torch.Tensor:
        """Return pixels in [0, 1] as the network was trained on them."""
        return (x - 0.1307) / 0.3081


class Block(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Halve the sides of what is as large as `stride` says."""
        y = torch.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        y += self.shortcut(x)
        return torch.relu(y)


class ResNet(nn.Module):
    """A residual network with BatchNorm for images of 8 × 8."""

    def __init__(self, channels: int = 12) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(1, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels)
        self.blocks = nn.Sequential(Block(channels, channels, 1), Block(channels, 2 * channels, 2))
        self.last = nn.Linear(2 * channels, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map images (batch, 8, 8) to logits."""
        x = self.blocks(torch.relu(self.norm(self.stem(x.unsqueeze(1)))))
        return self.last(x.mean(dim=(2, 3)))


class Reader(nn.Module):
    """A recurrent network that reads an image row by row."""

    def __init__(self, kind: type[nn.GRU] | type[nn.LSTM], size: int = 32) -> None:
        super().__init__()
        self.recurrent = kind(8, size, batch_first=True)
        self.last = nn.Linear(size, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map sequences (batch, steps, 8) to logits."""
        y, _ = self.recurrent(x)
        return self.last(y[:, -1])


class Transformer(nn.Module):
    """Two layers of an encoder; every row of an image is a token."""

    def __init__(self, size: int = 24) -> None:
        super().__init__()
        self.tokens, self.places = nn.Linear(8, size), nn.Embedding(8, size)
        layer = nn.TransformerEncoderLayer(size, 4, 2 * size, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.last = nn.Linear(size, 10)
        self.register_buffer("order", torch.arange(8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map images (batch, 8, 8) to logits."""
        x = self.encoder(self.tokens(x) + self.places(self.order))
        return self.last(x.mean(dim=1))


class Pairs(nn.Module):
    """A network with a piece that no random layer stands for."""

    def __init__(self) -> None:
        super().__init__()
        self.rows, self.columns = nn.Linear(64, 16), nn.Linear(64, 16)
        self.both = nn.Bilinear(16, 16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map images (batch, 8, 8) to logits."""
        rows = torch.relu(self.rows(x.flatten(1)))
        return self.both(rows, torch.relu(self.columns(x.transpose(1, 2).flatten(1))))


@cache
def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """Return all images, shape (1797, 8, 8), pixels in [0, 1], in another order, and classes."""
    x, y = load_digits(return_X_y=True)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    images = torch.tensor(x, dtype=torch.float32)[order] / 16
    return images.reshape(-1, 8, 8), torch.tensor(y)[order]


def trained_on_digits(make: Callable[[], nn.Module], epochs: int, rate: float) -> Trained:
    """Train a network on all but the held-out digits."""
    torch.manual_seed(0)
    model = make()
    (x, y), optimizer = digits(), torch.optim.Adam(model.parameters(), rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, epochs * 22)
    for _ in range(epochs):
        order = torch.randperm(len(x) - HELD_OUT)
        for batch in order.split(64):
            loss = functional.cross_entropy(model(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval(), x[-HELD_OUT:], y[-HELD_OUT:]


def resnet(epochs: int = 12) -> Trained:
    """Return a residual network with BatchNorm."""
    return trained_on_digits(ResNet, epochs, 0.01)


def gru(epochs: int = 20) -> Trained:
    """Return a GRU."""
    return trained_on_digits(lambda: Reader(nn.GRU), epochs, 0.01)


def lstm(epochs: int = 20) -> Trained:
    """Return an LSTM."""
    return trained_on_digits(lambda: Reader(nn.LSTM), epochs, 0.01)


def transformer(epochs: int = 20) -> Trained:
    """Return an encoder of two layers."""
    return trained_on_digits(Transformer, epochs, 0.005)


def pairs(epochs: int = 8) -> Trained:
    """Return a network with a Bilinear."""
    return trained_on_digits(Pairs, epochs, 0.01)


def modular(prime: int = 97, hidden: int = 256, share: float = 0.8, steps: int = 1000) -> Trained:
    """Return a network that adds modulo `prime`, trained on a share of all pairs until it can.

    Two one-hots side by side, a hidden layer of ReLU, no biases; full batches, AdamW with weight
    decay. It is returned with all pairs.
    """
    torch.manual_seed(0)
    one, two = torch.cartesian_prod(torch.arange(prime), torch.arange(prime)).T
    y = (one + two) % prime
    seen = torch.randperm(len(y))[: round(share * len(y))]
    first, last = nn.Linear(2 * prime, hidden, bias=False), nn.Linear(hidden, prime, bias=False)
    model = nn.Sequential(first, nn.ReLU(), last)
    optimizer = torch.optim.AdamW(model.parameters(), 0.03, weight_decay=1.0, betas=(0.9, 0.98))

    def logits(pairs: torch.Tensor | slice) -> torch.Tensor:
        columns = first.weight.T  # a one-hot chooses one
        return last(torch.relu(columns[one[pairs]] + columns[prime + two[pairs]]))

    for step in range(steps):
        loss = functional.cross_entropy(logits(seen), y[seen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 20 == 19 and bool((logits(slice(None)).argmax(dim=1) == y).all()):
            x = [functional.one_hot(part, prime) for part in (one, two)]
            return model.eval(), torch.cat(x, dim=1).float(), y
    raise RuntimeError(f"it does not add modulo {prime} after {steps} steps")
