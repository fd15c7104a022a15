"""Pooling: how much each segment of a bag counts, genre by genre.

A pooling gives a score to every segment. The softmax over the bag, the same for all poolings,
turns scores into attention, and nothing else is needed: with classifier rows M_g the logit of a bag
is the attention-weighted sum of the logits of its segments,

    o_g = M_g . sum_k a_kg h_k + c_g = sum_k a_kg (M_g . h_k + c_g),

because attention sums to 1 over the bag. No array of shape (B, G, D) is ever made.

Shapes: N segments in B bags, D embedding dimensions, G genres. Bags are ragged; ``offsets``
(B + 1,) says where each one starts, as in `matt.Bags`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


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


class Mean(nn.Module):
    """No segment stands out, for any genre: the paper's "+MIL"."""

    def forward(self, h: Tensor, genre: Tensor | None = None) -> Tensor:
        """(N, D) -> scores (N, 1), all 0."""
        return h.new_zeros(len(h), 1)


class GenreQueries(nn.Module):
    """One learned query per genre, e_kg = tau q_g . h_k: the paper's attention, as released.

    Parameters
    ----------
    embedding_dim, n_genres : int
    learn_scale : bool
        Learn tau from 0: training then starts from the mean, and attention has to earn its place.
        Otherwise tau is 1.
    """

    def __init__(self, embedding_dim: int, n_genres: int, *, learn_scale: bool = True) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.empty(n_genres, embedding_dim))
        self.scale = _scale(learn_scale)
        nn.init.xavier_uniform_(self.queries)

    def forward(self, h: Tensor, genre: Tensor | None = None) -> Tensor:
        """Score segments.

        Parameters
        ----------
        h : Tensor, shape (N, D)
        genre : int Tensor, shape (N,), optional
            Read each segment with the query of this genre alone.

        Returns
        -------
        Tensor, shape (N, G), or (N, 1) with ``genre``
        """
        if genre is None:
            return self.scale * (h @ self.queries.T)
        return self.scale * (h * self.queries[genre]).sum(1, keepdim=True)


class SharedAttention(nn.Module):
    """One learned query for all genres, e_k = tau w . h_k.

    Parameters
    ----------
    embedding_dim : int
    learn_scale : bool
        As in `GenreQueries`.
    """

    def __init__(self, embedding_dim: int, *, learn_scale: bool = True) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.empty(1, embedding_dim))
        self.scale = _scale(learn_scale)
        nn.init.xavier_uniform_(self.query)

    def forward(self, h: Tensor, genre: Tensor | None = None) -> Tensor:
        """(N, D) -> scores (N, 1)."""
        return self.scale * (h @ self.query.T)


def _scale(learned: bool) -> Tensor:
    return nn.Parameter(torch.zeros(())) if learned else nn.Buffer(torch.ones(()))


POOLINGS: dict[str, Callable[[int, int, bool], nn.Module]] = {
    "mean": lambda dim, n_genres, learn_scale: Mean(),
    "dot": lambda dim, n_genres, learn_scale: GenreQueries(dim, n_genres, learn_scale=learn_scale),
    "shared": lambda dim, n_genres, learn_scale: SharedAttention(dim, learn_scale=learn_scale),
}
