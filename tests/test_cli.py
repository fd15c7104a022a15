"""The command line as a user meets it: real processes or the real app, real files, exit codes."""

import csv
import html
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from mutagen.flac import FLAC
from typer.testing import CliRunner

from matt import Predictions, Tracks
from matt.cli.app import app
from matt.cli.console import Output
from matt.cli.library import _tell_learned
from matt.datasets.genres import vocabulary
from matt.datasets.synthetic import write_library
from matt.library.status import STATUSES
from matt.models import training
from matt.runs import OUT_OF_FOLD, Run

HEAVY = ("torch", "pandas", "numba", "matplotlib", "sklearn", "pyarrow", "scipy", "soundfile")
COMMANDS = (
    "demo", "scan", "extract", "train", "evaluate", "score", "compare", "report", "predict", "check", "similar", "playlist", "explain", "tag", "undo", "audit", "describe", "doctor", "fma fetch", "fma verify",
    "model card", "model show", "model pack", "fma index", "fma check", "fma describe", "fma export", "fma simulate",
    "cache show", "cache prune", "cache move",
)  # fmt: skip
FAST = [
    "--set",
    "training.epochs=3",
    "--set",
    "features.duration=1.5",
    "--set",
    "training.threads=1",
]


def matt(*arguments):
    torch.set_num_threads(1)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def document(result):
    return json.loads(result.stdout)


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    """Synthetic music with the planted bad files, and one cache for its features."""
    root = tmp_path_factory.mktemp("music")
    write_library(root, seed=0, tracks=60, seconds=(1.0, 1.6), workers=1)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("MATT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield root


@pytest.fixture(scope="session")
def run(library, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "first"
    result = matt("train", library, "--out", out, "--json", *FAST)
    assert result.exit_code == 3, result.output  # the planted bad files failed
    return out, document(result)


def code(text):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", text], capture_output=True, text=True, check=False
    )


HELP = """
import sys
import tomllib
from matt.cli import main
sys.argv = ["matt", "--help"]
try:
    main()
except SystemExit:
    pass
"""


@pytest.mark.parametrize("text", ["import matt", HELP], ids=["import matt", "matt --help"])
def test_start_up_loads_nothing_heavy(text):
    done = code(f"{text}\nimport sys\nprint('loaded', [m for m in {HEAVY} if m in sys.modules])")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "loaded []"


def test_a_process_that_imports_what_started_it_loads_no_command():
    """Each that decodes does so, and would be late by as long as that takes."""
    done = code("import sys\nfrom matt.cli import main\nprint({'numpy', 'typer'} & {*sys.modules})")
    assert (done.returncode, done.stdout) == (0, "set()\n"), done.stderr


def test_ctrl_c_before_the_commands_are_loaded_has_its_exit_code_and_no_traceback():
    finder = "type('Finder', (), {'find_spec': staticmethod(find_spec)})"
    done = code(
        "import sys\nfrom matt.cli import main\n\ndef find_spec(name, *args):\n"
        f"    if name == 'typer': raise KeyboardInterrupt\n\nsys.meta_path.insert(0, {finder})\nmain()"
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_settings_are_read_without_torch():
    done = code("import sys, matt.config\nprint('torch' in sys.modules)")
    assert (done.returncode, done.stdout) == (0, "False\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_ends_in_an_example(command):
    result = matt(*command.split(), "--help")
    assert result.exit_code == 0
    assert f"matt {command}" in " ".join(result.output.split("Example:")[1].split())


def test_version_and_module():
    done = subprocess.run(
        [sys.executable, "-m", "matt", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "matt 0.1.0\n"


def test_scan_counts_what_is_there(library, tmp_path):
    table = tmp_path / "tracks.parquet"
    result = matt("scan", library, "--out", table, "--json")
    assert result.exit_code == 3  # some files have problems
    told = document(result)
    assert told["counts"]["tracks"] == len(Tracks.load(table))
    assert {Path(row["path"]).name for row in told["problems"]} == {"empty.flac", "text.mp3"}
    assert len(told["untagged"]) == told["counts"]["without artist or album"] > 0
    assert all(row["bags"] <= row["tracks"] for row in told["genres"])
    shown = matt("scan", library).stdout
    assert "albums" in shown
    assert "bags" not in shown  # a word of programs and researchers


def test_a_second_extraction_finds_everything_done(library, run):
    arguments = ["extract", library, "--duration", "1.5", "--json", "--workers", "1"]
    (told,) = document(matt(*arguments))["stores"]
    assert told["counts"]["extracted"] == 0
    assert told["counts"]["unchanged"] + told["counts"]["failed"] == told["counts"]["total"]
    assert [Path(row["path"]).name for row in told["partial"]] == ["truncated.mp3"]


def test_training_writes_a_complete_run(run):
    out, told = run
    for name in (
        "run.json", "tracks.parquet", "history.csv", "scores.json", "report.html",
        "model/model.json", "model/weights.safetensors", "predictions/test.parquet",
        "plots/genres.png", "plots/confusion.png",
    ):  # fmt: skip
        assert (out / name).stat().st_size > 0, name
    manifest = json.loads((out / "run.json").read_text())
    assert manifest["status"] == "finished"
    assert manifest["settings"]["training"]["epochs"] == 3
    assert manifest["versions"]["torch"]
    assert len(manifest["failures"]) == len(told["failures"]) > 0
    assert [Path(row["path"]).name for row in told["partial"]] == ["truncated.mp3"]
    page = (out / "report.html").read_text()
    assert all(name in page for name in ("empty.flac", "text.mp3", "truncated.mp3"))
    names = {row["model"] for row in told["scores"]["scores"]["rows"]}
    assert "control: majority class" in names
    assert any("averaged over the bag" in name for name in names)


def test_evaluate_computes_the_same_tables_again(run):
    out, told = run
    result = matt("evaluate", out, "--json")
    assert result.exit_code == 0
    assert document(result) == told["scores"]
    other = document(matt("evaluate", out, "--json", "--seed", "1"))
    plain = document(matt("evaluate", out, "--json", "--rounds", "0"))
    interval = "95 % of accuracy"
    rows = [tables["scores"]["rows"] for tables in (told["scores"], other, plain)]
    for here, there, bare in zip(*rows, strict=True):
        assert {name: there[name] for name in bare} == {name: here[name] for name in bare} == bare
        assert interval not in bare
    assert [row[interval] for row in rows[0]] != [row[interval] for row in rows[1]]
    assert matt("evaluate", out, "--rounds", "-1").exit_code == 2


def test_no_artist_is_in_two_splits_of_a_run(run):
    tracks = Tracks.load(run[0] / "tracks.parquet")
    for artist in set(tracks.artist_id[tracks.artist_id >= 0]):
        assert len(set(tracks.split[tracks.artist_id == artist])) == 1


def test_predict_names_a_genre_for_every_album(library, run, tmp_path):
    out = run[0]
    table = tmp_path / "genres.csv"
    result = matt("predict", library, "--model", out, "--out", table, "--json")
    assert result.exit_code == 3
    albums = document(result)["albums"]
    assert sum(album["n_tracks"] for album in albums) == len(Tracks.load(out / "tracks.parquet"))
    genres = Predictions.load(out / "predictions" / "test.parquet").genres
    above = {name for genre in genres for name in vocabulary().path(genre)}
    assert {album["genre"] for album in albums} <= {*genres} | above
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["genre"] for row in rows] == [album["genre"] for album in albums]
    assert all(Path(row["path"]).exists() for row in rows)  # lone tracks have no other name
    assert [Path(row["path"]).is_file() for row in rows] == [a["n_tracks"] == 1 for a in albums]


def test_an_unsure_album_gets_no_genre_and_a_prior_moves_all(library, run, tmp_path):
    given = ("predict", library, "--model", run[0], "--json")
    before, genres = document(matt(*given))["albums"], Predictions.load(run[0] / "predictions" / "test.parquet").genres  # fmt: skip
    bar = sorted(album["probability"] for album in before)[len(before) // 2]
    albums = document(matt(*given, "--abstain-below", bar))["albums"]
    assert {album["unsure"] for album in albums} == {True, False}
    for album in albums:
        assert (album["genre"] is None) == album["unsure"]
    told = " ".join(matt(*given[:-1], "--abstain-below", bar).stderr.split())
    assert f"below {100 * bar:.0f} %: no genre is given there" in told
    shares = dict.fromkeys(genres, 0.0) | {genres[0]: 1.0}
    (tmp_path / "shares.json").write_text(json.dumps(shares))
    for prior in (json.dumps(shares), tmp_path / "shares.json"):
        albums = document(matt(*given, "--prior", prior))["albums"]
        assert {album["genre"] for album in albums} == {genres[0]}
    estimated = document(matt(*given, "--prior", "estimate"))["albums"]
    assert by_tracks(estimated, "top") != by_tracks(before, "top")


def by_tracks(rows, name):
    """One value of each row, whatever the order of the rows; a folder may hold several albums."""
    return {tuple(track["track_id"] for track in row["tracks"]): row[name] for row in rows}


def test_own_costs_decide_albums_and_are_scored(library, run, tmp_path):
    given = ("predict", library, "--model", run[0], "--json")
    before = document(matt(*given))
    genres = Predictions.load(run[0] / "predictions" / "test.parquet").genres
    costs, table = tmp_path / "costs.toml", tmp_path / "albums.csv"
    free = {genre: {genres[0]: 0} for genre in genres[1:]}  # to answer the first costs nothing
    costs.write_text("\n".join(f'["{genre}"]\n"{genres[0]}" = 0' for genre in free))
    after = document(matt(*given, "--cost", costs, "--out", table))
    assert "decision" not in before
    assert after["decision"] == "own cost"
    assert {album["genre"] for album in after["albums"]} == {genres[0]}
    assert by_tracks(after["albums"], "top") == by_tracks(before["albums"], "top")
    with table.open(newline="") as file:
        assert {row["decision"] for row in csv.DictReader(file)} == {"own cost"}
    tables = document(matt("evaluate", run[0], "--rounds", "0", "--cost", costs, "--json"))
    paid = {row["decision"]: row["mean cost"] for row in tables["costs"]["rows"]}
    assert paid["own cost"] == 0 < paid["likely"]


@pytest.mark.parametrize(("n", "many"), [(1, "1 album that"), (2_000, "2,000 albums that")])
def test_who_answers_for_what_was_learned_is_told_of_one_album_and_of_many(n, many, capsys):
    known = {"in_training": True, "out_of_fold": False}
    rows = [known] * n + [{**known, "out_of_fold": True}, {**known, "in_training": None}]
    _tell_learned(rows, Output(quiet=False))
    told = " ".join(capsys.readouterr().err.split())
    assert f"has learned from {n + 1:,} of these albums" in told
    assert "answer for 1 of them" in told
    assert f"answers for {many} it has learned from" in told
    _tell_learned([{"in_training": None, "out_of_fold": False}], Output(quiet=False))
    assert capsys.readouterr().err == ""


def test_albums_come_by_what_there_is_to_do_and_only_those_asked_for(library, run, tmp_path):
    given = ("predict", library, "--model", run[0])
    table = tmp_path / "tracks.csv"
    albums = document(matt(*given, "--json"))["albums"]
    statuses = [album["status"] for album in albums]
    assert statuses == sorted(statuses, key=STATUSES.index)
    assert {status == "new" for status in statuses} == {True, False}
    for album in albums:
        assert (album["status"] == "new") == (album["tagged"] is None)
        assert not (album["status"] == "disagrees" and album["unsure"])
    trained = Tracks.load(run[0] / "tracks.parquet")
    known = trained.track_id[np.isin(trained.split, ("training", "validation")) & trained.labelled]
    for album in albums:
        ids = [track["track_id"] for track in album["tracks"]]
        assert album["in_training"] == np.isin(ids, known).any()
        assert album["in_training"] or not album["out_of_fold"]
    new = document(matt(*given, "--untagged", "--json"))["albums"]
    assert by_tracks(new, "top") == by_tracks(albums[: statuses.count("new")], "top")
    assert document(matt(*given, "--disagree", "--json"))["albums"] == [
        album for album in albums if album["status"] == "disagrees"
    ]
    flacs = document(matt(*given, "--only", "*.flac", "--level", "track", "--out", table, "--json"))
    assert flacs["schema"] == "matt.albums.tracks/1"
    assert {Path(track["path"]).suffix for track in flacs["tracks"]} == {".flac"}
    with table.open(newline="") as file:
        assert [row["path"] for row in csv.DictReader(file)] == [t["path"] for t in flacs["tracks"]]
    none = matt(*given, "--only", "nothing of the kind")
    assert none.exit_code == 3  # what the scan could not read is told all the same
    assert "0 albums" in none.stdout


def test_one_line_an_album_however_narrow_the_terminal(library, run):
    for columns in (80, 120):
        result = CliRunner(env={"COLUMNS": str(columns)}).invoke(
            app, ["predict", str(library), "--model", str(run[0])], color=True
        )
        lines = result.stdout.splitlines()
        assert lines[0].endswith(" albums")
        assert len(lines) >= 3 + int(lines[0].split()[0])


def test_a_file_and_several_are_enough(run):
    paths = [path for path in Tracks.load(run[0] / "tracks.parquet").path[:3]]
    for some in (paths[:1], paths):
        albums = document(matt("predict", *some, "--model", run[0], "--json"))["albums"]
        assert sorted(t["path"] for a in albums for t in a["tracks"]) == sorted(some)
    named = "".join(f"{path}\0" for path in paths)
    asked = ["predict", "-", "--model", str(run[0]), "--json"]
    assert document(CliRunner().invoke(app, asked, input=named))["albums"] == albums
    none = CliRunner().invoke(app, asked, input="")
    assert none.exit_code == 2
    assert "NUL" in none.output


def test_the_real_clips_go_all_the_way(shared_data, run):
    """Mechanics only: a model of synthetic music knows nothing of real genres."""
    result = matt(
        "predict", shared_data / "fma_clips", "--model", run[0], "--json", "--workers", "2"
    )
    assert result.exit_code == 0, result.output
    albums = document(result)["albums"]
    assert sum(album["n_tracks"] for album in albums) == 10
    assert all(0 < album["probability"] <= 1 for album in albums)


def test_without_a_model_the_shipped_tagger_answers_and_needs_no_network(shared_data, tmp_path):
    """In a process of its own, with sockets that open nothing; its children inherit that."""
    offline = tmp_path / "sitecustomize.py"
    offline.write_text(
        "import socket\n"
        "def refuse(*_): raise OSError('no network')\n"
        "socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse\n"
    )
    environment = {
        **os.environ,
        "MATT_CACHE": str(tmp_path / "cache"),
        "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)]),
    }
    command = [sys.executable, "-W", "error", "-m", "matt", "predict", shared_data / "fma_clips"]
    out = tmp_path / "genres.csv"
    done = subprocess.run(
        [*command, "--json", "--out", out], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    albums = json.loads(done.stdout)["albums"]
    assert sum(album["n_tracks"] for album in albums) == 10
    told = {album["album"]: album["genre"] for album in albums}
    assert told["AWOL - A Way Of Life"] == "Hip-Hop"
    assert all(album["unsure"] == (album["probability"] < 0.25) for album in albums)
    with out.open(newline="") as file:
        assert [*next(csv.reader(file))][-3:] == ["mood", "decade", "voice"]


@pytest.mark.parametrize(
    "refused", [["--prior", "uniform"], ["--accuracy", "0.8"], ["--cost", "no.toml"]]
)
def test_what_the_tagger_cannot_do_is_refused_before_anything_is_heard(library, refused, tmp_path):
    result = matt("predict", library, *refused, "--store", tmp_path / "store")
    assert result.exit_code == 2, result.output
    assert not (tmp_path / "store").exists()


def test_a_model_is_packed_shown_and_predicts_the_same(library, run, tmp_path):
    packed = tmp_path / "mine.zip"
    (tmp_path / "about.md").write_text("Of invented music.\n")
    made = document(matt("model", "pack", run[0], "--out", packed, "--about", tmp_path / "about.md", "--json"))  # fmt: skip
    shown = matt("model", "show", packed)
    assert shown.stdout.startswith("Before you use it")
    assert made["sha256"] in shown.stdout
    assert "Of invented music." in matt("model", "card", packed).stdout
    assert matt("model", "card").stdout.startswith("# The shipped tagger")
    here, there = (
        document(matt("predict", library, "--model", model, "--json"))["albums"]
        for model in (run[0], packed)
    )
    # What a run has learned from it answers otherwise; a packed model does not know what that is.
    fresh = [album for album in here if not album["in_training"]]
    assert fresh
    tops = by_tracks(there, "top")
    assert all(tops[album] == top for album, top in by_tracks(fresh, "top").items())
    assert {album["in_training"] for album in there} == {None}
    again = matt("model", "pack", run[0], "--out", packed)
    assert again.exit_code == 2
    assert "replace it with --force" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["model", "show", "{empty}"], "is not a run folder"),
        (["model", "show", "{table}"], "is not a whole packed model"),
        (["predict", "{music}", "--model", "{table}"], "is not a whole packed model"),
        (["model", "pack", "{run}", "--out", "{empty}/mine.tar"], "its name must end in .zip"),
        (["scan", "{empty}"], "holds no audio"),
        (["scan", "{empty}/nowhere"], "does not exist"),
        (["evaluate", "{empty}"], "is not a run folder"),
        (["predict", "{music}", "--model", "{empty}"], "is not a run folder"),
        (["predict", "{music}", "--model", "{run}", "--out", "x.txt"], "must end in .json, .csv"),
        (["predict", "{music}", "--model", "{run}", "--level", "artist"], "level is 'artist'"),
        (["predict", "{music}", "--model", "{run}", "--bom"], "the file that --out names"),
        (["predict", "{music}", "--model", "{run}", "--since", "noon"], "which is no time"),
        (["predict", "{music}", "--untagged", "--disagree"], "cannot disagree with it"),
        (["predict", "{music}", "--model", "{run}", "--prior", "evn"], "is no file and none of training"),
        (["predict", "{music}", "--model", "{run}", "--prior", '{{"Polka": 1}}'], "unknown genre 'Polka'"),
        (["predict", "{music}", "--model", "{run}", "--abstain-below", "2"], "must be above 0 and below 1"),
        (["predict", "{music}", "--model", "{run}", "--accuracy", "0.9999"], "is not reached on the"),
        (["predict", "{music}", "--model", "{run}", "--cost", "{empty}/no.toml"], "no.toml does not exist"),
        (["predict", "{music}", "--model", "{run}", "--cost", "x", "--abstain-below", "0.5"], "a bar is about"),
        (["evaluate", "{run}", "--cost", "{costs}"], "name the unknown genre 'Polka'"),
        (["train", "{music}", "--out", "{empty}/r", "--set", "training.lr=-1"], "lr must be"),
        (["train", "{music}", "--out", "{empty}/r", "--device", "gpu"], "unknown training.device 'gpu'"),
        (["train", "{music}", "--out", "{empty}/r", "--precision", "float16"], "needs a CUDA device"),
        (["train", "{music}", "--out", "{empty}/r", "--set", "model.poling='dot'"], "did you mean 'pooling'"),
        (["extract", "{music}", "--features", "logmels"], "did you mean 'logmel'"),
        (["train", "{music}", "--out", "{music}"], "is not empty and is no run folder"),
        (["train", "{music}", "--out", "{run}"], "is finished; choose another folder, or replace it with --force"),
        (["predict", "{music}", "--model", "{run}", "--out", "{table}"], "replace it with --force"),
        (["scan", "{music}", "--out", "{table}"], "replace it with --force"),
    ],
)  # fmt: skip
def test_wrong_input_is_one_line_with_a_remedy_and_exit_code_2(
    arguments, message, library, run, tmp_path
):
    (tmp_path / "genres.parquet").touch()
    places = {"empty": tmp_path, "music": library, "run": run[0]}
    places["table"] = tmp_path / "genres.parquet"
    places["costs"] = tmp_path / "costs.toml"
    places["costs"].write_text("[Polka]\nRock = 2")
    result = matt(*(argument.format(**places) for argument in arguments))
    assert result.exit_code == 2, result.output
    assert message in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr
    as_json = matt(*(argument.format(**places) for argument in arguments), "--json", "--quiet")
    assert document(as_json)["exit_code"] == 2


def test_who_trains_in_a_folder_is_named_whatever_lies_in_it(library, run):
    # What this process was refused, or was told of, it does not hold.
    assert matt("train", library, "--out", run[0], *FAST, "--seed", "3").exit_code == 2
    assert matt("train", library, "--out", run[0], *FAST, "--resume").exit_code == 0
    hold = "import sys; from pathlib import Path; from matt.files import lock; lock(Path(sys.argv[1])); print(1, flush=True); sys.stdin.read()"  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(run[0])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as other:
        assert other.stdout.readline() == "1\n"
        for more in ([], ["--force"], ["--resume"]):
            result = matt("train", library, "--out", run[0], *FAST, *more)
            assert result.exit_code == 2
            assert f"(process {other.pid} on" in " ".join(result.stderr.split())
        other.kill()


def test_a_finished_training_is_resumed_by_telling_it_again(library, run):
    result = matt("train", library, "--out", run[0], "--json", "--resume", *FAST)
    assert result.exit_code == 0, result.output
    assert "is finished; there is nothing to resume" in " ".join(result.stderr.split())
    assert document(result)["scores"] == run[1]["scores"]
    other = matt("train", library, "--out", run[0], "--json", "--resume", *FAST, "--seed", "3")
    assert other.exit_code == 2
    assert "differs in settings, seed" in " ".join(other.stderr.split())


def test_a_folder_ends_in_a_few_lines_and_tables_stand_behind_details(library, run):
    out, told = run
    again = ["train", library, "--out", out, "--resume", *FAST]
    shown = matt(*again).stdout.splitlines()
    assert shown[:-1] == told["lines"]
    assert len(shown) == 5
    assert shown[-1].startswith(("Next: matt predict ", "As that is worth little: "))
    assert str(out / "report.html") in shown[-1]
    details = matt(*again, "--details").stdout
    assert "By size" in details or "95 % of accuracy" in " ".join(details.split())
    assert told["lines"][0].split(";")[0] in " ".join(details.split())
    quiet = matt(*again, "--quiet", "--details")
    assert (quiet.stdout, quiet.stderr) == ("", "")


def test_the_page_of_a_folder_opens_with_albums(run):
    page = (run[0] / "report.html").read_text(encoding="utf-8")
    headings = re.findall(r"<h2[^>]*>(.*?)</h2>", page)
    assert headings[:2] == ["Albums", "Results"]
    assert html.unescape(page).index(run[1]["lines"][0]) < page.index(">Albums<")


def test_albums_of_a_folder_are_answered_out_of_fold(library, run, tmp_path):
    out, _ = run
    made = Run.open(out).predictions(OUT_OF_FOLD)
    assert set(made.tracks.split) <= {"training", "validation"}
    tracks = Tracks.load(out / "tracks.parquet")
    learned = tracks.labelled & (tracks.split != "test")
    assert np.isin(tracks.track_id[learned], made.tracks.track_id).mean() > 0.8
    table = tmp_path / "table"
    more = [*FAST, "--set", "recipe=single", "--no-controls"]
    done = matt("train", out / "tracks.parquet", "--out", table, *more)
    assert done.exit_code == 0, done.output
    assert not Run.open(table).has_predictions(OUT_OF_FOLD)
    assert "Test split" in done.stdout
    assert Run.open(table).manifest["library"] is False


def test_an_interrupted_training_is_resumed(library, run, tmp_path, monkeypatch):
    """Cut between the bag model and its control: only what follows is trained then."""

    def cut(model, path):
        raise KeyboardInterrupt

    command = ["train", library, "--out", tmp_path / "run", "--json", *FAST]
    with monkeypatch.context() as patch:
        patch.setattr("matt.models.neural.NeuralClassifier.save", cut)
        assert matt(*command).exit_code == 130
    epochs = []
    real = training._epoch

    def watch(*given, epoch, **more):
        epochs.append(epoch)
        return real(*given, epoch=epoch, **more)

    monkeypatch.setattr(training, "_epoch", watch)
    result = matt(*command, "--resume")
    assert result.exit_code == 3, result.output
    assert document(result)["scores"] == run[1]["scores"]
    assert epochs == [1, 2, 3] * 6  # the control, and five folds


def test_one_genre_cannot_be_trained(library, tmp_path):
    (tmp_path / "music").mkdir()
    tracks = Tracks.load(_scanned(library, tmp_path))
    commonest = tracks.counts.argmax()
    for path in tracks.path[tracks.labels == commonest]:
        (tmp_path / "music" / Path(path).name).symlink_to(path)
    result = matt("train", tmp_path / "music", "--out", tmp_path / "run", *FAST)
    assert result.exit_code == 2
    told = " ".join(result.stderr.split())
    assert "has only one genre, " in told
    assert "needs no training: matt predict" in told
    assert "extracting" not in told
    assert [path.name for path in (tmp_path / "run").glob("[!.]*")] == []


def test_silence_is_told_and_moves_no_album(run, tmp_path):
    tracks = Tracks.load(run[0] / "tracks.parquet")
    music = tmp_path / "music"
    music.mkdir()
    flac = next(i for i, path in enumerate(tracks.path) if path.endswith(".flac"))
    for path in tracks.path[tracks.album_id == tracks.album_id[flac]]:
        shutil.copy(path, music)
    predict = ("predict", music, "--model", run[0], "--json")
    before = document(matt(*predict))["albums"]
    silent = music / "silence.flac"
    samples, sr = soundfile.read(tracks.path[flac])
    soundfile.write(silent, 0 * samples, sr)
    tags = FLAC(silent)
    tags.update(dict(FLAC(tracks.path[flac]).tags))
    tags.save()
    result = matt(*predict)
    assert result.exit_code == 0
    assert document(result)["albums"] == before
    (told,) = document(result)["silent"]
    assert told["path"] == str(silent)
    assert told["reason"].startswith("nothing to hear")
    assert "hold nothing to hear: they get no genre" in " ".join(result.stderr.split())


def test_a_baseline_is_trained_scored_and_predicts(library, tmp_path):
    out = tmp_path / "run"
    trained = matt(
        "train", library, "--out", out, "--json", *FAST, "--set", "baseline.classifier=lr"
    )
    assert trained.exit_code == 3, trained.output
    assert document(matt("evaluate", out, "--json")) == document(trained)["scores"]
    albums = document(matt("predict", library, "--model", out, "--json"))["albums"]
    tracks = [track for album in albums for track in album["tracks"]]
    assert {(t["attention"], t["margin"], t["effect"]) for t in tracks} == {(None, None, None)}


def _scanned(library, tmp_path):
    matt("scan", library, "--out", tmp_path / "tracks.parquet", "--quiet")
    return tmp_path / "tracks.parquet"


def test_a_store_of_another_feature_is_refused_with_the_settings_that_differ(
    library, run, tmp_path
):
    store = tmp_path / "store"
    matt("extract", library, "--duration", "1.0", "--store", store, "--quiet")
    result = matt("predict", library, "--model", run[0], "--store", store)
    assert result.exit_code == 2
    assert "--duration 1.0" in " ".join(result.stderr.split())
    assert "1.5" in result.stderr


def test_quiet_says_nothing_but_the_result(library):
    result = matt("extract", library, "--duration", "1.5", "--quiet", "--json")
    assert result.stderr == ""
    assert document(result)["stores"]


def test_unknown_genres_of_a_library_count_as_unknown(run, tmp_path, library):
    """A model trained elsewhere does not know the tags of this library."""
    music = tmp_path / "music"
    music.mkdir()
    source = Tracks.load(run[0] / "tracks.parquet").path[0]
    target = music / Path(source).name
    target.write_bytes(Path(source).read_bytes())
    import mutagen

    tags = mutagen.File(target, easy=True)
    tags["genre"] = "Shoegaze"
    tags.save()
    albums = document(matt("predict", music, "--model", run[0], "--json"))["albums"]
    assert [album["tagged"] for album in albums] == ["Shoegaze"]
    assert albums[0]["genre"] != "Shoegaze"


def test_doctor_reads_every_core_format():
    result = matt("doctor", "--json")
    assert result.exit_code == 0
    told = document(result)
    reads = {}
    for row in told["formats"]:  # DTS may lie in a .wav, too
        reads.setdefault(row["suffix"], row["reads"])
    for suffix in (".mp3", ".flac", ".ogg", ".opus", ".wav", ".aiff"):
        assert reads[suffix] == "yes"
    assert told["torch"]["version"] == torch.__version__


def test_any_table_is_described_in_tables_and_pictures(shared_data, tmp_path):
    """The real FMA-small features, with runs of an artist's tracks as albums."""
    toml = tmp_path / "small.toml"
    toml.write_text(
        f"""table = "{shared_data / "fma_small_46.csv.gz"}"
features = ["zcr_*", "spec_*", "mfcc_*"]
log1p = "*_var*"
album = "artist_run"
genre = "genre_top"
join = [{{ table = "{shared_data / "fma_medium_tracks.csv.gz"}" }}]
"""
    )
    told = document(matt("describe", toml, "--out", tmp_path / "pictures", "--json"))
    assert {Path(file).suffix for file in told["files"]} >= {".png", ".json", ".csv"}
    assert all(Path(file).stat().st_size for file in told["files"])
    audit = document(matt("audit", toml, "--json"))
    assert audit["counts"]["tracks"] == 7997
    assert audit["counts"]["artists across splits"] == 0


def test_validation_chooses_the_features_and_resuming_chooses_the_same(tmp_path, monkeypatch):
    monkeypatch.setenv("MATT_CACHE", str(tmp_path / "cache"))
    music, out = tmp_path / "music", tmp_path / "run"
    write_library(music, seed=0, tracks=60, seconds=(3.2, 4.0), workers=1)
    (music / "junk.mp3").write_bytes(bytes(range(256)) * 40)
    quick = ["--set", "recipe=single", "--set", "training.epochs=2", "--set", "training.threads=1"]
    result = matt("train", music, "--out", out, "--no-controls", "--details", *quick)
    assert result.exit_code == 3, result.output
    assert "junk.mp3" in result.stderr  # and the planted bad files
    assert "Features, chosen on validation" in result.stdout
    told = next(note for note in json.loads((out / "run.json").read_text())["data_notes"] if "features are" in note)  # fmt: skip
    scores = {k: float(v) for k, v in re.findall(r"(summary|musicnn|combined) (\.\d+|\d\.\d+)", told)}  # fmt: skip
    assert set(scores) == {"summary", "musicnn", "combined"}
    chosen = re.search(r"features are (\w+)", told)[1]
    assert scores[chosen] == max(scores.values())
    assert tomllib.loads((out / "settings.toml").read_text())["features"]["kind"] == chosen
    again = matt("train", music, "--out", out, "--no-controls", "--resume", *quick)
    assert "there is nothing to resume" in again.stderr
    named = ["--features", "musicnn", "--set", "features.n_segments=1"]
    one = matt("train", music, "--out", tmp_path / "one", "--no-controls", *named, *quick)
    assert one.exit_code == 3, one.output
    assert "chosen on validation" not in one.stdout


def test_auto_is_refused_where_somebody_has_chosen(library, tmp_path):
    for said in (
        ["--set", "features.duration=2"],
        ["--set", "features.kind=summary"],
        ["--store", tmp_path / "store"],
    ):
        result = matt("train", library, "--out", tmp_path / "run", "--features", "auto", *said)
        assert result.exit_code == 2, result.output
        assert "--features auto cannot choose, as" in result.stderr
