"""The contract of a classifier: learns, survives saving, changes nothing, and refuses clearly."""

import json
import pickle
import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from encoding import SHAPES
from safetensors.numpy import load_file, save_file

import matt
from matt.bags import Bags
from matt.errors import ConfigError, DataError
from matt.features.store import FeatureStore
from matt.models import training
from matt.models.arrays import average
from matt.models.classifier import KINDS, GenreClassifier
from matt.models.encoders import ENCODERS
from matt.models.neural import NeuralClassifier
from matt.models.pooling import POOLINGS
from matt.models.saving import GRAPH, MODEL, WEIGHTS, write_model
from matt.models.settings import ModelSettings, TrainingSettings
from matt.tracks import Tracks

F = 5
GENRES = ("Rock", "Folk", "Noise")
FAST = TrainingSettings(lr=0.02, epochs=30, threads=1)
LONGER = replace(FAST, epochs=80)
SMALL = ModelSettings(hidden=(11,))


def make_tracks(n=90, genres=GENRES):
    """Albums of three tracks; two thirds of the tracks are Rock."""
    album = np.arange(n) // 3
    labels = np.array([0, 0, 1, 0, 0, 2])[album % 6]
    split = np.array(["training", "training", "training", "validation", "test"])[album % 5]
    return Tracks(
        np.arange(n) * 7 + 1, labels, genres, artist_id=album, album_id=album, split=split
    )


def make_store(tracks, *, name="toy", noise=0.6):
    """Two segments of every third track, one of the others."""
    rng = np.random.default_rng(0)
    counts = 1 + (np.arange(len(tracks)) % 3 == 0)
    labels = np.repeat(tracks.labels, counts)
    values = 2 * np.eye(3, F)[labels] + noise * rng.standard_normal((len(labels), F))
    return FeatureStore.from_arrays(
        name, tracks.track_id, values, np.concatenate([[0], np.cumsum(counts)])
    )


@pytest.fixture(scope="module")
def tracks():
    return make_tracks()


@pytest.fixture(scope="module")
def store(tracks):
    return make_store(tracks)


def split_bags(tracks, name):
    return Bags.from_tracks(tracks, split=name)


def fit(model, store, tracks, **given):
    return model.fit(store, split_bags(tracks, "training"), **given)


CLASSIFIERS = {
    "default": lambda: NeuralClassifier(SMALL, FAST),
    "dot": lambda: NeuralClassifier(replace(SMALL, pooling="dot"), FAST),
    "true query": lambda: NeuralClassifier(replace(SMALL, pooling="dot", query="true"), FAST),
    "max": lambda: NeuralClassifier(replace(SMALL, pooling="max", spread=False), LONGER),
    "abmil, mlp head": lambda: NeuralClassifier(
        replace(SMALL, pooling="abmil", head="mlp"), LONGER
    ),
    "additive": lambda: NeuralClassifier(replace(SMALL, pooling="additive"), LONGER),
    "scalar, mlp head": lambda: NeuralClassifier(
        replace(SMALL, pooling="scalar", head="mlp", query="true"), LONGER
    ),
    "shared, identity": lambda: NeuralClassifier(
        ModelSettings(encoder="identity", pooling="shared", pooled_dropout=0.2), FAST
    ),
}


@pytest.fixture(params=CLASSIFIERS, scope="module")
def fitted(request, store, tracks):
    model = CLASSIFIERS[request.param]()
    return fit(model, store, tracks, valid=split_bags(tracks, "validation"))


def test_it_is_a_genre_classifier(fitted):
    assert isinstance(fitted, GenreClassifier)
    assert matt.NeuralClassifier is NeuralClassifier
    for module, name in KINDS.values():
        assert hasattr(__import__(f"matt.models.{module}", fromlist=[name]), name)


def test_it_beats_the_majority(fitted, store, tracks):
    bags = split_bags(tracks, "test")
    found = (fitted.predict(store, tracks, bags).best == bags.labels).mean()
    assert found > (bags.labels == 0).mean() + 0.2


def test_predictions_carry_tracks_and_training_counts(fitted, store, tracks):
    bags = split_bags(tracks, "test").take([3, 0])
    bags = replace(bags, train_counts=np.array([1, 2, 3]))  # of another table: they do not count
    predictions = fitted.predict(store, tracks, bags)
    np.testing.assert_array_equal(predictions.tracks.track_id, bags.track_ids)
    np.testing.assert_array_equal(predictions.bags.labels, bags.labels)
    np.testing.assert_array_equal(predictions.train_counts, tracks.train_counts)
    assert predictions.link == "softmax"
    assert predictions.attention is None


