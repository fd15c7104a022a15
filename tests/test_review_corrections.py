"""Decisions as labels, against what each of them means, one album after the other."""

import json
import random
import shutil
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from matt import Bags, DataError, Predictions, Tracks, splits
from matt.datasets.credits import normalise
from matt.datasets.folder import scan
from matt.datasets.genres import joined, parted, vocabulary
from matt.datasets.meanings import bags_of, understand
from matt.library.albums import album_rows
from matt.review.albums import Albums
from matt.review.corrections import corrected
from matt.review.decisions import ReviewDecision, album_key
from tests.review_library import sound

MEANS = {  # what each name comes to, from the words of the documentation of genres
    "Rock": ("Rock",), "Jazz": ("Jazz",), "hip hop": ("Hip-Hop",), "HIP-HOP": ("Hip-Hop",), "Rock/Jazz": ("Rock", "Jazz"),
    "Gabba Folk": ("Gabba Folk",), "Other": (),
}  # fmt: skip
SHIPPED = vocabulary()
GIVEN = ("accepted", "changed")
ROOT = "/music"
GONE = 10**9  # from here on, ids of files that are not there any more


def table(written, albums, *, vocabulary=SHIPPED, ids=None, places=None):
    """Tracks as a scan makes them: ``written`` tags of each track, ``albums`` -1 for lone tracks."""
    n, albums = len(written), np.asarray(albums, np.int64)
    artists = np.where(albums < 0, -1, albums)
    genres = understand(written, bags_of(artists, albums), vocabulary).genres
    names = tuple(sorted({some[0] for some in genres if some}, key=normalise))
    places = albums if places is None else np.asarray(places)[albums]
    lone = albums < 0
    return Tracks(
        np.arange(n) + 1 if ids is None else ids,
        [names.index(some[0]) if some else -1 for some in genres],
        names,
        artist_id=artists,
        album_id=albums,
        path=[f"{ROOT}/{f'lone {i}' if lone[i] else places[i]}/{i}.flac" for i in range(n)],
        columns={
            "title": np.array([f"Song {i}" for i in range(n)]),
            "artist": np.array(["" if lone[i] else f"Artist {places[i]}" for i in range(n)]),
            "album": np.array(["" if lone[i] else f"Album {places[i]}" for i in range(n)]),
            "genre_tags": np.array([joined(some) for some in genres], np.str_),
            "duration": np.arange(n) / 7,
        },
    )


def decided(verdict, genres=(), *, ids=(), album="nowhere", said="Rock"):
    return ReviewDecision(album, tuple(ids), verdict, tuple(genres), said, 0.5, 0.0)


def tags_of(tracks):
    return [parted(text) for text in tracks.columns["genre_tags"].tolist()]


def first_names(tracks):
    return [tracks.genres[label] if label >= 0 else "" for label in tracks.labels.tolist()]


# ---- what is found by hand ----


@dataclass
class Case:
    """Tracks, what is decided of them, and the albums: rows and key of each, by appearance."""

    tracks: Tracks
    decisions: list
    albums: list
    keys: list


@st.composite
def cases(draw):
    n = draw(st.integers(1, 14))
    albums = draw(st.lists(st.integers(-1, 4), min_size=n, max_size=n))
    names = st.sampled_from([*MEANS])
    written = draw(st.lists(st.lists(names, max_size=2), min_size=n, max_size=n))
    places = draw(st.lists(st.sampled_from([0, 1, 2, 3, 4]), min_size=5, max_size=5))
    ids = draw(st.permutations(range(1, n + 1)))
    tracks = table(written, albums, ids=np.array(ids), places=places)
    seen = {}
    for row, album in enumerate(albums):
        seen.setdefault(("lone", row) if album < 0 else album, []).append(row)
    keys = []
    for album, rows in seen.items():
        if isinstance(album, tuple):
            row = {"artist": None, "album": None, "title": f"Song {rows[0]}"}
            row["path"] = str(tracks.path[rows[0]])
        else:
            row = {"artist": f"Artist {places[album]}", "album": f"Album {places[album]}"}
            folder, _, _ = str(tracks.path[rows[0]]).rpartition("/")
            row |= {"title": None, "path": folder if len(rows) > 1 else str(tracks.path[rows[0]])}
        keys.append(album_key(row, ROOT))
    some = []
    for _ in range(draw(st.integers(0, 7))):
        verdict = draw(st.sampled_from([*GIVEN, "rejected", "kept"]))
        genres = draw(st.lists(names, min_size=verdict in GIVEN, max_size=3))
        held = draw(st.lists(st.sampled_from([*ids, GONE, GONE + 1]), max_size=5, unique=True))
        key = draw(st.sampled_from([*keys, "nowhere"]))
        some.append(decided(verdict, [] if verdict == "rejected" else genres, ids=held, album=key))
    return Case(tracks, some, [*seen.values()], keys)


