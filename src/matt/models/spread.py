r"""How far the tracks of a bag are apart, read beside their mean.

A mean forgets whether the tracks of an album are alike, which differs between genres. Of each entry
f of the inputs x, with one vote a track, u_k = 1 / n_k:

    m_f = sum_k u_k x_kf / n,    n = sum_k u_k                                 (B, F)
    s_f = 1/2 log( (sum_k u_k (x_kf - m_f)^2 + c v) / ((n - 1 + c) v) )        (B, F)
    o_g = sum_k a_kg l_kg + min(1, 50 / F) W_g . s                             (B, G)

That is the log of a standard deviation which is drawn towards v, as if c more tracks had been there
and had differed so; of a lone segment it is 0. W starts at 0, so training starts from the mean. The
factor has its steps move logits no further for more entries, F, for hundreds of them would be
learned by heart. A standard deviation beside the mean is the statistics pooling of speaker
recognition [1]_; that few tracks say little of it is what c and v are for. How far it is drawn
depends on the number of tracks, so s says something of that, too.

References
----------
.. [1] Snyder et al., "X-vectors: Robust DNN embeddings for speaker recognition", ICASSP 2018.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .pooling import bag_index, segment_sum

USUAL = 0.5  # v: half of the variance of inputs, which is about 1, lies between bags
PRIOR_TRACKS = 2.0  # c
FEW = 50  # entries


class BagSpread(nn.Module):
    """Logits of how far the segments of each bag are apart.

    Parameters
    ----------
    n_features : int
        Entries of a segment, F; those of a map are read as one long vector.
    n_genres : int
    """

    def __init__(self, n_features: int, n_genres: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(n_genres, n_features))

    def forward(self, x: Tensor, log_sizes: Tensor, offsets: Tensor) -> Tensor:
        """Inputs (N, ...) of F entries, log n_k (N,) and offsets (B + 1,) -> (B, G)."""
        s = log_spread(x.reshape(len(x), self.weight.shape[1]), log_sizes, offsets)  # (B, F)
        return s @ self.weight.T * min(1.0, FEW / s.shape[1])


@torch.no_grad()
def log_spread(x: Tensor, log_sizes: Tensor, offsets: Tensor) -> Tensor:
    """Return s above: inputs (N, F), log n_k (N,) and offsets (B + 1,) -> (B, F).

    Examples
    --------
    >>> x, alone = torch.tensor([[3.0], [0.0], [2.0]]), torch.zeros(3)
    >>> log_spread(x, alone, torch.tensor([0, 1, 3]))  # log of (0 + 1) / 1, of (2 + 1) / 1.5
    tensor([[0.0000],
            [0.3466]])
    """
    votes = (-log_sizes).exp()[:, None]  # (N, 1)
    n = segment_sum(votes, offsets)  # (B, 1)
    bag = bag_index(offsets)
    mean = segment_sum(votes * x, offsets) / n  # (B, F)
    squares = segment_sum(votes * (x - mean[bag]).square(), offsets)
    drawn = PRIOR_TRACKS * USUAL
    return ((squares + drawn) / ((n - 1) * USUAL + drawn)).log() / 2
