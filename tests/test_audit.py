"""The audit: what is planted is found, nothing else is, and a run carries what was found."""

import csv
import gzip
import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from matt import Bags, DataError, FeatureStore, Tracks, experiment
from matt.cli.app import app
from matt.config import Settings
from matt.datasets import near_duplicates, table
from matt.datasets.audit import CHEAP, audit, hashes_of, is_cheap, why_costly
from matt.datasets.near_duplicates import find_near_duplicates, standardised, track_vectors
from matt.datasets.table import parse
from matt.models.settings import TrainingSettings

D = 11


def some_tracks(n=60, **columns):
    """Six tracks an artist, three an album, every artist in one split."""
    artist = np.arange(n) // 6
    fields = {
        "artist_id": artist,
        "album_id": np.arange(n) // 3,
        "split": np.array(["training", "validation", "test"])[artist % 3],
    }
    labels = columns.pop("labels", artist % 2)
    return Tracks(np.arange(n) + 100, labels, ("Folk", "Rock"), **(fields | columns))


def store(tracks, values):
    return FeatureStore.from_arrays("some", tracks.track_id, np.asarray(values, "f4"))


def noise(n=60, seed=0):
    return np.random.default_rng(seed).standard_normal((n, D)).astype("f4")


def test_nothing_is_found_where_nothing_is_wrong():
    tracks = some_tracks()
    found = audit(tracks, features=store(tracks, noise()))
    assert found.artists.groups == found.albums.groups == found.bags.groups == found.mixed == ()
    assert found.near.n_pairs == 0
    assert found.warnings() == ()
    assert (found.artists.n, found.albums.n, found.bags.n) == (10, 20, 20)


def test_artists_albums_and_bags_across_splits():
    split = some_tracks().split.copy()
    split[7] = "test"  # artist 1 is in validation; album 2 holds tracks 6 to 8
    found = audit(some_tracks(split=split))
    (artist,) = found.artists.groups
    assert artist.tracks == tuple(range(106, 112))
    assert artist.splits == {"test": 1, "validation": 5}
    assert [group.tracks for group in found.albums.groups] == [(106, 107, 108)]
    assert [group.tracks for group in found.bags.groups] == [(106, 107, 108)]
    assert "1 of 10 artists are in more than one split (6 tracks)" in found.warnings()[0]


def test_an_album_of_two_artists_may_cross_without_its_bags():
    tracks = some_tracks(album_id=np.zeros(60, int))
    found = audit(tracks)
    assert len(found.albums.groups) == 1
    assert found.bags.groups == found.artists.groups == ()
    assert audit(tracks, by="album_id").bags.groups[0].tracks == tuple(tracks.track_id.tolist())


@given(
    st.lists(
        st.tuples(
            st.integers(-1, 3),
            st.sampled_from(["training", "validation", "test", ""]),
            st.integers(-1, 1),
        ),
        min_size=1,
        max_size=25,
    )
)
def test_crossing_agrees_with_sets(rows):
    artist, split, labels = map(list, zip(*rows, strict=True))
    n = len(rows)
    tracks = Tracks(
        np.arange(n), labels, ("A", "B"), artist_id=artist, album_id=artist, split=split
    )
    found = audit(tracks)
    for unit in (found.artists, found.albums, found.bags):
        crossing = {
            tuple(np.flatnonzero((tracks.artist_id == a) & (tracks.split != "")).tolist())
            for a in set(artist) - {-1}
            if len({s for b, s in zip(artist, split, strict=True) if a == b and s}) > 1
        }
        assert {group.tracks for group in unit.groups} == crossing
    mixed = {
        a
        for a in set(artist) - {-1}
        if len({g for b, g in zip(artist, labels, strict=True) if a == b and g >= 0}) > 1
    }
    assert len(found.mixed) == len(mixed)
    assert sum(len(group.tracks) for group in found.mixed) == sum(
        a in mixed and g >= 0 for a, g in zip(artist, labels, strict=True)
    )


def test_labels_that_disagree_are_listed():
    labels = some_tracks().labels.copy()
    labels[[0, 7, 8]] = 1, -1, -1  # bag 0 disagrees; of bag 2 only one label is known
    found = audit(some_tracks(labels=labels))
    (bag,) = found.mixed
    assert (bag.tracks, bag.genres) == ((100, 101, 102), {"Folk": 2, "Rock": 1})
    assert found.n_comparable == 19
    several = np.eye(2, dtype=bool)[np.where(labels < 0, 0, labels)]
    several[labels < 0] = False
    assert [group.tracks for group in audit(some_tracks(labels=several)).mixed] == [bag.tracks]


