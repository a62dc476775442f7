"""One weight: the random numbers it may sum, which of them are kept, and what others would keep."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from instances.arrays import BoolArray, FloatArray, IntArray
from instances.objectives import Closest
from instances.subset_sum import SubsetSum
from milp_lth.constructions.two_matrices import TwoMatrices
from milp_lth.explain.answers import Answered, Answers, Solved
from milp_lth.explain.facts import layer_facts
from milp_lth.explain.place import find_input, find_layer, find_output, input_name
from milp_lth.reduction import Part, Reduction
from milp_lth.theory.median_error import median_error
from solvers.registry import get_solver
from solvers.solution import Status
from solvers.solve import solve


@dataclass(frozen=True, eq=False)
class Choice:
    """Some of the candidates of a weight, and what they come to."""

    mask: BoolArray
    """Shape (candidates,)."""
    sum: float
    error: float
    status: str
    """What is known of it, as `milp_lth.Status` calls it."""

    def stated(self) -> dict[str, Any]:
        """Return what is printed of it."""
        kept = int(self.mask.sum())
        return {"sum": self.sum, "error": self.error, "kept": kept, "status": self.status}


@dataclass(frozen=True, eq=False)
class WeightHalf:
    """What serves one sign of a weight's input."""

    sign: int
    """1 or −1; 0 where one half serves both signs."""
    units: IntArray
    """The hidden units, or where there are none the edges from the input; shape (candidates,)."""
    u: FloatArray | None
    v: FloatArray | None
    """Their entries of U and of V; None where there are no hidden units."""
    products: FloatArray
    """What may be summed: V·U, or the edges themselves."""
    ticket: Choice
    """What is kept."""
    exact: Choice | None
    """What an exact solver keeps; None where a recorded mask has more candidates than can be."""
    greedy: Choice
    predicted: float | None
    """The median error that theory predicts of the closest sum; None for other objectives."""

    @property
    def num_subsets(self) -> int:
        """How many subsets there are to choose from."""
        return 1 << len(self.units)

    def stated(self) -> dict[str, Any]:
        """Return what is printed of it."""
        candidates = []
        for k, unit in enumerate(self.units.tolist()):
            row: dict[str, Any] = {"edge" if self.u is None else "unit": unit}
            if self.u is not None and self.v is not None:
                row |= {"u": float(self.u[k]), "v": float(self.v[k])}
            row |= {"product": float(self.products[k]), "kept": bool(self.ticket.mask[k])}
            row["exact"] = None if self.exact is None else bool(self.exact.mask[k])
            candidates.append(row | {"greedy": bool(self.greedy.mask[k])})
        return {
            "sign": self.sign,
            "candidates": candidates,
            "subsets": self.num_subsets,
            "ticket": self.ticket.stated(),
            "exact": None if self.exact is None else self.exact.stated(),
            "greedy": self.greedy.stated(),
            "predicted_median_error": self.predicted,
        }


@dataclass(frozen=True, eq=False)
class WeightExplained:
    """One weight of a target and how it is rebuilt; `explain_weight` makes one.

    Attributes
    ----------
    facts
        Of its layer and of the random network, as JSON takes them.
    output, input
        Which weight of the layer it is.
    name
        What the input is called: its number, or "bias".
    target
        The weight.
    halves
        For each sign of the input that is served: `units`, `u`, `v` and `products` of shape
        (candidates,), and what the `ticket`, an `exact` solver and `greedy` keep.
    """

    facts: dict[str, Any]
    output: int
    input: int
    name: str
    target: float
    halves: tuple[WeightHalf, ...]

    def stated(self) -> dict[str, Any]:
        """Return everything as one JSON object."""
        given = "bias" if self.name == "bias" else self.input
        return self.facts | {
            "output": self.output,
            "input": given,
            "weight": self.target,
            "halves": [half.stated() for half in self.halves],
        }


def explain_weight(
    reduction: Reduction,
    layer: int | str = 0,
    output: int | str = 0,
    input: int | str = 0,
    *,
    answers: Answers | None = None,
) -> WeightExplained:
    """Show how one weight of the target is a sum of random numbers that are kept.

    Parameters
    ----------
    reduction
        What `milp_lth.reduce` returned.
    layer
        The layer's place, from 0, or its name.
    output, input
        Which weight of it, from 0; the input may be "bias".
    answers
        Where masks come from; None: they are solved for.

    Returns
    -------
    WeightExplained
        For each sign of the input that is served: the candidates, and the subsets that the ticket,
        an exact solver and greedy keep.

    Raises
    ------
    ValueError
        When there is no such layer, output or input.

    Examples
    --------
    >>> import torch
    >>> from milp_lth import Source, explain_weight, reduce
    >>> reduction = reduce(torch.nn.Linear(3, 2), Source(width=16))
    >>> weight = explain_weight(reduction, output=1, input="bias")
    >>> [(half.sign, len(half.units), half.ticket.status) for half in weight.halves]
    [(1, 8, 'OPTIMAL')]
    """
    place = find_layer(reduction, layer)
    layout = reduction.layers[place]
    j, i = find_output(layout, output), find_input(layout, input)
    answers = answers or Solved(reduction)
    ranges = []
    for p, part in enumerate(reduction.parts):
        served = part.half.num_inputs
        if part.layer is layout and i < served:
            ranges.append((p, j * served + i, j * served + i + 1))
    halves = []
    for answered in answers.rows(ranges):
        part = reduction.parts[answered.place]
        halves.append(_half(part, i, answered, exactly=not answers.recorded))
    return WeightExplained(
        facts=layer_facts(reduction, place),
        output=j,
        input=i,
        name=input_name(layout, i),
        target=float(layout.weight[j, i]),
        halves=tuple(halves),
    )


def _half(part: Part, i: int, answered: Answered, *, exactly: bool) -> WeightHalf:
    """Explain one half; `exactly`: what was answered is the best that can be had."""
    whole = answered.instance(part)
    places = np.flatnonzero(part.half.units[i] >= 0)
    row = SubsetSum(whole.coefficients[:, places], whole.targets, whole.objective)
    units, u, v = part.half.units[i, places], None, None
    drawn = part.layer.drawn
    if isinstance(drawn, TwoMatrices):
        j = answered.start // part.half.num_inputs
        u, v = drawn.u()[units], drawn.v(j, j + 1)[0, units]
    else:
        units = places
    ticket = _choice(row, answered.mask[:, places], int(answered.status[0]))
    exact: Choice | None = ticket
    if not exactly:
        exact = _solved(row, "mitm") if get_solver("mitm").supports(row) else None
    predicted = None
    if isinstance(row.objective, Closest):
        found = float(median_error(row)[0])
        predicted = found if math.isfinite(found) else None
    return WeightHalf(
        sign=part.half.sign,
        units=units,
        u=u,
        v=v,
        products=row.coefficients[0],
        ticket=ticket,
        exact=exact,
        greedy=_solved(row, "greedy"),
        predicted=predicted,
    )


def _solved(row: SubsetSum, solver: str) -> Choice:
    solution = solve(row, solver)
    return _choice(row, solution.mask, int(solution.status[0]))


def _choice(row: SubsetSum, mask: BoolArray, status: int) -> Choice:
    return Choice(
        mask=mask[0],
        sum=math.fsum(row.coefficients[0][mask[0]]),
        error=float(row.judge(mask).error[0]),
        status=Status(status).name,
    )
