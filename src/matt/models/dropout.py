"""Dropout whose masks are quick to draw on a CPU.

torch draws a random number for every value there. Here 64 random bits serve four values: each is
left out if its 16 bits, as a number, lie below p. `benchmarks/attention.py` has epochs of it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_VALUES = 2**16  # of 16 bits


class Dropout(nn.Dropout):
    """`torch.nn.Dropout`, with p to the nearest of 65,536 steps on a CPU.

    What is kept is divided by the share that is kept, so the expected value stays what it is.

    Examples
    --------
    >>> _ = torch.manual_seed(0)
    >>> kept = Dropout(0.25)(torch.ones(10_000))
    >>> sorted(set(kept.tolist())) == [0, kept.max()], round(float(kept.max()), 4)
    (True, 1.3333)
    """

    def forward(self, x: Tensor) -> Tensor:
        """(...) -> the same shape."""
        left_out = round(self.p * _VALUES)
        quick = x.device.type == "cpu" and x.is_contiguous() and 0 < left_out < _VALUES
        if not (self.training and quick):
            return super().forward(x)
        bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        numbers = bits.view(torch.int16)[: x.numel()].view(x.shape)
        kept = (numbers >= left_out - _VALUES // 2).to(x.dtype)
        return x * kept.mul_(_VALUES / (_VALUES - left_out))
