"""Pooling: how much each segment of a bag counts, genre by genre.

A pooling gives a score to every segment. The softmax over the bag, the same for all poolings but
the maximum, turns scores into attention, and nothing else is needed: with classifier rows M_g the
logit of a bag is the attention-weighted sum of the logits of its segments,

    o_g = M_g . sum_k a_kg h_k + c_g = sum_k a_kg (M_g . h_k + c_g),

because attention sums to 1 over the bag. No array of shape (B, G, D) is ever made.

Shapes: N segments in B bags, D embedding dimensions, G genres. Bags are ragged; ``offsets``
(B + 1,) says where each one starts, as in `matt.Bags`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .attention import (
    AdditiveQueries,
    GatedAttention,
    Pooling,
    QueryPooling,
    ScalarQueries,
    make_scale,
)
from .segments import bag_index, segment_max, segment_softmax, segment_sum
from .settings import ModelSettings

__all__ = [
    "POOLINGS",
    "GenreQueries",
    "Max",
    "Mean",
    "SharedAttention",
    "bag_index",
    "segment_max",
    "segment_softmax",
    "segment_sum",
]


class Mean(Pooling):
    """No segment stands out, for any genre: the paper's "+MIL"."""

    def forward(self, h: Tensor, genre: Tensor | None = None) -> Tensor:
        """(N, D) -> scores (N, 1), all 0."""
        return h.new_zeros(len(h), 1)


class Max(Pooling):
    """For each genre the segment with its highest logit speaks for the bag; equal ones share it.

    Its scores are those logits, without a gradient and without -log n_k: no track has a vote here,
    and a longer one has no larger maximum for being cut into more copies of itself.
    """

    reads_logits = True

    def forward(self, logits: Tensor, genre: Tensor | None = None) -> Tensor:
        """Segment logits (N, G) -> scores (N, G), the same."""
        return logits.detach()

    def attention(self, scores: Tensor, offsets: Tensor) -> Tensor:
        """One-hot at the highest score of each bag and genre: (N, G) -> (N, G)."""
        bag = bag_index(offsets)  # (N,)
        highest = (scores == segment_max(scores, offsets)[bag]).to(scores.dtype)
        return highest / segment_sum(highest, offsets)[bag]


class GenreQueries(QueryPooling):
    """One learned query per genre, e_kg = tau q_g . h_k: the paper's attention, as released.

    Parameters
    ----------
    embedding_dim, n_genres : int
    learn_scale : bool
        Learn tau from 0: training then starts from the mean, and attention has to earn its place.
        Otherwise tau is 1.
    frozen : bool
        As in `QueryPooling`.
    """

    def __init__(
        self, embedding_dim: int, n_genres: int, *, learn_scale: bool = True, frozen: bool = False
    ) -> None:
        super().__init__(embedding_dim, n_genres, frozen=frozen)
        self.scale = make_scale(learn_scale)

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
            return self.scale * (h @ self.table().T)
        return self.scale * (h * self.table()[genre]).sum(1, keepdim=True)


class SharedAttention(Pooling):
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
        self.scale = make_scale(learn_scale)
        nn.init.xavier_uniform_(self.query)

    def forward(self, h: Tensor, genre: Tensor | None = None) -> Tensor:
        """(N, D) -> scores (N, 1)."""
        return self.scale * (h @ self.query.T)


POOLINGS: dict[str, Callable[[int, int, ModelSettings], Pooling]] = {
    "mean": lambda dim, n_genres, s: Mean(),
    "max": lambda dim, n_genres, s: Max(),
    "shared": lambda dim, n_genres, s: SharedAttention(dim, learn_scale=s.scale == "learned"),
    "abmil": lambda dim, n_genres, s: GatedAttention(
        dim, s.attention_dim, learn_scale=s.scale == "learned"
    ),
    "dot": lambda dim, n_genres, s: GenreQueries(
        dim, n_genres, learn_scale=s.scale == "learned", frozen=s.frozen_queries
    ),
    "additive": lambda dim, n_genres, s: AdditiveQueries(
        dim,
        n_genres,
        s.attention_dim,
        learn_scale=s.scale == "learned",
        frozen=s.frozen_queries,
    ),
    "scalar": lambda dim, n_genres, s: ScalarQueries(dim, n_genres, frozen=s.frozen_queries),
}
