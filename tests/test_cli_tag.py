"""From a folder to genres in its files, and back to the first byte, on the command line."""

import json
import os
import shutil
import signal
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest
from audio_files import make
from mutagen.flac import FLAC
from mutagen.id3 import ID3, TALB, TCON, TIT2, TPE1
from typer.testing import CliRunner

from matt.cli.app import app
from matt.tagging import writing
from matt.tagging.fields import read_fields
from matt.tagging.journal import SIDECAR, journals_folder

SUFFIXES = (".flac", ".mp3", ".ogg", ".opus", ".wav", ".aiff")


def matt(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def told(result):
    return json.loads(result.stdout)


@contextmanager
def interrupted(monkeypatch, *, after):
    """Have somebody press Ctrl-C when so many files are written."""
    one, seen = writing._write, []

    def stop(*arguments, **options):
        if len(seen) == after:
            raise KeyboardInterrupt
        seen.append(1)
        return one(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(writing, "_write", stop)
        yield


def digests(folder):
    return {
        path: sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(autouse=True)
def _journals(tmp_path, monkeypatch):
    monkeypatch.setenv("MATT_JOURNALS", str(tmp_path / "journals"))
    monkeypatch.setenv("MATT_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    for suffix in SUFFIXES:
        make(folder, suffix, 3.0)
    return folder


@pytest.fixture
def music(made, tmp_path):
    """An album without genres, in every format that libsndfile writes."""
    folder = tmp_path / "Music" / "Ann" / "One"
    folder.mkdir(parents=True)
    for suffix in SUFFIXES:
        shutil.copy(made / f"music{suffix}", folder)
    tag = ID3()
    for frame in (TIT2(text="Song"), TPE1(text="Ann"), TALB(text="One")):
        tag.add(frame)
    tag.save(folder / "music.mp3", v2_version=3)
    return folder


def predictions(folder, place, **changed):
    row = {"artist": "Ann", "album": "One", "title": None, "tagged": None, "genre": "Indie Rock", "probability": 0.8,
           "genre_path": ["Rock", "Indie Rock"], "status": "new", "unsure": False, "tag_unknown": False,
           "in_training": False, "out_of_fold": False, "top": [{"genre": "Indie Rock", "probability": 0.8}, {"genre": "Punk", "probability": 0.6}],
           "tracks": [{"path": str(path)} for path in sorted(folder.iterdir())]}  # fmt: skip
    place.write_text(json.dumps({"schema": "matt.albums/2", "albums": [{**row, **changed}]}))
    return place


@pytest.fixture
def said(music, tmp_path):
    return predictions(music, tmp_path / "said.json")


def test_a_plan_is_shown_and_nothing_is_written(music, said):
    before = digests(music)
    result = matt("tag", said)
    assert result.exit_code == 0, result.output
    assert all(
        name in result.stdout
        for name in ("Ann - One", "music.flac", "Indie Rock", "80 %, new", "6 files to write")
    )
    assert digests(music) == before
    assert told(matt("tag", said, "--json"))["changes"][0]["new"] == ["Indie Rock"]
    assert matt("undo").exit_code == 2


def test_the_loop_from_predictions_to_the_first_bytes_again(music, said, tmp_path):
    before, place = digests(music), tmp_path / "p.jsonl"
    assert (
        matt("tag", said, "--plan", place, "--top", 2, "--fields", "genre,grouping").exit_code == 0
    )
    assert matt("tag", said, "--plan", place).exit_code == 2  # it is there
    head, *lines = place.read_text().splitlines()
    lines = [line.replace("Punk", "Gabba Folk") for line in lines if "music.wav" not in line]
    place.write_text("\n".join([head, *lines]) + "\n")
    result = matt("tag", place, "--apply", "--json")
    assert result.exit_code == 0, result.output
    written = {Path(path) for path in told(result)["written"]}
    assert {path.suffix for path in written} == {*SUFFIXES} - {".wav"}
    assert read_fields(music / "music.flac")["genre"] == ("Indie Rock", "Gabba Folk")
    assert FLAC(music / "music.flac")["grouping"] == ["Rock"]
    assert digests(music)[music / "music.wav"] == before[music / "music.wav"]
    again = matt(
        "tag", said, "--top", 2, "--fields", "genre,grouping", "--json", "--exclude", "*.wav"
    )
    assert told(again)["changes"] == []
    (journal,) = told(matt("undo", "--list", "--json"))["journals"]
    assert (journal["n_files"], journal["n_undone"]) == (5, 0)
    assert len(told(matt("undo", "--json"))["undone"]) == 5
    assert digests(music) == before
    assert told(matt("undo", "--list", "--json"))["journals"][0]["n_undone"] == 5
    assert matt("undo").exit_code == 2


def test_a_file_that_changed_is_skipped_and_named_both_ways(music, said, tmp_path):
    place = tmp_path / "p.jsonl"
    matt("tag", said, "--plan", place)
    song = FLAC(music / "music.flac")
    song["title"] = "new"
    song.save()
    result = matt("tag", place, "--apply", "--json")
    assert result.exit_code == 3
    assert [Path(row["path"]).name for row in told(result)["failures"]] == ["music.flac"]
    song = ID3(music / "music.mp3")
    song.add(TCON(text="Mine"))
    song.save()
    result = matt("undo", "--json")
    assert result.exit_code == 3
    assert [Path(row["path"]).name for row in told(result)["failures"]] == ["music.mp3"]
    assert len(told(result)["undone"]) == 4
    assert ID3(music / "music.mp3")["TCON"].text == ["Mine"]


def test_interrupted_between_files_it_goes_on(music, said, monkeypatch):
    before = digests(music)
    with interrupted(monkeypatch, after=2):
        assert matt("tag", said, "--apply").exit_code == 130
    assert len(told(matt("tag", said, "--apply", "--json"))["written"]) == 4
    assert all(read_fields(path)["genre"] for path in before)
    for _ in range(2):
        assert matt("undo").exit_code == 0
    assert digests(music) == before


@pytest.mark.parametrize("how", ["Ctrl-C", "SIGTERM"])
@pytest.mark.parametrize("what", ["tag", "undo"])
def test_what_ends_a_run_tells_how_far_it_was_and_how_that_is_undone(
    music, said, monkeypatch, how, what
):
    before = digests(music)
    name = "_write" if what == "tag" else "_restore"
    if what == "undo":
        matt("tag", said, "--apply")
    real, seen = getattr(writing, name), []

    def stop(run, *arguments, **options):
        if len(seen) == 2:
            with run.beside(music / "music.flac") as copy:
                copy.write_bytes(b"half of it")
                if how == "Ctrl-C":
                    raise KeyboardInterrupt
                os.kill(os.getpid(), signal.SIGTERM)
        seen.append(1)
        return real(run, *arguments, **options)

    monkeypatch.setattr(writing, name, stop)
    handler = signal.getsignal(signal.SIGTERM)
    result = matt(*(["tag", said, "--apply"] if what == "tag" else ["undo"]))
    assert signal.getsignal(signal.SIGTERM) is handler
    assert result.exit_code == 130
    (journal,) = told(matt("undo", "--list", "--json"))["journals"]
    text = " ".join(result.stderr.split())
    if what == "tag":
        assert f"2 files were written, and 'matt undo {journal['name']}' takes it back" in text
    else:
        assert "2 files were given back" in text
    assert not [path for path in digests(music) if path.name.startswith(".")]
    monkeypatch.setattr(writing, name, real)
    assert matt("undo", journal["name"]).exit_code == 0
    assert digests(music) == before


def test_a_plan_that_was_stopped_goes_on_and_is_done_in_the_end(music, said, tmp_path, monkeypatch):
    place = tmp_path / "p.jsonl"
    matt("tag", said, "--plan", place, "--top", 2)
    with interrupted(monkeypatch, after=4):
        assert matt("tag", place, "--apply").exit_code == 130
    result = matt("tag", place, "--apply", "--json")
    assert (result.exit_code, told(result)["failures"]) == (0, [])
    assert len(told(result)["written"]) == len(SUFFIXES) - 4
    now = digests(music)
    result = matt("tag", place, "--apply", "--json")
    assert (result.exit_code, told(result)["written"], told(result)["failures"]) == (0, [], [])
    assert digests(music) == now
    assert len(told(result)["done_already"]) == len(SUFFIXES)
    assert "0 files written; 6 done already" in matt("tag", place, "--apply").stdout


def test_undo_reaches_the_run_before_one_whose_files_are_gone(music, said, tmp_path):
    before, other = digests(music), tmp_path / "Music" / "Bea"
    shutil.copytree(music, other)
    first = told(matt("tag", said, "--apply", "--json"))["journal"]
    second = told(matt("tag", predictions(other, tmp_path / "b.json"), "--apply", "--json"))
    # In one second, names do not tell which was first: times do.
    assert [row["name"] for row in told(matt("undo", "--list", "--json"))["journals"]] == [
        second["journal"], first
    ]  # fmt: skip
    (other / "music.mp3").unlink()
    result = matt("undo")
    assert result.exit_code == 3
    assert f"'matt undo {second['journal']}' tries them again" in " ".join(result.stderr.split())
    result = matt("undo", "--json")
    assert result.exit_code == 0, result.stderr
    assert (told(result)["journal"], told(result)["passed_over"]) == (first, [second["journal"]])
    assert f"'matt undo --prune {second['journal']}'" in " ".join(result.stderr.split())
    assert digests(music) == before
    result = matt("undo")
    assert result.exit_code == 2
    assert "nothing to undo" in result.stderr
    assert second["journal"] in result.stderr
    result = matt("undo", second["journal"], "--json")
    assert result.exit_code == 3
    assert "it is gone; put it back" in told(result)["failures"][0]["reason"]
    matt("undo", "--prune", second["journal"])
    assert second["journal"] not in matt("undo").stderr


def test_a_damaged_line_of_a_journal_is_a_file_that_is_not_taken_back(music, said):
    before, name = digests(music), told(matt("tag", said, "--apply", "--json"))["journal"]
    place = journals_folder() / f"{name}.jsonl"
    lines = place.read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].replace(b"written", b"wrItten")
    place.write_bytes(b"".join(lines))
    assert told(matt("undo", "--list", "--json"))["journals"][0]["n_damaged"] == 1
    result = matt("undo", "--json")
    assert result.exit_code == 3
    assert len(told(result)["undone"]) == len(SUFFIXES) - 1
    (failure,) = told(result)["failures"]
    assert failure["path"] == str(place)
    assert "line 4 is damaged" in failure["reason"]
    assert sum(old != before[path] for path, old in digests(music).items()) == 1
    result = matt("undo")
    assert result.exit_code == 2
    assert name in result.stderr


def test_undo_takes_away_what_a_killed_run_has_left(music):
    left = music / f".matt-{'0' * 32}.flac"
    left.write_bytes(b"a copy")
    journals_folder().mkdir(parents=True)
    (journals_folder() / ".copies").write_bytes(os.fsencode(left) + b"\0")
    assert matt("undo").exit_code == 2  # nothing to undo
    assert not left.exists()


def test_modes_and_protection(music, tmp_path):
    song = FLAC(music / "music.flac")
    song["genre"] = ["Jazz"]
    song.save()
    said = predictions(music, tmp_path / "said.json", tagged="Jazz", status="disagrees")

    def new(*options):
        return [
            row["new"]
            for row in told(matt("tag", said, "--json", *options))["changes"]
            if row["old"]
        ]

    assert told(matt("tag", said, "--json"))["changes"] == []  # the album disagrees
    assert new("--mode", "append") == [["Jazz", "Indie Rock"]]
    assert new("--mode", "replace") == [["Indie Rock"]]
    assert new("--mode", "replace", "--protect", "jazz") == []
    (tmp_path / "g.toml").write_text('protect = ["Jazz"]\n')
    assert new("--mode", "replace", "--genres", tmp_path / "g.toml") == []
    assert new("--mode", "replace", "--min-sure", 0.9) == []


def test_sidecars_and_a_list_leave_audio_alone(music, said, tmp_path):
    before = digests(music)
    assert matt("tag", said, "--mp3tag", tmp_path / "list.csv").exit_code == 0
    assert matt("tag", said, "--sidecar", "--apply").exit_code == 0
    after = digests(music)
    assert set(after) - set(before) == {music / SIDECAR}
    assert {path: after[path] for path in before} == before


def test_sidecars_are_undone_like_all_else(music, said):
    before = digests(music)
    first = told(matt("tag", said, "--sidecar", "--apply", "--json"))
    assert first["sidecars"] == [str(music / SIDECAR)]
    alone = digests(music)
    second = told(matt("tag", said, "--sidecar", "--apply", "--json", "--top", 2))
    assert digests(music) != alone
    assert told(matt("undo", "--json"))["undone"] == [str(music / SIDECAR)]
    assert digests(music) == alone
    (music / SIDECAR).write_text("mine")
    result = matt("undo", first["journal"], "--json")
    assert result.exit_code == 3
    assert [row["path"] for row in told(result)["failures"]] == [str(music / SIDECAR)]
    assert (music / SIDECAR).read_text() == "mine"
    (music / SIDECAR).unlink()
    assert matt("undo", first["journal"]).exit_code == 0
    assert matt("undo", second["journal"]).exit_code == 0  # there is nothing left of it
    assert digests(music) == before


def test_what_has_several_names_by_now_is_undone_where_that_is_asked_for(music, said):
    before = digests(music)
    matt("tag", said, "--apply")
    os.link(music / "music.flac", music / "second")
    result = matt("undo", "--json")
    assert result.exit_code == 3
    assert "--break-links" in told(result)["failures"][0]["reason"]
    assert matt("undo", "--break-links").exit_code == 0
    assert digests(music) == {**before, music / "second": digests(music)[music / "second"]}


@pytest.mark.parametrize(
    "options",
    [("--mode", "all"), ("--fields", "title"), ("--top", "99"), ("--mp3tag", "x.csv", "--apply"), ("--plan", "x.json"),
     ("--sidecar", "--mp3tag", "x.csv"), ("--level", "track"), ("--model", "runs/mine"), ("--min-sure", "2"), ("--since", "soon")],
    ids=" ".join,
)  # fmt: skip
def test_what_makes_no_sense_is_refused_before_anything(
    music, said, options, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    before = digests(tmp_path / "Music")
    assert matt("tag", said, *options).exit_code == 2
    assert digests(tmp_path / "Music") == before


ASKED = [("--only", "x"), ("--exclude", "x"), ("--untagged",), ("--disagree",), ("--since", "7d")]
CHOSEN = [("--mode", "append"), ("--protect", "Jazz"), ("--min-sure", "0.5"), ("--fields", "mood"), ("--top", "2"),
          ("--genres", "g.toml"), ("--words", "w.toml"), ("--level", "track")]  # fmt: skip
HEARD = [("--model", "runs/mine"), ("--artist", "composer"), ("--no-merge",), ("--genre-separator", ";"), ("--store", "s"),
         ("--salvage",), ("--retry-failed",), ("--workers", "2"), ("--scheduler", "tcp://x:1")]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "options"),
    [*(("plan", one) for one in (*ASKED, *CHOSEN, *HEARD)), *(("predictions", one) for one in HEARD)],
    ids=lambda one: one if isinstance(one, str) else " ".join(one),
)  # fmt: skip
def test_what_would_change_nothing_is_refused_by_name(music, said, tmp_path, kind, options):
    place, before = said, digests(music)
    if kind == "plan":
        place = tmp_path / "p.jsonl"
        matt("tag", said, "--plan", place)
    result = matt("tag", place, "--apply", *options)
    assert result.exit_code == 2
    assert f"{options[0]} would change nothing: {place}" in " ".join(result.stderr.split())
    assert digests(music) == before


def test_how_a_plan_is_written_can_be_said(music, said, tmp_path):
    place = tmp_path / "p.jsonl"
    matt("tag", said, "--plan", place, "--top", 2)
    os.utime(music / "music.mp3", ns=(10**18, 10**18))
    matt("tag", said, "--plan", place, "--top", 2, "--force")
    result = matt("tag", place, "--apply", "--separator", "; ", "--keep-times", "--library", music)
    assert result.exit_code == 0, result.stderr
    assert ID3(music / "music.mp3")["TCON"].text == ["Indie Rock; Punk"]
    assert (music / "music.mp3").stat().st_mtime_ns == 10**18


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("--top", "21"), "--top"), (("--top", "0"), "--top"), (("--min-sure", "2"), "--min-sure"), (("--min-sure", "nan"), "--min-sure")],
    ids=" ".join,
)  # fmt: skip
def test_what_is_said_of_an_option_has_its_name(said, arguments, words):
    result = matt("tag", said, *arguments)
    assert result.exit_code == 2
    assert words in result.stderr


