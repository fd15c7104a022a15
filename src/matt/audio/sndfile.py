"""Decoding by libsndfile: WAV and its relatives, AIFF, AU, CAF, FLAC, Ogg Vorbis, Opus, MP3.

libsndfile, with libmpg123, writes to file descriptor 2 on damaged files: see `quiet_decoders`.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from .backend import Broken
from .splice import Spliced
from .structure import Structure

_ERRORS = (soundfile.SoundFileError, OSError, RuntimeError)
_LEAP = 4096  # samples that the first error costs
_UNKNOWN_LENGTH = 1 << 62  # libsndfile's mark is just above


def version() -> str:
    """Name and version, e.g. ``"libsndfile 1.2.2"``."""
    return f"libsndfile {soundfile.__libsndfile_version__}"


class Sndfile:
    """A file opened by libsndfile; a `Backend`."""

    slack = 4096  # decoders trim a frame or two

    def __init__(self, path: Path, structure: Structure) -> None:
        self._path, self._structure = path, structure
        self._stream: Spliced | None = None
        self._sound = self._open()
        self.name = version()
        self.format = f"{self._sound.format} {self._sound.subtype}"
        self.sr, self.channels = int(self._sound.samplerate), int(self._sound.channels)
        frames = int(self._sound.frames)
        self.stated = None if frames >= _UNKNOWN_LENGTH else frames
        self.position = 0
        self._leap = _LEAP

    def read(self, out: NDArray[np.float32]) -> int:
        """Decode into ``out``; see `Backend.read`."""
        try:
            n = len(self._sound.read(out=out))
        except _ERRORS as error:
            raise Broken(_text(error)) from error
        if n:
            self.position, self._leap = self.position + n, _LEAP
        return n

    def resume(self) -> bool:
        """Reopen, and seek ever further until something decodes again."""
        while self.stated is not None and self.position + self._leap < self.stated:
            self.position, self._leap = self.position + self._leap, 2 * self._leap
            self.close()
            try:
                self._sound = self._open()
            except Broken:
                return False
            with suppress(*_ERRORS):
                self._sound.seek(self.position)
                return True
        return False

    def close(self) -> None:
        """Close the file."""
        self._sound.close()
        if self._stream is not None:
            self._stream.close()

    def _open(self) -> soundfile.SoundFile:
        try:
            if self._structure.parts:
                self._stream = Spliced(self._path, self._structure.parts)
                return _Forward(self._stream)
            # As bytes: names that are no valid UTF-8 are common in old music libraries.
            name = str(self._path) if sys.platform == "win32" else os.fsencode(self._path)
            return _Forward(name)
        except (*_ERRORS, TypeError, ValueError) as error:
            if self._stream is not None:
                self._stream.close()
            raise Broken(_text(error)) from error


class _Forward(soundfile.SoundFile):  # type: ignore[misc]
    """A sound file that soundfile does not seek in after every read.

    It does so in any file that can be seeked, to where it already is; libmpg123 then starts anew,
    without the bits that MP3 frames borrow from earlier ones, and the next samples are wrong.
    """

    def seekable(self) -> bool:
        return False


def _text(error: Exception) -> str:
    """What libsndfile said, without the path that soundfile puts before it."""
    text = str(getattr(error, "error_string", "") or error).strip(" .:")
    return text or "without saying why"
