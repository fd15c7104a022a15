"""`matt.Library`: what the command line does, as four lines of Python."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import matt
from matt import Bags, BaselineClassifier, ConfigError, DataError, FeatureSpec, FeatureStore
from matt.cli.sources import default_store
from matt.datasets.folder import scan
from matt.datasets.synthetic import write_library
from matt.features.extract import extract
from matt.library import predict as predict_module
from matt.library.predict import AskedModel, predict_explained, predict_library
from matt.library.selection import Selection
from matt.models.settings import BaselineSettings
from matt.models.tagger import Tagger


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A synthetic library, its features, and a baseline that has learned its genres."""
    place = tmp_path_factory.mktemp("home")
    write_library(place / "music", seed=1, tracks=46, seconds=(1.0, 1.2), workers=1)
    found = scan(place / "music")
    extract(found.tracks, FeatureSpec.summary(), place / "store", workers=1)
    features = FeatureStore.open(place / "store")
    heard = found.tracks.take(np.isin(found.tracks.track_id, features.track_ids))
    model = BaselineClassifier(BaselineSettings(classifier="lr"))
    model.fit(features, Bags.from_tracks(heard, by="track").labelled())
    model.save(place / "model")
    return place, model


@pytest.fixture
def library(made, tmp_path, monkeypatch):
    place, model = made
    monkeypatch.setenv("MATT_CACHE", str(tmp_path / "cache"))  # what tags say is remembered there
    return matt.Library(place / "music", model=model, store=place / "store")


def test_a_library_says_what_the_parts_say(made, library, tmp_path):
    place, model = made
    found = library.predict(workers=1)
    parts = predict_library(scan(place / "music"), model, place / "store", workers=1)
    assert found.rows == parts.rows
    assert found.at("album") == sorted(found.rows, key=found.at("album").index)
    assert Counter(row["status"] for row in found.rows)["new"] > 0
    found.write(tmp_path / "a.json", level="track")
    told = json.loads((tmp_path / "a.json").read_text())
    assert told["tracks"] == found.at("track")
    with pytest.raises(DataError, match="is there already"):
        found.write(tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text()) == told
    found.write(tmp_path / "a.json", force=True)
    assert json.loads((tmp_path / "a.json").read_text())["albums"] == found.at("album")
    assert len(told["tracks"]) == len(library.features)
    assert "music" in repr(library)


def test_each_track_is_said_to_be_what_the_model_says_of_it_alone(made, library):
    _, model = made
    found = library.predict(workers=1)
    tracks = found.predictions.tracks
    alone = model.predict(library.features, tracks, Bags.from_tracks(tracks, by="track"))
    best = dict(zip(tracks.track_id.tolist(), alone.probabilities.max(axis=1), strict=True))
    for track in found.at("track"):
        assert track["top"][0]["probability"] == pytest.approx(best[track["track_id"]], abs=1e-4)
        assert track["alone"]


def test_without_tracks_alone_nothing_is_explained_and_there_are_no_rows_of_tracks(
    made, monkeypatch
):
    place, model = made
    explained = []

    def explaining(*given, **options):
        explained.append(1)
        return predict_explained(*given, **options)

    monkeypatch.setattr(predict_module, "predict_explained", explaining)
    found = scan(place / "music")
    predict_library(found, model, place / "store", workers=1)
    few = predict_library(found, model, place / "store", alone=False, workers=1)
    assert len(explained) == 1
    assert len(few.at("album")) == len(few.predictions)
    with pytest.raises(ConfigError, match="predict with alone=True"):
        few.at("track")


