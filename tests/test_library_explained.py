"""What people and programs are told of an album that was explained."""

import json
import re

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from mutagen.flac import FLAC
from typer.testing import CliRunner

from matt import Bags, BaselineClassifier, FeatureStore, Predictions, Tracks
from matt.audio import SegmentPolicy
from matt.cli.app import app
from matt.datasets.genres import Vocabulary
from matt.library import explained as explained_module
from matt.library import learned as learned_module
from matt.library.explain import AlbumExplanation
from matt.library.explained import (
    explained_picture,
    explained_row,
    explained_rows,
    explained_tables,
)
from matt.library.learned import Learned, rows_in
from matt.tracks import stable_id

GENRES = ("Rock", "Folk", "Indie Rock")
TREE = Vocabulary(parents={"Indie Rock": "Rock"})
SPREAD = SegmentPolicy("spread", duration=3.0)


def told(
    alone,
    without,
    *,
    whole=None,
    sizes=None,
    segments=None,
    attention=None,
    link="softmax",
    **columns,
):
    """An explanation with these probabilities, (n, 3), of an album of tracks with such columns."""
    alone, without = np.asarray(alone, float), np.asarray(without, float)
    n = len(alone)
    sizes = [1] * n if sizes is None else sizes
    names = {
        "title": [f"track {k}" for k in range(n)],
        "artist": ["Band"] * n,
        "album": ["Album"] * n,
    }
    tracks = Tracks(
        np.arange(n), np.full(n, -1), GENRES, artist_id=np.ones(n), album_id=np.ones(n),
        path=[f"/music/album/{k}.flac" for k in range(n)],
        columns={"duration": np.full(n, 100.0), **names, **columns},
    )  # fmt: skip
    bags = Bags(np.arange(n), [0, n], [-1], GENRES)
    said = alone.mean(axis=0) if whole is None else np.asarray(whole)
    logits = np.log(said if link == "softmax" else said / (1 - said))[None].astype("f4")
    return AlbumExplanation(
        Predictions(bags, tracks, logits, link),
        alone,
        without,
        np.repeat(alone, sizes, axis=0) if segments is None else np.asarray(segments, float),
        np.cumsum([0, *sizes]),
        attention,
    )  # fmt: skip


ROCK, FOLK, INDIE, TORN = [0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8], [0.4, 0.3, 0.3]


def fits(alone, without, whole=None, **options):
    row = explained_row(told(alone, without, whole=whole), **options)
    return [track["fits"] for track in row["tracks"]]


def test_albums_that_were_learned_from_are_looked_up_once(monkeypatch):
    n, looks = 4, []
    tracks = Tracks(
        np.arange(2 * n), np.full(2 * n, -1), GENRES, artist_id=np.arange(2 * n) // 2,
        album_id=np.arange(2 * n) // 2, path=[f"/music/{k}.flac" for k in range(2 * n)],
    )  # fmt: skip

    def looking(*given):
        looks.append(1)
        return rows_in(*given)

    monkeypatch.setattr(learned_module, "rows_in", looking)
    monkeypatch.setattr(explained_module, "explain_album", lambda *_: told([ROCK] * 2, [FOLK] * 2))
    store = FeatureStore.from_arrays("toy", tracks.track_id, np.zeros((2 * n, 3)))
    bags, learned = Bags.from_tracks(tracks), Learned(tracks.take([3, 4]))
    rows = explained_rows(BaselineClassifier(), store, tracks, bags, learned=learned)
    assert [row["in_training"] for row in rows] == [False, True, True, False]
    assert len(looks) == 1


def test_a_track_does_not_fit_where_it_and_the_others_are_surely_of_two_genres():
    assert fits([ROCK, ROCK, FOLK], [ROCK] * 3) == [True, True, False]


def test_a_track_that_carries_the_genre_of_its_album_fits_it_and_decides():
    alone, without = [ROCK, FOLK, FOLK], [FOLK, ROCK, ROCK]
    assert fits(alone, without, ROCK) == [True, False, False]
    (table,) = explained_tables([explained_row(told(alone, without, whole=ROCK))])
    assert {row[0]: row[-1] for row in table.rows} == {
        "track 0": "decides",
        "track 1": "does not fit",
        "track 2": "does not fit",
    }


