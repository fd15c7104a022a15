"""What the paper prints, what its notebooks print, and which of it cannot be what it says.

Sources: Liu & Zhang, "MATT: A Multiple-instance Attention Mechanism for Long-tail Music Genre
Classification", IEEE SMC 2022 (tables I and II, figure 4, section IV-D); the evaluation notebooks
released with it; FMA's own baselines (Defferrard et al., ISMIR 2017), whose figures the first four
columns of table I are.

The precision-recall curves that were published with it are read from files that are not ours.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError

MODELS_1 = ("LR", "KNN", "SVM", "MLP", "MLP+MIL", "MLP+MATT")
"""The six columns of table I."""

TABLE_1: dict[str, tuple[float, ...]] = {
    "chroma": (44, 44, 48, 49, 47.74, 39.53),
    "tonnetz": (40, 37, 42, 41, 45.90, 43.45),
    "mfcc": (58, 55, 61, 53, 64.71, 63.19),
    "centroid": (42, 45, 46, 48, 49.36, 44.93),
    "bandwidth": (41, 45, 44, 45, 43.26, 44.23),
    "contrast": (51, 50, 54, 53, 55.69, 49.59),
    "rolloff": (42, 46, 48, 48, 49.16, 49.20),
    "rms": (37, 39, 39, 39, 41.08, 38.67),
    "zcr": (42, 45, 45, 46, 47.96, 46.91),
    "3+6": (60, 55, 63, 54, 65.68, 68.91),
    "3+6+4": (60, 55, 63, 53, 65.84, 63.31),
    "1-9": (61, 52, 63, 58, 69.22, 68.40),
}
"""Accuracy on the test split in per cent, by feature set, in the order of `MODELS_1`."""

MODELS_2 = (
    *("LR", "KNN", "SVM", "MLP", "MLP+MATT"),
    *("CRNN", "CRNN+MATT", "CRNN-TF", "CRNN-TF+MATT"),
)
"""The nine rows of table II."""

KS = (2, 3, 5)
THRESHOLDS = (100, 200)  # training tracks: the paper's two tails


@dataclass(frozen=True)
class TopK:
    """A row of table II in per cent: K of `KS` below 100 training tracks, then below 200.

    Attributes
    ----------
    paper : tuple of float, or None
        As printed; None where the paper prints "<5".
    notebook : tuple of float
        What the notebook behind it prints.
    """

    paper: tuple[float | None, ...]
    notebook: tuple[float, ...]


_NOTEBOOK_2 = {
    "LR": (1.76, 7.06, 25.29, 1.60, 6.38, 22.87),
    "KNN": (17.06, 25.88, 45.29, 15.43, 23.94, 41.49),
    "SVM": (11.76, 19.41, 44.71, 10.64, 17.55, 40.43),
    "MLP": (2.94, 10.59, 28.24, 2.66, 10.11, 27.13),
    "MLP+MATT": (28.24, 44.71, 47.06, 26.60, 41.49, 44.15),
    "CRNN": (9.41, 13.53, 34.71, 8.51, 12.23, 38.83),
    "CRNN+MATT": (54.12, 55.88, 57.65, 49.47, 51.60, 61.70),
    "CRNN-TF": (2.35, 9.41, 20.59, 2.13, 8.51, 18.62),
    "CRNN-TF+MATT": (54.12, 63.53, 65.29, 49.47, 59.04, 61.17),
}
# Where the paper prints another number than its notebook, besides "<5", by model and place.
_PRINTED_2 = {
    **{("SVM", 5): 40.42, ("MLP", 2): 28.23},
    **{("CRNN-TF+MATT", 3): 59.04, ("CRNN-TF+MATT", 4): 61.17, ("CRNN-TF+MATT", 5): 71.21},
}
TABLE_2 = {
    model: TopK(
        tuple(None if v < 5 else _PRINTED_2.get((model, i), v) for i, v in enumerate(values)),
        values,
    )
    for model, values in _NOTEBOOK_2.items()
}
"""Top-K accuracy on few-shot test tracks: 170 and 188 of them, by a typed-in list of genres."""

ACCURACY_4 = {
    "MLP+MIL": 69.219,
    "MLP+MATT": 68.830,
    "CRNN": 63.233,
    "CRNN-TF": 64.757,
    "CRNN+MIL": 71.928,
    "CRNN-TF+MIL": 71.890,
    "CRNN+MATT": 69.090,
    "CRNN-TF+MATT": 69.051,
}
"""Accuracy in per cent behind the bars of figure 4, from the names of the saved score files."""

AVERAGE_PRECISION_4 = {
    "MLP+MIL": 0.6523,
    "MLP+MATT": 0.7321,
    "CRNN": 0.6244,
    "CRNN-TF": 0.6244,
    "CRNN+MIL": 0.6959,
    "CRNN-TF+MIL": 0.6107,
    "CRNN+MATT": 0.7357,
    "CRNN-TF+MATT": 0.7268,
}
"""Area under the published curves of figure 4 by step summation; those left out are invalid."""

CASE_STUDY = {"MLP": 58.0, "MLP+MATT, alone": 63.69, "MLP+MATT, bags": 68.83}
"""Section IV-D, accuracy in per cent on the features "1-9"."""

WHY_NOT = {
    "copied": "copied from FMA's paper, rounded; standardised features, per track",
    "raw": "fitted on raw features with k = 5 and few iterations, while table I has tuned ones",
    "scaled differently": "fitted on raw features, scored on standardised ones: no valid curve",
    "misindexed": "scores of tracks were read by the number of a bag, so they belong to others",
    "typed tail": "60 % of the tracks are International, which has 814 training tracks",
    "shifted": "the last block is shifted: 49.47 / 59.04 / 61.17 in the notebook, 71.21 is an AP",
    "test selection": "the epoch was chosen on the test split",
    "single run": "a single run without an interval",
    "chroma": "chroma_cens in the notebooks, chroma_stft in the columns copied from FMA",
    "triple chroma": "one kind of chroma three times: 350 distinct columns of 518",
    "bandwidth": "the notebooks join bandwidth instead of centroid",
    "single bags": "the accuracy on bags that happen to hold one track, not of all tracks alone",
    "bag unit": "a bag counts as often as it has tracks, under the label of its first track",
}
"""Why a published number may differ from one of ours, by a short name."""


def why_1(feature_set: str, model: str) -> tuple[str, ...]:
    """Keys of `WHY_NOT` for a cell of table I.

    >>> why_1("mfcc", "LR")
    ('copied',)
    """
    if model not in MODELS_1[4:]:
        return ("copied",)
    special = {"chroma": ("chroma",), "1-9": ("triple chroma",), "3+6+4": ("bandwidth",)}
    return (*special.get(feature_set, ()), "test selection", "bag unit", "single run")


def why_2(model: str) -> tuple[str, ...]:
    """Keys of `WHY_NOT` for a row of table II."""
    if model in MODELS_2[:4]:
        return ("raw", "typed tail")
    if model in ("CRNN", "CRNN-TF"):
        return ("misindexed", "typed tail")
    last = ("shifted",) if model == MODELS_2[-1] else ()
    return (*last, "test selection", "typed tail", "single run")


def why_4(model: str) -> tuple[str, ...]:
    """Keys of `WHY_NOT` for a curve of figure 4."""
    if model in MODELS_1[:4]:
        return ("scaled differently", "raw")
    if "+" not in model:
        return ("test selection", "single run")
    return ("test selection", "bag unit", "single run")


FOLDER = "paper_pr_curves"
INVALID = MODELS_1[:4]
"""Fitted on raw features and scored on standardised ones: no valid curves."""

_FILES = {
    **{name: f"{name}-fma_all.csv" for name in MODELS_1},
    "CRNN": "PR-CRNN_mel_1360_6.csv",  # so spelt
    **{
        name: f"PR-{name}_mel_1360_96.csv"
        for name in ("CRNN+MIL", "CRNN+MATT", "CRNN-TF", "CRNN-TF+MIL", "CRNN-TF+MATT")
    },
}
_LARGEST = 50_000_000  # characters: a curve of 2,573 tracks has 1.6 million

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]


def read_curves(folder: Path | str) -> dict[str, Curve]:
    """Read the curves that are there, by model, from the highest threshold down.

    Parameters
    ----------
    folder : path
        Of the files under their published names, as they are or compressed (``.gz``).

    Returns
    -------
    dict of str to (precision, recall)
        Without the artificial last point (precision 1, recall 0).

    Raises
    ------
    DataError
        If a file is no such curve.
    """
    found = {}
    for model, name in _FILES.items():
        for path in (Path(folder) / name, Path(folder) / f"{name}.gz"):
            if path.is_file():
                found[model] = _read(path)
                break
    return found


def _read(path: Path) -> Curve:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            text = file.read(_LARGEST + 1).decode()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read ({error}); get the file again") from error
    if len(text) > _LARGEST:
        raise DataError(f"{path} is too large for a curve; get the file again")
    rows = csv.reader(io.StringIO(text))
    wanted = ["precision", "recall"]
    if next(rows, None) != wanted:
        raise DataError(f"{path} has no header {','.join(wanted)}; get the file again")
    try:
        values = np.array([[float(cell) for cell in row] for row in rows], np.float64)
    except ValueError as error:
        raise DataError(f"{path}: {error}; get the file again") from error
    if values.ndim != 2 or values.shape[1] != 2 or not ((values >= 0) & (values <= 1)).all():
        raise DataError(f"{path} does not hold two shares a line; get the file again")
    precision, recall = values[::-1].T
    if (np.diff(recall) < 0).any():
        raise DataError(f"{path}: recall rises where it has to fall; get the file again")
    artificial = int(len(recall) > 1 and recall[0] == 0 and precision[0] == 1)
    return precision[artificial:], recall[artificial:]
