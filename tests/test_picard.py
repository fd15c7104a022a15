"""The plugin of Picard: its pure part everywhere, the rest where Picard can be imported.

`make test-picard` runs this file in an environment of its own, which has Picard and no matt.
"""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tomllib
import wave
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

ROOT = Path(__file__).resolve().parents[1]
PLUGIN = ROOT / "picard-plugin"
NAMES = ("1 - ö'; $(touch x) \"&.wav", "-2\n.wav", "--out=3.wav")


def load(name, file, **options):
    spec = importlib.util.spec_from_file_location(name, file, **options)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


asking = load("asking_of_picard", PLUGIN / "asking.py")


def answer(**change):
    track = {"path": "/m/a.flac", "genre": "Jazz"}
    album = {"genre": "Rock", "tracks": [track]}
    return {"schema": "matt.albums/2", "albums": [album], "failures": [], **change}


# ---- what is chosen ----


@pytest.mark.parametrize(
    ("old", "given", "mode", "new"),
    [
        ([], ["Rock"], "fill-empty", ["Rock"]),
        (["", " "], ["Rock"], "fill-empty", ["Rock"]),
        (["Pop"], ["Rock"], "fill-empty", None),
        (["Other", "unknown"], ["Rock"], "fill-empty", ["Rock"]),
        (["Other", "Pop"], ["Rock"], "append", ["Pop", "Rock"]),
        (["Pop"], ["Rock"], "append", ["Pop", "Rock"]),
        (["pop"], ["Pop"], "append", None),
        (["Other", "pop"], ["Pop"], "append", None),
        (["Pop"], ["Rock", "rock", "Folk"], "replace", ["Rock", "Folk"]),
        (["Rock"], ["Rock"], "replace", None),
    ],
)
def test_genres_go_by_the_mode(old, given, mode, new):
    assert asking.chosen(old, given, mode) == new


def test_what_stands_for_no_genre_does_so_in_matt():
    words = pytest.importorskip("matt.datasets.words").known_words()
    assert all(map(words.is_no_genre, asking.NO_GENRE))


@pytest.mark.parametrize("mode", asking.MODES)
@pytest.mark.parametrize("old", [[], ["Pop"], ["Pop", "Rock"]])
def test_who_is_not_sure_takes_nothing_away(mode, old):
    assert asking.chosen(old, [], mode) is None


# ---- what is asked ----


def test_files_are_listed_and_no_part_of_the_command_line(tmp_path):
    paths = [str(tmp_path / name) for name in NAMES]
    listed = asking.listed([*paths, paths[0]])
    assert [os.fsdecode(name) for name in listed.split(b"\0")] == [*paths, ""]
    assert asking.listed(["a"]) == os.fsencode(os.path.abspath("a")) + b"\0"


def test_a_model_is_no_option_whatever_its_name():
    arguments = asking.Settings(model="--watch", percent=35).arguments()
    assert arguments == ["predict", "--json", "--abstain-below", "0.35", "--model=--watch", "-"]
    assert asking.Settings().arguments() == ["predict", "--json", "-"]


def test_settings_that_make_no_sense_are_the_usual_ones():
    stored = {"command": None, "model": 3, "mode": "delete", "percent": 100}
    assert asking.Settings.of(stored) == asking.Settings.of({}) == asking.Settings()
    kept = {"command": "/opt/matt", "model": "m", "mode": "append", "percent": 40}
    assert asking.Settings.of(kept) == asking.Settings("/opt/matt", "m", "append", 40)


def test_a_bundle_keeps_its_libraries_to_itself():
    own = {"PYTHONHOME": "/p", "LD_LIBRARY_PATH": "/p/lib", "LD_LIBRARY_PATH_ORIG": "/o", "A": "b"}
    assert asking.environment(own, frozen=True) == {"LD_LIBRARY_PATH": "/o", "A": "b"}
    assert asking.environment(own, frozen=False)["LD_LIBRARY_PATH"] == "/p/lib"
    assert "LD_LIBRARY_PATH" not in asking.environment({"LD_LIBRARY_PATH": "/p"}, frozen=True)


def test_every_percentage_of_the_page_is_one_that_matt_takes():
    for percent in range(1, asking.MOST_PERCENT + 1):
        (bar,) = [float(word) for word in asking.Settings(percent=percent).arguments()[3:4]]
        assert 0 < bar < 1  # as check_share has it


# ---- what is answered ----


def read(document):
    return asking.Answer.read(json.dumps(document).encode())


