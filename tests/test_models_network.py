"""Properties that any bag network must have, whatever its encoder, pooling and parameters."""

from typing import get_args

import pytest
import torch

from matt.models.network import BagNetwork, Encoded, Standardise, build_network, moment_shape
from matt.models.pooling import (
    POOLINGS,
    GenreQueries,
    Mean,
    ScalarQueries,
    SharedAttention,
    bag_index,
    segment_max,
    segment_softmax,
    segment_sum,
)
from matt.models.settings import QUERY_POOLINGS, ModelSettings, PoolingName

SIZES = [1, 5, 2, 3]  # 11 segments in 4 bags, one of them a single segment
F, D, G = 7, 13, 3  # no two axes have the same size: a swapped axis cannot go unseen


@pytest.fixture(autouse=True)
def _one_thread_and_one_seed():
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture
def bags():
    """Segments, offsets and log sizes; the third bag's two segments are one track."""
    x = torch.randn(sum(SIZES), F, dtype=torch.float64)
    log_sizes = torch.zeros(len(x), dtype=torch.float64)
    log_sizes[6:8] = torch.tensor(2.0, dtype=torch.float64).log()
    return x, torch.tensor([0, *SIZES]).cumsum(0), log_sizes


def build(*, spread=False, **settings):
    model = ModelSettings(hidden=(17, D), dropout=0.5, inputs="standard", spread=spread, **settings)
    network = build_network(model, (F,), G).double()
    if spread:
        torch.nn.init.normal_(network.spread.weight)  # at its start, 0, it says nothing
    if getattr(network.pooling, "scale", None) is not None:
        torch.nn.init.constant_(network.pooling.scale, 1.3)  # at its start, 0, it is the mean
    network.inputs.mean.normal_()
    network.inputs.scale.uniform_(0.5, 2)
    return network


@pytest.fixture(params=["mlp", "identity"])
def encoder(request):
    return request.param


@pytest.fixture(params=get_args(PoolingName))
def network(request, encoder):
    return build(encoder=encoder, pooling=request.param).eval()


@pytest.fixture(params=get_args(PoolingName))
def spreading(request, encoder):
    return build(encoder=encoder, pooling=request.param, spread=True).eval()


def test_shapes_and_attention_sums_to_one(network, bags):
    out = network(*bags)
    assert out.logits.shape == (len(SIZES), G)
    assert out.segment_logits.shape == (sum(SIZES), G)
    assert out.attention.shape[0] == sum(SIZES)
    assert out.attention.shape[1] in (1, G)
    torch.testing.assert_close(
        segment_sum(out.attention, bags[1]),
        torch.ones_like(out.logits)[:, : out.attention.shape[1]],
    )


def test_order_within_a_bag_does_not_matter(network, bags):
    x, offsets, log_sizes = bags
    flip = torch.cat([part.flip(0) for part in torch.arange(len(x)).split(SIZES)])
    torch.testing.assert_close(
        network(x[flip], offsets, log_sizes[flip]).logits, network(x, offsets, log_sizes).logits
    )


def test_a_bag_does_not_see_its_neighbours(network, bags):
    x, offsets, log_sizes = bags
    parts = zip(x.split(SIZES), log_sizes.split(SIZES), strict=True)
    alone = [network(bag, torch.tensor([0, len(bag)]), sizes).logits for bag, sizes in parts]
    torch.testing.assert_close(network(x, offsets, log_sizes).logits, torch.cat(alone))


def test_a_single_segment_speaks_for_its_bag(spreading, bags):
    out = spreading(*bags)
    torch.testing.assert_close(out.logits[0], out.segment_logits[0])
    assert not torch.allclose(out.logits[1], out.segment_logits[1])


def test_cutting_a_track_into_equal_copies_changes_nothing(spreading, bags):
    x, offsets, log_sizes = bags
    copies = torch.tensor([1, 3, 1, 2, 1, 1, 4, 4, 1, 2, 5])  # of each of the 11 segments
    longer = torch.cat([torch.tensor([0]), copies.cumsum(0)])[offsets]
    sizes = (log_sizes + copies.log()).repeat_interleave(copies)
    torch.testing.assert_close(
        spreading(x.repeat_interleave(copies, 0), longer, sizes).logits,
        spreading(x, offsets, log_sizes).logits,
    )


