"""``python -m benchmarks.several TABLE [--seeds N]``: several genres an album, on simulated features.

The tracks, artists, albums, genres and splits are those of MTG-Jamendo's table, of a part of its
artists. Its features are **simulated**: what a track's genres sound like in the mean, and what its
artist, its album and itself have of their own, so hard to tell apart that a network's ROC-AUC is
about what is published for audio. So its numbers say what becomes of probabilities and decisions on
a real catalogue's long tail, and nothing of real music.

Asked is whether about as many genres are given as are true, whether probabilities hold, and whether
the model of bags ranks at least as well as its control.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from matt.bags import group
from matt.comparison import BAG_MODEL, FittedRow, bag_model, track_model
from matt.config import Settings
from matt.datasets.jamendo import load_tracks
from matt.evaluation.scores import Scores, score
from matt.evaluation.tables import Cell, Table
from matt.features.store import FeatureStore
from matt.predictions import Predictions
from matt.tracks import Tracks

DIMENSIONS = 60
GENRE, ARTIST, ALBUM, TRACK = 0.55, 0.7, 0.4, 1.0  # standard deviations, by what they belong to
SHARE = 0.25  # of the artists


def main() -> None:
    """Fit, and print a table for each seed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.several")
    parser.add_argument("table", type=Path)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--share", type=float, default=SHARE, help="of the artists")
    options = parser.parse_args()
    every = load_tracks(options.table)
    for seed in range(options.seeds):
        tracks = part_of(every, options.share, seed)
        rows = list(measured(tracks, simulated(tracks, seed), seed))
        n = f"{len(tracks):,} tracks, {len(tracks.genres)} genres"
        print(table(rows, f"Simulated features on MTG-Jamendo's tracks ({n}), seed {seed}"))


def part_of(tracks: Tracks, share: float, seed: int) -> Tracks:
    """Tracks of some of the artists, whole; genres that none of them has keep their column."""
    rng = np.random.default_rng([seed, 0])
    artists = np.unique(tracks.artist_id)
    chosen = rng.permutation(artists)[: round(share * len(artists))]
    return tracks.take(np.isin(tracks.artist_id, chosen))


def simulated(tracks: Tracks, seed: int) -> FeatureStore:
    """Genre means, plus normal numbers of each artist, album and track."""
    rng = np.random.default_rng([seed, 1])
    means = GENRE * rng.standard_normal((len(tracks.genres), DIMENSIONS))
    values = tracks.labels @ means / np.sqrt(tracks.labels.sum(axis=1, keepdims=True))
    n = len(tracks)
    for sd, owner in (
        (ARTIST, group([tracks.artist_id], n)),
        (ALBUM, group([tracks.album_id, tracks.artist_id], n)),
        (TRACK, np.arange(n)),
    ):
        values += sd * rng.standard_normal((int(owner.max()) + 1, DIMENSIONS))[owner]
    return FeatureStore.from_arrays("simulated", tracks.track_id, values.astype(np.float32))


def measured(tracks: Tracks, features: FeatureStore, seed: int) -> Iterator[tuple[str, Scores]]:
    """Each row's name and scores on the test albums."""
    known = Settings()
    training = replace(known.training, threads=1)
    ours = bag_model(BAG_MODEL, known.model, training)
    rows = (
        ours,
        replace(
            ours, name="without logit adjustment", training=replace(training, logit_adjustment=0.0)
        ),
        track_model("control", known.model, training, average=True),
    )
    for row in rows:
        fitted = FittedRow.of(row, features, tracks, seed=seed)
        test = fitted.bags("test").labelled()
        said = fitted.predict_row(test)
        yield row.name, score(said)
        yield f"{row.name}, from one half on", score(replace(said, thresholds=None))
        if row is ours:
            even = fitted.model.predict(features, tracks, test, prior="uniform")
            yield f"{row.name}, prior not put back", score(replace(even, thresholds=None))
            yield f"{row.name}, thresholds of best F1 alone", score(_freely(fitted, said))


def _freely(fitted: FittedRow, said: Predictions) -> Predictions:
    """The same with thresholds that may give a genre as often as they like."""
    from matt.calibration.thresholds import choose_thresholds

    valid = fitted.predict_row(fitted.bags("validation").labelled())
    free = choose_thresholds(valid.probabilities, valid.labels, within=(0, np.inf))
    return replace(said, thresholds=free.values)


def table(rows: list[tuple[str, Scores]], title: str) -> str:
    """What is asked, and what else tells the rows apart."""

    def value(name: str) -> object:
        def of(row: tuple[str, Scores]) -> Cell:
            found: float = getattr(row[1], name)
            return found

        return of

    made = Table.of(
        title,
        rows,
        ("model", "text", lambda row: row[0]),
        ("albums", "int", value("n")),
        ("genres given", "number", value("genres_given")),
        ("genres true", "number", value("genres_true")),
        ("calibration error", "share", value("calibration_error")),
        *(
            (name.replace("_", " "), "share", value(name))
            for name in (
                "macro_ap",
                "micro_ap",
                "macro_roc_auc",
                "macro_f1",
                "micro_f1",
                "sample_f1",
            )
        ),
    )
    return made.to_markdown()


if __name__ == "__main__":
    main()