def test_saved_and_loaded_it_predicts_the_same(fitted, store, tracks, tmp_path):
    fitted.save(tmp_path / "model")
    assert {entry.name for entry in (tmp_path / "model").iterdir()} == {MODEL, WEIGHTS, GRAPH}
    state = torch.get_rng_state()
    loaded = GenreClassifier.load(tmp_path / "model")
    assert torch.equal(torch.get_rng_state(), state)
    assert isinstance(loaded, NeuralClassifier)
    bags = split_bags(tracks, "test")
    before = fitted.predict(store, tracks, bags, explain=True)
    after = loaded.predict(store, tracks, bags, explain=True)
    loaded.save(tmp_path / "again")
    for name in (MODEL, WEIGHTS, GRAPH):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "model" / name).read_bytes()
    again = NeuralClassifier.load(tmp_path / "again").predict(store, tracks, bags, explain=True)
    for name in ("logits", "attention", "segment_logits", "segment_offsets"):
        np.testing.assert_allclose(getattr(after, name), getattr(before, name), rtol=0, atol=1e-5)
        np.testing.assert_array_equal(getattr(again, name), getattr(after, name))
    for name in ("model", "training", "genres", "spec", "link", "temperature", "notes"):
        assert getattr(loaded, name) == getattr(fitted, name)
    np.testing.assert_array_equal(loaded.train_counts, fitted.train_counts)


def test_inputs_are_not_changed(store, tracks):
    bags, valid = (split_bags(tracks, name) for name in ("training", "validation"))
    arrays = [
        store.blocks[0], store.track_ids, tracks.labels, tracks.track_id,
        *(part for b in (bags, valid) for part in (b.track_ids, b.offsets, b.labels, b.train_counts)),
    ]  # fmt: skip
    before = [array.copy() for array in arrays]
    NeuralClassifier(SMALL, FAST).fit(store, bags, valid=valid).predict(store, tracks, valid)
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_equal_seeds_predict_equal_bits(store, tracks):
    bags = split_bags(tracks, "test")
    models = [fit(NeuralClassifier(SMALL, FAST), store, tracks) for _ in range(2)]
    first, second = (model.predict(store, tracks, bags).logits for model in models)
    np.testing.assert_array_equal(first, second)


def test_a_bag_of_any_size_is_predicted_exactly(fitted, store, tracks):
    """All tracks as one bag, read in chunks of 4 segments, equal the formula over all of them."""
    whole = Bags(tracks.track_id, [0, len(tracks)], [0], tracks.genres)
    was = fitted.training
    try:
        at_once = fitted.predict(store, tracks, whole, explain=True)
        fitted.training = replace(was, max_segments=4)
        in_chunks = fitted.predict(store, tracks, whole)
    finally:
        fitted.training = was
    np.testing.assert_allclose(in_chunks.logits, at_once.logits, rtol=1e-4, atol=1e-5)
    attention, logits = at_once.attention, at_once.segment_logits
    np.testing.assert_allclose(attention.sum(axis=0), 1, rtol=1e-5)
    if fitted.model.head == "linear":
        expected = (attention * logits).sum(axis=0, keepdims=True)
        np.testing.assert_allclose(at_once.logits, expected, rtol=1e-4, atol=1e-5)