def found_by_hand(case):
    """The decision of each album, in order, and those of none."""
    of_album, lost = [], []
    for decision in case.decisions:
        held = [
            sum(int(case.tracks.track_id[row]) in decision.track_ids for row in rows)
            for rows in case.albums
        ]
        if max(held):
            album = held.index(max(held))
        elif case.keys.count(decision.album) == 1:
            album = case.keys.index(decision.album)
        else:
            lost.append(decision)
            continue
        of_album = [pair for pair in of_album if pair[0] != album] + [(album, decision)]
    return of_album, lost


def label(tracks, rows):
    """The genre of an album, by the bags that models learn from."""
    ids = set(tracks.track_id[rows].tolist())
    bags = Bags.from_tracks(tracks)
    held = np.flatnonzero(np.isin(bags.track_ids, [*ids]))[0]
    number = bags.labels[np.searchsorted(bags.offsets, held, side="right") - 1]
    return bags.genres[number] if number >= 0 else ""


@given(cases())
def test_each_album_has_what_was_decided_of_it_last(case):
    made = corrected(case.tracks, case.decisions, SHIPPED, root=ROOT)
    of_album, lost = found_by_hand(case)
    expected = tags_of(case.tracks)
    for album, decision in of_album:
        for row in case.albums[album]:
            if decision.verdict != "kept":
                some = [genre for name in decision.genres for genre in MEANS[name]]
                expected[row] = tuple(dict.fromkeys(some))
    assert tags_of(made.tracks) == expected
    assert first_names(made.tracks) == [some[0] if some else "" for some in expected]
    assert made.used == tuple(decision for _, decision in of_album)
    assert made.lost == tuple(lost)


@given(cases())
def test_albums_are_counted_by_what_became_of_their_label(case):
    made = corrected(case.tracks, case.decisions, SHIPPED, root=ROOT)
    new, changed, removed = Counter(), Counter(), 0
    for album, _ in found_by_hand(case)[0]:
        old, now = (label(tracks, case.albums[album]) for tracks in (case.tracks, made.tracks))
        removed += bool(old and not now)
        new[now] += bool(now and not old)
        changed[now] += bool(now and old and now != old)
    assert Counter(made.new) == +new
    assert Counter(made.changed) == +changed
    assert made.removed == removed
    n = sum(made.new.values()) + sum(made.changed.values()) + made.removed
    assert n + made.same == len(made.used)
    assert made.same >= 0
    for counts in (made.new, made.changed):  # the most albums first, as they are told
        assert [*counts.values()] == sorted(counts.values(), reverse=True)
    told = " ".join(made.notes)
    if made.used:
        assert f"You decided {len(made.used):,} album" in made.line
        assert f", and {n:,} of the labels changed by that" in made.line
        assert f"your decisions about {len(made.used):,} album" in told
    assert ("no album any more" in told) == bool(made.lost)


@given(cases())
def test_nothing_but_genres_changes(case):
    made = corrected(case.tracks, case.decisions, SHIPPED, root=ROOT).tracks
    before = case.tracks
    for name in ("track_id", "artist_id", "album_id", "path", "split"):
        np.testing.assert_array_equal(getattr(made, name), getattr(before, name))
    assert made.columns.keys() == before.columns.keys()
    for name in before.columns.keys() - {"genre_tags"}:
        np.testing.assert_array_equal(made.columns[name], before.columns[name])
    assert made.genres == tuple(sorted(set(first_names(made)) - {""}, key=normalise))