def test_equals_the_form_of_the_paper(network, bags):
    """Eq. (2)-(5) bag by bag and genre by genre: pool the embeddings, then classify."""
    x, offsets, log_sizes = bags
    logits = network(x, offsets, log_sizes).logits
    h = network.encoder(network.inputs(x))
    if network.pooling.reads_logits:
        scores = 1e9 * network.classifier(h)  # its softmax is one-hot at the highest logit
    else:
        scores = (network.pooling(h) - log_sizes[:, None]).expand(-1, G)
    for b, (bag, e) in enumerate(zip(h.split(SIZES), scores.split(SIZES), strict=True)):
        for g in range(G):
            pooled = e[:, g].softmax(0) @ bag  # (D,)
            torch.testing.assert_close(logits[b, g], network.classifier(pooled)[g])


def test_reading_segments_in_parts_and_pooling_them_equals_the_whole(spreading, bags):
    x, offsets, log_sizes = bags
    chunks = [spreading.segments(*c) for c in zip(x.split(2), log_sizes.split(2), strict=True)]
    encoded = Encoded(*(torch.cat(column) for column in zip(*chunks, strict=True)))
    logits, attention = spreading.pool(encoded, offsets)
    whole = spreading(x, offsets, log_sizes)
    torch.testing.assert_close(logits, whole.logits)
    torch.testing.assert_close(attention, whole.attention)


def test_every_parameter_learns(spreading, bags):
    logits = spreading(*bags).logits
    torch.nn.functional.cross_entropy(logits, torch.tensor([2, 0, 1, 2])).backward()
    still = {
        name
        for name, p in spreading.named_parameters()
        if p.grad is None or p.grad.abs().max() < 1e-9
    }
    # The bias of eq. (1) to the letter is added to every score, so it cancels in the softmax.
    assert still == ({"pooling.bias"} if isinstance(spreading.pooling, ScalarQueries) else set())


def test_evaluation_is_deterministic_and_training_is_not(encoder, bags):
    network = build(encoder=encoder, pooled_dropout=0.4)
    network.eval()
    torch.testing.assert_close(network(*bags).logits, network(*bags).logits, rtol=0, atol=0)
    network.train()
    assert not torch.allclose(network(*bags).logits, network(*bags).logits)


@pytest.mark.parametrize("pooling", ["shared", "abmil", "dot", "additive"])
def test_attention_starts_as_the_mean_of_tracks(pooling, bags):
    asleep = build_network(ModelSettings(pooling=pooling), (F,), G).double().eval()
    mean = BagNetwork(asleep.inputs, asleep.encoder, Mean(), asleep.classifier).eval()
    torch.testing.assert_close(asleep(*bags).logits, mean(*bags).logits)


def test_a_fixed_scale_is_one_and_does_not_learn():
    pooling = GenreQueries(D, G, learn_scale=False)
    h = torch.randn(5, D)
    torch.testing.assert_close(pooling(h), h @ pooling.queries.T)
    assert [name for name, _ in pooling.named_parameters()] == ["queries"]
    assert SharedAttention(D, learn_scale=False).scale == 1


@pytest.mark.parametrize("pooling", QUERY_POOLINGS)
def test_the_true_query_is_the_column_of_the_true_genre(pooling, bags):
    network = build(pooling=pooling).eval()
    x, offsets, _ = bags
    genre = torch.tensor([2, 0, 1, 2])
    every, true = network(*bags), network(*bags, genre=genre)
    own = genre[bag_index(offsets)][:, None]
    assert true.attention.shape == (len(x), 1)
    torch.testing.assert_close(true.attention, every.attention.gather(1, own))
    # All genres are read with the true genre's attention, so only its own logit is the same.
    torch.testing.assert_close(
        true.logits.gather(1, genre[:, None]), every.logits.gather(1, genre[:, None])
    )
    assert not torch.allclose(true.logits, every.logits)


@pytest.mark.parametrize("pooling", QUERY_POOLINGS)
def test_the_true_query_alone_learns(pooling, bags):
    network = build(pooling=pooling).eval()
    genre = torch.tensor([2, 0, 0, 2])
    torch.nn.functional.cross_entropy(network(*bags, genre=genre).logits, genre).backward()
    moved = network.pooling.queries.grad.abs().sum(1) > 0
    assert moved.tolist() == [True, False, True]


def test_pooled_dropout_is_one_mask_a_bag_on_the_value_path(bags):
    """Equal to dropout of each pooled embedding, where pooling is shared and so has only one."""
    network = build(encoder="identity", pooling="shared", pooled_dropout=0.4).train()
    x, offsets, log_sizes = bags
    torch.manual_seed(5)
    out = network(x, offsets, log_sizes)
    torch.manual_seed(5)
    mask = torch.nn.functional.dropout(torch.ones(len(SIZES), F, dtype=torch.float64), 0.4)
    h = network.inputs(x)
    attention = segment_softmax(network.pooling(h) - log_sizes[:, None], offsets)
    torch.testing.assert_close(out.attention, attention)  # scores see no mask
    pooled = segment_sum(attention * h, offsets)
    torch.testing.assert_close(out.logits, network.classifier(mask * pooled))
    assert (mask == 0).any()
    assert not torch.allclose(network.classifier(pooled), out.logits)


