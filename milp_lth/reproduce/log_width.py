"""How wide a random network must be for all weights of a target: the logarithm of the theorem.

Theorem 1 of Pensia et al. 2020 promises a width of C · d · log(d l / ε) for targets of l layers of
width d, and leaves C open. Here layers are drawn and solved as `milp_lth.reproduce.needed_width`
does: the width of a network, in units for each input, is that of its neediest layer, with an error
of ε / (2 l d²) allowed for each weight, as in the proof. Measured is the width at which half of the
networks suffice; all of their subset sums are solved exactly, and nothing else decides. The default
takes about two minutes on two cores.

Pensia, Rajput, Nagle, Vishwakarma, Papailiopoulos, "Optimal Lottery Tickets via SubsetSum:
Logarithmic Over-Parameterization is Sufficient", NeurIPS 2020; Malach, Yehudai, Shalev-Shwartz and
Shamir, "Proving the Lottery Ticket Hypothesis: Pruning is All You Need", ICML 2020.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from instances.arrays import FloatArray, IntArray
from milp_lth.reproduce.log_width_findings import NAME, findings
from milp_lth.reproduce.needed_width import MOST_UNITS, needed_picks, needed_widths, random_targets
from milp_lth.reproduce.random_sums import seed_of
from milp_lth.reproduce.theory_page import write_findings
from milp_lth.reproduce.timed_runs import TimedRuns
from milp_lth.theory.laws import product_share

SIZES = (2, 4, 8, 16, 32, 64)
DEPTHS = (1, 2, 4)
SUMS: FloatArray = 2.0 ** -np.arange(2.0, 23.0)
"""Errors allowed for a weight, where subsets stand for it."""

PICKS: FloatArray = 2.0 ** -np.arange(2.0, 14.0)
"""The same where single products do; these widths are up to 10⁵."""

MOST_PICKED = 16
"""The largest size for which products are picked."""

_LARGE = 64  # the size from which on there are layers for one depth alone
_WEIGHTS = 8192  # in layers that are drawn together
_BOOTSTRAPS = 300
_LARGEST_ERROR = 0.5  # ε of a network

OnProgress = Callable[[int, int], None]
"""Called with the parts that are measured, and how many there will be."""


class Part(NamedTuple):
    """Layers that are drawn and solved together."""

    kind: str
    """``sums`` or ``picks``."""
    size: int
    number: int
    num_layers: int

    @property
    def name(self) -> str:
        """What it is recorded under."""
        return f"{self.kind} d {self.size} part {self.number}"


class LogWidth:
    """The experiment in one folder; what is there already is not done again.

    Parameters
    ----------
    folder
        Where measurements go.
    seed
        Determines every draw.
    trials
        Networks of the deepest kind; of shallower ones there are more.
    sizes
        Widths d of the target.

    Raises
    ------
    ValueError
        When a number is out of range, or the folder holds something else.
    """

    def __init__(
        self, folder: Path, *, seed: int = 0, trials: int = 100, sizes: tuple[int, ...] = SIZES
    ) -> None:
        if trials < 8:
            raise ValueError(f"--trials {trials}: give at least 8, or there are no medians")
        if not 0 <= seed < 2**32:
            raise ValueError(f"--seed {seed}: give a whole number from 0 to {2**32 - 1}")
        self.seed, self.trials, self.sizes = seed, trials, sizes
        self.runs = TimedRuns(folder, {"experiment": NAME, "seed": seed, "trials": trials})

    def parts(self) -> list[Part]:
        """Return what is drawn, in order."""
        parts = []
        for size in self.sizes:
            total = self.trials * (1 if size >= _LARGE else max(DEPTHS))
            each = max(1, _WEIGHTS // size**2)
            for k, first in enumerate(range(0, total, each)):
                parts.append(Part("sums", size, k, min(each, total - first)))
            if size <= MOST_PICKED:
                parts.append(Part("picks", size, 0, self.trials))
        return parts

    def measure(self, on_progress: OnProgress = lambda done, total: None) -> None:
        """Draw and solve what is not there yet."""
        parts = self.parts()
        weights = [part.num_layers * part.size**2 for part in parts]
        with self.runs.alone():
            for k, part in enumerate(parts):
                if part.name not in self.runs:
                    self.runs.put(part.name, self._measured(part).tolist())
                on_progress(sum(weights[: k + 1]), sum(weights))

    def _measured(self, part: Part) -> IntArray:
        rng = np.random.default_rng(seed_of(self.seed, part.kind, part.size, part.number))
        if part.kind == "sums":
            return needed_widths(part.size, part.num_layers, SUMS, rng)
        drawn = [needed_picks(part.size, PICKS, rng) for _ in range(part.num_layers)]
        return np.array(drawn)

    def layers(self, kind: str, size: int) -> IntArray:
        """Return the least width of every layer for every error, shape (layers, errors)."""
        found = [self.runs.get(p.name) for p in self.parts() if p[:2] == (kind, size)]
        return np.concatenate([np.array(one) for one in found])

    def rows(self) -> list[dict[str, Any]]:
        """Return the width at which half of the networks contain their target.

        Returns
        -------
        list of dict
            For every kind, `size`, `depth` and `epsilon`: `width`, with its 95 % interval from
            `low` to `high`, `networks`, and `again`: widths of the networks drawn again.
        """
        return [
            row
            for kind in ("sums", "picks")
            for size in self.sizes
            if kind == "sums" or size <= MOST_PICKED
            for depth in (DEPTHS if kind == "sums" and size < _LARGE else DEPTHS[:1])
            for row in self._curve(kind, size, depth)
        ]

    def _curve(self, kind: str, size: int, depth: int) -> list[dict[str, Any]]:
        layers = self.layers(kind, size)
        networks = _networks(layers, depth)
        again = self._resampled(layers, depth, kind, size)
        low, high = np.quantile(again, [0.025, 0.975], axis=0)
        rows = []
        for t, width in enumerate(half_width(networks)):
            tolerance = float((SUMS if kind == "sums" else PICKS)[t])
            epsilon = tolerance * 2 * depth * size**2
            if epsilon > _LARGEST_ERROR:
                continue
            rows.append(
                {
                    "kind": kind,
                    "size": size,
                    "depth": depth,
                    "epsilon": epsilon,
                    "tolerance": tolerance,
                    "ratio": depth * size / epsilon,
                    "width": float(width),
                    "low": float(low[t]),
                    "high": float(high[t]),
                    "networks": len(networks),
                    "unmet": int((networks[:, t] > MOST_UNITS).sum()) if kind == "sums" else 0,
                    "law": law_of_picks(size, tolerance) if kind == "picks" else None,
                    "again": again[:, t],
                }
            )
        return rows

    def _resampled(self, layers: IntArray, depth: int, kind: str, size: int) -> FloatArray:
        """Draw the layers again from themselves; the same draws for every depth and error."""
        rng = np.random.default_rng(seed_of(self.seed, "bootstrap", kind, size))
        places = rng.integers(len(layers), size=(_BOOTSTRAPS, len(layers)))
        return np.array([half_width(_networks(layers[place], depth)) for place in places])

    def write(self) -> Path:
        """Write page, table and pictures into the folder; return the page's path."""
        return write_findings(findings(self.rows()), self.runs.folder, self.seed)


