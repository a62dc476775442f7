"""Greedy selection of neurons by what they contribute: a few whose mixture imitates a target.

Ye, Wu, Zhou and Liu, "Greedy Optimization Provably Wins the Lottery: Logarithmic Number of Winning
Tickets is Enough", NeurIPS 2020, arXiv 2010.15969, and, as the simpler rule, Ye, Gong, Nie, Zhou,
Klivans and Liu, "Good Subnetworks Provably Exist", ICML 2020, arXiv 2003.01794.

Neuron i contributes σ_i(z) on input z, and f(z) is to be imitated. For coefficients a ≥ 0 of sum 1
the discrepancy is the quadratic D(a) = E‖Σ_i a_i σ_i − f‖² = aᵀGa − 2aᵀb + c. All that is needed of
the data are the Gram matrix G = E[σ_i·σ_j], b = E[σ_i·f] and c = E‖f‖².
"""

from dataclasses import dataclass

import numpy as np
import torch

from instances.arrays import FloatArray, IntArray
from instances.nearest_point import nearest_point

_STEPS = 20  # per neuron
_NO_GAIN = 1e-15  # relative to what is imitated: about the rounding of D


@dataclass(frozen=True, eq=False)
class ImitationPath:
    """What a greedy selection came by, step after step.

    Attributes
    ----------
    kept, discrepancies
        Shape (steps,): neurons with a coefficient above 0 after every step, and D.
    best
        Shape (n + 1,): the least D among steps with exactly that many kept; inf where none had.
    coefficients
        Shape (n + 1, n): those of the best.
    """

    kept: IntArray
    discrepancies: FloatArray
    best: FloatArray
    coefficients: FloatArray

    def at_most(self, num_kept: int) -> tuple[float, FloatArray]:
        """Return the least discrepancy with up to `num_kept` neurons, and its coefficients.

        Raises
        ------
        ValueError
            When that is less than one neuron.
        """
        if num_kept < 1:
            raise ValueError(f"{num_kept} neurons: keep 1 at least")
        k = int(self.best[: num_kept + 1].argmin())
        return float(self.best[k]), self.coefficients[k]


class Recorder:
    """Collects the steps of a selection among n neurons."""

    def __init__(self, n: int) -> None:
        self._steps: list[tuple[int, float]] = []
        self._best = np.full(n + 1, np.inf)
        self._coefficients = np.zeros((n + 1, n))

    def take(self, coefficients: torch.Tensor, discrepancy: float) -> int:
        """Take down a step, and return how many neurons it keeps."""
        kept = int((coefficients > 0).sum())
        self._steps.append((kept, discrepancy))
        if discrepancy < self._best[kept]:
            self._best[kept] = discrepancy
            self._coefficients[kept] = coefficients.cpu().numpy()
        return kept

    def path(self) -> ImitationPath:
        """Return all that was taken down."""
        kept, discrepancies = zip(*self._steps, strict=True)
        return ImitationPath(
            np.array(kept), np.array(discrepancies), self._best, self._coefficients
        )


