"""Fit the bag sizes of the simulated FMA to a real catalogue, into fma.json.

    python tools/fit_bag_sizes.py TABLE.tsv.gz

The table has one row a track with the columns artist_id and album_id, e.g. a split of MTG-Jamendo.
Only the fitted parameters are kept, none of the table.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import nbinom

from matt.datasets.invented.catalogue import BagSizes
from matt.errors import DataError
from matt.files import read_json, write_json

TARGET = Path(__file__).parents[1] / "src/matt/datasets/invented/fma.json"


def probabilities(fitted: BagSizes, sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Probability of each size, as fitted (not rescaled), shape (n,)."""
    parts = [
        weight * nbinom.pmf(sizes - 1, shape, shape / (shape + mean))
        for weight, shape, mean in zip(fitted.weights, fitted.shapes, fitted.means, strict=True)
    ]
    return np.asarray(np.sum(parts, axis=0))


def fit(sizes: NDArray[np.int64]) -> BagSizes:
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
    values, times = np.unique(np.asarray(sizes, np.int64), return_counts=True)
    if len(values) < 2 or values[0] < 1:
        raise DataError("sizes must be 1 or more and differ; count the tracks of each bag")

    def mixture(x: NDArray[np.float64]) -> BagSizes:
        share = 1 / (1 + np.exp(-x[0]))
        a, b, c, d = np.exp(np.clip(x[1:], -8, 8)).tolist()
        return BagSizes((float(share), float(1 - share)), (a, b), (c, d))

    def loss(x: NDArray[np.float64]) -> float:
        return -float(times @ np.log(np.maximum(probabilities(mixture(x), values), 1e-300)))

    beyond = float(values @ times / times.sum()) - 1
    start = np.log([1.0, 0.5, 2.0, beyond / 3, 2 * beyond])
    found = minimize(loss, start, method="Nelder-Mead", options={"maxfev": 10_000})
    return mixture(found.x)


def main(path: str) -> None:
    """Fit, print the fit beside the data, write."""
    table = pd.read_csv(path, sep="\t", usecols=["artist_id", "album_id"])
    sizes = table.groupby(["album_id", "artist_id"]).size().to_numpy()
    albums = table.groupby("artist_id")["album_id"].nunique().to_numpy()
    content = read_json(TARGET)
    for name, observed in (("bag_sizes", sizes), ("albums_per_artist", albums)):
        fitted = fit(observed)
        content[name] |= {
            "weights": [round(value, 4) for value in fitted.weights],
            "shapes": [round(value, 4) for value in fitted.shapes],
            "means": [round(value, 4) for value in fitted.means],
            "fitted_to": {
                "n": len(observed),
                "mean": round(float(observed.mean()), 4),
                "median": float(np.median(observed)),
                "singletons": round(float((observed == 1).mean()), 4),
            },
        }
        at = np.arange(1, 13)
        sys.stdout.write(f"{name}: {content[name]}\n  size   observed  fitted\n")
        for size, share in zip(at, probabilities(fitted, at)):
            sys.stdout.write(f"  {size:4d}   {(observed == size).mean():.4f}    {share:.4f}\n")
    write_json(TARGET, content)


if __name__ == "__main__":
    main(*sys.argv[1:])
