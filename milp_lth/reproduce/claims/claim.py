"""What a claim is: measurements that may be taken one by one, and what they come to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from milp_lth.rivals.task import Task


@dataclass(frozen=True)
class Setting:
    """What all claims are measured on.

    Attributes
    ----------
    task
        The data.
    num_seeds
        Of every measurement.
    scale
        What published epochs are multiplied by.
    device
        As PyTorch calls it.
    num_hidden
        Units of a hidden layer.
    """

    task: Task
    num_seeds: int
    scale: float
    device: str
    num_hidden: int = 100


Measurement = Callable[[Path], dict[str, Any]]
"""Takes a folder for the states of trainings; returns numbers for JSON."""


@dataclass(frozen=True)
class Summary:
    """What measurements come to.

    Attributes
    ----------
    measured
        In a sentence.
    holds
        Whether that is what the paper claims.
    head, lines
        A table.
    pictures
        SVGs, by name.
    """

    measured: str
    holds: bool
    head: list[str]
    lines: list[list[str]]
    pictures: dict[str, str] = field(default_factory=dict)


class Claim(NamedTuple):
    """A system, what its paper says of it, and how that is measured."""

    name: str
    paper: str
    claim: str
    measurements: Callable[[Setting], dict[str, Measurement]]
    """By the names they are recorded under."""
    summary: Callable[[Setting, Mapping[str, dict[str, Any]]], Summary]
    """Of all that was measured, by name."""


def mean(found: Mapping[str, dict[str, Any]], names: list[str], key: str) -> float:
    """Return the mean of a number over measurements."""
    return float(np.mean([found[name][key] for name in names]))


def percent(share: float, digits: int = 1) -> str:
    """Return a share as text."""
    return f"{100 * share:.{digits}f} %"


def points(difference: float, digits: int = 1) -> str:
    """Return a difference of shares as text, in points and with its sign."""
    rounded = round(100 * difference, digits) + 0.0  # no −0.0
    return f"{rounded:+.{digits}f}".replace("-", "−")