def half_width(needed: IntArray) -> FloatArray:
    """Return where the share of networks that suffice crosses one half, between whole widths.

    Parameters
    ----------
    needed
        Shape (networks, …): the least width of each.
    """
    middle = np.sort(needed, axis=0)[(len(needed) - 1) // 2]
    below, upto = (needed < middle).mean(axis=0), (needed <= middle).mean(axis=0)
    return np.asarray(middle - 1 + (0.5 - below) / (upto - below))


def law_of_picks(size: int, tolerance: float) -> float:
    """Return the width at which half of all layers find a product near each weight, by theory.

    As if no two weights shared a hidden unit.
    """
    from scipy.optimize import brentq

    rng = np.random.default_rng(0)
    targets = random_targets(rng, (max(1, 4096 // size**2), size, size)).ravel()
    missed = 1 - product_share(targets, tolerance) / 2  # a unit is in one of two halves

    def share(octave: float) -> float:
        both = (1 - missed**2.0**octave) ** 2
        return float(both.mean() ** (size * size)) - 0.5

    return float(2.0 ** brentq(share, 0.0, 60.0))


def _networks(layers: IntArray, depth: int) -> IntArray:
    num = len(layers) // depth
    return np.asarray(layers[: num * depth].reshape(num, depth, -1).max(axis=1))
