"""Closed forms for the sums of random subsets: how densely they lie, how close the best one comes.

Given the candidates, the sums of their subsets lie like a normal density around a middle, and the
distance from a target to the nearest one is close to exponential (Mertens 2001; Borgs, Chayes and
Pittel 2001 for partitions). The middle is random itself, and as far from 0 as the sums are wide:
of all draws together distances are a mixture of exponentials, whose tail is a power.
"""

import math
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from instances.arrays import FloatArray

_PLACES = np.linspace(-10.0, 10.0, 1001)  # of the middle, in its standard deviations
_WEIGHTS = np.exp(-(_PLACES**2) / 2) / np.exp(-(_PLACES**2) / 2).sum()

_MOMENTS = {
    "uniform": (0.0, 1 / 3),
    "products": (0.0, 1 / 9),
    "normal": (0.0, 1.0),
    "hyperbolic": (0.0, (1 - 2.0**-16) / (2 * math.log(2.0**8))),
    "signed-constant": (0.0, 1 / 3),
    "binary": (0.0, 1.0),
}


def moments(distribution: str) -> tuple[float, float]:
    """Return the mean of a candidate, and the mean of its square.

    Parameters
    ----------
    distribution
        A name of `instances.distributions.DISTRIBUTIONS`; or "products", of U[0, 1] and U[−1, 1],
        which is what one half of the two-layer construction offers.

    Raises
    ------
    ValueError
        When there is none of that name.
    """
    if distribution in _MOMENTS:
        return _MOMENTS[distribution]
    quantised = re.fullmatch(r"quantised-([1-9]|1[0-9]|2[0-3])", distribution)
    if quantised is None:
        names = ", ".join(_MOMENTS)
        raise ValueError(
            f"unknown distribution {distribution!r}: choose one of {names}, quantised-K, "
            "K a whole number from 1 to 23"
        )
    unit = 2.0 ** -int(quantised[1])
    return -unit / 2, 1 / 3 + unit**2 / 6


@dataclass(frozen=True)
class RandomSums:
    r"""The sums of the subsets of n candidates, before these are drawn.

    .. code-block:: text

        density at z         f(z) = N(z; center, inner + outer)
        distance, expected   1 / (2 · subsets · f(z))        median ln 2 times that
        distance D           P(D > x) = E exp(−2 · subsets · x · N(z; M, inner)),
                             M ~ N(center, outer)

    The second line is the usual heuristic: as if the candidates of every row had the same middle.
    The third one averages over the middle M, and tells the tail as well.

    Parameters
    ----------
    num_candidates
        n, at least 1.
    mean, second_moment
        Of a candidate.
    size
        Only subsets of so many are meant, 1 to n − 1; None: of any number.

    Raises
    ------
    ValueError
        When a number is out of range.

    Examples
    --------
    >>> round(float(RandomSums.of("uniform", 16).median_distance(0.3)), 7)
    2.2e-05
    """

    num_candidates: int
    mean: float
    second_moment: float
    size: int | None = None

    def __post_init__(self) -> None:
        if self.num_candidates < 1:
            raise ValueError(f"{self.num_candidates} candidates: give at least one")
        if not self._variance > 0:
            raise ValueError(
                f"mean {self.mean}, mean square {self.second_moment}: give a square above the "
                "mean's, or all candidates are one number"
            )
        if self.size is not None and not 0 < self.size < self.num_candidates:
            raise ValueError(
                f"size {self.size} of {self.num_candidates}: give 1 to {self.num_candidates - 1}"
            )

    @classmethod
    def of(cls, distribution: str, num_candidates: int, *, size: int | None = None) -> "RandomSums":
        """Return the law for a distribution that `moments` knows."""
        return cls(num_candidates, *moments(distribution), size)

    @property
    def num_subsets(self) -> float:
        """How many there are."""
        if self.size is None:
            return 2.0**self.num_candidates
        return float(math.comb(self.num_candidates, self.size))

    @property
    def center(self) -> float:
        """The mean of a sum."""
        kept = self.num_candidates / 2 if self.size is None else self.size
        return kept * self.mean

    @property
    def inner(self) -> float:
        """The variance of the sums of one draw around their middle, expected."""
        n, k = self.num_candidates, self.size
        if k is None:
            return n * self.second_moment / 4
        return k * (1 - k / n) * self._variance

    @property
    def outer(self) -> float:
        """The variance of that middle from draw to draw."""
        n, k = self.num_candidates, self.size
        return self._variance * (n / 4 if k is None else k * k / n)

    @property
    def tail_exponent(self) -> float:
        """How fast large distances become rare: P(D > x) falls like x to minus this, but for logs.

        1 for subsets of any number of candidates around 0, so that the mean says nothing;
        (n − k) / k for those of k.
        """
        return self.inner / self.outer

    @property
    def _variance(self) -> float:
        return self.second_moment - self.mean**2

    def density(self, targets: ArrayLike) -> FloatArray:
        """Return the probability density of a sum at `targets`, of any shape."""
        return _normal(np.asarray(targets, float) - self.center, self.inner + self.outer)

    def expected_distance(self, targets: ArrayLike) -> FloatArray:
        """Return the distance from `targets` to the nearest sum that the density alone suggests.

        The median follows it, with a factor ln 2; the mean of what is drawn is many times larger.
        """
        return np.asarray(1 / (2 * self.num_subsets * self.density(targets)))

    def median_distance(self, targets: ArrayLike) -> FloatArray:
        """Return ln 2 times `expected_distance`: for U[−1, 1] it is ln 2 √(πn/3) 2⁻⁽ⁿ⁺¹⁾ e^(3z²/n).

        `milp_lth.theory.median_error.median_error` knows the candidates, and is closer.
        """
        return math.log(2) * self.expected_distance(targets)

    def survival(self, distance: ArrayLike, targets: ArrayLike) -> FloatArray:
        """Return how probable it is that the nearest sum is farther away than `distance`.

        Parameters
        ----------
        distance
            Of any shape.
        targets
            One, or several that are equally likely.

        Returns
        -------
        FloatArray
            Shaped like `distance`.
        """
        x, rate = np.asarray(distance, float), self._rates(targets)
        left = [(np.exp(-rate * one) @ _WEIGHTS).mean() for one in x.ravel()]
        return np.reshape(np.array(left), x.shape)

    def quantile(self, level: float, targets: ArrayLike) -> float:
        """Return the distance that the nearest sum keeps within with probability `level`.

        Parameters
        ----------
        level
            Between 0 and 1.
        targets
            As for `survival`.

        Raises
        ------
        ValueError
            When the level is out of range.
        """
        from scipy.optimize import brentq

        if not 0 < level < 1:
            raise ValueError(f"level {level}: give a number between 0 and 1")
        unit = float(np.mean(self.median_distance(targets)))

        def above(octave: float) -> float:
            return float(self.survival(unit * 2.0**octave, targets)) - (1 - level)

        return float(unit * 2.0 ** brentq(above, -60.0, 200.0, xtol=1e-9))

    def expected_count(self, tolerance: float, targets: ArrayLike) -> FloatArray:
        """Return how many sums are within `tolerance`: 2ⁿ⁺¹ ε f(z) where the tolerance is small."""
        from scipy.special import ndtr

        z = np.asarray(targets, float) - self.center
        deviation = math.sqrt(self.inner + self.outer)
        share = ndtr((z + tolerance) / deviation) - ndtr((z - tolerance) / deviation)
        return np.asarray(self.num_subsets * share)

    def count_variance(self, tolerance: float, targets: ArrayLike) -> FloatArray:
        """Return the variance of the number of sums within a small `tolerance`.

        That of a Poisson distribution whose mean is random, since the middle is: the mean m plus
        (2/√3 − 1) m² around 0, where subsets are of any size.
        """
        z = np.asarray(targets, float) - self.center
        count = self.expected_count(tolerance, targets)
        square = _normal(z, self.outer + self.inner / 2) / math.sqrt(4 * math.pi * self.inner)
        return np.asarray(count + count**2 * (square / self.density(targets) ** 2 - 1))

    def count_distribution(self, tolerance: float, targets: ArrayLike, most: int) -> FloatArray:
        """Return how probable 0 to `most` sums within a small `tolerance` are.

        Parameters
        ----------
        tolerance, most
            See above.
        targets
            As for `survival`, of which the first entry is the value.
        """
        from scipy.stats import poisson

        counts = self._rates(targets)[..., None] * tolerance
        shares = poisson.pmf(np.arange(most + 1), counts)
        return np.asarray(np.einsum("zmk,m->k", shares, _WEIGHTS) / len(shares))

    def _rates(self, targets: ArrayLike) -> FloatArray:
        """Return sums by unit of distance around each target, for each place of the middle."""
        z = np.atleast_1d(np.asarray(targets, float))[:, None] - self.center
        places = math.sqrt(self.outer) * _PLACES
        return np.asarray(2 * self.num_subsets * _normal(z - places, self.inner))


