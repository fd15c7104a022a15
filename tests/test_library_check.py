"""What is odd in a library: each planted thing is found once, and nothing else is."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matt import FeatureStore, Tracks
from matt.datasets.folder import Scan
from matt.datasets.genres import vocabulary
from matt.datasets.identity import Merge
from matt.datasets.meanings import Meaning
from matt.library.check import KINDS, check_library
from matt.library.copies import find_copies

WORDS = vocabulary()


def scanned(albums, meanings=(), merges=()):
    """A scan of albums, each a folder with (title, genre tags) of its tracks."""
    rows = [
        (number, folder, title, genres, place)
        for number, (folder, some) in enumerate(albums.items())
        for place, (title, genres) in enumerate(some, start=1)
    ]
    n = len(rows)
    first = {genres.split("; ")[0] for *_, genres, _ in rows} - {""}
    known = tuple(sorted(first))
    tracks = Tracks(
        np.arange(n) + 50,
        [known.index(r[3].split("; ")[0]) if r[3] else -1 for r in rows], known,
        artist_id=[r[0] for r in rows], album_id=[r[0] for r in rows],
        path=[f"/m/{r[1]}/{r[4]:02}.mp3" for r in rows],
        columns={
            "title": [r[2] for r in rows], "artist": [f"Artist {r[0]}" for r in rows],
            "album": [r[1] for r in rows], "album_artist": [""] * n, "genre_tags": [r[3] for r in rows],
            "disc": np.full(n, -1), "track_number": [r[4] for r in rows],
            "duration": 100 + 10.0 * np.arange(n), "compilation": np.zeros(n, bool),
        },
    )  # fmt: skip
    return Scan(
        tracks,
        (),
        {},
        merges=tuple(merges),
        root=Path("/m"),
        vocabulary=WORDS,
        meanings=tuple(meanings),
    )


def changed(scan, **columns):
    """The same scan with fields or columns of its tracks replaced."""
    from dataclasses import replace

    tracks = scan.tracks
    fields = {
        name: columns.pop(name) for name in ("artist_id", "album_id", "path") if name in columns
    }
    return replace(scan, tracks=replace(tracks, **fields, columns={**tracks.columns, **columns}))


def row_of(scan, folder, genre, probability, alone, *, status="agrees", tagged="Rock"):
    """What a model says of an album, and of its tracks alone."""
    paths = [path for path in scan.tracks.path.tolist() if path.startswith(f"/m/{folder}/")]
    tracks = [
        {"track_id": 0, "title": f"t{i}", "path": path, "genre": g, "probability": p, "alone": True}
        for i, (path, (g, p)) in enumerate(zip(paths, alone, strict=True))
    ]
    return {
        "artist": "Ann", "album": folder, "title": None, "path": f"/m/{folder}", "tagged": tagged,
        "genre": genre, "probability": probability, "status": status, "tracks": tracks,
        "top": [{"genre": genre or "Pop", "probability": probability}], "unsure": genre is None,
        "in_training": None, "out_of_fold": False,
    }  # fmt: skip


CLEAN = {
    "One": [("a", "Rock"), ("b", "Indie Rock"), ("c", "")],
    "Two": [("d", "Jazz"), ("e", "Jazz")],
}


def test_a_clean_library_has_no_findings():
    scan = scanned(
        CLEAN, [Meaning("Rock", ("Rock",), True, 1, 1), Meaning("Jazz", ("Jazz",), True, 2, 1)]
    )
    rows = [row_of(scan, "One", "Rock", 0.9, [("Rock", 0.9), ("Indie Rock", 0.8), ("Jazz", 0.4)])]
    hashes = np.array(["1", "2", "3", "4", ""])
    assert check_library(scan, rows, hashes=hashes) == ()


def test_findings_are_told_surest_first_whatever_they_are():
    scan = scanned(
        {"One": [("a", "Rock"), ("b", "Rock"), ("c", "Jazz")]},
        [
            Meaning("Hip-Hop", ("Hip-Hop",), True, 5, 2),
            Meaning("hip hop", ("Hip-Hop",), True, 2, 1),
        ],
    )
    rows = [
        row_of(
            scan,
            "One",
            "Folk",
            0.7,
            [("Folk", 0.9), ("Folk", 0.8), ("Blues", 0.6)],
            status="disagrees",
        )
    ]
    found = check_library(scan, rows, hashes=np.array(["1", "1", "2"]))
    assert {one.kind for one in found} == set(KINDS)
    sure = [one.sure for one in found]
    assert sure == sorted(sure, reverse=True)
    assert all(0 <= one <= 1 for one in sure)
    json.dumps([asdict(one) for one in found], allow_nan=False)


# ---- tags against the music ----


@pytest.mark.parametrize("status", ["new", "disagrees", "unsure", "agrees"])
def test_only_an_album_that_disagrees_is_told(status):
    scan = scanned(CLEAN)
    found = check_library(
        scan, [row_of(scan, "Two", "Folk", 0.83, [("Folk", 0.9)] * 2, status=status)]
    )
    assert [(one.kind, one.sure, one.paths) for one in found] == (
        [("disagrees", 0.83, ("/m/Two",))] if status == "disagrees" else []
    )
    assert all("tagged Rock, sounds like Folk" in one.told for one in found)


@given(
    st.lists(st.sampled_from(["Rock", "Indie Rock", "Jazz", "Folk", ""]), min_size=1, max_size=9)
)
def test_tags_of_one_album_are_mixed_where_some_are_unlike_the_most_common(tags):
    found = check_library(scanned({"One": [(f"t{i}", tag) for i, tag in enumerate(tags)]}))
    known = [tag for tag in tags if tag]
    main = min(set(known), key=lambda tag: (-known.count(tag), tag), default="")
    alike = {"Rock": {"Rock", "Indie Rock"}, "Indie Rock": {"Rock", "Indie Rock"}}.get(main, {main})
    unlike = [i for i, tag in enumerate(tags) if tag and tag not in alike]
    if not unlike:
        assert found == ()
        return
    (one,) = found
    assert (one.kind, one.paths) == ("mixed tags", tuple(f"/m/One/{i + 1:02}.mp3" for i in unlike))
    assert one.sure == pytest.approx(1 - len(unlike) / len(known), abs=1e-4)


def test_several_genres_of_a_track_are_alike_if_one_of_them_is():
    assert check_library(scanned({"One": [("a", "Rock; Pop"), ("b", "Jazz; Pop")]})) == ()
    assert len(check_library(scanned({"One": [("a", "Rock; Pop"), ("b", "Jazz; Folk")]}))) == 1


def test_a_genre_whose_name_looks_like_two_is_one():
    (one,) = check_library(scanned({"One": [("a", r"Rock\; Qwxz"), ("b", "Rock")]}))
    assert one.kind == "mixed tags"
    assert "'Rock; Qwxz' 1" in one.told


# ---- odd tracks ----


@pytest.mark.parametrize(
    ("alone", "odd"),
    [
        ([("Rock", 0.9), ("Rock", 0.8), ("Jazz", 0.7)], [2]),
        ([("Rock", 0.9), ("Rock", 0.3), ("Jazz", 0.49)], []),  # not sure
        ([("Rock", 0.9), ("Rock", 0.8), ("Indie Rock", 0.9)], []),  # below it
        ([("Rock", 0.9), ("Jazz", 0.8), ("Folk", 0.7)], []),  # then nothing is the rest
        ([("Punk", 0.9), ("Indie Rock", 0.3), ("Jazz", 0.7)], [2]),  # the others are both Rock
    ],
)
def test_an_odd_track_is_sure_of_another_genre_than_most_of_its_album(alone, odd):
    scan = scanned(CLEAN)
    found = check_library(scan, [row_of(scan, "One", "Rock", 0.9, alone)])
    assert [one.paths for one in found] == [(f"/m/One/{i + 1:02}.mp3",) for i in odd]
    assert all((one.kind, one.sure) == ("odd track", 0.7) for one in found)


def test_a_track_of_the_genre_of_its_album_is_not_odd_among_others_that_are_not():
    scan = scanned(CLEAN)
    alone = [("Jazz", 0.97), ("Rock", 0.6), ("Rock", 0.7)]
    assert check_library(scan, [row_of(scan, "One", "Jazz", 0.7, alone)]) == ()
    (one,) = check_library(scan, [row_of(scan, "One", "Rock", 0.7, alone)])
    assert one.paths == ("/m/One/01.mp3",)


def test_two_tracks_do_not_tell_which_is_odd_and_what_was_not_asked_says_nothing():
    scan = scanned(CLEAN)
    assert (
        check_library(scan, [row_of(scan, "Two", "Rock", 0.9, [("Rock", 0.9), ("Jazz", 0.9)])])
        == ()
    )
    row = row_of(scan, "One", "Rock", 0.9, [("Rock", 0.9), ("Rock", 0.8), ("Jazz", 0.7)])
    for track in row["tracks"]:
        track["alone"] = False
    assert check_library(scan, [row]) == ()


@pytest.mark.parametrize(("in_training", "told"), [(None, 1), (False, 1), (True, 0)])
def test_of_what_the_model_knows_by_heart_no_track_is_odd(in_training, told):
    scan = scanned(CLEAN)
    row = row_of(scan, "One", "Rock", 0.9, [("Rock", 0.9), ("Rock", 0.8), ("Jazz", 0.7)])
    assert len(check_library(scan, [{**row, "in_training": in_training}])) == told


def test_an_album_without_a_genre_of_its_own_is_what_it_may_be():
    scan = scanned(CLEAN)
    row = row_of(scan, "One", None, 0.4, [("Pop", 0.6), ("Pop", 0.6), ("Jazz", 0.7)])
    (one,) = check_library(scan, [row])
    assert one.told == "t2 sounds like Jazz (70 %), 100 % of the others like Pop"


# ---- spelling ----


def test_spellings_are_told_apart_from_other_names_of_a_genre():
    counted = {"Hip-Hop": 3, "HIPHOP": 1, "Rap": 2}
    meanings = [Meaning(name, ("Hip-Hop",), True, n, n) for name, n in counted.items()]
    found = check_library(scanned(CLEAN, meanings))
    assert [(one.sure, one.told) for one in found] == [
        (1.0, "'Hip-Hop' 3, 'HIPHOP' 1"),
        (0.9, "'Hip-Hop' 4, 'Rap' 2"),
    ]


def test_names_that_differ_in_signs_are_surely_one_and_aliases_nearly():
    meanings = [
        Meaning("Hip-Hop", ("Hip-Hop",), True, 9, 3), Meaning("HIPHOP", ("Hip-Hop",), True, 1, 1),
        Meaning("R&B", ("R&B",), True, 4, 2), Meaning("Rhythm and Blues", ("R&B",), True, 2, 2),
        Meaning("Rock/Pop", ("Rock", "Pop"), True, 2, 2), Meaning("Rock", ("Rock",), True, 2, 2),
        Meaning(" Rock ", ("Rock",), True, 2, 2), Meaning("Other", (), True, 2, 2),
    ]  # fmt: skip
    found = check_library(scanned(CLEAN, meanings))
    assert [(one.kind, one.sure, one.about, one.told) for one in found] == [
        ("spelling", 1.0, "genre Hip-Hop", "'Hip-Hop' 9, 'HIPHOP' 1"),
        ("spelling", 0.9, "genre R&B", "'R&B' 4, 'Rhythm and Blues' 2"),
    ]


def test_a_genre_that_nobody_knows_may_be_misspelled():
    meanings = [Meaning("Electornic", ("Electornic",), False, 9, 3)]
    (one,) = check_library(scanned(CLEAN, meanings))
    assert (one.sure, one.about, one.told) == (
        0.8,
        "genre Electornic",
        "looks like 'Electronic'",
    )


def test_a_small_genre_that_became_the_one_above_it_is_no_spelling_of_that():
    meanings = [
        Meaning("Rock", ("Rock",), True, 9, 3),
        Meaning("Indie Rock", ("Rock",), True, 1, 1),
    ]
    assert check_library(scanned(CLEAN, meanings)) == ()


def test_guests_and_discs_are_no_spellings():
    merges = [
        Merge("artist", "The Beatles", ("Beatles, The", "The Beatles feat. Bob"), 9),
        Merge("artist", "Ann", ("Ann feat. Bob",), 3), Merge("album", "Hits", ("Hits (CD1)",), 3),
    ]  # fmt: skip
    (one,) = check_library(scanned(CLEAN, merges=merges))
    assert (one.about, one.told) == (
        "artist The Beatles",
        "written in 2 ways: The Beatles, Beatles, The",
    )


def test_artists_and_albums_of_nearly_one_name_may_be_one():
    scan = changed(scanned(CLEAN), artist=np.array(["Beyonc\u00e9"] * 3 + ["Beyonce"] * 2))
    (one,) = check_library(scan)
    assert (one.kind, one.about) == ("spelling", "artist Beyonc\u00e9")
    assert one.told == "may be one: 'Beyonc\u00e9' 3, 'Beyonce' 2"
    albums = np.array(["Abbey Road"] * 3 + ["Abbey Road!"] * 2)
    assert check_library(changed(scanned(CLEAN), album=albums)) == ()  # of two artists
    same = changed(
        scanned(CLEAN), album=albums, artist_id=np.ones(5, int), artist=np.array(["Ann"] * 5)
    )
    assert [one.about for one in check_library(same)] == ["album Abbey Road"]


# ---- copies ----


def test_equal_audio_is_told_once_for_two_folders():
    scan = scanned({"One": [("a", ""), ("b", "")], "Two": [("x", ""), ("y", ""), ("z", "")]})
    (copy,) = find_copies(scan.tracks, hashes=np.array(["1", "2", "1", "2", "3"]))
    assert (copy.places, copy.first, copy.second) == (("/m/One", "/m/Two"), (0, 1), (2, 3))
    (one,) = check_library(scan, hashes=np.array(["1", "2", "1", "2", "3"]))
    assert (one.sure, one.about, one.paths) == (1.0, "Artist 0: One", ("/m/One", "/m/Two"))
    assert one.told == "2 tracks, the same audio: One and Two"


@given(st.lists(st.sampled_from(["", "1", "2"]), min_size=2, max_size=7))
def test_whoever_has_the_audio_of_another_is_in_a_copy(hashes):
    scan = scanned({f"A{i}": [(f"t{i}", "")] for i in range(len(hashes))})
    found = {
        row
        for copy in find_copies(scan.tracks, hashes=np.array(hashes))
        for row in (*copy.first, *copy.second)
    }
    assert found == {i for i, one in enumerate(hashes) if one and hashes.count(one) > 1}


ALBUM = {"One (flac)": [("a", ""), ("b", "")], "One (mp3)": [("a", ""), ("b", "")]}
LENGTHS = np.array([100.0, 200.0, 101.0, 201.5])


def one_album(**columns):
    return changed(
        scanned(ALBUM), artist_id=np.ones(4, int), album_id=np.ones(4, int), artist=np.array(["Ann"] * 4),
        album=np.array(["One"] * 4), **{"duration": LENGTHS, **columns},
    )  # fmt: skip


def test_an_album_in_two_folders_is_a_copy_if_its_tracks_are_as_long():
    (one,) = check_library(one_album())
    assert (one.kind, one.sure, one.paths) == ("copy", 0.9, ("/m/One (flac)", "/m/One (mp3)"))
    (one,) = check_library(one_album(duration=np.full(4, np.nan)))
    assert one.sure == 0.7  # as long as nobody knows
    assert check_library(one_album(duration=LENGTHS + np.array([0, 0, 9, 9]))) == ()
    assert check_library(one_album(disc=np.array([1, 1, 2, 2]))) == ()
    assert check_library(one_album(title=np.array(["", "", "", ""]))) == ()


def test_two_formats_in_one_folder_are_copies_and_two_files_of_one_format_are_not():
    paths = np.array(["/m/One/1.flac", "/m/One/2.flac", "/m/One/1.mp3", "/m/One/2.mp3"])
    (one,) = check_library(one_album(path=paths))
    assert one.told == "2 tracks (.flac, .mp3), one album and title: both in One"
    titles = np.array(["a", "b", "a", "c"])
    (one,) = check_library(one_album(path=paths, title=titles, duration=np.ones(4)))
    assert one.told.endswith("1.flac and 1.mp3 in One")
    paths = np.array(["/m/One/1.mp3", "/m/One/2.mp3", "/m/One/3.mp3", "/m/One/4.mp3"])
    assert check_library(one_album(path=paths)) == ()


def test_what_was_encoded_anew_is_found_by_its_features_if_it_is_as_long():
    scan = scanned({f"A{i}": [(f"t{i}", "")] for i in range(40)})
    values = np.random.default_rng(0).standard_normal((40, 12)).astype(np.float32)
    values[7] = values[3] + 0.01
    store = FeatureStore.from_arrays("toy", scan.tracks.track_id, values)
    assert check_library(scan, features=store) == ()
    length = scan.tracks.columns["duration"].copy()
    length[7] = length[3] + 0.5
    (one,) = check_library(changed(scan, duration=length), features=store)
    assert (one.kind, one.paths) == ("copy", ("/m/A3/01.mp3", "/m/A7/01.mp3"))
    assert 0.5 < one.sure < 0.9
    titles = scan.tracks.columns["title"].copy()
    titles[7] = "T3"
    (one,) = check_library(changed(scan, duration=length, title=titles), features=store)
    assert one.sure == 0.9


@given(st.data())
def test_hostile_names_are_text(data):
    """Nothing in a name stops the check, and every path is told as it is."""
    text = st.text(st.characters(exclude_characters="\0"), max_size=8)
    n = 4
    scan = changed(
        scanned({"One": [("a", "Rock"), ("b", "Jazz"), ("c", "Jazz"), ("d", "")]}),
        **{name: np.array([data.draw(text) for _ in range(n)], np.str_) for name in ("title", "artist", "album")},
    )  # fmt: skip
    found = check_library(scan, hashes=np.array(["1", "1", "", ""]))
    assert {"copy", "mixed tags"} <= {one.kind for one in found}
    assert {path for one in found for path in one.paths} <= {*scan.tracks.path.tolist()}
