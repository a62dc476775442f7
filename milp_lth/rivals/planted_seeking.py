"""How close methods come to a planted ticket: all search in one way, and are measured in one.

Fischer and Burkholz ("Plant 'n' Seek", ICLR 2022, arXiv 2111.11153) concluded that what limits the
sparsity of tickets is likely how they are searched for, and not what is there. An exact solver says
so with a proof: it finds the planted ticket, and that there is no smaller one.
"""

import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from instances.arbitrary_source import ArbitrarySource
from instances.arrays import BoolArray
from instances.instance import Instance
from milp_lth.rivals.edge_popup import checked_density, edge_popup, first_scores, top_mask
from milp_lth.rivals.found import Found
from milp_lth.rivals.masked import masked_layers
from milp_lth.rivals.planted import Planted, how_close, plant, pruned
from milp_lth.rivals.planted_program import SparsestTicket
from solvers.heuristic.devices import single_thread
from solvers.registry import get_solver
from solvers.solution import Solution, Status
from solvers.solve import judged

METHODS = ("program", "flips", "edge-popup", "magnitude", "random")

WIDTHS = {"relu": 32, "circle": 32, "helix": 64}
"""The problems, and how wide their networks of two layers are where nothing is asked."""

TOLERANCE = 1e-3
"""How far outputs may be from the planted ticket's, as a share of the largest of them."""

_STEPS = 1000
_WALKS, _FLIP_SAMPLES = 16, 100


def seek(
    planted: Planted,
    method: str,
    *,
    density: float | None = None,
    seed: int = 0,
    scale: float = 1.0,
    time_limit: float = 120.0,
) -> Found:
    """Search the planted network for a ticket, by its training examples alone.

    Parameters
    ----------
    planted
        Its masks are not looked at; how many edges they keep is.
    method
        - ``program``: the fewest edges within `TOLERANCE` on samples of the outputs, by SCIP, see
          `milp_lth.rivals.planted_program.SparsestTicket`; networks of two layers.
        - ``flips``: tabu search for the least mean error on samples of the outputs, with no more
          edges than asked for.
        - ``edge-popup``: with classes, `milp_lth.rivals.edge_popup.edge_popup`. That trains for
          cross-entropy; without classes it is `solvers.heuristic.popup`, which trains for squared
          errors, in full batches, from four starts, and gives the best mask it ever saw.
        - ``magnitude``, ``random``: the largest weights of every layer, or any; no training.
    density
        Share of edges to keep; None: that of the planted ticket. ``program`` takes none.
    seed
        Of the search.
    scale
        Epochs or steps of training, as a share of the published ones, or of 1000 steps.
    time_limit
        Seconds for ``program`` and ``flips``.

    Returns
    -------
    Found
        With ``program``, ``extra`` has its ``bound``, proved: no ticket within the tolerance on the
        samples keeps fewer edges; and ``optimal``, 1 where the ticket keeps no more.

    Raises
    ------
    ValueError
        When the method is unknown or does not take the network, or a number is out of range.
    """
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}: choose one of {', '.join(METHODS)}")
    if not scale > 0:
        raise ValueError(f"scale {scale}: give a positive number")
    share = checked_density(planted.density if density is None else density)
    if method == "edge-popup" and planted.train.classes is not None:
        return edge_popup(planted.network, planted.task(), density=share, seed=seed, scale=scale)
    began = time.perf_counter()
    extra: dict[str, float] = {}
    examples = 0
    with single_thread():
        if method == "program":
            masks, extra = _by_program(planted, time_limit)
        elif method == "flips":
            masks = _by_flips(planted, share, seed, time_limit)
        elif method == "edge-popup":
            steps = max(1, round(_STEPS * scale))
            masks = _by_popup(planted, share, seed, steps)
            examples = steps * len(planted.train.x)
        else:
            masks = _largest(planted, share, seed, by_chance=method == "random")
    seconds = time.perf_counter() - began
    training = "masks" if examples else "nothing"
    return Found(pruned(planted, masks), masks, training, examples, 0.0, seconds, extra=extra)


