"""A comparison from data to table: splits, ranks, differences, and that test decides nothing."""

import csv
import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import stats

from matt import Bags, ConfigError, DataError, FeatureStore, Predictions, Tracks, splits
from matt.comparison import FittedRow, data_digest, features_digest
from matt.config import SplitSettings
from matt.evaluation.scores import score
from matt.grid import study
from matt.grid.ranking import RankedRow, difference
from matt.grid.setups import read_grid
from matt.grid.study import ALONE, RepeatedSplits, compare
from matt.runs import Run

N_ARTISTS, GENRES = 40, ("A", "B")
WIDTH = 5
GRID = """
training.epochs = 2
training.lr = 0.02
[grid]
"model.pooling" = ["mean", "dot"]
"""
SHARES = SplitSettings()


def data(split=()):
    """One album of three tracks an artist."""
    torch.set_num_threads(1)
    artist = np.repeat(np.arange(N_ARTISTS), 3)
    labels = artist % 2
    tracks = Tracks(
        np.arange(len(artist)), labels, GENRES, artist_id=artist, album_id=artist, split=split
    )
    values = labels[:, None] + np.random.default_rng(0).normal(size=(len(artist), WIDTH))
    return tracks, FeatureStore.from_arrays("toy", tracks.track_id, values)


def read(tmp_path, text=GRID):
    path = tmp_path / "grid.toml"
    path.write_text(text)
    return read_grid(path)


def compared(tmp_path, text=GRID, out="out", *, tracks=None, repeats=2, controls=False, **options):
    here, store = data()
    grid = read(tmp_path, text)
    features = dict.fromkeys(grid.specs, store)
    return compare(
        here if tracks is None else tracks, features, grid, tmp_path / out,
        protocol=RepeatedSplits(repeats=repeats), controls=controls, **options,
    )  # fmt: skip


def ranking(found):
    return {row["row"]: row for row in found.ranking.to_json()["rows"]}


def test_a_table_has_every_row_its_control_and_the_majority_class(tmp_path):
    found = compared(tmp_path)
    table = ranking(found)
    assert set(table) == {"pooling=mean", "pooling=dot", "control", "control: majority class"}
    assert all(row["n"] == 2 for row in table.values())
    assert [row["rank"] for row in table.values()] == [1, 2, 3, 4]
    means = [row["macro-F1"]["mean"] for row in table.values()]
    assert means == sorted(means, reverse=True)
    assert table["control"]["macro-F1 less best control"] is None
    run = Run.open(found.run.path)
    assert run.manifest["status"] == "finished"
    assert run.scores()["ranking"] == json.loads(json.dumps(found.ranking.to_json()))
    assert {path.name for path in run.path.glob("[!.]*")} == {
        "cells", "cells.csv", "plots", "ranking.csv", "ranking.md", "run.json", "scores.json",
    }  # fmt: skip


def test_strong_controls_stand_in_a_table_once_for_all_rows(tmp_path):
    table = ranking(compared(tmp_path, controls=True))
    strong = {
        f"control: {name}, averaged over the bag"
        for name in ("SVM", "logistic regression", "boosted trees")
    }
    assert set(table) == {
        *strong, "pooling=mean", "pooling=dot", "control", "control: majority class",
    }  # fmt: skip
    assert all(table[name]["control"] for name in strong)
    ranked = [name for name, row in table.items() if row["control"] and row["rank"]]
    best = next(name for name in ranked if name != "control: majority class")
    assert table[best]["macro-F1 less best control"] is None
    assert "macro-F1 less own control" not in table["pooling=dot"]  # they share one


def test_scores_are_those_of_the_row_fitted_by_hand(tmp_path):
    """Against the parts of which a cell is made, on the same splits."""
    found = ranking(compared(tmp_path, test=True))
    tracks, store = data()
    for row in read(tmp_path).rows:
        for part, before in (("validation", ""), ("test", "test ")):
            values = []
            for seed in range(2):
                split = splits.by_artist(tracks, seed=seed)
                fitted = FittedRow.of(row, store, split, seed=seed)
                bags = Bags.from_tracks(split, by="album", split=part)
                predictions = fitted.predict_row(bags)
                values.append(score(predictions, unit="track_of_bag").macro_f1)
            assert found[row.name][f"{before}macro-F1"]["mean"] == pytest.approx(np.mean(values))


@pytest.mark.parametrize("order", ["C", "F"])
def test_jobs_change_nothing(order, tmp_path, monkeypatch):
    """Nor does how the values lie in memory, which the jobs read from a file."""
    tracks, store = data()
    lying = replace(store, blocks=(np.asarray(store.blocks[0], order=order),))
    monkeypatch.setattr(sys.modules[__name__], "data", lambda: (tracks, lying))
    one, two = compared(tmp_path, out="one"), compared(tmp_path, out="two", jobs=2)
    assert one.ranking.to_json() == two.ranking.to_json()
    files = sorted(p.relative_to(one.run.path) for p in one.run.path.rglob("*.parquet"))
    assert len(files) == 3 * 2 * 3  # rows, splits, parts
    for file in files:
        assert (one.run.path / file).read_bytes() == (two.run.path / file).read_bytes()
    assert not (two.run.path / "shared").exists()