@pytest.mark.parametrize("name", ["Musci", "p.jsonl", "said.json", "music.flac"])
def test_what_does_not_exist_is_told_so(tmp_path, name):
    result = matt("tag", tmp_path / name)
    assert result.exit_code == 2
    assert f"{name} does not exist; check the path" in " ".join(result.stderr.split())


def test_a_plan_of_a_whole_home_is_done_where_that_is_said(music, said, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    place = tmp_path / "p.jsonl"
    result = matt("tag", said, "--plan", place, "--library", tmp_path)
    assert result.exit_code == 0
    assert "--library" in result.stderr
    refused = matt("tag", place, "--apply")
    assert refused.exit_code == 2
    assert "--library DIR" in refused.stderr
    said_so = matt("tag", place, "--apply", "--library", tmp_path, "--json")
    assert len(told(said_so)["written"]) == len(SUFFIXES)


def test_a_plan_cannot_lead_out_of_its_library(music, tmp_path):
    outside = tmp_path / "outside.flac"
    shutil.copy(music / "music.flac", outside)
    line = {"path": "../outside.flac", "field": "genre", "old": [], "new": ["x"], "why": "", "sure": 1,
            "size": outside.stat().st_size, "mtime_ns": outside.stat().st_mtime_ns}  # fmt: skip
    head = {"schema": "matt.plan/1", "library": str(music)}
    (tmp_path / "p.jsonl").write_text(f"{json.dumps(head)}\n{json.dumps(line)}\n")
    before = outside.read_bytes()
    result = matt("tag", tmp_path / "p.jsonl", "--apply")
    assert result.exit_code == 2
    assert "line 2: not a file in" in result.stderr
    assert outside.read_bytes() == before


def test_journals_are_forgotten_by_name_and_age(music, said):
    matt("tag", said, "--apply")
    (journal,) = told(matt("undo", "--list", "--json"))["journals"]
    assert told(matt("undo", "--prune", "90d", "--json"))["forgotten"] == []
    assert told(matt("undo", "--prune", journal["name"], "--json"))["forgotten"] == [
        journal["name"]
    ]
    assert told(matt("undo", "--list", "--json"))["journals"] == []
    assert matt("undo", "--prune", "x", "--list").exit_code == 2


@pytest.mark.parametrize("what", ["90", "x", "3y", "p.jsonl", "2999-01-01", "", "../p"])
def test_what_is_neither_a_run_nor_a_time_is_not_forgotten(music, said, what):
    matt("tag", said, "--apply")
    result = matt("undo", "--prune", what)
    assert result.exit_code == 2
    assert "90d, 36h, 3w or 2026-11-01" in " ".join(result.stderr.split())
    assert len(told(matt("undo", "--list", "--json"))["journals"]) == 1


@pytest.mark.parametrize(("what", "n"), [("3w", 0), ("36h", 0), ("2001-01-01", 0), ("0d", 1)])
def test_a_time_is_told_as_in_since(music, said, what, n):
    matt("tag", said, "--apply")
    assert len(told(matt("undo", "--prune", what, "--json"))["forgotten"]) == n


def test_a_plan_is_no_journal(music, said, tmp_path):
    place = tmp_path / "p.jsonl"
    matt("tag", said, "--plan", place)
    for arguments in ((place,), ("--prune", place), (place.with_suffix(""),)):
        assert matt("undo", *arguments).exit_code == 2
    assert place.exists()


def test_a_folder_is_predicted_planned_written_and_brought_back(music):
    """By the tagger that comes with matt."""
    before = digests(music)
    result = matt(
        "tag",
        music.parents[1],
        "--min-sure",
        "0.01",
        "--fields",
        "genre,mood",
        "--apply",
        "--json",
        "--workers",
        1,
    )
    assert result.exit_code == 0, result.output
    assert len(told(result)["written"]) == len(before)
    assert all(read_fields(path)["genre"] for path in before)
    assert matt("undo").exit_code == 0
    assert digests(music) == before
    assert not [name for name in os.listdir(music) if name.startswith(".")]
