"""What every encoder promises, alone and inside the classifier."""

import numpy as np
import pytest
import torch
from encoding import MAPS, SHAPES, N, build, segments

from matt.bags import Bags
from matt.errors import ConfigError, DataError
from matt.features.store import FeatureStore
from matt.files import write_json
from matt.models.encoders import ENCODERS
from matt.models.neural import NeuralClassifier
from matt.models.saving import MODEL, read_model
from matt.models.settings import ModelSettings, TrainingSettings
from matt.tracks import Tracks


@pytest.fixture(autouse=True)
def _one_thread_and_one_seed():
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture(params=sorted(ENCODERS))
def name(request):
    return request.param


def test_the_shape_is_the_one_announced(name):
    encoder = build(name)
    assert encoder(segments(name)).shape == (N, encoder.embedding_dim)


def test_the_gradient_reaches_every_parameter_and_every_segment(name):
    x = segments(name).requires_grad_()
    encoder = build(name).eval()
    encoder(x).square().sum().backward()
    for key, value in encoder.named_parameters():
        assert value.grad.abs().sum() > 0, key
    assert (x.grad.flatten(1).abs().sum(1) > 0).all()


def test_evaluation_is_deterministic(name):
    encoder, x = build(name, dropout=0.5).eval(), segments(name)
    torch.testing.assert_close(encoder(x), encoder(x), rtol=0, atol=0)


@pytest.mark.parametrize("name", ["mlp", *MAPS])
def test_dropout_acts_in_training_only(name):
    encoder, x = build(name, dropout=0.5).train(), segments(name)
    assert not torch.allclose(encoder(x), encoder(x))


def test_segments_do_not_see_each_other_in_evaluation(name):
    encoder, x = build(name).eval(), segments(name)
    torch.testing.assert_close(encoder(x), torch.cat([encoder(one) for one in x.split(1)]))


def test_one_segment_can_be_trained_on(name):
    assert build(name).train()(segments(name, 1)).isfinite().all()


def test_single_precision_gives_the_same(name):
    """Torch has kernels of their own for it, and other layouts in memory."""
    encoder, x = build(name).eval(), segments(name)
    expected = encoder(x)
    found = encoder.float()(x.float())
    torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=1e-4)


def test_autocast_gives_nearly_the_same(name):
    encoder, x = build(name).float().eval(), segments(name).float()
    with torch.autocast("cpu", torch.bfloat16):
        found = encoder(x).float()
    expected = encoder(x)
    assert (found - expected).abs().max() < 0.05 * expected.abs().max()


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("shape", [(140,), (2, 3, 4), ()])
def test_what_is_no_map_is_refused(name, shape):
    with pytest.raises(ConfigError, match=f"encoder='{name}' reads maps .*; use a map"):
        build(name, shape)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("crnn", (24, 24), r"'crnn' pools 24 rows by 24 frames .* \(24, 24\); use longer segments"),
        ("crnn_tf", (8, 64), r"'crnn_tf' pools 8 rows by 64 frames .* or encoder='lstm'"),
    ],
)
def test_a_map_too_small_for_the_pools_is_refused(name, shape, message):
    with pytest.raises(ConfigError, match=message):
        build(name, shape)
    larger = shape[0], shape[1] + 1
    x = torch.randn(1, *larger, dtype=torch.float64)
    assert build(name, larger).train()(x).isfinite().all()


@pytest.mark.parametrize("name", ["crnn", "lstm"])
def test_any_width_is_encoded(name):
    encoder, n_rows = build(name).eval(), SHAPES[name][0]
    for n_frames in (1, 4, 57, 230):
        h = encoder(torch.randn(N, n_rows, n_frames, dtype=torch.float64))
        assert h.shape == (N, encoder.embedding_dim)
        assert h.isfinite().all()


