"""Clips of the simulated FMA: invented music, one style for each genre, as MP3 files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ...files import replacing
from ..styles import STYLES
from ..synthesis import Character, borrow, render
from .places import clip
from .simulated_catalogue import Catalogue

_STREAM = 7  # and the two after it
_SR = 44_100


def write_clips(
    folder: Path,
    catalogue: Catalogue,
    *,
    seed: int,
    seconds: float,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a clip of every track of medium that has none yet.

    Parameters
    ----------
    folder : path
        ``fma_medium``.
    catalogue : Catalogue
    seed : int
    seconds : float
    progress : callable, optional
        Called with (clips done, clips in all).
    """
    rows = np.flatnonzero(catalogue.subset < 2).tolist()
    for done, row in enumerate(rows, start=1):
        target = folder / clip(int(catalogue.track_id[row]))
        if not target.exists():
            _write_clip(target, catalogue, row, seed=seed, seconds=seconds)
        if progress is not None:
            progress(done, len(rows))


def _write_clip(target: Path, catalogue: Catalogue, row: int, *, seed: int, seconds: float) -> None:
    import soundfile

    # There are more genres than styles: the others mix two of them, always the same way.
    genre = int(catalogue.sound[row])
    style = STYLES[genre % len(STYLES)]
    if genre >= len(STYLES):
        style = borrow(style, np.random.default_rng(genre), chance=0.5)
    numbers = (catalogue.artist[row], catalogue.album[row], catalogue.track_id[row])
    drawn = [np.random.default_rng([seed, _STREAM + i, int(n)]) for i, n in enumerate(numbers)]
    artist, album, own = (Character.draw(rng, scale=0.4) for rng in drawn)
    samples = render(style, artist + album + own, drawn[2], sr=_SR, seconds=seconds, channels=1)
    with replacing(target) as temporary:
        soundfile.write(temporary, samples, _SR, format="MP3")
