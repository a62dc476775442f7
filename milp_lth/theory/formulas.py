"""What theorems ask of one layer, as numbers.

Candidates are random numbers that one target weight may be summed from, counted before pruning by
structure; parameters are all weights of the random network. `constant` is what the papers leave
open. ε and δ are those of the whole network of `num_layers` layers, unless it says "of a weight".
"""

import math
from collections.abc import Callable

from milp_lth.theory.calibrated import entropy
from milp_lth.theory.laws import product_share
from milp_lth.theory.median_error import median_error_of_products

GOLDEN_BASE = 1.5
"""The base that Orseau et al. expand weights in."""


def pensia_candidates(
    inputs: int, outputs: int, num_layers: int, epsilon: float, failure: float, constant: float
) -> int:
    """Return the n of one half: C ln(4 l d_in d_out / min{ε, δ}); a block has 2n units.

    Pensia et al. 2020, theorem 1: corollary 2 at the accuracy and the failure of one weight, as
    Natale et al. 2024 and Otsuka et al. 2025 write it out.
    """
    weights = 4 * num_layers * inputs * outputs
    return _whole(constant * math.log(weights / min(epsilon, failure)))


def pensia_parameters(inputs: int, outputs: int, epsilon: float) -> float:
    """Return d_in d_out log₂(1/2ε) − 1, which no network has fewer of.

    Pensia et al. 2020, theorem 2: at least half of the (1/2ε)^(d_in d_out) linear maps of a
    2ε-packing of the unit ball have a subnetwork within ε each, no two the same, and there are
    2^parameters subnetworks. Every two-layer network that holds each of these maps with probability
    1/2 is that large.
    """
    return max(0.0, inputs * outputs * math.log2(1 / (2 * epsilon)) - 1)


def malach_picks(accuracy: float, largest: float, failure: float) -> int:
    """Return how many draws one of which is, with U > 0, a product within `accuracy` of a weight.

    Malach et al. 2020 keep one product a weight. A product of U[0, 1] and U[−1, 1] is within η of
    w with probability p, about ``−η ln|w|``; half of the draws have U > 0, so n with
    (1 − p/2)ⁿ ≤ δ. `accuracy` and `failure` are of a weight, `largest` is the largest magnitude.
    """
    share = float(product_share(largest, accuracy))
    if accuracy < largest / 100:  # the difference of two distributions would lose digits
        ends = (largest - accuracy, min(largest, 1.0), min(largest + accuracy, 1.0))
        near, middle, far = (-math.log(end) / 2 for end in ends)
        share = (ends[2] - ends[0]) * (near + 4 * middle + far) / 6
    return _whole(math.log(failure) / math.log1p(-share / 2))


def malach_factor(inputs: int, outputs: int, num_layers: int, epsilon: float) -> float:
    """Return (l d_in d_out / ε)², the factor d⁴l²/ε² that is quoted, its constant taken as 1."""
    return (num_layers * inputs * outputs / epsilon) ** 2


def orseau_units(inputs: int, outputs: int, accuracy: float, failure: float) -> int:
    """Return how many hidden units a layer needs if each may serve any one weight.

    Orseau et al. 2020 expand every weight in K = log_γ(1/η) digits, γ = 3/2, and draw the numbers
    of all weights at once. A draw serves one of K buckets, each as likely, one of two signs, and
    one of two halves; by Chernoff's bound all buckets hold a number for each of N weights, but for
    a probability δ, once a bucket expects N + L + √(L² + 2NL) of them, L = ln(4K/δ).
    """
    weights, buckets = inputs * outputs, 4 * _whole(-math.log(accuracy) / math.log(GOLDEN_BASE))
    slack = math.log(buckets / failure)
    return _whole(buckets * (weights + slack + math.sqrt(slack**2 + 2 * weights * slack)))


def natale_candidates(
    inputs: int, outputs: int, num_layers: int, epsilon: float, share: float, constant: float
) -> int:
    """Return the least n ≥ c_amp log₂²(2 l d_in d_out γ n / ε) / H₂(γ); a block has 2n units.

    Natale et al. 2024, theorem 3; `share` is its γ′, and k = γ′n candidates are kept.
    """
    weights = 2 * num_layers * inputs * outputs * share / epsilon
    return _fixed_point(lambda n: constant * max(0.0, math.log2(weights * n)) ** 2 / entropy(share))


def natale_half(accuracy: float, share: float, constant: float) -> int:
    """Return the least n ≥ c_hyp log₂(γn/η) / H₂(γ): a weight is met with probability 1/2.

    Natale et al. 2024, theorem 2; η is of a weight.
    """
    return _fixed_point(
        lambda n: constant * max(0.0, math.log2(share * n / accuracy)) / entropy(share)
    )


def natale_parameters(inputs: int, outputs: int, epsilon: float, share: float) -> float:
    """Return the least n ≥ (d_in d_out / 2) log₂(γn/ε) / H₂(γ), which no network has fewer of.

    Natale et al. 2024, theorem 5, for tickets of k = γn edges, ε < 1/16 and γ ≤ 0.84.
    """
    if epsilon >= 1 / 16:
        return 0.0
    half = inputs * outputs / 2
    return float(
        _fixed_point(lambda n: half * max(0.0, math.log2(share * n / epsilon)) / entropy(share))
    )


def copies(accuracy: float, failure: float, constant: float) -> int:
    """Return ρ = C ln(2 / min{η, δ}): copies of a neuron that a weight behind it is summed from.

    Burkholz 2022; η and δ are of one weight of one copy.
    """
    return _whole(constant * math.log(2 / min(accuracy, failure)))


def quantised_step(accuracy: float) -> float:
    """Return the coarsest δ = 2⁻ᵏ for which a target rounded to multiples of δ² is within η."""
    return 2.0 ** -math.ceil(max(0.0, -math.log2(2 * accuracy) / 2))


def quantised_candidates(step: float, failure: float, constant: float) -> int:
    """Return C log₂(1 / min{δ, failure}): for a sum that equals a weight; a block has 2n units.

    Kumar and Natale 2025, theorem 1; `failure` is of a weight.
    """
    return _whole(-constant * math.log2(min(step, failure, 0.5)))


def quantised_parameters(inputs: int, outputs: int, step: float) -> float:
    """Return d_in d_out log₂(2/δ² + 1) − 1, which no network has fewer of.

    The count behind theorem 3 of Kumar and Natale 2025: at least half of the targets on the grid
    are subnetworks, no two the same, of 2^parameters.
    """
    return max(0.0, inputs * outputs * math.log2(2 / step**2 + 1) - 1)


def attention_units(argument: float, inputs: int, constant: float) -> int:
    """Return d₁ C ln(argument): the inner dimension of a product of two random factors.

    Otsuka et al. 2025, theorem 3.
    """
    return _whole(inputs * constant * math.log(argument))


def median_candidates(accuracy: float, largest: float, scale: float) -> int:
    """Return the fewest products of a half whose median error at the largest weight is within η.

    As `median_error_of_products` predicts it; half of the weights are farther off.
    """
    n = 1
    while float(median_error_of_products(largest, n, scale)) > accuracy:  # type: ignore[arg-type]
        n += 1
    return n


def _whole(number: float) -> int:
    return max(1, math.ceil(number))


def _fixed_point(asked: Callable[[int], float]) -> int:
    """Return the least n that is as large as what is asked of it, where that grows with n."""
    n = 1
    while asked(n) > n:
        n = _whole(asked(n))
    return n
