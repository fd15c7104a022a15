"""What a decoding library has to offer, so that `Decoder` need not know which one is at work."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Broken(Exception):
    """A library cannot open a file, or go on in it; the text says why."""


class Backend(Protocol):
    """A file, opened by a decoding library.

    Attributes
    ----------
    name : str
        Library and version, e.g. ``"libsndfile 1.2.2"``.
    format : str
        Container and encoding, e.g. ``"WAV PCM_16"``.
    sr : int
        In Hz.
    channels : int
    stated : int or None
        Samples per channel that are to be expected; None where the file does not say.
    slack : int
        Samples per channel that may be missing from ``stated`` without damage: the delay of an
        encoder, or a last incomplete frame.
    """

    name: str
    format: str
    sr: int
    channels: int
    stated: int | None
    slack: int

    @property
    def position(self) -> int:
        """Samples per channel that were read, or leapt over."""
        ...

    def read(self, out: NDArray[np.float32]) -> int:
        """Decode into ``out``, shape (n, channels); return how many rows are filled, 0 at the end.

        Raises
        ------
        Broken
            If the file is damaged here.
        """
        ...

    def resume(self) -> bool:
        """Go on behind damage; False if nothing more can be decoded."""
        ...

    def close(self) -> None:
        """Close the file; more than once does no harm."""
        ...
