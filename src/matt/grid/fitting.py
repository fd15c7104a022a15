"""What a cell of a comparison does: fit one setup on one split, predict validation and test."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..bags import Bags
from ..comparison import fit_row, predict_row
from ..errors import ConfigError, MattError, first_few
from ..features.blocks import write_values
from ..features.store import FeatureStore
from ..models.device import find_device
from ..models.network import build_network
from ..models.saving import check_bags
from ..models.settings import BaselineSettings
from ..predictions import Predictions
from ..tracks import Tracks
from .cells import Cell, data_digest, features_digest
from .protocol import Division
from .setups import Setup

PARTS = ("validation", "test")
ALONE = "test-alone"  # tracks of test, each as a bag of one


@dataclass(frozen=True, eq=False)
class Material:
    """What all cells share.

    Attributes
    ----------
    divisions : tuple of Division
    features : dict of str to FeatureStore
        By the digest of the specification that a setup asks for.
    """

    divisions: tuple[Division, ...]
    features: Mapping[str, FeatureStore]

    def store(self, setup: Setup) -> FeatureStore:
        """Features that a setup reads."""
        return self.features[setup.features.spec().digest]

    def mapped(self, folder: Path) -> Material:
        """The same, with arrays in files that processes map, so that they share one copy."""
        found = {key: _mapped(store, folder) for key, store in self.features.items()}
        return Material(self.divisions, found)


@contextmanager
def shared_arrays(material: Material, out: Path, jobs: int) -> Iterator[Material]:
    """Material whose arrays are in files below ``out`` while several processes need them."""
    if jobs == 1:
        yield material
        return
    folder = out / "shared"
    try:
        yield material.mapped(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _mapped(store: FeatureStore, folder: Path) -> FeatureStore:
    blocks: list[Any] = []
    for number, block in enumerate(store.blocks):
        if isinstance(block, np.ndarray):
            path = folder / f"{features_digest(store)}-{number}.npy"
            write_values(path, block)
            block = path
        blocks.append(block)
    return FeatureStore(
        store.spec, store.track_ids, store.block, store.start, store.n_segments, blocks
    )


def make_cells(setups: Sequence[Setup], material: Material) -> list[Cell]:
    """Every setup on every split; all setups of a split before the next one."""
    features = {key: features_digest(store) for key, store in material.features.items()}
    by = {setup.bags for setup in setups}
    cells = []
    for number, division in enumerate(material.divisions):
        data = {bags: data_digest(division.tracks, bags) for bags in by}
        for setup in setups:
            facts = {
                "setup": setup.facts(),
                "data": data[setup.bags],
                "features": features[setup.features.spec().digest],
                "seed": division.seed,
            }
            name = f"{setup.name} (repeat {division.name})"
            cells.append(Cell(name=name, facts=facts, task=(setup, number), group=setup.name))
    return cells


def fit_cell(material: Material, cell: Cell) -> dict[str, Predictions]:
    """Fit the setup of a cell on its split; see `matt.grid.engine`."""
    setup, number = cell.task
    division, features = material.divisions[number], material.store(setup)
    tracks: Tracks = division.tracks
    model = fit_row(setup.row, features, tracks, by=setup.bags, seed=division.seed)
    alone = Bags.from_tracks(tracks, by="track", split="test")
    made = {ALONE: model.predict(features, tracks, alone)}
    for part in PARTS:
        bags = Bags.from_tracks(tracks, by=setup.bags, split=part)
        if setup.row.lone:
            made[part] = predict_row(setup.row, model, features, tracks, bags)
        else:
            made[part] = model.predict(features, tracks, bags)
    return made


def check_setups(setups: Sequence[Setup], material: Material) -> None:
    """Refuse setups that could not be fitted, before anything is: encoder, device, genres.

    Raises
    ------
    ConfigError
        Listing all problems, each with the rows that have it.
    """
    tracks = material.divisions[0].tracks
    found: dict[str, list[str]] = {}
    seen: dict[str, str] = {}  # problem of equal parts, "" if there is none
    for setup in setups:
        key = json.dumps(setup.facts(), sort_keys=True)
        if key not in seen:
            try:
                _check(setup, material.store(setup), tracks)
                seen[key] = ""
            except MattError as error:
                seen[key] = str(error)
        if seen[key]:
            found.setdefault(seen[key], []).append(setup.name)
    if found:
        told = (f"{first_few(map(repr, rows), most=3)}: {why}" for why, rows in found.items())
        raise ConfigError(f"nothing was run; {'; '.join(told)}")


def _check(setup: Setup, features: FeatureStore, tracks: Tracks) -> None:
    row = setup.row
    if isinstance(row.model, BaselineSettings):
        return
    find_device(row.training.device)
    build_network(row.model, features.spec.shape, len(tracks.genres))
    by = "track" if row.lone else setup.bags
    check_bags(Bags.from_tracks(tracks, by=by, split="training").labelled(), None, row.model)
