"""Dropout on a CPU beside torch's own."""

import pytest
import torch

from matt.models.dropout import Dropout


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5, 0.9])
def test_each_value_is_left_out_with_probability_p_and_the_mean_is_kept(p):
    torch.manual_seed(0)
    found = Dropout(p)(torch.ones(400, 251))
    left_out, n = float((found == 0).double().mean()), found.numel()
    assert abs(left_out - p) < 5 * (p * (1 - p) / n) ** 0.5
    assert found.max() * (1 - p) == pytest.approx(1, abs=1e-4)
    assert float(found.mean()) == pytest.approx(1, abs=0.03)


def test_neighbours_and_quarters_of_a_number_are_drawn_apart():
    torch.manual_seed(0)
    kept = (Dropout(0.4)(torch.ones(30_000, 12)) > 0).double()  # each row is three numbers
    found = torch.corrcoef(kept.T) - torch.eye(12)
    assert float(found.abs().max()) < 5 / 30_000**0.5
    assert float(torch.corrcoef(torch.stack([kept[1:, 0], kept[:-1, 0]]))[0, 1].abs()) < 0.03


def test_the_gradient_goes_where_values_went():
    torch.manual_seed(0)
    x = torch.randn(7, 13, dtype=torch.float64, requires_grad=True)
    found = Dropout(0.5)(x)
    found.sum().backward()
    torch.testing.assert_close(x.grad * x, found)


@pytest.mark.parametrize("p", [0.0, 1e-7, 0.999999, 1.0])
@pytest.mark.parametrize("shape", [(0, 3), (1,), (5, 3)])
def test_edges(p, shape):
    torch.manual_seed(0)
    found = Dropout(p)(torch.ones(shape))
    assert found.shape == shape
    torch.testing.assert_close(found, torch.full(shape, float(p < 0.5)))


def test_in_evaluation_and_of_other_layouts_it_is_torchs_own():
    x = torch.randn(2, 3, 5, 7).to(memory_format=torch.channels_last)
    ours, theirs = Dropout(0.5), torch.nn.Dropout(0.5)
    torch.testing.assert_close(ours.eval()(x), x, rtol=0, atol=0)
    ours.train()
    torch.manual_seed(1)
    expected = theirs(x)
    torch.manual_seed(1)
    torch.testing.assert_close(ours(x), expected, rtol=0, atol=0)


def test_a_seed_draws_the_same_mask_and_half_precision_stays_half():
    x = torch.ones(3, 5, dtype=torch.bfloat16)
    torch.manual_seed(2)
    first = Dropout(0.5)(x)
    torch.manual_seed(2)
    torch.testing.assert_close(Dropout(0.5)(x), first, rtol=0, atol=0)
    assert first.dtype == torch.bfloat16
