"""Playlists that players open: one line a file, whatever titles and paths hold."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matt import DataError, Tracks
from matt.datasets.genres import vocabulary
from matt.library import similar
from matt.library.playlist import rows_like, rows_of_genre, write_playlist


def tracks_of(paths, **columns):
    n = len(paths)
    return Tracks(np.arange(n), [-1] * n, (), path=[str(path) for path in paths], columns=columns)


def opened(path):
    """What a player makes of a playlist: (seconds, shown, file), by the rules of the format."""
    found, told = [], None
    lines = path.read_bytes().decode("utf-8").splitlines()  # breaks at everything that may break
    assert lines[0] == "#EXTM3U"
    for line in map(str.strip, lines[1:]):
        if line.startswith("#EXTINF:"):
            seconds, _, shown = line.removeprefix("#EXTINF:").partition(",")
            told = int(seconds), shown
        elif line and not line.startswith("#"):
            assert told is not None, "a file that nobody announced"
            found.append(
                (*told, os.path.normpath(os.path.join(os.path.realpath(path.parent), line)))
            )
            told = None
    assert told is None
    return found


NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=12
).filter(lambda name: name not in (".", ".."))


@given(
    st.lists(
        st.tuples(NAMES, NAMES, st.text(max_size=12), st.text(max_size=12)), min_size=1, max_size=5
    ),
    st.booleans(),
)
def test_a_player_finds_each_file_under_its_own_line_whatever_it_is_called(
    tmp_path_factory, drawn, absolute
):
    root = tmp_path_factory.mktemp("m")
    paths = [root / folder / f"{name}.mp3" for folder, name, *_ in drawn]
    artists, titles = (np.array([str(d[i]) for d in drawn], object).astype(str) for i in (2, 3))
    tracks = tracks_of(paths, artist=artists, title=titles, duration=np.full(len(paths), 61.4))
    out = root / "lists" / "x.m3u8"
    stand = [str(path) for path in paths if len(str(path).splitlines()) == 1]
    if not stand:
        with pytest.raises(DataError, match="that a playlist can name"):
            write_playlist(out, tracks, absolute=absolute)
        assert not out.exists()
        return
    left_out = write_playlist(out, tracks, absolute=absolute, title="\n#EXTM3U\nx")
    found = opened(out)
    assert [file for *_, file in found] == [os.path.normpath(path) for path in stand]
    assert {seconds for seconds, *_ in found} == {61}
    assert list(left_out) == [str(p) for p in paths if len(str(p).splitlines()) != 1]


def test_titles_are_put_on_one_line(tmp_path):
    tracks = tracks_of(
        [tmp_path / "a.mp3", tmp_path / "b.mp3"],
        artist=np.array(["Ann\r\n#EXTINF:9,x\nhttp://evil", ""]), title=np.array(["T\x1b[31m", ""]),
        duration=np.array([np.nan, -5]),
    )  # fmt: skip
    write_playlist(tmp_path / "x.m3u8", tracks)
    assert opened(tmp_path / "x.m3u8") == [
        (-1, "Ann  #EXTINF:9,x http://evil - T\ufffd[31m", str(tmp_path / "a.mp3")),
        (-1, "b", str(tmp_path / "b.mp3")),
    ]


@pytest.mark.parametrize(
    "name", ["#EXTM3U.mp3", " x.mp3", "http:x.mp3", "C:\\x.mp3", "~x.mp3", "\u266b.mp3"]
)
def test_a_name_is_no_remark_no_address_and_no_blank(tmp_path, name):
    write_playlist(tmp_path / "x.m3u8", tracks_of([tmp_path / name]))
    assert opened(tmp_path / "x.m3u8")[0][2] == str(tmp_path / name)
    (line,) = (tmp_path / "x.m3u8").read_text("utf-8").splitlines()[2:]
    assert line[0] == "."


def test_a_playlist_in_a_linked_folder_leads_to_the_music(tmp_path):
    real, music = tmp_path / "deep" / "er" / "lists", tmp_path / "music"
    real.mkdir(parents=True)
    music.mkdir()
    (tmp_path / "lists").symlink_to(real)
    (music / "a.mp3").touch()
    write_playlist(tmp_path / "lists" / "x.m3u8", tracks_of([music / "a.mp3"]))
    line = (real / "x.m3u8").read_text().splitlines()[-1]
    assert os.path.samefile(real / line, music / "a.mp3")
    assert not os.path.isabs(line)


def test_a_playlist_that_is_there_stays_and_one_that_fails_is_not_there(tmp_path):
    out = tmp_path / "x.m3u8"
    out.write_text("mine")
    with pytest.raises(DataError, match="replace it with --force"):
        write_playlist(out, tracks_of([tmp_path / "a.mp3"]))
    assert out.read_text() == "mine"
    with pytest.raises(DataError, match="no track that a playlist can name"):
        write_playlist(out, tracks_of([tmp_path / "a\n.mp3"]), force=True)
    assert out.read_text() == "mine"
    write_playlist(out, tracks_of([tmp_path / "a.mp3"]), force=True)
    assert opened(out) == [(-1, "a", str(tmp_path / "a.mp3"))]
    with pytest.raises(DataError, match="no track is left"):
        write_playlist(tmp_path / "y.m3u8", tracks_of([]))
    with pytest.raises(DataError, match=r"must end in \.m3u8"):
        write_playlist(tmp_path / "x.m3u", tracks_of([tmp_path / "a.mp3"]))
    assert [path.name for path in tmp_path.iterdir()] == ["x.m3u8"]


@pytest.mark.parametrize("sign", ["\n", "\r", "\x0b", "\x85", "\u2028", "\u2029", "\x1e"])
def test_a_name_that_any_player_may_take_for_two_lines_is_left_out(tmp_path, sign):
    paths = [tmp_path / f"a{sign}b.mp3", tmp_path / f"c{sign}" / "d.mp3", tmp_path / "e.mp3"]
    left_out = write_playlist(tmp_path / "x.m3u8", tracks_of(paths))
    assert left_out == tuple(map(str, paths[:2]))
    assert len(opened(tmp_path / "x.m3u8")) == 1


def test_a_path_that_is_no_text_is_left_out(tmp_path):
    paths = [tmp_path / "a\udc80.mp3", tmp_path / "b.mp3"]
    assert write_playlist(tmp_path / "x.m3u8", tracks_of(paths)) == (str(paths[0]),)


# ---- what a playlist holds ----


def library(*albums):
    """Albums of two tracks each, the second one first, with tags."""
    n = 2 * len(albums)
    ids = np.repeat(np.arange(len(albums)), 2)
    return Tracks(
        np.arange(n) + 10, [-1] * n, (), artist_id=ids, album_id=ids, path=[f"/m/{i}" for i in range(n)],
        columns={
            "genre_tags": [tags for tags in albums for _ in range(2)], "disc": np.full(n, -1),
            "track_number": [2, 1] * len(albums), "album": [f"a{i}" for i in ids],
        },
    )  # fmt: skip


def heard(tracks, album, genre, probability, *, unsure=False):
    mine = [{"track_id": int(i)} for i in tracks.track_id[tracks.album_id == album]]
    top = [{"genre": genre, "probability": probability}]
    return {"tracks": mine, "genre": genre, "unsure": unsure, "top": top}


def test_a_genre_whose_name_looks_like_two_is_none_of_them():
    tracks = library(r"Rock\; Qwxz", "Rock")
    assert rows_of_genre(tracks, "Rock; Qwxz", WORDS, by="tags").tolist() == [1, 0]
    assert rows_of_genre(tracks, "Rock", WORDS, by="tags").tolist() == [3, 2]


WORDS = vocabulary()
TRACKS = library("Rock", "Jazz; Indie Rock", "", "Jazz", "", "Mock House")
HEARD = [
    heard(TRACKS, album, *said)
    for album, said in enumerate([("Jazz", 0.9), ("Rock", 0.6), ("Indie Rock", 0.8), ("Rock", 0.7)])
] + [heard(TRACKS, 4, "Rock", 0.3, unsure=True)]


@pytest.mark.parametrize(
    ("by", "albums"),
    [("tags", [0, 1]), ("both", [2, 1, 0]), ("sound", [2, 3, 1])],  # the surest of Rock first
)
def test_a_genre_is_told_by_tags_by_sound_or_by_sound_where_no_tag_is(by, albums):
    rows = rows_of_genre(TRACKS, "rock", WORDS, [] if by == "tags" else HEARD, by=by)
    assert rows.tolist() == [row for album in albums for row in (2 * album + 1, 2 * album)]


def test_a_genre_does_not_hold_what_stands_above_it():
    assert set(rows_of_genre(TRACKS, "Indie Rock", WORDS, HEARD).tolist()) == {2, 3, 4, 5}


def test_a_genre_that_nobody_knows_is_found_however_it_is_written():
    assert rows_of_genre(TRACKS, "mock-HOUSE", WORDS).tolist() == [11, 10]
    with pytest.raises(DataError, match="did you mean 'Mock House'"):
        rows_of_genre(TRACKS, "Mock Hose", WORDS)


def test_an_album_comes_first_then_what_is_most_like_it(monkeypatch):
    space = np.repeat([[1.0, 0], [0, 1], [1, 1], [1, 0.2], [-1, 0], [0.1, -1]], 2, axis=0)
    monkeypatch.setattr(similar, "_about", None)  # no rows are made of albums
    rows = rows_like(TRACKS, space, np.array([1, 0]))
    assert rows.tolist() == [1, 0, 7, 6, 5, 4, 11, 10, 3, 2, 9, 8]
