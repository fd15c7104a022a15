"""What a table holds, counted by hand; and what `matt fma` shows and writes of it."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from matt import DataError, Tracks
from matt.cli.app import app
from matt.datasets import fma
from matt.datasets.describe import describe
from matt.datasets.fma.simulate import simulate, write_tree
from matt.evaluation import distribution

PNG = b"\x89PNG\r\n\x1a\n"

# A mixed album (a, a, b), a pure one, a lone track without an album, one without an artist, an
# album of which one track has no known genre; the last two rows are the test split.
TRACKS = Tracks(
    track_id=[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
    labels=[0, 0, 1, 1, 1, 0, 2, -1, 2, 2, -1],
    genres=("Rock", "Folk $", "Tango"),
    artist_id=[1, 1, 1, 2, 2, 2, -1, 3, 3, 4, 4],
    album_id=[5, 5, 5, 6, 6, -1, 7, 8, 8, 9, 9],
    split=["training"] * 9 + ["test"] * 2,
)


def test_every_count_is_the_one_counted_by_hand():
    description = describe(TRACKS)
    assert [part.name for part in description.parts] == ["training", "test", "all"]
    training, test, whole = description.parts
    assert training.n_tracks == 9
    assert training.counts.tolist() == [3, 3, 2]
    assert training.n_unlabelled == 1
    assert training.n_without_artist == 1
    assert training.n_without_album == 1
    assert training.n_alone == 2
    # Bags: {1, 2, 3}, {4, 5}, {6}, {7}, {8, 9}.
    assert training.sizes.tolist() == [3, 2, 1, 1, 2]
    assert training.histogram == {1: 2, 2: 2, 3: 1}
    assert training.n_singletons == 2
    assert training.bag_counts.tolist() == [2, 1, 2]
    assert training.n_genre_bags == 6  # the mixed album makes two
    assert (training.n_mixed, training.n_impure, training.n_labelled) == (1, 1, 8)
    assert (test.n_tracks, test.sizes.tolist(), test.n_impure) == (2, [2], 0)
    assert whole.sizes.tolist() == [3, 2, 1, 1, 2, 2]
    assert whole.counts.tolist() == [3, 3, 3]
    assert description.train_counts.tolist() == [3, 3, 2]
    assert not description.simulated


def test_a_track_of_unknown_genre_is_not_impure():
    album = {"artist_id": [1] * 3, "album_id": [2] * 3}
    whole = describe(Tracks([1, 2, 3], [0, -1, 0], ("a", "b"), **album)).part("all")
    assert (whole.n_mixed, whole.n_impure, whole.n_labelled) == (0, 0, 2)


def test_a_table_without_splits_has_one_part():
    whole = TRACKS.with_split(np.full(len(TRACKS), ""))
    assert [part.name for part in describe(whole).parts] == ["all"]
    some = TRACKS.with_split(np.array(["training"] * 4 + [""] * 7))
    assert [part.name for part in describe(some).parts] == ["training", "no split", "all"]


def test_with_several_genres_a_track_counts_in_each():
    labels = np.array([[1, 1, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 1]], bool)
    tracks = Tracks(
        [1, 2, 3, 4, 5],
        labels,
        ("a", "b", "c", "d"),
        artist_id=[1, 1, 1, 2, 2],
        album_id=[1, 1, 1, 2, 3],
    )
    whole = describe(tracks).part("all")
    assert whole.counts.tolist() == [3, 1, 1, 1]
    assert whole.n_unlabelled == 1
    assert whole.bag_counts.tolist() == [1, 0, 1, 1]  # b is on a minority of its album
    assert (whole.n_mixed, whole.n_impure) == (1, 1)
    assert whole.n_genre_bags is None


def test_purity_of_the_simulated_table_agrees_with_pandas():
    tracks, _ = simulate(1_500, 1)
    table = pd.DataFrame(
        {
            "album": tracks.album_id,
            "artist": tracks.artist_id,
            "label": tracks.labels,
            "split": tracks.split,
        }
    )
    description = describe(tracks)
    assert description.simulated
    for part in description.parts[:-1]:
        groups = table[table.split == part.name].groupby(["album", "artist"])
        most = groups.label.agg(lambda labels: labels.value_counts().iloc[0])
        sizes = groups.size()
        assert sorted(part.sizes) == sorted(sizes)
        assert part.n_impure == (sizes - most).sum()
        assert part.n_mixed == (groups.label.nunique() > 1).sum()
        assert part.n_genre_bags == groups.label.nunique().sum()


def test_a_part_that_is_not_there_names_those_that_are():
    with pytest.raises(DataError, match="in the part 'validation'; there are: training, test, all"):
        describe(TRACKS).part("validation")


def test_nothing_cannot_be_described():
    with pytest.raises(DataError, match="no tracks to describe; check the filters"):
        describe(TRACKS.take([]))


# --- tables and pictures ------------------------------------------------------------------------


def test_tables_hold_the_counts():
    tables = distribution.tables(describe(TRACKS), fewer_than=3)
    genres = tables["genres"]
    assert [column.name for column in genres.columns] == [
        "genre",
        "training",
        "test",
        "all",
        "bags",
        "tail",
    ]
    assert genres.rows[-1] == ("Tango", 2, 1, 3, 3, True)
    assert genres.notes == ("tail: fewer than 3 training tracks, 1 of 3 genres",)
    bags = dict(zip((c.name for c in tables["bags"].columns), tables["bags"].rows[0], strict=True))
    assert bags["singletons"] == 2
    assert bags["mean size"] == pytest.approx(9 / 5)
    assert bags["of all"] == pytest.approx(1 / 8)
    assert tables["missing"].rows[0] == ("training", 9, 1, 1, 2, 1)


def test_all_is_written_and_json_is_json(tmp_path):
    written = distribution.write(describe(TRACKS), tmp_path / "out")
    assert {path.name for path in written} == {path.name for path in (tmp_path / "out").iterdir()}
    for name in ("genres.png", "bag_sizes.png"):
        assert (tmp_path / "out" / name).read_bytes().startswith(PNG)
    content = json.loads((tmp_path / "out" / "description.json").read_text("utf-8"))
    assert content["parts"]["training"]["bags_by_size"] == {"1": 2, "2": 2, "3": 1}
    assert content["parts"]["all"]["impure_share"] == pytest.approx(1 / 9)
    table = pd.read_csv(tmp_path / "out" / "genres.csv")
    assert table.genre.tolist() == ["Rock", "Folk $", "Tango"]
    assert "simulated" not in (tmp_path / "out" / "description.md").read_text("utf-8").lower()


def test_the_histogram_has_a_bar_a_size_and_one_for_the_rest():
    sizes = [1] * 5 + [2] * 3 + [33]
    bag = np.repeat(np.arange(len(sizes)), sizes)
    tracks = Tracks(
        np.arange(len(bag)), np.zeros(len(bag), int), ("a",), artist_id=bag, album_id=bag
    )
    [pane] = distribution.bag_sizes(describe(tracks)).axes
    heights = [bar.get_height() for bar in pane.patches]
    assert len(heights) == 21
    assert heights[0] == pytest.approx(5 / 9)
    assert heights[1] == pytest.approx(3 / 9)
    assert heights[-1] == pytest.approx(1 / 9)
    assert sum(heights) == pytest.approx(1)


def test_pictures_and_tables_of_a_simulation_say_so():
    description = describe(simulate(60, 0)[0])
    for figure in distribution.figures(description).values():
        assert "simulated" in figure.axes[0].get_xlabel()
    for table in distribution.tables(description).values():
        assert any("Simulated" in note for note in table.notes)
    assert description.to_json()["simulated"] is True


def test_a_table_of_one_track_of_unknown_genre_is_described(tmp_path):
    description = describe(Tracks([4], [-1], ()))
    assert description.part("all").n_alone == 1
    assert description.to_json()["parts"]["all"]["impure_share"] is None


# --- the commands -------------------------------------------------------------------------------


def matt(*arguments):
    return CliRunner().invoke(app, ["fma", *map(str, arguments)])


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("fma")
    write_tree(root, n_tracks=120, seed=1, features="none", audio=True, seconds=0.5)
    fma.index(root)
    return root


def test_describe_prints_and_writes(tree, tmp_path):
    result = matt("describe", tree, "--out", tmp_path, "--tail", 3)
    assert result.exit_code == 0, result.output
    assert "fewer than 3 training tracks" in result.stdout
    assert "Simulated: none of these tracks is real." in result.stdout
    assert (tmp_path / "genres.png").exists()


def test_describe_gives_one_json_document(tree):
    result = matt("describe", tree, "--json")
    content = json.loads(result.stdout)
    assert content["simulated"] is True
    assert content["parts"]["all"]["tracks"] == 120
    assert content["tables"]["bags"]["rows"][0]["tracks of"] == "training"


def test_simulate_writes_a_tree_that_can_be_indexed_and_described(tmp_path):
    result = matt("simulate", tmp_path / "new", "--tracks", 60, "--seed", 9, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["parameters"]["seed"] == 9
    assert matt("index", tmp_path / "new", "--quiet").exit_code == 0
    assert matt("describe", tmp_path / "new").exit_code == 0
    result = matt("simulate", tmp_path / "new", "--tracks", 70)
    assert result.exit_code == 2
    assert "name another folder" in result.stderr.replace("\n", " ")


def test_export_links_audio_into_folders_of_genres(tree, tmp_path):
    out = tmp_path / "genres"
    result = matt("export", tree, "--to", out, "--by-genre", "--json")
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    assert content["made"] == 120
    assert content["folders"]["Old-Time / Historic"] == "Old-Time - Historic"
    table = pd.read_csv(out / "tracks.csv")
    assert len(table) == 120
    for _, row in table.iterrows():
        link = out / row.file
        name = f"{row.track_id:06d}"
        assert link.is_symlink()
        assert link.resolve() == (tree / "fma_medium" / name[:3] / f"{name}.mp3").resolve()
        assert link.parent.name == content["folders"][row.genre]


def test_export_without_folders_writes_the_tidy_table_alone(tree, tmp_path):
    result = matt("export", tree, "--to", tmp_path / "out")
    assert result.exit_code == 0, result.output
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"tracks.csv", "tracks.parquet"}


def test_export_tells_what_is_missing_with_its_exit_code(tree, tmp_path):
    audio = tmp_path / "fma_medium"
    (audio / "000").mkdir(parents=True)
    (audio / "000" / "000002.mp3").write_bytes(b"not sound, but a file")
    result = matt(
        "export", tree, "--to", tmp_path / "out", "--by-genre", "--audio", audio, "--json"
    )
    assert result.exit_code == 3
    content = json.loads(result.stdout)
    assert (content["made"], len(content["missing"])) == (1, 119)
