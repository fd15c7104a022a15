"""``matt cache``: what is kept of which library, forgetting it, and moving it."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from matt import DataError, FeatureSpec, FeatureStore
from matt.cli.app import app
from matt.cli.sources import default_store
from matt.datasets.folder import scan
from matt.datasets.memory import memory_file, remembered_folder
from matt.features.blocks import create, write_block
from matt.files import lock, unlock
from matt.library import cache as cache_module
from matt.library.cache import kept_libraries, library_of, move_cache
from tests.test_memory import audio

SPEC = FeatureSpec.embedding("made-up", (3,))


def matt(*arguments):
    result = CliRunner().invoke(app, ["cache", *map(str, arguments), "--json"])
    return result.exit_code, json.loads(result.stdout)


def fill(store, n):
    create(store, SPEC)
    rows = {"track_id": np.arange(n), "start": np.arange(n), "n_segments": np.ones(n, int)}
    values = np.arange(3 * n, dtype=np.float32).reshape(n, 3)
    write_block(store, 0, 0, values, {**rows, "status": ["ok"] * n, "reason": [""] * n})


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Two libraries, with tags and features of each."""
    monkeypatch.setenv("MATT_CACHE", str(tmp_path / "cache"))
    for name, n in (("large", 50), ("small", 2)):
        audio(tmp_path / name / "a.flac", artist="A", album="B")
        scan(tmp_path / name, remembered=tmp_path / "cache" / "scans")
        fill(default_store(tmp_path / name, SPEC), n)
    return tmp_path / "cache"


def everything(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in (".lock", ".writer")
    }


def test_what_is_kept_is_shown_with_its_library(cache, tmp_path):
    code, told = matt("show")
    assert code == 0
    assert told["cache"] == str(cache)
    assert [one["folder"] for one in told["libraries"]] == [
        str(tmp_path / "large"), str(tmp_path / "small"),
    ]  # fmt: skip
    held = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
    assert sum(one["n_bytes"] for one in told["libraries"]) == held
    assert not any(one["gone"] for one in told["libraries"])
    printed = CliRunner().invoke(app, ["cache", "show"], env={"COLUMNS": "80"}).stdout
    assert "large" in printed
    assert "made-up" in printed or "embedding" in printed


def test_an_empty_cache_is_no_error(tmp_path, monkeypatch):
    monkeypatch.setenv("MATT_CACHE", str(tmp_path / "nowhere"))
    told = {"schema": "matt.cache/1", "cache": str(tmp_path / "nowhere"), "libraries": []}
    assert matt("show") == (0, told)
    assert matt("prune", "--unused", 0)[0] == 0
    assert not (tmp_path / "nowhere").exists()


def test_what_is_named_is_forgotten_and_nothing_else(cache, tmp_path):
    music = everything(tmp_path / "small")
    code, told = matt("prune", tmp_path / "small", "--dry-run")
    assert (code, told["dry_run"], len(kept_libraries(cache))) == (0, True, 2)
    code, told = matt("prune", tmp_path / "small")
    assert [one["folder"] for one in told["forgotten"]] == [str(tmp_path / "small")]
    assert [one.folder for one in kept_libraries(cache)] == [str(tmp_path / "large")]
    assert everything(tmp_path / "small") == music
    assert not list(cache.glob("*/small*"))
    assert matt("prune", tmp_path / "small")[0] == 2  # nothing is kept of it any more
    code, told = matt("prune")
    assert code == 2
    assert "--unused DAYS" in told["error"]


def test_a_library_whose_disk_may_not_be_mounted_is_forgotten_on_demand_only(cache, tmp_path):
    shutil.rmtree(tmp_path / "large")
    (tmp_path / "large").mkdir()  # where it is mounted
    shutil.rmtree(tmp_path / "small")
    assert [one["gone"] for one in matt("show")[1]["libraries"]] == [True, True]
    audio(tmp_path / "small" / "a.flac")
    assert len(matt("prune", "--unused", 1)[1]["forgotten"]) == 0  # both are of today
    told = matt("prune", "--unused", 0)[1]
    assert [one["folder"] for one in told["forgotten"]] == [str(tmp_path / "small")]
    result = CliRunner().invoke(app, ["cache", "prune", "--unused", "0"])
    assert "1 more are not used, but their folders are gone or not known" in result.stderr
    told = matt("prune", "--gone")[1]
    assert [one["folder"] for one in told["forgotten"]] == [str(tmp_path / "large")]
    assert not kept_libraries(cache)