def test_no_splits_no_artists_no_warning_out_of_nothing():
    found = audit(some_tracks(split=[]))
    assert found.artists.groups == ()
    assert "no track is in a split" in found.notes[0]
    unknown = audit(some_tracks(artist_id=[]))
    assert "60 of 60 tracks have no known artist" in unknown.warnings()[0]


def test_copies_are_found_by_their_audio(tmp_path):
    sound = np.random.default_rng(0).uniform(-0.3, 0.3, (5, 4000))
    sound[4] = sound[1]
    for i, samples in enumerate(sound):
        soundfile.write(tmp_path / f"{i}.wav", samples, 8000)
    (tmp_path / "3.wav").write_bytes(b"")
    tracks = Tracks(
        range(6), [0] * 6, ("A",),
        path=[*(str(tmp_path / f"{i}.wav") for i in range(5)), ""],
        split=["test", "training", "test", "test", "test", ""],
    )  # fmt: skip
    seen = []
    hashes = hashes_of(
        tracks, compute=True, progress=lambda done, total: seen.append((done, total))
    )
    assert seen[-1] == (6, 6)
    assert [bool(text) for text in hashes] == [True, True, True, False, True, False]
    found = audit(tracks, hashes=hashes)
    (group,) = found.duplicates
    assert (group.tracks, group.splits) == ((1, 4), {"training": 1, "test": 1})
    assert any("1 groups of equal audio are in two splits" in text for text in found.warnings())
    assert found.n_hashed == 4
    assert (hashes_of(tracks) == "").all()


# Near-duplicates ---------------------------------------------------------------------------------


def brute_force(x, threshold):
    """Every pair, one after the other, in float64."""
    return pairs_within(standardised(x).astype(np.float64), threshold)


def pairs_within(z, threshold):
    return {
        (i, j): distance
        for i in range(len(z))
        for j in range(i + 1, len(z))
        if (distance := np.sqrt(((z[i] - z[j]) ** 2).mean())) <= threshold
    }


@pytest.mark.parametrize("cells", [1, 200, 2**20], ids=["one by one", "in tiles", "at once"])
@pytest.mark.parametrize("axes", [3, 64], ids=["a shadow first", "whole"])
@pytest.mark.parametrize("many", [0, 1], ids=["tiles again", "pairs again"])
def test_the_search_in_tiles_finds_what_comparing_one_by_one_finds(cells, axes, many, monkeypatch):
    monkeypatch.setattr(near_duplicates, "_CELLS", cells)
    monkeypatch.setattr(near_duplicates, "_AXES", axes)
    monkeypatch.setattr(near_duplicates, "_MANY", many)
    x = noise()
    x[30:40] = x[10:20] + 0.05 * noise(10, seed=1)
    tracks = some_tracks()
    found = find_near_duplicates(tracks, store(tracks, x), threshold=0.7)
    expected = brute_force(x, 0.7)
    pairs = zip(found.first - 100, found.second - 100, found.distance, strict=True)
    assert found.n_pairs == len(found.first) == len(expected) > 10
    for i, j, distance in pairs:
        assert distance == pytest.approx(expected[i, j], abs=1e-6)


def test_vectors_that_are_not_held_are_read_again(monkeypatch):
    monkeypatch.setattr(near_duplicates, "_HELD", 30 * D)
    x, tracks = noise(), some_tracks()
    x[30:40] = x[10:20] + 0.05 * noise(10, seed=1)
    found = find_near_duplicates(tracks, store(tracks, x), threshold=0.7)
    low, middle, high = np.percentile(x[::2], [15.87, 50, 84.13], axis=0)
    expected = pairs_within(np.clip((x - middle) / ((high - low) / 2), -4, 4), 0.7)
    assert set(zip(found.first - 100, found.second - 100)) == set(expected)
    np.testing.assert_allclose(sorted(found.distance), sorted(expected.values()), rtol=1e-5)