def test_explanations_are_segments_of_tracks_in_bag_order(fitted, store, tracks):
    bags = split_bags(tracks, "test").take([4, 1])
    explained = fitted.predict(store, tracks, bags, explain=True)
    np.testing.assert_array_equal(np.diff(explained.segment_offsets), store.counts(bags.track_ids))
    lone = Bags.from_tracks(tracks.take(tracks.rows(bags.track_ids)), by="track")
    alone = fitted.predict(store, tracks, lone).logits
    more = [[], []]  # of each bag: what the spread adds
    for k, (start, stop) in enumerate(pairwise(explained.segment_offsets)):
        if stop - start == 1:  # but for that, a lone segment says what its lone track says
            more[k // 3].append(explained.segment_logits[start] - alone[k])
    assert min(map(len, more)) == 2
    for bag in more:
        np.testing.assert_allclose(bag[0], bag[1], rtol=1e-4, atol=1e-5)
    if not fitted.model.reads_spread:
        np.testing.assert_allclose(more, 0, atol=1e-4)


def test_genres_are_matched_by_name(fitted, store, tracks):
    bags = split_bags(tracks, "test")
    other = tracks.with_genres(("Jazz", "Noise", "Rock", "Folk"))
    predictions = fitted.predict(store, other, split_bags(other, "test"))
    assert predictions.genres == GENRES
    np.testing.assert_array_equal(predictions.labels, bags.labels)
    np.testing.assert_array_equal(predictions.logits, fitted.predict(store, tracks, bags).logits)


def test_an_unknown_genre_becomes_an_unknown_label(fitted, store):
    other = make_tracks(genres=("Rock", "Polka", "Noise"))
    predictions = fitted.predict(store, other, split_bags(other, "test"))
    was = split_bags(other, "test").labels
    np.testing.assert_array_equal(predictions.labels, np.where(was == 1, -1, was))
    assert (predictions.tracks.labels == -1).sum() == (other.in_split("test").labels == 1).sum()


def test_unlabelled_bags_are_predicted(fitted, store, tracks):
    unknown = Tracks(tracks.track_id, np.full(len(tracks), -1), (), album_id=tracks.album_id)
    predictions = fitted.predict(store, unknown, Bags.from_tracks(unknown, by=("album_id",)))
    assert (predictions.labels == -1).all()
    assert np.isfinite(predictions.logits).all()


def test_several_genres_a_bag(store, tracks, tmp_path):
    labels = np.eye(3, dtype=bool)[tracks.labels]
    labels[tracks.labels == 2, 0] = True  # Noise is Rock too
    several = replace(tracks, labels=labels)
    model = fit(
        NeuralClassifier(SMALL, FAST), store, several, valid=split_bags(several, "validation")
    )
    bags = split_bags(several, "test")
    model.save(tmp_path)
    predictions = NeuralClassifier.load(tmp_path).predict(store, several, bags)
    assert predictions.link == "sigmoid"
    assert ((predictions.probabilities > 0.5) == bags.labels).mean() > 0.9
    assert max(row["valid_macro_f1"] for row in model.history) > 0.8
    with pytest.raises(ConfigError, match="query='true' reads a bag with its one true genre"):
        fit(CLASSIFIERS["true query"](), store, several)


def test_a_genre_without_training_bags_keeps_its_column_and_is_noted(store, tracks):
    wider = tracks.with_genres((*GENRES, "Jazz"))
    model = fit(NeuralClassifier(SMALL, FAST), store, wider)
    assert model.notes == ("1 of 4 genres have no training bag: Jazz",)
    predictions = model.predict(store, wider, split_bags(wider, "test"))
    assert predictions.logits.shape[1] == 4
    assert np.isfinite(predictions.logits).all()


def test_bags_over_the_cap_are_noted(store, tracks):
    small = replace(FAST, max_segments=2, sub_bags=False, epochs=1)
    model = fit(NeuralClassifier(SMALL, small), store, tracks)
    assert model.notes == (
        "18 training bags have more than 2 segments; each epoch showed random tracks of them",
    )


def test_one_genre_is_refused(store, tracks):
    rock = tracks.take(tracks.labels == 0)
    with pytest.raises(DataError, match=r"only 1 genre \(Rock\): .*; add bags of another genre"):
        fit(NeuralClassifier(SMALL, FAST), store, rock)


def test_unlabelled_training_bags_are_refused(store, tracks):
    some = replace(tracks, labels=np.where(tracks.album_id == 0, -1, tracks.labels))
    with pytest.raises(DataError, match=r"1 of 18 training bags .* with bags.labelled\(\)"):
        fit(NeuralClassifier(SMALL, FAST), store, some)
    valid = replace(tracks, labels=np.full(len(tracks), -1))
    with pytest.raises(DataError, match="6 of 6 validation bags have no known genre"):
        fit(NeuralClassifier(SMALL, FAST), store, tracks, valid=split_bags(valid, "validation"))


def test_validation_of_other_genres_or_of_training_tracks_is_refused(store, tracks):
    renamed = replace(tracks, genres=("Rock", "Folk", "Jazz"))
    with pytest.raises(DataError, match="validation bags know the genres Rock, Folk, Jazz"):
        fit(NeuralClassifier(SMALL, FAST), store, tracks, valid=split_bags(renamed, "validation"))
    with pytest.raises(DataError, match="54 tracks are both in training and in validation"):
        fit(NeuralClassifier(SMALL, FAST), store, tracks, valid=split_bags(tracks, "training"))


def test_features_that_are_not_finite_are_refused(store, tracks):
    values = store.blocks[0].copy()
    values[4] = np.nan
    broken = replace(store, blocks=(values,))
    with pytest.raises(
        DataError, match=r"NaN or infinite values for 1 training tracks \(first: 2\d\)"
    ):
        fit(NeuralClassifier(SMALL, FAST), broken, tracks)


def test_a_loss_that_explodes_says_so_and_leaves_no_model(store, tracks):
    model = NeuralClassifier(SMALL, replace(FAST, optimizer="sgd", lr=1e30, max_bags=4))
    with pytest.raises(
        DataError, match=r"broke down in epoch 1, the first .*; lower lr \(now 1e\+30\)"
    ):
        fit(model, store, tracks)
    with pytest.raises(DataError, match="this model is not fitted; call fit"):
        model.predict(store, tracks, split_bags(tracks, "test"))


def test_a_loss_that_explodes_later_leaves_the_best_model(store, tracks, monkeypatch):
    bags = split_bags(tracks, "test")
    best = fit(NeuralClassifier(SMALL, replace(FAST, epochs=2)), store, tracks)
    real = training._epoch

    def breaks(*given, epoch, **more):
        loss, n_capped = real(*given, epoch=epoch, **more)
        return (np.inf if epoch == 3 else loss), n_capped

    monkeypatch.setattr(training, "_epoch", breaks)
    model = NeuralClassifier(SMALL, FAST)
    fit(model, store, tracks)
    assert re.search(
        r"broke down in epoch 3, so the weights of epoch 2 are kept \(loss inf.*lower lr \(now",
        model.notes[0],
    )
    np.testing.assert_array_equal(
        model.predict(store, tracks, bags).logits, best.predict(store, tracks, bags).logits
    )


def test_features_of_another_specification_are_refused(fitted, tracks):
    bags = split_bags(tracks, "test")
    with pytest.raises(DataError, match=r"given store 'other' do not fit; .* name: other / toy"):
        fitted.predict(make_store(tracks, name="other"), tracks, bags)
    wide = FeatureStore.from_arrays("toy", tracks.track_id, np.ones((len(tracks), F + 1)))
    with pytest.raises(DataError, match=r"differ in shape: \[6\] / \[5\] \(found / wanted\)"):
        fitted.predict(wide, tracks, bags)


def test_missing_features_and_tracks_are_named(fitted, store, tracks):
    strangers = Bags([5000], [0, 1], [0], GENRES)
    with pytest.raises(DataError, match="1 of 1 tracks are not in the table"):
        fitted.predict(store, tracks, strangers)
    more = Tracks([5000], [0], GENRES)
    with pytest.raises(DataError, match="feature 'toy' is missing for 1 of 1 tracks"):
        fitted.predict(store, more, strangers)


def test_the_temperature_divides_logits(fitted, store, tracks, tmp_path):
    bags = split_bags(tracks, "test")
    fitted.save(tmp_path)
    warm = NeuralClassifier.load(tmp_path)
    warm.temperature = 2 * fitted.temperature
    found, was = (one.predict(store, tracks, bags).logits for one in (warm, fitted))
    np.testing.assert_allclose(found, was / 2, rtol=0, atol=1e-5)
    warm.save(tmp_path)
    assert NeuralClassifier.load(tmp_path).temperature == 2 * fitted.temperature


def test_an_unfitted_model_cannot_be_saved(tmp_path):
    with pytest.raises(DataError, match="this model is not fitted"):
        NeuralClassifier().save(tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.fixture
def saved(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    return tmp_path / "model"


def rewrite(folder, **changes):
    content = json.loads((folder / MODEL).read_text())
    (folder / MODEL).write_text(json.dumps({**content, **changes}))
    return content


def without_graph(folder):
    """As models were saved before there were graphs."""
    content = json.loads((folder / MODEL).read_text())
    del content["graph_sha256"]
    (folder / MODEL).write_text(json.dumps(content))
    (folder / GRAPH).unlink()


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    with pytest.raises(
        DataError, match=r"is not a model folder \(no model.json\); give the folder"
    ):
        GenreClassifier.load(tmp_path)
    with pytest.raises(DataError, match="is not a model folder"):
        GenreClassifier.load(tmp_path / "absent")


def test_a_model_of_another_kind_is_refused(tmp_path):
    write_model(tmp_path, "neurla", {}, {"a": np.ones(2)})
    with pytest.raises(DataError, match="of the unknown kind 'neurla'; did you mean 'neural'"):
        GenreClassifier.load(tmp_path)
    with pytest.raises(
        DataError, match="kind 'neurla', not 'neural'; open it with GenreClassifier"
    ):
        NeuralClassifier.load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": "matt.model/0"}, "schema 'matt.model/0', expected 'matt.model/1'"),
        ({"kind": None}, "names no kind of classifier"),
        ({"model": {"hiden": [3]}}, "is damaged .unknown key 'hiden'; did you mean 'hidden'"),
        ({"training": 3}, "is damaged"),
        ({"temperature": -1.0}, "is damaged .the temperature"),
        ({"genres": ["Rock"]}, "is damaged .genres and training counts"),
        ({"link": "tanh"}, "is damaged .unknown link 'tanh'"),
        ({"spec_digest": "0"}, "is damaged .the digest of its spec differs"),
        ({"weights_sha256": "0"}, "is not the file that model.json was written for"),
    ],
)
def test_a_damaged_description_is_refused(saved, changes, message):
    rewrite(saved, **changes)
    with pytest.raises(DataError, match=message):
        GenreClassifier.load(saved)


def test_a_description_without_a_part_is_refused(saved):
    content = rewrite(saved)
    del content["spec"]
    (saved / MODEL).write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"is damaged \(no 'spec'\); copy the model again"):
        GenreClassifier.load(saved)


