"""The plugin for beets, driven by the real program on generated music."""

import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import mutagen
import numpy as np
import pytest
import yaml
from audio_files import music, write

import matt
from matt.features.blocks import create
from matt.library.cache import kept_libraries, library_of, store_of
from matt.library.predict import AskedModel

if find_spec("beets") is None:
    pytest.skip("beets is not installed; the extra [beets] has it", allow_module_level=True)

SOURCE = Path(__file__).parents[1] / "src"
HOSTILE = "\x1b[31m{0} $genres %upper{x}\u202e \u00e4\u4e2d"
TABLES = ("items", "albums", "item_attributes", "album_attributes")


def track(path, seed, **tags):
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, music(3.0, channels=1, seed=seed) * (1 + seed % 3))
    said = mutagen.File(path, easy=True)
    said.update({name: [text] for name, text in tags.items()})
    said.save()
    return path


def broken(path, seed, **tags):
    """Tags can be read, and nothing can be heard."""
    content = track(path, seed, **tags).read_bytes()
    frames = content.index(b"\xff\xf8")
    path.write_bytes(content[:frames] + bytes(len(content) - frames))
    return path


def make_music(root):
    for disc in (1, 2):
        ann = {"artist": "Ann", "albumartist": "Ann", "album": "One", "discnumber": str(disc)}
        track(root / f"Ann/One/CD{disc}/1.flac", disc, title=f"T{disc}", **ann)
    for n in (1, 2):
        bob = {"artist": "Bob", "album": "Two", "genre": "Polka"}
        track(root / f"Bob/Two/{n}.mp3", 2 + n, title=f"T{n}", **bob)
    for n, artist in enumerate(("Cleo", "Dan", "Cleo"), start=1):
        track(root / f"Mix/{n}.ogg", 4 + n, title=f"T{n}", artist=artist, album="Mix")
    evil = {"artist": HOSTILE, "album": HOSTILE, "albumartist": HOSTILE}
    track(root / "E 'vil; \u00e9\n/$a {0}.flac", 8, title=HOSTILE, **evil)
    track(root / "Fay/1.flac", 9, title="Heard", artist="Fay", album="Three")
    broken(root / "Fay/2.flac", 10, title="Broken", artist="Fay", album="Three")


