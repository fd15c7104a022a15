"""CRNN and CRNN-TF: convolution blocks, then GRUs over the map that is left.

The paper gives no sizes. Layers and sizes are those of the TensorFlow code that it links [1]_. Two
things differ, as torch's GRU has them: the reset gate acts on the recurrent product, not on the
state before it, and there are two biases.

References
----------
.. [1] https://github.com/FishInMedi/CRNN-TF
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .convolution import CHANNELS, ConvBlocks, Pools, block_floats, check_pools, pooled_shape
from .recurrent import last_states, start_as_keras

CRNN_POOLS: Pools = ((2, 2), (3, 3), (4, 4), (4, 4))
CRNN_TF_POOLS: Pools = ((2, 4), (2, 4), (2, 4), (2, 4))
CRNN_TF_EMBEDDING = 64


class CRNN(nn.Module):
    """Four convolution blocks with ReLU, and two GRUs over the frames that are left.

    A log-mel of 96 x 1360 becomes maps of 48 x 680, 16 x 227, 4 x 57 and 1 x 15, and so 15 steps.
    With a head for 16 genres it has 392,976 parameters.

    Parameters
    ----------
    feature_shape : (int, int)
        Rows and frames; any number of frames can be encoded.
    units : int
        Of each GRU; the embedding is the last state of the second. The paper's are 32.
    dropout : float, 0 <= dropout < 1
        Of the embedding; the paper's is 0.3.
    block_dropout : float, 0 <= block_dropout < 1
        After each convolution block; the paper's is 0.
    by_channel : bool
        Silence whole channels there, see `ConvBlocks`.

    Raises
    ------
    ConfigError
        If the feature is no map, or one too small to be pooled so often.
    """

    def __init__(
        self,
        feature_shape: Sequence[int],
        *,
        units: int,
        dropout: float,
        block_dropout: float = 0.0,
        by_channel: bool = False,
    ) -> None:
        super().__init__()
        check_pools(feature_shape, CRNN_POOLS, "crnn")
        n_rows, _ = pooled_shape(feature_shape, CRNN_POOLS)
        self.convolutions = ConvBlocks(
            CRNN_POOLS, nn.ReLU(), dropout=block_dropout, by_channel=by_channel
        )
        self.gru = nn.GRU(CHANNELS[-1] * n_rows, units, num_layers=2, batch_first=True)
        start_as_keras(self.gru)
        self.dropout = nn.Dropout(dropout)
        self.embedding_dim = units
        self.segment_floats = block_floats(feature_shape, CRNN_POOLS)

    def forward(self, x: Tensor) -> Tensor:
        """(N, F, T) -> (N, D)."""
        maps = self.convolutions(x)  # (N, C, F', T')
        h: Tensor = self.dropout(last_states(self.gru, _over_frames(maps)))
        return h


class CRNNTF(nn.Module):
    """Four convolution blocks with ELU, and eight GRUs over the map in four scan directions.

    A log-mel of 96 x 1360 becomes maps of 48 x 340, 24 x 85, 12 x 22 and 6 x 6. GRUs read it row by
    row and frame by frame, from either end. The original has eight because it also turns around the
    axis that is not scanned; as that only permutes what a GRU takes, and every GRU has weights of
    its own, it is a second GRU for the same direction. With a head for 16 genres the network has
    1,003,984 parameters.

    Parameters
    ----------
    feature_shape : (int, int)
        Rows and frames; sizes of the GRUs follow from both, so all segments have this shape.
    units : int
        Of each GRU; the paper's are 32.
    dropout : float, 0 <= dropout < 1
        Before the last layer; the paper's is 0.5.
    block_dropout, by_channel
        As in `CRNN`.

    Raises
    ------
    ConfigError
        If the feature is no map, or one too small to be pooled so often.
    """

    def __init__(
        self,
        feature_shape: Sequence[int],
        *,
        units: int,
        dropout: float,
        block_dropout: float = 0.0,
        by_channel: bool = False,
    ) -> None:
        super().__init__()
        check_pools(feature_shape, CRNN_TF_POOLS, "crnn_tf")
        n_rows, n_frames = pooled_shape(feature_shape, CRNN_TF_POOLS)
        self.convolutions = ConvBlocks(
            CRNN_TF_POOLS, nn.ELU(), dropout=block_dropout, by_channel=by_channel
        )
        self.over_rows = _both_ways(CHANNELS[-1] * n_frames, units)
        self.over_frames = _both_ways(CHANNELS[-1] * n_rows, units)
        self.dropout = nn.Dropout(dropout)
        self.last = nn.Linear(8 * units, CRNN_TF_EMBEDDING)
        nn.init.xavier_uniform_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        self.embedding_dim = CRNN_TF_EMBEDDING
        self.segment_floats = block_floats(feature_shape, CRNN_TF_POOLS)

    def forward(self, x: Tensor) -> Tensor:
        """(N, F, T) -> (N, 64)."""
        maps = self.convolutions(x)  # (N, C, F', T')
        rows, frames = _over_rows(maps), _over_frames(maps)
        states = [last_states(gru, rows) for gru in self.over_rows]  # type: ignore[arg-type]
        states += [last_states(gru, frames) for gru in self.over_frames]  # type: ignore[arg-type]
        h: Tensor = self.last(self.dropout(torch.cat(states, dim=1)))
        return nn.functional.elu(h)


def _both_ways(size: int, units: int) -> nn.ModuleList:
    """Two bidirectional GRUs: four of the eight."""
    layers = [nn.GRU(size, units, batch_first=True, bidirectional=True) for _ in range(2)]
    for layer in layers:
        start_as_keras(layer)
    return nn.ModuleList(layers)


def _over_rows(maps: Tensor) -> Tensor:
    return maps.permute(0, 2, 1, 3).flatten(2)  # (N, F', C * T')


def _over_frames(maps: Tensor) -> Tensor:
    return maps.permute(0, 3, 1, 2).flatten(2)  # (N, T', C * F')
