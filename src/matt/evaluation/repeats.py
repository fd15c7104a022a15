"""Scores over repeats: mean, spread, and paired differences with their interval."""

from __future__ import annotations

import math
from collections.abc import Sequence


def mean_sd(values: Sequence[float]) -> tuple[float, float] | None:
    """Mean and standard deviation of a sample (n - 1); NaNs are left out, None if nothing is left.

    The deviation of a single value is NaN.

    >>> mean_sd([0.25, 0.75, float("nan")])
    (0.5, 0.3535533905932738)
    """
    values = [value for value in values if not math.isnan(value)]
    if not values:
        return None
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return mean, math.nan
    return mean, math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1))


def paired_difference(
    scores: Sequence[float], against: Sequence[float]
) -> tuple[float, float] | None:
    """Mean difference, repeat by repeat, and half the width of its 95 % t interval.

    Parameters
    ----------
    scores, against : sequence of float, length r
        Of the same repeats, in the same order; NaN where there is none, which leaves the pair out.

    Returns
    -------
    (float, float) or None
        The half width of a single pair is NaN. None if there is no pair.

    Notes
    -----
    The interval takes repeats for independent. Repeated splits share tracks, so the true one is
    wider.
    """
    from scipy.stats import t

    differences = [a - b for a, b in zip(scores, against, strict=True)]
    found = mean_sd(differences)
    if found is None or math.isnan(found[1]):
        return found
    n = sum(not math.isnan(difference) for difference in differences)
    return found[0], float(t.ppf(0.975, n - 1)) * found[1] / math.sqrt(n)
