"""What theorems assume of a target, and what of that is true of this one.

A network of Linear and ReLU without biases is homogeneous: W₁ … W_l and inputs up to R are as good
as W₁/s₁ … W_l/s_l and inputs up to 1, the outputs multiplied by R s₁ … s_l. So a theorem for norms
and inputs up to 1 serves any such network, at the accuracy ε′ = ε / (R s₁ … s_l). A bias is the
weight of one more input that is always 1; every layer but the last hands the 1 on.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from torch import nn

from instances.arrays import FloatArray
from milp_lth.constructions.two_layer import scale_for
from milp_lth.network import Network, read_network
from milp_lth.networks.forms import Factors
from milp_lth.networks.row import LINEAR, RELU

BALL, BOX = "ball", "box"
SPECTRAL, ENTRIES, INPUTS, BIASES, BETWEEN, DRAWS, REACH, GRID = (
    "spectral norms ≤ 1", "entries ≤ 1/√d_in", "inputs in the unit ball", "no biases",
    "ReLU between layers", "draws", "weights within reach", "weights on a grid",
)  # fmt: skip


class Matrix(NamedTuple):
    """What is asked about one matrix of a target.

    Attributes
    ----------
    name
        Of its layer.
    inputs, outputs
        Its shape.
    norm, largest
        Its spectral norm, and its largest magnitude of an entry.
    nonnegative
        Whether its inputs are known to be ≥ 0.
    """

    name: str
    inputs: int
    outputs: int
    norm: float
    largest: float
    nonnegative: bool

    @property
    def scale(self) -> float:
        """The power of two that this package draws V with: entries are within a quarter of it."""
        return scale_for(np.array([self.largest]))


class Heads(NamedTuple):
    """Multi-head attention: d₁ features in, d₂ out, and how many heads."""

    inputs: int
    outputs: int
    num_heads: int


@dataclass(frozen=True)
class Setting:
    """A target as theorems see it.

    Attributes
    ----------
    plain
        Its matrices, biases left out.
    augmented
        The same with biases as the weights of one more input.
    carried
        The same with that input, a 1, handed on by every layer but the last.
    domain
        "ball": inputs of norm up to 1; "box": every input in `input_range`.
    input_range
        Lowest and highest value of an input.
    known
        Whether there are weights, or only sizes.
    has_biases
        Whether any layer has one.
    steps
        What the network is made of; empty where only sizes are known.
    heads
        Attention, in place of layers.
    """

    plain: tuple[Matrix, ...]
    augmented: tuple[Matrix, ...]
    carried: tuple[Matrix, ...]
    domain: str = BALL
    input_range: tuple[float, float] = (-1.0, 1.0)
    known: bool = False
    has_biases: bool = False
    steps: tuple[str, ...] = ()
    heads: Heads | None = None

    @property
    def radius(self) -> float:
        """The largest norm of an input, the constant 1 among them where there are biases."""
        squared = 1.0
        if self.domain == BOX:
            squared = self._num_inputs * max(map(abs, self.input_range)) ** 2
        return math.sqrt(squared + self.has_biases)

    @property
    def inner_radius(self) -> float:
        """The radius of the largest ball of inputs: lower bounds hold for what contains one."""
        low, high = self.input_range
        return 1.0 if self.domain == BALL else (high - low) / 2

    @property
    def _num_inputs(self) -> int:
        return self.plain[0].inputs if self.heads is None else self.heads.inputs

    def scales(self, *, entries: bool = False) -> list[float]:
        """Return what each layer is divided by; `entries`: also for entries up to 1/√d_in."""
        return [
            max(m.norm, m.largest * math.sqrt(m.inputs)) if entries else m.norm
            for m in self.carried
        ]

    def rescaled(self, epsilon: float, *, entries: bool = False) -> float:
        """Return ε′ of the network with norms and inputs up to 1; at most 1."""
        product = math.prod(s or 1.0 for s in self.scales(entries=entries))
        return min(1.0, epsilon / (self.radius * product))

    def rescaled_inside(self, epsilon: float) -> float:
        """Return ε′ for lower bounds: of the matrices alone, on the ball inside the domain."""
        product = self.inner_radius * math.prod(m.norm or 1.0 for m in self.plain)
        return epsilon / product if product else math.inf


class Assumption(NamedTuple):
    """One assumption, checked.

    Attributes
    ----------
    name
        What is assumed.
    holds
        Whether it is true of the target as it is.
    measured
        What was found, layer by layer.
    remedy
        What makes it true, where it is not.
    by_rescaling
        Whether the remedy is a matter of ε′ alone, and needs nothing of the target or the source.
    """

    name: str
    holds: bool
    measured: str
    remedy: str
    by_rescaling: bool


def read_setting(
    target: nn.Module | Network | Sequence[int],
    *,
    domain: str | None = None,
    input_range: tuple[float, float] = (-1.0, 1.0),
) -> Setting:
    """Look at a target as theorems do.

    Parameters
    ----------
    target
        A network of Linear and ReLU in a row, one whose every matrix is a product of attention, or
        sizes alone: all norms are then taken to be 1.
    domain
        "ball" or "box"; None: a box for a network, a ball for sizes.
    input_range
        Of a box.

    Raises
    ------
    ValueError
        When the target is anything else, or a number is out of range.
    """
    if domain not in (None, BALL, BOX):
        raise ValueError(f"domain {domain!r}: choose {BALL} or {BOX}")
    low, high = input_range
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise ValueError(f"input range {low} to {high}: give two finite numbers, lower first")
    if low == high == 0:
        raise ValueError("input range 0 to 0: there is nothing to compute, give a wider one")
    if isinstance(target, nn.Module | Network):
        network = (
            target
            if isinstance(target, Network)
            else read_network(target, copy=False, products=True)
        )
        if network.steps:
            return _of_row(network, domain or BOX, input_range)
        return _of_attention(network, domain or BOX, input_range)
    sizes = tuple(target)
    if len(sizes) < 2 or min(sizes) < 1 or any(d != int(d) for d in sizes):
        raise ValueError(f"sizes {sizes}: give at least two whole numbers above 0, as in 64,32,10")
    nonnegative = domain == BOX and low >= 0
    plain = tuple(
        Matrix(str(k), int(d), int(sizes[k + 1]), 1.0, 1.0, k > 0 or nonnegative)
        for k, d in enumerate(sizes[:-1])
    )
    return Setting(plain, plain, plain, domain or BALL, input_range)


def attention_setting(
    heads: Heads, *, domain: str | None = None, input_range: tuple[float, float] = (-1.0, 1.0)
) -> Setting:
    """Return the setting of attention of which only sizes are known.

    Raises
    ------
    ValueError
        When a size is below 1.
    """
    if min(heads) < 1:
        raise ValueError(f"attention {tuple(heads)}: give three whole numbers above 0")
    return Setting((), (), (), domain or BALL, input_range, heads=heads)


def _of_row(network: Network, domain: str, input_range: tuple[float, float]) -> Setting:
    known = network.nonnegative_inputs(input_range if domain == BOX else (-1.0, 1.0))
    has_biases = any(layer.bias is not None for layer in network.layers)
    plain, augmented, carried = [], [], []
    for k, layer in enumerate(network.layers):
        weight = np.asarray(layer.weight, np.float64)
        plain.append(_matrix(layer.name, weight, known[k]))
        if has_biases:
            bias = np.zeros(len(weight)) if layer.bias is None else layer.bias
            weight = np.column_stack([weight, np.asarray(bias, np.float64)])
        augmented.append(_matrix(layer.name, weight, known[k]))
        if has_biases and k < len(network.layers) - 1:
            weight = np.vstack([weight, np.eye(weight.shape[1])[-1:]])
        carried.append(_matrix(layer.name, weight, known[k]))
    matrices = (tuple(plain), tuple(augmented), tuple(carried))
    return Setting(*matrices, domain, input_range, True, has_biases, network.steps)


def _of_attention(network: Network, domain: str, input_range: tuple[float, float]) -> Setting:
    products = [layer for layer in network.layers if isinstance(layer.form, Factors)]
    if len(products) < 2 or len(products) % 2 or len(products) < len(network.layers):
        raise ValueError(
            "these theorems are about Linear layers with ReLU between, or about one "
            f"MultiheadAttention without biases; this target is {network.body.described()}: give "
            "sizes, as in --sizes 64,32,10 or --attention 64,64,4"
        )
    shape = products[-1].weight.shape
    matrices = tuple(_matrix(p.name, np.asarray(p.weight, float), False) for p in products)
    heads = Heads(shape[1], shape[0], len(products) // 2)
    return Setting(matrices, matrices, matrices, domain, input_range, True, heads=heads)


def _matrix(name: str, weight: FloatArray, nonnegative: bool) -> Matrix:
    norm, largest = float(np.linalg.norm(weight, 2)), float(np.abs(weight).max())
    return Matrix(name, weight.shape[1], weight.shape[0], norm, largest, nonnegative)


def check_assumptions(setting: Setting) -> tuple[Assumption, ...]:
    """Check what the theorems assume.

    What the random weights are drawn from is the theorems' own: see `milp_lth.theory.bounds`.
    """
    matrices = setting.plain
    return (
        _about_matrices(setting, SPECTRAL, [(m.norm, 1.0) for m in matrices]),
        _about_matrices(
            setting, ENTRIES, [(m.largest, 1 / math.sqrt(m.inputs)) for m in matrices]
        ),
        _about_inputs(setting),
        Assumption(
            BIASES,
            not setting.has_biases,
            "there are biases" if setting.has_biases else "there are none",
            "a bias is the weight of one more input, always 1, which every layer hands on",
            True,
        ),
        _about_steps(setting),
        _about_matrices(setting, REACH, [(m.largest, 1.0) for m in matrices]),
        Assumption(
            GRID, False, "weights of a trained network lie on no grid",
            "round them to multiples of δ²: within the accuracy of a weight, so it costs nothing",
            True,
        ),
    )  # fmt: skip


def _about_matrices(setting: Setting, name: str, pairs: list[tuple[float, float]]) -> Assumption:
    """Compare a number of each layer with what it may be."""
    if not setting.known:
        return Assumption(name, True, "taken for granted: only sizes are given", "", True)
    found = ", ".join(
        f"{m.name}: {value:.4g}" + (f" (of {most:.4g})" if most != 1 else "")
        for m, (value, most) in zip(setting.plain, pairs, strict=True)
    )
    holds = all(value <= most for value, most in pairs)
    return Assumption(name, holds, found, "divide every layer by its norm: ε becomes ε′", True)


def _about_inputs(setting: Setting) -> Assumption:
    radius = math.sqrt(max(0.0, setting.radius**2 - setting.has_biases))
    if setting.domain == BALL:
        measured = "declared: norms up to 1"
    else:
        low, high = setting.input_range
        measured = f"every input in [{low:g}, {high:g}]: norms up to {radius:.4g}"
    return Assumption(
        INPUTS, radius <= 1 + 1e-12, measured, "divide the inputs by that: ε becomes ε′", True
    )


def _about_steps(setting: Setting) -> Assumption:
    wanted = (LINEAR, *(RELU, LINEAR) * (len(setting.plain) - 1))
    steps = tuple(step for step in setting.steps if not step.startswith("flatten"))
    holds = not setting.steps or steps == wanted
    measured = " → ".join(steps) if steps else "taken for granted: only sizes are given"
    return Assumption(
        BETWEEN, holds, measured,
        "a ReLU more or less enlarges no error: it is left where the target has it", True,
    )  # fmt: skip
