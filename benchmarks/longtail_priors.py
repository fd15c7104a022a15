"""What another prior in prediction does to one network: known, or estimated from test bags."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from matt.bags import Bags
from matt.comparison import bag_model, fit_row
from matt.config import SplitSettings
from matt.evaluation.intervals import mean_of, overlap
from matt.evaluation.metrics import range_of
from matt.evaluation.scores import Scores, score
from matt.evaluation.tables import Cell, Column, Table
from matt.grid.study import RepeatedSplits
from matt.recipes import SINGLE

from .longtail_data import Setting, load

PRIORS = {
    "none given": None,
    "training shares": "training",
    "estimated from the test bags": "estimate",
}
COLUMNS = (
    Column("data"),
    Column("prior"),
    Column("accuracy", "mean and sd"),
    Column("macro-F1", "mean and sd"),
    Column("tail recall", "mean and sd"),
    Column("macro-F1 less none given", "difference"),
)
REPEATS = 10


def priors_table(settings: list[Setting], out: Path) -> Table:
    """The single network on some data sets, predicted with each prior."""
    rows = [row for setting in settings for row in _rows(setting, out)]
    notes = (f"{REPEATS} splits. The test artists are those of the data: they are never cut.",)
    return Table("Other priors in prediction", COLUMNS, tuple(rows), notes)


def _rows(setting: Setting, out: Path) -> list[tuple[Cell, ...]]:
    scores, ratio = _scores(setting, out)
    plain = [one.macro_f1 for one in scores["none given"]]
    rows: list[tuple[Cell, ...]] = []
    for name, found in scores.items():
        columns = [[getattr(one, key) for one in found] for key in KEYS]
        shown = (mean_of(column).mean_and_sd for column in columns)
        apart = [one.macro_f1 - two for one, two in zip(found, plain)]
        within = range_of("macro_f1", difference=True)
        less = mean_of(apart, ratio=ratio, within=within).difference
        rows.append((setting.name, name, *shown, None if name == "none given" else less))
    return rows


KEYS = ("accuracy", "macro_f1", "tail_recall")


def _scores(setting: Setting, out: Path) -> tuple[dict[str, list[Scores]], float]:
    """Scores under each prior, one a split; and how splits overlap."""
    data = load(setting, out)
    protocol = RepeatedSplits(repeats=REPEATS, imbalance=setting.imbalance, keep=setting.keep)
    row = replace(bag_model("single", SINGLE.model, SINGLE.training), bags=data.bags)
    found: dict[str, list[Scores]] = {name: [] for name in PRIORS}
    splits = protocol.divide(data.tracks, SplitSettings(), seed=0, by=data.bags)
    for split in splits:
        model = fit_row(row, data.features, split.tracks, seed=split.seed)
        test = Bags.from_tracks(split.tracks, by=data.bags, split="test")
        for name, prior in PRIORS.items():
            predictions = model.predict(data.features, split.tracks, test, prior=prior)
            found[name].append(score(predictions, unit="track_of_bag"))
    return found, overlap(data.tracks, [split.tracks for split in splits])
