"""Losses against torch and against values worked by hand."""

import math

import numpy as np
import pytest
import torch

from matt.bags import Bags
from matt.models.losses import BagLoss, log_prior
from matt.models.network import Output
from matt.models.pooling import bag_index

OFFSETS = torch.tensor([0, 2, 3, 6, 7])  # 4 bags, 7 segments
LABELS = [0, 0, 0, 1]


def bags(labels=LABELS):
    return Bags(np.arange(7), OFFSETS.numpy(), labels, genres=("a", "b", "c"))


def output(seed=0):
    rng = torch.Generator().manual_seed(seed)
    logits, segments = torch.randn(4, 3, generator=rng), torch.randn(7, 3, generator=rng)
    return Output(logits, segments, torch.ones(7, 1))


def test_the_prior_is_worked_by_hand():
    prior = np.exp(log_prior(np.array(LABELS), np.ones(4, int), n_genres=3))
    np.testing.assert_allclose(prior, np.array([3.5, 1.5, 0.5]) / 5.5)
    prior = np.exp(log_prior(np.array(LABELS), np.array([2, 1, 3, 1]), n_genres=3))
    np.testing.assert_allclose(prior, np.array([6.5, 1.5, 0.5]) / 8.5)


def test_each_term_has_the_prior_of_its_own_unit():
    loss = BagLoss.of(bags(), np.array([2, 1, 3, 1]), tau=2.0, segment_weight=0.5)
    bag_shift = 2 * np.log(np.array([3.5, 1.5, 0.5]) / 5.5)
    segment_shift = 2 * np.log(np.array([6.5, 1.5, 0.5]) / 8.5)
    np.testing.assert_allclose(loss.bag_shift, bag_shift, rtol=1e-6)
    np.testing.assert_allclose(loss.segment_shift, segment_shift, rtol=1e-6)


def test_logit_adjustment_is_worked_by_hand():
    """Logits of 0 leave the prior alone: the loss of a bag is minus the log prior of its genre."""
    zero = Output(torch.zeros(4, 3), torch.zeros(7, 3), torch.ones(7, 1))
    loss = BagLoss.of(bags(), np.array([2, 1, 3, 1]), tau=1.0, segment_weight=0.5)
    on_bags = -(3 * math.log(3.5 / 5.5) + math.log(1.5 / 5.5)) / 4
    on_segments = -(6 * math.log(6.5 / 8.5) + math.log(1.5 / 8.5)) / 7
    found = loss(zero, torch.tensor(LABELS), bag_index(OFFSETS))
    assert float(found) == pytest.approx(on_bags + 0.5 * on_segments, rel=1e-6)


def test_without_adjustment_it_is_plain_cross_entropy():
    loss = BagLoss.of(bags(), np.array([2, 1, 3, 1]), tau=0.0, segment_weight=0.0)
    out, labels = output(), torch.tensor(LABELS)
    expected = torch.nn.functional.cross_entropy(out.logits, labels)
    torch.testing.assert_close(loss(out, labels, bag_index(OFFSETS)), expected)


def test_segments_are_scored_against_the_label_of_their_bag():
    labels, out = torch.tensor(LABELS), output()
    both = BagLoss.of(bags(), np.array([2, 1, 3, 1]), tau=0.0, segment_weight=0.25)
    expected = torch.nn.functional.cross_entropy(out.logits, labels)
    own = torch.tensor([0, 0, 0, 0, 0, 0, 1])
    expected += 0.25 * torch.nn.functional.cross_entropy(out.segment_logits, own)
    torch.testing.assert_close(both(out, labels, bag_index(OFFSETS)), expected)


def test_several_genres_a_bag_use_the_sigmoid_and_log_odds():
    several = np.array([[1, 1, 0], [1, 0, 0], [1, 0, 0], [0, 1, 0]], bool)
    loss = BagLoss.of(bags(several), np.array([2, 1, 3, 1]), tau=1.0, segment_weight=0.0)
    assert loss.link == "sigmoid"
    share = np.array([3.5, 2.5, 0.5]) / 5
    np.testing.assert_allclose(loss.bag_shift, np.log(share / (1 - share)), rtol=1e-6)
    out = output()
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        out.logits + loss.bag_shift, torch.from_numpy(several).float()
    )
    found = loss(out, torch.from_numpy(several), bag_index(OFFSETS))
    torch.testing.assert_close(found, expected)
