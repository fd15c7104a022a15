"""The synthetic library: what it promises about files, tags, sound and repeated calls."""

import json
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import mutagen
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from matt import Bags, ConfigError, DataError
from matt.audio import inspect
from matt.datasets.folder import read_tags, scan
from matt.datasets.invented.catalogue import genre_sizes
from matt.datasets.invented.sound import GENRES, STYLES, Character, borrow, render, write_audio
from matt.datasets.synthetic import MANIFEST, plan_files, write_library

SMALL = {"tracks": 60, "seconds": (0.6, 0.9)}
STARTED = "library.unfinished.json"


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return write_library(tmp_path_factory.mktemp("synthetic"), workers=1, **SMALL)


def manifest_of(path):
    return json.loads(path.read_text("utf-8"))


def sounds_and_tags(manifest):
    """Decoded samples and tags of every file that can be decoded."""
    root = manifest.parent
    read = {}
    for track in manifest_of(manifest)["truth"]:
        if track["planted"] != "truncated":
            samples, sr = soundfile.read(root / track["file"], dtype="int16", always_2d=True)
            read[track["file"]] = samples.tobytes(), sr, read_tags(root / track["file"])
    return read


def test_equal_seeds_give_equal_sounds_and_tags_in_any_number_of_processes(library, tmp_path):
    again = write_library(tmp_path / "again", workers=2, **SMALL)
    assert manifest_of(again)["digest"] == manifest_of(library)["digest"]
    assert sounds_and_tags(again) == sounds_and_tags(library)


def test_another_seed_gives_another_library(library, tmp_path):
    other = write_library(tmp_path / "other", seed=1, workers=1, **SMALL)
    assert manifest_of(other)["digest"] != manifest_of(library)["digest"]
    sounds = [{sound for sound, *_ in sounds_and_tags(made).values()} for made in (library, other)]
    assert not sounds[0] & sounds[1]


def test_every_file_is_in_the_manifest_and_none_besides(library):
    manifest = manifest_of(library)
    files = {str(p.relative_to(library.parent)) for p in library.parent.rglob("*") if p.is_file()}
    assert files == {*manifest["sizes"], MANIFEST}
    assert manifest["kind"] == "synthetic library"
    assert manifest["counts"]["tracks"] == 60
    assert sum(manifest["counts"]["genres"].values()) == 60
    assert all(genre.startswith("Mock ") for genre in manifest["counts"]["genres"])
    albums = {track["tags"]["album"] for track in manifest["truth"] if "album" in track["tags"]}
    assert all(album.endswith("(Synthetic)") for album in albums)


def test_a_scan_finds_what_was_written(library):
    manifest = manifest_of(library)
    found = scan(library.parent)
    truth = {track["file"]: track for track in manifest["truth"]}
    place = [str(path)[len(str(library.parent)) + 1 :] for path in found.tracks.path]
    assert set(place) == {*truth, *manifest["planted"]["text"]}
    kept = {problem.path: problem.kept for problem in found.problems}
    assert kept == {"Damaged/empty.flac": False, "Damaged/text.mp3": True}
    for file, label in zip(place, found.tracks.labels):
        if file in truth and "genre" in truth[file]["tags"]:
            assert found.tracks.genres[label] == truth[file]["genre"]
        else:
            assert label == -1
    # Everything from nothing to a title is missing somewhere; the text file has no tags at all.
    assert found.counts["without artist or album"] == 3 + 1
    assert found.counts["without genre"] == 2 + 1
    assert found.counts["not audio"] == 1  # the manifest


def test_bags_of_the_scan_are_the_albums_that_were_planned(library):
    found = scan(library.parent)
    truth = {track["file"]: track for track in manifest_of(library)["truth"]}
    key = {}
    for number, path in zip(found.tracks.track_id, found.tracks.path):
        file = str(path)[len(str(library.parent)) + 1 :]
        tags = truth[file]["tags"] if file in truth else {}
        whole = "artist" in tags and "album" in tags
        key[int(number)] = (tags["artist"], tags["album"]) if whole else file
    bags = Bags.from_tracks(found.tracks, by="album")
    parts = np.split(bags.track_ids, bags.offsets[1:-1])
    assert all(len({key[int(i)] for i in part}) == 1 for part in parts)
    assert len(parts) == len(set(key.values()))


def test_the_compilation_is_one_album_of_several_artists(library):
    manifest = manifest_of(library)
    files = manifest["planted"]["compilation"]
    tags = [read_tags(library.parent / file) for file in files]
    assert {one.album_artist for one in tags} == {"Various Artists"}
    assert all(one.compilation for one in tags)
    found = scan(library.parent)
    ours = found.tracks.take(found.tracks.columns["compilation"])
    assert len(ours) == len(files)
    assert len(set(ours.album_id)) == 1
    artists = {one.artist for one in tags}
    assert len(artists) >= 3
    assert len(Bags.from_tracks(ours, by="album")) == len(artists)