def test_a_file_gets_the_genres_of_its_album():
    said = read(answer(failures=[{"path": "/m/b.flac", "reason": "no audio"}]))
    assert said.genres == {asking.known_as("/m/a.flac"): ("Rock",)}
    assert said.failed == {asking.known_as("/m/b.flac"): "no audio"}


def test_a_link_has_the_answer_of_its_file(tmp_path):
    file, link, failed = (tmp_path / name for name in ("a.flac", "b.flac", "c.flac"))
    file.touch()
    link.symlink_to(file)
    albums = [{"genre": "Rock", "tracks": [{"path": os.path.realpath(file)}]}]
    said = read(answer(albums=albums, failures=[{"path": str(failed), "reason": "no audio"}]))
    assert said.of(str(file)) == said.of(str(link)) == ("Rock",)
    assert said.of(str(failed)) == ()
    assert said.of(str(tmp_path / "d.flac")) is None


def test_what_is_said_counts_every_kind_of_file():
    albums = [{"genre": None, "tracks": [{"path": "/m/a"}]}]
    said = read(answer(albums=albums, failures=[{"path": "/m/b"}]))
    told = asking.told({"changed": 2, "unanswered": 3, "left": 4}, said, 11)
    assert told == (
        "genres suggested for 2 of 11 files; 1 not sure enough; 1 could not be heard, see the log; "
        "3 that matt said nothing of. Save to keep them"
    )


def test_several_genres_stay_several_and_no_genre_is_none():
    album = {"genre": "Rock", "genres": ["Rock", "Folk"], "tracks": [{"path": "/m/a"}]}
    none = {"genre": None, "tracks": [{"path": "/m/b"}]}
    said = read(answer(albums=[album, none])).genres
    assert [said[asking.known_as(f"/m/{name}")] for name in "ab"] == [("Rock", "Folk"), ()]


@pytest.mark.parametrize(
    ("printed", "why"),
    [
        (b"", "no JSON"),
        (b"Traceback", "no JSON"),
        (b"[" * 200_000, "no JSON"),
        (b"[]", "no answer"),
        (b"{}", "no albums"),
        (b'{"error": "m.pt does not exist", "exit_code": 2}', "m.pt does not exist"),
        (b'{"schema": "matt.albums/3"}', "matt.albums/3"),
        (b'{"schema": 2}', "no albums"),
    ],
)
def test_what_is_no_answer_is_refused(printed, why):
    with pytest.raises(asking.NoAnswer, match=why):
        asking.Answer.read(printed)


@pytest.mark.parametrize(
    "albums",
    [
        None,
        "Rock",
        [None, 1, "a", []],
        [{"genre": "Rock"}],
        [{"genre": "Rock", "tracks": {"path": "/m/a"}}],
        [{"genre": "Rock", "tracks": [None, {"path": 3}, {}]}],
    ],
)
def test_albums_of_another_shape_are_left_out(albums):
    assert read(answer(albums=albums)).genres == {}


@pytest.mark.parametrize("genre", [None, 7, "", " ", ["Rock"], {"a": 1}, "x" * 201])
def test_what_is_no_name_of_a_genre_is_none(genre):
    said = read(answer(albums=[{"genre": genre, "tracks": [{"path": "/m/a"}]}]))
    assert said.genres == {asking.known_as("/m/a"): ()}


def test_a_genre_is_one_line():
    said = read(answer(albums=[{"genre": "Hip\n Hop\0", "tracks": [{"path": "/m/a"}]}]))
    assert said.genres == {asking.known_as("/m/a"): ("Hip Hop",)}


def test_the_schema_is_the_one_that_matt_writes():
    source = (ROOT / "src/matt/library/export.py").read_text(encoding="utf-8")
    assert f'"album": "{asking.SCHEMA}{asking.VERSION}"' in source


def test_the_manifest_has_what_picard_asks_for():
    manifest = tomllib.loads((PLUGIN / "MANIFEST.toml").read_text(encoding="utf-8"))
    assert {"uuid", "name", "description", "api"} <= set(manifest)
    assert len(manifest["description"]) <= 200
    assert manifest["api"] == ["3.0"]


# ---- inside Picard ----


