"""The first convolution block with its normalisation folded into the kernel.

The input of the first block has one channel, and its output 64 of the same size: all passes over
those maps are passes over the largest memory of the network. Batch normalisation needs their mean
and variance, but as a convolution is linear both follow from the patches p that the kernel sees,

    mean_c = w_c . E[p] + b_c        var_c = w_c . Cov[p] w_c

and with them the convolution and its normalisation are one convolution, of the kernel

    w_c gamma_c / sqrt(var_c + eps)

Nothing is left then that looks at more than one segment at a time. So a few segments are taken at a
time through convolution, pooling and activation; the maps in between stay in the cache of a CPU and
are made again for the gradient, which takes less time than keeping them.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

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
