"""Calibrate the features of the simulated FMA, into fma.json.

    python tools/calibrate_simulation.py

Targets are the test accuracies of a logistic regression on FMA-medium, descriptor by descriptor and
on all 518 columns, in FMA's own notebooks. For each descriptor the noise is found by bisection, and
around that the separation of the genres. Takes about a quarter of an hour.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from matt.datasets.invented.catalogue import plan_fma
from matt.datasets.invented.features import Hierarchy
from matt.features.kernels.frames import COLUMNS
from matt.files import read_json, write_json

TARGET = Path(__file__).parents[1] / "src/matt/datasets/invented/fma.json"
SEEDS = (101, 102)  # not those that anybody uses by default
# Within the genres of FMA-small, along the first three discriminant directions of 46 real features:
# moments of pairs of tracks of one album (run of neighbouring ids) and of one artist.
SHARES = {"artist": 0.28, "album": 0.15, "track": 0.57}
ACCURACY = {
    "chroma_cens": 0.3925,
    "chroma_cqt": 0.4007,
    "chroma_stft": 0.4361,
    "mfcc": 0.5783,
    "rmse": 0.3731,
    "spectral_bandwidth": 0.4054,
    "spectral_centroid": 0.4240,
    "spectral_contrast": 0.5091,
    "spectral_rolloff": 0.4174,
    "tonnetz": 0.4011,
    "zcr": 0.4229,
}
ALL = 0.6110
DESCRIPTORS = [descriptor for descriptor, _, _ in COLUMNS]
PLANS = [plan_fma(25_000, seed=seed) for seed in SEEDS]


def accuracy(hierarchy: Hierarchy, descriptor: str | None) -> float:
    """Mean over the seeds, on validation and test; the model is fitted as in FMA's notebooks."""
    columns = np.flatnonzero([descriptor in (None, name) for name in DESCRIPTORS])
    scores = []
    for (catalogue, tracks), seed in zip(PLANS, SEEDS, strict=True):
        blocks = hierarchy.blocks(catalogue, seed=seed)
        x = np.concatenate([block[:, columns] for block in blocks])
        train = tracks.split == "training"
        scaler = StandardScaler().fit(x[train])
        model = LogisticRegression(C=1, max_iter=200)
        model.fit(scaler.transform(x[train]), catalogue.genre[train])
        scores.append(model.score(scaler.transform(x[~train]), catalogue.genre[~train]))
    return float(np.mean(scores))


def calibrate(separation: float) -> tuple[Hierarchy, float]:
    """Noise of each descriptor at a separation, and the accuracy on all columns."""
    noise = dict.fromkeys(ACCURACY, 1.0)
    for descriptor, wanted in ACCURACY.items():
        low, high = 0.0, 6.0
        for _ in range(6):
            noise[descriptor] = (low + high) / 2
            found = accuracy(Hierarchy(separation, SHARES, noise), descriptor)
            low, high = (noise[descriptor], high) if found > wanted else (low, noise[descriptor])
        sys.stdout.write(f"  {descriptor}: noise {noise[descriptor]:.3f}, {found:.3f} ({wanted})\n")
        sys.stdout.flush()
    hierarchy = Hierarchy(separation, SHARES, noise)
    return hierarchy, accuracy(hierarchy, None)


def main(low: float = 1.0, high: float = 1.8, steps: int = 4) -> None:
    """Bisect the separation, write the last step."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    for _ in range(steps):
        hierarchy, found = calibrate((low + high) / 2)
        sys.stdout.write(f"separation {hierarchy.separation:.3f}: {found:.4f} ({ALL})\n")
        sys.stdout.flush()
        if found < ALL:
            low = hierarchy.separation
        else:
            high = hierarchy.separation
    content = read_json(TARGET)
    content["features"] = {
        "how": "Shares of the variance within a genre: artists and albums of FMA-small's real "
        "features. Separation and noise: so that a logistic regression (standardised, C=1) reaches "
        "what FMA's notebooks print, descriptor by descriptor and on all columns "
        "(tools/calibrate_simulation.py).",
        "separation": round(hierarchy.separation, 4),
        "shares": SHARES,
        "noise": {name: round(value, 4) for name, value in hierarchy.noise.items()},
    }
    write_json(TARGET, content)


if __name__ == "__main__":
    main(*map(float, sys.argv[1:3]))
