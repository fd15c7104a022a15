"""A blend is the weighted mean of its members' probabilities, and its weights are the likeliest."""

import json
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit, log_softmax, softmax
from threadpoolctl import threadpool_info, threadpool_limits

from matt import Bags, ConfigError, DataError, FeatureStore, GenreClassifier, Tracks, config, splits
from matt.calibration.coverage import coverage_of
from matt.calibration.temperature import fit_temperature
from matt.calibration.thresholds import choose_thresholds
from matt.comparison import FittedRow, Row, fitted_rows, strong_controls
from matt.models import blend
from matt.models.baselines import BaselineClassifier
from matt.models.blend import (
    _DOUBT,
    CALLED,
    BlendClassifier,
    Weights,
    usable,
    weigh,
)
from matt.models.estimators import MOST_KERNEL
from matt.models.neural import NeuralClassifier
from matt.models.settings import BLEND, ModelSettings, TrainingSettings
from matt.predictions import Predictions
from matt.processes import CannotStart, Child, Pool, ProcessDied

QUICK = TrainingSettings(epochs=4, lr=0.02, threads=1)


def music(n_albums=60, seed=0, several=False):
    """Albums of one to four tracks in three genres, the last of them rare."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(seed)
    album = np.repeat(np.arange(n_albums), rng.integers(1, 5, n_albums))
    genre = rng.choice(3, n_albums, p=[0.5, 0.35, 0.15])[album]
    genre[album < 3] = album[album < 3]
    labels = np.eye(3, dtype=bool)[genre] if several else genre
    if several:
        labels[:, 0] |= rng.random(len(album)) < 0.2
    tracks = Tracks(np.arange(len(album)), labels, ("A", "B", "C"), artist_id=album, album_id=album)
    values = np.eye(3, 5)[genre] + rng.normal(scale=0.7, size=(len(album), 5))
    return splits.by_artist(tracks, seed=0), FeatureStore.from_arrays(
        "toy", tracks.track_id, values
    )


def parts(tracks):
    return {
        split: Bags.from_tracks(tracks, by="album", split=split).labelled()
        for split in ("training", "validation", "test")
    }


@pytest.fixture(scope="module")
def fitted():
    tracks, features = music()
    bags = parts(tracks)
    model = BlendClassifier(
        NeuralClassifier(training=replace(QUICK, n_networks=2)), ["lr", "hgb", "svm_stacked"]
    ).fit(features, bags["training"], valid=bags["validation"])
    return model, features, tracks, bags


def members(model, features, tracks, bags):
    others = [other.predict(features, tracks, bags) for other in model.others.values()]
    return [*model.network.each(features, tracks, bags)[1:], *others]


# ---- processes beside the network ----


def test_processes_fit_what_this_one_would(fitted, monkeypatch):
    here, features, tracks, bags = fitted
    monkeypatch.setattr(blend, "WORTH_PROCESSES", 0)
    told = []
    model = BlendClassifier(
        NeuralClassifier(training=replace(QUICK, n_networks=2)), ["lr", "hgb", "svm_stacked"]
    ).fit(
        features,
        bags["training"],
        valid=bags["validation"],
        workers=2,
        fitting=lambda *counts: told.append(counts),
    )
    assert list(model.others) == list(here.others)
    assert [other.settings for other in model.others.values()] == [
        other.settings for other in here.others.values()
    ]
    said = [one.predict(features, tracks, bags["test"]).logits for one in (here, model)]
    np.testing.assert_allclose(*said, atol=1e-5)
    assert model.notes == here.notes
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("n_tracks", [0, 10**9])
def test_without_processes_one_thread_fits(monkeypatch, n_tracks):
    """For few tracks, and with one worker however many there are."""
    tracks, features = music()
    bags, seen = parts(tracks), []

    def watched(self, *args, **kwargs):
        seen.extend(library["num_threads"] for library in threadpool_info())
        return fit(self, *args, **kwargs)

    fit = BaselineClassifier.fit
    monkeypatch.setattr(BaselineClassifier, "fit", watched)
    monkeypatch.setattr(blend, "WORTH_PROCESSES", n_tracks)
    monkeypatch.setattr(blend, "Pool", None)
    model = BlendClassifier(NeuralClassifier(training=QUICK), ["lr", "hgb"])
    workers = 2 if n_tracks else 1
    with threadpool_limits(2):
        model.fit(features, bags["training"], valid=bags["validation"], workers=workers)
    assert set(seen) == {1}


def test_no_process_is_started_for_nothing(monkeypatch):
    tracks, features = music()
    bags = parts(tracks)
    monkeypatch.setattr(blend, "WORTH_PROCESSES", 0)
    monkeypatch.setattr(blend, "Pool", None)
    model = BlendClassifier(NeuralClassifier(training=QUICK), ())
    model.fit(features, bags["training"], valid=bags["validation"], workers=2)
    assert model.weights.share.tolist() == [1.0]


class Dead(Pool):
    """One whose processes are killed at what they do first."""

    def submit(self, work, *args, **kwargs):
        future = Future()
        if work is Child.ready:
            future.set_result(None)
        else:
            future.set_exception(ProcessDied(-9))
        return future


def test_a_process_that_dies_is_named(monkeypatch):
    tracks, features = music()
    bags = parts(tracks)
    monkeypatch.setattr(blend, "WORTH_PROCESSES", 0)
    monkeypatch.setattr(blend, "Pool", Dead)
    model = BlendClassifier(NeuralClassifier(training=QUICK), ["lr", "hgb"])
    message = r"logistic regression ended \(SIGKILL\).* use one worker"
    with pytest.raises(DataError, match=message):
        model.fit(features, bags["training"], valid=bags["validation"], workers=2)


def test_processes_that_cannot_start_are_told_before_the_network_is_trained(monkeypatch):
    """As in a script that is no file, or whose processes would run all of it again."""
    tracks, features = music()
    bags = parts(tracks)

    def refused(child):
        raise RuntimeError("an attempt was made to start a process while this one starts")

    def trained(*args, **kwargs):
        raise AssertionError("the network was trained")

    monkeypatch.setattr(blend, "WORTH_PROCESSES", 0)
    monkeypatch.setattr(Child, "_spawn", refused)
    monkeypatch.setattr(NeuralClassifier, "fit", trained)
    model = BlendClassifier(NeuralClassifier(training=QUICK), ["lr", "hgb"])
    with pytest.raises(CannotStart, match=r"use one worker, or .*__main__"):
        model.fit(features, bags["training"], valid=bags["validation"], workers=2)


@pytest.mark.parametrize("workers", [0, -1])
def test_no_worker_is_too_few(workers):
    tracks, features = music()
    bags = parts(tracks)
    model = BlendClassifier(NeuralClassifier(training=QUICK), ["lr"])
    with pytest.raises(ConfigError, match=f"workers must be at least 1, got {workers}"):
        model.fit(features, bags["training"], valid=bags["validation"], workers=workers)


def test_no_process_outlives_a_network_that_cannot_be_trained(monkeypatch):
    tracks, features = music()
    bags, pools = parts(tracks), []

    class Watched(Pool):
        def __init__(self, *args):
            super().__init__(*args)
            pools.append(self)

    def broken(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(blend, "WORTH_PROCESSES", 0)
    monkeypatch.setattr(blend, "Pool", Watched)
    monkeypatch.setattr(NeuralClassifier, "fit", broken)
    model = BlendClassifier(NeuralClassifier(training=QUICK), ["lr", "hgb"])
    with pytest.raises(KeyboardInterrupt):
        model.fit(features, bags["training"], valid=bags["validation"], workers=2)
    (pool,) = pools
    assert not any(child._runs() for child in pool._children)


# ---- weights ----


def said(likelihoods, labels, n_genres):
    """Predictions of lone tracks, each genre alike."""
    n, genres = len(labels), tuple("ABCDE"[:n_genres])
    tracks = Tracks(np.arange(n), labels, genres)
    bags = Bags.from_tracks(tracks, by="track")
    bags = replace(bags, train_counts=np.full(n_genres, 9))
    return [Predictions(bags, tracks, np.float32(each)) for each in likelihoods]


@pytest.mark.filterwarnings("ignore:Values in x were outside bounds")  # of scipy's, the oracle
@settings(deadline=None, max_examples=30)
@given(st.integers(2, 4), st.integers(2, 5), st.integers(5, 60), st.integers(0, 2**32 - 1))
def test_weights_are_those_that_make_validation_likeliest(n_members, n_genres, n, seed):
    """Of each genre alike, and as if a few bags more had spoken for each member."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_genres, n)
    skill = rng.uniform(0, 3, n_members)[:, None, None] * np.eye(n_genres)[labels]
    all_said = said(skill + rng.normal(size=(n_members, n, n_genres)), labels, n_genres)
    found = weigh(all_said)
    counts = np.bincount(labels, minlength=n_genres)
    each = n / counts[labels] / (counts > 0).sum()
    p = np.stack(
        [
            softmax(one.logits.astype(float) / t, axis=1)[np.arange(n), labels]
            for one, t in zip(all_said, found.temperature, strict=True)
        ]
    )

    def lost(share):
        return -(each * np.log(share @ p)).sum() - _DOUBT * np.log(share).sum()

    best = minimize(
        lost,
        np.full(n_members, 1 / n_members),
        bounds=[(1e-6, 1)] * n_members,
        constraints={"type": "eq", "fun": lambda share: share.sum() - 1},
        method="SLSQP",
    )
    assert found.share.sum() == pytest.approx(1)
    assert lost(found.share) == pytest.approx(best.fun, rel=1e-4, abs=1e-3)