class Beets:
    """A library of beets in a folder of its own."""

    def __init__(self, place):
        self.place, self.music, self.home = place, place / "music", place / "home"
        self.cache = place / "cache"
        self.env = {
            **os.environ,
            "BEETSDIR": str(self.home),
            "MATT_CACHE": str(self.cache),
            "PYTHONPATH": str(SOURCE),
            "PYTHONUTF8": "1",
            "HOME": str(place),
        }

    def configure(self, auto=False, write=True, matt=..., **settings):
        self.home.mkdir(exist_ok=True)
        said = {
            "directory": str(self.music),
            "library": str(self.home / "library.db"),
            "plugins": ["matt"],
            "import": {"autotag": False, "copy": False, "write": write},
            "matt": {"auto": auto, "min_sure": 0.01, **settings} if matt is ... else matt,
        }
        (self.home / "config.yaml").write_text(yaml.safe_dump(said), encoding="utf-8")

    def run(self, *args, fails=False):
        done = subprocess.run(
            [sys.executable, "-m", "beets", *args],
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        assert bool(done.returncode) == fails, done.stdout + done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        self.log = done.stderr
        return done.stdout.splitlines()

    def rows(self):
        with sqlite3.connect(self.home / "library.db") as base:
            return {name: sorted(base.execute(f"SELECT * FROM {name}")) for name in TABLES}

    def digests(self):
        files = [path for path in sorted(self.music.rglob("*")) if path.is_file()]
        return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    def genres(self, *query):
        """Genres of tracks as the database has them, by title and album."""
        lines = self.run("ls", "-f", "$title|$album|$genres|$matt_genre|$matt_sure", *query)
        return {tuple(line.split("|")[:2]): tuple(line.split("|")[2:]) for line in lines}

    def written(self, name):
        return (mutagen.File(self.music / name, easy=True) or {}).get("genre", [])


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    """A library that was imported as it is; matt has not heard it yet.

    beets knows of a compilation that files do not tell of.
    """
    beets = Beets(tmp_path_factory.mktemp("beets"))
    make_music(beets.music)
    beets.configure()
    beets.run("import", "-q", "-A", str(beets.music))
    beets.run("modify", "-y", "-a", "-W", "album:Mix", "comp=1", "albumartist=Various Artists")
    shutil.copytree(beets.place, beets.place / "kept")
    return beets


@pytest.fixture
def beets(pristine):
    """The same, as it was; what was heard of it stays known."""
    for name in ("music", "home"):
        shutil.rmtree(pristine.place / name)
        shutil.copytree(pristine.place / "kept" / name, pristine.place / name)
    return pristine


@pytest.fixture
def answers(beets, monkeypatch):
    """What matt says of the same files by their own tags, by artist and album."""
    monkeypatch.setenv("MATT_CACHE", str(beets.cache))
    found = matt.Library(beets.music).predict(abstain_below=0.01, workers=1)
    return {(row["artist"], row["album"]): row for row in found.rows}, found.extraction


def store_files(beets):
    return sorted(path for path in (beets.cache / "features").rglob("*") if path.is_file())


def test_pretending_says_what_would_change_and_changes_nothing(beets):
    rows, digests = beets.rows(), beets.digests()
    lines = beets.run("matt", "-p")
    assert (beets.rows(), beets.digests()) == (rows, digests)
    (ann,) = [line for line in lines if line.startswith("Ann - One: ")]
    assert "(none) -> " in ann
    assert ann.endswith("%)")
    mixed = [line for line in lines if line.startswith("Various Artists - Mix [compilation: ")]
    assert sorted(line.split("]")[0].split()[-1] for line in mixed) == ["Cleo", "Dan"]
    assert sorted(line.split(", ")[-1] for line in mixed) == ["1 of 3 tracks", "2 of 3 tracks"]
    assert len(lines) == 6  # one an album, two of the compilation, and how many
    assert lines[-1] == (
        "4 of 5 albums and lone tracks would get new genres; left alone: 1 with genres that stay"
    )
    assert not any("\x1b" in line or "\u202e" in line for line in lines)
    assert "2.flac: " in beets.log  # the broken one


def test_albums_without_genres_get_those_that_matt_hears(beets, answers):
    told, _ = answers
    before = beets.digests()
    beets.run("matt")
    found = beets.genres()
    for name in ("Ann", "Cleo", "Dan", "Fay"):
        for (_, album), row in ((key, row) for key, row in told.items() if key[0] == name):
            titles = [track["title"] for track in row["tracks"]]
            for title in titles:
                genres, genre, sure = found[title, album]
                assert genres == genre == row["genre"]
                assert float(sure) == pytest.approx(row["probability"], abs=0.005)
    assert found["Broken", "Three"] == found["Heard", "Three"]  # an album has one answer
    assert found["T1", "Two"][0] == "Polka"
    assert found["T1", "Two"][1] == told["Bob", "Two"]["genre"]  # known, and not written
    assert beets.written("Ann/One/CD2/1.flac") == [told["Ann", "One"]["genre"]]
    assert beets.written("Bob/Two/1.mp3") == ["Polka"]
    changed = {path for path, digest in beets.digests().items() if before[path] != digest}
    assert changed == {
        path
        for path in before
        if "Bob" not in path.parts and path.relative_to(beets.music) != Path("Fay/2.flac")
    }
    albums = beets.run("ls", "-a", "-f", "$album|$genres|$matt_sure", "album:One")
    row = told["Ann", "One"]
    assert albums == [f"One|{row['genre']}|{row['probability']:.2f}"]
    surest = max(float(sure) for *_, sure in found.values())
    assert {*beets.genres(f"matt_sure:{surest - 0.005}..")} == {
        key for key, (*_, sure) in found.items() if float(sure) == surest
    }
    assert beets.genres("matt_sure:1.1..") == {}


def test_a_second_run_hears_nothing_and_changes_nothing(beets):
    beets.run("matt")
    rows, digests = beets.rows(), beets.digests()
    kept = {path.name for path in store_files(beets) if not path.name.startswith("plan-")}
    lines = beets.run("matt")
    assert lines == [
        "0 of 5 albums and lone tracks got new genres; left alone: 5 with genres that stay"
    ]
    assert (beets.rows(), beets.digests()) == (rows, digests)
    assert {path.name for path in store_files(beets) if "plan-" not in path.name} == kept
    (library,) = kept_libraries(beets.cache)
    assert library.key.startswith("music-")


def test_the_other_commands_of_matt_hear_nothing_anew(beets, answers):
    beets.run("matt", "-p")
    _, extraction = answers
    assert (extraction.extracted, len(extraction.failures)) == (0, 1)


def test_force_replaces_but_for_what_is_protected(beets, answers):
    told, _ = answers
    heard = told["Bob", "Two"]["genre"]
    other = next(genre for genre in ("Country", "Jazz") if genre != heard)
    beets.run("matt", "-f", "artist:Bob")
    assert beets.genres("artist:Bob")["T1", "Two"][0] == "Polka"  # of which the model knows nothing
    beets.run("modify", "-y", "-a", "artist:Bob", f"genres={other}")
    beets.run("matt", "-f", "artist:Bob", "title:T1")
    assert {genres for genres, *_ in beets.genres("artist:Bob").values()} == {heard}
    assert beets.written("Bob/Two/2.mp3") == [heard]  # albums are whole
    beets.configure(protect=[other.lower()])
    beets.run("modify", "-y", "-a", "artist:Bob", f"genres={other}")
    beets.run("matt", "--force", "artist:Bob")
    assert beets.genres("artist:Bob")["T1", "Two"][0] == other


def test_appended_genres_stand_behind_and_are_called_as_one_likes(beets, answers):
    told, _ = answers
    genre = told["Bob", "Two"]["genre"]
    mine = beets.home / "mine.toml"
    mine.write_text(f'[aliases]\n"What I Hear" = ["{genre}"]\n', encoding="utf-8")
    beets.configure(mode="append", genres="mine.toml")
    beets.run("matt", "artist:Bob")
    assert beets.genres("artist:Bob")["T2", "Two"][:2] == ("Polka; What I Hear", "What I Hear")
    assert beets.written("Bob/Two/2.mp3") in (["Polka", "What I Hear"], ["Polka; What I Hear"])


def test_files_stay_where_beets_shall_not_write(beets):
    beets.configure(write=False)
    digests = beets.digests()
    beets.run("matt", "artist:Ann")
    assert beets.digests() == digests
    assert beets.genres("artist:Ann")["T1", "One"][0]


def test_who_is_unsure_is_given_nothing_and_told_all_the_same(beets):
    beets.configure(min_sure=0.999)
    lines = beets.run("matt", "artist:Ann")
    assert lines == ["0 of 1 albums and lone tracks got new genres; left alone: 1 unsure"]
    genres, genre, sure = beets.genres("artist:Ann")["T1", "One"]
    assert (genres, bool(genre)) == ("", True)
    assert 0 < float(sure) < 0.999


def test_an_import_gives_genres_to_albums_and_singletons(beets, tmp_path, monkeypatch):
    beets.configure(auto=True)
    new = tmp_path / "new"
    track(new / "Gus/1.flac", 11, title="G1", artist="Gus", album="Four")
    broken(new / "Gus/2.flac", 12, title="G2", artist="Gus", album="Four")
    broken(new / "Hal/1.flac", 13, title="H1", artist="Hal", album="Five")
    beets.run("import", "-q", "-A", "-c", str(new))
    assert "2.flac: " in beets.log
    assert "Hal imported without genres by ear: none of 1 files" in beets.log
    found = beets.genres("artist:Gus")
    assert found["G1", "Four"] == found["G2", "Four"]
    assert found["G1", "Four"][0]
    assert beets.genres("artist:Hal")["H1", "Five"][0] == ""
    monkeypatch.setenv("MATT_CACHE", str(beets.cache))
    extraction = matt.Library(beets.music).predict(workers=1).extraction
    assert extraction.extracted == 0  # copied files are known by their sound
    assert extraction.reused > 0
    lone = track(tmp_path / "lone.flac", 14, title="L", artist="Ida")
    beets.run("import", "-q", "-A", "-s", str(lone))
    assert beets.genres("artist:Ida")["L", ""][0]


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"model": "no-such-run"}, "no-such-run does not exist"),
        ({"mode": "guess"}, "matt.mode is 'guess'"),
        ({"count": 0}, "matt.count is 0"),
        ({"count": 2.5}, "matt.count is 2.5"),
        ({"min_sure": True}, "matt.min_sure must be"),
        ({"protect": {"a": "b"}}, "matt.protect is no list of genres"),
    ],
    ids=["model", "mode", "count-0", "count-2.5", "min_sure", "protect"],
)
def test_a_wrong_setting_ends_a_command_and_no_import(beets, tmp_path, settings, fault):
    beets.configure(auto=True, **settings)
    track(tmp_path / "new/1.flac", 15, title="J1", artist="Jo", album="Six")
    beets.run("import", "-q", "-A", str(tmp_path / "new"))
    assert fault in beets.log
    assert "'beet matt' gives them afterwards" in beets.log
    assert beets.genres("artist:Jo")["J1", "Six"][0] == ""
    beets.run("matt", "artist:Jo", fails=True)
    assert fault in beets.log


