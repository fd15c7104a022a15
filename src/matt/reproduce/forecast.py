"""How long a reproduction takes, guessed before any of its cells is finished.

Seconds of a cell on FMA-medium's size, as measured on one core of a cloud machine of 2025; a cell
of fewer tracks is taken to be as much shorter. Once a cell is finished,
`matt.processes.Estimate` knows better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..comparison import Cell
from ..grid.study import Material
from ..models.settings import BaselineSettings
from ..processes import Estimate
from .data import LOGMEL

_FULL = 20_000  # training tracks of the measurements
_AT_LEAST = 0.3  # seconds of any cell
# (seconds, seconds a feature) of a baseline; of a network they are an epoch's.
_BASELINES = {"lr": (2.0, 0.022), "knn": (2.0, 0.005), "svm": (60.0, 0.3), "mlp_sklearn": (20.0, 0)}
_POWER = {"svm": 2.0}  # of the number of tracks; 1 otherwise
_EPOCHS = (0.18, 0.0001)  # of bags
_LONE = 1.0  # epochs of lone tracks are longer, and fewer
_STOPPED = 0.35  # of the epochs that are allowed, as early stopping ends them
_MAPS = 35.0  # seconds of an epoch of 1,000 log-mels of 96 x 128
_MAP = 96 * 128


def forecast(
    cells: Sequence[Cell],
    kept: Mapping[str, float],
    material: Material,
    *,
    n_jobs: int = 1,
) -> float:
    """Seconds until all cells are finished.

    Parameters
    ----------
    cells : sequence of Cell
        Of `plan.Results`.
    kept : mapping of str to float
        Seconds of those that are finished, by digest: what is like them takes as long.
    material : Material
    n_jobs : int >= 1
    """
    estimate = Estimate(jobs=n_jobs)
    for cell in cells:
        if cell.digest in kept:
            estimate.learn(cell.group, kept[cell.digest])
        else:
            estimate.expect(cell.group, _guess(cell, material))
    return estimate.left or 0.0


def _guess(cell: Cell, material: Material) -> float:
    row = cell.row
    if row is None:
        return _AT_LEAST
    store, tracks = material.features[row.features], material.divisions[cell.split].tracks
    share = min(len(store) / len(tracks), 1.0)  # log-mels may be of some tracks only
    n_train = share * int((tracks.split == "training").sum())
    size = 1
    for length in store.spec.shape:
        size *= length
    if isinstance(row.model, BaselineSettings):
        fixed, each = _BASELINES[row.model.classifier]
        power = _POWER.get(row.model.classifier, 1.0)
        return max(_AT_LEAST, (fixed + each * size) * float((n_train / _FULL) ** power))
    epochs = row.training.epochs
    stopped = epochs if epochs <= row.training.patience else max(30.0, _STOPPED * epochs)
    if row.features == LOGMEL:
        return _MAPS * n_train / 1_000 * size / _MAP * stopped
    fixed, each = _EPOCHS
    lone = _LONE if row.lone else 1.0
    return max(_AT_LEAST, (fixed + each * size) * lone * stopped * n_train / _FULL)
