"""From a run's records to its page: everything inline, readable without network.

The page is a function of the records alone, so the same run gives the same bytes.
"""

from typing import Any

import numpy as np

from instances.objectives import Closest
from milp_lth.ledger import Ledger
from milp_lth.report.candidates import NUM_SAMPLED, errors_by_candidates
from milp_lth.report.gadget import gadget
from milp_lth.report.page import embedded, page
from milp_lth.report.plots import (
    accuracy_by_width,
    coupled_beside_independent,
    edges_per_layer,
    error_by_candidates,
    error_histogram,
    gadget_drawing,
    seconds_by_phase,
)
from milp_lth.run import Run
from milp_lth.theory.median_error import median_error
from milp_lth.ticket import Ticket

_NUM_BLOCKS = 10


def render(run: Run, ledger: Ledger, ticket: Ticket) -> str:
    """Return the page about a run and its ticket as HTML text."""
    figures = ledger.figures()
    errors, predicted = _errors(run, ledger)
    counts, quartiles, medians = errors_by_candidates(run.reduction)
    plots = {
        "errors": error_histogram(errors, predicted, run.settings.tolerance),
        "candidates": error_by_candidates(counts, quartiles, medians),
        "edges": edges_per_layer(*_edges(run, ticket)),
        "gadget": gadget_drawing(graph := _gadget(run, ledger)),
        "seconds": seconds_by_phase(_phases(figures["seconds"])),
    }
    if "beside" in figures:
        names = [layer.name for layer in run.network.layers]
        plots["beside"] = coupled_beside_independent(figures["beside"], names)
    if figures["widths"]:
        plots["widths"] = accuracy_by_width(
            [point["width"] for point in figures["widths"]],
            [point["accuracy"] for point in figures["widths"]],
            [point["agreement"] for point in figures["widths"]],
            figures["target"]["accuracy"],
        )
    return page(
        "template.html",
        asked=_asked(run),
        figures=figures,
        versions=run.stated["versions"],
        blocks=_weakest_blocks(run),
        predicted=predicted,
        num_sampled=NUM_SAMPLED,
        gadget=graph,
        gadget_sum=sum(d["product"] for _, d in graph.nodes(data=True) if d.get("kept")),
        num_kept=sum(bool(d.get("kept")) for _, d in graph.nodes(data=True)),
        plots={"widths": None} | {name: embedded(plot, name) for name, plot in plots.items()},
    )


def _phases(seconds: dict[str, float]) -> dict[str, float]:
    names = {
        "read": "reading, laying out",
        "draw": "drawing candidates, recording",
        "solve": "solving",
        "assemble": "assembling",
        "evaluate": "evaluating",
        "widths": "other widths",
    }
    return {text: seconds[name] for name, text in names.items() if name in seconds}


def _asked(run: Run) -> dict[str, Any]:
    settings = run.settings
    asked = {
        "target": settings.target,
        "network": " → ".join(run.network.steps),
        "weights": f"{sum(layer.weight.size for layer in run.reduction.layers):,}",
        "data": f"{run.data.name}, {run.data.split}, {len(run.data.x):,} inputs",
        "inputs in": f"[{run.data.input_range[0]:g}, {run.data.input_range[1]:g}]",
        "construction": settings.construction,
        "width": ", ".join(str(layer.drawn.width) for layer in run.reduction.layers),
        "assignment": run.reduction.assignment,
        "objective": settings.objective,
        "solver": settings.solver,
        "seed": settings.seed,
    }
    if settings.tolerance is not None:
        asked["tolerance"] = f"{settings.tolerance:g}"
    if settings.size is not None:
        asked["size"] = settings.size
    for name in ("budget", "error_limit", "measure", "per", "calibration", "norm", "ridge"):
        if getattr(settings, name) is not None:
            asked[name.replace("_", " ")] = getattr(settings, name)
    if settings.time_limit is not None:
        asked["time limit"] = f"{settings.time_limit:g} s"
    return asked


def _errors(run: Run, ledger: Ledger) -> tuple[Any, float | None]:
    """Return all errors, and the median that theory predicts for them where it says anything."""
    errors, medians = [], []
    for chunk in ledger.chunks():
        errors.append(chunk.error)
        if isinstance(run.reduction.objective, Closest):
            instance = run.reduction.parts[chunk.part].instance(chunk.start, chunk.stop)
            medians.append(median_error(instance))
    predicted = float(np.median(np.concatenate(medians))) if medians else None
    return np.concatenate(errors), predicted


def _edges(run: Run, ticket: Ticket) -> tuple[list[str], list[int], list[int]]:
    """Count kept and pruned edges of U and V of every layer."""
    names: list[str] = []
    kept: list[int] = []
    pruned: list[int] = []
    for k, layer in enumerate(ticket.layers):
        for matrix, mask in layer.masks().items():
            names.append(f"layer {run.network.layers[k].name}, {matrix}")
            kept.append(int(mask.sum()))
            pruned.append(mask.numel() - kept[-1])
    return names, kept, pruned


def _weakest_blocks(run: Run) -> list[dict[str, Any]]:
    """Return the inputs that the fewest units serve: where errors are largest."""
    blocks: list[dict[str, Any]] = []
    for part in run.reduction.parts:
        for i, usable in enumerate((part.half.units >= 0).sum(axis=1)):
            blocks.append({"part": part.name, "input": i, "usable": int(usable)})
    return sorted(blocks, key=lambda b: b["usable"])[:_NUM_BLOCKS]


def _gadget(run: Run, ledger: Ledger) -> Any:
    """Take the largest weight of the first part."""
    part = run.reduction.parts[0]
    row = int(np.abs(part.layer.targets(part.half)).argmax())
    chunk = next(c for c in ledger.chunks() if c.part == 0 and c.start <= row < c.stop)
    mask = chunk.mask(part.shape[1])[row - chunk.start]
    return gadget(part, row, mask)