def test_bad_files_are_bad_in_the_way_they_claim(library):
    planted = manifest_of(library)["planted"]
    root = library.parent
    assert inspect(root / planted["truncated"][0]).completeness == "truncated"
    assert (root / planted["empty"][0]).stat().st_size == 0
    assert (root / planted["text"][0]).read_text("utf-8").isprintable() is False
    with pytest.raises(soundfile.LibsndfileError):
        soundfile.info(root / planted["text"][0])
    missing = [mutagen.File(root / file).tags for file in planted["untagged"]]
    assert any(not tags for tags in missing)
    assert len(missing) == 4


def test_the_files_are_what_their_suffixes_say(library):
    manifest = manifest_of(library)
    assert set(manifest["counts"]["formats"]) == {"mp3", "flac", "ogg", "wav"}
    planned = {
        track.file: track for track in plan_files(seed=0, tracks=60, seconds=SMALL["seconds"])
    }
    for file, track in planned.items():
        if track.planted != "truncated":
            info = soundfile.info(library.parent / file)
            assert info.format == {"wav": "WAV"}.get(file[-3:], file.rsplit(".", 1)[1].upper())
            assert (info.samplerate, info.channels) == (track.sr, track.channels)
            assert info.duration == pytest.approx(track.seconds, abs=0.1)


def test_a_finished_library_is_left_alone(library):
    before = {path: path.stat().st_mtime_ns for path in library.parent.rglob("*")}
    calls = []
    again = write_library(
        library.parent, workers=1, progress=lambda *call: calls.append(call), **SMALL
    )
    assert again == library
    assert not calls
    assert {path: path.stat().st_mtime_ns for path in library.parent.rglob("*")} == before


def test_what_was_interrupted_is_made_whole(library, tmp_path, monkeypatch):
    root = tmp_path / "half"

    def stop(done, total):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_library(root, workers=1, progress=stop, **SMALL)
    assert not (root / MANIFEST).exists()
    assert (root / STARTED).exists()
    manifest = write_library(root, workers=1, **SMALL)
    assert manifest_of(manifest) == manifest_of(library)
    assert not (root / STARTED).exists()
    lost = root / manifest_of(manifest)["truth"][3]["file"]
    lost.unlink()
    write_library(root, workers=1, **SMALL)
    assert sounds_and_tags(manifest) == sounds_and_tags(library)


def test_somebody_elses_folder_is_not_touched(library, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="not empty and holds no synthetic library; name a new"):
        write_library(tmp_path, workers=1, **SMALL)
    (tmp_path / MANIFEST).write_text('{"kind": "a catalogue of mine"}')
    with pytest.raises(DataError, match="holds no synthetic library"):
        write_library(tmp_path, workers=1, **SMALL)
    with pytest.raises(DataError, match="is a file"):
        write_library(tmp_path / "mine.txt", workers=1, **SMALL)
    assert sorted(path.name for path in tmp_path.iterdir()) == [MANIFEST, "mine.txt"]
    with pytest.raises(DataError, match="made with seed=0, not 3; name another"):
        write_library(library.parent, seed=3, workers=1, **SMALL)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"tracks": 20}, "tracks=20 is too few for 9 genres; use 46"),
        ({"seconds": (3.0, 2.0)}, "shortest, longest"),
        ({"seconds": (0.1, 2.0)}, "at least 0.5 s"),
        ({"difficulty": 1.5}, "difficulty=1.5 is out of range; use 0 to 1"),
        ({"workers": 0}, "workers=0 is too few"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_settings_that_make_no_sense(tmp_path, wrong, message):
    with pytest.raises(ConfigError, match=message):
        write_library(tmp_path / "new", **{"workers": 1, **wrong})
    assert not (tmp_path / "new").exists()


@given(st.integers(46, 5000))
def test_genres_fall_off_and_none_vanishes(tracks):
    sizes = genre_sizes(tracks)
    assert sum(sizes) == tracks
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) == len(GENRES)
    assert min(sizes) >= 4
    if tracks >= 160:
        assert sizes[0] >= 10 * sizes[-1]