@pytest.fixture(scope="module")
def qt():
    """Picard's Qt without a screen; skips where Picard is not installed."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    try:
        import picard.plugin3.api  # noqa: F401
        from PyQt6.QtWidgets import QApplication
    except ImportError as error:  # or a library of the system that Qt needs
        pytest.skip(f"no Picard ({error}); make test-picard installs it")

    return QApplication.instance() or QApplication([])


@pytest.fixture
def plugin(qt):
    module = load("plugin_of_picard", PLUGIN / "__init__.py")
    yield module
    module.disable()


class File:
    """A file as Picard has it, its tags Picard's own."""

    def __init__(self, path, *genres):
        from picard.file import File
        from picard.metadata import Metadata

        self.filename = str(path)
        self.metadata = Metadata(genre=list(genres))
        self.states = File.State
        self.state = File.State.NORMAL
        self.n_updates = 0

    def update(self):
        self.n_updates += 1

    def iterfiles(self, save=False):
        yield self

    @property
    def genres(self):
        return self.metadata.getall("genre")


class Config(dict):
    """Settings of the plugin."""

    def register_option(self, name, default, **_):
        self.setdefault(name, default)


@pytest.fixture
def api(plugin):
    from picard.plugin3.api import PluginApi

    api = Mock(spec=PluginApi)
    api.plugin_config = Config()
    api.tagger.window.said = said = []

    def tell(form, *values, **_):
        said.append(form % values)

    api.tagger.window.set_statusbar_message.side_effect = tell
    plugin.enable(api)
    return api


