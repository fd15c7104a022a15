"""``python -m benchmarks.several TABLE``: several genres an album, on simulated features.

The tracks, artists, albums, genres and splits are those of MTG-Jamendo's table, of a part of its
artists. Its features are **simulated**: what a track's genres sound like in the mean, and what its
artist, its album and itself have of their own, so hard to tell apart that a network's ROC-AUC is
about what is published for audio. So its numbers say what becomes of probabilities and decisions on
a real catalogue's long tail, and nothing of real music.

Asked is whether about as many genres are given as are true, whether probabilities hold, and whether
the default, and one network of it, rank at least as well as their control.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from matt.bags import Bags, group
from matt.calibration.thresholds import choose_thresholds
from matt.comparison import BAG_MODEL, FittedRow, bag_model, strong_controls, track_model
from matt.config import Settings
from matt.datasets.jamendo import load_tracks
from matt.evaluation.intervals import paired_bootstrap
from matt.evaluation.scores import Scores, score
from matt.evaluation.tables import Cell, Table
from matt.features.store import FeatureStore
from matt.predictions import Predictions
from matt.tracks import Tracks

DIMENSIONS = 60
GENRE, ARTIST, ALBUM, TRACK = 0.55, 0.7, 0.4, 1.0  # standard deviations, by what they belong to
SHARE = 0.3  # of the artists
DEFAULT, CONTROL, AVERAGED = "default", "control", "  of each track alone, averaged"


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
        made = measured(tracks, simulated(tracks, seed), seed)
        n = f"{len(tracks):,} tracks, {len(tracks.genres)} genres"
        title = f"Simulated features on MTG-Jamendo's tracks ({n}), seed {seed}"
        print(table(made, title))
        print(differences(made))


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


def measured(tracks: Tracks, features: FeatureStore, seed: int) -> dict[str, Predictions]:
    """Predictions of the test albums, by the row's name."""
    known = Settings()
    training = replace(known.training, threads=1)
    ours = bag_model(BAG_MODEL, known.model, training)
    rows = (
        replace(ours, name=DEFAULT, blend=known.blend),
        ours,
        track_model(CONTROL, known.model, training, average=True),
    )
    made: dict[str, Predictions] = {}
    for row in rows:
        fitted = FittedRow.of(row, features, tracks, seed=seed)
        test = fitted.bags("test").labelled()
        made[row.name] = said = fitted.predict_row(test)
        if row.blend:
            for other in strong_controls(tracks, features.spec.shape)[0].values():
                if (within := fitted.beside(other)) is not None:
                    made[other.name] = within.predict_row(test)
        if row is ours:
            even = fitted.model.predict(features, tracks, test, prior="uniform")
            made["  from one half on"] = replace(said, thresholds=None)
            made["  prior not put back, from one half on"] = replace(even, thresholds=None)
            made["  thresholds of the best F1, unbounded"] = _freely(fitted, said)
            there = tracks.take(tracks.rows(test.track_ids))
            alone = fitted.predict(Bags.from_tracks(there, by="track"))
            made[AVERAGED] = alone.average_over(test)
    return made


def _freely(fitted: FittedRow, said: Predictions) -> Predictions:
    """The same with thresholds that may give a genre as often as they like."""
    valid = fitted.predict_row(fitted.bags("validation").labelled())
    free = choose_thresholds(valid.probabilities, valid.labels, within=(0, np.inf))
    return replace(said, thresholds=free.values)


def table(made: Mapping[str, Predictions], title: str) -> str:
    """What is asked, and what else tells the rows apart."""

    def of(name: str) -> Callable[[tuple[str, Scores]], Cell]:
        return lambda row: getattr(row[1], name)

    rows = [(name, score(said)) for name, said in made.items()]
    counted = ("genres_given", "genres_true")
    shares = ("calibration_error", "macro_ap", "micro_ap", "macro_roc_auc", "macro_f1", "micro_f1")
    return Table.of(
        title,
        rows,
        ("model", "text", lambda row: row[0]),
        ("albums", "int", of("n")),
        *((name.replace("_", " "), "number", of(name)) for name in counted),
        *((name.replace("_", " "), "share", of(name)) for name in shares),
    ).to_markdown()


def differences(made: Mapping[str, Predictions]) -> str:
    """Macro and micro AP less those of the control, on the same resamples of the test artists."""
    told = []
    for name in (DEFAULT, BAG_MODEL, AVERAGED):
        found = paired_bootstrap(made[name], made[CONTROL], unit="bag")
        for metric in ("macro_ap", "micro_ap"):
            low, high = found.interval(metric)
            value = found.estimates[metric]
            told.append(
                f"{name.strip()} less control, {metric}: {value:+.4f} ({low:+.4f} to {high:+.4f})"
            )
    return "\n".join(told)


if __name__ == "__main__":
    main()
