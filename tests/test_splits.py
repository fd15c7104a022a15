import inspect
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matt import Bags, ConfigError, DataError, Tracks, splits

GENRES = ("Folk", "Jazz", "Rock")
ROWS = st.lists(st.tuples(st.integers(-1, 9), st.integers(-1, 2)), min_size=2, max_size=40)


def tracks_of(rows):
    artists, genres = np.array(rows).T
    return Tracks(50 + np.arange(len(rows)), genres, GENRES, artist_id=artists, album_id=artists)


@given(ROWS, st.integers(0, 99))
def test_no_artist_is_on_two_sides(rows, seed):
    tracks = splits.by_artist(tracks_of(rows), seed=seed)
    assert set(tracks.split) <= {"training", "validation", "test"}
    for artist in set(tracks.artist_id[tracks.artist_id >= 0]):
        assert len(set(tracks.split[tracks.artist_id == artist])) == 1


@given(ROWS, st.integers(0, 99))
def test_a_genre_of_one_artist_trains_and_is_called_untestable(rows, seed):
    rows = [(artist, genre) for artist, genre in rows if genre < 2] + [(77, 2), (77, 2)]
    tracks = splits.by_artist(tracks_of(rows), seed=seed)
    assert set(tracks.split[tracks.labels == 2]) == {"training"}
    assert "Rock" in splits.untestable(tracks)


def test_every_genre_of_three_pure_artists_is_on_all_sides():
    rows = [(artist, artist % 3) for artist in range(9) for _ in range(2)]
    for seed in range(20):
        tracks = splits.by_artist(tracks_of(rows), seed=seed)
        for genre in range(3):
            assert len(set(tracks.split[tracks.labels == genre])) == 3
        assert splits.untestable(tracks) == ()


def test_shares_are_of_artists():
    tracks = splits.by_artist(tracks_of([(a, 0) for a in range(100)]), validation=0.1, test=0.2)
    assert (tracks.split == "test").sum() == 20
    assert (tracks.split == "validation").sum() == 10
    with pytest.raises(DataError, match="sum to less than 1"):
        splits.by_artist(tracks, validation=0.5, test=0.5)


def test_another_seed_is_another_split():
    tracks = tracks_of([(a, a % 3) for a in range(30)])
    one, same, other = (splits.by_artist(tracks, seed=seed).split for seed in (1, 1, 2))
    assert (one == same).all()
    assert not (one == other).all()


@given(ROWS, st.integers(2, 5), st.integers(0, 99))
def test_folds_test_every_track_once_with_artists_whole(rows, k, seed):
    tracks = tracks_of(rows)
    if len(set(tracks.artist_id[tracks.artist_id >= 0])) + (tracks.artist_id < 0).sum() < k:
        with pytest.raises(DataError, match="choose another k"):
            list(splits.folds(tracks, k=k, seed=seed))
        return
    tested = []
    for rest, test in splits.folds(tracks, k=k, seed=seed):
        assert not set(rest.artist_id) & set(test.artist_id) - {-1}
        assert sorted([*rest.track_id, *test.track_id]) == sorted(tracks.track_id)
        tested += list(test.track_id)
    assert sorted(tested) == sorted(tracks.track_id)