def test_a_member_that_knows_nothing_counts_least_and_few_bags_leave_all_alike():
    rng = np.random.default_rng(0)
    labels = np.arange(300) % 3
    right = 3 * np.eye(3)[labels] + rng.normal(size=(300, 3))
    share = weigh(said([right, rng.normal(size=(300, 3))], labels, 3)).share
    assert share[0] > 0.95
    few = weigh(said([right[:3], rng.normal(size=(3, 3))], labels[:3], 3)).share
    assert few[0] < 0.9


def test_a_genre_that_validation_lacks_asks_for_nothing():
    labels = np.array([0, 1, 0, 1])
    found = weigh(said([np.eye(3)[labels], np.ones((4, 3))], labels, 3))
    assert np.isfinite(found.share).all()


def test_a_genre_that_training_lacks_has_no_say():
    """The others know nothing of it, which says nothing of how they tell the rest apart."""
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    likelihoods = 2 * np.eye(3)[labels] + rng.normal(size=(2, 60, 3))
    likelihoods[1, :, 2] = -1000
    usual = weigh(known(said(likelihoods, labels, 3)))
    labels[0] = 2
    changed = weigh(known(said(likelihoods, labels, 3)))
    np.testing.assert_allclose(changed.share, usual.share, atol=0.02)
    np.testing.assert_allclose(changed.temperature, usual.temperature, rtol=0.1)
    alone = weigh(known(said(likelihoods, np.full(60, 2), 3)))
    assert alone.share.tolist() == [0.5, 0.5]