def test_more_repeats_add_to_those_that_are_there(tmp_path, monkeypatch):
    compared(tmp_path, repeats=1)
    real, fitted = study.fit_cell, []

    def counted(material, cell):
        fitted.append(cell.name)
        return real(material, cell)

    monkeypatch.setattr(study, "fit_cell", counted)
    found = compared(tmp_path, repeats=2)
    assert len(fitted) == 3
    assert all("(repeat 1)" in name for name in fitted)
    assert ranking(found) == ranking(compared(tmp_path, out="anew"))


def test_other_data_are_other_cells(tmp_path):
    tracks, store = data()
    turned = Tracks(
        tracks.track_id,
        1 - tracks.labels,
        GENRES,
        artist_id=tracks.artist_id,
        album_id=tracks.album_id,
    )
    apart = replace(tracks, album_id=tracks.track_id)
    digests = {data_digest(some, "album") for some in (tracks, turned, apart)}
    assert len(digests) == 3
    assert data_digest(apart, "track") == data_digest(tracks, "track")
    (values,) = store.blocks
    other = FeatureStore.from_arrays(
        "toy", store.track_ids, np.where(values == values.max(), 0, values)
    )
    again = FeatureStore.from_arrays("toy", store.track_ids, values.copy())
    assert features_digest(other) != features_digest(store) == features_digest(again)


def planted(material, cell):
    """Validation says that 'mean' is right, test that it is wrong."""
    row, number = cell.row, cell.split
    tracks, made = material.divisions[number].tracks, {}
    for part in ("validation", "test"):
        bags = Bags.from_tracks(tracks, by="album", split=part)
        right = (row.name == "pooling=mean") == (part == "validation")
        said = bags.labels if right else 1 - bags.labels
        rows = tracks.take(tracks.rows(bags.track_ids))
        made[part] = Predictions(bags, rows, np.eye(2, dtype=np.float32)[said])
    return {**made, ALONE: made["test"].per_track()}


@pytest.mark.parametrize("test", [False, True])
def test_rows_are_ranked_by_validation_even_where_test_says_otherwise(tmp_path, monkeypatch, test):
    monkeypatch.setattr(study, "fit_cell", planted)
    found = compared(tmp_path, test=test)
    table = ranking(found)
    assert (table["pooling=mean"]["rank"], table["pooling=mean"]["macro-F1"]["mean"]) == (1, 1.0)
    assert table["pooling=dot"]["macro-F1"]["mean"] == 0
    told = json.dumps(found.ranking.to_json()) + (found.run.path / "ranking.csv").read_text()
    assert ("test macro-F1" in told) == test
    if test:
        assert table["pooling=mean"]["test macro-F1"]["mean"] == 0
        assert table["pooling=dot"]["test macro-F1"]["mean"] == 1
        assert table["pooling=mean"]["rank"] < table["pooling=dot"]["rank"]


def test_a_row_that_lacks_a_split_has_no_rank_and_a_reason(tmp_path, monkeypatch):
    def broken(material, cell):
        row, number = cell.row, cell.split
        if (row.name, number) == ("pooling=mean", 1):
            raise DataError("planted; mend it")
        return planted(material, cell)

    monkeypatch.setattr(study, "fit_cell", broken)
    found = compared(tmp_path)
    table = ranking(found)
    assert (table["pooling=mean"]["rank"], table["pooling=mean"]["n"]) == (None, 1)
    assert list(table)[-1] == "pooling=mean"
    assert "A row without a rank lacks splits" in " ".join(found.ranking.notes)
    manifest = Run.open(found.run.path).manifest
    assert manifest["status"] == "partial"
    assert manifest["failures"] == [
        {"cell": "pooling=mean (repeat 1)", "reason": "planted; mend it"}
    ]
    with (found.run.path / "cells.csv").open() as file:
        assert [row["why"] for row in csv.DictReader(file) if row["status"] == "failed"] == [
            "planted; mend it"
        ]
    monkeypatch.setattr(study, "fit_cell", planted)
    assert ranking(compared(tmp_path))["pooling=mean"]["rank"] == 1


def test_a_folder_of_something_else_is_refused(tmp_path):
    Run.create(tmp_path / "out", kind="train", settings={}, seed=0)
    with pytest.raises(DataError, match="holds a run of 'matt train'; choose another folder"):
        compared(tmp_path)


def test_what_does_not_fit_the_data_is_refused_before_anything_is_run(tmp_path, monkeypatch):
    text = '[grid.kind]\nCRNN = { model.encoder = "crnn" }\nGPU = { training.device = "cuda:63" }\nMLP = {}'
    with pytest.raises(ConfigError, match=r"nothing was run; ") as caught:
        compared(tmp_path, text)
    told = str(caught.value)
    assert "'CRNN', 'control: CRNN': " in told
    assert "'GPU', 'control: GPU': device 'cuda:63' is not available here" in told
    assert not (tmp_path / "out").exists()


