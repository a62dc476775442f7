"""The source network: random, over-parameterized, untrained, and determined by a few numbers."""

from dataclasses import dataclass
from operator import index

import numpy as np

from instances.arrays import FloatArray, IntArray
from instances.philox import UNIT_FACTOR, Stream, uniform

FIRST, SECOND = 0, 1
"""The two matrices of a layer: U (units × inputs) and V (outputs × units)."""

CONSTRUCTIONS = ("two-layer", "direct", "direct-shared")

CANDIDATES_PER_HALF = 24
"""What a layer gets where no width is asked for."""


@dataclass(frozen=True)
class Source:
    """What the source network is drawn from.

    Parameters
    ----------
    seed
        Determines every weight, on every machine; from 0 to 2³² − 1.
    width
        Hidden units drawn per input of a target layer, or edges per weight where there are none:
        one number, one per layer, or None for 24, twice that where two halves are needed.
    construction
        "two-layer", "direct" or "direct-shared": the modules of `milp_lth.constructions`.
    distribution
        So far "uniform".

    Raises
    ------
    ValueError
        When a number is out of range or a name is unknown.
    """

    seed: int = 0
    width: int | tuple[int, ...] | None = None
    construction: str = "two-layer"
    distribution: str = "uniform"

    def __post_init__(self) -> None:
        if self.width is not None:
            several = isinstance(self.width, tuple)
            widths = self.width if isinstance(self.width, tuple) else (self.width,)
            whole = tuple(index(w) for w in widths)
            object.__setattr__(self, "width", whole if several else whole[0])
        object.__setattr__(self, "seed", index(self.seed))
        Stream(self.seed).key()
        if self.construction not in CONSTRUCTIONS:
            known = ", ".join(CONSTRUCTIONS)
            raise ValueError(f"unknown construction {self.construction!r}: choose one of {known}")
        if self.distribution != "uniform":
            raise ValueError(f"unknown distribution {self.distribution!r}: choose uniform")
        widths = self.width if isinstance(self.width, tuple) else (self.width or 1,)
        if self.width == 0 or len(widths) == 0 or min(widths) < 1:
            raise ValueError(f"width {self.width}: every input needs at least one hidden unit")

    def layer_width(self, layer: int, num_layers: int, *, nonnegative: bool) -> int:
        """Return the width of one layer of a target with `num_layers` layers.

        Raises
        ------
        ValueError
            When the widths given are not as many as the layers.
        """
        if self.width is None:
            one_half = nonnegative or self.construction != "two-layer"
            return CANDIDATES_PER_HALF if one_half else 2 * CANDIDATES_PER_HALF
        if isinstance(self.width, int):
            return self.width
        if len(self.width) != num_layers:
            raise ValueError(
                f"{len(self.width)} widths for {num_layers} layers: give one number, or one each"
            )
        return self.width[layer]

    def draw(
        self,
        layer: int,
        matrix: int,
        columns: int,
        row: IntArray,
        column: IntArray,
        *,
        unit: float = UNIT_FACTOR,
    ) -> FloatArray:
        """Draw entries of U (`matrix` 0) or V (1) before scaling, wherever they are.

        Parameters
        ----------
        layer
            Index of the target layer.
        matrix
            `FIRST` or `SECOND`.
        columns
            How many columns the matrix has.
        row, column
            Which entries; broadcast against each other.
        unit
            The grid: that of factors, 2⁻²³, or of raw draws, 2⁻⁴⁶.

        Returns
        -------
        FloatArray
            Multiples of `unit` in [−1, 1).
        """
        counters = np.asarray(row, np.int64) * columns + column
        return uniform(Stream(self.seed, layer, matrix), counters, unit=unit)