def known(predictions):
    """The same, of a training without the last genre."""
    counts = np.array([50, 50, 0])
    return [replace(one, bags=replace(one.bags, train_counts=counts)) for one in predictions]


# ---- what it says ----


def test_it_says_the_weighted_mean_of_what_its_members_say(fitted):
    model, features, tracks, bags = fitted
    test = bags["test"]
    all_said = members(model, features, tracks, test)
    share, temperature, together = model.weights
    assert len(all_said) == len(share) == 5
    mean = sum(
        w * softmax(one.likelihoods / t, axis=1)
        for w, t, one in zip(share, temperature, all_said, strict=True)
    )
    shares = np.bincount(bags["training"].labels, minlength=3) / len(bags["training"])
    expected = softmax(np.log(mean) / together + np.log(shares), axis=1)
    predictions = model.predict(features, tracks, test)
    np.testing.assert_allclose(predictions.probabilities, expected, rtol=0.05, atol=1e-3)
    np.testing.assert_allclose(
        log_softmax(predictions.likelihoods, axis=1),
        log_softmax(np.log(mean) / together, axis=1),
        atol=1e-4,
    )


def test_each_network_of_several_is_a_member_of_its_own(fitted):
    model, features, tracks, bags = fitted
    whole, one, two = model.network.each(features, tracks, bags["test"])
    again = model.network.predict(features, tracks, bags["test"])
    np.testing.assert_array_equal(whole.logits, again.logits)
    mean = (one.probabilities + two.probabilities) / 2
    assert np.abs(one.logits - two.logits).max() > 0.01
    # Their temperature is that of both together: means of probabilities before and after differ.
    assert np.abs(mean - whole.probabilities).max() < 0.05


