"""Values in memory through the inputs of a network once, instead of at every step of a training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import nn

from .network import BagNetwork
from .reading import IN_MEMORY_BYTES, Reader

_PART = 2**16  # values of inputs beyond this many are made part by part
_FLOAT32 = 4  # bytes


@contextmanager
def inputs_once(network: BagNetwork, reader: Reader) -> Iterator[Reader]:
    """Reader of what the network's inputs make of the values, which it leaves out meanwhile.

    What the inputs have learned does not change in a training, so the weights that result are the
    same but for rounding. Ranks as normal scores take longer than the step of an MLP behind them.

    Parameters
    ----------
    network : BagNetwork
    reader : Reader
        If its values are not in memory, or would no longer fit as float32, nothing is changed.
    """
    memory = reader.memory
    if memory is None or memory.numel() * _FLOAT32 > IN_MEMORY_BYTES:
        yield reader
        return
    inputs = network.inputs
    size = max(1, _PART // max(1, memory[:1].numel()))
    with torch.no_grad():
        ready = torch.cat([inputs(part) for part in torch.split(memory, size)])
    network.inputs = nn.Identity()
    try:
        yield replace(reader, memory=ready)
    finally:
        network.inputs = inputs