def test_a_scan_counts_as_use(cache, tmp_path):
    for path in cache.rglob("*"):
        os.utime(path, (10**9, 10**9))
    scan(tmp_path / "small", remembered=cache / "scans")
    told = matt("prune", "--unused", 30)[1]
    assert [one["folder"] for one in told["forgotten"]] == [str(tmp_path / "large")]


def test_what_is_being_written_is_not_removed(cache, tmp_path, monkeypatch):
    store = default_store(tmp_path / "large", SPEC)

    def taken(folder):
        if folder == store:
            raise DataError(f"{folder} is being written by another process")
        lock(folder)

    monkeypatch.setattr(cache_module, "lock", taken)
    before = everything(cache)
    assert matt("prune", tmp_path / "small", tmp_path / "large")[0] == 2
    assert matt("move", tmp_path / "elsewhere")[0] == 2
    unlock(store)
    here, there = everything(cache), tmp_path / "elsewhere"
    assert here | (everything(there) if there.exists() else {}) == before


@pytest.mark.parametrize("another_disk", [False, True])
def test_all_that_is_kept_moves(another_disk, cache, tmp_path, monkeypatch):
    if another_disk:
        monkeypatch.setattr(cache_module, "_renamed", lambda source, target: False)
    before = everything(cache)
    code, told = matt("move", tmp_path / "disk" / "matt")
    assert code == 0
    assert len(told["moved"]) == 4
    assert everything(tmp_path / "disk" / "matt") == before
    assert not everything(cache)
    monkeypatch.setenv("MATT_CACHE", str(tmp_path / "disk" / "matt"))
    assert len(FeatureStore.open(default_store(tmp_path / "large", SPEC))) == 50
    assert len(matt("show")[1]["libraries"]) == 2


def test_an_interrupted_move_loses_nothing_and_goes_on(cache, tmp_path, monkeypatch):
    def fail(source, target):
        if len(copied) == 1:
            shutil_copy(source / "spec.json", target)  # half of it
            raise OSError(28, "No space left on device")
        copied.append(source)
        return real(source, target)

    copied, real, shutil_copy = [], shutil.copytree, shutil.copytree.__globals__["copy2"]
    before, to = everything(cache), tmp_path / "to"
    with monkeypatch.context() as patched:
        patched.setattr(cache_module, "_renamed", lambda source, target: False)
        patched.setattr(cache_module.shutil, "copytree", fail)
        code, told = matt("move", to)
    assert code == 2
    assert "No space left" in told["error"]
    assert everything(cache) | everything(to) == before
    assert not everything(cache).keys() & everything(to).keys()
    assert matt("move", to)[0] == 0
    assert everything(to) == before


@pytest.mark.parametrize("to", ["cache", "cache/inside", "."])
def test_a_move_into_itself_is_refused(to, cache, tmp_path):
    with pytest.raises(DataError, match="lie in each other"):
        list(move_cache(cache, tmp_path / to))
    assert len(kept_libraries(cache)) == 2


def test_what_is_kept_twice_is_refused_before_anything_moves(cache, tmp_path):
    before = everything(cache)
    shutil.copytree(cache / "scans", tmp_path / "to" / "scans")
    with pytest.raises(DataError, match="is there already; name a folder without it"):
        list(move_cache(cache, tmp_path / "to"))
    assert everything(cache) == before


def test_a_library_that_moved_takes_along_what_is_kept(cache, tmp_path):
    values = FeatureStore.open(default_store(tmp_path / "large", SPEC)).read(np.arange(50))[0]
    (tmp_path / "large").rename(tmp_path / "moved")
    assert matt("move", tmp_path / "moved", "--from", tmp_path / "large")[0] == 0
    store = FeatureStore.open(default_store(tmp_path / "moved", SPEC))
    np.testing.assert_array_equal(store.read(np.arange(50))[0], values)
    assert not default_store(tmp_path / "large", SPEC).exists()
    assert not scan(tmp_path / "moved", remembered=cache / "scans").notes
    code, told = matt("move", tmp_path / "small", "--from", tmp_path / "moved")
    assert code == 2
    assert "kept of" in told["error"]


@pytest.mark.parametrize("looked_at_again", [False, True])
def test_a_library_that_moved_is_not_gone(looked_at_again, cache, tmp_path):
    (tmp_path / "large").rename(tmp_path / "moved")
    assert matt("move", tmp_path / "moved", "--from", tmp_path / "large")[0] == 0
    if looked_at_again:
        scan(tmp_path / "moved", remembered=cache / "scans")
    kept = {one.folder: one.gone for one in kept_libraries(cache)}
    assert kept == {str(tmp_path / "moved"): False, str(tmp_path / "small"): False}
    assert matt("prune", "--gone")[1]["forgotten"] == []
    assert len(FeatureStore.open(default_store(tmp_path / "moved", SPEC))) == 50