@pytest.mark.parametrize(
    ("given", "warned"),
    [
        (None, ""),
        (True, "matt is True"),
        ({"auto": "maybe"}, "matt.auto is 'maybe'"),
        ({"auto": None, "model": "", "count": None, "mode": None, "protect": None}, ""),
    ],
    ids=["nothing", "yes", "maybe", "empty"],
)
def test_settings_that_are_empty_or_none_leave_the_plugin_there(beets, given, warned):
    beets.configure(matt=given)
    assert beets.run("matt", "-p", "artist:Bob")[-1].startswith("0 of 1")
    assert warned in beets.log
    assert bool(warned) == ("matt" in beets.log)


def test_the_music_folder_has_its_own_names_whatever_is_kept_around_it(
    beets, tmp_path, monkeypatch
):
    cache = tmp_path / "cache"
    monkeypatch.setenv("MATT_CACHE", str(cache))
    around, spec = beets.place, AskedModel.open().spec
    monkeypatch.setenv("HOME", str(tmp_path))  # or else the folder around would be a home
    create(store_of(around, spec), spec)
    assert library_of(beets.music, spec) == around
    names = {}
    for place in (around, beets.music):
        names[place] = place / "genres.toml"
        genres = AskedModel.open().model.genres
        aliases = "".join(f'"{place.name} {n}" = ["{name}"]\n' for n, name in enumerate(genres))
        names[place].write_text(f"[aliases]\n{aliases}", encoding="utf-8")
    beets.env |= {"HOME": str(tmp_path), "MATT_CACHE": str(cache)}
    try:
        beets.run("matt", "artist:Ann")
        assert beets.genres("artist:Ann")["T1", "One"][0].startswith("music ")
    finally:
        names[around].unlink()
        beets.env |= {"HOME": str(beets.place), "MATT_CACHE": str(beets.cache)}


