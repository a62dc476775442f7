"""One neuron: all of its weights, and what it makes of inputs beside what the target makes."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from instances.arrays import BoolArray, FloatArray, IntArray
from milp_lth.constructions.two_matrices import TwoMatrices
from milp_lth.explain.answers import Answers, Solved
from milp_lth.explain.facts import layer_facts
from milp_lth.explain.place import BIAS, find_layer, find_output, input_name
from milp_lth.reduction import Part, Reduction
from solvers.solution import Status

_SHOWN_SAMPLES = 5


@dataclass(frozen=True, eq=False)
class NeuronHalf:
    """The weights of a neuron for one sign of its inputs; arrays have shape (inputs served, …)."""

    part: Part
    mask: BoolArray
    """Shape (inputs served, n): the kept ones among the candidates of the part's half."""
    targets: FloatArray
    sums: FloatArray
    errors: FloatArray
    status: tuple[str, ...]
    products: FloatArray
    """Shape (inputs served, n)."""
    u: FloatArray | None
    v: FloatArray | None
    """Of all hidden units, the entries of U that they keep and the neuron's row of V."""

    @property
    def sign(self) -> int:
        """1 or −1; 0 where one half serves both signs."""
        return self.part.half.sign

    def passed(self, x: FloatArray, i: int, kept: BoolArray) -> FloatArray:
        """Return what the neuron gets of its input i, `x` (samples,), through the kept ones."""
        if self.u is None or self.v is None or not self.part.layer.drawn.form.activated:
            return x * float(self.products[i, kept].sum())
        units = self.part.half.units[i, kept]
        return np.asarray(np.maximum(x[:, None] * self.u[units], 0.0) @ self.v[units])

    @property
    def kept(self) -> IntArray:
        """How many are kept for each input."""
        return np.asarray(self.mask.sum(axis=1))

    @property
    def candidates(self) -> IntArray:
        """How many there are for each input."""
        return np.asarray((self.part.half.units >= 0).sum(axis=1))


@dataclass(frozen=True, eq=False)
class Samples:
    """What a neuron and its gadget make of the same inputs, in float64; shapes (samples,)."""

    wanted: FloatArray
    """The target's sum of weights times inputs, and its bias."""
    given: FloatArray
    """The sum over the kept units."""

    def stated(self) -> dict[str, Any]:
        """Return what is printed of them."""
        away = np.abs(self.given - self.wanted)
        return {
            "num_inputs": len(self.wanted),
            "max_difference": float(away.max()),
            "mean_difference": float(away.mean()),
            "first": [
                {"target": float(w), "gadget": float(g)}
                for w, g in zip(self.wanted[:_SHOWN_SAMPLES], self.given, strict=False)
            ],
        }


@dataclass(frozen=True, eq=False)
class NeuronExplained:
    """One neuron of a target and how its weights are rebuilt; `explain_neuron` makes one.

    Attributes
    ----------
    facts
        Of its layer and of the random network, as JSON takes them.
    output
        Which neuron of the layer it is.
    names
        What its inputs are called: their numbers, and "bias" for the last where there is one.
    halves
        For each sign of the inputs that is served: `targets`, `sums` and `errors` of shape
        (inputs,), `mask` of shape (inputs, candidates), and more.
    samples
        What the neuron and its gadget make of the same inputs; None where none were given.
    """

    facts: dict[str, Any]
    output: int
    names: tuple[str, ...]
    halves: tuple[NeuronHalf, ...]
    samples: Samples | None

    @property
    def errors(self) -> FloatArray:
        """The errors of all weights, half by half, shape (weights,)."""
        return np.concatenate([half.errors for half in self.halves])

    def counts(self) -> dict[str, int]:
        """Return how many weights have each status."""
        every = [status for half in self.halves for status in half.status]
        return {status.name: every.count(status.name) for status in Status}

    def by_error(self) -> list[tuple[int, int]]:
        """Return (half, input) of all weights, those with the largest errors first."""
        pairs = [(h, i) for h, half in enumerate(self.halves) for i in range(len(half.errors))]
        return sorted(pairs, key=lambda pair: -self.halves[pair[0]].errors[pair[1]])

    def stated(self) -> dict[str, Any]:
        """Return everything as one JSON object."""
        return self.facts | {
            "output": self.output,
            "weights": [
                {
                    "input": BIAS if self.names[i] == BIAS else i,
                    "sign": half.sign,
                    "target": float(half.targets[i]),
                    "sum": float(half.sums[i]),
                    "error": float(half.errors[i]),
                    "kept": int(half.kept[i]),
                    "candidates": int(half.candidates[i]),
                    "status": half.status[i],
                }
                for half in self.halves
                for i in range(len(half.targets))
            ],
            "errors": {"max": float(self.errors.max()), "median": float(np.median(self.errors))},
            "status": self.counts(),
            "kept": sum(int(half.mask.sum()) for half in self.halves),
            "candidates": sum(int(half.candidates.sum()) for half in self.halves),
            "samples": None if self.samples is None else self.samples.stated(),
        }


