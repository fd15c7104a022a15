"""``matt score``, ``compare`` and ``report`` as a user meets them."""

import csv
import json

import pytest
from page import Page
from report_runs import tracks, write_run
from scored import GENRES
from typer.testing import CliRunner

from matt.cli.app import app
from matt.runs import Run


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two runs, an unfinished one, and predictions of somebody else."""
    place = tmp_path_factory.mktemp("place")
    for name, skill in (("weak", 0.5), ("strong", 2.0)):
        write_run(place / name, seed=len(name), skill=skill)
    write_run(place / "cut", finish=False, predicted=False)
    made = Run.open(place / "strong").predictions("test-alone")
    with (place / "theirs.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["track_id", *GENRES])
        rows = zip(made.tracks.track_id, made.probabilities, strict=True)
        writer.writerows([i, *(f"{p:.4f}" for p in row)] for i, row in rows)
    with (place / "hard.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["track_id", "genre"])
        writer.writerows(zip(made.tracks.track_id, (GENRES[g] for g in made.best), strict=True))
    return place


def matt(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def document(result, code=0):
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def test_anyones_predictions_come_out_in_the_tables_of_a_run(place):
    words = ["score", place / "theirs.csv", "--tracks", place / "strong", "--rounds", "9"]
    result = matt(*words)
    assert result.exit_code == 0, result.output
    assert "theirs, averaged over the bag" in result.stdout
    said = document(matt(*words, "--json"))
    assert set(said) == {
        *("predictions", "link", "genres", "tracks", "partial", "notes", "report", "scores"),
    }
    assert (said["link"], said["genres"], said["report"]) == ("softmax", list(GENRES), None)
    assert list(said["scores"]) == ["scores", "detail", "genres", "sizes", "shots", "calibration"]
    again = document(matt(*words, "--json"))
    assert again == said
    rows = said["scores"]["scores"]["rows"]
    assert [row["unit"] for row in rows[:3]] == ["bag", "bag over tracks", "track"]


def test_own_costs_are_scored_beside_the_other_decisions(place, tmp_path):
    costs, out = tmp_path / "costs.toml", tmp_path / "out"
    costs.write_text("\n".join(f"[{genre}]\nDub = 0" for genre in GENRES[:-1]))  # answered free
    words = ["score", place / "theirs.csv", "--tracks", place / "strong", "--rounds", "0"]
    said = document(matt(*words, "--cost", costs, "--out", out, "--json"))
    found = {
        (row["model"], row["unit"], row["decision"]): row for row in said["scores"]["costs"]["rows"]
    }
    assert len(found) == 9  # three decisions of albums, of tracks in albums and of lone tracks
    for (model, unit, decision), row in found.items():
        if decision == "own cost":
            likely = found[model, unit, "likely"]
            assert row["mean cost"] == 0 < likely["mean cost"]
            assert row["accuracy"] < likely["accuracy"]
    assert (out / "tables" / "costs.csv").exists()
    for text, file, message in (
        ("[Dubb]\nRock = 1", "theirs.csv", "costs.toml name the unknown genre 'Dubb'; did you"),
        ("[Dub]\nRock = 1", "hard.csv", "no cost can be expected; leave the costs out"),
    ):
        costs.write_text(text)
        words[1] = place / file
        result = matt(*words, "--cost", costs)
        assert result.exit_code == 2, result.output
        assert message in " ".join(result.stderr.split())


def test_hard_labels_have_no_curves(place, tmp_path):
    words = ["score", place / "hard.csv", "--tracks", place / "strong", "--rounds", "0"]
    said = document(matt(*words, "--json", "--out", tmp_path / "out"))
    (row, _) = said["scores"]["scores"]["rows"]
    assert (row["unit"], row["micro AP"], said["link"]) == ("track", None, "none")
    assert row["macro-F1"] > 0
    assert "hard labels" in " ".join(said["scores"]["scores"]["notes"])
    assert "curves" not in {path.stem for path in (tmp_path / "out" / "plots").iterdir()}


@pytest.mark.parametrize("source", ["tracks.parquet", "tracks.toml", "fma"])
def test_tracks_come_from_whatever_matt_opens(place, tmp_path, source):
    if source == "tracks.parquet":
        path = place / "strong" / "tracks.parquet"
    elif source == "tracks.toml":
        table = tracks()
        with (tmp_path / "table.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "genre", "artist", "album", "split"])
            for i in range(len(table)):
                genre = table.genres[table.labels[i]] if table.labels[i] >= 0 else ""
                who = (f"a{table.artist_id[i]}", f"b{table.album_id[i]}")
                writer.writerow([table.track_id[i], genre, *who, table.split[i]])
        path = tmp_path / source
        path.write_text(
            'table = "table.csv"\ntrack = "id"\ngenre = "genre"\nartist = "artist"\n'
            'album = "album"\nsplit = "split"\n'
        )
    else:
        (tmp_path / "fma_metadata").mkdir()
        result = matt("score", place / "theirs.csv", "--tracks", tmp_path)
        assert (result.exit_code, "fma" in result.stderr) == (2, True)
        return
    said = document(matt("score", place / "theirs.csv", "--tracks", path, "--json", "--rounds", 0))
    whole = document(
        matt("score", place / "theirs.csv", "--tracks", place / "strong", "--json", "--rounds", 0)
    )
    first, second = (
        {row["unit"]: row["accuracy"] for row in some["scores"]["scores"]["rows"]}
        for some in (said, whole)
    )
    assert first == second


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["score", "theirs.csv"], "name the tracks that they are of with --tracks"),
        (["score", "no.csv", "--tracks", "strong"], "does not exist"),
        (["score", "hard.csv", "--tracks", "strong", "--link", "softmax"], "link is 'none'"),
        (["score", "theirs.csv", "--tracks", "strong", "--split", "tset"], "did you mean 'test'"),
        (["score", "theirs.csv", "--tracks", "strong", "--by", "albm"], "albm"),
        (["compare", "weak"], "two runs or more, or a grid file with --grid"),
        (["compare", "weak", "weak"], "named twice"),
        (["compare", "weak", "strong", "--set", "seed=1"], "--set is of grids"),
        (["compare", "weak", "strong", "--baseline", "stron"], "did you mean 'strong'"),
        (["compare", "weak", "cut"], "needs two"),
        (["compare", "weak", "strong", "--unit", "bags"], "did you mean 'bag'"),
        (["report", "cut", "--out", "new"], "was not finished"),
        (["report", "weak", "--out", "strong"], "is a run folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_done_is_a_line_and_exit_code_2(place, words, message, monkeypatch):
    monkeypatch.chdir(place)
    result = matt(*words)
    assert result.exit_code == 2, result.output
    assert message in " ".join(result.stderr.split())
    assert not (place / "new").exists()


def test_runs_and_files_are_ranked_together(place):
    words = ["compare", place / "weak", place / "strong", place / "theirs.csv"]
    words += ["--tracks", place / "strong", "--rounds", 19]
    result = matt(*words)
    assert result.exit_code == 0, result.output
    assert "These are scores of test tracks" in " ".join(result.stdout.split())
    said = document(matt(*words, "--json", "--no-controls", "--baseline", "theirs"))
    assert set(said) == {"baseline", "unit", "ranking", "differences", "partial", "left_out"}
    assert (said["baseline"], said["unit"]) == ("theirs", "bag over tracks")
    models = [row["model"] for row in said["ranking"]["rows"]]
    assert set(models) == {"weak", "strong", "theirs", "control: majority class"}
    assert models[0] == "strong"
    assert {row["model"] for row in said["differences"]["rows"]} == set(models) - {"theirs"}


def test_what_is_left_out_ends_in_exit_code_3(place):
    words = ["compare", place / "weak", place / "strong", place / "cut", "--rounds", "0"]
    said = document(matt(*words, "--json"), 3)
    assert [lost["path"] for lost in said["left_out"]] == [str(place / "cut")]
    result = matt(*words)
    assert (result.exit_code, "cut is left out" in result.stderr) == (3, True)


def test_a_report_is_written_and_says_what_it_lacks(place, tmp_path):
    out = tmp_path / "out"
    words = ["report", place / "weak", place / "strong", place / "cut"]
    said = document(matt(*words, "--out", out, "--rounds", "9", "--json"), 3)
    assert said["report"] == str(out / "report.html")
    assert {**json.loads((out / "report.json").read_text()), "report": said["report"]} == said
    page = Page((out / "report.html").read_text(encoding="utf-8"))
    assert any(text.startswith("Partial. ") for text in page.said("p"))
    assert "script" not in page.elements