def test_only_what_is_asked_for_is_said_and_nothing_may_be(library, tmp_path):
    rows = library.predict(workers=1).rows
    new = library.predict(Selection(untagged=True), workers=1)
    assert new.rows == [row for row in rows if row["status"] == "new"]
    none = library.predict(Selection(only=("no such thing",)), workers=1)
    assert (len(none.predictions), none.rows, none.at("track")) == (0, [], [])
    none.write(tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text().startswith("artist,album,")


def test_the_scan_is_made_once_and_features_where_the_command_line_has_them(made, monkeypatch):
    place, _ = made
    monkeypatch.setenv("MATT_CACHE", str(place / "cache"))
    library = matt.Library(place / "music", model=place / "model")
    assert library.scan is library.scan
    assert library.learned is None
    assert library.store == default_store(place / "music", library.model.spec)
    with pytest.raises(DataError):
        library.features  # noqa: B018 - none yet


def test_a_part_of_a_library_is_answered_from_its_features(made, tmp_path, monkeypatch):
    place, model = made
    monkeypatch.setenv("MATT_CACHE", str(tmp_path / "cache"))
    whole = matt.Library(place / "music", model=model)
    rows = whole.predict(workers=1).rows
    file = next(
        path for path in whole.scan.tracks.path if len(Path(path).relative_to(place).parts) > 3
    )
    folder, album = Path(file).parent.parent, Path(file).parent.name
    part = matt.Library(folder, model=model)
    assert part.store == whole.store
    found = part.predict(Selection(only=(f"{album}/*",)), workers=1)
    assert found.extraction.extracted == 0
    told = {track["track_id"] for row in found.rows for track in row["tracks"]}
    heard = {track["track_id"]: track["path"] for row in rows for track in row["tracks"]}
    assert told == {n for n, path in heard.items() if Path(path).is_relative_to(folder / album)}
    assert told
    assert len(list((tmp_path / "cache").rglob("plan-*.parquet"))) == 1


def test_a_model_is_opened_with_what_to_know_of_it(made):
    place, model = made
    (shipped,) = AskedModel.open().notes
    assert "the tagger that comes with matt" in shipped
    opened = AskedModel.open(place / "model")
    assert "a model without its run does not tell" in opened.notes[0]
    assert (opened.spec, opened.learned, opened.bar) == (model.spec, None, None)
    with pytest.raises(TypeError, match="model must be"):
        AskedModel.open(3)


def test_what_cannot_be_asked_is_refused_before_anything_is_heard(made, tmp_path):
    place, _ = made
    library = matt.Library(place / "music", store=tmp_path / "store")
    assert isinstance(library.model, Tagger)
    with pytest.raises(ConfigError, match="accuracy is about calibrated probabilities"):
        library.predict(accuracy=0.8)
    assert not (tmp_path / "store").exists()
    with pytest.raises(DataError, match="does not exist"):
        matt.Library(place / "music", model=place / "none")
    with pytest.raises(TypeError, match="model must be"):
        matt.Library(place / "music", model=3)
    assert matt.Library("~/music").path == Path.home() / "music"


def test_a_library_explains_checks_compares_and_plays(library, tmp_path):
    rows = [row for row in library.predict(workers=1).rows if row["album"]]
    album = max(rows, key=lambda row: row["n_tracks"])
    (told, *_) = library.explain(album["path"], workers=1)
    assert {Path(track["path"]) for track in told["tracks"]} >= {
        Path(track["path"]) for track in album["tracks"]
    }
    assert told["likely"] == (album["genre"] or album["top"][0]["genre"])
    near = library.similar(album["path"], most=3, workers=1)
    assert len(near) == 3
    assert album["artist"] not in {row["artist"] for row in near}
    found = library.check(workers=1)
    assert {one.kind for one in found} <= {
        "copy",
        "spelling",
        "disagrees",
        "mixed tags",
        "odd track",
    }
    assert [one.sure for one in found] == sorted((one.sure for one in found), reverse=True)
    genre = next(row["tagged"] for row in rows if row["tagged"])
    chosen = library.playlist(tmp_path / "a.m3u8", genre=genre, by="tags")
    assert set(chosen.columns["genre_tags"].tolist()) == {genre}
    lines = (tmp_path / "a.m3u8").read_text(encoding="utf-8").splitlines()
    assert len([line for line in lines if not line.startswith("#")]) == len(chosen)
    with pytest.raises(DataError, match="there already"):
        library.playlist(tmp_path / "a.m3u8", genre=genre, by="tags")
    like = library.playlist(tmp_path / "b.m3u8", like=album["path"], most=album["n_tracks"] + 2)
    own = {str(Path(track["path"])) for track in album["tracks"]}
    assert {*like.path[: len(own)].tolist()} == own
    assert len(like) == len(own) + 2
    with pytest.raises(ConfigError, match="a playlist of what"):
        library.playlist(tmp_path / "c.m3u8")
