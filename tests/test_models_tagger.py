"""The shipped tagger averages, and says no more than it hears."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matt import Bags, ConfigError, DataError, FeatureStore, Tracks
from matt.features.kernels.musicnn import TAGS
from matt.features.spec import FeatureSpec
from matt.models.classifier import GenreClassifier
from matt.models.tagger import ASPECTS, Tagger, _words, card

ROCK, JAZZ = TAGS.index("rock"), TAGS.index("jazz")


def stored(sizes, *, seed=0, layer="penultimate"):
    """A store of so many windows a track, with values of the kind's shape."""
    spec = FeatureSpec.musicnn(layer=layer)
    values = np.random.default_rng(seed).normal(size=(sum(sizes), *spec.shape)).astype(np.float32)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    made = FeatureStore.from_arrays("musicnn", np.arange(len(sizes)), values, offsets)
    object.__setattr__(made, "spec", spec)
    return made, values, offsets


def bags_of(albums):
    tracks = Tracks(
        np.arange(len(albums)),
        np.full(len(albums), -1),
        ("Rock",),
        artist_id=np.zeros(len(albums), np.int64),
        album_id=np.array(albums),
    )
    return tracks, Bags.from_tracks(tracks, by="album")


@given(
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=12),
    data=st.data(),
    layer=st.sampled_from(["penultimate", "pooled"]),
)
def test_each_track_of_a_bag_has_one_vote_and_each_genre_its_likeliest_tag(sizes, data, layer):
    albums = data.draw(st.lists(st.integers(0, 3), min_size=len(sizes), max_size=len(sizes)))
    store, values, offsets = stored(sizes, layer=layer)
    tracks, bags = bags_of(albums)
    tagger = Tagger()
    found = tagger.predict(store, tracks, bags)
    for bag in range(len(bags)):
        ids = bags.track_ids[bags.offsets[bag] : bags.offsets[bag + 1]]
        per_track = [
            (1 / (1 + np.exp(-values[offsets[i] : offsets[i + 1], -50:].astype(float)))).mean(0)
            for i in ids
        ]
        tags = dict(zip(TAGS, np.mean(per_track, axis=0)))
        genres = {
            "Rock": ("rock", "classic rock", "hard rock", "Progressive rock"),
            "Jazz": ("jazz",),
            "Metal": ("metal", "heavy metal"),
        }
        ratio = [max(tags[t] for t in those) for those in genres.values()]
        shares = found.probabilities[bag]
        ours = [shares[tagger.genres.index(genre)] for genre in genres]
        np.testing.assert_allclose(np.array(ours) / ours[0], np.array(ratio) / ratio[0], rtol=1e-4)
    np.testing.assert_allclose(found.probabilities.sum(1), 1)


def test_what_else_is_heard_is_told_only_where_it_is_heard():
    store, values, _ = stored([2, 2])
    values[:, -50:] = -9.0
    values[:2, 200 + TAGS.index("female vocalist")] = 3.0
    values[:2, 200 + TAGS.index("80s")] = 0.0
    tracks, bags = bags_of([0, 1])
    assert Tagger().tell(store, tracks, bags)[1] == [
        {"mood": None, "decade": "80s", "voice": "female"},
        {"mood": None, "decade": None, "voice": None},
    ]


def test_what_is_heard_of_an_album_is_the_mean_of_its_tracks():
    store, values, _ = stored([1, 1, 1])
    values[:, -50:] = -9.0
    values[:, 200 + TAGS.index("sad")] = np.log(0.08 / 0.92)  # below the bar in every track
    values[2, 200 + TAGS.index("happy")] = np.log(0.25 / 0.75)  # in one of two: 0.125
    tracks, bags = bags_of([0, 0, 0])
    assert Tagger().tell(store, tracks, bags)[1][0]["mood"] is None
    tracks, bags = bags_of([0, 1, 1])
    assert [told["mood"] for told in Tagger().tell(store, tracks, bags)[1]] == [None, "happy"]


def test_logits_of_any_size_are_probabilities():
    store, values, _ = stored([1, 1])
    values[0, -50:], values[1, -50:] = -1e4, 1e4
    tracks, bags = bags_of([0, 1])
    found = Tagger().predict(store, tracks, bags).probabilities
    np.testing.assert_allclose(found, 1 / 17, rtol=1e-6)  # nothing is likelier than anything else


def test_every_word_is_a_tag_and_no_tag_has_two_meanings():
    rows = [
        row for part in ("genres", *ASPECTS) for those in _words()[part].values() for row in those
    ]
    assert len(rows) == len(set(rows))
    assert sum(map(len, _words()["genres"].values())) == 28


def test_what_it_cannot_do_it_refuses():
    store, _, _ = stored([1, 1])
    tracks, bags = bags_of([0, 1])
    with pytest.raises(
        ConfigError,
        match="prior is about calibrated probabilities, and the shipped tagger gives shares",
    ):
        Tagger().predict(store, tracks, bags, prior="uniform")
    with pytest.raises(ConfigError, match="cannot be trained; train a model of your own"):
        Tagger().fit(store, bags)
    other = FeatureStore.from_arrays("mfcc", np.arange(2), np.zeros((2, 250), np.float32))
    with pytest.raises(DataError, match="the given store 'mfcc'"):
        Tagger().predict(other, tracks, bags)


def test_it_is_a_classifier_that_is_saved_and_opened(tmp_path):
    tagger = Tagger()
    assert isinstance(tagger, GenreClassifier)
    tagger.save(tmp_path / "model")
    again = GenreClassifier.load(tmp_path / "model")
    store, _, _ = stored([1, 2])
    tracks, bags = bags_of([0, 1])
    np.testing.assert_array_equal(
        again.predict(store, tracks, bags).logits, tagger.predict(store, tracks, bags).logits
    )
    path = tmp_path / "model" / "model.json"
    content = json.loads(path.read_text())
    summary = FeatureSpec.summary()
    for changed in (
        {"genres": ["Rock"], "train_counts": [0]},
        {"spec": summary.to_json(), "spec_digest": summary.digest},
    ):
        path.write_text(json.dumps({**content, **changed}))
        with pytest.raises(DataError, match="it is another tagger than that of this version"):
            GenreClassifier.load(tmp_path / "model")
    path.write_text(json.dumps(content))
    (tmp_path / "model" / "weights.safetensors").unlink()
    with pytest.raises(DataError, match=r"has no weights\.safetensors"):
        GenreClassifier.load(tmp_path / "model")


def test_the_card_says_what_the_code_does():
    text = card()
    n_tags = sum(map(len, _words()["genres"].values()))
    assert f"{n_tags} are taken for genres and put under {len(Tagger().genres)} names" in " ".join(
        text.split()
    )
    assert f"a share of {Tagger().bar}" in text
    assert "ISC licence" in text
