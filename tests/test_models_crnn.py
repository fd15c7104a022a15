"""The encoders that read maps, against a re-statement in numpy, step by step.

The first block: one convolution that is the same function as convolution and normalisation.
"""

import numpy as np
import pytest
import torch
from encoding import SHAPES, N, build, segments
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view
from torch import nn

from matt.models import crnn
from matt.models.crnn import (
    CRNN_POOLS,
    CRNN_TF_POOLS,
    ConvBlocks,
    FoldedBlock,
    FrameLSTM,
    SamePool,
    last_states,
    pooled_shape,
    same_max_pool,
)
from matt.models.network import build_network
from matt.models.settings import ModelSettings


@pytest.fixture(autouse=True)
def _one_thread_and_one_seed():
    torch.set_num_threads(1)
    torch.manual_seed(0)


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


@pytest.mark.parametrize("activation", [torch.nn.functional.relu, torch.nn.functional.elu])
def test_pooling_before_the_activation_is_the_same_function(activation):
    x = torch.randn(N, 2, 11, 57, dtype=torch.float64, requires_grad=True)
    first, second = activation(same_max_pool(x, (3, 4))), same_max_pool(activation(x), (3, 4))
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    target = torch.randn_like(first)
    gradients = [torch.autograd.grad((h * target).sum(), x)[0] for h in (first, second)]
    torch.testing.assert_close(*gradients)


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


def test_the_last_state_is_that_of_the_top_layer():
    gru = torch.nn.GRU(4, 5, num_layers=2, batch_first=True)
    x = torch.randn(N, 3, 4)
    torch.testing.assert_close(last_states(gru, x), gru(x)[0][:, -1])


ACTIVATIONS = {"relu": nn.ReLU, "elu": nn.ELU}


def pair(*, activation="relu", pool=(2, 3), dtype=torch.float64):
    """A block and, with the same weights, the plain sequence of its layers."""
    layers = [nn.Conv2d(1, 5, 3, padding=1), nn.BatchNorm2d(5, eps=1e-3)]
    with torch.no_grad():
        for value in (*layers[1].parameters(), layers[1].running_mean):
            nn.init.normal_(
                value
            )  # negative factors too: then the lowest value becomes the highest
        nn.init.uniform_(layers[1].running_var, 0.1, 3)
    blocks = [
        kind(*layers, SamePool(pool), ACTIVATIONS[activation]())
        for kind in (FoldedBlock, nn.Sequential)
    ]
    copy = nn.Sequential(nn.Conv2d(1, 5, 3, padding=1), nn.BatchNorm2d(5, eps=1e-3), *blocks[1][2:])
    copy.load_state_dict(blocks[0].state_dict())
    return blocks[0].to(dtype), copy.to(dtype)


def gradients(block, x, target):
    x = x.clone().requires_grad_()
    out = block(x)
    found = torch.autograd.grad((out * target).sum(), [x, *block.parameters()])
    return out.detach(), found


@given(
    n=st.integers(1, 7),
    size=st.tuples(st.integers(2, 11), st.integers(2, 13)),
    pool=st.sampled_from([(1, 1), (2, 2), (2, 4), (3, 5)]),
    activation=st.sampled_from(sorted(ACTIVATIONS)),
    training=st.booleans(),
    seed=st.integers(0, 99),
)
def test_it_is_the_sequence_of_its_layers(n, size, pool, activation, training, seed):
    torch.manual_seed(seed)
    ours, theirs = (block.train(training) for block in pair(activation=activation, pool=pool))
    x = torch.randn(n, 1, *size, dtype=torch.float64) * 3 + 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crnn, "_VALUES", 3 * size[0] * size[1])  # three segments at once
        target = torch.randn_like(theirs.eval()(x))
        theirs.train(training)
        found, expected = gradients(ours, x, target), gradients(theirs, x, target)
    torch.testing.assert_close(found[0], expected[0], rtol=1e-9, atol=1e-9)
    for one, other in zip(found[1], expected[1], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-7)
    for key, value in theirs.state_dict().items():  # running statistics too
        torch.testing.assert_close(ours.state_dict()[key], value, rtol=1e-9, atol=1e-9)


