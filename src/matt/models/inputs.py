"""Inputs: what features go through before the encoder, learned from the training segments.

Whatever is learned are buffers, so that it is saved with the network.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

CLIP = 10.0  # standard deviations: beyond it a value says "extreme", and nothing more
N_QUANTILES = 257


class Standardise(nn.Module):
    """Subtract the mean, divide by the standard deviation, clip: (N, *shape) -> the same, float32.

    Mean and scale are buffers, so they are saved with the network.

    Parameters
    ----------
    shape : sequence of int
        Of one segment. A map (F, T) has one mean per band, (F, 1); a vector one per entry.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        kept = moment_shape(shape)
        self.mean = nn.Buffer(torch.zeros(kept))
        self.scale = nn.Buffer(torch.ones(kept))

    def forward(self, x: Tensor) -> Tensor:
        """(N, *shape) -> (N, *shape), within ±10."""
        return ((x.to(self.mean.dtype) - self.mean) / self.scale).clamp(-CLIP, CLIP)


class Quantiles(nn.Module):
    """Rank of a value among the training values, as a normal score: (N, *shape) -> the same.

    A value gets the quantile of the normal distribution at its rank, so each feature is normally
    distributed over the training segments whatever its scale and its outliers. Ranks are read off
    a table of quantiles, linearly between two; a value that several quantiles share has the mean of
    their ranks, and one outside of the table its end.

    Parameters
    ----------
    shape : sequence of int
        Of one segment, as in `Standardise`.
    """

    table: Tensor

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.n_features = math.prod(moment_shape(shape))
        self.table = nn.Buffer(torch.linspace(-1, 1, N_QUANTILES).repeat(self.n_features, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, *shape) -> (N, *shape), within about ±3."""
        wide = x.to(self.table.dtype)
        n, length = len(x), math.prod(x.shape[2:])
        rows = wide.reshape(n, self.n_features, length).transpose(0, 1)  # (F, N, T)
        flat = rows.reshape(self.n_features, n * length).contiguous()  # (F, N T)
        low = torch.searchsorted(self.table, flat)
        high = torch.searchsorted(self.table, flat, right=True)
        last = N_QUANTILES - 1
        left = (low - 1).clamp(0, last - 1)
        from_, to = self.table.gather(1, left), self.table.gather(1, left + 1)
        part = (flat - from_) / (to - from_).clamp_min(torch.finfo(flat.dtype).tiny)
        rank = torch.where(high > low, (low + high - 1) / 2, left + part.clamp(0, 1)) / last
        edge = 1 / (2 * N_QUANTILES)
        score = math.sqrt(2) * torch.erfinv(2 * rank.clamp(edge, 1 - edge) - 1)
        return score.reshape(rows.shape).transpose(0, 1).reshape(x.shape)


def moment_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Shape of mean and scale of features of that shape.

    >>> moment_shape((140,)), moment_shape((96, 1360))
    ((140,), (96, 1))
    """
    return (shape[0], *[1] * (len(shape) - 1)) if shape else ()


INPUTS: dict[str, Callable[[Sequence[int]], nn.Module]] = {
    "standard": Standardise,
    "quantile": Quantiles,
}