def test_attention_still_sums_to_what_is_said(fitted):
    model, features, tracks, bags = fitted
    predictions = model.predict(features, tracks, bags["test"], explain=True)
    starts = predictions.segment_offsets[predictions.bags.offsets[:-1]]
    summed = np.add.reduceat(predictions.attention * predictions.segment_logits, starts, axis=0)
    np.testing.assert_allclose(summed, predictions.logits, atol=1e-4)
    alone = model.network.predict(features, tracks, bags["test"], explain=True)
    np.testing.assert_array_equal(predictions.attention, alone.attention)


def test_what_it_says_of_a_bag_does_not_depend_on_other_bags(fitted):
    model, features, tracks, bags = fitted
    whole = model.predict(features, tracks, bags["test"])
    part = model.predict(features, tracks, bags["test"].take([2]))
    np.testing.assert_allclose(part.logits, whole.logits[[2]], atol=1e-4)


def test_it_is_as_sure_as_it_is_right_on_validation(fitted):
    """No temperature of all together would make the validation bags likelier."""
    model, features, tracks, bags = fitted
    predictions = model.predict(features, tracks, bags["validation"])
    likelihoods = predictions.likelihoods
    even = np.full(3, 1 / 3)
    again = fit_temperature(likelihoods, bags["validation"].labels, "softmax", assumed=even)
    assert again == pytest.approx(1, abs=0.02)
    of_all = coverage_of(predictions.probabilities, bags["validation"].labels)
    kept, alone = model.coverage.to_json(), model.network.coverage.to_json()
    assert kept["confidence"] == pytest.approx(of_all.to_json()["confidence"], abs=1e-4)
    assert kept["confidence"] != pytest.approx(alone["confidence"], abs=1e-3)


def test_how_a_genre_is_decided_is_chosen_by_what_all_say_of_validation(monkeypatch):
    tracks, features = music()
    bags, seen = parts(tracks), []

    def chosen(likelihoods, shares, valid):
        seen.append((likelihoods, shares))
        return 0.7

    monkeypatch.setattr("matt.models.blend.balanced_tau", chosen)
    model = BlendClassifier(NeuralClassifier(training=QUICK), ["lr"])
    model.fit(features, bags["training"], valid=bags["validation"])
    ((likelihoods, shares),) = seen
    predictions = model.predict(features, tracks, bags["validation"])
    assert predictions.decision.tau == 0.7
    np.testing.assert_allclose(
        log_softmax(predictions.likelihoods, axis=1), log_softmax(likelihoods, axis=1), atol=1e-4
    )
    counts = np.bincount(bags["training"].labels, bags["training"].sizes, 3)
    np.testing.assert_allclose(shares, counts / counts.sum(), atol=0.01)


