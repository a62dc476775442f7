"""What is worth knowing of a layer and of the random network before any of its weights."""

from typing import Any

from milp_lth.constructions.registry import CONSTRUCTIONS
from milp_lth.constructions.two_matrices import TwoMatrices
from milp_lth.reduction import Reduction


def layer_facts(reduction: Reduction, place: int) -> dict[str, Any]:
    """Return what a layer of the target is, and what it is rebuilt from, as JSON takes it."""
    layout, source = reduction.layers[place], reduction.source
    drawn = layout.drawn
    has_assignment = CONSTRUCTIONS[source.construction].has_assignment
    assignment = reduction.assignment if drawn.form.activated else "block"  # signs do not matter
    return {
        "layer": {
            "name": layout.name,
            "place": place,
            "num_layers": len(reduction.layers),
            "num_inputs": drawn.num_inputs - drawn.has_bias,
            "num_outputs": drawn.num_outputs,
            "taps": drawn.form.taps,
            "bias": drawn.has_bias,
            "nonnegative": drawn.nonnegative,
            "kind": drawn.form.kind,
        },
        "source": {
            "seed": source.seed,
            "construction": source.construction,
            "width": drawn.width,
            "assignment": assignment if has_assignment else None,
            "scale": drawn.scale if isinstance(drawn, TwoMatrices) else None,
        },
        "objective": _objective(reduction),
    }


def _objective(reduction: Reduction) -> dict[str, Any]:
    asked = reduction.objective
    size = getattr(asked, "size", None)
    return {"name": asked.name, "tolerance": asked.tolerance, "size": size}