def test_weights_that_are_missing_or_changed_are_refused(saved):
    arrays = load_file(saved / WEIGHTS)
    arrays["inputs.table"] += 1
    save_file(arrays, saved / WEIGHTS)
    with pytest.raises(DataError, match="not the file that"):
        GenreClassifier.load(saved)
    (saved / WEIGHTS).unlink()
    with pytest.raises(
        DataError, match=r"has no weights\.safetensors; copy the whole model folder"
    ):
        GenreClassifier.load(saved)


def test_weights_of_other_shapes_are_refused(saved):
    content = rewrite(saved)
    arrays = load_file(saved / WEIGHTS)
    arrays["inputs.table"] = np.ones((4, 257))
    body = {key: content[key] for key in content if key not in ("schema", "kind")}
    body.pop("weights_sha256")
    body.pop("graph_sha256")
    write_model(saved, "neural", body, arrays)
    with pytest.raises(
        DataError, match=r"1 differ \(first: inputs.table .* \(4, 257\), .* \(5, 257\)"
    ):
        GenreClassifier.load(saved)


def test_a_description_cannot_ask_for_memory(saved):
    content = rewrite(saved)
    without_graph(saved)
    rewrite(saved, model={**content["model"], "encoder": "mlp", "hidden": [10**9, 10**9]})
    with pytest.raises(DataError, match="the weights do not fit"):
        GenreClassifier.load(saved)