@pytest.mark.parametrize("seed", range(3))
def test_the_plan_of_the_usual_size(seed):
    planned = plan_files(seed=seed, tracks=400, seconds=(8.0, 12.0))
    assert [track.number for track in planned] == list(range(len(planned)))
    assert len({track.file.casefold() for track in planned}) == len(planned)
    kinds = Counter(track.planted for track in planned)
    assert kinds["truncated"] == 1
    assert kinds["untagged"] == 4
    sound = [track for track in planned if track.planted in ("", "compilation")]
    assert len(sound) == 400
    artists = {genre: set() for genre in GENRES}
    for track in sound:
        artists[track.genre].add(track.artist)
    assert min(map(len, artists.values())) >= 4
    assert sum(map(len, artists.values())) == 60  # nobody is in two genres
    assert len({(track.tags["album"], track.artist) for track in sound}) in range(85, 105)
    assert len({track.tags["artist"] for track in sound}) == 60
    assert all(8 <= track.seconds <= 12 for track in planned)
    assert {track.sr for track in planned} == {22050, 44100}
    assert {track.channels for track in planned} == {1, 2}
    assert {track.file[-3:] for track in planned} == {"mp3", "lac", "ogg", "wav"}


@pytest.mark.parametrize("style", STYLES, ids=GENRES)
@pytest.mark.parametrize(("sr", "channels"), [(22050, 1), (44100, 2)])
def test_every_style_sounds(style, sr, channels):
    rng = np.random.default_rng(0)
    samples = render(
        style, Character.draw(rng, scale=1), rng, sr=sr, seconds=1.25, channels=channels
    )
    assert samples.shape == (round(1.25 * sr), channels)
    assert samples.dtype == np.int16
    assert 0.2 < np.abs(samples / 32768).max() < 0.75  # audible, and never clipped
    assert np.abs(samples[[0, -1]]).max() <= 1  # no click at either end


@pytest.mark.parametrize("scale", [0.0, 3.0])
def test_no_character_breaks_the_synthesiser(scale):
    for seed in range(12):
        rng = np.random.default_rng(seed)
        style = borrow(STYLES[seed % len(STYLES)], rng, chance=1)
        samples = render(
            style, Character.draw(rng, scale=scale), rng, sr=22050, seconds=0.5, channels=2
        )
        assert np.abs(samples).max() > 3000


def spectra(genre_index, seeds):
    """Log energy in 24 bands of a few plain tracks: (len(seeds), 24)."""
    rows = []
    for seed in seeds:
        rng = np.random.default_rng([seed, genre_index])
        style = STYLES[genre_index]
        character = Character.draw(rng, scale=0.1)
        y = render(style, character, rng, sr=22050, seconds=3.0, channels=1)[:, 0] / 32768
        energy = np.abs(np.fft.rfft(y)) ** 2
        edges = np.geomspace(60, len(energy) - 1, 25).astype(int)
        rows.append([np.log(energy[a:b].mean()) for a, b in pairwise(edges)])
    return np.array(rows)


def test_plain_styles_can_be_told_apart_by_their_spectrum():
    centres = np.array([spectra(g, range(3)).mean(axis=0) for g in range(len(STYLES))])
    right = [
        np.square(centres - row).sum(axis=1).argmin() == g
        for g in range(len(STYLES))
        for row in spectra(g, range(10, 12))
    ]
    assert np.mean(right) > 0.7  # one of nine by chance


def test_what_is_borrowed_comes_whole_from_another_style():
    parts = ("rhythm", "harmony", "timbre", "mix")
    sources = {part: {getattr(style, part) for style in STYLES} for part in parts}
    rng = np.random.default_rng(0)
    style = STYLES[2]
    assert borrow(style, rng, chance=0) == style
    mixed = [borrow(style, rng, chance=0.5) for _ in range(40)]
    assert all(getattr(one, part) in sources[part] for one in mixed for part in parts)
    assert len(set(mixed)) > 10
    assert {one.name for one in mixed} == {style.name}


def test_near_styles_name_each_other_or_a_more_common_one():
    place = {style.name: number for number, style in enumerate(STYLES)}
    assert set(GENRES) == set(place)
    for style in STYLES:
        assert style.near in place
        assert style.near != style.name
    patterns = [replace(style.rhythm, tempo=0.0) for style in STYLES]
    assert all(
        len({len(getattr(p, name)) for name in ("kick", "snare", "hat", "chord", "bass")}) == 1
        for p in patterns
    )


@pytest.mark.parametrize("sr", [22_050, 32_000, 44_100, 48_000])
def test_an_mp3_is_the_same_each_time(tmp_path, sr):
    rng = np.random.default_rng(sr)
    samples = (9_000 * rng.standard_normal((2 * sr + 123, 2))).astype(np.int16)
    written = set()
    for number in range(10):
        path = tmp_path / f"{number}.mp3"
        write_audio(path, samples, sr)
        written.add(path.read_bytes())
    assert len(written) == 1
