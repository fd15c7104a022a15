"""``python -m benchmarks.landmarks [OUT] [--repeats N]``: what is lost by not using all tracks.

FMA-small is small enough for the whole, so both can be had on the same repeated artist-disjoint
splits: an SVM with its whole kernel, and one that knows it by landmarks, as above
`matt.models.estimators.MOST_KERNEL` tracks; and controls whose settings are chosen by all training
tracks, or by as large a part of them as 6,000 are of the 20,000 of FMA-medium, as above
`matt.models.baselines.MOST_SEARCHED`. The real FMA files are in the folder that the environment
variable MATT_SHARED_DATA names.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean
from unittest.mock import patch

from matt.bags import Bags
from matt.comparison import FittedRow, strong_controls
from matt.config import SplitSettings
from matt.evaluation.intervals import mean_of, overlap
from matt.evaluation.metrics import range_of
from matt.evaluation.scores import Scores, score
from matt.evaluation.tables import Cell, Column, Table
from matt.grid.study import RepeatedSplits
from matt.models import baselines
from matt.models.blend import BESIDE
from matt.models.estimators import LANDMARKS, MOST_KERNEL

from .longtail_data import SMALL, load

KEYS = ("macro_f1", "accuracy", "log_loss")
COLUMNS = (
    Column("control"),
    *(Column(name, "mean and sd") for name in ("macro-F1", "accuracy", "log loss, nats")),
    *(Column(f"less the whole, {name}", "difference") for name in KEYS),
    Column("seconds a split", "number"),
)
PART = 0.3  # of the training tracks


@dataclass(frozen=True)
class Way:
    """A way to fit a control: of the whole, or as many tracks are fitted."""

    control: str
    name: str
    search: bool = False
    landmarks: bool = False
    few: bool = False

    @contextmanager
    def forced(self, n_tracks: int) -> Iterator[None]:
        """Fit so, however few the tracks."""
        with ExitStack() as changed:
            if self.landmarks:
                kernels = dict.fromkeys(MOST_KERNEL, 0)
                changed.enter_context(patch.dict(MOST_KERNEL, kernels))
            if self.few:
                changed.enter_context(patch.object(baselines, "MOST_SEARCHED", 0))
                changed.enter_context(
                    patch.object(baselines, "SEARCHED_ON", round(PART * n_tracks))
                )
            yield


SEARCHES = {"control-svm": "SVM", "control-lr": "logistic regression", "control-hgb": "trees"}
COMPARED: list[tuple[Way, Way]] = [
    (
        Way("control-svm", "SVM, whole kernel"),
        Way("control-svm", f"SVM, {LANDMARKS:,} landmarks", landmarks=True),
    )
] + [
    (
        Way(control, f"{name}, searched on all", search=True, landmarks=True),
        Way(control, f"{name}, searched on {PART:.0%}", search=True, landmarks=True, few=True),
    )
    for control, name in SEARCHES.items()
]


@dataclass
class Found:
    """What a way came to on each split."""

    scores: list[Scores] = field(default_factory=list)
    took: list[float] = field(default_factory=list)


def main() -> None:
    """Fit each way on each split and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.landmarks")
    parser.add_argument("out", type=Path, nargs="?", default=Path("."))
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--only", metavar="WORD", default="", help="in the names of the ways")
    options = parser.parse_args()
    for setting in (SMALL[0], SMALL[2]):
        data = load(setting, options.out)
        protocol = RepeatedSplits(repeats=options.repeats, imbalance=setting.imbalance)
        splits = protocol.divide(data.tracks, SplitSettings(), seed=0, by=data.bags)
        found = {way: Found() for pair in COMPARED for way in pair if options.only in way.name}
        for split in splits:
            rows, _ = strong_controls(split.tracks, data.features.spec.shape, bags=data.bags)
            test = Bags.from_tracks(split.tracks, by=data.bags, split="test")
            for way, one in found.items():
                model = replace(BESIDE, classifier=rows[way.control].model.classifier)
                row = replace(rows[way.control], model=replace(model, search=way.search))
                start = time.perf_counter()
                with way.forced(int((split.tracks.split == "training").sum())):
                    fitted = FittedRow.of(row, data.features, split.tracks, seed=split.seed)
                one.took.append(time.perf_counter() - start)
                one.scores.append(score(fitted.predict_row(test), unit="track_of_bag"))
        ratio = overlap(data.tracks, [split.tracks for split in splits])
        print(table(setting.name, found, ratio).to_markdown(), flush=True)


def table(title: str, found: Mapping[Way, Found], ratio: float) -> Table:
    """Means, paired differences and seconds."""
    rows: list[tuple[Cell, ...]] = []
    for whole, part in COMPARED:
        if whole in found and part in found:
            rows += [line(whole, found[whole]), line(part, found[part], found[whole], ratio)]
    n = [one.n for one in next(iter(found.values())).scores]
    note = f"{len(n)} splits, {min(n):,} to {max(n):,} test tracks; test scored once."
    return Table(title, COLUMNS, tuple(rows), (note,))


def line(way: Way, one: Found, whole: Found | None = None, ratio: float = 0.0) -> tuple[Cell, ...]:
    """One way, and what it has less than the whole, split by split."""
    less: Sequence[Cell] = [None] * len(KEYS)
    if whole is not None:
        pairs = list(zip(one.scores, whole.scores, strict=True))
        less = [
            mean_of(
                [getattr(a, key) - getattr(b, key) for a, b in pairs],
                ratio=ratio,
                within=range_of(key, difference=True),
            ).difference
            for key in KEYS
        ]
    means = [mean_of([getattr(s, key) for s in one.scores]).mean_and_sd for key in KEYS]
    return (way.name, *means, *less, mean(one.took))


if __name__ == "__main__":
    main()