def test_nobody_can_tell_where_a_track_or_the_others_are_unsure():
    assert fits([ROCK, ROCK, FOLK], [ROCK, ROCK, TORN]) == [True, True, None]
    assert fits([ROCK, FOLK, [0.3, 0.4, 0.3]], [ROCK] * 3, ROCK) == [True, False, None]
    assert fits([ROCK, FOLK, [0.3, 0.4, 0.3]], [ROCK] * 3, ROCK, bar=0.35) == [True, False, False]


def test_of_two_tracks_neither_is_the_odd_one():
    assert fits([ROCK, FOLK], [FOLK, ROCK]) == [None, None]


def test_related_genres_fit_each_other():
    assert fits([ROCK, ROCK, INDIE], [ROCK] * 3) == [True, True, False]
    assert fits([ROCK, ROCK, INDIE], [ROCK] * 3, vocabulary=TREE) == [True, True, True]


def test_a_track_decides_where_the_album_would_be_another_genre_without_it():
    row = explained_row(told([ROCK, ROCK, FOLK], [ROCK, FOLK, INDIE]))
    assert [track["decides"] for track in row["tracks"]] == [False, True, True]
    kin = explained_row(told([ROCK, ROCK, FOLK], [ROCK, FOLK, INDIE]), vocabulary=TREE)
    assert [track["decides"] for track in kin["tracks"]] == [False, True, False]


def test_a_genre_above_is_explained_by_all_that_it_holds():
    """Neither Rock nor Indie Rock is sure, together they are."""
    alone, without = [[0.3, 0.3, 0.4]] * 2, [[0.35, 0.4, 0.25]] * 2
    row = explained_row(told(alone, without), vocabulary=TREE)
    assert (row["genre"], row["likely"]) == ("Rock", "Rock")
    assert [track["of_album"] for track in row["tracks"]] == [0.7, 0.7]
    assert [track["effect"] for track in row["tracks"]] == [0.1, 0.1]
    assert row["tracks"][0]["excerpts"][0]["of_album"] == 0.7


def test_an_unsure_album_is_explained_all_the_same():
    row = explained_row(told([TORN] * 3, [TORN] * 3), bar=0.9)
    assert (row["genre"], row["likely"]) == (None, "Rock")
    assert explained_tables([row])[0].title == "Album by Band: (unsure) Rock 40 %"


def test_what_was_not_tried_is_no_number():
    nothing = [np.nan] * 3
    row = explained_row(told([ROCK] * 3, [ROCK, nothing, nothing]))
    assert [track["without"] is None for track in row["tracks"]] == [False, True, True]
    assert [track["effect"] for track in row["tracks"]] == [0.0, None, None]
    assert not any(track["decides"] for track in row["tracks"])
    json.dumps(row, allow_nan=False)
    assert "-" in explained_tables([row])[0].shown()[1]


def times(policy, seconds, n):
    row = explained_row(told([ROCK], [[np.nan] * 3], sizes=[n], duration=[seconds]), policy)
    return [(one["start"], one["end"], one["about"]) for one in row["tracks"][0]["excerpts"]]


def test_excerpts_have_the_times_of_their_policy():
    assert times(SPREAD, 90.0, 3) == [(13.5, 16.5, False), (43.5, 46.5, False), (73.5, 76.5, False)]
    assert times(SegmentPolicy("middle", 30.0), 20.0, 1) == [(0.0, 20.0, False)]


def test_where_excerpts_were_left_out_times_are_the_earliest():
    every = SegmentPolicy("all", duration=3.0)
    assert times(every, 12.0, 2) == [(0.0, 3.0, True), (3.0, 6.0, True)]


@pytest.mark.parametrize("seconds", [float("nan"), 0.0, -1.0, float("inf")])
def test_a_file_of_unknown_length_has_no_times(seconds):
    assert times(SPREAD, seconds, 2) == [(None, None, False)] * 2
    assert times(None, 30.0, 1) == [(None, None, False)]


def test_a_header_that_states_too_little_leaves_the_last_excerpts_without_times():
    found = times(SPREAD, 4.0, 3)
    assert [one[0] is None for one in found] == [False, True, True]


