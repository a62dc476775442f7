"""The candidates that a row may use, side by side."""

from instances.compiled import compilable


@compilable
def gather(coefficients, available, r, chosen, values):  # type: ignore[no-untyped-def]
    """Write the places and values of the candidates of row `r`, and return how many they are."""
    num = 0
    for k in range(available.shape[1]):
        if available[r, k]:
            chosen[num] = k
            values[num] = coefficients[r, k]
            num += 1
    return num


@compilable
def same_candidates(coefficients, available, r, s):  # type: ignore[no-untyped-def]
    """Whether two rows may use the same numbers, so that they can share a table."""
    for k in range(available.shape[1]):
        if coefficients[r, k] != coefficients[s, k] or available[r, k] != available[s, k]:
            return False
    return True
