"""One layer: how well its weights are rebuilt, and which of its neurons are rebuilt worst."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from instances.arrays import BoolArray, FloatArray, IntArray
from instances.objectives import Closest
from milp_lth.constructions.layout import Layout
from milp_lth.constructions.two_matrices import TwoMatrices
from milp_lth.explain.answers import Answered, Answers, Solved
from milp_lth.explain.facts import layer_facts
from milp_lth.explain.place import BIAS, find_layer, input_name
from milp_lth.reduction import Part, Reduction
from milp_lth.streaming import Spool, median
from milp_lth.theory.median_error import median_error
from solvers.solution import Status

OnRows = Callable[[int, int, float], None]
"""Called with the weights answered, the weights in all, and the worst error so far."""


class Neuron(NamedTuple):
    """What is worth knowing of one neuron of a layer."""

    output: int
    max_error: float
    input: int
    """Where its largest error is."""
    sign: int
    kept: int


@dataclass(frozen=True, eq=False)
class LayerExplained:
    """One layer of a target and how its weights are rebuilt; `explain_layer` makes one.

    Attributes
    ----------
    facts
        Of the layer and of the random network, as JSON takes them.
    names
        What its inputs are called: their numbers, and "bias" for the last where there is one.
    num_weights
        Weights of the target, biases included.
    max_error, median_error
        Over all weights and halves.
    predicted
        The median error that theory predicts of closest sums; None for other objectives.
    status
        How many problems have each status.
    usable
        By sign, 1, −1 or 0 for both: how many candidates each input has, shape (inputs,).
    kept_u, num_u
        Hidden units: those that any output keeps, and all. 0 where there are none.
    kept_v, num_v
        Entries of V, or edges: those that are kept, and all.
    neurons
        All of them, those with the largest errors first.
    """

    facts: dict[str, Any]
    names: tuple[str, ...]
    num_weights: int
    max_error: float
    median_error: float
    predicted: float | None
    status: dict[str, int]
    usable: dict[int, IntArray]
    kept_u: int
    num_u: int
    kept_v: int
    num_v: int
    neurons: tuple[Neuron, ...]

    def stated(self) -> dict[str, Any]:
        """Return everything as one JSON object."""
        within = self.status["OPTIMAL"] + self.status["FEASIBLE"]
        return self.facts | {
            "num_weights": self.num_weights,
            "errors": {
                "max": self.max_error,
                "median": self.median_error,
                "predicted_median": self.predicted,
            },
            "status": self.status,
            "within_tolerance": within,
            "out_of_tolerance": sum(self.status.values()) - within,
            "candidates_per_input": [
                {"sign": sign, "candidates": counts.tolist()}
                for sign, counts in self.usable.items()
            ],
            "edges": {
                "kept_u": self.kept_u,
                "units": self.num_u,
                "kept_v": self.kept_v,
                "source_v": self.num_v,
                "per_weight": (self.kept_u + self.kept_v) / self.num_weights,
            },
            "neurons": [
                one._asdict() | {"input": BIAS if self.names[one.input] == BIAS else one.input}
                for one in self.neurons
            ],
        }


def explain_layer(
    reduction: Reduction,
    layer: int | str = 0,
    *,
    answers: Answers | None = None,
    on_rows: OnRows | None = None,
) -> LayerExplained:
    """Show how well the weights of one layer of the target are rebuilt.

    Parameters
    ----------
    reduction
        What `milp_lth.reduce` returned.
    layer
        The layer's place, from 0, or its name.
    answers
        Where masks come from; None: they are solved for.
    on_rows
        Told of the progress.

    Returns
    -------
    LayerExplained
        Errors, statuses, kept edges, candidates by input, and the neurons by their largest error.

    Raises
    ------
    ValueError
        When there is no such layer.

    Examples
    --------
    >>> import torch
    >>> from milp_lth import Source, explain_layer, reduce
    >>> reduction = reduce(torch.nn.Linear(3, 2), Source(width=16), input_range=(0, 1))
    >>> layer = explain_layer(reduction)
    >>> layer.num_weights, layer.status["OPTIMAL"]
    (8, 8)
    """
    place = find_layer(reduction, layer)
    layout = reduction.layers[place]
    parts = {p: part for p, part in enumerate(reduction.parts) if part.layer is layout}
    total = sum(map(len, parts.values()))
    with Spool() as errors, Spool() as predicted:
        seen = _Seen(layout)
        for answered in (answers or Solved(reduction)).rows(
            [(p, 0, len(part)) for p, part in parts.items()]
        ):
            part = parts[answered.place]
            instance = answered.instance(part)
            found = instance.judge(answered.mask).error
            errors.add(found)
            if isinstance(reduction.objective, Closest):
                predicted.add(median_error(instance))
            seen.add(part, answered, found)
            if on_rows is not None:
                on_rows(seen.num_rows, total, errors.max())
        prediction = None
        if isinstance(reduction.objective, Closest):
            middle = median(lambda: predicted)
            prediction = middle if np.isfinite(middle) else None
        return LayerExplained(
            facts=layer_facts(reduction, place),
            names=tuple(input_name(layout, i) for i in range(layout.drawn.num_inputs)),
            num_weights=layout.drawn.num_weights,
            max_error=errors.max(),
            median_error=median(lambda: errors),
            predicted=prediction,
            status={status.name: int(seen.status[status]) for status in Status},
            usable={part.half.sign: (part.half.units >= 0).sum(axis=1) for part in parts.values()},
            kept_u=int(seen.units.sum()),
            num_u=len(seen.units),
            kept_v=int(seen.kept.sum()),
            num_v=layout.drawn.mask_shape[0] * layout.drawn.mask_shape[1],
            neurons=seen.neurons(),
        )


class _Seen:
    """What rows that come one after the other add up to."""

    def __init__(self, layout: Layout) -> None:
        drawn = layout.drawn
        self.num_rows = 0
        self.status: IntArray = np.zeros(len(Status), np.int64)
        num_units = drawn.num_units if isinstance(drawn, TwoMatrices) else 0
        self.units: BoolArray = np.zeros(num_units, np.bool_)
        self.kept: IntArray = np.zeros(drawn.num_outputs, np.int64)
        self._worst: FloatArray = np.full(drawn.num_outputs, -1.0)
        self._where: IntArray = np.zeros((drawn.num_outputs, 2), np.int64)

    def add(self, part: Part, answered: Answered, errors: FloatArray) -> None:
        half, mask = part.half, answered.mask
        rows = np.arange(answered.start, answered.start + len(mask))
        outputs, inputs = np.divmod(rows, half.num_inputs)
        self.num_rows += len(rows)
        self.status += np.bincount(answered.status, minlength=len(Status))
        self.kept += np.bincount(outputs, mask.sum(axis=1), len(self.kept)).astype(np.int64)
        if len(self.units):
            units = half.units[inputs]
            self.units[units[mask & (units >= 0)]] = True
        # of every output the first row with the largest error
        order = np.lexsort((rows, -errors, outputs))
        firsts = order[np.unique(outputs[order], return_index=True)[1]]
        better = firsts[errors[firsts] > self._worst[outputs[firsts]]]
        self._worst[outputs[better]] = errors[better]
        self._where[outputs[better]] = np.column_stack(
            [inputs[better], np.full(len(better), half.sign)]
        )

    def neurons(self) -> tuple[Neuron, ...]:
        order = np.argsort(-self._worst, kind="stable")
        return tuple(
            Neuron(int(j), float(self._worst[j]), int(i), int(sign), int(self.kept[j]))
            for j, (i, sign) in zip(order, self._where[order], strict=True)
        )
