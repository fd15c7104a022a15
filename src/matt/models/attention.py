"""Scores that take more than one product: gated, additive, and eq. (1) to the letter.

Shapes: N segments, D embedding dimensions, G genres, A dimensions of attention.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .segments import segment_softmax


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
