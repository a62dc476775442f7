"""Both networks at one input, in integers: nothing is rounded."""

from fractions import Fraction
from typing import Any

import numpy as np

from instances.arrays import FloatArray
from milp_lth.certificates.affine import Pair


def outputs_at(pair: Pair, x: FloatArray) -> tuple[list[Fraction], list[Fraction]]:
    """Return the outputs of the target and of the ticket at an input of shape (num_inputs,)."""
    return _outputs(pair, x, "target"), _outputs(pair, x, "ticket")


def _outputs(pair: Pair, x: FloatArray, which: str) -> list[Fraction]:
    values, exponent = _integers(np.asarray(x, dtype=np.float64))
    if pair.by_sign:
        values = np.concatenate([np.maximum(values, 0), np.maximum(-values, 0)])
    for k, layer in enumerate(pair.layers):
        if k:
            values = np.maximum(values, 0)
        weight, of_weight = _integers(getattr(layer, which))
        bias, of_bias = _integers(getattr(layer, f"{which}_bias"))
        values, exponent = weight @ values, exponent + of_weight
        shift = of_bias - exponent
        if shift < 0:
            values, exponent = values * (1 << -shift), of_bias
        values = values + bias * (1 << max(shift, 0))
    unit = Fraction(2) ** exponent
    return [value * unit for value in values.tolist()]


def _integers(array: FloatArray) -> tuple[Any, int]:
    """Return Python integers and the exponent of two that they are to be multiplied with."""
    mantissa, exponent = np.frexp(array)
    whole = np.ldexp(mantissa, 53).astype(np.int64)
    exponent = np.where(whole == 0, 0, exponent.astype(np.int64) - 53)
    least = int(exponent[whole != 0].min(initial=0)) if whole.any() else 0
    shifts = np.where(whole == 0, 0, exponent - least).astype(object)
    return whole.astype(object) << shifts, least


def rounded_down(value: Fraction) -> float:
    """Return the largest float64 that is not above a number."""
    nearest = float(value)
    return nearest if Fraction(nearest) <= value else float(np.nextafter(nearest, -np.inf))