def columns(table):
    return [column.name for column in table.columns]


def test_attention_has_a_column_only_where_there_is_any():
    shares = np.repeat([[0.7], [0.2], [0.1]], 3, axis=1)
    plain = explained_tables([explained_row(told([ROCK] * 3, [ROCK] * 3))])[0]
    seen = explained_tables([explained_row(told([ROCK] * 3, [ROCK] * 3, attention=shares))])[0]
    assert "attention" not in columns(plain)
    assert "attention" in columns(seen)
    assert [any("Attention" in note for note in t.notes) for t in (plain, seen)] == [False, True]


def test_the_legend_is_said_once():
    rows = [explained_row(told([ROCK, ROCK, FOLK], [ROCK] * 3), SPREAD) for _ in range(3)]
    tables = explained_tables(rows)
    assert [bool(table.notes) for table in tables] == [False, False, True]


def test_a_row_names_the_loudest_excerpt_of_each_track():
    segments = [ROCK, [0.9, 0.05, 0.05], FOLK, FOLK]
    one = told([ROCK, FOLK], [FOLK, ROCK], sizes=[3, 1], segments=segments)
    table = explained_tables([explained_row(one, SPREAD)])[0]
    place = columns(table).index("excerpt")
    assert {row[0]: row[place] for row in table.shown()} == {
        "track 0": "0:48-0:51 90 %",
        "track 1": "~0:15-0:18 80 %",
    }


def test_excerpts_of_the_named_track_are_listed_and_those_of_a_lone_one():
    row = explained_row(told([ROCK, FOLK], [FOLK, ROCK], sizes=[3, 2]), SPREAD)
    assert len(explained_tables([row])) == 1
    _, listed = explained_tables([row], "/music/album/1.flac")
    assert (listed.title, len(listed.rows)) == ("Excerpts of track 1", 2)
    lone = explained_row(told([ROCK], [[np.nan] * 3], sizes=[3]), SPREAD)
    (listed,) = explained_tables([lone])
    assert (listed.title, len(listed.rows)) == ("track 0 by Band: Rock 80 %", 3)


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=5, max_size=5))
def test_names_are_text_whatever_they_are(texts):
    title, artist, album, *genres = texts
    genres = tuple(dict.fromkeys(["excerpt", "alone", *genres]))
    n = len(genres)
    tracks = Tracks(
        [0, 1], [-1, -1], genres, path=["/a/0.flac", "/a/1.flac"],
        columns={name: [text] * 2 for name, text in
                 {"title": title, "artist": artist, "album": album}.items()},
    )  # fmt: skip
    each = np.full((2, n), 1 / n)
    bags = Bags([0, 1], [0, 2], [-1], genres)
    one = AlbumExplanation(Predictions(bags, tracks, np.zeros((1, n), "f4")), each, each, each, np.arange(3), None)  # fmt: skip
    for table in explained_tables([explained_row(one)], "/a/1.flac"):
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", table.to_markdown())  # fmt: skip


def test_the_picture_has_a_line_for_every_track_from_the_one_that_adds_most():
    one = told([FOLK, ROCK, ROCK], [ROCK, FOLK, TORN], sizes=[2, 2, 2])
    figure = explained_picture(explained_row(one, SPREAD))
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["track 1", "track 2", "track 0"]  # fmt: skip
    assert len(figure.axes) == 3
    lone = explained_picture(explained_row(told([ROCK], [[np.nan] * 3]), SPREAD))
    assert len(lone.axes) == 1


# ---- the command ----