def imitation(
    gram: torch.Tensor,
    cross: torch.Tensor,
    constant: float,
    *,
    num_kept: int | None = None,
    num_steps: int | None = None,
    corrective: bool = False,
) -> ImitationPath:
    """Choose neurons by greedy local imitation.

    From a the next point is (1 − γ)a + γe_i, for the neuron i and the γ between −a_i / (1 − a_i),
    where i is dropped, and 1 that make D least. For every i the best γ is −s_i / q_i, cut off at
    the interval's ends, with s_i = (e_i − a)·(Ga − b) and q_i = (e_i − a)ᵀG(e_i − a). Ga follows
    from the one before, so a step is linear in the number of neurons.

    Parameters
    ----------
    gram
        G, shape (n, n), float64, on any device.
    cross
        b, shape (n,).
    constant
        c.
    num_kept
        Stop once more neurons than these are kept; None: n.
    num_steps
        The most steps; None: 20 for every neuron.
    corrective
        Whether a step adds a neuron and then solves all coefficients of those that are kept anew,
        as orthogonal matching pursuit does (Pati, Rezaiifar and Krishnaprasad, Asilomar 1993). This
        is not the paper's rule: fewer neurons do as much, and a step costs a factorisation.

    Returns
    -------
    ImitationPath
        For every number of kept neurons the best that was met.

    Examples
    --------
    >>> sigma = torch.tensor([[1.0, 0.0], [0.0, 1.0], [4.0, 4.0]], dtype=torch.float64)
    >>> f = torch.tensor([0.5, 0.5], dtype=torch.float64)
    >>> path = imitation(sigma @ sigma.T, sigma @ f, float(f @ f))
    >>> path.at_most(2)[1].tolist()
    [0.5, 0.5, 0.0]
    """
    n = len(cross)
    most = n if num_kept is None else num_kept
    diagonal = gram.diagonal()
    corners = _corners(gram, cross, constant) if corrective else None
    first = int((diagonal - 2 * cross).argmin())
    a = torch.zeros_like(cross)
    a[first] = 1
    moved = gram[first].clone()  # Ga
    found = Recorder(n)
    found.take(a, float(diagonal[first] - 2 * cross[first]) + constant)
    for _ in range(_STEPS * n if num_steps is None else num_steps):
        gamma, change, lowest = _best_shares(a, moved, diagonal, cross)
        if corrective:
            change[a > 0] = 0
        i = int(change.argmin())
        if not float(change[i]) < -_NO_GAIN * constant:
            break
        step = gamma[i]
        dropped = bool(step == lowest[i])
        a, moved = (1 - step) * a, (1 - step) * moved + step * gram[i]
        a[i] = 0 if dropped else a[i] + step
        if corners is not None:
            a = torch.as_tensor(_corrected(corners, a), device=a.device)
            moved = gram @ a
        if int((a > 0).sum()) > most:
            break
        found.take(a, float(a @ moved - 2 * a @ cross) + constant)
    return found.path()


def _best_shares(
    a: torch.Tensor, moved: torch.Tensor, diagonal: torch.Tensor, cross: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return for every neuron the best γ, what it changes D by, and the least γ allowed."""
    slope = moved - cross
    slope = slope - a @ slope
    curvature = diagonal - 2 * moved + a @ moved
    lowest = torch.where(a < 1, -a / (1 - a), 0)
    gamma = torch.where(curvature > 0, -slope / curvature, 0).clamp(lowest, torch.ones_like(a))
    return gamma, gamma * (2 * slope + gamma * curvature), lowest


def _corners(gram: torch.Tensor, cross: torch.Tensor, constant: float) -> FloatArray:
    """Return points, one a row, whose mixture by a has the squared length D(a)."""
    square = (gram - cross[:, None] - cross[None, :] + constant).cpu().numpy()
    values, vectors = np.linalg.eigh((square + square.T) / 2)
    return np.ascontiguousarray(vectors * np.sqrt(np.maximum(values, 0)))


def _corrected(corners: FloatArray, a: torch.Tensor) -> FloatArray:
    weights = a.cpu().numpy()
    return nearest_point(corners, weights > 0, weights).weights


def forward(
    gram: torch.Tensor,
    cross: torch.Tensor,
    constant: float,
    *,
    num_kept: int | None = None,
    num_steps: int | None = None,
) -> ImitationPath:
    """Choose neurons by greedy forward selection: a multiset S grows, every draw weighs ``1/|S|``.

    Each step adds the neuron, perhaps one that is in S already, that makes D least.

    Parameters
    ----------
    gram, cross, constant, num_kept, num_steps
        As for `imitation`; after `num_steps` steps ``|S|`` is one more.

    Returns
    -------
    ImitationPath
        For every number of different neurons the best that was met; step t has ``|S|`` = t + 1.
    """
    n = len(cross)
    most = n if num_kept is None else num_kept
    diagonal = gram.diagonal()
    draws, moved = torch.zeros_like(cross), torch.zeros_like(cross)
    square = along = 0.0  # of the sum over S: its squared length, and its product with f
    found = Recorder(n)
    for size in range(1, (_STEPS * n if num_steps is None else num_steps) + 2):
        squares = square + 2 * moved + diagonal
        i = int((squares / size**2 - 2 * (along + cross) / size).argmin())
        square, along = float(squares[i]), along + float(cross[i])
        draws[i] += 1
        moved = moved + gram[i]
        if int((draws > 0).sum()) > most:
            break
        found.take(draws / size, square / size**2 - 2 * along / size + constant)
    return found.path()