def explain_neuron(
    reduction: Reduction,
    layer: int | str = 0,
    output: int | str = 0,
    *,
    x: FloatArray | None = None,
    answers: Answers | None = None,
) -> NeuronExplained:
    """Show how all weights of one neuron of the target are rebuilt from random numbers.

    Parameters
    ----------
    reduction
        What `milp_lth.reduce` returned.
    layer
        The layer's place, from 0, or its name.
    output
        Which neuron of it, from 0.
    x
        Inputs of that layer, shape (samples, inputs), on which target and gadget are compared.
    answers
        Where masks come from; None: they are solved for.

    Returns
    -------
    NeuronExplained
        For each sign that is served and each input: target, sum, error, kept, status.

    Raises
    ------
    ValueError
        When there is no such layer or output, or `x` has another number of inputs.

    Examples
    --------
    >>> import torch
    >>> from milp_lth import Source, explain_neuron, reduce
    >>> reduction = reduce(torch.nn.Linear(3, 2), Source(width=16))
    >>> explain_neuron(reduction, output=1).counts()["OPTIMAL"]
    7
    """
    place = find_layer(reduction, layer)
    layout = reduction.layers[place]
    j = find_output(layout, output)
    ranges = [
        (p, j * part.half.num_inputs, (j + 1) * part.half.num_inputs)
        for p, part in enumerate(reduction.parts)
        if part.layer is layout
    ]
    halves = _halves(reduction, (answers or Solved(reduction)).rows(ranges))
    samples = None
    if x is not None:
        num_inputs = layout.drawn.num_inputs - layout.drawn.has_bias
        if x.ndim != 2 or x.shape[1] != num_inputs or not len(x):
            raise ValueError(f"inputs of shape {x.shape}: give (samples, {num_inputs})")
        samples = _samples(x, layout.weight[j].astype(np.float64), halves)
    return NeuronExplained(
        facts=layer_facts(reduction, place),
        output=j,
        names=tuple(input_name(layout, i) for i in range(layout.drawn.num_inputs)),
        halves=halves,
        samples=samples,
    )


def _halves(reduction: Reduction, pieces: Iterable[Any]) -> tuple[NeuronHalf, ...]:
    """Put together what may come in pieces of each part."""
    found: dict[int, list[Any]] = {}
    for piece in pieces:
        found.setdefault(piece.place, []).append(piece)
    halves = []
    for place, answered in found.items():
        part = reduction.parts[place]
        mask = np.concatenate([one.mask for one in answered])
        status = np.concatenate([one.status for one in answered])
        instance = part.instance(answered[0].start, answered[0].start + len(mask))
        drawn, j = part.layer.drawn, answered[0].start // part.half.num_inputs
        sums = np.where(mask, instance.coefficients, 0.0).sum(axis=1)  # exact: all on one grid
        halves.append(
            NeuronHalf(
                part=part,
                mask=mask,
                targets=instance.targets,
                sums=sums,
                errors=instance.judge(mask).error,
                status=tuple(Status(s).name for s in status),
                products=instance.coefficients,
                u=drawn.u() if isinstance(drawn, TwoMatrices) else None,
                v=drawn.v(j, j + 1)[0] if isinstance(drawn, TwoMatrices) else None,
            )
        )
    return tuple(halves)


def _samples(x: FloatArray, weight: FloatArray, halves: tuple[NeuronHalf, ...]) -> Samples:
    """Send inputs through the neuron, and one by one through the kept units behind it."""
    constant = np.ones((len(x), len(weight) - x.shape[1]))  # of a bias
    x = np.column_stack([x, constant])
    given = np.zeros(len(x))
    for half in halves:
        for i, kept in enumerate(half.mask):
            given += half.passed(x[:, i], i, kept)
    return Samples(wanted=x @ weight, given=given)