def test_another_prior_moves_what_it_says_by_the_shares(fitted):
    model, features, tracks, bags = fitted
    usual = model.predict(features, tracks, bags["test"])
    even = model.predict(features, tracks, bags["test"], prior="uniform")
    np.testing.assert_allclose(
        log_softmax(even.logits.astype(float), axis=1),
        log_softmax(usual.likelihoods, axis=1),
        atol=1e-4,
    )


def test_several_genres_are_averaged_genre_by_genre():
    tracks, features = music(several=True)
    bags = parts(tracks)
    model = BlendClassifier(NeuralClassifier(training=QUICK), ["lr"])
    model.fit(features, bags["training"], valid=bags["validation"])
    predictions = model.predict(features, tracks, bags["test"])
    all_said = members(model, features, tracks, bags["test"])
    mean = sum(
        w * expit(one.logits.astype(float) / t)
        for w, t, one in zip(*model.weights[:2], all_said, strict=True)
    )
    expected = expit(np.log(mean / (1 - mean)) / model.weights.together)
    np.testing.assert_allclose(predictions.probabilities, expected, rtol=1e-3, atol=1e-5)
    of_valid = model.predict(features, tracks, bags["validation"])
    limits = choose_thresholds(of_valid.probabilities, bags["validation"].labels)
    np.testing.assert_allclose(predictions.thresholds, limits.values, rtol=1e-4)
    assert not np.allclose(predictions.thresholds, model.network.thresholds)


# ---- on disk ----


def test_a_saved_blend_says_the_same(fitted, tmp_path):
    model, features, tracks, bags = fitted
    model.save(tmp_path / "model")
    loaded = GenreClassifier.load(tmp_path / "model")
    assert isinstance(loaded, BlendClassifier)
    assert isinstance(loaded, GenreClassifier)
    for explain in (False, True):
        one, two = (
            each.predict(features, tracks, bags["test"], explain=explain)
            for each in (model, loaded)
        )
        np.testing.assert_allclose(one.logits, two.logits, rtol=0, atol=1e-5)
    assert (loaded.notes, loaded.genres, loaded.prior.tau) == (
        model.notes, model.genres, model.prior.tau,
    )  # fmt: skip
    loaded.save(tmp_path / "again")
    for name in ("model.json", "weights.safetensors", "lr/model.json", "network/model.json"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "model" / name).read_bytes()


def change(content, **changes):
    return {**content, **changes}


def named(content, *names):
    return change(content, members=[{**m, "name": n} for m, n in zip(content["members"], names)])