@pytest.mark.parametrize("name", MAPS)
def test_parameters_start_as_in_keras(name):
    encoder = ENCODERS[name](SHAPES[name], ModelSettings(encoder=name, recurrent_units=6))
    for key, value in encoder.named_parameters():
        value = value.detach()
        if "weight_hh" in key:  # (gates * units, units)
            torch.testing.assert_close(value.T @ value, torch.eye(6), rtol=0, atol=1e-5)
        elif "weight" in key and value.ndim > 1:
            area = value[0, 0].numel()
            limit = np.sqrt(6 / (area * (value.shape[0] + value.shape[1])))
            assert 0.9 * limit < value.abs().max() <= limit * 1.000001
        elif name == "lstm" and "bias_ih" in key:
            assert value.tolist() == [0] * 6 + [1] * 6 + [0] * 12  # forget gates remember
        elif "bias" in key:
            assert not value.any()


def narrow_library(shape, n=12):
    """Tracks; in Rock the lower half of the map is loud, in Folk the upper half."""
    labels = np.arange(n) % 2
    rng = np.random.default_rng(0)
    values = rng.standard_normal((n, *shape)).astype(np.float32)
    values[:, : shape[0] // 2] += 2 * labels[:, None, None]
    tracks = Tracks(np.arange(n) + 5, labels, ("Rock", "Folk"), album_id=np.arange(n) // 4)
    store = FeatureStore.from_arrays("narrow", tracks.track_id, values)
    return tracks, store, Bags.from_tracks(tracks, by="track")


@pytest.mark.parametrize("name", MAPS)
def test_a_narrow_log_mel_trains_and_survives_saving(name, tmp_path):
    tracks, store, bags = narrow_library((26, 70))
    training = TrainingSettings(epochs=1, max_bags=5)
    model = NeuralClassifier(ModelSettings(encoder=name), training).fit(
        store, bags.take(range(8)), valid=bags.take(range(8, 12))
    )
    assert np.isfinite([model.history[0][key] for key in ("loss", "valid_loss")]).all()
    model.save(tmp_path)
    loaded = NeuralClassifier.load(tmp_path)
    expected = model.predict(store, tracks, bags).logits
    found = loaded.predict(store, tracks, bags).logits
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
    again = NeuralClassifier(ModelSettings(encoder=name), training).fit(
        store, bags.take(range(8)), valid=bags.take(range(8, 12))
    )
    np.testing.assert_array_equal(again.predict(store, tracks, bags).logits, expected)


def test_a_vector_is_refused_before_training():
    tracks, _, bags = narrow_library((2, 3))
    store = FeatureStore.from_arrays("vector", tracks.track_id, np.zeros((12, 9), np.float32))
    with pytest.raises(ConfigError, match=r"the shape \(9,\); use a map"):
        NeuralClassifier(ModelSettings(encoder="crnn")).fit(store, bags)


def test_a_description_whose_encoder_cannot_read_its_features_is_damaged(tmp_path):
    tracks, _, bags = narrow_library((2, 3))
    store = FeatureStore.from_arrays("vector", tracks.track_id, np.eye(12, 9, dtype=np.float32))
    NeuralClassifier(training=TrainingSettings(epochs=1)).fit(store, bags).save(tmp_path)
    content = read_model(tmp_path)
    content["model"]["encoder"] = "crnn"
    write_json(tmp_path / MODEL, content)
    with pytest.raises(DataError, match=r"the weights do not fit .*; copy the whole model folder"):
        NeuralClassifier.load(tmp_path)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("by_channel", [False, True])
def test_either_dropout_learns_an_easy_map_in_either_precision(precision, by_channel):
    """Which half of the map is loud: nothing that dropout may cost."""
    tracks, store, bags = narrow_library((26, 70), n=40)
    model = ModelSettings(encoder="crnn", block_dropout=0.1, channel_dropout=by_channel)
    training = TrainingSettings(epochs=12, max_bags=8, lr=3e-3, precision=precision)
    fitted = NeuralClassifier(model, training)
    fitted.fit(store, bags.take(range(24)), valid=bags.take(range(24, 40)))
    assert max(row["valid_macro_f1"] for row in fitted.history) > 0.85
    said = fitted.predict(store, tracks, bags.take(range(24, 40)))
    assert (said.best == said.bags.labels).mean() > 0.85