def critical_kappa(num_candidates: ArrayLike) -> FloatArray:
    """Return 1 − log₂n / 2n, around which log₂(1/ε)/n decides whether a sum within ε exists.

    The window, of width 1/n, of the phase transition of number partitioning: Borgs, Chayes and
    Pittel, "Phase transition and finite-size scaling for the integer partitioning problem", 2001.
    """
    n = np.asarray(num_candidates, float)
    return np.asarray(1 - np.log2(n) / (2 * n))


def product_share(targets: ArrayLike, tolerance: float) -> FloatArray:
    """Return how probable it is that one product of U[0, 1] and U[−1, 1] is within `tolerance`.

    Its density is ``−ln|z| / 2``: what one half of a nearest product (Malach et al. 2020) has to
    wait for.
    """
    z = np.asarray(targets, float)
    return _product_distribution(z + tolerance) - _product_distribution(z - tolerance)


def least_candidates(tolerance: float, target_range: float, share: float = 0.5) -> float:
    """Return how many candidates a share of all targets needs at least, not rounded.

    Each of 2ⁿ sums serves targets on a length of 2ε, and those in [−r, r] fill 2r: the counting
    argument of theorem 2 of Pensia et al. 2020, for one weight. A matrix of d² weights has d² times
    as many parameters and a cube to fill, so that the number for each of them is the same.
    """
    if not (tolerance > 0 and target_range > 0 and 0 < share <= 1):
        raise ValueError(
            f"tolerance {tolerance}, range {target_range}, share {share}: give positive numbers, "
            "the share up to 1"
        )
    return max(0.0, math.log2(share * target_range / tolerance))


def _normal(x: FloatArray, variance: float) -> FloatArray:
    return np.asarray(np.exp(-(x**2) / (2 * variance)) / math.sqrt(2 * math.pi * variance))


def _product_distribution(x: FloatArray) -> FloatArray:
    size = np.clip(np.abs(x), 1e-300, 1.0)
    return np.asarray(0.5 + np.sign(x) * size * (1 - np.log(size)) / 2)