def test_statistics_go_on_once_a_step_though_maps_are_made_twice():
    ours, _ = pair()
    ours(torch.randn(4, 1, 6, 7, dtype=torch.float64)).sum().backward()
    assert ours[1].num_batches_tracked == 1


def test_features_that_do_not_vary_are_no_division_by_zero():
    ours, theirs = pair(dtype=torch.float32)
    x = torch.full((3, 1, 8, 11), 10.0)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-3, atol=1e-3)


def test_in_16_bits_statistics_stay_float32():
    ours, theirs = pair(dtype=torch.float32)
    x = torch.randn(4, 1, 22, 31)
    with torch.autocast("cpu", torch.bfloat16):
        found = ours(x)
    assert found.dtype == torch.bfloat16
    expected = theirs(x)
    torch.testing.assert_close(found.float(), expected, rtol=0.03, atol=0.05)
    torch.testing.assert_close(ours[1].running_var, theirs[1].running_var)


def test_another_normalisation_is_left_as_it_is():
    """E.g. one over several processes, whose statistics are not those of this one alone."""
    calls = []

    class Watched(nn.BatchNorm2d):
        def forward(self, x):
            calls.append(x.shape)
            return super().forward(x)

    block = FoldedBlock(nn.Conv2d(1, 5, 3, padding=1), Watched(5), nn.ReLU())
    block(torch.randn(2, 1, 7, 3))
    assert calls == [(2, 5, 7, 3)]


def test_maps_of_one_segment_at_a_time_are_not_kept():
    """Only what the block returns stays for the gradient, and not the maps before pooling."""
    block, x = pair(pool=(4, 4), dtype=torch.float32)[0], torch.randn(3, 1, 96, 1360)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: kept.append(tensor.numel()) or tensor, lambda tensor: tensor
    ):
        out = block(x)
    assert max(kept, default=0) <= x.numel()
    assert out.numel() * 16 == x.numel() * 5


@pytest.mark.parametrize("pools", [CRNN_POOLS, CRNN_TF_POOLS])
def test_channels_last_is_the_same_function(pools):
    """Against maps with the channels first in memory, forward and backward."""
    ours = ConvBlocks(pools, nn.ELU()).double()
    x = torch.randn(2, 33, 71, dtype=torch.float64)
    found = ours(x)
    target = torch.randn_like(found)
    gradients = torch.autograd.grad((found * target).sum(), [*ours.parameters()])
    plain = x[:, None].clone(memory_format=torch.contiguous_format)
    for block in ours.blocks:
        convolution, norm, pool, activation = block
        maps = nn.functional.conv2d(plain, convolution.weight, convolution.bias, padding=1)
        assert maps.is_contiguous()
        plain = activation(pool(norm(maps)))
    torch.testing.assert_close(found, plain, rtol=1e-9, atol=1e-9)
    expected = torch.autograd.grad((plain * target).sum(), [*ours.parameters()])
    for one, other in zip(gradients, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("by_channel", [False, True])
def test_dropout_of_blocks_keeps_the_expected_value(by_channel):
    layer = ConvBlocks(CRNN_POOLS, nn.ReLU(), dropout=0.25, by_channel=by_channel).dropout
    x = torch.ones(3, 128, 7, 11)
    factors = torch.stack([layer(x) for _ in range(64)])  # (64, N, C, F, T)
    assert factors.unique().tolist() == pytest.approx([0, 4 / 3])
    assert float(factors.mean()) == pytest.approx(1, abs=0.02)  # 5 standard errors by channel
    one_a_channel = torch.equal(factors, factors[..., :1, :1].expand_as(factors))
    assert one_a_channel == by_channel
    assert torch.equal(layer.eval()(x), x)


def test_every_block_has_its_dropout():
    torch.manual_seed(0)
    blocks = ConvBlocks(CRNN_POOLS, nn.ReLU(), dropout=0.5, by_channel=True)
    silent = []
    blocks.dropout.register_forward_hook(
        lambda _, x, out: silent.append(float((out == 0).all((2, 3)).float().mean()))
    )
    blocks(torch.randn(5, 96, 200))
    assert len(silent) == 4
    assert all(0.3 < share < 0.75 for share in silent)
