"""``python -m benchmarks.teaching``: whether a chosen next album teaches more than a random one.

A simulated person decides albums of the training artists, 20 at a time, and is always right; after
each 20 a logistic regression learns from all labelled albums, and says of the others what it
thinks. Which 20 are next is chosen at random, or by a rule of `matt.review.teaching`. All begin
with the same labelled albums, drawn at random: 10 (nothing is tagged) or 100 (some are). Artists of
test and validation are nobody's of those. The table has the mean of macro-F1 over 20, 40, ... 200
decisions, the height of the learning curve; validation chooses the default.

FMA-small is in the folder that the environment variable MATT_SHARED_DATA names.
"""

from __future__ import annotations

import argparse
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from numpy.typing import NDArray

from matt import splits
from matt.bags import Bags
from matt.evaluation.intervals import mean_of, overlap, paired_note
from matt.evaluation.metrics import confusion_matrix, macro_f1
from matt.evaluation.tables import Cell, Column, Table
from matt.features.store import FeatureStore
from matt.models.baselines import track_means
from matt.reproduce.data import open_data
from matt.review.teaching import in_turn, worth
from matt.tracks import Tracks

STARTS, STEP, BUDGET = (10, 100), 20, 200  # albums
PARTS = ("validation", "test")
RANDOM = "random"
RULES: Mapping[str, Mapping[str, bool] | None] = {
    RANDOM: None,
    "artists": {"by_margin": False},
    "genres": {"by_margin": False, "by_genre": True, "by_artist": False},
    "margin": {"by_artist": False},
    "margin, artists": {},
    "margin, genres": {"by_genre": True, "by_artist": False},
    "margin, artists, genres": {"by_genre": True},
}


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Data that albums are chosen from."""

    name: str
    data: str
    imbalance: float = 1.0
    keep: Mapping[str, int] = field(default_factory=dict)


SETTINGS = (
    Setting(
        name="FMA, Rock and 40 tracks of Hip-Hop",
        data="fma-mfcc",
        keep={"Hip-Hop": 40},
    ),
    Setting(name="FMA-small, balanced", data="fma-small-46"),
    Setting(name="FMA-small, cut to 1:50", data="fma-small-46", imbalance=50),
)


@dataclass(frozen=True, eq=False)
class Albums:
    """Albums of one split: means over their tracks, labels and artists."""

    values: NDArray[np.float64]
    labels: NDArray[np.int64]
    artists: NDArray[np.int64]

    @classmethod
    def of(cls, tracks: Tracks, features: FeatureStore, by: str, split: str) -> Albums:
        """The labelled ones."""
        bags = Bags.from_tracks(tracks, by=by, split=split).labelled()
        means = np.add.reduceat(track_means(features, bags.track_ids), bags.offsets[:-1])
        artists = tracks.artist_id[tracks.rows(bags.track_ids[bags.offsets[:-1]])]
        return cls(means / bags.sizes[:, None], bags.labels, artists)


def learn(
    pool: Albums, decided: Sequence[int], n_genres: int
) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """What learns from some albums: values to probabilities, shape (b, G)."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=0.1, max_iter=300)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not converged is good enough, for all rules alike
        model.fit(pool.values[decided], pool.labels[decided])

    def predict(values: NDArray[np.float64]) -> NDArray[np.float64]:
        found = np.zeros((len(values), n_genres))
        found[:, model.classes_] = model.predict_proba(values)
        return found

    return predict


def chosen(
    rule: Mapping[str, bool] | None,
    probabilities: NDArray[np.float64],
    pool: Albums,
    decided: Sequence[int],
    rng: np.random.Generator,
) -> list[int]:
    """The albums that are decided next."""
    there = rng.permutation(np.setdiff1d(np.arange(len(pool.labels)), decided))
    if rule is None:
        return [int(one) for one in there[:STEP]]
    n_genres = probabilities.shape[1]
    counts = np.bincount(pool.labels[decided], minlength=n_genres)
    known = Counter(pool.artists[decided].tolist())
    of_artist = [known[artist] for artist in pool.artists[there].tolist()]
    found = worth(probabilities[there], counts, np.array(of_artist), **rule)
    if not rule.get("by_artist", True):
        return [int(one) for one in there[np.argsort(-found, kind="stable")[:STEP]]]
    order = in_turn(found, pool.artists[there].tolist(), of_artist)
    return [int(there[place]) for place, _ in order[:STEP]]


