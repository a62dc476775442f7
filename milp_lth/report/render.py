"""From a run's records to its page: everything inline, readable without network.

The page is a function of the records alone, so the same run gives the same bytes.
"""

from typing import Any

import numpy as np

from instances.distributions import Distribution
from instances.objectives import Closest
from milp_lth.constructions.registry import theorem
from milp_lth.edges import count_matrices
from milp_lth.ledger import Ledger
from milp_lth.recorded_masks import RecordedMasks
from milp_lth.report.candidates import NUM_SAMPLED, errors_by_candidates
from milp_lth.report.gadget import gadget
from milp_lth.report.page import embedded, page
from milp_lth.report.plots import (
    accuracy_by_width,
    count_errors,
    coupled_beside_independent,
    edges_per_layer,
    error_by_candidates,
    error_histogram,
    gadget_drawing,
    seconds_by_phase,
)
from milp_lth.run import Run
from milp_lth.sharded_ticket import ShardedTicket
from milp_lth.streaming import Spool, median
from milp_lth.theory.median_error import median_error
from milp_lth.ticket import Ticket

_NUM_BLOCKS = 10


def render(run: Run, ledger: Ledger, ticket: Ticket | ShardedTicket) -> str:
    """Return the page about a run and its ticket as HTML text."""
    figures = ledger.figures(shown=True)
    predicted = _predicted(run, ledger)
    counts_of_errors = count_errors(chunk.error for chunk in ledger.chunks())
    counts, quartiles, medians = errors_by_candidates(run.reduction)
    plots = {
        "errors": error_histogram(
            counts_of_errors,
            figures["weights"]["median_error"],
            predicted,
            run.settings.tolerance,
        ),
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
        notes=_notes(run, figures),
        figures=figures,
        environment=run.stated["environment"],
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
        "network": run.network.body.described(),
        "weights": f"{sum(layer.weight.size for layer in run.reduction.layers):,}",
        "data": f"{run.data.name}, {run.data.split}, {len(run.data.x):,} inputs",
        "inputs in": f"[{run.data.input_range[0]:g}, {run.data.input_range[1]:g}]",
        "construction": settings.construction,
        "distribution": run.reduction.source.distribution,
        **run.reduction.source.numbers(),
        "width": ", ".join(str(layer.drawn.width) for layer in run.reduction.layers),
        "assignment": run.reduction.assignment,
        "objective": settings.objective,
        "solver": settings.solver,
        "seed": settings.seed,
    }
    if settings.tolerance is not None:
        asked["tolerance"] = f"{settings.tolerance:g}"
    if settings.target_bits is not None:
        asked["bits of the target"] = settings.target_bits
    if settings.size is not None:
        asked["size"] = settings.size
    for name in ("budget", "error_limit", "measure", "per", "calibration", "norm", "ridge"):
        if getattr(settings, name) is not None:
            asked[name.replace("_", " ")] = getattr(settings, name)
    if settings.time_limit is not None:
        asked["time limit"] = f"{settings.time_limit:g} s"
    return asked


def _notes(run: Run, figures: dict[str, Any]) -> list[str]:
    """Say in sentences what the construction is, and where it is no network drawn beforehand."""
    source = run.reduction.source
    proved = theorem(source.construction)
    notes = [
        f"{source.construction}: {proved.paper}. It assumes: {proved.assumes}. "
        f"Width {proved.width}, depth {proved.depth}. It promises: {proved.promises}."
    ]
    if "redrawn" in figures:
        notes.append(
            f"The candidates of {figures['redrawn']['rows']:,} weights were drawn again, "
            f"{figures['redrawn']['draws']:,} draws in all, since no subset of the first ones was "
            "within the tolerance. So this is no network that was drawn beforehand: it depends on "
            "the target."
        )
    if source.perturbation is not None:
        notes.append(
            "Kept weights of the second matrix moved, each by at most "
            f"{source.perturbation:g} times the scale: they are no longer those drawn."
        )
    return notes


def _predicted(run: Run, ledger: Ledger) -> float | None:
    """Return the median that theory predicts for the errors, where it says anything."""
    source = Distribution(run.reduction.source.distribution)
    moving = run.reduction.source.perturbation is not None
    if not isinstance(run.reduction.objective, Closest) or source.coarse or moving:
        return None
    with Spool() as medians:
        for chunk in ledger.chunks():
            instance = run.reduction.parts[chunk.part].instance(chunk.start, chunk.stop)
            medians.add(median_error(instance))
        return median(lambda: medians)


def _edges(run: Run, ticket: Ticket | ShardedTicket) -> tuple[list[str], list[int], list[int]]:
    """Count kept and pruned edges of U and V of every layer."""
    counts = count_matrices(ticket)
    names = [f"layer {run.network.layers[one.layer].name}, {one.matrix}" for one in counts]
    return names, [one.kept for one in counts], [one.edges - one.kept for one in counts]


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
    served = part.half.num_inputs
    largest, row = -1.0, 0
    for output in range(part.layer.drawn.num_outputs):
        sizes = np.abs(part.layer.targets(part.half, output, output + 1))
        if sizes.max() > largest:
            largest, row = float(sizes.max()), output * served + int(sizes.argmax())
    mask = RecordedMasks(run.reduction, ledger).rows(0, row, row + 1)[0]
    return gadget(part, row, mask)
