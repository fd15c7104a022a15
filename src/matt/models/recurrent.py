"""Recurrent layers: how they start and end, and the LSTM over frames."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .convolution import check_map

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
        self.dropout = nn.Dropout(dropout)
        self.embedding_dim = 2 * units
        self.segment_floats = n_frames * (2 * n_rows + 17 * 2 * units)  # states, gates, gradients

    def forward(self, x: Tensor) -> Tensor:
        """(N, F, T) -> (N, D)."""
        h: Tensor = self.dropout(outputs(self.lstm, x.transpose(1, 2)).mean(dim=1))
        return h
