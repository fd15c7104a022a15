"""What the long tail's settings do to a whole fit: each does something, and what it says it does."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from matt.bags import Bags
from matt.calibration.temperature import log_loss
from matt.errors import ConfigError
from matt.features.store import FeatureStore
from matt.models import training
from matt.models.losses import attention_divergence
from matt.models.neural import NeuralClassifier
from matt.models.saving import check_training
from matt.models.settings import ModelSettings, TrainingSettings
from matt.tracks import Tracks

F, G = 5, 3
GENRES = ("a", "b", "c")
FAST = TrainingSettings(lr=0.02, epochs=12, max_bags=16, decision="argmax")


def data(sizes, seed, first_id=0):
    """Albums of 1 to 4 tracks of 1 to 3 segments, as many of each genre as ``sizes`` says."""
    rng = np.random.default_rng(seed)
    albums = np.repeat(np.arange(sum(sizes)), rng.integers(1, 5, sum(sizes)))
    labels = np.repeat(np.arange(G), sizes)[albums]
    counts = rng.integers(1, 4, len(albums))
    values = np.eye(G, F)[np.repeat(labels, counts)] + rng.standard_normal((counts.sum(), F))
    ids = first_id + np.arange(len(albums))
    return Tracks(ids, labels, GENRES, artist_id=albums, album_id=albums), values, counts


@pytest.fixture(scope="module")
def problem():
    train, valid = data((40, 15, 5), 0), data((20, 8, 4), 1, first_id=1000)
    counts = np.append(train[2], valid[2])
    store = FeatureStore.from_arrays(
        "toy",
        np.append(train[0].track_id, valid[0].track_id),
        np.concatenate([train[1], valid[1]]),
        np.concatenate([[0], np.cumsum(counts)]),
    )
    return store, train[0], valid[0]


def bags_of(tracks):
    return Bags.from_tracks(tracks, by="album")


def fit(problem, *, pooling="mean", input_dropout=0.0, valid=True, **settings):
    store, tracks, others = problem
    model = ModelSettings(hidden=(7,), pooling=pooling, input_dropout=input_dropout)
    classifier = NeuralClassifier(model, replace(FAST, **settings))
    return classifier.fit(store, bags_of(tracks), valid=bags_of(others) if valid else None)


CHANGES = [
    {"loss": "focal"},
    {"loss": "class_balanced"},
    {"sampler": "sqrt"},
    {"sampler": "balanced"},
    {"mix": 0.5},
    {"segment_dropout": 0.5},
    {"attention_entropy": 1.0},
    {"agreement": 1.0},
    {"weight_average": 0.0},
    {"input_dropout": 0.5},
]


@pytest.mark.parametrize("change", CHANGES, ids=[" ".join(map(str, *c.items())) for c in CHANGES])
def test_a_setting_changes_the_model_and_not_from_run_to_run(problem, change):
    store, _, others = problem
    models = [
        fit(problem, pooling="dot", epochs=3, **settings) for settings in ({}, change, change)
    ]
    plain, first, second = (m.predict(store, others, bags_of(others)).logits for m in models)
    assert not np.array_equal(plain, first)
    np.testing.assert_array_equal(first, second)


def test_mixing_pairs_the_bags_of_a_batch(problem, monkeypatch):
    seen = []
    real = training.BagLoss.__call__

    def watch(loss, output, labels, bag, mix=None, **share):
        if mix is not None:  # validation mixes nothing
            seen.append((len(labels), mix.partner.tolist(), mix.share))
        return real(loss, output, labels, bag, mix=mix, **share)

    monkeypatch.setattr(training.BagLoss, "__call__", watch)
    fit(problem, mix=0.3, epochs=2)
    assert sum(n for n, _, _ in seen) == 2 * 60
    for n, partner, share in seen:
        assert sorted(partner) == list(range(n))
        assert len(share) == n
    shares = torch.cat([share for _, _, share in seen])
    assert len(shares.unique()) > 100  # none is dealt twice


def test_the_entropy_weight_keeps_attention_near_one_vote_a_track(problem):
    store, tracks, _ = problem
    apart = []
    for weight in (0.0, 10.0):
        model = fit(
            problem, pooling="shared", attention_entropy=weight, epochs=40, valid=False, lr=0.05
        )
        bags = bags_of(tracks)
        said = model.predict(store, tracks, bags, explain=True)
        sizes = np.diff(said.segment_offsets)
        apart.append(
            attention_divergence(
                torch.from_numpy(said.attention),
                torch.from_numpy(np.log(np.repeat(sizes, sizes))),
                torch.from_numpy(said.segment_offsets[bags.offsets]),
            ).item()
        )
    assert apart[1] < 0.2 * apart[0]


def test_the_agreement_weight_draws_tracks_towards_their_bags(problem):
    store, tracks, _ = problem
    apart = []
    for weight in (0.0, 10.0):
        model = fit(problem, agreement=weight, epochs=40, valid=False, lr=0.05)
        bags, lone = bags_of(tracks), Bags.from_tracks(tracks, by="track")
        together, alone = (
            model.predict(store, tracks, some).probabilities for some in (bags, lone)
        )
        apart.append(np.abs(alone - np.repeat(together, bags.sizes, axis=0)).mean())
    assert apart[1] < 0.5 * apart[0]


def test_the_fitted_temperature_never_raises_the_validation_loss(problem):
    store, _, others = problem
    bags = bags_of(others)
    truth = np.eye(G)[bags.labels]
    changed = []
    for settings in ({}, {"logit_adjustment": 0.0}, {"loss": "focal", "logit_adjustment": 0.0}):
        model = fit(problem, epochs=40, **settings)
        calibrated = model.predict(store, others, bags).logits
        changed.append(model.temperature != 1)
        model.temperature = 1.0
        raw = model.predict(store, others, bags).logits
        np.testing.assert_array_equal(raw.argmax(axis=1), calibrated.argmax(axis=1))
        # What is fitted are logits that have the prior of these bags.
        assumed, ours = model.prior.assumed, np.bincount(bags.labels, minlength=G) + 0.5
        shift = np.log(ours / ours.sum()) - np.log(assumed)
        assert log_loss(calibrated + shift, truth, "softmax") <= log_loss(
            raw + shift, truth, "softmax"
        )
    assert any(changed)


def test_without_validation_bags_nothing_is_calibrated(problem):
    model = fit(problem, valid=False, epochs=2)
    assert (model.temperature, model.coverage) == (1.0, None)


def test_the_saved_prior_counts_bags_and_segments_and_knows_tau(problem):
    store, tracks, _ = problem
    n_bags = np.array([40.5, 15.5, 5.5])
    labels = np.repeat(tracks.labels, store.counts(tracks.track_id))
    n_segments = np.bincount(labels) + 0.5
    for tau in (0.0, 0.5, 1.0):
        prior = fit(problem, logit_adjustment=tau, epochs=1).prior
        np.testing.assert_allclose(prior.bags, n_bags / n_bags.sum())
        np.testing.assert_allclose(prior.segments, n_segments / n_segments.sum())
        power = n_bags ** (1 - tau)
        np.testing.assert_allclose(prior.assumed, power / power.sum())
    prior = fit(problem, logit_adjustment=0.0, sampler="balanced", epochs=1).prior
    np.testing.assert_allclose(prior.assumed, 1 / G)
    weighed = {"loss": "class_balanced", "class_balanced_beta": 1 - 1e-9}
    prior = fit(problem, logit_adjustment=0.0, epochs=1, **weighed).prior
    np.testing.assert_allclose(prior.assumed, 1 / G, atol=0.03)


def test_a_prior_known_to_the_loss_or_put_in_afterwards_is_much_the_same(problem):
    """Logit adjustment in training, and in prediction: Menon et al. call both consistent."""
    store, _, others = problem
    bags = bags_of(others)
    trained = fit(problem, epochs=60, valid=False).predict(store, others, bags)
    plain = fit(problem, epochs=60, valid=False, logit_adjustment=0.0)
    afterwards = plain.predict(store, others, bags, prior="uniform")
    assert (trained.best == afterwards.best).mean() > 0.8
    apart = np.abs(trained.probabilities - plain.predict(store, others, bags).probabilities).mean()
    near = np.abs(trained.probabilities - afterwards.probabilities).mean()
    assert near < 0.6 * apart


def test_a_genre_with_one_training_bag_and_one_with_none_work_and_are_noted():
    tracks, values, counts = data((12, 6, 1), 0)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    store = FeatureStore.from_arrays("toy", tracks.track_id, values, offsets)
    wide = tracks.with_genres((*GENRES, "d"))
    for settings in (
        {"loss": "class_balanced"},
        {"sampler": "balanced"},
        {"head_tuning": "crt"},
        {"mix": 0.2},
    ):
        model = NeuralClassifier(ModelSettings(hidden=(7,)), replace(FAST, epochs=2, **settings))
        model.fit(store, bags_of(wide))
        assert "1 of 4 genres have no training bag: d" in model.notes
        assert "1 of 4 genres have one training bag alone: c" in model.notes
        assert np.isfinite(model.prior.assumed).all()
        for prior in (None, "training", "uniform", "estimate"):
            said = model.predict(store, wide, bags_of(wide), prior=prior)
            assert np.isfinite(said.logits).all()


def test_all_that_several_genres_a_bag_forbid_is_told_at_once(problem):
    store, tracks, _ = problem
    several = replace(tracks, labels=np.eye(G, dtype=bool)[tracks.labels])
    settings = replace(FAST, loss="class_balanced", sampler="sqrt", head_tuning="crt")
    with pytest.raises(ConfigError) as caught:
        NeuralClassifier(training=settings).fit(store, bags_of(several))
    for name in ("loss='class_balanced'", "sampler='sqrt'", "head_tuning='crt'"):
        assert f"{name} goes by the one genre of a bag" in str(caught.value)


def test_mixing_is_refused_where_bags_are_dealt_to_several_processes(problem):
    _, tracks, others = problem
    with pytest.raises(ConfigError, match=r"whichever of 2 processes has them; use mix=0"):
        check_training(
            bags_of(tracks), bags_of(others), ModelSettings(), replace(FAST, mix=0.2), n_processes=2
        )
