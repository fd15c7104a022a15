"""A packed model is what was packed, or it is refused and nothing of it is left."""

import io
import json
import zipfile
from contextlib import suppress
from hashlib import sha256
from shutil import copytree

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from matt import Bags, ConfigError, DataError, FeatureStore, Tracks
from matt.models.baselines import BaselineClassifier
from matt.models.classifier import GenreClassifier
from matt.models.packing import CARD, LICENCE, MANIFEST, pack, shown, unpacked
from matt.models.settings import BaselineSettings
from matt.models.tagger import Tagger


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A model folder, what it was fitted on, and the model packed."""
    rng = np.random.default_rng(0)
    labels = np.arange(20) % 2
    tracks = Tracks(np.arange(20), labels, ("Rock", "Folk"))
    features = FeatureStore.from_arrays("toy", tracks.track_id, rng.normal(size=(20, 3)))
    bags = Bags.from_tracks(tracks, by="track")
    folder = tmp_path_factory.mktemp("model")
    model = BaselineClassifier(BaselineSettings(classifier="lr")).fit(features, bags)
    model.save(folder / "model")
    pack(
        folder / "model", folder / "model.zip", about="Ours, of noise.", licence="Do what you like."
    )
    return folder, (features, tracks, bags), model


def parts_of(file):
    with unpacked(file) as folder:
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }


def test_what_is_opened_predicts_what_was_packed(fitted):
    folder, data, model = fitted
    with unpacked(folder / "model.zip") as place:
        again = GenreClassifier.load(place)
        assert (place / LICENCE).read_text() == "Do what you like."
    np.testing.assert_array_equal(again.predict(*data).logits, model.predict(*data).logits)
    assert not place.exists()


def test_equal_models_are_equal_files_and_nothing_is_replaced_unasked(fitted, tmp_path):
    folder, *_ = fitted
    digests = {
        pack(folder / "model", tmp_path / name, about="a", force=True)
        for name in ("a.zip", "b.zip", "a.zip")
    }
    assert digests == {sha256((tmp_path / "a.zip").read_bytes()).hexdigest()}
    before = (tmp_path / "a.zip").read_bytes()
    with pytest.raises(DataError, match="force"):
        pack(folder / "model", tmp_path / "a.zip", about="other")
    assert (tmp_path / "a.zip").read_bytes() == before
    with pytest.raises(ConfigError, match=r"must end in \.zip"):
        pack(folder / "model", tmp_path / "a.tar", about="")


def test_the_card_names_genres_counts_and_what_the_maker_says(fitted):
    folder, *_ = fitted
    found = shown(folder / "model.zip")
    assert found["card"].startswith("# Model card\n\nOurs, of noise.")
    for text in (found["card"], found["facts"]):
        assert "20 tracks of 2 genres: Folk (10), Rock (10)" in text
        assert "Not known: there were no validation albums" in text
    assert "Ours" not in found["facts"]
    assert found["licence"]
    assert found["sha256"] == sha256((folder / "model.zip").read_bytes()).hexdigest()
    assert (shown(folder / "model")["sha256"], shown(folder / "model")["card"]) == (None, "")


def test_what_is_not_of_the_model_is_not_packed(fitted, tmp_path):
    folder, *_ = fitted
    copytree(folder / "model", tmp_path / "model")
    (tmp_path / "model" / "secrets.json").write_text("{}")
    (tmp_path / "model" / "link.json").symlink_to(tmp_path / "model" / "secrets.json")
    pack(tmp_path / "model", tmp_path / "model.zip", about="")
    assert set(parts_of(tmp_path / "model.zip")) == {"model.json", "weights.safetensors", CARD}


def test_what_is_wrong_inside_is_told_of_the_file(fitted, tmp_path):
    folder, *_ = fitted
    whole = parts_of(folder / "model.zip")
    content = json.loads(whole["model.json"])
    for name, data in {
        "model.json": json.dumps({**content, "versions": [1]}).encode(),
        CARD: b"\xff\xfe",
    }.items():
        file = tmp_path / "model.zip"
        file.write_bytes(zipped({**whole, name: data}))
        with pytest.raises(DataError) as told:
            shown(file)
        assert str(told.value).startswith(f"{file}/model.json is damaged")


def test_a_packed_tagger_brings_the_licence_of_its_weights(tmp_path):
    Tagger().save(tmp_path / "model")
    pack(tmp_path / "model", tmp_path / "model.zip", about="")
    parts = parts_of(tmp_path / "model.zip")
    assert b"Music Technology Group" in parts["musicnn.LICENSE.md"]
    assert b"Million Song Dataset" in parts[CARD]


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_spoilt_at_any_byte_it_is_refused_or_the_same(fitted, tmp_path, data):
    folder, *_ = fitted
    whole = (folder / "model.zip").read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    spoilt = bytearray(whole)
    spoilt[at] ^= data.draw(st.integers(1, 255))
    file = tmp_path / "spoilt.zip"
    file.write_bytes(spoilt)
    with suppress(DataError):
        assert parts_of(file) == parts_of(folder / "model.zip")


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 0.999))
def test_cut_off_anywhere_it_is_refused(fitted, tmp_path, share):
    folder, *_ = fitted
    whole = (folder / "model.zip").read_bytes()
    file = tmp_path / "cut.zip"
    file.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DataError, match="not a whole packed model"):
        parts_of(file)


def test_a_zip_of_very_many_entries_is_refused_before_they_are_listed(tmp_path, monkeypatch):
    file = tmp_path / "model.zip"
    file.write_bytes(zipped({f"{n}.json": b"" for n in range(300)}))

    def listed(*_):
        raise AssertionError("the entries were listed")

    monkeypatch.setattr(zipfile, "ZipFile", listed)
    with pytest.raises(DataError, match="it holds 301 parts"):
        parts_of(file)


def zipped(parts, *, told=None, method=zipfile.ZIP_STORED, first=MANIFEST):
    """A zip of parts whose manifest is right, unless told otherwise."""
    right = {
        name: {"bytes": len(data), "sha256": sha256(data).hexdigest()}
        for name, data in parts.items()
    }
    content = {"schema": "matt.pack/1", "parts": right if told is None else told}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr(first, json.dumps(content))
        for name, data in parts.items():
            archive.writestr(name, data)
    return file.getvalue()


MODEL = {"model.json": b"{}"}
STRANGE = {
    "a path out of the folder": zipped({"../model.json": b"{}"}),
    "an absolute path": zipped({"/model.json": b"{}"}),
    "a windows path": zipped({"a\\..\\model.json": b"{}"}),
    "a script": zipped({"model.py": b"print()"}),
    "a pickle": zipped({"weights.pkl": b"x"}),
    "a hidden file": zipped({".ssh/config.json": b"x"}),
    "compressed": zipped(MODEL, method=zipfile.ZIP_DEFLATED),
    "no manifest": zipped(MODEL, first="other.json"),
    "parts that are not told": zipped(MODEL, told={}),
    "parts that are not there": zipped({}, told={"model.json": {"bytes": 2, "sha256": "0"}}),
    "another size": zipped(MODEL, told={"model.json": {"bytes": 3, "sha256": "0"}}),
    "another digest": zipped(MODEL, told={"model.json": {"bytes": 2, "sha256": "0"}}),
    "a manifest that is a list": zipped(MODEL, told=[]),
    "two thousand parts": zipped({f"{n}.json": b"" for n in range(2000)}),
    "no zip": b"no zip",
    "nothing": b"",
}


@pytest.mark.parametrize("content", STRANGE.values(), ids=STRANGE)
def test_what_is_strange_is_refused_before_it_is_used(tmp_path, content):
    file = tmp_path / "inner" / "model.zip"
    file.parent.mkdir()
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"not a whole packed model .* from whom you trust"):
        parts_of(file)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [file]