def test_files_that_cannot_be_written_are_counted(beets):
    plugins = beets.place / "plugins"
    plugins.mkdir(exist_ok=True)
    (plugins / "refuse.py").write_text(
        "from beets.library import WriteError\n"
        "from beets.plugins import BeetsPlugin\n"
        "class Refuse(BeetsPlugin):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.register_listener('write', self.refuse)\n"
        "    def refuse(self, item, path, tags):\n"
        "        if item.title == 'T1':\n"
        "            raise WriteError(path, OSError('read-only'))\n"
    )
    said = yaml.safe_load((beets.home / "config.yaml").read_text(encoding="utf-8"))
    said |= {"plugins": ["matt", "refuse"], "pluginpath": str(plugins)}
    (beets.home / "config.yaml").write_text(yaml.safe_dump(said), encoding="utf-8")
    beets.run("matt", "artist:Ann")
    assert "1 files could not be written" in beets.log
    assert "beet write" in beets.log
    assert beets.written("Ann/One/CD1/1.flac") == []
    assert beets.written("Ann/One/CD2/1.flac") != []


def test_files_that_are_gone_and_albums_without_a_name_are_told_of(beets, tmp_path):
    track(tmp_path / "new/1.flac", 21)
    beets.run("import", "-q", "-A", str(tmp_path / "new"))
    (beets.music / "Bob/Two/1.mp3").unlink()
    lines = beets.run("matt")
    assert "'beet update'" in beets.log
    assert str(beets.music / "Bob/Two/1.mp3") in beets.log
    assert any(line.startswith(f"{tmp_path / 'new'}") for line in lines)


