"""The convolution blocks that CRNN and CRNN-TF share: maps (N, F, T) become (N, 128, F', T').

A block is a 3 x 3 convolution, batch normalisation, maximum pooling and an activation. The paper's
networks pool last. As the activations never fall where their input rises, the maximum is the same
before and after them, and before them it leaves fewer values to activate. The first block, whose
maps are the largest, does more of that kind: see `matt.models.folding`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from ..errors import ConfigError
from .folding import FoldedBlock

CHANNELS = (64, 128, 128, 128)  # of the four blocks
Pools = tuple[tuple[int, int], ...]  # rows and frames that become one, block by block
_EPS = 1e-3  # Keras'; its slow running means are left out: a small library has few steps an epoch


class ConvBlocks(nn.Module):
    """Four convolution blocks, started as Keras does: Glorot-uniform kernels, biases of 0.

    Parameters
    ----------
    pools : tuple of (int, int)
        Rows and frames that each block pools into one.
    activation : nn.Module
        Monotone, without parameters.
    dropout : float, 0 <= dropout < 1
        After each block.
    by_channel : bool
        Silence whole channels instead of values: nearly free, and stronger, as what a silenced
        value held cannot be read from its neighbours.
    """

    def __init__(
        self,
        pools: Pools,
        activation: nn.Module,
        *,
        dropout: float = 0.0,
        by_channel: bool = False,
    ) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        for (n_in, n_out), pool in zip(pairwise((1, *CHANNELS)), pools, strict=True):
            convolution = nn.Conv2d(n_in, n_out, 3, padding=1)
            nn.init.xavier_uniform_(convolution.weight)
            nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
            norm = nn.BatchNorm2d(n_out, eps=_EPS)
            kind = nn.Sequential if blocks else FoldedBlock
            blocks.append(kind(convolution, norm, SamePool(pool), activation))
        self.blocks = nn.Sequential(*blocks)
        self.dropout = nn.Dropout2d(dropout) if by_channel else nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(N, F, T) -> (N, 128, F', T')."""
        # Channels last in memory, (N, F, T, C), is faster on a CPU, and how cuDNN likes 16 bits.
        maps = x.contiguous()[..., None].permute(0, 3, 1, 2)  # (N, 1, F, T)
        for block in self.blocks:
            maps = self.dropout(block(maps))
        return maps


class SamePool(nn.Module):
    """Maximum pooling with Keras' padding "same", as a layer.

    Parameters
    ----------
    pool : (int, int)
        Rows and frames that become one.
    """

    def __init__(self, pool: tuple[int, int]) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, F, T) -> (N, C, ceil(F / rows), ceil(T / frames))."""
        return same_max_pool(x, self.pool)


def same_max_pool(x: Tensor, pool: tuple[int, int]) -> Tensor:
    """Maximum over windows side by side, padded as Keras' "same" does.

    What the last window lacks is shared out to both ends, the odd one to the right: 57 frames in
    windows of 4 lack 3, so the first window holds 3 frames and the last one 2. (``ceil_mode`` alone
    would leave the first window whole, and the last with 1, at the same shape.)

    Parameters
    ----------
    x : Tensor, shape (..., F, T)
    pool : (int, int)
        Rows and frames of a window.

    Returns
    -------
    Tensor, shape (..., ceil(F / rows), ceil(T / frames))

    Examples
    --------
    >>> same_max_pool(torch.arange(9.0).reshape(1, 1, 9), (1, 4)).flatten().tolist()
    [2.0, 6.0, 8.0]
    """
    before = [(-size % k) // 2 for size, k in zip(x.shape[-2:], pool, strict=True)]
    # torch pads both ends alike; ceil_mode adds the odd one at the end, without a copy of the map.
    return nn.functional.max_pool2d(x, pool, padding=before, ceil_mode=True)


def pooled_shape(shape: Sequence[int], pools: Pools) -> tuple[int, int]:
    """Rows and frames that are left of a map.

    >>> pooled_shape((96, 1360), ((2, 2), (3, 3), (4, 4), (4, 4)))
    (1, 15)
    """
    n_rows, n_frames = shape
    for rows, frames in pools:
        n_rows, n_frames = -(-n_rows // rows), -(-n_frames // frames)
    return n_rows, n_frames


def block_floats(shape: Sequence[int], pools: Pools) -> int:
    """Numbers that the blocks hold of a map in a training step, about.

    Nearly all are those of the second block, whose maps are the largest that are kept: before and
    after the convolution and the normalisation, and their gradients.
    """
    n_rows, n_frames = pooled_shape(shape, pools[:1])
    return 5 * CHANNELS[1] * n_rows * n_frames


def check_map(shape: Sequence[int], encoder: str) -> tuple[int, int]:
    """Rows and frames of a feature.

    Raises
    ------
    ConfigError
        If the feature is no map (F, T).
    """
    if len(shape) != 2:
        raise ConfigError(
            f"encoder={encoder!r} reads maps of rows and frames, but the feature has the shape "
            f"{tuple(shape)}; use a map such as log-mels, or encoder='mlp'"
        )
    return shape[0], shape[1]


def check_pools(shape: Sequence[int], pools: Pools, encoder: str) -> None:
    """Check that a map is large enough for the last block's batch normalisation.

    One that is a single value there would have no variance when it is the only one of a step.

    Raises
    ------
    ConfigError
        If it is not a map, or is too small.
    """
    if pooled_shape(check_map(shape, encoder), pools[:-1]) == (1, 1):
        rows, frames = torch.tensor(pools[:-1]).prod(dim=0).tolist()
        raise ConfigError(
            f"encoder={encoder!r} pools {rows} rows by {frames} frames into one value, but the "
            f"feature has the shape {tuple(shape)}; use longer segments, or encoder='lstm'"
        )
