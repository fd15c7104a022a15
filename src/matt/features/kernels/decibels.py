"""Decibels, as `librosa.power_to_db` has them with a reference of 1."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

AMIN, TOP_DB = 1e-10, 80.0


def decibels(power: NDArray[Any]) -> NDArray[Any]:
    """``10 log10(max(1e-10, power))``, raised to at most 80 dB below the loudest.

    Parameters
    ----------
    power : float array
        It is overwritten.

    Returns
    -------
    float array
        Of the same shape and type.

    Examples
    --------
    >>> decibels(np.array([10.0, 1.0, 0.0])).tolist()
    [10.0, 0.0, -70.0]
    """
    np.maximum(power, AMIN, out=power)
    np.log(power, out=power)
    power *= 10 / np.log(10)
    np.maximum(power, power.max() - TOP_DB, out=power)
    return power
