"""The precision-recall curves that were published with the paper, from files that are not ours."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .published import MODELS_1

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
