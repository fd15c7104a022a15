"""The first block: one convolution that is the same function as convolution and normalisation."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from matt.models import crnn
from matt.models.crnn import CRNN_POOLS, CRNN_TF_POOLS, ConvBlocks, FoldedBlock, SamePool

ACTIVATIONS = {"relu": nn.ReLU, "elu": nn.ELU}


@pytest.fixture(autouse=True)
def _one_thread_and_one_seed():
    torch.set_num_threads(1)
    torch.manual_seed(0)


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
