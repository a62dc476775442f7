"""Subsets of up to three candidates, one by one: nearly all that the sparsest objective needs."""

from instances.compiled import compilable

MAX_SIZE = 3
"""Beyond that, tables are faster."""


@compilable
def closest_of_size(values, num_values, size, target):  # type: ignore[no-untyped-def]
    """Find the subset of `size` (0 to 3) of the first `num_values` values closest to the target.

    Subsets are tried in the order of their masks, so that of equal ones the smallest is kept.

    Returns
    -------
    distance, subset, total
        The distance is −1 where there is no subset of that size.
    """
    distance, subset, total = -1, 0, target * 0
    if size == 0:
        return abs(target), 0, total
    for i in range(num_values):
        if size == 1:
            away = abs(target - values[i])
            if away < distance or distance < 0:
                distance, subset, total = away, 1 << i, values[i]
            continue
        for j in range(i):
            pair = values[i] + values[j]
            if size == 2:
                away = abs(target - pair)
                if away < distance or distance < 0:
                    distance, subset, total = away, 1 << i | 1 << j, pair
                continue
            for k in range(j):
                away = abs(target - pair - values[k])
                if away < distance or distance < 0:
                    distance, subset = away, 1 << i | 1 << j | 1 << k
                    total = pair + values[k]
    return distance, subset, total