OWN = """\
minimum_albums = {minimum}
main = "{main}"
[parents]
A = ["AA", "AB"]
AA = ["AAA"]
B = ["BB"]
"""


@pytest.fixture(scope="module")
def vocabularies(tmp_path_factory):
    """Of a user, with each way to choose a main genre and some sizes that a genre has at least."""
    folder, found = tmp_path_factory.mktemp("genres"), {}
    for main in ("first", "most specific", "most general"):
        for minimum in range(4):
            file = folder / f"{main} {minimum}.toml"
            file.write_text(OWN.format(minimum=minimum, main=main))
            found[main, minimum] = vocabulary(file)
    return found


some_tags = st.lists(
    st.lists(st.sampled_from(["A", "AA", "AAA", "AB", "B", "BB", "gabba", "Gabba"]), max_size=3),
    min_size=1,
    max_size=9,
)
SHALLOWER = [["AAA", "BB"]]  # "most specific"; too small, it becomes A, which stands above BB


@given(some_tags, st.sampled_from(["first", "most specific", "most general"]), st.integers(0, 3))
@example(SHALLOWER, "most specific", 2)
def test_without_a_decision_all_stays_as_it_is(vocabularies, written, main, minimum):
    known = vocabularies[main, minimum]
    tracks = table(written, np.arange(len(written)) // 2, vocabulary=known)
    made = corrected(tracks, [], known, root=ROOT)
    assert tags_of(made.tracks) == tags_of(tracks)
    assert made.tracks.genres == tracks.genres
    np.testing.assert_array_equal(made.tracks.labels, tracks.labels)
    assert (made.used, made.lost, made.same, made.notes) == ((), (), 0, [])


@given(
    some_tags,
    st.lists(st.sampled_from(["A", "AAA", "AB", "BB", "gabba"]), min_size=1, max_size=3),
    st.sampled_from(["first", "most specific", "most general"]),
)
def test_what_is_decided_is_in_the_order_that_a_tag_would_be(vocabularies, written, genres, main):
    known = vocabularies[main, 0]
    albums = np.arange(len(written))
    tracks = table(written, albums, vocabulary=known)
    made = corrected(tracks, [decided("changed", genres, ids=[1])], known, root=ROOT)
    as_tag = table([genres, *written[1:]], albums, vocabulary=known)
    assert first_names(made.tracks)[0].lower() == first_names(as_tag)[0].lower()
    assert set(map(str.lower, tags_of(made.tracks)[0])) == set(map(str.lower, tags_of(as_tag)[0]))


def test_a_genre_that_decisions_leave_too_few_albums_becomes_the_one_above_it(vocabularies):
    known = vocabularies["first", 2]
    tracks = table([["AB"], ["AB"], ["B"]], [0, 1, 2], vocabulary=known)
    made = corrected(tracks, [decided("changed", ["B"], ids=[1])], known, root=ROOT)
    assert first_names(made.tracks) == ["B", "A", "B"]
    assert made.changed == {"B": 1}


def test_another_spelling_of_the_same_genre_changes_nothing():
    """The spelling of a name that nobody knows is the one that is met most often."""
    tracks = table([["Gabba Folk"], [], [], ["Rock"]], [0, 1, 2, 3])
    some = [decided("changed", ["gabba folk"], ids=[n]) for n in (2, 3)]
    made = corrected(tracks, [*some, decided("kept", ids=[1])], SHIPPED, root=ROOT)
    assert first_names(made.tracks) == [*["gabba folk"] * 3, "Rock"]
    assert (made.new, made.changed, made.same) == ({"gabba folk": 2}, {}, 1)


def test_names_are_merged_unless_that_is_not_wanted():
    tracks = table([["Zuppa"], ["Zuppa"], ["Rock"]], [0, 1, 2])
    one = decided("changed", ["Zup-Pa"], ids=[3])
    together = corrected(tracks, [one], SHIPPED, root=ROOT)
    assert first_names(together.tracks) == ["Zuppa"] * 3
    apart = corrected(tracks, [one], SHIPPED, root=ROOT, same=normalise)
    assert first_names(apart.tracks) == ["Zuppa", "Zuppa", "Zup-Pa"]
    assert (together.changed, apart.changed) == ({"Zuppa": 1}, {"Zup-Pa": 1})


# ---- what is told of them ----

PAIR = [decided("changed", ["Jazz"], ids=[1]), decided("rejected", ids=[2])]
TRIPLE = table([["Rock"], ["Rock"], ["Jazz"]], [0, 1, 2])


def digest(tracks=TRIPLE, some=PAIR):
    return corrected(tracks, some, SHIPPED, root=ROOT).digest


def test_a_digest_is_of_the_decisions_that_are_used_and_of_their_order():
    lost, before = decided("accepted", ["Rock"], ids=[GONE]), decided("kept", ids=[1])
    assert digest() == digest(some=[before, lost, *PAIR, lost])  # neither of which is used
    assert digest() == digest(table([["Jazz"], [], ["Rock"]], [0, 1, 2]))
    others = [PAIR[::-1], PAIR[:1], [*PAIR, decided("kept", ids=[3])], []]
    others += [[replace(PAIR[0], **other), PAIR[1]] for other in (
        {"when": 1.0}, {"genres": ("Rock",)}, {"verdict": "accepted"}, {"said": "Jazz"},
        {"track_ids": (1, GONE)}, {"album": "b"}, {"sure": None},
    )]  # fmt: skip
    assert len({digest(), *(digest(some=other) for other in others)}) == len(others) + 1


def test_all_decisions_are_kept_as_json_that_gives_them_back():
    lost = decided("accepted", ["Rock"], ids=[GONE])
    made = corrected(TRIPLE, [lost, *PAIR], SHIPPED, root=ROOT)
    content = json.loads(json.dumps(made.to_json(), allow_nan=False))
    assert content["schema"] == "matt.corrections/1"
    assert content["digest"] == made.digest == made.facts["digest"]

    def back(some):
        lists = ("track_ids", "genres")
        return tuple(ReviewDecision(**{**d, **{name: tuple(d[name]) for name in lists}}) for d in some)  # fmt: skip

    assert (back(content["used"]), back(content["lost"])) == (made.used, made.lost)
    facts = json.loads(json.dumps(made.facts))
    del facts["digest"]
    assert facts == {"used": 2, "lost": 1, "new": {}, "changed": {"Jazz": 1}, "removed": 1}


def test_notes_name_what_changed_and_some_of_what_is_lost():
    lost = [decided("accepted", [f"Genre {n}"], ids=[GONE + n], album=f"key{n}") for n in range(5)]
    lost[0] = decided("rejected", ids=[GONE], album="key0")
    tracks = table([["Rock"], [], ["Jazz"], ["Rock"]], [0, 1, 2, 3])
    some = [
        decided("changed", ["Jazz"], ids=[1]),
        decided("accepted", ["Rock"], ids=[2]),
        decided("rejected", ids=[3]),
        decided("kept", ["Rock"], ids=[4]),
    ]
    used, told = corrected(tracks, [*lost, *some], SHIPPED, root=ROOT).notes
    assert "1 album had no genre and has one now (Rock 1)" in used
    assert "1 album has another genre than in the tags (Jazz 1)" in used
    assert "1 album has none any more" in used
    assert used.endswith("1 album is as before")
    assert told.startswith("5 decisions match no album any more")
    assert "(rejected, key0, Genre 1, key1, Genre 2, key2 and 2 more)" in told


def test_tracks_of_no_folder_cannot_be_corrected():
    plain = Tracks([1, 2], [0, 0], ("Rock",), album_id=[1, 1], artist_id=[1, 1])
    with pytest.raises(DataError, match=r"no column 'genre_tags'.*matt\.datasets\.folder\.scan"):
        corrected(plain, PAIR, SHIPPED)


@given(st.integers(0, 9), st.lists(st.sampled_from(["Rock", "Jazz"]), min_size=1, max_size=8))
def test_no_album_or_artist_is_on_two_sides_of_a_split(seed, genres):
    """Decided albums are of the artists that they were of: what was decided leaks nowhere."""
    artists = np.repeat(np.arange(20), 6)
    tracks = table([["Rock"] if a % 2 else ["Jazz"] if a % 3 else [] for a in artists], artists)
    tracks = replace(tracks, album_id=np.repeat(np.arange(40), 3))  # two an artist
    chosen = random.Random(seed).sample(range(40), len(genres))
    some = [decided("changed", [g], ids=[3 * a + 1]) for a, g in zip(chosen, genres, strict=True)]
    made = corrected(tracks, some, SHIPPED, root=ROOT)
    assert len(made.used) == len(some)
    divided = splits.by_artist(made.tracks, validation=0.2, test=0.2, seed=seed)
    for artist in range(20):
        sides = set(divided.split[divided.artist_id == artist].tolist()) - {""}
        assert len(sides) <= 1


# ---- real files ----


def albums_of(found):
    """What a review shows of a scan, whatever a model says."""
    bags = Bags.from_tracks(found.tracks)
    logits = np.zeros((len(bags), len(bags.genres)), np.float32)
    return Albums(album_rows(Predictions(bags, found.tracks, logits)), found.root)


@pytest.fixture
def library(tmp_path):
    """Two albums, a compilation of two artists, and a lone track."""
    root = tmp_path / "Music"
    for n in range(2):
        sound(root / "Ann" / "Blue" / f"{n}.flac", seconds=0.1, artist="Ann", album="Blue", title=f"Song {n}", genre="Rock")  # fmt: skip
        sound(root / "Bob" / "Red" / f"{n}.flac", seconds=0.1, artist="Bob", album="Red", title=f"Song {n}", genre="Jazz")  # fmt: skip
        sound(
            root / "Various" / f"{n}.flac", seconds=0.1, artist=f"Guest {n}", album="All", title=f"Hit {n}",
            albumartist="Various Artists", genre="Folk",
        )  # fmt: skip
    sound(root / "lone.flac", seconds=0.1, title="Alone")
    return root


def test_a_key_of_the_review_is_found_among_the_files(library):
    """By keys alone, as after all files were moved: the ids that decisions hold are of none."""
    found = scan(library)
    albums = albums_of(found)
    assert len(albums) == 5
    for album in albums.all:
        decision = replace(album.decided("changed", ["Polka"], 0.0), track_ids=(GONE,))
        made = corrected(found.tracks, [decision], found.vocabulary, root=found.root)
        assert made.used == (decision,)
        now = {int(i) for i, name in zip(made.tracks.track_id, first_names(made.tracks), strict=True) if name == "Polka"}  # fmt: skip
        assert now == {track.track_id for track in album.tracks}


def test_a_library_that_moved_keeps_its_decisions(library, tmp_path):
    found = scan(library)
    some = [album.decided("changed", ["Polka"], float(n)) for n, album in enumerate(albums_of(found).all)]  # fmt: skip
    there = tmp_path / "elsewhere" / "Tunes"
    there.parent.mkdir()
    shutil.move(library, there)
    now = scan(there)
    for held in (some, [replace(one, track_ids=(GONE,)) for one in some]):
        made = corrected(now.tracks, held, now.vocabulary, root=now.root)
        assert (made.used, made.lost) == (tuple(held), ())
        assert set(first_names(made.tracks)) == {"Polka"}


def test_files_that_are_called_otherwise_are_found_by_the_key_of_their_album(library):
    found = scan(library)
    ann = next(album for album in albums_of(found).all if album.artist == "Ann")
    decision = ann.decided("changed", ["Polka"], 0.0)
    for file in (library / "Ann" / "Blue").iterdir():
        file.rename(file.with_name(f"0{file.name}"))
    now = scan(library)
    assert not {*decision.track_ids} & {*now.tracks.track_id.tolist()}
    made = corrected(now.tracks, [decision], now.vocabulary, root=now.root)
    assert made.used == (decision,)
    assert made.changed == {"Polka": 1}
    (library / "Ann").rename(library / "Anna")
    gone = scan(library)
    made = corrected(gone.tracks, [decision], gone.vocabulary, root=gone.root)
    assert (made.used, made.lost) == ((), (decision,))
    np.testing.assert_array_equal(made.tracks.labels, gone.tracks.labels)
