"""The source network: random, over-parameterized, untrained, and determined by a few numbers."""

from dataclasses import dataclass
from operator import index

import numpy as np

from instances.arrays import FloatArray, IntArray
from instances.distributions import Distribution
from instances.philox import Stream
from milp_lth.constructions.registry import CONSTRUCTIONS, Construction

FIRST, SECOND = 0, 1
"""The two matrices of a layer: U (units × inputs) and V (outputs × units)."""

PRESENT = 2
"""What says which entries of V are there at all, or are frozen, where not all are free."""

REDRAWN = 16
"""The first of the matrices that stand for V where candidates are drawn again; one an attempt."""

MAX_REDRAWS = 255


@dataclass(frozen=True)
class Source:
    """What the source network is drawn from.

    Parameters
    ----------
    seed
        Determines every weight, on every machine; from 0 to 2³² − 1.
    width
        Hidden units drawn per input of a target layer, or edges per weight where there are none:
        one number, one per layer, or None for what suits the construction (24 for most), twice that
        where two halves are needed.
    construction
        A name of `milp_lth.constructions.registry`, such as "two-layer".
    distribution
        A name of `instances.distributions`, such as "uniform"; empty: the construction's own.
    bits
        "binary": binary places of a weight, which are the matrices that stand for them.
    density
        "pre-masked", "frozen": the share of V's entries that may be pruned or kept.
    perturbation
        "perturbed": how far a kept entry of V may move, in units of the largest that is drawn.
    redraws
        How often the candidates of a weight that no subset hits within the tolerance may be drawn
        again. Above 0 the source is no network that was drawn beforehand: it depends on the target.

    Raises
    ------
    ValueError
        When a number is out of range or a name is unknown.
    """

    seed: int = 0
    width: int | tuple[int, ...] | None = None
    construction: str = "two-layer"
    distribution: str = ""
    bits: int | None = None
    density: float | None = None
    perturbation: float | None = None
    redraws: int = 0

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
        if not self.distribution:
            object.__setattr__(self, "distribution", self.registered.distribution)
        Distribution(self.distribution)
        kind, kinds = self.distribution.split("-")[0], self.registered.distributions
        if not any(self.distribution == name or kind == name for name in kinds):
            raise ValueError(
                f"construction {self.construction} draws from {' or '.join(kinds)}, "
                f"not from {self.distribution}"
            )
        self._complete_numbers()
        widths = self.width if isinstance(self.width, tuple) else (self.width or 1,)
        if self.width == 0 or len(widths) == 0 or min(widths) < 1:
            raise ValueError(f"width {self.width}: every input needs at least one hidden unit")

    @property
    def registered(self) -> Construction:
        """What the construction's name stands for."""
        return CONSTRUCTIONS[self.construction]

    def numbers(self) -> dict[str, float]:
        """Return what belongs to the construction and its redraws, as files state it."""
        found = {name: getattr(self, name) for name in SOURCE_NUMBERS}
        return {name: value for name, value in found.items() if value}

    def _complete_numbers(self) -> None:
        """Refuse numbers of another construction, and fill in those that are not given."""
        for name, (least, most) in _RANGES.items():
            value, default = getattr(self, name), self.registered.numbers.get(name)
            if default is None and value is not None:
                takers = [c for c, entry in CONSTRUCTIONS.items() if name in entry.numbers]
                raise ValueError(f"{name} belongs to the construction {' or '.join(takers)}")
            if value is None:
                object.__setattr__(self, name, default)
            elif name == "bits":
                object.__setattr__(self, name, index(value))
            if value is not None and not least < value <= most:
                raise ValueError(f"{name} {value}: give a number above {least:g} up to {most:g}")
        object.__setattr__(self, "redraws", index(self.redraws))
        if self.redraws and not self.registered.redraws:
            takers = [name for name, entry in CONSTRUCTIONS.items() if entry.redraws]
            raise ValueError(f"redraws belong to the construction {' or '.join(takers)}")
        if not 0 <= self.redraws <= MAX_REDRAWS:
            raise ValueError(f"{self.redraws} redraws: give a number from 0 to {MAX_REDRAWS}")

    def layer_width(self, layer: int, num_layers: int, *, nonnegative: bool) -> int:
        """Return the width of one layer of a target with `num_layers` layers.

        Raises
        ------
        ValueError
            When the widths given are not as many as the layers.
        """
        if self.width is None:
            entry = self.registered
            one_half = nonnegative or not entry.has_units or (layer > 0 and entry.drawn_later)
            return entry.candidates if one_half else 2 * entry.candidates
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
        unit: float | None = None,
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
            The grid; None: that of factors, 2⁻²³ where draws are uniform.

        Returns
        -------
        FloatArray
            Multiples of `unit`.
        """
        counters = np.asarray(row, np.int64) * columns + column
        drawn = Distribution(self.distribution)
        stream = Stream(self.seed, layer, matrix)
        return drawn.draw(stream, counters, unit=drawn.factor_unit if unit is None else unit)


_RANGES = {"bits": (0, 20), "density": (0, 1), "perturbation": (0, 1)}

SOURCE_NUMBERS = (*_RANGES, "redraws")
"""The fields that belong to some constructions alone."""