def planted_row(
    problem: str,
    seed: int,
    method: str,
    *,
    density: float | None = None,
    width: int | None = None,
    scale: float = 1.0,
    time_limit: float = 120.0,
) -> dict[str, Any]:
    """Plant a problem under a seed, search it with a method, and tell how close it got.

    Parameters
    ----------
    problem, seed
        What is planted, see `milp_lth.rivals.planted.plant`.
    method, density, scale, time_limit
        As for `seek`.
    width
        Of the network; None: that of `WIDTHS`.

    Returns
    -------
    dict
        What `how_close` returns, with ``problem, seed, method, density`` (asked for; that of the
        ticket with ``program``), ``bound`` (None but with ``program``) and ``seconds``.

    Raises
    ------
    ValueError
        When a name is unknown or a number out of range.
    """
    planted = plant(problem, width=WIDTHS.get(problem, 0) if width is None else width, seed=seed)
    found = seek(planted, method, density=density, seed=seed, scale=scale, time_limit=time_limit)
    asked = planted.density if density is None else density
    return {
        "problem": problem,
        "seed": seed,
        "method": method,
        "density": found.kept / found.source_dense if method == "program" else asked,
        **how_close(planted, found.masks),
        "bound": found.extra.get("bound"),
        "seconds": found.search_seconds,
    }


def _by_program(
    planted: Planted, time_limit: float
) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    """Solve for the fewest edges, on about as many samples as there are variants of all units."""
    width, num_inputs = next(iter(planted.masks.values())).shape
    source = _source(planted, width * (2**num_inputs - 1))
    tolerance = TOLERANCE * float(np.abs(source.outputs).max())
    program = SparsestTicket(replace(source, norm="inf", tolerance=tolerance))
    solution = _solved(program, "scip", time_limit)
    optimal = solution.status[0] == Status.OPTIMAL
    extra = {"bound": float(solution.bound[0]), "optimal": float(optimal)}
    return _by_name(planted, solution.mask[0]), extra


def _by_flips(
    planted: Planted, density: float, seed: int, time_limit: float
) -> dict[str, torch.Tensor]:
    budget = round(density * planted.source_dense)
    source = replace(_source(planted, _FLIP_SAMPLES), budget=budget)
    return _by_name(planted, _solved(source, "flips", time_limit, seed=seed, walks=_WALKS).mask[0])


def _by_popup(planted: Planted, density: float, seed: int, steps: int) -> dict[str, torch.Tensor]:
    source = _source(planted, len(planted.train.x))
    # the solver has a threshold for scores, too, which keeps any share: not more than is asked for
    source = replace(source, budget=round(density * planted.source_dense))
    settings = {"shares": (density,), "steps": steps, "seed": seed}
    return _by_name(planted, _solved(source, "popup", float("inf"), **settings).mask[0])


def _largest(
    planted: Planted, density: float, seed: int, *, by_chance: bool
) -> dict[str, torch.Tensor]:
    masks = {}
    for index, (name, layer) in enumerate(masked_layers(planted.network)):
        order = first_scores(layer, index, seed) if by_chance else layer.weight.detach().abs()
        masks[f"{name}.weight"] = top_mask(order, round(density * order.numel()))
    return masks


def _source(planted: Planted, num_samples: int) -> ArbitrarySource:
    weights = [layer.weight.detach().double() for _, layer in masked_layers(planted.network)]
    x, outputs = (part[:num_samples].double().numpy() for part in planted.train[:2])
    return ArbitrarySource(tuple(w[None].numpy() for w in weights), x, outputs, norm="1")


def _solved(instance: Instance, name: str, time_limit: float, **parameters: Any) -> Solution:
    """Solve in this process: workers know the problem classes of files alone."""
    began = time.perf_counter()
    proposal = get_solver(name, **parameters).propose(instance, time_limit)
    return judged(instance, proposal, name, time.perf_counter() - began)


def _by_name(planted: Planted, mask: BoolArray) -> dict[str, torch.Tensor]:
    """Give every layer its part of a mask of all edges."""
    masks, start = {}, 0
    for name, shaped in planted.masks.items():
        part = mask[start : start + shaped.numel()]
        masks[name] = torch.tensor(part).view_as(shaped)
        start += shaped.numel()
    return masks