SPY = """
import os, sys
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
if any("spawn_main" in word for word in sys.orig_argv):
    open(os.path.join(os.path.dirname(__file__), f"{os.getpid()}.pid"), "w").close()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only there a process is kept to one core")
def test_the_process_that_decodes_serves_a_whole_import(beets, tmp_path):
    """On one core there is one, and each notes its number when it starts."""
    beets.configure(auto=True)
    for n in range(4):
        new = tmp_path / f"new/{n}/1.flac"
        track(new, 22 + n, title=f"M{n}", artist=f"Max {n}", album=f"Album {n}")
    spy = tmp_path / "spy"
    spy.mkdir()
    (spy / "sitecustomize.py").write_text(SPY)
    beets.env["PYTHONPATH"] = os.pathsep.join([str(spy), str(SOURCE)])
    try:
        beets.run("import", "-q", "-A", str(tmp_path / "new"))
    finally:
        beets.env["PYTHONPATH"] = str(SOURCE)
    assert all(beets.genres(f"artist:Max {n}")[f"M{n}", f"Album {n}"][0] for n in range(4))
    assert len(list(spy.glob("*.pid"))) == 1


def test_the_cache_knows_where_the_library_is(beets):
    beets.run("matt", "-p")
    (library,) = kept_libraries(beets.cache)
    assert library.folder == str(beets.music)


def test_a_name_that_is_no_text_costs_itself_alone(beets, tmp_path):
    if sys.platform != "linux":
        pytest.skip("file systems elsewhere have no such names")
    new = tmp_path / "new"
    track(new / "1.flac", 16, title="K1", artist="Kai", album="Seven")
    odd = track(new / "2.flac", 17, title="K2", artist="Kai", album="Seven")
    os.rename(odd, os.fsencode(new) + b"/\xe9.flac")
    beets.run("import", "-q", "-A", str(new))
    beets.run("matt", "artist:Kai")
    assert "not valid UTF-8" in beets.log
    found = beets.genres("artist:Kai")
    assert found["K1", "Seven"] == found["K2", "Seven"]
    assert beets.run("matt", "artist:Nobody") == ["no album or track matches"]


def test_listing_does_not_wait_for_matt(beets):
    script = "import sys, beets.ui; beets.ui._raw_main(['ls', 'matt_sure:0.5..'])\n"
    script += "print(sorted({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", script], env=beets.env, capture_output=True, text=True, check=True
    )
    loaded = done.stdout.splitlines()[-1]
    assert "'beetsplug'" in loaded
    # beets has a use for numpy itself.
    assert not any(f"'{name}'" in loaded for name in ("matt", "numba", "onnxruntime", "pyarrow"))


def test_music_differs():
    """Else every album would have one answer, whoever is heard."""
    assert np.abs(music(0.1, seed=1) - music(0.1, seed=2)).max() > 0.01
