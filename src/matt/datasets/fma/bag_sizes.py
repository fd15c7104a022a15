"""How many tracks a bag has: a fitted shape, rescaled to any number of bags and tracks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError


@dataclass(frozen=True)
class BagSizes:
    """Mixture of negative binomial distributions of the tracks beyond the first one.

    A catalogue holds singles and albums, so one component does not do: with ``s`` the size of a
    bag, ``s - 1`` is a Poisson number whose rate is gamma distributed with a component's shape and
    mean.

    Attributes
    ----------
    weights : tuple of float
        Share of each component; they add up to 1.
    shapes : tuple of float
        Shape of each gamma distribution, above 0.
    means : tuple of float
        Tracks beyond the first, on average, in each component.

    Examples
    --------
    >>> sizes = BagSizes((1.0,), (2.0,), (3.0,))
    >>> drawn = sizes.draw(np.random.default_rng(0), n_bags=4, n_tracks=20)
    >>> len(drawn), int(drawn.sum())
    (4, 20)
    """

    weights: tuple[float, ...]
    shapes: tuple[float, ...]
    means: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Tracks a bag, on average."""
        return 1 + float(np.dot(self.weights, self.means))

    def draw(self, rng: np.random.Generator, *, n_bags: int, n_tracks: int) -> NDArray[np.int64]:
        """Sizes of bags that hold a given number of tracks in all, shape (n_bags,).

        The rates keep their shape and are rescaled to the wanted mean; given their sum, independent
        Poisson numbers are multinomial, so the total is exact.

        Raises
        ------
        DataError
            If there are fewer tracks than bags, or no bag for some tracks.
        """
        if not n_bags <= n_tracks or (n_tracks and not n_bags):
            raise DataError(
                f"{n_tracks} tracks cannot fill {n_bags} bags; ask for at least one track a bag"
            )
        if not n_bags:
            return np.zeros(0, np.int64)
        component = rng.choice(len(self.weights), size=n_bags, p=self.weights)
        shape = np.array(self.shapes)[component]
        rate = rng.gamma(shape) / shape * np.array(self.means)[component]  # (n_bags,)
        return 1 + rng.multinomial(n_tracks - n_bags, rate / rate.sum()).astype(np.int64)

    def pmf(self, sizes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Probability of each size, as fitted (not rescaled), shape (n,)."""
        from scipy.stats import nbinom

        parts = [
            weight * nbinom.pmf(np.asarray(sizes) - 1, shape, shape / (shape + mean))
            for weight, shape, mean in zip(self.weights, self.shapes, self.means, strict=True)
        ]
        return np.asarray(np.sum(parts, axis=0))

    @classmethod
    def fit(cls, sizes: NDArray[np.int64]) -> BagSizes:
        """Fit a mixture of two components by maximum likelihood.

        Parameters
        ----------
        sizes : int array, shape (b,)
            Observed sizes, at least 1.

        Raises
        ------
        DataError
            If a size is below 1 or all are equal.
        """
        from scipy.optimize import minimize

        values, times = np.unique(np.asarray(sizes, np.int64), return_counts=True)
        if len(values) < 2 or values[0] < 1:
            raise DataError("sizes must be 1 or more and differ; count the tracks of each bag")

        def mixture(x: NDArray[np.float64]) -> BagSizes:
            share = 1 / (1 + np.exp(-x[0]))
            a, b, c, d = np.exp(np.clip(x[1:], -8, 8)).tolist()
            return cls((float(share), float(1 - share)), (a, b), (c, d))

        def loss(x: NDArray[np.float64]) -> float:
            return -float(times @ np.log(np.maximum(mixture(x).pmf(values), 1e-300)))

        beyond = float(values @ times / times.sum()) - 1
        start = np.log([1.0, 0.5, 2.0, beyond / 3, 2 * beyond])
        found: Any = minimize(loss, start, method="Nelder-Mead", options={"maxfev": 10_000})
        return mixture(found.x)
