"""``python -m benchmarks.landmarks [OUT]``: what an SVM loses that knows its kernel by landmarks.

FMA-small is small enough for the whole kernel, so both can be had: the control of every table, and
the same as it is fitted above `matt.models.estimators.MOST_KERNEL` tracks, each with its default
settings, on the same repeated artist-disjoint splits. The real FMA files are in the folder that the
environment variable MATT_SHARED_DATA names.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from statistics import mean

from matt.bags import Bags
from matt.comparison import FittedRow, strong_controls
from matt.config import SplitSettings
from matt.evaluation.intervals import mean_of, overlap
from matt.evaluation.metrics import range_of
from matt.evaluation.scores import Scores, score
from matt.evaluation.tables import Cell, Column, Table
from matt.grid.study import RepeatedSplits
from matt.models.blend import BESIDE
from matt.models.estimators import LANDMARKS, MOST_KERNEL

from .longtail_data import SMALL, load

PLAIN = replace(BESIDE, classifier="svm_stacked", search=False)
KEYS = ("macro_f1", "accuracy", "log_loss")
ROWS = ("whole kernel", f"{LANDMARKS:,} landmarks")
COLUMNS = (
    Column("SVM"),
    *(Column(name, "mean and sd") for name in ("macro-F1", "accuracy", "log loss, nats")),
    *(Column(f"less the whole kernel, {name}", "difference") for name in KEYS),
    Column("seconds a split", "number"),
)


@contextmanager
def forced() -> Iterator[None]:
    """Landmarks for every SVM, however few its tracks."""
    kept = dict(MOST_KERNEL)
    MOST_KERNEL.update(dict.fromkeys(kept, 0))
    try:
        yield
    finally:
        MOST_KERNEL.update(kept)


def main() -> None:
    """Fit both on each split and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.landmarks")
    parser.add_argument("out", type=Path, nargs="?", default=Path("."))
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    for setting in (SMALL[0], SMALL[2]):
        data = load(setting, options.out)
        protocol = RepeatedSplits(repeats=options.repeats, imbalance=setting.imbalance)
        splits = protocol.divide(data.tracks, SplitSettings(), seed=0, by=data.bags)
        found: dict[str, list[Scores]] = {name: [] for name in ROWS}
        took: dict[str, list[float]] = {name: [] for name in ROWS}
        for split in splits:
            rows, _ = strong_controls(split.tracks, data.features.spec.shape, bags=data.bags)
            row = replace(rows["control-svm"], model=PLAIN)
            test = Bags.from_tracks(split.tracks, by=data.bags, split="test")
            for name in ROWS:
                start = time.perf_counter()
                with forced() if name == ROWS[1] else nullcontext():
                    fitted = FittedRow.of(row, data.features, split.tracks, seed=split.seed)
                took[name].append(time.perf_counter() - start)
                found[name].append(score(fitted.predict_row(test), unit="track_of_bag"))
        ratio = overlap(data.tracks, [split.tracks for split in splits])
        print(table(setting.name, found, took, ratio).to_markdown())


def table(
    title: str, found: dict[str, list[Scores]], took: dict[str, list[float]], ratio: float
) -> Table:
    """Means, paired differences and seconds."""
    rows: list[tuple[Cell, ...]] = []
    for name, scores in found.items():
        each = {key: [getattr(one, key) for one in scores] for key in KEYS}
        whole = {key: [getattr(one, key) for one in found[ROWS[0]]] for key in KEYS}
        less: list[Cell] = [None] * len(KEYS)
        if name != ROWS[0]:
            less = [
                mean_of(
                    [a - b for a, b in zip(each[key], whole[key], strict=True)],
                    ratio=ratio,
                    within=range_of(key, difference=True),
                ).difference
                for key in KEYS
            ]
        means = [mean_of(each[key]).mean_and_sd for key in KEYS]
        rows.append((name, *means, *less, mean(took[name])))
    n = [one.n for one in found[ROWS[0]]]
    note = f"{len(n)} splits, {min(n):,} to {max(n):,} test tracks; test scored once."
    return Table(title, COLUMNS, tuple(rows), (note,))


if __name__ == "__main__":
    main()
