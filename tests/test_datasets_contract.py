"""What every data set must give, whatever it is read from."""

import numpy as np
import pytest

from matt import Bags
from matt.datasets.embedded import fma_mfcc
from matt.datasets.folder import scan
from matt.datasets.synthetic import write_library
from matt.tracks import MAX_ID


@pytest.fixture(scope="module", params=["embedded", "folder"])
def data_set(request, tmp_path_factory):
    """Tracks, and the column by which they are put into bags."""
    if request.param == "embedded":
        return fma_mfcc()[0], "artist_run"
    root = tmp_path_factory.mktemp("music")
    write_library(root, tracks=46, seconds=(0.5, 0.6), workers=1)
    return scan(root).tracks, "album"


def test_ids_are_unique_and_exact_in_json(data_set):
    tracks, _ = data_set
    assert len(np.unique(tracks.track_id)) == len(tracks) > 0
    assert tracks.track_id.min() >= 0
    assert tracks.track_id.max() < MAX_ID


def test_every_genre_has_a_name_and_a_track(data_set):
    tracks, _ = data_set
    assert all(genre.strip() == genre != "" for genre in tracks.genres)
    assert (tracks.counts > 0).all()


def test_titles_and_artists_are_known(data_set):
    tracks, _ = data_set
    assert {"title", "artist"} <= set(tracks.columns)
    assert (tracks.artist_id >= 0).mean() > 0.8


def test_a_bag_has_one_artist(data_set):
    tracks, by = data_set
    bags = Bags.from_tracks(tracks, by=by)
    assert (bags.sizes > 1).any()
    artist = tracks.artist_id[tracks.rows(bags.track_ids)]
    for part in np.split(artist, bags.offsets[1:-1]):
        assert len(set(part)) == 1


def test_the_embedded_tracks_all_have_features():
    tracks, features = fma_mfcc()
    values, offsets = features.read(tracks.track_id)
    assert values.shape == (len(tracks), 140)
    assert np.isfinite(values).all()
    assert (np.diff(offsets) == 1).all()


def test_the_embedded_tracks_are_those_of_fma(shared_data):
    """Against the source, read by pandas as FMA's own loader reads it."""
    import pandas as pd

    source = pd.read_csv(shared_data / "fma_mfcc_2000.csv.gz", index_col=0, header=[0, 1, 2])
    table = pd.read_csv(shared_data / "fma_medium_tracks.csv.gz", index_col="track_id")
    tracks, features = fma_mfcc()
    np.testing.assert_allclose(
        features.read(tracks.track_id)[0], source.loc[tracks.track_id].to_numpy(), rtol=1e-6
    )
    expected = table.loc[tracks.track_id]
    assert [tracks.genres[label] for label in tracks.labels] == expected["genre_top"].tolist()
    np.testing.assert_array_equal(tracks.artist_id, expected["artist_id"])
    np.testing.assert_array_equal(tracks.columns["artist_run"], expected["artist_run"])