def test_tracks_that_come_with_splits_keep_them(tmp_path):
    part = np.array(["training", "validation", "test"])[np.arange(N_ARTISTS) % 3]
    tracks, _ = data(split=np.repeat(part, 3))
    found = compared(tmp_path, tracks=tracks)
    assert "repeats differ by seed alone" in " ".join(found.ranking.notes)
    with pytest.raises(DataError, match="come with splits, so there is nothing to fold"):
        RepeatedSplits(folds=3).divide(tracks, SHARES, seed=0, by="album")


@pytest.mark.parametrize("folds", [0, 5])
def test_artists_are_whole_in_every_split(folds):
    tracks, _ = data()
    found = RepeatedSplits(repeats=2, folds=folds).divide(tracks, SHARES, seed=7, by="album")
    assert len(found) == 2 * max(folds, 1)
    assert len({data_digest(division.tracks, "album") for division in found}) == len(found)
    for division in found:
        owners = [
            set(division.tracks.in_split(s).artist_id) for s in ("training", "validation", "test")
        ]
        assert all(owners)
        assert sum(map(len, owners)) == N_ARTISTS
    if folds:
        tested = np.concatenate([d.tracks.in_split("test").track_id for d in found[:folds]])
        assert sorted(tested) == tracks.track_id.tolist()


def test_an_artificial_tail_cuts_training_alone():
    tracks, _ = data()
    (whole,) = RepeatedSplits(repeats=1).divide(tracks, SHARES, seed=0, by="album")
    (kept,) = RepeatedSplits(repeats=1, keep={"B": 5}).divide(tracks, SHARES, seed=0, by="album")
    assert kept.tracks.train_counts[1] == 5
    assert (
        kept.tracks.train_counts[0]
        == splits.by_artist(tracks, validation=0.1, test=0.2, seed=0).train_counts[0]
    )
    (cut,) = RepeatedSplits(repeats=1, imbalance=10).divide(tracks, SHARES, seed=0, by="album")
    for part in ("validation", "test"):
        np.testing.assert_array_equal(
            cut.tracks.in_split(part).track_id, whole.tracks.in_split(part).track_id
        )
    counts = sorted(cut.tracks.train_counts)
    assert counts == [round(whole.tracks.train_counts.max() / 10), whole.tracks.train_counts.max()]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [({"repeats": 0}, "repeats must be"), ({"folds": 1}, "folds must be"), ({"imbalance": 0.5}, "imbalance must be")],
)  # fmt: skip
def test_a_protocol_has_possible_numbers(wrong, told):
    with pytest.raises(ConfigError, match=told):
        RepeatedSplits(**wrong)


def test_what_cannot_be_ranked_is_refused():
    tracks, _ = data(split=np.repeat(["training", "test"], N_ARTISTS * 3 // 2))
    with pytest.raises(DataError, match="no validation track has a known genre"):
        RepeatedSplits().divide(tracks, SHARES, seed=0, by="album")
    lone = tracks.with_split(np.where(tracks.labels == 0, "training", "test"))
    with pytest.raises(DataError, match="only one genre has labelled training tracks"):
        RepeatedSplits().divide(lone, SHARES, seed=0, by="album")


def test_differences_and_intervals_against_scipy():
    rng = np.random.default_rng(0)
    one, two = rng.uniform(size=(2, 11))
    one[3] = np.nan  # a cell that failed
    rows = [planned(name, values) for name, values in {"one": one, "two": two}.items()]
    mean, half = difference(*rows)
    interval = stats.ttest_rel(one, two, nan_policy="omit").confidence_interval(0.95)
    np.testing.assert_allclose((mean - half, mean + half), interval)
    assert difference(rows[0], rows[0]) is None
    assert difference(rows[0], planned("none", np.full(11, np.nan))) is None
    # Splits that overlap: 1/n + ratio in place of 1/n.
    overlapping = [planned(row.name, values, 0.25) for row, values in zip(rows, (one, two))]
    wider = difference(*overlapping)
    assert wider == pytest.approx((mean, half * np.sqrt(1 + 10 * 0.25)))


def planned(name, values, ratio=0.0):
    """A row of planned scores; what is NaN failed."""
    scores = [None if np.isnan(value) else SimpleNamespace(macro_f1=value) for value in values]
    return RankedRow(name, "", False, None, {"validation": scores}, {"validation": ratio})


def test_tracks_of_test_are_scored_alone_too_and_never_shown(tmp_path):
    found = compared(tmp_path, test=True)
    for row in found.standings:
        if row.name == "control: majority class":
            continue
        for bags, alone in zip(row.scores["test"], row.scores[ALONE], strict=True):
            assert alone.unit == "track"
            assert alone.n == bags.n
    assert "alone" not in str(found.ranking.to_json()["columns"])


def test_differences_are_of_the_score_that_is_asked_for():
    losses = [1.5, 1.25, 2.0], [1.0, 1.5, 1.0]
    one, two = (
        RankedRow("", "", False, None, {"test": [SimpleNamespace(log_loss=v) for v in each]})
        for each in losses
    )
    less = one.less(two, key="log_loss", part="test")
    assert less.value == pytest.approx(1.25 / 3)
    assert less.low < less.value < less.high
