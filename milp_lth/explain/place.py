"""Which layer, which neuron, which weight: by name or by number, with what there is in errors."""

from milp_lth.constructions.layout import Layout
from milp_lth.reduction import Reduction

BIAS = "bias"
"""What the constant input of a bias is called."""


def find_layer(reduction: Reduction, layer: int | str) -> int:
    """Return the place of a layer among those of the target, from 0.

    Parameters
    ----------
    reduction
        The target's.
    layer
        Its place, or its name; text that names no layer but is a number is taken for its place.

    Raises
    ------
    ValueError
        When there is none: those that there are stand in the text.
    """
    names = [layout.name for layout in reduction.layers]
    if isinstance(layer, str) and layer in names:
        return names.index(layer)
    place = _number(layer)
    if place is None or place >= len(names):
        known = ", ".join(map(repr, names))
        raise ValueError(
            f"unknown layer {layer!r}: choose one of {known}, or its place "
            f"from 0 to {len(names) - 1}"
        )
    return place


def find_output(layout: Layout, output: int | str) -> int:
    """Return which neuron of a layer is meant, from 0.

    Raises
    ------
    ValueError
        When there is none of that number: the range stands in the text.
    """
    found, last = _number(output), layout.drawn.num_outputs - 1
    if found is None or found > last:
        raise ValueError(f"output {output}: layer {layout.name!r} has outputs 0 to {last}")
    return found


def find_input(layout: Layout, input_: int | str) -> int:
    """Return which input of a layer is meant, from 0; that of the bias is the last.

    Raises
    ------
    ValueError
        When there is none of that number, or no bias: what there is stands in the text.
    """
    drawn = layout.drawn
    last = drawn.num_inputs - 1 - drawn.has_bias
    if input_ == BIAS and drawn.has_bias:
        return drawn.num_inputs - 1
    found = _number(input_)
    if found is None or found > last:
        bias = f" and {BIAS!r}" if drawn.has_bias else ", and no bias"
        raise ValueError(f"input {input_}: layer {layout.name!r} has inputs 0 to {last}{bias}")
    return found


def input_name(layout: Layout, i: int) -> str:
    """Return what input i is called: its number, or "bias"."""
    constant = layout.drawn.has_bias and i == layout.drawn.num_inputs - 1
    return BIAS if constant else str(i)


def _number(value: int | str) -> int | None:
    """Return a number ≥ 0, or None where it is none."""
    if isinstance(value, str):
        return int(value) if value.isdecimal() and value.isascii() else None
    return value if value >= 0 else None