@given(st.integers(1, 20), st.integers(0, 99))
def test_thinning_keeps_whole_bags_but_one_and_never_cuts_the_test(keep, seed):
    tracks = splits.by_artist(tracks_of([(a // 4, (a // 4) % 2) for a in range(120)]), seed=seed)
    thinned = splits.thin(tracks, {"Jazz": keep}, seed=seed)
    assert thinned.train_counts[1] == min(keep, tracks.train_counts[1])
    assert thinned.train_counts[0] == tracks.train_counts[0]
    kept = {split: (thinned.split == split).sum() for split in ("validation", "test")}
    assert kept == {split: (tracks.split == split).sum() for split in kept}
    sizes = Bags.from_tracks(
        thinned.take((thinned.labels == 1) & (thinned.split == "training"))
    ).sizes
    assert (sizes != 4).sum() <= 1


def test_thinning_an_unknown_genre_is_refused():
    with pytest.raises(DataError, match="cannot thin 'Jaz'; did you mean 'Jazz'"):
        splits.thin(tracks_of([(1, 1), (2, 1)]), {"Jaz": 1})


def test_several_genres_are_split_by_the_rarest():
    labels = np.zeros((12, 3), bool)
    labels[:, 0] = True
    labels[:6, 2] = True
    tracks = Tracks(np.arange(12), labels, GENRES, artist_id=np.arange(12) // 2)
    split = splits.by_artist(tracks, seed=3)
    assert all((split.split[labels[:, 2]] == name).any() for name in ("training", "test"))


DUETS = st.lists(
    st.tuples(st.integers(-1, 4), st.integers(-1, 2), st.lists(st.integers(0, 12), max_size=3)),
    min_size=2,
    max_size=40,
)  # so few artists that no company is too large


def duets(rows):
    tracks = tracks_of([row[:2] for row in rows])
    named = [" ".join(map(str, dict.fromkeys(more))) for *_, more in rows]
    return replace(tracks, columns={"all_artists": np.array(named)})


@given(DUETS, st.integers(0, 99))
def test_nobody_who_is_named_is_on_two_sides(rows, seed):
    tracks = splits.by_artist(duets(rows), seed=seed)
    sides = {}
    for (artist, _, more), side in zip(rows, tracks.split.tolist(), strict=True):
        for one in {artist, *more} - {-1}:
            sides.setdefault(one, set()).add(side)
    assert all(len(some) == 1 for some in sides.values())


@given(DUETS, st.integers(2, 3), st.integers(0, 99))
def test_folds_keep_everybody_who_is_named_together(rows, k, seed):
    tracks = duets(rows)
    try:
        parts = list(splits.folds(tracks, k=k, seed=seed))
    except DataError:
        return
    for rest, test in parts:
        here, there = (
            {one for row in part.rows(part.track_id) for one in [part.artist_id[row]]}
            | {int(one) for text in part.columns["all_artists"] for one in text.split()}
            for part in (rest, test)
        )
        assert not (here & there) - {-1}
    assert sorted(i for _, test in parts for i in test.track_id) == sorted(tracks.track_id)


@given(ROWS, st.integers(0, 99))
def test_a_column_that_joins_nobody_changes_no_split(rows, seed):
    tracks = tracks_of(rows)
    own = np.array([str(a) if a >= 0 else "" for a in tracks.artist_id])
    for column in (own, np.array(["no ids"] * len(rows)), np.arange(len(rows))):
        joined = replace(tracks, columns={"all_artists": column})
        assert (
            splits.by_artist(joined, seed=seed).split == splits.by_artist(tracks, seed=seed).split
        ).all()


def test_a_large_company_stays_in_training():
    rows = [(a, 0, [0] if a < 20 else []) for a in range(40)]
    for seed in range(20):
        tracks = splits.by_artist(duets(rows), seed=seed)
        assert set(tracks.split[:20]) == {"training"}
        assert (tracks.split == "test").sum() == 8


def test_a_guest_of_everybody_binds_nobody():
    """Else there would be one company, and nothing to test on. Duets of others still bind."""
    rows = [(a, a % 3, [99]) for a in range(30)] + [(0, 0, [3])]
    for seed in range(20):
        tracks = splits.by_artist(duets(rows), seed=seed)
        assert splits.untestable(tracks) == ()
        assert tracks.split[0] == tracks.split[3] == tracks.split[30]


def test_of_large_companies_alone_the_smallest_is_tested():
    rows = [(a, 0, [100 * (a < 5) + 200 * (a >= 5)]) for a in range(9)]
    tracks = splits.by_artist(duets(rows), validation=0)
    assert set(np.flatnonzero(tracks.split == "test")) == {5, 6, 7, 8}


def test_a_guest_binds_a_track_whose_artist_is_unknown():
    tracks = duets([(0, 0, []), (-1, 0, [0]), *((a, 0, []) for a in range(1, 9))])
    for seed in range(20):
        split = splits.by_artist(tracks, seed=seed).split
        assert split[0] == split[1]


NO_NUMBERS = [
    float("nan"),
    float("inf"),
    -float("inf"),
    True,
    False,
    None,
    "1",
    [1],
    np.array([1, 2]),
]
NEGATIVE = st.integers(max_value=-1) | st.floats(max_value=-1e-300)
NO_WHOLE = NEGATIVE | st.sampled_from(NO_NUMBERS) | st.floats()
NO_SHARE = NEGATIVE | st.sampled_from(NO_NUMBERS) | st.floats(min_value=1)
ARGUMENTS = [
    (splits.by_artist, {"validation": NO_SHARE, "test": NO_SHARE, "seed": NO_WHOLE}),
    (splits.folds, {"k": NO_WHOLE | st.integers(max_value=1), "seed": NO_WHOLE}),
    (splits.thin, {"Jazz": NO_WHOLE, "by": st.sampled_from([1, None, True]), "seed": NO_WHOLE}),
    (splits.long_tail, {"ratio": NO_SHARE.filter(lambda x: not is_ratio(x)), "seed": NO_WHOLE}),
]  # fmt: skip


def is_ratio(value):
    return type(value) in (int, float) and 1 <= value < np.inf


def call(function, **given):
    """The function with what it needs beside some arguments, to its end."""
    tracks = tracks_of([(a, a % 3) for a in range(12)]).with_split(["training"] * 12)
    if function is splits.thin:
        given["keep"] = {"Jazz": given.pop("Jazz", 2)}
    if function is splits.long_tail:
        given = {"ratio": 2, **given}
    return (
        list(function(tracks, **given)) if function is splits.folds else function(tracks, **given)
    )


@pytest.mark.parametrize(
    ("function", "name", "wrong"),
    [(function, name, wrong) for function, some in ARGUMENTS for name, wrong in some.items()],
)
@settings(max_examples=40)
@given(st.data())
def test_wrong_numbers_are_refused_by_name(function, name, wrong, data):
    value = data.draw(wrong)
    with pytest.raises(ConfigError, match=rf"^(keep\[')?{name}('\])? must be ") as caught:
        call(function, **{name: value})
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize("function", [function for function, _ in ARGUMENTS])
def test_every_function_of_splits_that_draws_is_asked(function):
    asked = {function.__name__ for function, _ in ARGUMENTS}
    drawing = {
        name
        for name, one in vars(splits).items()
        if inspect.isfunction(one) and "seed" in inspect.signature(one).parameters
    }
    assert drawing == asked
    call(function, seed=np.int64(3))
