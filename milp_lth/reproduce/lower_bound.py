"""Below how many candidates no mask helps: the counting bound beside what random draws reach.

Theorem 2 of Pensia et al. 2020 counts: a random network of N parameters has 2^N subnetworks, each
serves targets in a ball of radius ε, and these balls must fill the space of targets. For one weight
that is 2ⁿ · 2ε of the targets' range. Here the share of the range that is really covered is
computed exactly, as a union of intervals, and for matrices as a product of such shares; and the
candidates needed for a random target, and for all targets at once, are measured. The default takes
about a minute on two cores.

Pensia, Rajput, Nagle, Vishwakarma, Papailiopoulos, "Optimal Lottery Tickets via SubsetSum:
Logarithmic Over-Parameterization is Sufficient", NeurIPS 2020, arXiv 2006.07990.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from instances.arrays import FloatArray
from milp_lth.reproduce.coverage import (
    ERRORS,
    UNIT,
    covered_lengths,
    draw_candidates,
    in_units,
    length_bound,
    sums_near,
    twice_farthest,
)
from milp_lth.reproduce.lower_bound_findings import NAME, findings
from milp_lth.reproduce.random_sums import TOLERANCES, Cell, measured, seed_of
from milp_lth.reproduce.theory_page import write_findings
from milp_lth.reproduce.timed_runs import TimedRuns
from milp_lth.theory.laws import least_candidates

DISTRIBUTIONS = ("uniform", "products")
TARGET_RANGE = 0.5
MOST_COVERED = 18
"""Candidates of which all sums are listed."""

MOST_SOLVED = 30
"""Candidates up to which random targets are solved."""

MATRICES = {2: 12, 3: 10}
"""Sizes d of matrices, and for how many candidates they are covered at most."""

OnProgress = Callable[[int, int], None]
"""Called with the parts that are measured, and how many there will be."""


class Part(NamedTuple):
    """What is measured together."""

    kind: str
    """``covered``, ``matrix`` or ``solved``."""
    distribution: str
    num_candidates: int
    size: int = 1

    @property
    def name(self) -> str:
        """What it is recorded under."""
        return f"{self.kind} {self.distribution} n {self.num_candidates} d {self.size}"


class LowerBound:
    """The experiment in one folder; what is there already is not done again.

    Parameters
    ----------
    folder
        Where measurements go.
    seed
        Determines every draw.
    trials
        Draws of candidates whose coverage is computed; a hundred times as many targets are solved.
    most_covered, most_solved
        The most candidates of either.

    Raises
    ------
    ValueError
        When a number is out of range, or the folder holds something else.
    """

    def __init__(
        self,
        folder: Path,
        *,
        seed: int = 0,
        trials: int = 200,
        most_covered: int = MOST_COVERED,
        most_solved: int = MOST_SOLVED,
    ) -> None:
        if trials < 2:
            raise ValueError(f"--trials {trials}: give at least 2")
        if not 0 <= seed < 2**32:
            raise ValueError(f"--seed {seed}: give a whole number from 0 to {2**32 - 1}")
        self.seed, self.trials = seed, trials
        self.most_covered, self.most_solved = most_covered, most_solved
        self.runs = TimedRuns(folder, {"experiment": NAME, "seed": seed, "trials": trials})

    def parts(self) -> list[Part]:
        """Return what is measured, in order."""
        parts = []
        for name in DISTRIBUTIONS:
            parts += [Part("covered", name, n) for n in range(1, self.most_covered + 1)]
            parts += [Part("solved", name, n) for n in range(1, self.most_solved + 1)]
        for size, most in MATRICES.items():
            most = min(most, self.most_covered)
            parts += [Part("matrix", "products", n, size) for n in range(1, most + 1)]
        return parts

    def measure(self, on_progress: OnProgress = lambda done, total: None) -> None:
        """Measure what is not measured yet."""
        parts = self.parts()
        with self.runs.alone():
            for done, part in enumerate(parts):
                if part.name not in self.runs:
                    self.runs.put(part.name, self._measured(part))
                on_progress(done + 1, len(parts))

    def _measured(self, part: Part) -> dict[str, Any]:
        n = part.num_candidates
        if part.kind == "solved":
            cell = Cell(part.distribution, n, TARGET_RANGE)
            return measured(cell, 100 * self.trials, seed_of(self.seed, "solved"))
        rng = np.random.default_rng(seed_of(self.seed, part.name))
        if part.kind == "matrix":
            shares = np.array([_matrix_share(part.size, n, rng) for _ in range(self.trials)])
            return {"mean": shares.mean(axis=0).tolist(), "most": shares.max(axis=0).tolist()}
        reach = in_units(TARGET_RANGE)
        bound = np.array([length_bound(2**n, in_units(e), reach) for e in ERRORS])
        lengths, farthest = [], []
        for _ in range(self.trials):
            candidates = draw_candidates(part.distribution, (n,), rng)
            sums = sums_near(candidates, reach)
            lengths.append(covered_lengths(sums, ERRORS, reach))
            farthest.append(twice_farthest(sums, reach))
        length = np.array(lengths)
        return {
            "mean": (length.mean(axis=0) / (2 * reach)).tolist(),
            "most": (length.max(axis=0) / (2 * reach)).tolist(),
            "bound": (bound / (2 * reach)).tolist(),
            "above_bound": int((length > bound).sum()),
            "at_bound": int((length == bound).sum()),
            "farthest": (np.array(farthest) * (UNIT / 2)).tolist(),
        }

    def found(self, part: Part) -> dict[str, Any]:
        """Return what was measured of a part."""
        found: dict[str, Any] = self.runs.get(part.name)
        return found

    def of(self, kind: str, distribution: str, size: int = 1) -> list[Part]:
        """Return the parts of a kind, by their number of candidates."""
        return [p for p in self.parts() if (p.kind, p.distribution, p.size) == (
            kind, distribution, size)]  # fmt: skip

    def rows(self) -> list[dict[str, Any]]:
        """Return, for every error, the counting bound and what is measured beside it.

        Returns
        -------
        list of dict
            `bound`: candidates without which less than half of the targets can be served, and
            `excluded`, the most candidates below it; `needed`, by law of candidates: where half of
            all random targets are met, and `law`, where closed forms say so; `every`: where half of
            the draws serve all targets at once; `matrix`, by size: where half of all random
            matrices are met; `below`: the share of targets met with the candidates that the bound
            excludes. None: beyond what is measured.
        """
        rows = []
        for tolerance in ERRORS:
            bound = least_candidates(float(tolerance), TARGET_RANGE)
            n = int(np.ceil(bound)) - 1
            none = float(tolerance) / TARGET_RANGE  # what the empty subset serves
            row: dict[str, Any] = {
                "tolerance": float(tolerance), "bound": bound, "excluded": n,
                "needed": {}, "law": {}, "every": {}, "matrix": {}, "below": {},
            }  # fmt: skip
            for name in DISTRIBUTIONS:
                solved = [self.success(part, tolerance) for part in self.of("solved", name)]
                row["needed"][name] = crossing(solved, none)
                row["law"][name] = crossing(_law(name, self.most_solved, tolerance), none)
                row["below"][name] = solved[n - 1] if 1 <= n <= len(solved) else None
                far = [self.found(part)["farthest"] for part in self.of("covered", name)]
                every = [float(np.mean(np.array(one) <= tolerance)) for one in far]
                row["every"][name] = crossing(every, 0.0)
            place = int(np.argmin(np.abs(ERRORS - tolerance)))
            for size in MATRICES:
                shares = [self.found(p)["mean"][place] for p in self.of("matrix", "products", size)]
                row["matrix"][f"{size}x{size}"] = crossing(shares, none ** (size * size))
            rows.append(row)
        return rows

    def success(self, part: Part, tolerance: float) -> float:
        """Return the share of random targets that are met within one of `ERRORS`."""
        found, place = self.found(part), int(np.argmin(np.abs(TOLERANCES - tolerance)))
        return float(found["within"][place] / found["trials"])

    def above_bound(self) -> tuple[int, int]:
        """Return how many of the covered lengths exceed the bound, and how many there are."""
        parts = [part for part in self.parts() if part.kind == "covered"]
        above = sum(self.found(part)["above_bound"] for part in parts)
        return above, len(parts) * len(ERRORS) * self.trials

    def write(self) -> Path:
        """Write page, table and pictures into the folder; return the page's path."""
        return write_findings(findings(self, self.rows()), self.runs.folder, self.seed)


