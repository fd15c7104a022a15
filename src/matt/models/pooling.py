"""Pooling: how much each segment of a bag counts, genre by genre.

A pooling gives a score to every segment. The softmax over the bag, the same for all poolings but
the maximum, turns scores into attention, and nothing else is needed: with classifier rows M_g the
logit of a bag is the attention-weighted sum of the logits of its segments,

    o_g = M_g . sum_k a_kg h_k + c_g = sum_k a_kg (M_g . h_k + c_g),

because attention sums to 1 over the bag. No array of shape (B, G, D) is ever made.

Shapes: N segments in B bags, D embedding dimensions, G genres, A dimensions of attention. Bags are
ragged; ``offsets`` (B + 1,) says where each one starts, as in `matt.Bags`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .registry import POOLINGS as POOLINGS
from .settings import ModelSettings


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
    highest = _max(scores, bag, len(offsets) - 1)  # (B, K)
    # index_select, as [bag] takes longer, there and on the way back.
    exp = (scores - highest.index_select(0, bag)).exp()  # (N, K), at most 1: cannot overflow
    return exp / _sum(exp, bag, len(offsets) - 1).index_select(0, bag)


def bag_index(offsets: Tensor) -> Tensor:
    """Bag number of each segment: (B + 1,) -> (N,)."""
    return torch.arange(len(offsets) - 1, device=offsets.device).repeat_interleave(offsets.diff())


def segment_sum(x: Tensor, offsets: Tensor) -> Tensor:
    """Sum over the segments of each bag: (N, ...) -> (B, ...)."""
    return _sum(x, bag_index(offsets), len(offsets) - 1)


def segment_max(x: Tensor, offsets: Tensor) -> Tensor:
    """Maximum over the segments of each bag, without a gradient: (N, K) -> (B, K)."""
    return _max(x, bag_index(offsets), len(offsets) - 1)


def _sum(x: Tensor, bag: Tensor, n_bags: int) -> Tensor:
    return x.new_zeros(n_bags, *x.shape[1:]).index_add(0, bag, x)


def _max(x: Tensor, bag: Tensor, n_bags: int) -> Tensor:
    low = x.new_full((n_bags, x.shape[1]), -torch.inf)
    return low.scatter_reduce(0, bag[:, None].expand_as(x), x.detach(), "amax")


class Pooling(nn.Module):
    """What all poolings have in common: scores become attention by a softmax over the bag.

    Attributes
    ----------
    reads_logits : bool
        The scores are the segments' logits (N, G), not made from their embeddings (N, D).
    """

    reads_logits = False

    def attention(self, scores: Tensor, offsets: Tensor) -> Tensor:
        """Attention (N, K) of scores (N, K); sums to 1 over each bag."""
        return segment_softmax(scores, offsets)


class QueryPooling(Pooling):
    """A pooling with one query per genre, q_g.

    Parameters
    ----------
    embedding_dim, n_genres : int
    frozen : bool
        The fault `frozen_queries`: queries are never trained, and training reads with one random
        table, inference with another. In the release both are lists beside the parameters, so no
        optimiser sees them.
    """

    queries: Tensor
    training_queries: Tensor

    def __init__(self, embedding_dim: int, n_genres: int, *, frozen: bool = False) -> None:
        super().__init__()
        self.frozen = frozen
        tables = [torch.empty(n_genres, embedding_dim) for _ in range(1 + frozen)]
        for table in tables:
            nn.init.xavier_uniform_(table)
        self.queries = nn.Buffer(tables[0]) if frozen else nn.Parameter(tables[0])
        if frozen:
            self.training_queries = nn.Buffer(tables[1])

    def table(self) -> Tensor:
        """Queries (G, D) that read now: in training and inference the same, unless frozen."""
        return self.training_queries if self.frozen and self.training else self.queries


class GatedAttention(Pooling):
    """One gated attention for all genres, e_k = tau w . (tanh(V h_k + b) * sigmoid(U h_k + d)).

    Parameters
    ----------
    embedding_dim : int
    attention_dim : int
        A, rows of V and U.
    learn_scale : bool
        As in `GenreQueries`.

    References
    ----------
    .. [1] Ilse, Tomczak & Welling, "Attention-based Deep Multiple Instance Learning", ICML 2018,
       eq. (9).
    """

    def __init__(self, embedding_dim: int, attention_dim: int, *, learn_scale: bool = True) -> None:
        super().__init__()
        self.value = nn.Linear(embedding_dim, attention_dim)  # V, b
        self.gate = nn.Linear(embedding_dim, attention_dim)  # U, d
        self.weight = nn.Parameter(torch.empty(1, attention_dim))  # w
        self.scale = make_scale(learn_scale)
        nn.init.xavier_uniform_(self.weight)

    def forward(self, h: Tensor, genre: Tensor | None = None) -> Tensor:
        """(N, D) -> scores (N, 1)."""
        gated: Tensor = self.value(h).tanh() * self.gate(h).sigmoid()  # (N, A)
        return self.scale * (gated @ self.weight.T)


class AdditiveQueries(QueryPooling):
    """One query per genre, e_kg = tau u . tanh(W_s [h_k ; q_g] + b_s).

    Eq. (1) of the paper, read with a weight *matrix*. An array of shape (N, G, A) is never made.

    Parameters
    ----------
    embedding_dim, n_genres : int
    attention_dim : int
        A, rows of W_s.
    learn_scale : bool
        As in `GenreQueries`.
    frozen : bool
        As in `QueryPooling`.
    """

    def __init__(
        self,
        embedding_dim: int,
        n_genres: int,
        attention_dim: int,
        *,
        learn_scale: bool = True,
        frozen: bool = False,
    ) -> None:
        super().__init__(embedding_dim, n_genres, frozen=frozen)
        self.hidden = nn.Linear(2 * embedding_dim, attention_dim)  # W_s, b_s
        self.weight = nn.Parameter(torch.empty(1, attention_dim))  # u
        self.scale = make_scale(learn_scale)
        nn.init.xavier_uniform_(self.weight)

    def forward(self, h: Tensor, genre: Tensor | None = None) -> Tensor:
        """Score segments, as `GenreQueries.forward`: (N, G), or (N, 1) with ``genre``."""
        of_segment, of_query = self.hidden.weight.chunk(2, dim=1)  # both (A, D)
        x = h @ of_segment.T  # (N, A)
        q = self.table() @ of_query.T + self.hidden.bias  # (G, A)
        if genre is not None:
            return self.scale * ((x + q[genre]).tanh() @ self.weight.T)
        return self.scale * additive_scores(x, q, self.weight[0])


class ScalarQueries(QueryPooling):
    """Eq. (1) to the letter, e_kg = tanh(w . h_k + v . q_g) + b_s: the fault `scalar_score`.

    W_s has one row, so a genre only adds a constant inside the tanh: every genre puts the segments
    of a bag in the same order. b_s cancels in the softmax and never learns. No two segments differ
    by more than 2, so none has more than e^2 times the attention of another.

    Parameters
    ----------
    embedding_dim, n_genres : int
    frozen : bool
        As in `QueryPooling`.
    """

    def __init__(self, embedding_dim: int, n_genres: int, *, frozen: bool = False) -> None:
        super().__init__(embedding_dim, n_genres, frozen=frozen)
        self.weight = nn.Parameter(torch.empty(1, 2 * embedding_dim))  # [w ; v]
        self.bias = nn.Parameter(torch.zeros(()))  # b_s
        nn.init.xavier_uniform_(self.weight)

    def forward(self, h: Tensor, genre: Tensor | None = None) -> Tensor:
        """Score segments, as `GenreQueries.forward`: (N, G), or (N, 1) with ``genre``."""
        w, v = self.weight.chunk(2, dim=1)  # both (1, D)
        of_query = self.table() @ v.T  # (G, 1)
        each = of_query.T if genre is None else of_query[genre]  # (1, G) or (N, 1)
        return (h @ w.T + each).tanh() + self.bias


class _AdditiveScores(torch.autograd.Function):
    """u . tanh(x_k + q_g) genre by genre; backward makes each (N, A) again and keeps none."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, q: Tensor, u: Tensor) -> Tensor:
        ctx.save_for_backward(x, q, u)
        scores, t = x.new_empty(len(x), len(q)), torch.empty_like(x)
        for genre, row in enumerate(q):
            scores[:, genre] = torch.add(x, row, out=t).tanh_() @ u
        return scores

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, q, u = ctx.saved_tensors
        to_x, to_q, to_u = torch.zeros_like(x), torch.empty_like(q), torch.zeros_like(u)
        t = torch.empty_like(x)  # one for all genres: freed and made anew, they break up the heap
        for genre, row in enumerate(q):
            torch.add(x, row, out=t).tanh_()  # (N, A)
            e = gradient[:, genre]  # (N,)
            to_u += e @ t
            slope = t.square_().neg_().add_(1)  # of tanh: 1 - t^2, in the same memory
            to_x.addcmul_(slope, e[:, None])
            to_q[genre] = e @ slope
        return to_x * u, to_q * u, to_u