FAULTS = {
    "another path": lambda c: named(c, "network", "../lr"),
    "no network": lambda c: change(c, members=c["members"][1:]),
    "twice": lambda c: change(c, members=[*c["members"], c["members"][-1]]),
    "none": lambda c: change(c, members=[]),
    "no list": lambda c: change(c, members=3),
    "other bytes": lambda c: change(c, members=[{**m, "sha256": "0" * 64} for m in c["members"]]),
    "other genres": lambda c: change(c, genres=["X", *c["genres"][1:]]),
    "no shares": lambda c: change(c, prior=None),
    "other link": lambda c: change(c, link="sigmoid"),
    "fewer": lambda c: change(c, members=c["members"][:-1]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_damaged_blend_is_refused(fitted, tmp_path, fault):
    fitted[0].save(tmp_path)
    place = tmp_path / "model.json"
    place.write_text(json.dumps(FAULTS[fault](json.loads(place.read_text()))))
    with pytest.raises(DataError, match=r"model\.json"):
        GenreClassifier.load(tmp_path)


def test_a_member_that_is_gone_or_another_ones_is_told(fitted, tmp_path):
    fitted[0].save(tmp_path)
    (tmp_path / "lr" / "model.json").unlink()
    with pytest.raises(DataError, match="lr"):
        GenreClassifier.load(tmp_path)


@pytest.mark.parametrize(
    "weights",
    [
        Weights(np.array([0.5, 0.5]), np.ones(2), 1.0),
        Weights(np.full(5, 0.3), np.ones(5), 1.0),
        Weights(np.array([2, -1, 0, 0, 0.0]), np.ones(5), 1.0),
        Weights(np.full(5, 0.2), np.zeros(5), 1.0),
        Weights(np.full(5, 0.2), np.ones(5), 0.0),
    ],
)
def test_weights_that_are_none_are_refused(fitted, tmp_path, weights):
    model = fitted[0]
    kept, model.weights = model.weights, weights
    try:
        model.save(tmp_path)
    finally:
        model.weights = kept
    with pytest.raises(DataError, match="weights"):
        GenreClassifier.load(tmp_path)


# ---- what cannot be blended ----


def test_a_blend_needs_validation_and_probabilities():
    tracks, features = music()
    bags = parts(tracks)
    with pytest.raises(DataError, match="there are none; give valid"):
        BlendClassifier(NeuralClassifier(), ["lr"]).fit(features, bags["training"])
    for network in (
        NeuralClassifier(training=replace(QUICK, decision="argmax")),
        NeuralClassifier(ModelSettings(tanh_pooled=True), QUICK),
    ):
        with pytest.raises(ConfigError, match="decision='balanced'"):
            BlendClassifier(network, ["lr"]).fit(
                features, bags["training"], valid=bags["validation"]
            )
    with pytest.raises(DataError, match="not fitted"):
        BlendClassifier(NeuralClassifier(), ["lr"]).predict(features, tracks, bags["test"])
    with pytest.raises(DataError, match="not fitted"):
        BlendClassifier(NeuralClassifier(), ["lr"]).save(Path("nowhere"))


def test_what_cannot_learn_from_such_tracks_is_told():
    every = tuple(CALLED)
    assert usable(every, (5,), several=False) == (every, {})
    names, why = usable(every, (96, 100), several=False)
    assert (names, set(why)) == ((), set(every))
    names, why = usable(every, (5,), several=True)
    assert (names, set(why)) == (("lr",), {"svm_stacked", "hgb"})


def test_members_have_known_names():
    for wrong in (["knn"], ["lr", "svm"], "lr"):
        with pytest.raises(ConfigError, match=r"unknown member .*; give a list of 'svm_st"):
            BlendClassifier(NeuralClassifier(), wrong)
    with pytest.raises(ConfigError, match="blend names a classifier twice"):
        config.load(overrides=['blend=["lr","lr"]'])
    assert config.load(overrides=['blend=["network","network"]']).blend == ("network", "network")


def test_a_fit_that_was_interrupted_leaves_no_blend(monkeypatch):
    tracks, features = music()
    bags = parts(tracks)
    model = BlendClassifier(NeuralClassifier(training=QUICK), ["lr"])
    model.fit(features, bags["training"], valid=bags["validation"])

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(model.others["lr"], "fit", interrupt)
    with pytest.raises(KeyboardInterrupt):
        model.fit(features, bags["training"], valid=bags["validation"])
    with pytest.raises(DataError, match="not fitted"):
        model.predict(features, tracks, bags["test"])


def test_tracks_are_counted_as_the_controls_count_them(monkeypatch):
    """Those with a genre: an album may have others."""
    tracks, features = music()
    unknown = np.where(np.arange(len(tracks)) % 4, tracks.labels, -1)
    some = replace(tracks, labels=unknown)
    n = int(((unknown >= 0) & (tracks.split == "training")).sum())
    row = Row(name="row", model=ModelSettings(), training=QUICK, blend=("svm_stacked",))
    told = f"{n:,} training tracks are more than its {n - 1:,}: 1,000 landmarks"
    for most, approximated in ((n, False), (n - 1, True)):
        monkeypatch.setitem(MOST_KERNEL, "svm_stacked", most)
        blend = FittedRow.of(row, features, some, seed=0).model
        assert isinstance(blend, BlendClassifier)
        assert (f"SVM: {told}" in " ".join(blend.notes)) == approximated
        controls, notes = strong_controls(some, features.spec.shape)
        assert "control-svm" in controls
        assert (f"Of the controls, the SVM: {told}" in " ".join(notes)) == approximated


@pytest.mark.parametrize(
    "change",
    [
        {"training": replace(QUICK, decision="argmax")},
        {"model": ModelSettings(tanh_pooled=True)},
        {"blend": ()},
        {"blend": ("network",)},
    ],
)
def test_a_row_that_cannot_be_blended_is_its_network(change):
    tracks, features = music()
    row = replace(Row(name="row", model=ModelSettings(), training=QUICK, blend=BLEND), **change)
    model = FittedRow.of(row, features, tracks, seed=0).model
    assert isinstance(model, NeuralClassifier)
    assert model.training.n_networks == (2 if row.blend == ("network",) else 1)
    assert any("not blended" in note for note in model.notes) == (row.blend == BLEND)


def test_a_row_without_validation_is_its_network():
    tracks, features = music()
    without = tracks.with_split(np.where(tracks.split == "validation", "training", tracks.split))
    row = Row(name="row", model=ModelSettings(), training=QUICK, blend=BLEND)
    assert isinstance(FittedRow.of(row, features, without, seed=0).model, NeuralClassifier)


def test_maps_are_read_by_one_network():
    rng = np.random.default_rng(0)
    tracks, _ = music(20)
    maps = FeatureStore.from_arrays("maps", tracks.track_id, rng.normal(size=(len(tracks), 6, 7)))
    row = Row(name="row", model=ModelSettings(), training=QUICK, blend=BLEND)
    model = FittedRow.of(row, maps, tracks, seed=0).model
    assert isinstance(model, NeuralClassifier)
    assert sum("not in the blend" in note for note in model.notes) == 4
    assert model.training.n_networks == 1


def test_a_control_that_is_in_the_blend_is_not_fitted_again():
    tracks, features = music()
    own = np.where(np.arange(len(tracks)) % 7, tracks.labels, (tracks.labels + 1) % 3)
    tracks = replace(tracks, labels=own)  # some tracks are of another genre than their album
    (row,) = fitted_rows(config.load(overrides=["training.epochs=3"]), controls=False)
    assert row.blend == BLEND
    blend = FittedRow.of(row, features, tracks, seed=4)
    assert len(blend.model.weights.share) == 6
    rows, _ = strong_controls(tracks, features.spec.shape)
    for control in rows.values():
        within, apart = blend.beside(control), FittedRow.of(control, features, tracks, seed=4)
        one, two = (each.predict_row(blend.bags("test")) for each in (within, apart))
        np.testing.assert_array_equal(one.logits, two.logits)
        assert one.decision.tau == two.decision.tau
    assert blend.beside(replace(rows["control-lr"], bags="artist")) is None
    other = replace(rows["control-lr"], model=replace(rows["control-lr"].model, c=7.0))
    assert blend.beside(other) is None


def test_recipes_say_what_is_blended():
    assert config.load().blend == BLEND
    for words in (['recipe="single"'], ['recipe="plain"'], ["blend=[]"]):
        assert config.load(overrides=words).blend == ()
    assert config.load(overrides=['recipe="single"', 'blend=["lr"]']).blend == ("lr",)
    assert fitted_rows(config.load(overrides=['faults="paper"']), controls=False)[0].blend == ()
    by_hand = config.load(overrides=["model.pooling=dot", "model.query=true"])
    assert by_hand.present_faults
    assert by_hand.blended == ()
    with pytest.raises(ConfigError, match="blend"):
        config.load(overrides=['blend=["knn"]'])
    plain, blended = (Row(name="r", model=ModelSettings(), blend=b) for b in ((), ("lr",)))
    assert "blend" not in plain.facts()
    assert blended.facts()["blend"] == ["lr"]