def crossing(shares: list[float], none: float) -> float | None:
    """Return where shares, of 0 candidates, 1, 2, … of them, come to one half.

    Between two numbers of candidates the line is straight; None where one half is not reached.
    """
    before = none
    for n, share in enumerate(shares):
        if before >= 0.5:
            return float(n)
        if share >= 0.5:
            return float(n + (0.5 - before) / (share - before))
        before = share
    return None


@cache
def _law(distribution: str, most: int, tolerance: float) -> list[float]:
    """Return how probable closed forms make it that 1, 2, … candidates suffice."""
    cells = [Cell(distribution, n, TARGET_RANGE) for n in range(1, most + 1)]
    return [1 - float(cell.law.survival(tolerance, cell.targets)) for cell in cells]


def _matrix_share(size: int, num_candidates: int, rng: np.random.Generator) -> FloatArray:
    """Draw one layer and return the share of all matrices that some mask comes near to.

    The outputs share the first factors of their products, as hidden units are shared; given these,
    every weight has its own subset, and the shares multiply.
    """
    reach, shape = in_units(TARGET_RANGE), (size, size, num_candidates)
    most = round(UNIT**-0.5)
    u = rng.integers(0, most, (1, size, num_candidates))
    products = (u * rng.integers(-most, most, shape)).reshape(-1, num_candidates)
    lengths = [covered_lengths(sums_near(one, reach), ERRORS, reach) for one in products]
    return np.asarray(np.prod(np.array(lengths) / (2 * reach), axis=0))
