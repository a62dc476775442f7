"""Layers pruned for what they do to data: one after the other, each on what the pruned ones give.

The inputs of a layer are the calibration inputs as the pruned layers before it pass them on; what
its neurons are to give is what the target's give. The weights that would come closest to that are
found by least squares, starting from the target's own; the masks then approximate those.
"""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch

from instances.arrays import BoolArray, FloatArray
from instances.neurons import Neurons
from milp_lth.coupled import DataAware
from milp_lth.networks.row import build_modules
from milp_lth.reduction import Part, Reduction
from solvers.registry import get_solver
from solvers.select import Auto, on_device
from solvers.solution import Solution
from solvers.solve import solve
from solvers.solver import Solver

IN_A_ROW = (
    "data-aware takes targets of Linear, ReLU, Flatten and Dropout in a row: choose another "
    "objective for this one"
)


class SolvedLayer(NamedTuple):
    """One layer, its neurons solved together."""

    place: int
    """Which layer it is, from 0."""
    masks: list[BoolArray]
    """One for each of the layer's parts, shape (rows, n)."""
    solution: Solution
    calibration_error: float
    """Root mean square of what its outputs on the calibration inputs are off the target's."""


def solve_layers(
    reduction: Reduction,
    asked: DataAware,
    inputs: torch.Tensor,
    solver: Solver | None = None,
    *,
    time_limit: float = math.inf,
) -> Iterator[SolvedLayer]:
    """Solve the layers in order.

    Parameters
    ----------
    reduction
        The target's weights and their candidates.
    asked
        Norm, ridge and budgets.
    inputs
        Calibration inputs, as the target takes them.
    solver
        One that takes `instances.neurons.Neurons`; None or `solvers.select.Auto`: coordinate
        descent where it does, else large-neighbourhood search.
    time_limit
        Seconds for all layers together.

    Raises
    ------
    ValueError
        When the inputs do not fit, or the solver takes no such neurons.
    """
    if not reduction.network.steps:
        raise ValueError(IN_A_ROW)
    if len(inputs) == 0:
        raise ValueError("no calibration inputs: give at least one")
    if not bool(torch.isfinite(inputs).all()):
        raise ValueError("calibration inputs must be finite: remove NaN and infinity")
    budgets = asked.budgets(len(reduction.layers))
    deadline = time.monotonic() + time_limit
    target = list(reduction.network.module().double().children())
    wanted = given = inputs.double()
    index = 0
    for step, linear in zip(reduction.network.steps, target, strict=True):
        if step != "linear":
            wanted, given = linear(wanted), linear(given)
            continue
        wanted = linear(wanted)
        parts = [p for p in reduction.parts if p.layer is reduction.layers[index]]
        rows = _rows(parts, given.numpy())
        instance = replace(
            _neurons(parts, rows, wanted.numpy(), asked, refit=index > 0), budget=budgets[index]
        )
        seconds = max(deadline - time.monotonic(), 1e-3)
        solution = solve(instance, _solver_for(instance, solver), time_limit=seconds)
        reached = rows @ instance.kept_sums(solution.mask).T
        off = float(np.sqrt(np.mean((reached - wanted.numpy()) ** 2)))
        yield SolvedLayer(index, _split(parts, solution.mask), solution, off)
        given = torch.from_numpy(reached)
        index += 1


def _solver_for(instance: Neurons, asked: Solver | None) -> Solver:
    if asked is not None and not isinstance(asked, Auto):
        return asked
    descent = get_solver("coordinate-descent")
    chosen = descent if descent.supports(instance) else get_solver("lns")
    return chosen if asked is None else on_device(chosen, asked.device)