def test_planted_copies_are_found_and_those_across_splits_come_first():
    x, tracks = noise(), some_tracks()
    x[1] = x[0]  # one artist
    x[20] = x[3] + 0.02  # artists 0 and 3, both in training
    x[8] = x[4] + 0.03  # artists 0 and 1, training and validation
    found = find_near_duplicates(tracks, store(tracks, x))
    assert list(zip(found.first, found.second)) == [(104, 108), (100, 101), (103, 120)]
    assert found.across_splits.tolist() == [True, False, False]
    assert found.across_artists.tolist() == [True, False, True]
    assert (found.n_pairs, found.n_across_splits, found.n_across_artists) == (3, 1, 2)
    assert found.distance[1] == 0
    assert (
        "1 pairs of tracks in two splits" in audit(tracks, features=store(tracks, x)).warnings()[0]
    )


def test_the_scale_of_a_column_does_not_matter():
    x, tracks = noise(), some_tracks()
    x[20] = x[3] + 0.02
    plain = find_near_duplicates(tracks, store(tracks, x), threshold=0.9)
    scaled = find_near_duplicates(
        tracks, store(tracks, (x + 3) * 10.0 ** (np.arange(D) - 4)), threshold=0.9
    )
    np.testing.assert_array_equal(scaled.first, plain.first)
    np.testing.assert_allclose(scaled.distance, plain.distance, atol=1e-3)


def test_one_wild_column_does_not_make_all_tracks_alike():
    x, tracks = noise(), some_tracks()
    x[5, 2] = 1e9
    assert find_near_duplicates(tracks, store(tracks, x)).n_pairs == 0


def test_all_pairs_are_counted_and_the_closest_listed():
    x, tracks = np.repeat(noise(2), 30, axis=0), some_tracks()
    x += 1e-3 * noise()
    found = find_near_duplicates(tracks, store(tracks, x), threshold=0.2, most=7)
    assert found.n_pairs == 2 * 30 * 29 // 2
    assert len(found.first) == 7
    assert found.across_splits.all()


def test_tracks_that_lie_close_together_lower_the_threshold():
    tracks = some_tracks()
    line = noise()[:1] + 0.3 * noise()[:, :1]  # all on a line: neighbours are near
    found = find_near_duplicates(tracks, store(tracks, line))
    assert found.threshold == pytest.approx(found.typical / 3)
    assert found.threshold < 0.2


def test_copies_of_almost_everything_do_not_hide():
    tracks = some_tracks()
    x = noise()
    x[:45] = x[0]
    found = find_near_duplicates(tracks, store(tracks, x))
    assert found.n_pairs >= 45 * 44 // 2


def test_segments_and_time_are_averaged():
    rng = np.random.default_rng(0)
    values = rng.standard_normal((7, 3, 5)).astype("f4")  # 7 segments, 3 bands, 5 frames
    features = FeatureStore.from_arrays("map", np.array([4, 2, 9]), values, np.array([0, 2, 3, 7]))
    vectors = track_vectors(features, np.array([9, 4]))
    for vector, part in zip(vectors, (values[3:], values[:2]), strict=True):
        expected = np.hstack([part.mean(axis=2), part.std(axis=2)]).mean(axis=0)
        np.testing.assert_allclose(vector, expected, rtol=1e-5, atol=1e-6)
    assert not is_cheap(features)
    assert "no vectors" in why_costly(features)  # however few


def test_what_cannot_be_compared_is_noted_not_raised():
    tracks = some_tracks()
    found = audit(tracks, features=store(tracks, noise()[:, :3]))
    assert found.near is None
    assert any("3 columns of features cannot tell copies" in note for note in found.notes)
    assert (
        find_near_duplicates(tracks, store(tracks, noise()[:, :3]), threshold=1e-3).n_columns == 3
    )
    one = FeatureStore.from_arrays("one", np.array([100]), noise(1))
    with pytest.raises(DataError, match="1 tracks have features; two are needed"):
        find_near_duplicates(tracks, one)
    with pytest.raises(DataError, match="2 hashes for 60 tracks"):
        audit(tracks, hashes=np.array(["a", "b"]))
    with pytest.raises(DataError, match="cannot group by 'albun'; did you mean 'album_id'"):
        audit(tracks, by="albun")


