"""How the error of a weight falls with the number of its candidates."""

import numpy as np

from instances.arrays import FloatArray
from instances.objectives import Closest
from instances.subset_sum import SubsetSum
from milp_lth.reduction import Reduction
from milp_lth.theory.median_error import median_error
from solvers.solve import solve

NUM_SAMPLED = 200
_FEWEST, _MOST = 2, 26  # beyond, the rows take longer than the picture is worth


def errors_by_candidates(reduction: Reduction) -> tuple[list[int], FloatArray, list[float]]:
    """Solve a sample of the first part's rows with their first n candidates alone, for every n.

    Parameters
    ----------
    reduction
        The problems; the rows are spread evenly over its first part.

    Returns
    -------
    counts
        The numbers n.
    quartiles
        Shape (3, counts): of the least error, in units of the weights.
    predicted
        The median of the medians that theory predicts, for each n.
    """
    part = reduction.parts[0]
    rows = np.unique(np.linspace(0, len(part) - 1, NUM_SAMPLED).astype(int))
    coefficients, targets = [], []
    for row in rows:
        instance = part.instance(int(row), int(row) + 1)
        usable = slice(None) if instance.available is None else instance.available[0]
        coefficients.append(instance.coefficients[0][usable])
        targets.append(instance.targets[0])
    most = min(_MOST, max(map(len, coefficients)))
    counts = list(range(min(_FEWEST, most), most + 1))
    quartiles, predicted = np.zeros((3, len(counts))), []
    for k, count in enumerate(counts):
        enough = [i for i, row in enumerate(coefficients) if len(row) >= count]
        sample = SubsetSum(
            np.array([coefficients[i][:count] for i in enough]).reshape(len(enough), count),
            np.array([targets[i] for i in enough]),
            Closest(),
        )
        quartiles[:, k] = np.quantile(solve(sample, "mitm").error, [0.25, 0.5, 0.75])
        predicted.append(float(np.median(median_error(sample))))
    return counts, quartiles, predicted