def test_a_memory_that_was_only_renamed_learns_its_folder_by_the_next_scan(cache, tmp_path):
    scans = cache / "scans"
    (tmp_path / "large").rename(tmp_path / "moved")
    memory_file(scans, tmp_path / "large").rename(memory_file(scans, tmp_path / "moved"))
    assert remembered_folder(memory_file(scans, tmp_path / "moved")) == str(tmp_path / "large")
    scan(tmp_path / "moved", remembered=scans)
    assert remembered_folder(memory_file(scans, tmp_path / "moved")) == str(tmp_path / "moved")


def test_a_damaged_memory_moves_with_its_features(cache, tmp_path):
    memory_file(cache / "scans", tmp_path / "large").write_bytes(b"damaged")
    (tmp_path / "large").rename(tmp_path / "moved")
    assert matt("move", tmp_path / "moved", "--from", tmp_path / "large")[0] == 0
    assert not any(one.gone for one in kept_libraries(cache))
    assert default_store(tmp_path / "moved", SPEC).exists()


def test_only_folders_of_the_cache_are_removed(cache, tmp_path, monkeypatch):
    shutil.rmtree(cache / "features")
    removed = []
    monkeypatch.setattr(Path, "rmdir", removed.append)
    assert matt("prune", tmp_path / "small")[0] == 0
    assert removed == []


def test_features_of_a_folder_that_nobody_remembers_are_spared_unless_named(cache, tmp_path):
    memory_file(cache / "scans", tmp_path / "large").unlink()
    (told,) = (one for one in matt("show")[1]["libraries"] if one["folder"] is None)
    result = CliRunner().invoke(app, ["cache", "prune", "--unused", "0"])
    assert "1 more are not used" in result.stderr
    assert default_store(tmp_path / "large", SPEC).exists()
    assert [one.key for one in kept_libraries(cache)] == [told["key"]]
    assert matt("prune", told["key"])[0] == 0
    assert not kept_libraries(cache)


def test_what_nobody_knows_is_left_alone(cache):
    (cache / "features" / "a file").write_text("mine")
    (cache / "scans" / "notes.txt").write_text("mine")
    (cache / "other").mkdir()
    assert len([one for one in kept_libraries(cache) if one.folder]) == 2
    assert matt("show")[0] == 0
    assert matt("prune", "--unused", 0)[0] == 0
    assert (cache / "features" / "a file").read_text() == "mine"
    assert (cache / "scans" / "notes.txt").read_text() == "mine"
    assert (cache / "other").is_dir()


def test_the_library_of_a_file_is_the_outermost_folder_with_features_of_that_kind(cache, tmp_path):
    folder = tmp_path / "large" / "Ann" / "One"
    file = audio(folder / "b.flac")
    assert library_of(file, SPEC) == library_of(folder, SPEC) == tmp_path / "large"
    fill(default_store(folder, SPEC), 1)  # nearer, and not the outermost
    assert library_of(file, SPEC) == library_of(folder.parent, SPEC) == tmp_path / "large"
    assert library_of(tmp_path / "large", SPEC) == tmp_path / "large"
    other = FeatureSpec.embedding("another", (3,))
    assert (library_of(file, other), library_of(folder, other)) == (folder, folder)
    default_store(tmp_path, other).mkdir(parents=True)  # without features
    assert library_of(file, other) == folder


def test_a_home_folder_is_no_library_of_what_lies_in_it(cache, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    file = audio(tmp_path / "large" / "Ann" / "b.flac")
    fill(default_store(tmp_path, SPEC), 1)  # of files from two places, once
    assert library_of(file, SPEC) == tmp_path / "large"
    assert library_of(tmp_path, SPEC) == tmp_path


def test_a_cache_does_not_move_into_music(tmp_path, monkeypatch):
    cache, music = tmp_path / "cache", tmp_path / "music"
    monkeypatch.setenv("MATT_CACHE", str(cache))
    music.mkdir()
    audio(music / "a.flac")
    scan(music, remembered=cache / "scans")
    for place in (music, music / "below"):
        with pytest.raises(DataError, match="lies in the library"):
            list(move_cache(cache, place))
    assert [path.name for path in music.iterdir()] == ["a.flac"]
