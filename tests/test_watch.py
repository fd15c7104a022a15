"""``--watch``: answers again when the music has changed and holds still, and survives what may be."""

import csv
import os
import shutil
import signal

import numpy as np
import pytest
import soundfile
import typer
from typer.testing import CliRunner

from matt import ConfigError, DataError
from matt.cli import library as library_module
from matt.cli import watch as watch_module
from matt.cli.app import app
from matt.cli.console import Output
from matt.cli.watch import keep_watch
from matt.datasets.folder import scan
from tests.test_memory import audio


@pytest.fixture
def music(tmp_path):
    return audio(tmp_path / "music" / "a.flac", artist="A", album="B").parent


def watched(music, *changes, answer=None, also=()):
    """How many answers there had been at each look; a change is made before the look."""
    answers, counts = [], []
    waiting = iter(changes)

    def pause():
        counts.append(len(answers))
        change = next(waiting, None)
        if change is None:
            return False
        change()
        return True

    def answers_again():
        answers.append(1)
        if answer:
            answer(len(answers))

    keep_watch(answers_again, music, Output(quiet=False), also=also, pause=pause)
    return counts


def nothing():
    pass


def test_it_answers_once_where_nothing_changes(music):
    assert watched(music, *[nothing] * 4) == [1] * 5


def test_it_answers_again_when_a_change_is_over(music):
    def one(name):
        return lambda: audio(music / "new" / name, artist="C", album="D")

    copying = [one("1.flac"), one("2.flac"), one("3.flac")]  # from look to look
    assert watched(music, nothing, *copying, *[nothing] * 3) == [1, 1, 1, 1, 1, 2, 2, 2]
    removed = [lambda: (music / "new" / "1.flac").unlink(), nothing, nothing]
    assert watched(music, *removed) == [1, 1, 2, 2]
    retagged = [lambda: audio(music / "a.flac", artist="New"), nothing, nothing]
    assert watched(music, *retagged) == [1, 1, 2, 2]  # of another size, if of the same time
    later = [lambda: audio(music / "a.flac", at=2 * 10**9, artist="N"), nothing, nothing]
    assert watched(music, *later) == [1, 1, 2, 2]


def test_a_disk_that_goes_and_comes_back_is_waited_for(music, tmp_path, capsys):
    away = tmp_path / "away"

    def unmount():
        music.rename(away)
        music.mkdir()

    def mount():
        shutil.rmtree(music)
        away.rename(music)

    steps = [unmount, nothing, nothing, mount, nothing, nothing]
    assert watched(music, *steps) == [1] * 7  # the same music
    err = capsys.readouterr().err
    assert err.count("waiting for it") == 1
    assert err.count("the music is there again") == 1


def test_what_goes_wrong_later_is_told_and_does_not_end_it(music, capsys):
    def answer(number):
        if number == 1:
            raise typer.Exit(3)  # some files failed
        if number == 2:
            raise DataError("the store is full; free some space")

    steps = [lambda: audio(music / "b.flac"), nothing, lambda: audio(music / "c.flac"), nothing]
    assert watched(music, *steps, nothing, answer=answer) == [1, 1, 2, 2, 3, 3]
    assert "the store is full" in capsys.readouterr().err


def test_files_by_which_tags_are_read_are_watched_too(music, tmp_path):
    words, own = tmp_path / "words.toml", music / "genres.toml"
    words.write_text("")
    for change in (
        lambda: own.write_text('keep = ["Rap"]'),
        lambda: own.write_text('keep = ["Rap", "Emo"]'),
        own.unlink,
        lambda: words.write_text('unknown = ["A"]'),
        words.unlink,
    ):
        assert watched(music, nothing, change, nothing, nothing, also=[words]) == [1, 1, 1, 2, 2]
    other = tmp_path / "other.toml"
    assert watched(music, lambda: other.write_text("#"), nothing, nothing, also=[words])[-1] == 1


