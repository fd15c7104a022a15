"""Results of a reproduction made by hand: tracks, splits and predictions, and no training."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from matt import Bags, FeatureStore, Predictions, Tracks
from matt.grid.engine import CellsReport, Failure, save_result
from matt.reproduce.data import Data
from matt.reproduce.plan import Results

GENRES = ("Blues", "Country", "International", "Rock", "Spoken", "Folk", "Pop")
TRAINED = (58, 142, 814, 5681, 94, 300, 900)


def tracks_of(labels, albums, *, trained=TRAINED):
    """Test tracks of one artist an album, behind training tracks of which nothing is read."""
    n_train = sum(trained)
    n = len(labels)
    return Tracks(
        np.arange(n_train + n),
        np.concatenate([np.repeat(np.arange(len(GENRES)), trained), labels]),
        GENRES,
        artist_id=np.concatenate([np.arange(n_train) % 50, 1_000 + np.asarray(albums)]),
        album_id=np.concatenate([np.arange(n_train) % 100, 1_000 + np.asarray(albums)]),
        split=np.array(["training"] * (n_train - 7) + ["validation"] * 7 + ["test"] * n),
    )


def data_of(tracks, feature_sets=("mfcc", "1-9"), **facts):
    values = np.zeros((len(tracks), 3), np.float32)
    stores = {
        name: FeatureStore.from_arrays(f"made {name}", tracks.track_id, values)
        for name in feature_sets
    }
    return Data(
        key="made",
        name="made by hand",
        real=True,
        tracks=tracks,
        bags="album",
        feature_sets=feature_sets,
        read=lambda name, faults: stores[name],
        **facts,
    )


def said(tracks, guesses, *, by):
    """Predictions of test bags: ``guesses`` are genres, best first, of each track; a bag says what
    its first track says."""
    bags = Bags.from_tracks(tracks, by=by, split="test")
    test = tracks.in_split("test")
    rows = np.asarray(guesses)[test.rows(bags.track_ids[bags.offsets[:-1]])]  # (b, best first)
    logits = np.full((len(bags), len(GENRES)), -9.0, np.float32)
    for place in range(rows.shape[1]):
        logits[np.arange(len(bags)), rows[:, place]] = -place
    return Predictions(bags, tracks.take(tracks.rows(bags.track_ids)), logits)


def results_of(out, data, rows, parts, *, seeds=1, failing=()):
    """Results in which every model predicted ``parts``: by model, then part, or for all models."""
    planned = Results.planned(data, rows, data.divisions(seeds))
    results, failures = {}, []
    for (feature_set, model), cells in planned.cells.items():
        for cell in cells:
            if (feature_set, model) in failing:
                failures.append(Failure(cell, "it was made to fail"))
            elif cell.digest not in results:
                made = parts.get(model, parts.get("every"))
                results[cell.digest] = save_result(Path(out), cell, made, seconds=1.0, token="t")
    return replace(planned, report=CellsReport(results, tuple(failures), 0))