def test_why_a_search_takes_long_is_told_by_its_cause(tmp_path):
    features = store(some_tracks(), noise())
    assert (is_cheap(features), why_costly(features)) == (True, "")
    on_disk = replace(features, blocks=(tmp_path / "a.npy",))
    assert "too large for memory" in why_costly(on_disk)
    n = CHEAP + 1
    many = FeatureStore.from_arrays("many", np.arange(n), np.zeros((n, 4), "f4"))
    assert why_costly(many) == f"{n:,} tracks are too many"
    assert not is_cheap(many)


def test_everything_is_json():
    x, tracks = noise(), some_tracks(split=["training", "test"] * 30)
    x[20] = x[3]
    content = audit(tracks, features=store(tracks, x)).to_json()
    again = json.loads(json.dumps(content, allow_nan=False))
    assert again["near_duplicates"]["pairs"][0]["first"] == 103
    assert len(again["crossing"]["artists"]) == again["counts"]["artists across splits"] == 10
    assert again["counts"]["groups of equal audio"] is None


# Before a training, and on the command line -----------------------------------------------------


def test_a_run_is_audited_before_it_is_trained(tmp_path):
    split = some_tracks().split.copy()
    split[7] = "test"
    tracks, x = some_tracks(split=split), noise()
    x[20] = x[8] + 0.01
    x[:, 0] += 2 * tracks.labels
    torch.set_num_threads(1)
    told = []
    settings = Settings(training=TrainingSettings(epochs=1, threads=1), blend=())
    run = experiment.run(
        tracks, store(tracks, x), settings, tmp_path / "run", controls=False,
        notes=["3 tracks were left at home"], warn=told.append,
        progress=lambda name, epoch: told.append("training"),
    )  # fmt: skip
    assert "1 of 10 artists are in more than one split" in told[0]
    assert told.index("training") == len(told) - 1
    assert run.manifest["audit"]["artists across splits"] == 1
    assert run.manifest["audit"]["near-duplicate pairs"] == 1
    assert run.manifest["warnings"] == told[:-1]
    report = run.report.read_text(encoding="utf-8")
    assert "1 of 10 artists are in two splits" in report
    assert "no artist is in two splits" not in report
    assert "3 tracks were left at home" in report