def test_pickled_weights_are_never_opened(saved):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("a pickle was opened",))

    (saved / WEIGHTS).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(DataError, match="not the file that"):
        GenreClassifier.load(saved)


# What is inside: embeddings, attention, logits


def looked_into(settings, *, n_networks=1, several=False):
    """Model of five bags of 1 to 4 tracks of 1 to 3 segments, the store, tracks and bags."""
    shape = SHAPES[settings.encoder]
    sizes, rng = np.array([2, 1, 4, 3, 2]), np.random.default_rng(0)
    n = sizes.sum()
    labels = np.repeat([0, 1, 0, 1, 2], sizes)
    tracks = Tracks(
        np.arange(n)[::-1] + 50, np.eye(3, dtype=bool)[labels] if several else labels, GENRES,
        artist_id=np.repeat(np.arange(5), sizes), album_id=np.repeat(np.arange(5), sizes),
    )  # fmt: skip
    offsets = np.concatenate([[0], np.cumsum(1 + np.arange(n) % 3)])
    values = rng.standard_normal((offsets[-1], *shape)).astype(np.float32)
    store = FeatureStore.from_arrays("toy", tracks.track_id, values, offsets)
    bags = Bags.from_tracks(tracks)
    training = TrainingSettings(epochs=1, lr=0.05, n_networks=n_networks, max_segments=4, threads=1)
    model = NeuralClassifier(settings, training).fit(store, bags, valid=None)
    model.temperature = 1.7  # as if there had been bags to fit it on
    return model, store, tracks, bags.take([3, 0, 2])


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("encoder", ENCODERS)
def test_what_is_inside_makes_what_is_predicted(encoder, pooling):
    settings = ModelSettings(
        encoder=encoder, pooling=pooling, hidden=(6,), recurrent_units=5, attention_dim=4
    )
    model, store, tracks, bags = looked_into(settings)
    before = {key: value.clone() for key, value in model._networks[0].state_dict().items()}
    inside = model.embed(store, tracks, bags)
    said = model.predict(store, tracks, bags, explain=True)
    np.testing.assert_array_equal(inside.logits, said.logits)
    np.testing.assert_array_equal(inside.attention, said.attention)
    np.testing.assert_array_equal(inside.segment_logits, said.segment_logits)
    np.testing.assert_array_equal(inside.track_offsets, said.segment_offsets)
    np.testing.assert_array_equal(inside.track_offsets, store.read(bags.track_ids)[1])
    np.testing.assert_array_equal(inside.bag_offsets, inside.track_offsets[bags.offsets])
    starts = inside.bag_offsets[:-1]
    np.testing.assert_allclose(np.add.reduceat(inside.attention, starts), 1, rtol=1e-5)
    again = np.add.reduceat(inside.attention * inside.segment_logits, starts)
    np.testing.assert_allclose(again, said.logits, rtol=1e-4, atol=1e-5)
    values = torch.from_numpy(store.read(bags.track_ids)[0])
    network = model._networks[0]
    with torch.no_grad():  # all at once, where `embed` reads in parts of four segments
        whole = network.encoder(network.inputs(values)).numpy()
    np.testing.assert_allclose(inside.embeddings, whole, rtol=1e-4, atol=1e-5)
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key])


