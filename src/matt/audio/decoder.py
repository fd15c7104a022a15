"""An audio file opened by libsndfile: blocks of mono float32, and what was lost on the way.

Most decoders hide damage: libmpg123 searches for the next frame, libogg drops a page, and both go
on. So the container is examined first (`containers.examine`), the decoder's errors are listened to,
and the decoded length is compared with the stated one at the end. A damaged file fails; salvaged,
what decodes is joined without gaps, and the loss is told as a `Damage`.

libsndfile, with libmpg123, writes to file descriptor 2 on damaged files: see `quiet_decoders`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import numpy as np
import soundfile
from numpy.typing import NDArray

from ..errors import AudioError, ConfigError
from .containers import EXTRA_SUFFIXES, FORMATS_REMEDY, examine
from .damage import Damage, OnDamage
from .splice import Spliced

_EXTRA_FORMATS = ("FLAC in Ogg", "MP4", "AAC", "WMA", "WavPack", "Monkey's Audio")
_PIECE = 4096  # samples decoded at a time: what an error costs when salvaging, at least
_MOST_PROBLEMS = 5  # told of one file
_DECODER_ERRORS = (soundfile.SoundFileError, OSError, RuntimeError)
_MOST_VALUES = 1 << 22  # in one block, however many channels a header claims: 16 MiB
_UNKNOWN_LENGTH = 1 << 62  # libsndfile's mark is just above
_SALVAGE_REMEDY = "restore the file, or keep what decodes with --salvage"


def decoder_version() -> str:
    """Name and version of the decoder, e.g. ``"libsndfile 1.2.2"``."""
    return f"libsndfile {soundfile.__libsndfile_version__}"


class Decoder:
    """An open audio file; a context manager.

    Parameters
    ----------
    path : path
        Content decides what it is, not its suffix.
    on_damage : {"fail", "salvage"}

    Attributes
    ----------
    sr : int
        Sampling rate of the file in Hz.
    channels : int
    format : str
        Container and encoding, e.g. ``"WAV PCM_16"``.
    structure : Structure
    stated : int or None
        Samples per channel that the decoder expects, usually from what the file says.
    kept : int
        Samples per channel decoded so far.
    finished : bool
        Whether the end was reached.

    Raises
    ------
    AudioError
        If the file cannot be opened, holds no audio, or is damaged and not salvaged.
    """

    def __init__(self, path: Path | str, *, on_damage: OnDamage = "fail") -> None:
        if on_damage not in ("fail", "salvage"):
            raise ConfigError(f"on_damage must be 'fail' or 'salvage', got {on_damage!r}")
        self.path = Path(path)
        self.on_damage: OnDamage = on_damage
        self._salvage = on_damage == "salvage"
        self.structure = examine(self.path)
        self._problems = list(self.structure.problems)
        self._stream: Spliced | None = None
        self._sound = self._open()
        self.sr, self.channels = int(self._sound.samplerate), int(self._sound.channels)
        self.format = f"{self._sound.format} {self._sound.subtype}"
        frames = int(self._sound.frames)
        self.stated = None if frames >= _UNKNOWN_LENGTH else frames
        self.kept = 0
        self.finished = False
        self._position = 0  # in the file; damage that was leapt over is not kept
        self._leap = _PIECE
        if not self._salvage and self._problems:
            self.close()
            raise self.error("; ".join(self._problems))
        if frames == 0:
            self.close()
            raise self.error("holds no audio (0 samples)", "delete the file or leave it out")

    def __enter__(self) -> Decoder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; more than once does no harm."""
        self._sound.close()
        if self._stream is not None:
            self._stream.close()

    def error(self, reason: str, remedy: str = _SALVAGE_REMEDY) -> AudioError:
        """Make an error with path, format, decoder, reason and remedy."""
        return AudioError(f"{self.path} ({self.format}, {decoder_version()}): {reason}; {remedy}")

    @property
    def damage(self) -> Damage | None:
        """What is known by now to be lost; None for a sound file."""
        if not self._problems:
            return None
        share = self.structure.share
        stated = self.stated / self.sr / share if self.stated and share else None
        reason = "; ".join(self._problems)
        return Damage(str(self.path), reason, self.kept / self.sr, stated, self.finished)

    def blocks(self, *, seconds: float) -> Iterator[NDArray[np.float32]]:
        """Decode from the start, once: the mean of the channels, at the file's own rate.

        Parameters
        ----------
        seconds : float > 0
            Length of a block; less where there are very many channels.

        Yields
        ------
        float32 array, shape (n,)
            ``n >= 1``, all finite, in a new array each time.

        Raises
        ------
        AudioError
            If a sample is not finite, nothing decodes, or there is damage and it is not salvaged.
        """
        most = max(_PIECE, _MOST_VALUES // self.channels)
        length = min(max(round(seconds * self.sr), 1), most)
        buffer = np.empty((length, self.channels), dtype=np.float32)
        while not self.finished:
            filled = self._fill(buffer)
            if filled == 0:
                break
            mono = _mean_of_channels(buffer[:filled])
            if not np.isfinite(mono).all():
                raise self.error(
                    f"holds NaN or infinite samples after {self.kept / self.sr:.1f} s",
                    "write the file anew, or leave it out",
                )
            self.kept += filled
            yield mono
        self.finished = True
        self._check_length()

    def _fill(self, buffer: NDArray[np.float32]) -> int:
        """Decode into the buffer until it is full or the file ends; return the frames read."""
        filled, piece = 0, _PIECE if self._salvage else 4 * _PIECE  # long ones are faster
        while filled < len(buffer):
            try:
                read = len(self._sound.read(out=buffer[filled : filled + piece]))
            except _DECODER_ERRORS as error:
                at = self._position / self.sr
                reason = f"the decoder failed after {at:.1f} s ({_text(error)})"
                if not self._salvage:
                    raise self.error(reason) from error
                if len(self._problems) < _MOST_PROBLEMS:
                    self._problems.append(reason)
                if self._resume():
                    continue
                self.finished = True
                break
            if read == 0:
                break
            filled += read
            self._position, self._leap = self._position + read, _PIECE
        return filled

    def _resume(self) -> bool:
        """Go on behind damage: reopen, and seek ever further until something decodes again."""
        while self.stated is not None and self._position + self._leap < self.stated:
            self._position, self._leap = self._position + self._leap, 2 * self._leap
            self.close()
            self._sound = self._open()
            with suppress(*_DECODER_ERRORS):
                self._sound.seek(self._position)
                return True
        return False

    def _check_length(self) -> None:
        if self.kept == 0:
            raise self.error("nothing of it decodes", "restore the file or leave it out")
        if self._problems or self.stated is None:
            return
        if self.kept < self.stated - _PIECE:  # decoders trim a frame or two
            self._problems.append(
                f"only {self.kept / self.sr:.1f} of {self.stated / self.sr:.1f} s decode"
            )
            if not self._salvage:
                raise self.error(self._problems[-1])

    def _open(self) -> soundfile.SoundFile:
        try:
            if self.structure.parts:
                self._stream = Spliced(self.path, self.structure.parts)
                return _Forward(self._stream)
            # As bytes: names that are no valid UTF-8 are common in old music libraries.
            name = str(self.path) if sys.platform == "win32" else os.fsencode(self.path)
            return _Forward(name)
        except (soundfile.SoundFileError, OSError, RuntimeError, TypeError, ValueError) as error:
            if self._stream is not None:
                self._stream.close()
            raise AudioError(self._why_not(error)) from error

    def _why_not(self, error: Exception) -> str:
        """Say why the decoder did not open the file."""
        if self.structure.format in _EXTRA_FORMATS:
            return (
                f"{self.path} holds {self.structure.format}, which cannot be read by this "
                f"installation; {FORMATS_REMEDY}"
            )
        if self.structure.format:
            reasons = "; ".join([*self._problems, _text(error)])
            return (
                f"{self.path} ({self.structure.format}, {decoder_version()}) cannot be opened: "
                f"{reasons}; restore the file or leave it out"
            )
        if self.path.suffix.lower() in EXTRA_SUFFIXES:
            return f"{self.path} cannot be decoded; {FORMATS_REMEDY}"
        return (
            f"{self.path} holds no audio format that {decoder_version()} knows; "
            "check what it is, or leave it out"
        )


class _Forward(soundfile.SoundFile):  # type: ignore[misc]
    """A sound file that soundfile does not seek in after every read.

    It does so in any file that can be seeked, to where it already is; libmpg123 then starts anew,
    without the bits that MP3 frames borrow from earlier ones, and the next samples are wrong.
    """

    def seekable(self) -> bool:
        return False


def _mean_of_channels(block: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, channels) -> (n,), column by column: far faster than a mean over a short axis."""
    total = block[:, 0].copy()
    with np.errstate(over="ignore", invalid="ignore"):  # not finite: the caller looks
        for channel in range(1, block.shape[1]):
            total += block[:, channel]
        total *= np.float32(1 / block.shape[1])
    return total


def _text(error: Exception) -> str:
    """What a decoder said, without the path that soundfile puts before it."""
    text = str(getattr(error, "error_string", "") or error).strip(" .:")
    return text or "without saying why"
