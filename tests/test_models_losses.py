"""Losses against torch and against values worked by hand."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from torch.nn import functional

from matt.bags import Bags
from matt.models.losses import (
    BagLoss,
    Mix,
    Term,
    attention_divergence,
    cross_entropy,
    disagreement,
    log_prior,
)
from matt.models.network import BagOutput
from matt.models.pooling import bag_index
from matt.models.settings import TrainingSettings

OFFSETS = torch.tensor([0, 2, 3, 6, 7])  # 4 bags, 7 segments
LABELS = [0, 0, 0, 1]
SEVERAL = np.array([[1, 1, 0], [1, 0, 0], [1, 0, 0], [0, 1, 0]], bool)
N_SEGMENTS = np.array([2, 1, 3, 1])


def bags(labels=LABELS):
    return Bags(np.arange(7), OFFSETS.numpy(), labels, genres=("a", "b", "c"))


def loss_of(labels=LABELS, *, tau=0.0, segments=0.0, **settings):
    settings = TrainingSettings(logit_adjustment=tau, segment_loss=segments, **settings)
    return BagLoss.of(bags(labels), N_SEGMENTS, settings)


def output(seed=0):
    rng = torch.Generator().manual_seed(seed)
    logits, segments = torch.randn(4, 3, generator=rng), torch.randn(7, 3, generator=rng)
    return BagOutput(logits, segments, torch.ones(7, 1))


def test_the_prior_is_worked_by_hand():
    prior = np.exp(log_prior(np.array(LABELS), np.ones(4, int), n_genres=3))
    np.testing.assert_allclose(prior, np.array([3.5, 1.5, 0.5]) / 5.5)
    prior = np.exp(log_prior(np.array(LABELS), N_SEGMENTS, n_genres=3))
    np.testing.assert_allclose(prior, np.array([6.5, 1.5, 0.5]) / 8.5)


def test_each_term_has_the_prior_of_its_own_unit():
    loss = loss_of(tau=2.0, segments=0.5)
    bag_shift = 2 * np.log(np.array([3.5, 1.5, 0.5]) / 5.5)
    segment_shift = 2 * np.log(np.array([6.5, 1.5, 0.5]) / 8.5)
    np.testing.assert_allclose(loss.bags.shift, bag_shift, rtol=1e-6)
    np.testing.assert_allclose(loss.segments.shift, segment_shift, rtol=1e-6)


def test_the_prior_is_that_of_what_the_sampler_shows():
    """3 bags of one genre and 1 of the next, 2 shown of each; 6 and 1 segments become 4 and 2."""
    loss = loss_of(tau=1.0, segments=0.5, sampler="balanced")
    np.testing.assert_allclose(loss.bags.shift.exp(), np.array([2.5, 2.5, 0.5]) / 5.5, rtol=1e-6)
    shown = np.array([4.5, 2.5, 0.5]) / 7.5
    np.testing.assert_allclose(loss.segments.shift.exp(), shown, rtol=1e-6)


def test_logit_adjustment_is_worked_by_hand():
    """Logits of 0 leave the prior alone: the loss of a bag is minus the log prior of its genre."""
    zero = BagOutput(torch.zeros(4, 3), torch.zeros(7, 3), torch.ones(7, 1))
    on_bags = -(3 * math.log(3.5 / 5.5) + math.log(1.5 / 5.5)) / 4
    on_segments = -(6 * math.log(6.5 / 8.5) + math.log(1.5 / 8.5)) / 7
    found = loss_of(tau=1.0, segments=0.5)(zero, torch.tensor(LABELS), bag_index(OFFSETS))
    assert float(found) == pytest.approx(on_bags + 0.5 * on_segments, rel=1e-6)


def test_with_tau_1_it_is_the_balanced_softmax_of_counts_and_a_half():
    """Ren et al.: -log (n_y exp o_y / sum_g n_g exp o_g)."""
    logits, n = output().logits, torch.tensor([3.5, 1.5, 0.5])
    odds = n * logits.exp()
    expected = -(odds[range(4), LABELS] / odds.sum(1)).log().mean()
    found = loss_of(tau=1.0)(output(), torch.tensor(LABELS), bag_index(OFFSETS))
    torch.testing.assert_close(found, expected)


def test_without_adjustment_it_is_plain_cross_entropy():
    out, labels = output(), torch.tensor(LABELS)
    expected = functional.cross_entropy(out.logits, labels)
    torch.testing.assert_close(loss_of()(out, labels, bag_index(OFFSETS)), expected)


def test_segments_are_scored_against_the_label_of_their_bag():
    labels, out = torch.tensor(LABELS), output()
    expected = functional.cross_entropy(out.logits, labels)
    own = torch.tensor([0, 0, 0, 0, 0, 0, 1])
    expected += 0.25 * functional.cross_entropy(out.segment_logits, own)
    torch.testing.assert_close(loss_of(segments=0.25)(out, labels, bag_index(OFFSETS)), expected)


def test_class_balance_is_worked_by_hand():
    """beta = 1/2: 3 bags are 1.75 of effective number and 1 is 1, so weights go as 4/7 to 1."""
    loss = loss_of(loss="class_balanced", class_balanced_beta=0.5)
    weights = np.array([4 / 7, 1.0, 1.0]) / ((3 * 4 / 7 + 1) / 4)  # mean over the bags is 1
    np.testing.assert_allclose(loss.bags.weights, weights, rtol=1e-6)
    six = (1 - 0.5**6) / 0.5  # effective number of 6 segments
    weights = np.array([1 / six, 1.0, 1.0]) / ((6 / six + 1) / 7)
    np.testing.assert_allclose(loss.segments.weights, weights, rtol=1e-6)
    out, labels = output(), torch.tensor(LABELS)
    each = functional.cross_entropy(out.logits, labels, reduction="none")
    expected = (loss.bags.weights[labels] * each).mean()
    torch.testing.assert_close(loss(out, labels, bag_index(OFFSETS)), expected)


def test_beta_0_weighs_all_bags_alike_and_beta_near_1_all_genres():
    alike = loss_of(loss="class_balanced", class_balanced_beta=0.0).bags.weights
    np.testing.assert_allclose(alike, 1)
    genres = loss_of(loss="class_balanced", class_balanced_beta=1 - 1e-9).bags.weights
    assert 3 * float(genres[0]) == pytest.approx(float(genres[1]), rel=1e-4)


def test_the_focal_loss_is_worked_by_hand():
    """Two genres alike: p = 1/2, so gamma = 2 leaves a quarter of log 2."""
    term = Term("softmax", torch.zeros(2), each=partial(cross_entropy, gamma=2.0))
    found = term(torch.zeros(3, 2), torch.tensor([0, 1, 0]))
    assert float(found) == pytest.approx(math.log(2) / 4, rel=1e-6)
    of_each = Term("sigmoid", torch.zeros(2), each=partial(cross_entropy, gamma=2.0))
    found = of_each(torch.zeros(3, 2), torch.tensor([[0, 1], [1, 1], [0, 0]], dtype=torch.bool))
    assert float(found) == pytest.approx(math.log(2) / 4, rel=1e-6)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_the_focal_loss_is_the_formula_and_its_gradient_is_finite(gamma):
    logits = torch.tensor([[1.0, -2.0], [60.0, -60.0], [-3.0, 4.0]], requires_grad=True)
    labels = torch.tensor([1, 0, 1])
    p = logits.detach().double().softmax(1)[range(3), labels]
    expected = ((1 - p) ** gamma * -p.log()).mean()
    loss = Term("softmax", torch.zeros(2), each=partial(cross_entropy, gamma=gamma))(logits, labels)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    loss.backward()
    assert bool(logits.grad.isfinite().all())


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
def test_mixing_is_worked_by_hand(link):
    """Half of each of two bags: the mean logits, and the mean loss of the two labels."""
    logits, shift = torch.tensor([[2.0, 0.0, 1.0], [0.0, 4.0, 1.0]]), torch.tensor([0.1, 0.2, 0.3])
    labels = torch.tensor([0, 1])
    if link == "sigmoid":
        labels = torch.tensor([[1, 0, 0], [0, 1, 1]], dtype=torch.bool)
    mix = Mix(torch.tensor([1, 0]), torch.tensor([0.5, 0.5]))
    term = Term(link, shift)
    mean = logits.mean(0, keepdim=True).expand(2, 3)
    torch.testing.assert_close(term(logits, labels, mix), term(mean, labels))


def test_a_share_of_1_mixes_nothing():
    logits, labels = output().logits, torch.tensor(LABELS)
    term = loss_of(loss="class_balanced").bags
    alone = Mix(torch.arange(4).roll(1), torch.ones(4))
    torch.testing.assert_close(term(logits, labels, alone), term(logits, labels))
    other = Mix(torch.arange(4).roll(1), torch.zeros(4))
    there = torch.arange(4).roll(1)
    expected = term(logits[there], labels[there])
    torch.testing.assert_close(term(logits, labels, other), expected)


def test_several_genres_a_bag_use_the_sigmoid_and_log_odds():
    loss = loss_of(SEVERAL, tau=1.0)
    assert loss.bags.link == loss.segments.link == "sigmoid"
    share = np.array([3.5, 2.5, 0.5]) / 5
    np.testing.assert_allclose(loss.bags.shift, np.log(share / (1 - share)), rtol=1e-6)
    out = output()
    expected = functional.binary_cross_entropy_with_logits(
        out.logits + loss.bags.shift, torch.from_numpy(SEVERAL).float()
    )
    found = loss(out, torch.from_numpy(SEVERAL), bag_index(OFFSETS))
    torch.testing.assert_close(found, expected)


def test_divergence_of_attention_is_worked_by_hand():
    """A bag of two tracks, one of them cut in two, and a bag of one.

    Votes are 1/4, 1/4 and 1/2. All attention on the last is log 2 away, none on the first two.
    """
    attention = torch.tensor([[0.0, 0.25], [0.0, 0.25], [1.0, 0.5], [1.0, 1.0]], requires_grad=True)
    log_sizes = torch.tensor([math.log(2), math.log(2), 0.0, 0.0])
    found = attention_divergence(attention, log_sizes, torch.tensor([0, 3, 4]))
    assert found.item() == pytest.approx(math.log(2) / 4, rel=1e-6)  # 2 bags, 2 columns
    found.backward()
    assert bool(attention.grad.isfinite().all())


def test_divergence_with_one_segment_a_track_is_log_n_less_the_entropy():
    a = torch.tensor([0.5, 0.3, 0.2])
    entropy = -(a * a.log()).sum()
    found = attention_divergence(a[:, None], torch.zeros(3), torch.tensor([0, 3]))
    torch.testing.assert_close(found, math.log(3) - entropy)


def test_disagreement_is_worked_by_hand():
    """A bag of two segments and a bag of one, which agrees with itself.

    With the prior 1 : 3 the bag says 1/2 : 1/2; its segments say 1/4 : 3/4 and 1/10 : 9/10.
    """
    prior = torch.tensor([1.0, 3.0]).log()
    said = torch.tensor([[1.0, 1.0], [4.0, 1.0]]).log() - prior
    logits = said.clone().requires_grad_()
    there = torch.tensor([[1.0, 3.0], [1.0, 9.0], [4.0, 1.0]]).log() - prior
    segments = there.clone().requires_grad_()
    found = disagreement(logits, segments, torch.tensor([0, 0, 1]), Term("softmax", prior))
    to_a_half = [math.log(2 * share) ** 2 for share in (1 / 4, 3 / 4, 1 / 10, 9 / 10)]
    assert found.item() == pytest.approx((sum(to_a_half) + 0) / (3 * 2))
    found.backward()
    assert segments.grad.abs().max() > 0.1 < logits.grad.abs().max()
    torch.testing.assert_close(segments.grad[2], torch.zeros(2))


def test_of_several_genres_every_logit_counts_as_it_is_in_proportion_to_their_loss():
    logits = torch.tensor([[1.0, 2.0, 3.0]])
    segments = torch.tensor([[3.0, 1.0, 2.0], [2.0, 6.0, 7.0]])
    term = Term("sigmoid", torch.tensor([-1.0, -2.0, 0.5]))
    found = disagreement(logits, segments, torch.tensor([0, 0]), term)
    assert found.item() == pytest.approx((4 + 1 + 1 + 1 + 16 + 16) / 6 / 3)


def test_what_all_genres_have_in_common_is_no_disagreement():
    out, bag = output(), bag_index(OFFSETS)
    shifted = out.segment_logits + torch.arange(7.0)[:, None]
    term = Term("softmax", torch.zeros(out.logits.shape[1]))
    torch.testing.assert_close(
        disagreement(out.logits, shifted, bag, term),
        disagreement(out.logits, out.segment_logits, bag, term),
    )