def matt(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_command_prints_what_is_found(tmp_path):
    names = [f"f_{i}" for i in range(D)]
    x = noise(12)
    x[9] = x[1]
    lines = [",".join(["id", "artist", "title", "album", "genre", "split", *names])]
    for i, row in enumerate(x):
        genre = "Rock" if i in (3, 4, 5, 7) else "Folk"
        split = "test" if i in (1, 6, 7, 8) else "train"
        head = f"{i},Artist {i // 3},Title {i},Album,{genre},{split}"
        lines.append(",".join([head, *map(str, row)]))
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    toml = tmp_path / "t.toml"
    toml.write_text('table = "t.csv"\nfeatures = "f_*"\n')
    result = matt("audit", toml)
    assert result.exit_code == 0, result.output
    for text in ("Artist 0", "Title 9", "Bags whose labels disagree", "Folk 2, Rock 1"):
        assert text in " ".join(result.stdout.split())
    assert "1 of 4 artists are in more than one split" in " ".join(result.stderr.split())
    told = json.loads(matt("audit", toml, "--json", "--quiet").stdout)
    assert told["counts"]["near-duplicate pairs across splits"] == 1
    assert told["counts"]["bags with labels that disagree"] == 1
    assert told["near_duplicates"]["pairs"][0]["second"] == 9


def test_the_command_reads_tables_of_tracks_and_finds_copies(tmp_path):
    sound = np.random.default_rng(0).uniform(-0.3, 0.3, (2, 4000))
    for name, samples in (("a", sound[0]), ("b", sound[1]), ("c", sound[0])):
        soundfile.write(tmp_path / f"{name}.wav", samples, 8000)
    paths = [str(tmp_path / f"{name}.wav") for name in "abc"]
    tracks = Tracks([1, 2, 3], [0, 0, 0], ("A",), path=paths, split=["test", "test", "training"])
    tracks.save(tmp_path / "tracks.parquet")
    told = json.loads(matt("audit", tmp_path / "tracks.parquet", "--hash", "--json").stdout)
    assert [group["tracks"] for group in told["duplicates"]] == [[1, 3]]
    plain = json.loads(matt("audit", tmp_path / "tracks.parquet", "--json").stdout)
    assert plain["counts"]["groups of equal audio"] is None
    refused = matt("audit", tmp_path / "a.wav")
    assert refused.exit_code == 2
    assert "describe a table by a small TOML" in " ".join(refused.stderr.split())


# Real tables -------------------------------------------------------------------------------------


def test_fma_small_has_copies_and_no_leaks(shared_data):
    loaded = table.read(
        parse(
            {
                "table": "fma_small_46.csv.gz",
                "features": ["zcr_*", "spec_*", "mfcc_*"],
                "log1p": "*_var*",
                "album": "artist_run",
                "join": [{"table": "fma_medium_tracks.csv.gz"}],
            }
        ),
        shared_data,
    )
    tracks = loaded.tracks
    found = audit(tracks, features=loaded.features)
    assert found.artists.groups == found.bags.groups == ()
    assert found.near.threshold == 0.2
    assert found.near.n_across_splits == 0
    # Two uploads of one track under one title, as its own table says.
    pairs = {*zip(found.near.first.tolist(), found.near.second.tolist(), strict=True)}
    assert {(57371, 72149), (114222, 115292), (70301, 73763)} <= pairs
    # Wherever both titles are known, most pairs are versions of one title.
    title = dict(zip(tracks.track_id.tolist(), tracks.columns["title"].tolist(), strict=True))
    words = [
        tuple({*title[i].lower().replace("(", " ").split()} for i in pair)
        for pair in pairs
        if all(title[i] for i in pair)
    ]
    alike = sum(len(a & b) >= min(len(a), len(b)) / 2 for a, b in words)
    assert alike > 0.75 * len(words) > 15


def test_artist_disjoint_real_splits_are_clean(shared_data):
    settings = {"genre": "tags", "genre_separator": "|"}
    loaded = table.read(
        parse({"table": "mtg_jamendo_genre_split0.tsv.gz", **settings}), shared_data
    )
    found = audit(loaded.tracks)
    assert found.artists.groups == found.albums.groups == found.bags.groups == ()
    assert found.bags.n == len(Bags.from_tracks(loaded.tracks)) == 11_186
    medium = table.read(parse({"table": "fma_medium_tracks.csv.gz"}), shared_data)
    proxies = audit(medium.tracks, by="album_proxy_run")
    seen = {}  # runs of ids are no albums: some span the splits
    with gzip.open(shared_data / "fma_medium_tracks.csv.gz", "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            seen.setdefault(row["album_proxy_run"], set()).add(row["split"])
    seen.pop("", None)
    assert len(proxies.bags.groups) == sum(len(splits) > 1 for splits in seen.values()) > 50


def test_help_ends_in_an_example():
    result = matt("audit", "--help")
    assert result.exit_code == 0
    assert "matt audit tracks.toml" in " ".join(result.output.split("Example:")[1].split())


def test_guests_count_where_they_are_named():
    """Artist 0 is in training, and a guest of artist 2, who is in test."""
    named = np.array([""] * 60, "<U9")
    named[12] = "2 0 ~5"
    found = audit(some_tracks(columns={"all_artists": named}))
    (artist,) = found.artists.groups
    assert artist.splits == {"training": 6, "test": 1}
    assert found.artists.n == 10


@pytest.mark.parametrize(
    ("one", "other", "near"),
    [
        ("Beyonc\u00e9", "Beyonce", True),
        ("AC/DC", "ACDC", True),
        ("The Nobodies", "Nobodies", True),
        ("Bach, Johann Sebastian", "Johann Sebastian Bach", True),
        ("Kraftwerk Revival", "Kraftwerk Revivals", True),
        ("Artist 12", "Artist 13", False),
        ("Ann", "Anna", False),
        ("Ann", "Bob", False),
    ],
)
def test_names_that_are_nearly_equal_are_listed_if_they_are_on_two_sides(one, other, near):
    names = np.array([f"Somebody {chr(65 + i // 6) * 9}" for i in range(60)], "<U30")
    names[:6], names[6:12] = one, other  # in training and in validation
    found = audit(some_tracks(columns={"artist": names}))
    assert [group.name for group in found.near_names] == (
        [", ".join(sorted([one, other]))] if near else []
    )
    assert found.counts()["artists of nearly one name across splits"] == near
    assert sum("nearly one name" in warning for warning in found.warnings()) == near