def additive_scores(x: Tensor, q: Tensor, u: Tensor) -> Tensor:
    """Scores u . tanh(x_k + q_g) in memory of N x A + N x G, in backward too.

    Parameters
    ----------
    x : Tensor, shape (N, A)
        Of segments.
    q : Tensor, shape (G, A)
        Of genres.
    u : Tensor, shape (A,)

    Returns
    -------
    Tensor, shape (N, G)

    Examples
    --------
    >>> additive_scores(torch.zeros(2, 4), torch.zeros(3, 4), torch.ones(4)).shape
    torch.Size([2, 3])
    """
    scores: Tensor = _AdditiveScores.apply(x, q, u)  # type: ignore[no-untyped-call]
    return scores


def make_scale(learned: bool) -> Tensor:
    """Tau: a parameter that starts at 0, or a buffer of 1."""
    return nn.Parameter(torch.zeros(())) if learned else nn.Buffer(torch.ones(()))


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


POOLINGS.fill(
    ModelSettings,
    mean=lambda dim, n_genres, s: Mean(),
    max=lambda dim, n_genres, s: Max(),
    shared=lambda dim, n_genres, s: SharedAttention(dim, learn_scale=s.scale == "learned"),
    abmil=lambda dim, n_genres, s: GatedAttention(
        dim, s.attention_dim, learn_scale=s.scale == "learned"
    ),
    dot=lambda dim, n_genres, s: GenreQueries(
        dim, n_genres, learn_scale=s.scale == "learned", frozen=s.frozen_queries
    ),
    additive=lambda dim, n_genres, s: AdditiveQueries(
        dim,
        n_genres,
        s.attention_dim,
        learn_scale=s.scale == "learned",
        frozen=s.frozen_queries,
    ),
    scalar=lambda dim, n_genres, s: ScalarQueries(dim, n_genres, frozen=s.frozen_queries),
)