@pytest.mark.parametrize("pooling", get_args(PoolingName))
def test_sums_stay_float32_under_autocast(pooling, bags):
    network = build(pooling=pooling).float().eval()
    x, offsets, log_sizes = bags
    with torch.autocast("cpu", torch.bfloat16):
        assert network.encoder(network.inputs(x)).dtype == torch.bfloat16
        out = network(x.float(), offsets, log_sizes.float())
    assert {part.dtype for part in out} == {torch.float32}
    torch.testing.assert_close(
        segment_sum(out.attention * out.segment_logits, offsets), out.logits, rtol=1e-6, atol=1e-6
    )


def test_softmax_agrees_with_torch_bag_by_bag(bags):
    x, offsets, _ = bags
    expected = torch.cat([bag.softmax(0) for bag in x.split(SIZES)])
    torch.testing.assert_close(segment_softmax(x, offsets), expected)


def test_sum_and_maximum_agree_with_torch_bag_by_bag(bags):
    x, offsets, _ = bags
    parts = x.split(SIZES)
    torch.testing.assert_close(segment_sum(x, offsets), torch.stack([p.sum(0) for p in parts]))
    torch.testing.assert_close(segment_max(x, offsets), torch.stack([p.amax(0) for p in parts]))


def test_the_gradient_of_the_softmax_agrees_with_torch(bags):
    x, offsets, _ = bags
    x.requires_grad_()
    target = torch.randn_like(x)
    (ours,) = torch.autograd.grad((segment_softmax(x, offsets) * target).sum(), x)
    theirs = torch.cat([bag.softmax(0) for bag in x.split(SIZES)])
    (expected,) = torch.autograd.grad((theirs * target).sum(), x)
    torch.testing.assert_close(ours, expected)


def test_softmax_survives_huge_scores():
    attention = segment_softmax(torch.tensor([[1e4], [0.0], [-1e4]]), torch.tensor([0, 2, 3]))
    torch.testing.assert_close(attention, torch.tensor([[1.0], [0.0], [1.0]]))


def test_mismatched_offsets_are_explained():
    with pytest.raises(ValueError, match="offsets end at 4 but scores has 3 rows; make both"):
        segment_softmax(torch.zeros(3, 1), torch.tensor([0, 4]))


@pytest.mark.parametrize("name", sorted(POOLINGS))
def test_every_pooling_scores_segments(name):
    pooling = POOLINGS[name](D, G, ModelSettings())
    scores = pooling(torch.randn(11, G if pooling.reads_logits else D))
    assert scores.shape in ((11, 1), (11, G))


def test_inputs_are_standardised_and_clipped():
    inputs = Standardise((2, 3))
    assert inputs.mean.shape == moment_shape((2, 3)) == (2, 1)
    inputs.mean.copy_(torch.tensor([[1.0], [0.0]]))
    inputs.scale.copy_(torch.tensor([[2.0], [1.0]]))
    x = torch.tensor([[[1.0, 3.0, -1.0], [5.0, 99.0, -99.0]]], dtype=torch.float16)
    expected = torch.tensor([[[0.0, 1.0, -1.0], [5.0, 10.0, -10.0]]])
    torch.testing.assert_close(inputs(x), expected)


@pytest.mark.parametrize("encoder", ["mlp", "identity"])
def test_input_dropout_silences_entries_in_training_alone(encoder):
    seen = []
    model = ModelSettings(inputs="standard", encoder=encoder, input_dropout=0.75)
    network = build_network(model, (F,), G)
    network.encoder.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    x, offsets = torch.full((400, F), 2.0), torch.tensor([0, 100, 400])
    torch.manual_seed(0)
    for mode in (True, False):
        network.train(mode)(x, offsets, torch.zeros(400))
    silenced = seen[0] == 0
    torch.testing.assert_close(seen[0][~silenced], torch.tensor(8.0).expand((~silenced).sum()))
    assert silenced.float().mean().item() == pytest.approx(0.75, abs=0.05)
    assert len(silenced.unique(dim=0)) > 2  # each segment has its own
    torch.testing.assert_close(seen[1], x)
