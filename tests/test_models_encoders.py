"""What every encoder promises, and the paper's networks against a re-statement in numpy."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from matt.bags import Bags
from matt.errors import ConfigError, DataError
from matt.features.store import FeatureStore
from matt.files import write_json
from matt.models.convolution import SamePool, pooled_shape, same_max_pool
from matt.models.crnn import CRNN_POOLS, CRNN_TF_POOLS
from matt.models.encoders import ENCODERS
from matt.models.network import build_network
from matt.models.neural import NeuralClassifier
from matt.models.recurrent import FrameLSTM, last_states
from matt.models.saving import MODEL, read_model
from matt.models.settings import ModelSettings, TrainingSettings
from matt.tracks import Tracks

N = 3
# Two steps or more are left for every GRU: recurrent kernels have no part in a single step.
SHAPES = {"mlp": (7, 5), "identity": (7,), "crnn": (18, 101), "crnn_tf": (18, 260), "lstm": (7, 5)}
MAPS = ["crnn", "crnn_tf", "lstm"]
TWO = {"crnn": CRNN_POOLS, "crnn_tf": CRNN_TF_POOLS}


@pytest.fixture(autouse=True)
def _one_thread_and_one_seed():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def build(name, shape=None, **settings):
    given = {"hidden": (11,), "dropout": 0.0, "recurrent_units": 6} | settings
    encoder = ENCODERS[name](shape or SHAPES[name], ModelSettings(encoder=name, **given)).double()
    for module in encoder.modules():  # at their start, batch norms change nothing and biases are 0
        if isinstance(module, torch.nn.BatchNorm2d):
            for value in (module.weight, module.bias, module.running_mean):
                torch.nn.init.normal_(value)
            module.running_var.uniform_(0.5, 2)
    for key, value in encoder.named_parameters():
        if "bias" in key:
            torch.nn.init.normal_(value, std=0.3)
    return encoder


def segments(name, n=N):
    return torch.randn(n, *SHAPES[name], dtype=torch.float64)


@pytest.fixture(params=sorted(ENCODERS))
def name(request):
    return request.param


# ---- every encoder


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


# ---- the sizes of the paper's networks


@pytest.mark.parametrize(
    ("name", "parameters", "maps"),
    [
        ("crnn", 392_976, [(64, 48, 680), (128, 16, 227), (128, 4, 57), (128, 1, 15)]),
        ("crnn_tf", 1_003_984, [(64, 48, 340), (128, 24, 85), (128, 12, 22), (128, 6, 6)]),
    ],
)
def test_sizes_are_those_of_the_paper(name, parameters, maps):
    """Keras counts 393,680 and 1,004,112: with 896 moving statistics, and one bias fewer a GRU."""
    with torch.device("meta"):
        network = build_network(ModelSettings(encoder=name), (96, 1360), 16)
        found = []
        for module in network.modules():
            if isinstance(module, SamePool):
                module.register_forward_hook(lambda _, x, out: found.append(tuple(out.shape[1:])))
        network.encoder.convolutions(torch.empty(N, 96, 1360))
    assert found == maps
    assert sum(value.numel() for value in network.parameters()) == parameters
    keras = {"crnn": (393_680, 2), "crnn_tf": (1_004_112, 8)}[name]
    assert parameters + 2 * (64 + 128 * 3) - keras[1] * 3 * 32 == keras[0]


# ---- pooling


def windows(size, k):
    """Where each window of Keras' "same" begins and ends, by TensorFlow's documented formula."""
    n = int(np.ceil(size / k))
    before = max((n - 1) * k + k - size, 0) // 2
    return [(max(i * k - before, 0), min((i + 1) * k - before, size)) for i in range(n)]


def numpy_pool(x, pool):
    rows, columns = (windows(size, k) for size, k in zip(x.shape[-2:], pool, strict=True))
    return np.stack(
        [np.stack([x[..., a:b, c:d].max((-2, -1)) for c, d in columns], -1) for a, b in rows], -2
    )


@given(
    size=st.tuples(st.integers(1, 13), st.integers(1, 29)),
    pool=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    seed=st.integers(0, 99),
)
def test_pooling_is_the_same_of_keras(size, pool, seed):
    x = np.random.default_rng(seed).standard_normal((2, 3, *size)) - 5  # all below a padded 0
    found = same_max_pool(torch.from_numpy(x), pool).numpy()
    np.testing.assert_array_equal(found, numpy_pool(x, pool))
    assert found.shape[-2:] == pooled_shape(size, (pool,))


def test_57_frames_in_fours_lack_one_before_and_two_behind():
    x = torch.arange(57.0).reshape(1, 1, 1, 57)
    assert same_max_pool(x, (1, 4)).flatten().tolist() == [*range(2, 57, 4), 56]
    assert same_max_pool(-x, (1, 4)).flatten().tolist() == [0, *range(-3, -57, -4)]


# ---- whole networks, step by step


def arrays(module):
    return {key: value.detach().numpy() for key, value in module.state_dict().items()}


def numpy_convolution(x, w, b):
    """3 x 3, zeros around: (N, C, F, T) -> (N, D, F, T)."""
    view = sliding_window_view(np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1))), (3, 3), (2, 3))
    return np.einsum("ncftij,dcij->ndft", view, w, optimize=True) + b[:, None, None]


def numpy_blocks(x, encoder, pools, activation):
    """In the order of the paper: convolution, normalisation, activation, pooling."""
    x = x[:, None]
    for block, pool in zip(encoder.convolutions.blocks, pools, strict=True):
        convolution, norm = arrays(block[0]), arrays(block[1])
        x = numpy_convolution(x, convolution["weight"], convolution["bias"])
        mean, var = (norm[key][:, None, None] for key in ("running_mean", "running_var"))
        x = (x - mean) / np.sqrt(var + 1e-3)
        x = x * norm["weight"][:, None, None] + norm["bias"][:, None, None]
        x = numpy_pool(activation(x), pool)
    return x


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def numpy_gru(steps, w_ih, w_hh, b_ih, b_hh):
    """Gates in the order reset, update, new; the state after every step, (N, S, H)."""
    h, states = np.zeros((len(steps), w_hh.shape[1])), []
    for x in steps.swapaxes(0, 1):
        (xr, xz, xn), (hr, hz, hn) = (
            np.split(value, 3, axis=1) for value in (x @ w_ih.T + b_ih, h @ w_hh.T + b_hh)
        )
        reset, update = sigmoid(xr + hr), sigmoid(xz + hz)
        h = (1 - update) * np.tanh(xn + reset * hn) + update * h
        states.append(h)
    return np.stack(states, 1)


def gru_weights(gru, suffix):
    return [
        arrays(gru)[f"{key}_{suffix}"] for key in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    ]


def elu(x):
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def test_crnn_is_blocks_and_two_grus_over_frames():
    encoder, x = build("crnn").eval(), segments("crnn", 2)
    maps = numpy_blocks(x.numpy(), encoder, CRNN_POOLS, lambda x: np.maximum(x, 0))
    assert maps.shape == (2, 128, 1, 2)
    steps = maps.transpose(0, 3, 1, 2).reshape(2, 2, 128)
    steps = numpy_gru(steps, *gru_weights(encoder.gru, "l0"))
    h = numpy_gru(steps, *gru_weights(encoder.gru, "l1"))[:, -1]
    np.testing.assert_allclose(encoder(x).detach().numpy(), h, rtol=1e-9, atol=1e-12)


def test_crnn_tf_is_blocks_and_eight_grus_over_maps_turned_around():
    """As the release has them: rows or frames as steps, crossed with flips of either axis."""
    encoder, x = build("crnn_tf").eval(), segments("crnn_tf", 2)
    maps = numpy_blocks(x.numpy(), encoder, CRNN_TF_POOLS, elu)
    assert maps.shape == (2, 128, 2, 2)
    states = []
    for axis, pair in ((2, encoder.over_rows), (3, encoder.over_frames)):
        other = 5 - axis
        size = maps.shape[other]
        for turned, gru in enumerate(pair):  # the axis that is not scanned
            for backwards, suffix in enumerate(("l0", "l0_reverse")):
                flipped = np.flip(maps, [axis] * backwards + [other] * turned)
                steps = np.moveaxis(flipped, axis, 1).reshape(2, maps.shape[axis], 128 * size)
                w_ih, *rest = gru_weights(gru, suffix)
                per_place = w_ih.reshape(len(w_ih), 128, size)
                if turned:  # the same GRU with its inputs in the other order
                    per_place = per_place[..., ::-1]
                states.append(numpy_gru(steps, per_place.reshape(w_ih.shape), *rest)[:, -1])
    last = arrays(encoder.last)
    h = elu(np.concatenate(states, 1) @ last["weight"].T + last["bias"])
    np.testing.assert_allclose(encoder(x).detach().numpy(), h, rtol=1e-9, atol=1e-12)


def test_lstm_reads_frames_from_both_ends():
    """Turned around in time, with the directions exchanged, everything stays the same."""
    encoder = build("lstm").eval()
    mirror = FrameLSTM(SHAPES["lstm"], units=6, dropout=0.0).double().eval()
    state = {
        key.removesuffix("_reverse") if "_reverse" in key else f"{key}_reverse": value
        for key, value in encoder.state_dict().items()
    }
    mirror.load_state_dict(state)
    x = segments("lstm")
    torch.testing.assert_close(mirror(x.flip(2)), encoder(x).roll(6, dims=1))
    assert not torch.allclose(encoder(x.flip(2)), encoder(x))


def test_lstm_is_the_mean_of_cells_step_by_step():
    encoder, x = build("lstm").eval(), segments("lstm").numpy()
    means = []
    for suffix, frames in (("l0", range(5)), ("l0_reverse", range(4, -1, -1))):
        w_ih, w_hh, b_ih, b_hh = gru_weights(encoder.lstm, suffix)
        h = c = total = np.zeros((N, 6))
        for t in frames:
            i, f, g, o = np.split(x[:, :, t] @ w_ih.T + b_ih + h @ w_hh.T + b_hh, 4, axis=1)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            total = total + h
        means.append(total / 5)
    found = encoder(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(found, np.concatenate(means, 1), rtol=1e-9, atol=1e-12)


# ---- the start


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


def test_the_last_state_is_that_of_the_top_layer():
    gru = torch.nn.GRU(4, 5, num_layers=2, batch_first=True)
    x = torch.randn(N, 3, 4)
    torch.testing.assert_close(last_states(gru, x), gru(x)[0][:, -1])


# ---- through the classifier


def narrow_library(shape):
    """Twelve tracks; in Rock the lower half of the map is loud, in Folk the upper half."""
    labels = np.arange(12) % 2
    rng = np.random.default_rng(0)
    values = rng.standard_normal((12, *shape)).astype(np.float32)
    values[:, : shape[0] // 2] += 2 * labels[:, None, None]
    tracks = Tracks(np.arange(12) + 5, labels, ("Rock", "Folk"), album_id=np.arange(12) // 4)
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
    np.testing.assert_array_equal(loaded.predict(store, tracks, bags).logits, expected)
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
    with pytest.raises(DataError, match="is damaged .*reads maps"):
        NeuralClassifier.load(tmp_path)
