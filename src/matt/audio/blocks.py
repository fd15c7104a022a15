"""Path -> blocks of mono float32 at one sampling rate, with memory that does not grow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from ..errors import ConfigError
from .damage import Damage, OnDamage
from .decoder import Decoder


def read_blocks(
    path: Path | str,
    *,
    sr: int | None,
    on_damage: OnDamage = "fail",
    block_seconds: float = 5.0,
    damages: list[Damage] | None = None,
) -> Iterator[NDArray[np.float32]]:
    """Decode a file to mono at one sampling rate, block by block.

    Channels are averaged, then the stream is resampled by soxr (HQ), so that the blocks joined
    equal the whole file resampled at once. Memory depends on ``block_seconds`` alone.

    Parameters
    ----------
    path : path
    sr : int or None
        Sampling rate in Hz; None keeps the file's own.
    on_damage : {"fail", "salvage"}
        What to do with a damaged or truncated file.
    block_seconds : float > 0
    damages : list, optional
        Salvaging appends a `Damage` to it when reading ends, if the file is not sound.

    Yields
    ------
    float32 array, shape (n,)
        ``n >= 1``, all finite.

    Raises
    ------
    AudioError
        If the file cannot be read, is no audio, holds samples that are not finite, or is damaged
        and not salvaged. Nothing is read before the first block is asked for.
    """
    if not block_seconds > 0:
        raise ConfigError(f"block_seconds must be positive, got {block_seconds}")
    with Decoder(path, on_damage=on_damage) as decoder:
        try:
            yield from resampled(decoder, decoder.blocks(seconds=block_seconds), sr=sr)
        finally:
            if damages is not None and decoder.damage is not None:
                damages.append(decoder.damage)


def resampled(
    decoder: Decoder, blocks: Iterator[NDArray[np.float32]], *, sr: int | None
) -> Iterator[NDArray[np.float32]]:
    """Blocks of an open file at another sampling rate; see `read_blocks`."""
    if sr is not None and sr < 1:
        raise ConfigError(f"sr must be at least 1 Hz, got {sr}; None keeps the file's own")
    if sr is None or sr == decoder.sr:
        yield from blocks
        return
    try:
        stream = soxr.ResampleStream(decoder.sr, sr, 1, dtype="float32", quality="HQ")
    except (ValueError, RuntimeError) as error:
        raise decoder.error(
            f"cannot be resampled from {decoder.sr} to {sr} Hz ({error})", "choose another sr"
        ) from error
    kept, empty = 0, True
    for block in blocks:
        kept += len(block)
        out = stream.resample_chunk(block)
        if len(out):  # the first blocks may only fill the filter
            empty = False
            yield out
    rest = stream.resample_chunk(np.empty(0, dtype=np.float32), last=True)
    if len(rest):
        yield rest
    elif empty:
        raise decoder.error(
            f"is too short: {kept} samples at {decoder.sr} Hz are none at {sr} Hz",
            "leave it out",
        )