def curve(
    rule: Mapping[str, bool] | None,
    albums: Mapping[str, Albums],
    n_genres: int,
    *,
    start: int,
    seed: int,
) -> dict[str, list[float]]:
    """Macro-F1 of validation and test after each number of decisions."""
    pool, rng = albums["training"], np.random.default_rng(seed)
    order = rng.permutation(len(pool.labels)).tolist()
    other = next(i for i in order if pool.labels[i] != pool.labels[order[0]])
    decided = [order[0], other, *(i for i in order[1:] if i != other)][:start]
    found: dict[str, list[float]] = {part: [] for part in PARTS}
    predict = learn(pool, decided, n_genres)
    while len(decided) < min(start + BUDGET, len(pool.labels)):
        decided += chosen(rule, predict(pool.values), pool, decided, rng)
        predict = learn(pool, decided, n_genres)
        for part in PARTS:
            best = predict(albums[part].values).argmax(axis=1)
            told = confusion_matrix(albums[part].labels, best, n_genres)
            found[part].append(macro_f1(told))
    return found


def measure(
    setting: Setting, repeats: int, *, start: int
) -> tuple[dict[str, dict[str, list[float]]], float]:
    """Height of each rule's curve, a number a split; and what splits share, see `overlap`."""
    data = open_data(setting.data)
    features = data.features(data.fullest)
    tracks = data.tracks.with_split(np.full(len(data.tracks), ""))
    found: dict[str, dict[str, list[float]]] = {
        rule: {part: [] for part in PARTS} for rule in RULES
    }
    divided = []
    for seed in range(repeats):
        split = splits.by_artist(tracks, validation=0.1, test=0.2, seed=seed)
        keep = setting.keep or (
            splits.long_tail(split, ratio=setting.imbalance, seed=seed)
            if setting.imbalance > 1
            else {}
        )
        split = splits.thin(split, keep, by=data.bags, seed=seed)
        divided.append(split)
        albums = {
            part: Albums.of(split, features, data.bags, part) for part in ("training", *PARTS)
        }
        mean, scale = albums["training"].values.mean(axis=0), albums["training"].values.std(axis=0)
        albums = {
            part: Albums((one.values - mean) / np.maximum(scale, 1e-9), one.labels, one.artists)
            for part, one in albums.items()
        }
        for name, rule in RULES.items():
            for part, values in curve(
                rule, albums, len(tracks.genres), start=start, seed=seed
            ).items():
                found[name][part].append(float(np.nanmean(values)))
    return found, overlap(tracks, divided)


COLUMNS = (
    Column("data"),
    Column("labelled first", "int"),
    Column("next is chosen by"),
    Column("macro-F1, validation", "mean and sd"),
    Column("macro-F1, test", "mean and sd"),
    Column("test, less random", "difference"),
    Column("test, less margin", "difference"),
)


def table(repeats: int) -> Table:
    """Every rule on all data, with paired differences."""
    rows: list[tuple[Cell, ...]] = []
    ranks: dict[str, list[float]] = {rule: [] for rule in RULES}
    ratio = 0.0
    for setting, start in product(SETTINGS, STARTS):
        found, ratio = measure(setting, repeats, start=start)
        for name, parts in found.items():
            ranks[name].append(float(np.mean(parts["validation"])))
            less = [
                None if name == other else mean_of(apart, ratio=ratio).difference
                for other in (RANDOM, "margin")
                for apart in [np.subtract(parts["test"], found[other]["test"]).tolist()]
            ]
            means = (mean_of(parts[part]).mean_and_sd for part in PARTS)
            rows.append((setting.name, start, name, *means, *less))
    best = max(ranks, key=lambda rule: float(np.mean(ranks[rule])))
    notes = (
        f"{repeats} artist-disjoint splits each. {paired_note(ratio)}",
        f"On validation, averaged over the data, the best is {best!r}: "
        + ", ".join(f"{name} {np.mean(values):.3f}" for name, values in ranks.items()),
    )
    return Table("Which album is decided next", COLUMNS, tuple(rows), notes)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.teaching")
    parser.add_argument("--repeats", type=int, default=20)
    print(table(parser.parse_args().repeats).to_markdown())


if __name__ == "__main__":
    main()
