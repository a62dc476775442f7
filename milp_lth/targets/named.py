"""Targets that come with the toolkit: small classifiers trained on scikit-learn's own data sets."""

import os
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from instances.arrays import FloatArray
from milp_lth.targets.data import Data
from milp_lth.targets.idx import load_mnist
from solvers.heuristic.devices import single_thread

_TRAINING_SEED = 0
_HELD_OUT = 0.3
_OPENML, _OPENML_TEST = "mnist", 10_000


class _Split(NamedTuple):
    x_train: FloatArray
    y_train: NDArray[np.int64]
    x_test: FloatArray
    y_test: NDArray[np.int64]
    input_range: tuple[float, float]


def _digits() -> _Split:
    """8×8 images of digits, pixels divided by 16."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return _split(x / 16.0, y, (0.0, 1.0))


def _wine() -> _Split:
    """13 measurements of wines, standardised by the training part: inputs of both signs."""
    from sklearn.datasets import load_wine

    x, y = load_wine(return_X_y=True)
    split = _split(x, y, (-8.0, 8.0))
    mean, std = split.x_train.mean(axis=0), split.x_train.std(axis=0)
    return split._replace(x_train=(split.x_train - mean) / std, x_test=(split.x_test - mean) / std)


_DATA: dict[str, Callable[[], _Split]] = {"digits": _digits, "wine": _wine}


def _digits_mlp() -> nn.Sequential:
    return nn.Sequential(nn.Linear(64, 32, bias=False), nn.ReLU(), nn.Linear(32, 10, bias=False))


def _wine_mlp() -> nn.Sequential:
    return nn.Sequential(nn.Linear(13, 16), nn.ReLU(), nn.Linear(16, 3))


def _digits_cnn() -> nn.Sequential:
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 10),
    )


NAMED_TARGETS: dict[str, tuple[Callable[[], nn.Sequential], str]] = {
    "digits-mlp": (_digits_mlp, "digits"),
    "wine-mlp": (_wine_mlp, "wine"),
    "digits-cnn": (_digits_cnn, "digits"),
}


def load_data(name: str, *, training: bool = False) -> Data:
    """Return data that no target was trained on, or those that it was.

    Parameters
    ----------
    name
        "digits" or "wine": the held-out 30 % of scikit-learn's data sets. "mnist": the test images,
        from scikit-learn's cache of OpenML, or downloaded. A folder: the test images of MNIST's IDX
        files in it.
    training
        Return the other part: what a target may be trained on, and a width be chosen by.

    Raises
    ------
    ValueError
        When the name is unknown, or data cannot be read or had.
    """
    if name == _OPENML:
        return _openml_mnist(training)
    if is_data_folder(name):
        return load_mnist(name, training=training)
    if name not in _DATA:
        known = ", ".join((*_DATA, _OPENML))
        raise ValueError(f"unknown data {name!r}: choose one of {known}, or a folder of IDX files")
    split = _DATA[name]()
    x, y = (split.x_train, split.y_train) if training else (split.x_test, split.y_test)
    part = "training 70 %" if training else "held-out 30 %"
    return Data(
        name, part, torch.tensor(x, dtype=torch.float32), torch.tensor(y), split.input_range
    )


def is_data_folder(name: str) -> bool:
    """Whether `name` is a folder's and not that of a data set; ``./mnist`` is always a folder's."""
    return name not in (*_DATA, _OPENML) and os.path.isdir(name)


def _openml_mnist(training: bool) -> Data:
    from sklearn.datasets import fetch_openml

    try:
        x, y = fetch_openml(
            "mnist_784", version=1, as_frame=False, parser="liac-arff", return_X_y=True
        )
    except (OSError, ValueError) as error:
        raise ValueError(
            f"mnist cannot be had from OpenML ({error}): give a folder of its IDX files"
        ) from error
    rows = slice(0, -_OPENML_TEST) if training else slice(-_OPENML_TEST, None)
    images = torch.tensor(np.asarray(x[rows], dtype=np.float32)) / 255
    labels = torch.tensor(np.asarray(y[rows], dtype=np.int64))
    part = f"{'first' if training else 'last'} {len(labels):,} of mnist_784"
    return Data("mnist", part, images, labels, (0.0, 1.0))


def load_named_target(name: str) -> tuple[nn.Sequential, Data]:
    """Train a named target, in seconds, and return it with its held-out data.

    "digits-mlp" is 64-32-10 without biases on inputs in [0, 1]; "wine-mlp" is 13-16-3 with biases
    on standardised inputs; "digits-cnn" has two convolutions with BatchNorm in front of its Linear.

    Parameters
    ----------
    name
        One of the two.

    Returns
    -------
    module
        The trained network, frozen.
    data
        What it was not trained on: inputs `x` of shape (num_inputs, num_features), their classes
        `y` of shape (num_inputs,), and `input_range`.

    Raises
    ------
    ValueError
        When the name is unknown.
    """
    if name not in NAMED_TARGETS:
        raise ValueError(f"unknown target {name!r}: choose one of {', '.join(NAMED_TARGETS)}")
    build, data = NAMED_TARGETS[name]
    split = _DATA[data]()
    with torch.random.fork_rng():
        torch.manual_seed(_TRAINING_SEED)
        module = build()
    _train(module, split.x_train, split.y_train)
    return module, load_data(data)


def _split(x: FloatArray, y: NDArray[np.int64], input_range: tuple[float, float]) -> _Split:
    from sklearn.model_selection import train_test_split

    x_train, x_test, y_train, y_test = train_test_split(
        x, y, test_size=_HELD_OUT, random_state=0, stratify=y
    )
    return _Split(x_train, y_train, x_test, y_test, input_range)


def _train(module: nn.Module, x: FloatArray, y: NDArray[np.int64], num_epochs: int = 300) -> None:
    inputs, classes = torch.tensor(x, dtype=torch.float32), torch.tensor(y)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01, weight_decay=1e-4)
    with single_thread():  # sums depend on how many threads there are, and weights on sums
        for _ in range(num_epochs):
            optimizer.zero_grad()
            nn.functional.cross_entropy(module(inputs), classes).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    module.eval().requires_grad_(False)
