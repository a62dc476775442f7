"""The table from which normal draws are read; its values are part of the generator's definition.

``quantiles()[e, i]`` is |z| in units of 2⁻⁴⁶ where P(|Z| > |z|) = 2⁻⁽ᵉ⁺¹⁾·(1 + i/64): 40 octaves of
the tail, 64 segments each. The integers are stored beside this file, not computed: a mathematics
library may round differently from machine to machine. A test compares them with scipy.
"""

from functools import cache
from importlib.resources import files

import numpy as np

from instances.arrays import IntArray

NUM_SEGMENTS = 64


@cache
def quantiles() -> IntArray:
    """Return the table, shape (40, 65), read-only."""
    with files("instances").joinpath("normal.npy").open("rb") as file:
        table: IntArray = np.load(file, allow_pickle=False)
    table.flags.writeable = False
    return table
