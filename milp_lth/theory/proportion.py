"""What a number of successes says about how probable success is."""


def proportion_interval(
    least: int, most: int, num: int, level: float = 0.95
) -> tuple[float, float]:
    """Return the Clopper–Pearson interval of a probability.

    Parameters
    ----------
    least, most
        How many of the trials succeeded, at least and at most: some may be undecided.
    num
        How many trials there were.
    level
        The probability with which the interval holds the truth, at least.

    Raises
    ------
    ValueError
        When there is no trial, or a number is out of range.

    Examples
    --------
    >>> low, high = proportion_interval(8, 8, 10)
    >>> round(low, 4), round(high, 4)
    (0.4439, 0.9748)
    """
    from scipy.stats import beta

    if not 0 <= least <= most <= num or num < 1:
        raise ValueError(f"{least} to {most} of {num}: give 0 <= least <= most <= num, num >= 1")
    if not 0 < level < 1:
        raise ValueError(f"level {level}: give a number between 0 and 1")
    tail = (1.0 - level) / 2.0
    low = 0.0 if least == 0 else float(beta.ppf(tail, least, num - least + 1))
    high = 1.0 if most == num else float(beta.ppf(1.0 - tail, most + 1, num - most))
    return low, high
