"""Encoders that read maps: CRNN and CRNN-TF, and an LSTM over frames.

CRNN and CRNN-TF are convolution blocks, then GRUs over the map that is left.

The paper gives no sizes. Layers and sizes are those of the TensorFlow code that it links [1]_. Two
things differ, as torch's GRU has them: the reset gate acts on the recurrent product, not on the
state before it, and there are two biases.

References
----------
.. [1] https://github.com/FishInMedi/CRNN-TF

Notes
-----
A block is a 3 x 3 convolution, batch normalisation, maximum pooling and an activation. The paper's
networks pool last. As the activations never fall where their input rises, the maximum is the same
before and after them, and before them it leaves fewer values to activate.

In the first block the normalisation is folded into the kernel, too. The input of the first block
has one channel, and its output 64 of the same size: all passes over those maps are passes over the
largest memory of the network. Batch normalisation needs their mean and variance, but as a
convolution is linear both follow from the patches p that the kernel sees,

    mean_c = w_c . E[p] + b_c        var_c = w_c . Cov[p] w_c

and with them the convolution and its normalisation are one convolution, of the kernel

    w_c gamma_c / sqrt(var_c + eps)

Nothing is left then that looks at more than one segment at a time. So a few segments are taken at a
time through convolution, pooling and activation; the maps in between stay in the cache of a CPU and
are made again for the gradient, which takes less time than keeping them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..errors import ConfigError
from .dropout import Dropout

_VALUES = 2**17  # of the input, taken through the block at once: a log-mel of 96 x 1360


class FoldedBlock(nn.Sequential):
    """Convolution of one channel, batch normalisation, and layers that see one segment at a time.

    The same function as the sequence of its layers, with the same gradients and running statistics
    but for rounding. On anything but a CPU, and with another normalisation, it is that sequence.

    Parameters
    ----------
    convolution : nn.Conv2d
        3 x 3, of one input channel, padded by 1.
    norm : nn.Module
    *others : nn.Module
        Without parameters and nothing random.
    """

    def __init__(self, convolution: nn.Conv2d, norm: nn.Module, *others: nn.Module) -> None:
        super().__init__(convolution, norm, *others)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 1, F, T) -> (N, C, F', T')."""
        convolution, norm = cast(nn.Conv2d, self[0]), self[1]
        if x.device.type != "cpu" or type(norm) is not nn.BatchNorm2d:
            return cast(Tensor, super().forward(x))  # type: ignore[no-untyped-call]
        with torch.autocast("cpu", enabled=False):
            weight, bias = fold(convolution, norm, x)
        parts = torch.split(x, at_once(x))
        if not torch.is_grad_enabled():
            return torch.cat([self._rest(part, weight, bias) for part in parts])
        return torch.cat([self._remade(part, weight, bias) for part in parts])

    def _remade(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """`_rest`, done again for its gradient; nothing in it is random."""
        maps = checkpoint(
            self._rest, x, weight, bias, use_reentrant=False, preserve_rng_state=False
        )
        return cast(Tensor, maps)

    def _rest(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        maps = nn.functional.conv2d(x, weight, bias, padding=1)
        for layer in list(self)[2:]:
            maps = layer(maps)
        return maps


def at_once(x: Tensor) -> int:
    """Segments (N, 1, F, T) that are taken through the block at once."""
    return max(1, _VALUES // x.shape[1:].numel())


def fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d, x: Tensor) -> tuple[Tensor, Tensor]:
    """Kernel (C, 1, 3, 3) and bias (C,) of a convolution and its normalisation as one convolution.

    In training the statistics are those of x, and the running ones go on as they would.

    Parameters
    ----------
    convolution : nn.Conv2d
    norm : nn.BatchNorm2d
    x : Tensor, shape (N, 1, F, T)
    """
    kernel, start = convolution.weight.flatten(1), cast(Tensor, convolution.bias)  # (C, 9), (C,)
    if norm.training:
        center, spread = (value.to(kernel.dtype) for value in patch_moments(x))
        mean = kernel @ center + start  # (C,)
        var = ((kernel @ spread) * kernel).sum(1)
        _keep(norm, mean, var, x.numel())
    else:
        mean, var = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
    factor = norm.weight * (var + norm.eps).rsqrt()
    weight = (kernel * factor[:, None]).view_as(convolution.weight)
    return weight, norm.bias + (start - mean) * factor


def patch_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (9,) and covariance (9, 9) of 3 x 3 patches of maps (N, 1, F, T), zeros around."""
    sums, squares = [], []
    for part in torch.split(x, at_once(x)):
        patches = nn.functional.unfold(part, 3, padding=1)
        sums.append(patches.sum((0, 2)).double())  # patches: (n, 9, F * T)
        squares.append((patches @ patches.mT).sum(0).double())
    center = torch.stack(sums).sum(0) / x.numel()
    spread = torch.stack(squares).sum(0) / x.numel() - torch.outer(center, center)
    return center, spread


@torch.no_grad()
def _keep(norm: nn.BatchNorm2d, mean: Tensor, var: Tensor, n: int) -> None:
    """Let the running statistics go on as batch normalisation does, of n values a channel."""
    momentum = cast(float, norm.momentum)
    cast(Tensor, norm.running_mean).lerp_(mean, momentum)
    cast(Tensor, norm.running_var).lerp_(var * (n / (n - 1)), momentum)
    cast(Tensor, norm.num_batches_tracked).add_(1)


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
        self.dropout = nn.Dropout2d(dropout) if by_channel else Dropout(dropout)

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


Recurrent = nn.GRU | nn.LSTM


def start_as_keras(layer: Recurrent) -> None:
    """Glorot-uniform kernels, orthogonal recurrent kernels, biases of 0 (1 of LSTM's forget gates).

    As in Keras, one kernel holds all gates; torch has a second bias, which stays 0.
    """
    for name, value in layer.named_parameters():
        if name.startswith("weight_ih"):
            nn.init.xavier_uniform_(value)
        elif name.startswith("weight_hh"):
            nn.init.orthogonal_(value)
        else:
            nn.init.zeros_(value)
            if isinstance(layer, nn.LSTM) and name.startswith("bias_ih"):
                nn.init.ones_(value[layer.hidden_size : 2 * layer.hidden_size])


def outputs(layer: Recurrent, steps: Tensor) -> Tensor:
    """Output after every step, (N, S, I) -> (N, S, directions * units), in the layer's own type.

    Autocast is off: rounding to 16 bits would add up from step to step.
    """
    with torch.autocast(steps.device.type, enabled=False):
        out: Tensor = layer(steps.to(layer.all_weights[0][0].dtype))[0]
        return out


def last_states(layer: nn.GRU, steps: Tensor) -> Tensor:
    """State of the top layer at the end of each direction, (N, S, I) -> (N, directions * units)."""
    with torch.autocast(steps.device.type, enabled=False):
        states: Tensor = layer(steps.to(layer.all_weights[0][0].dtype))[
            1
        ]  # (layers * directions, N, H)
    top = states[-2 if layer.bidirectional else -1 :]
    return top.transpose(0, 1).flatten(1)


class FrameLSTM(nn.Module):
    """A bidirectional LSTM over the frames of a map, and the mean of its outputs.

    The paper says that "other networks such as recurrent neural networks can also serve", and no
    more. We average over frames, as the last state of a thousand frames knows little of the first.

    Parameters
    ----------
    feature_shape : (int, int)
        Rows and frames, e.g. 20 MFCC by 1360; any number of frames can be encoded.
    units : int
        Of each direction; the embedding has twice as many.
    dropout : float, 0 <= dropout < 1
        Of the embedding.

    Raises
    ------
    ConfigError
        If the feature is no map.
    """

    def __init__(self, feature_shape: Sequence[int], *, units: int, dropout: float) -> None:
        super().__init__()
        n_rows, n_frames = check_map(feature_shape, "lstm")
        self.lstm = nn.LSTM(n_rows, units, batch_first=True, bidirectional=True)
        start_as_keras(self.lstm)
        self.dropout = Dropout(dropout)
        self.embedding_dim = 2 * units
        self.segment_floats = n_frames * (2 * n_rows + 17 * 2 * units)  # states, gates, gradients

    def forward(self, x: Tensor) -> Tensor:
        """(N, F, T) -> (N, D)."""
        h: Tensor = self.dropout(outputs(self.lstm, x.transpose(1, 2)).mean(dim=1))
        return h


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
        self.dropout = Dropout(dropout)
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
        self.dropout = Dropout(dropout)
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
