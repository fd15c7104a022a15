"""Every pooling under every head, against the definition written out bag by bag."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from matt.models.network import Encoded, build_network
from matt.models.pooling import POOLINGS, additive_scores, segment_sum
from matt.models.settings import ModelSettings

SIZES = [1, 5, 2, 3]  # 11 segments in 4 bags, one of them a single segment
F, D, G, A, H = 7, 13, 3, 6, 9  # no two axes have the same size
HEADS = {"linear": {}, "mlp": {"head": "mlp"}, "tanh": {"tanh_pooled": True}}


@pytest.fixture(autouse=True)
def _one_thread_and_one_seed():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def build(pooling, **given):
    settings = ModelSettings(
        hidden=(D,), dropout=0.0, pooling=pooling, attention_dim=A, head_hidden=H, **given
    )
    network = build_network(settings, (F,), G).double().eval()
    if hasattr(network.pooling, "scale"):
        torch.nn.init.constant_(network.pooling.scale, 1.3)  # at its start, 0, it is the mean
    return network


def ragged(sizes, *, seed=0):
    """Segments, offsets and log sizes; every second bag is one track."""
    rng = torch.Generator().manual_seed(seed)
    n = sum(sizes)
    whole = torch.tensor([size if b % 2 else 1 for b, size in enumerate(sizes)])
    log_sizes = whole.double().log().repeat_interleave(torch.tensor(sizes))
    x = torch.randn(n, F, generator=rng, dtype=torch.float64)
    return x, torch.tensor([0, *sizes]).cumsum(0), log_sizes


@pytest.fixture(params=sorted(POOLINGS))
def pooling(request):
    return request.param


@pytest.fixture(params=HEADS)
def network(request, pooling):
    return build(pooling, **HEADS[request.param])


def score(pooling, kind, h, g):
    """e_kg of one segment h (D,) and one genre, from the definition."""
    scale = getattr(pooling, "scale", None)
    if kind == "mean":
        return torch.zeros((), dtype=torch.float64)
    if kind == "shared":
        return scale * (pooling.query[0] @ h)
    if kind == "abmil":
        gate = torch.sigmoid(pooling.gate.weight @ h + pooling.gate.bias)
        value = torch.tanh(pooling.value.weight @ h + pooling.value.bias)
        return scale * (pooling.weight[0] @ (value * gate))
    q = pooling.queries[g]
    if kind == "dot":
        return scale * (q @ h)
    both = torch.cat([h, q])  # [h_k ; q_g]
    if kind == "additive":
        inner = torch.tanh(pooling.hidden.weight @ both + pooling.hidden.bias)
        return scale * (pooling.weight[0] @ inner)
    return torch.tanh(pooling.weight[0] @ both) + pooling.bias


def said(network, z):
    """What the head makes of one embedding z (D,)."""
    return network.classifier(z.tanh()).log_softmax(0) if network.tanh else network.classifier(z)


def loop(network, kind, x, offsets, log_sizes):
    """Logits (B, G), one bag, one genre and one segment after the other."""
    h = network.encoder(network.inputs(x))
    logits = torch.empty(len(offsets) - 1, G, dtype=torch.float64)
    for b in range(len(offsets) - 1):
        rows = range(int(offsets[b]), int(offsets[b + 1]))
        for g in range(G):
            if kind == "max":
                logits[b, g] = max(said(network, h[k])[g] for k in rows)
                continue
            e = torch.stack([score(network.pooling, kind, h[k], g) - log_sizes[k] for k in rows])
            a = e.softmax(0)
            z = sum(a[i] * h[k] for i, k in enumerate(rows))
            logits[b, g] = said(network, z)[g]
    return logits


def test_it_equals_a_loop_over_bags(network, pooling):
    bags = ragged(SIZES)
    torch.testing.assert_close(network(*bags).logits, loop(network, pooling, *bags))


@given(sizes=st.lists(st.integers(1, 8), min_size=1, max_size=9), seed=st.integers(0, 2**32))
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("kind", sorted(POOLINGS))
def test_ragged_bags_do_not_see_each_other(kind, head, sizes, seed):
    torch.manual_seed(0)
    network = build(kind, **HEADS[head])
    x, offsets, log_sizes = ragged(sizes, seed=seed)
    whole = network(x, offsets, log_sizes)
    parts = zip(x.split(sizes), log_sizes.split(sizes), strict=True)
    alone = [network(part, torch.tensor([0, len(part)]), n).logits for part, n in parts]
    torch.testing.assert_close(whole.logits, torch.cat(alone))
    sums = segment_sum(whole.attention, offsets)
    torch.testing.assert_close(sums, torch.ones_like(sums))
    single = torch.tensor(sizes) == 1
    torch.testing.assert_close(
        whole.logits[single], whole.segment_logits[offsets[:-1][single]]
    )  # a lone segment speaks for its bag


@given(
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=5),
    times=st.integers(1, 4),
    seed=st.integers(0, 2**32),
)
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("kind", sorted(POOLINGS))
def test_cutting_tracks_into_equal_copies_changes_nothing(kind, head, sizes, times, seed):
    torch.manual_seed(0)
    network = build(kind, **HEADS[head])
    x, offsets, log_sizes = ragged(sizes, seed=seed)
    copies = torch.from_numpy(np.random.default_rng(seed).integers(1, times + 1, len(x)))
    longer = torch.cat([torch.tensor([0]), copies.cumsum(0)])[offsets]
    more = (log_sizes + copies.log()).repeat_interleave(copies)
    torch.testing.assert_close(
        network(x.repeat_interleave(copies, 0), longer, more).logits,
        network(x, offsets, log_sizes).logits,
    )


def test_order_within_a_bag_does_not_matter(network):
    x, offsets, log_sizes = ragged(SIZES)
    flip = torch.cat([part.flip(0) for part in torch.arange(len(x)).split(SIZES)])
    torch.testing.assert_close(
        network(x[flip], offsets, log_sizes[flip]).logits, network(x, offsets, log_sizes).logits
    )


@pytest.mark.parametrize("step", [1, 4, 100])
def test_reading_in_parts_equals_the_whole(network, step):
    x, offsets, log_sizes = ragged(SIZES)
    parts = zip(x.split(step), log_sizes.split(step), strict=True)
    read = [network.segments(*part) for part in parts]
    encoded = Encoded(*(torch.cat(column) for column in zip(*read, strict=True)))
    assert encoded.values.shape == (len(x), D if network.pooled_first else G)
    logits, attention = network.pool(encoded, offsets)
    whole = network(x, offsets, log_sizes)
    torch.testing.assert_close(logits, whole.logits)
    torch.testing.assert_close(attention, whole.attention)
    torch.testing.assert_close(network.segment_logits(encoded.values), whole.segment_logits)


@pytest.mark.parametrize("training", [False, True])
def test_both_paths_agree_where_the_head_is_linear(pooling, training):
    """In training too, with the same mask: dropout of h is dropout of the pooled embedding."""
    network, bags = build(pooling, pooled_dropout=0.4).train(training), ragged(SIZES)
    for genre in (None, torch.tensor([2, 0, 1, 2])) if pooling == "dot" else (None,):
        found = []
        for network.pooled_first in (False, True):
            torch.manual_seed(3)
            out = network(*bags, genre=genre)
            gradients = torch.autograd.grad(out.logits.square().sum(), network.encoder.parameters())
            found.append([*out, *gradients])
        torch.testing.assert_close(*found)


def test_pooled_dropout_is_one_mask_a_bag_behind_the_scores(network, pooling):
    network.pooled_dropout = 0.4
    x, offsets, log_sizes = ragged(SIZES)
    torch.manual_seed(5)
    out = network.train()(x, offsets, log_sizes)
    torch.manual_seed(5)
    mask = torch.nn.functional.dropout(torch.ones(len(SIZES), D, dtype=torch.float64), 0.4)
    assert (mask == 0).any()
    network.pooled_dropout = 0.0
    plain = network(x, offsets, log_sizes)
    torch.testing.assert_close(out.attention, plain.attention)  # scores see no mask
    h = network.encoder(network.inputs(x))
    for b, (bag, a) in enumerate(zip(h.split(SIZES), plain.attention.split(SIZES), strict=True)):
        for g in range(G):
            z = a.expand(-1, G)[:, g] @ bag  # (D,)
            z = (z.tanh() if network.tanh else z) * mask[b]
            torch.testing.assert_close(out.logits[b, g], network.classifier(z)[g])


@pytest.mark.parametrize("size", [1e4, -1e4])
def test_huge_scores_stay_finite(network, pooling, size):
    x, offsets, log_sizes = ragged(SIZES)
    h = network.encoder(network.inputs(x))
    with torch.no_grad():
        if hasattr(network.pooling, "scale"):
            network.pooling.scale.copy_(2 * size / network.pooling(h).abs().max())
            assert network.pooling(h).abs().max() >= 1e4
        elif pooling == "max":
            for layer in network.classifier.modules():
                if isinstance(layer, torch.nn.Linear):
                    layer.weight.mul_(size)
        elif pooling == "scalar":
            network.pooling.bias.fill_(size)
    out = network(x, offsets, log_sizes)
    out.logits.sum().backward()
    assert out.logits.isfinite().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())
    sums = segment_sum(out.attention, offsets)
    torch.testing.assert_close(sums, torch.ones_like(sums))


def test_max_is_one_hot_and_equal_segments_share():
    network = build("max")
    x, offsets, log_sizes = ragged(SIZES)
    x[2] = x[1]  # of the second bag
    out = network(x, offsets, log_sizes)
    for logits, a in zip(out.segment_logits.split(SIZES), out.attention.split(SIZES), strict=True):
        highest = (logits == logits.amax(0)).double()
        torch.testing.assert_close(a, highest / highest.sum(0))
    assert set(out.attention.unique().tolist()) <= {0.0, 0.5, 1.0}


def test_one_genre_ranks_like_another_by_the_scalar_and_not_by_the_additive_score():
    """Eq. (1) to the letter: the genre is a constant inside a monotone function."""
    h = torch.randn(11, D, dtype=torch.float64)
    scalar, additive = (build(kind).pooling for kind in ("scalar", "additive"))
    torch.nn.init.normal_(scalar.queries)
    torch.nn.init.normal_(additive.queries, std=5.0)
    order = scalar(h).argsort(0)
    assert (order == order[:, :1]).all()
    assert (scalar(h) != scalar(h)[:, :1]).any()
    order = additive(h).argsort(0)
    assert (order != order[:, :1]).any()


def test_the_bias_of_the_scalar_score_cancels():
    network, bags = build("scalar"), ragged(SIZES)
    before = network(*bags).logits
    torch.nn.init.constant_(network.pooling.bias, 5.0)
    torch.testing.assert_close(network(*bags).logits, before)
    e = network.pooling(network.encoder(network.inputs(bags[0])))
    assert (e - 5).abs().max() < 1


def test_the_gradient_of_the_additive_score_agrees_with_differences():
    x, q, u = (
        torch.randn(*shape, dtype=torch.float64, requires_grad=True)
        for shape in ((5, A), (G, A), (A,))
    )
    assert torch.autograd.gradcheck(additive_scores, (x, q, u))


def kept_by(function, *tensors):
    """Numbers that autograd keeps for the backward pass, each memory counted once."""
    kept = {}

    def note(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        function(*tensors)
    return sum(kept.values()) // tensors[0].element_size()


def test_the_additive_score_keeps_no_array_of_segments_by_genres_by_units():
    n, genres, units = 101, 17, 23
    x, q, u = (
        torch.randn(*shape, requires_grad=True) for shape in ((n, units), (genres, units), (units,))
    )

    def plain(x, q, u):
        return (x[:, None] + q).tanh() @ u

    torch.testing.assert_close(additive_scores(x, q, u), plain(x, q, u))
    assert kept_by(plain, x, q, u) >= n * genres * units
    assert kept_by(additive_scores, x, q, u) <= x.numel() + q.numel() + u.numel()