def program(path, text):
    """An executable that is a Python script."""
    path.write_text(f"#!{sys.executable}\n{text}", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def until(qt, done, limit=120_000):
    """Let Qt work until something is so."""
    from PyQt6.QtCore import QEventLoop, QTimer

    loop, looks, late = QEventLoop(), QTimer(), QTimer()
    looks.timeout.connect(lambda: done() and loop.quit())
    late.setSingleShot(True)
    late.timeout.connect(loop.quit)
    looks.start(5)
    late.start(limit)
    loop.exec()
    assert done()


def idle(plugin):
    return lambda: not plugin._runner.busy


ECHO = """
import json, os, sys
names = sys.stdin.buffer.read().split(b"\\0")[:-1]
tracks = [{"path": os.fsdecode(name)} for name in names]
print("a note: see 'matt model card'", file=sys.stderr)
print("extracting musicnn: 1,024 of 5,000", file=sys.stderr)
print(json.dumps({"schema": "matt.albums/2", "albums": [{"genre": "Folk", "tracks": tracks}]}))
"""


def test_picard_finds_the_plugin_valid(qt, tmp_path):
    copy = tmp_path / "matt"
    shutil.copytree(PLUGIN, copy, ignore=shutil.ignore_patterns("__pycache__"))
    if shutil.which("git") is None:
        pytest.skip("Picard validates repositories only, and git is not installed")
    subprocess.run(["git", "init", "-q", copy], check=True)
    env = {**os.environ, "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    cli = Path(sys.executable).parent / "picard-cli"
    said = subprocess.run(
        [cli, "plugins", "validate", copy], env=env, capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stdout + said.stderr
    assert "Validation passed" in said.stdout


def test_all_actions_are_there(api, plugin):
    for what in ("album", "cluster", "clusterlist", "track", "file"):
        registered = getattr(api, f"register_{what}_action").call_args_list
        assert [call.args[0] for call in registered] == [plugin.SuggestGenres, plugin.StopListening]
    assert api.plugin_config == {"command": "matt", "model": "", "mode": "fill-empty", "percent": 0}


def test_names_are_names_and_no_shell_reads_them(api, plugin, qt, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    api.plugin_config["command"] = program(tmp_path / "my matt", ECHO)
    files = [File(tmp_path / name) for name in NAMES]
    plugin.SuggestGenres.callback(Mock(), files)
    assert all(file.n_updates == 0 for file in files)  # nothing was waited for
    until(qt, idle(plugin))
    assert [file.genres for file in files] == [["Folk"]] * 3
    assert [file.n_updates for file in files] == [1] * 3
    assert not (tmp_path / "x").exists()
    assert "3 of 3 files" in api.tagger.window.said[-1]
    assert "matt: extracting musicnn: 1,024 of 5,000" in api.tagger.window.said
    assert not any("model card" in line for line in api.tagger.window.said)
    assert any("model card" in str(call) for call in api.logger.info.call_args_list)


def test_a_list_that_no_command_line_holds(api, plugin, qt, tmp_path):
    api.plugin_config["command"] = program(tmp_path / "matt", ECHO)
    files = [File(tmp_path / ("x" * 200) / str(n)) for n in range(20_000)]  # 4 MB
    plugin._runner.ask(files)
    until(qt, idle(plugin))
    assert {tuple(file.genres) for file in files} == {("Folk",)}


def test_what_has_a_genre_or_is_gone_stays(api, plugin, qt, tmp_path):
    api.plugin_config["command"] = program(tmp_path / "matt", ECHO)
    has, gone = File(tmp_path / "a", "Rock"), File(tmp_path / "b")
    plugin._runner.ask([has, gone])
    gone.state = gone.states.REMOVED
    until(qt, idle(plugin))
    assert has.genres == ["Rock"]
    assert gone.genres == []
    assert has.n_updates == gone.n_updates == 0


def test_runs_follow_each_other(api, plugin, qt, tmp_path):
    api.plugin_config["command"] = program(tmp_path / "matt", ECHO)
    first, second = File(tmp_path / "a"), File(tmp_path / "b", "Rock")
    plugin._runner.ask([first])
    api.plugin_config["mode"] = "append"
    plugin._runner.ask([second])
    until(qt, idle(plugin))
    assert first.genres == ["Folk"]
    assert second.genres == ["Rock", "Folk"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("import sys; sys.exit('out of memory')", "code 1: out of memory"),
        ('print(\'{"error": "no model there"}\'); raise SystemExit(2)', "code 2: no model there"),
        ("print('{}')", "no albums"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "ended by the system"),
        ("", "it said nothing"),
    ],
)
def test_what_goes_wrong_is_said_and_the_next_run_starts(api, plugin, qt, tmp_path, text, why):
    api.plugin_config["command"] = program(tmp_path / "bad", text)
    file = File(tmp_path / "a")
    plugin._runner.ask([file])
    api.plugin_config["command"] = program(tmp_path / "good", ECHO)
    other = File(tmp_path / "b")
    plugin._runner.ask([other])
    until(qt, idle(plugin))
    assert any(why in line for line in api.tagger.window.said)
    assert api.logger.error.called
    assert file.genres == []
    assert other.genres == ["Folk"]


def test_a_program_that_is_not_there_is_named_with_the_remedy(api, plugin, qt, tmp_path):
    api.plugin_config["command"] = str(tmp_path / "none")
    plugin._runner.ask([File(tmp_path / "a")])
    until(qt, idle(plugin))
    assert "pip install matt-mgc" in api.tagger.window.said[-1]


@pytest.mark.parametrize("kind", ["folder", "no program"])
def test_what_is_there_and_is_no_program_is_called_so(api, plugin, qt, tmp_path, kind):
    place = tmp_path / "matt"
    if kind == "folder":
        place.mkdir()
    else:
        place.write_text("no program")
    api.plugin_config["command"] = str(place)
    plugin._runner.ask([File(tmp_path / "a")])
    until(qt, idle(plugin))
    said = api.tagger.window.said[-1]
    assert {"folder": "is a folder", "no program": "cannot be executed"}[kind] in said
    assert "not found" not in said


def test_an_answer_that_is_too_long_is_called_so(api, plugin, qt, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[type(plugin._runner).__module__], "MOST_BYTES", 2**20)
    api.plugin_config["command"] = program(tmp_path / "matt", "print('x' * 3_000_000)")
    file = File(tmp_path / "a")
    plugin._runner.ask([file])
    until(qt, idle(plugin))
    assert "longer than 1 MiB" in api.tagger.window.said[-1]
    assert file.genres == []


def test_a_file_that_is_being_saved_has_its_turn_afterwards(api, plugin, qt, tmp_path):
    api.plugin_config["command"] = program(tmp_path / "matt", ECHO)
    files = [File(tmp_path / str(n)) for n in range(200)]  # several slices
    saved, other = files[:-1], files[-1]
    for file in saved:
        file.state = file.states.PENDING
    plugin._runner.ask(files)
    until(qt, lambda: other.genres == ["Folk"])
    assert any("saving" in line for line in api.tagger.window.said)
    assert plugin._runner.busy
    assert all(file.genres == [] and file.n_updates == 0 for file in saved)
    for file in saved:
        file.state = file.states.NORMAL
    until(qt, idle(plugin))
    assert {tuple(file.genres) for file in files} == {("Folk",)}
    assert "200 of 200 files" in api.tagger.window.said[-1]


def ask_and_end(api, plugin, tmp_path, end):
    """Many files, and something that happens as soon as events have their turn again."""
    from PyQt6.QtCore import QTimer

    api.plugin_config["command"] = program(tmp_path / "matt", ECHO)
    files = [File(tmp_path / str(n)) for n in range(1000)]
    first = files[0].update
    files[0].update = lambda: (first(), QTimer.singleShot(0, end))
    plugin._runner.ask(files)
    return files


def test_events_have_their_turn_while_an_answer_is_given_to_files(api, plugin, qt, tmp_path):
    files = ask_and_end(api, plugin, tmp_path, plugin._runner.stop)
    until(qt, idle(plugin))
    n = sum(file.n_updates for file in files)
    assert 0 < n < len(files)
    assert f"stopped; genres were suggested for {n:,} files before" in api.tagger.window.said[-1]
    plugin._runner.ask(files[-1:])
    until(qt, idle(plugin))
    assert files[-1].genres == ["Folk"]


def test_a_plugin_that_goes_gives_no_more_files_anything(api, plugin, qt, tmp_path):
    ended = []
    files = ask_and_end(api, plugin, tmp_path, lambda: (plugin._runner.close(), ended.append(1)))
    until(qt, lambda: ended)
    n = sum(file.n_updates for file in files)
    assert 0 < n < len(files)
    assert plugin._runner._soon.isActive() is False
    until(qt, lambda: True)
    assert sum(file.n_updates for file in files) == n


SLOW = """
import os, sys, threading
open(sys.argv[0] + ".pid", "w").write(str(os.getpid()))
print("extracting: 0 of 1", file=sys.stderr, flush=True)
threading.Event().wait()
"""


def ended(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.fixture
def at_work(api, plugin, qt, tmp_path):
    """A run that would never end, and another that waits for it."""
    api.plugin_config["command"] = command = program(tmp_path / "slow", SLOW)
    files = [File(tmp_path / "a"), File(tmp_path / "b")]
    for file in files:
        plugin._runner.ask([file])
    until(qt, lambda: "matt: extracting: 0 of 1" in api.tagger.window.said)
    pid = int(Path(f"{command}.pid").read_text())
    yield SimpleNamespace(pid=pid, files=files)
    if not ended(pid):
        os.kill(pid, signal.SIGKILL)


def test_stop_ends_what_is_at_work_and_what_waits(api, plugin, qt, at_work):
    plugin.StopListening.callback(Mock(), [])
    until(qt, idle(plugin))
    assert ended(at_work.pid)
    assert "stopped" in api.tagger.window.said[-1]
    assert [file.n_updates for file in at_work.files] == [0, 0]


def test_when_picard_quits_the_child_is_ended(api, plugin, at_work):
    (call,) = api.tagger.register_cleanup.call_args_list
    call.args[0]()
    assert ended(at_work.pid)
    assert not plugin._runner.busy


def test_the_page_keeps_what_is_chosen(api, plugin):
    page = plugin.MattPage.__new__(plugin.MattPage)
    from picard.ui.options import OptionsPage  # without Picard's window there is no tagger
    from PyQt6.QtWidgets import QWidget

    init, OptionsPage.__init__ = (
        OptionsPage.__init__,
        lambda self, parent=None: QWidget.__init__(self),
    )
    try:
        page.__init__()
    finally:
        OptionsPage.__init__ = init
    page.api = api
    page.load()
    assert page.command.text() == "matt"
    page.command.setText(" /opt/my matt ")
    page.mode.setCurrentIndex(page.mode.findData("replace"))
    page.percent.setValue(40)
    page.save()
    chosen = {"command": "/opt/my matt", "model": "", "mode": "replace", "percent": 40}
    assert api.plugin_config == chosen


def test_matt_itself_answers(api, plugin, qt, tmp_path, monkeypatch):
    command = os.environ.get("MATT_COMMAND") or shutil.which("matt")
    if command is None:
        pytest.skip("no program matt; name one in MATT_COMMAND")
    monkeypatch.setenv("MATT_CACHE", str(tmp_path / "cache"))
    api.plugin_config["command"] = command
    folder = tmp_path / "music ö"
    folder.mkdir()
    for n, name in enumerate(NAMES, 1):
        with wave.open(str(folder / name), "wb") as file:
            file.setparams((1, 2, 16_000, 0, "NONE", None))
            samples = ((step * n * 97) % 8191 - 4095 for step in range(12 * 16_000))
            file.writeframes(b"".join(int(s).to_bytes(2, "little", signed=True) for s in samples))
    (folder / "broken.wav").write_bytes(b"RIFF")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    files = [File(path) for path in sorted(folder.iterdir())]
    plugin._runner.ask(files)
    until(qt, idle(plugin), limit=300_000)
    said = api.tagger.window.said[-1]
    assert "suggested for" in said, api.tagger.window.said
    assert "1 could not be heard" in said
    genres = {Path(file.filename).name: file.genres for file in files}
    assert genres.pop("broken.wav") == []
    n_sure = sum(bool(genre) for genre in genres.values())
    assert f"for {n_sure} of 4 files" in said
    assert n_sure == 3 or "not sure enough" in said
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
