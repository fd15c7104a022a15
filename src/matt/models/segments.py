"""Softmax, sum and maximum over the segments of each bag.

Shapes: N segments in B bags. Bags are ragged; ``offsets`` (B + 1,) says where each one starts, as
in `matt.Bags`.
"""

from __future__ import annotations

import torch
from torch import Tensor


def segment_softmax(scores: Tensor, offsets: Tensor) -> Tensor:
    """Softmax over the segments of each bag.

    Parameters
    ----------
    scores : Tensor, shape (N, K)
        One column per query; columns are normalised independently.
    offsets : int Tensor, shape (B + 1,)
        Start of each bag in ``scores``; the last entry is N.

    Returns
    -------
    Tensor, shape (N, K)
        Attention in [0, 1] that sums to 1 over each bag.

    Raises
    ------
    ValueError
        If ``offsets`` does not end at N.

    References
    ----------
    .. [1] Liu & Zhang, "MATT: A Multiple-instance Attention Mechanism for Long-tail
       Music Genre Classification", eq. (2).

    Examples
    --------
    Two bags, of two segments and of one:

    >>> segment_softmax(torch.tensor([[0.0], [0.0], [7.0]]), torch.tensor([0, 2, 3])).T
    tensor([[0.5000, 0.5000, 1.0000]])
    """
    if offsets[-1] != len(scores):
        raise ValueError(
            f"offsets end at {int(offsets[-1])} but scores has {len(scores)} rows; "
            "make both from the same Bags"
        )
    bag = bag_index(offsets)  # (N,)
    highest = segment_max(scores, offsets)  # (B, K)
    exp = (scores - highest[bag]).exp()  # (N, K), at most 1: cannot overflow
    return exp / segment_sum(exp, offsets)[bag]


def bag_index(offsets: Tensor) -> Tensor:
    """Bag number of each segment: (B + 1,) -> (N,)."""
    return torch.arange(len(offsets) - 1, device=offsets.device).repeat_interleave(offsets.diff())


def segment_sum(x: Tensor, offsets: Tensor) -> Tensor:
    """Sum over the segments of each bag: (N, ...) -> (B, ...)."""
    return x.new_zeros(len(offsets) - 1, *x.shape[1:]).index_add(0, bag_index(offsets), x)


def segment_max(x: Tensor, offsets: Tensor) -> Tensor:
    """Maximum over the segments of each bag, without a gradient: (N, K) -> (B, K)."""
    bag = bag_index(offsets)[:, None].expand_as(x)
    low = x.new_full((len(offsets) - 1, x.shape[1]), -torch.inf)
    return low.scatter_reduce(0, bag, x.detach(), "amax")