def test_a_vocabulary_that_is_wrong_later_is_told_and_mended(music, capsys):
    own = music / "genres.toml"
    steps = [lambda: own.write_text("kep = []"), nothing, nothing]
    steps += [lambda: own.write_text("keep = []"), nothing, nothing]
    counts = watched(music, *steps, answer=lambda number: scan(music))
    assert counts == [1, 1, 2, 2, 2, 3, 3]
    assert "'kep' is no key" in capsys.readouterr().err


def test_what_is_wrong_from_the_start_ends_it(music, tmp_path):
    def refuse(number):
        raise ConfigError("no such prior")

    with pytest.raises(ConfigError):
        watched(music, answer=refuse)
    with pytest.raises(DataError, match="does not exist"):
        watched(tmp_path / "nowhere")


def test_every_without_watch_is_refused(music):
    result = CliRunner().invoke(app, ["predict", str(music), "--every", "7"])
    assert result.exit_code == 2
    assert "add --watch, or leave --every out" in " ".join(result.stderr.split())


def test_an_interruption_between_answers_is_a_good_end(music, capsys):
    def interrupt():
        raise KeyboardInterrupt

    assert watched(music, nothing, interrupt) == [1, 1]
    assert "no longer watching" in capsys.readouterr().err

    def interrupted(number):
        raise KeyboardInterrupt  # its work is told by the command

    with pytest.raises(KeyboardInterrupt):
        watched(music, answer=interrupted)


def test_the_command_watches_and_replaces_what_it_wrote_itself(music, tmp_path, monkeypatch):
    """Ended by the system, as a container is."""
    rounds = []

    def wait(seconds):
        rounds.append(seconds)
        if len(rounds) == 1:
            audio(music / "b.flac", artist="C", album="D")
        if len(rounds) == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return True

    given = []

    def scan_in_library(folder, *rest):
        given.append(folder)
        raise typer.Exit(3)

    monkeypatch.setattr(watch_module, "_wait", wait)
    monkeypatch.setattr(library_module, "scan_in_library", scan_in_library)
    before = signal.getsignal(signal.SIGTERM)
    command = ["predict", str(music), "--watch", "--every", "7"]
    result = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "out.csv")])
    assert result.exit_code == 0, result.output
    assert len(given) == 2
    assert rounds == [7.0] * 4
    assert signal.getsignal(signal.SIGTERM) == before
    (tmp_path / "out.csv").write_text("of somebody")
    result = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "out.csv")])
    assert result.exit_code == 2
    assert "there already" in result.stderr


def test_the_file_holds_what_there_is_after_each_change(tmp_path, monkeypatch):
    music, out = tmp_path / "music", tmp_path / "out.csv"
    rng, found = np.random.default_rng(0), []

    def sound(name):
        music.mkdir(exist_ok=True)
        soundfile.write(music / name, rng.uniform(-0.3, 0.3, 32_000), 16_000)

    def wait(seconds):
        with out.open(newline="", encoding="utf-8") as file:
            found.append([os.path.basename(row["path"]) for row in csv.DictReader(file)])
        if len(found) == 1:
            sound("b.wav")
        return len(found) < 4

    sound("a.wav")
    monkeypatch.setattr(watch_module, "_wait", wait)
    command = ["predict", str(music), "--watch", "--workers", "1", "--out", str(out)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert [sorted(names) for names in found] == [["a.wav"]] * 2 + [["a.wav", "b.wav"]] * 2


@pytest.mark.parametrize("option", ["--genres", "--words"])
def test_the_command_watches_the_files_by_which_tags_are_read(music, tmp_path, monkeypatch, option):
    own, rounds, given = tmp_path / "own.toml", [], []
    own.write_text("")

    def wait(seconds):
        rounds.append(seconds)
        if len(rounds) == 1:
            own.write_text("# another")
        return len(rounds) < 4

    def scan_in_library(folder, *rest):
        given.append(folder)
        raise typer.Exit(3)

    monkeypatch.setattr(watch_module, "_wait", wait)
    monkeypatch.setattr(library_module, "scan_in_library", scan_in_library)
    result = CliRunner().invoke(app, ["predict", str(music), "--watch", option, str(own)])
    assert result.exit_code == 0, result.output
    assert len(given) == 2
