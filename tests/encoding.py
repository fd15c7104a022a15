"""Encoders of small features, with nothing left at its start, where it could hide a fault."""

import torch

from matt.models.encoders import ENCODERS
from matt.models.settings import ModelSettings

N = 3
# Two steps or more are left for every GRU: recurrent kernels have no part in a single step.
SHAPES = {"mlp": (7, 5), "identity": (7,), "crnn": (18, 101), "crnn_tf": (18, 260), "lstm": (7, 5)}
MAPS = ["crnn", "crnn_tf", "lstm"]


def build(name, shape=None, **settings):
    given = {"hidden": (11,), "dropout": 0.0, "recurrent_units": 6} | settings
    encoder = ENCODERS[name](
        SHAPES[name] if shape is None else shape, ModelSettings(encoder=name, **given)
    ).double()
    for module in encoder.modules():  # at their start, batch norms change nothing and biases are 0
        if isinstance(module, torch.nn.BatchNorm2d):
            for value in (module.weight, module.bias, module.running_mean):
                torch.nn.init.normal_(value)
            module.running_var.uniform_(0.5, 2)
    for key, value in encoder.named_parameters():
        if "bias" in key:
            torch.nn.init.normal_(value, std=0.3)
    return encoder


def segments(name, n=N):
    return torch.randn(n, *SHAPES[name], dtype=torch.float64)