@pytest.mark.parametrize("pooling", ["mean", "dot", "shared"])
@pytest.mark.parametrize("more", [{"head": "mlp"}, {"tanh_pooled": True}, {}])
def test_the_head_makes_logits_of_pooled_embeddings(pooling, more):
    """The paper's order, pool and then classify, whichever the network takes."""
    settings = ModelSettings(pooling=pooling, hidden=(6,), head_hidden=4, spread=False, **more)
    model, store, tracks, bags = looked_into(settings)
    inside = model.embed(store, tracks, bags)
    assert inside.pooled.shape == (3, inside.attention.shape[1], 6)
    with torch.no_grad():
        logits = model._networks[0].classify(torch.from_numpy(inside.pooled))
    np.testing.assert_allclose(model._said(logits.numpy()), inside.logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("several", [False, True])
def test_each_of_several_networks_is_looked_into_alone(several):
    settings = ModelSettings(pooling="dot", hidden=(6,))
    model, store, tracks, bags = looked_into(settings, n_networks=3, several=several)
    inside = [model.embed(store, tracks, bags, network=number) for number in range(3)]
    said = model.predict(store, tracks, bags, explain=True)
    logits = np.stack([one.logits for one in inside]) * model.temperature
    together = average(logits, model.link) / model.temperature
    np.testing.assert_allclose(together, said.logits, rtol=1e-4, atol=1e-5)
    attention = np.mean([one.attention for one in inside], axis=0)
    np.testing.assert_allclose(attention, said.attention, rtol=1e-5)
    assert np.abs(inside[0].embeddings - inside[1].embeddings).max() > 0.1
    assert model.embed(store, tracks, bags).logits.tolist() == inside[0].logits.tolist()
    for wrong in (3, -1):
        with pytest.raises(DataError, match=rf"network={wrong} is none of .* 3; give 0 to 2"):
            model.embed(store, tracks, bags, network=wrong)


def test_an_unfitted_model_has_nothing_inside(store, tracks):
    with pytest.raises(DataError, match="this model is not fitted; call fit"):
        NeuralClassifier().embed(store, tracks, Bags.from_tracks(tracks))