def write(path, title, *, album="Set", artist="Band", genre="Rock", seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).normal(scale=0.1, size=16_000 * 4)
    soundfile.write(path, noise * (1 + np.sin(np.arange(noise.size) / (800 + 900 * seed))), 16_000)
    tags = FLAC(path)
    tags.update({"title": title, "album": album, "artist": artist, "genre": genre})
    tags.save()


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    """A library of an album of three, and a folder of three files without tags."""
    root = tmp_path_factory.mktemp("library")
    for k in range(3):
        write(root / "Band" / "Set" / f"{k}.flac", f"song {k}", seed=k)
        write(root / "loose" / f"{k}.flac", "", album="", artist="", seed=k)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("MATT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield root


def matt(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def explained(*arguments):
    result = matt("explain", *arguments, "--json", "--quiet", "--workers", "1")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)["albums"]


def test_an_album_is_explained_by_the_shipped_tagger(music, tmp_path):
    picture = tmp_path / "album.svg"
    result = matt("explain", music / "Band" / "Set", "--picture", picture, "--workers", "1")
    assert result.exit_code == 0, result.output
    for text in ("Set by Band: ", "song 0", "song 1", "song 2", "without it", "adds"):
        assert text in result.stdout
    assert "attention" not in result.stdout
    assert picture.read_text().startswith("<?xml")
    again = matt("explain", music / "Band" / "Set", "--picture", picture)
    assert again.exit_code == 2
    assert "--force" in again.stderr


def test_it_says_of_the_album_what_predict_says(music):
    place = music / "Band" / "Set"
    (row,) = explained(place)
    result = matt("predict", place, "--json", "--quiet", "--workers", "1")
    (said,) = json.loads(result.stdout)["albums"]
    shared = {"genre", "genre_path", "probability", "top", "artist", "album", "tagged", "n_tracks"}
    assert {name: row[name] for name in shared} == {name: said[name] for name in shared}
    assert [t["probability"] for t in row["tracks"]] == [t["probability"] for t in said["tracks"]]


def test_of_a_file_its_album_is_explained_and_its_excerpts(music):
    result = matt("explain", music / "Band" / "Set" / "1.flac", "--workers", "1")
    assert result.exit_code == 0, result.output
    assert "Set by Band" in result.stdout
    assert "Excerpts of song 1" in result.stdout
    assert "0:00-0:03" in result.stdout


def test_files_without_tags_are_one_album_on_request(music):
    loose = music / "loose"
    assert [row["n_tracks"] for row in explained(loose)] == [1, 1, 1]
    (row,) = explained(loose, "--together")
    assert row["n_tracks"] == 3
    assert "loose: " in matt("explain", loose, "--together").stdout
    refused = matt("explain", loose, "--picture", "x.png")
    assert refused.exit_code == 2
    assert "--picture draws one album" in refused.stderr


def test_features_of_the_library_around_are_used(music, tmp_path, monkeypatch):
    """Nothing is decoded again: the store still holds one plan, and the ids are the library's."""
    monkeypatch.setenv("MATT_CACHE", str(tmp_path))
    assert matt("predict", music, "--workers", "1").exit_code == 0
    result = matt("explain", music / "Band" / "Set", "--workers", "1", "--json")
    assert f"as a part of the library {music}" in " ".join(result.stderr.split())
    (row,) = json.loads(result.stdout)["albums"]
    assert [t["track_id"] for t in row["tracks"]] == [stable_id(f"Band/Set/{k}.flac") for k in range(3)]  # fmt: skip
    assert len(list(tmp_path.rglob("plan-*.parquet"))) == 1
    alone = matt("explain", music / "Band" / "Set", "--library", music / "Band" / "Set", "--workers", "1", "--json")  # fmt: skip
    (row,) = json.loads(alone.stdout)["albums"]
    assert [t["track_id"] for t in row["tracks"]] == [stable_id(f"{k}.flac") for k in range(3)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "does not exist; check the path"),
        (["{music}", "--picture", "x.jpg"], "pictures are not written as 'jpg'"),
        (["{music}/text.txt"], "is no audio that can be opened; name a file of an album"),
        (["{music}/Band", "--library", "{music}/loose"], "loose; name the library that holds it"),
    ],
)
def test_what_cannot_be_explained_says_why(music, arguments, message):
    (music / "text.txt").write_text("no music")
    result = matt("explain", *(str(argument).format(music=music) for argument in arguments))
    (music / "text.txt").unlink()
    assert result.exit_code == 2
    assert re.search(message, " ".join(result.stderr.split())), result.stderr


def test_a_folder_of_many_albums_asks_for_one(music, monkeypatch):
    from matt.cli import albums

    monkeypatch.setattr(albums, "MOST", 3)
    result = matt("explain", music)
    assert result.exit_code == 2
    assert "holds 4 albums and lone tracks, of which at most 3" in " ".join(result.stderr.split())
