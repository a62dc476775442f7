"""What is worth knowing of a layer and of the random network before any of its weights."""

from typing import Any

from milp_lth.reduction import Reduction


def layer_facts(reduction: Reduction, place: int) -> dict[str, Any]:
    """Return what a layer of the target is, and what it is rebuilt from, as JSON takes it.

    Raises
    ------
    ValueError
        When its weights are more than sums of what is kept.
    """
    layout, source = reduction.layers[place], reduction.source
    if not source.registered.plain_sums:
        raise ValueError(
            f"explain shows weights as sums of what is kept, and in the {source.construction} "
            "construction they are more than that: take another one"
        )
    drawn = layout.drawn
    # without a ReLU signs do not matter
    assignment = reduction.assignment if drawn.form.activated else "block"
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
            "assignment": assignment if "input_of" in drawn.arrays() else None,
            "scale": getattr(drawn, "scale", None),
        },
        "objective": _objective(reduction),
    }


def _objective(reduction: Reduction) -> dict[str, Any]:
    asked = reduction.objective
    size = getattr(asked, "size", None)
    return {"name": asked.name, "tolerance": asked.tolerance, "size": size}
