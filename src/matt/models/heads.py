"""Heads: logits of embeddings, (..., D) -> (..., G)."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from .settings import ModelSettings


class MLPHead(nn.Sequential):
    """One hidden layer with ReLU before the logits: a reading of "+MIL", whose head is unpublished.

    Parameters
    ----------
    embedding_dim, hidden, n_genres : int
        Units of the input, of the hidden layer and of the output.
    """

    def __init__(self, embedding_dim: int, hidden: int, n_genres: int) -> None:
        super().__init__(nn.Linear(embedding_dim, hidden), nn.ReLU(), nn.Linear(hidden, n_genres))


HEADS: dict[str, Callable[[int, int, ModelSettings], nn.Module]] = {
    "linear": lambda dim, n_genres, s: nn.Linear(dim, n_genres),
    "mlp": lambda dim, n_genres, s: MLPHead(dim, s.head_hidden, n_genres),
}
