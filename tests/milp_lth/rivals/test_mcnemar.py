"""Paired comparisons, against known values, other implementations, and simulation."""

import numpy as np
import pytest
from scipy import stats

from milp_lth.rivals.mcnemar import discordant, exact_p, paired_difference


def answers(both: int, one: int, other: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    """Build the answers of two classifiers with these four counts, shape (1, inputs)."""
    first = [True] * (both + one) + [False] * (other + neither)
    second = [True] * both + [False] * one + [True] * other + [False] * neither
    return np.array([first]), np.array([second])


@pytest.mark.parametrize(
    ("one", "other"), [(0, 0), (1, 0), (3, 3), (1, 5), (10, 25), (121, 59), (700, 650)]
)
def test_the_exact_test_is_scipys(one: int, other: int) -> None:
    wanted = stats.binomtest(one, one + other).pvalue if one + other else 1.0
    assert exact_p(one, other) == pytest.approx(wanted, rel=1e-9)
    assert exact_p(other, one) == exact_p(one, other)


def test_inputs_that_one_alone_gets_right_are_counted() -> None:
    one, other = answers(4, 3, 2, 1)
    assert discordant(one, other) == (3, 2)


def test_one_seed_gives_the_interval_of_agresti_and_min() -> None:
    """Their example, the prime minister's ratings: 794, 150, 86, 570 of 1600."""
    found = paired_difference(*answers(794, 150, 86, 570))
    n, b, c = 1602, 150.5, 86.5
    width = 1.959964 * np.sqrt(b + c - (b - c) ** 2 / n) / n
    assert found.difference == pytest.approx(64 / 1600)
    assert (found.low, found.high) == pytest.approx(((b - c) / n - width, (b - c) / n + width))
    assert (round(found.low, 3), round(found.high, 3)) == (0.021, 0.059)


def test_the_interval_turns_over_with_the_classifiers() -> None:
    rng = np.random.default_rng(1)
    one, other = rng.random((5, 200)) < 0.9, rng.random((5, 200)) < 0.8
    there, back = paired_difference(one, other), paired_difference(other, one)
    assert (there.difference, there.low, there.high) == pytest.approx(
        (-back.difference, -back.high, -back.low)
    )


def test_networks_that_agree_are_not_equal_for_certain() -> None:
    same = np.ones((5, 540), bool)
    found = paired_difference(same, same)
    assert found.difference == 0
    assert -0.01 < found.low < 0 < found.high < 0.01


def test_seeds_that_differ_widen_the_interval() -> None:
    """The same share of right answers overall, in one case spread evenly over the seeds."""
    other = np.ones((4, 100), bool)
    even, uneven = other.copy(), other.copy()
    even[:, :20] = False
    uneven[0, :80] = False
    narrow, wide = paired_difference(even, other), paired_difference(uneven, other)
    assert narrow.difference == wide.difference == -0.2
    assert narrow.high < 0 < wide.high


@pytest.mark.parametrize("deviation", [0.0, 0.1, 0.4])
def test_95_percent_of_the_intervals_hold_the_difference(deviation: float) -> None:
    """Inputs of unequal difficulty, seeds of unequal luck, drawn again and again."""
    rng = np.random.default_rng(7)
    num_seeds, num_inputs, better = 5, 300, 0.2

    def drawn(size: int, seeds: int) -> tuple[np.ndarray, np.ndarray]:
        difficulty, taste = rng.normal(size=size), rng.normal(size=size) / 2
        luck = deviation * rng.normal(size=(2, seeds, 1))
        chance = rng.normal(size=(2, seeds, size))
        one = chance[0] < 1.5 + difficulty + taste + better + luck[0]
        return one, chance[1] < 1.5 + difficulty + luck[1]

    def accuracy(shift: float, *variances: float) -> float:
        return float(stats.norm.cdf((1.5 + shift) / np.sqrt(2 + deviation**2 + sum(variances))))

    true = accuracy(better, 0.25) - accuracy(0.0)
    found = [paired_difference(*drawn(num_inputs, num_seeds)) for _ in range(600)]
    covered = np.mean([one.low <= true <= one.high for one in found])
    assert 0.925 < covered <= 0.995


def test_answers_of_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="same seeds and inputs"):
        paired_difference(np.ones((2, 3), bool), np.ones((2, 4), bool))
    with pytest.raises(ValueError, match="same seeds and inputs"):
        paired_difference(np.ones((2, 0), bool), np.ones((2, 0), bool))