def output_errors(
    reduction: Reduction, masks: Sequence[BoolArray], inputs: torch.Tensor
) -> list[float]:
    """Return the root mean square error of every layer's outputs, the pruned ones before it.

    `masks` are those of all parts, as `milp_lth.assembly.assemble` takes them.
    """
    found = []
    wanted = given = inputs.double()
    index = 0
    modules = build_modules(reduction.network.steps, list(_linears(reduction)))
    for step, module in zip(reduction.network.steps, modules, strict=True):
        if step != "linear":
            wanted, given = module(wanted), module(given)
            continue
        wanted = module(wanted)
        pairs = [
            (part, mask) for part, mask in zip(reduction.parts, masks, strict=True)
            if part.layer is reduction.layers[index]
        ]  # fmt: skip
        parts = [part for part, _ in pairs]
        sums = [
            np.where(mask, part.instance().coefficients, 0.0).sum(axis=1).reshape(
                part.layer.drawn.num_outputs, part.half.num_inputs
            )
            for part, mask in pairs
        ]  # fmt: skip
        given = torch.from_numpy(_rows(parts, given.numpy()) @ np.concatenate(sums, axis=1).T)
        found.append(float((given - wanted).square().mean().sqrt()))
        index += 1
    return found


def _linears(reduction: Reduction) -> Iterator[torch.nn.Module]:
    for module in reduction.network.module().double().children():
        if isinstance(module, torch.nn.Linear):
            yield module


def _rows(parts: list[Part], given: FloatArray) -> FloatArray:
    """Return what the candidates' sums are multiplied by, shape (samples, inputs of all parts)."""
    return np.concatenate([_half_rows(part, given) for part in parts], axis=1)


def _half_rows(part: Part, given: FloatArray) -> FloatArray:
    drawn, sign = part.layer.drawn, part.half.sign
    rows = given
    if sign:
        rows = np.maximum(given, 0.0) if sign > 0 else np.minimum(given, 0.0)
    if drawn.has_bias and part.half.num_inputs > given.shape[1]:
        rows = np.concatenate([rows, np.ones((len(given), 1))], axis=1)
    return rows


def _neurons(
    parts: list[Part], rows: FloatArray, wanted: FloatArray, asked: DataAware, *, refit: bool
) -> Neurons:
    outputs = parts[0].layer.drawn.num_outputs
    widest = max(part.shape[1] for part in parts)
    candidates, usable, targets = [], [], []
    for part in parts:
        instance = part.instance()
        shape = (outputs, part.half.num_inputs, part.shape[1])
        available = instance.available
        free = np.ones(shape, np.bool_) if available is None else available.reshape(shape)
        padding = ((0, 0), (0, 0), (0, widest - shape[2]))
        candidates.append(np.pad(instance.coefficients.reshape(shape), padding))
        usable.append(np.pad(free, padding))
        targets.append(instance.targets.reshape(shape[:2]))
    weights = np.concatenate(targets, axis=1)
    scaled = rows / math.sqrt(len(rows))
    ridge = asked.ridge * math.sqrt(float(np.mean(rows**2)))
    if refit:
        weights = weights + _correction(scaled, wanted / math.sqrt(len(rows)), weights, ridge)
    if asked.norm == 2 and len(scaled) > scaled.shape[1]:
        scaled = _shorter(scaled)
    return Neurons(
        scaled,
        np.concatenate(candidates, axis=1),
        weights,
        asked.norm,
        ridge,
        available=np.concatenate(usable, axis=1),
    )


def _correction(
    rows: FloatArray, wanted: FloatArray, weights: FloatArray, ridge: float
) -> FloatArray:
    """Return what to add to `weights` so that rows · weightsᵀ comes closest to `wanted`.

    The ridge keeps it small where the rows say little.
    """
    gram = rows.T @ rows + ridge**2 * np.eye(rows.shape[1])
    missing = rows.T @ (wanted - rows @ weights.T)
    return np.asarray(np.linalg.lstsq(gram, missing, rcond=1e-12)[0].T)


def _shorter(rows: FloatArray) -> FloatArray:
    """Return as many rows as columns, on which every norm 2 is the same up to rounding."""
    values, vectors = np.linalg.eigh(rows.T @ rows)
    return np.asarray(np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T)


def _split(parts: list[Part], mask: BoolArray) -> list[BoolArray]:
    """Cut the neurons' masks into those of the parts."""
    inputs = [part.half.num_inputs for part in parts]
    outputs = len(mask)
    whole = mask.reshape(outputs, sum(inputs), -1)
    ends = np.cumsum([0, *inputs])
    return [
        np.ascontiguousarray(whole[:, ends[k] : ends[k + 1], : part.shape[1]].reshape(part.shape))
        for k, part in enumerate(parts)
    ]
