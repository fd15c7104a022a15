"""Fit the bag sizes of the simulated FMA to a real catalogue, into simulation.json.

    python tools/fit_bag_sizes.py TABLE.tsv.gz

The table has one row a track with the columns artist_id and album_id, e.g. a split of MTG-Jamendo.
Only the fitted parameters are kept, none of the table.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from matt.datasets.fma.bag_sizes import BagSizes
from matt.files import read_json, write_json

TARGET = Path(__file__).parents[1] / "src/matt/datasets/fma/simulation.json"


def main(path: str) -> None:
    """Fit, print the fit beside the data, write."""
    table = pd.read_csv(path, sep="\t", usecols=["artist_id", "album_id"])
    sizes = table.groupby(["album_id", "artist_id"]).size().to_numpy()
    albums = table.groupby("artist_id")["album_id"].nunique().to_numpy()
    content = read_json(TARGET)
    for name, observed in (("bag_sizes", sizes), ("albums_per_artist", albums)):
        fitted = BagSizes.fit(observed)
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
        for size, share in zip(at, fitted.pmf(at)):
            sys.stdout.write(f"  {size:4d}   {(observed == size).mean():.4f}    {share:.4f}\n")
    write_json(TARGET, content)


if __name__ == "__main__":
    main(*sys.argv[1:])
