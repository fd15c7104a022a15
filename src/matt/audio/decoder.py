"""An audio file: blocks of mono float32, and what was lost on the way.

libsndfile decodes, or PyAV what libsndfile cannot (`backends`); the content of a file says which.
All else is the same for both, and here.

Most decoders hide damage: libmpg123 searches for the next frame, libogg drops a page, and both go
on. So the container is examined first (`containers.examine`), the decoder's errors are listened to,
and the decoded length is compared with the stated one at the end. A damaged file fails; salvaged,
what decodes is joined without gaps, and the loss is told as a `Damage`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import soxr
from numpy.typing import NDArray

from ..errors import AudioError, ConfigError
from .backends import (
    PYAV_DEMUXERS,
    REMEDY,
    Backend,
    Broken,
    Links,
    Pyav,
    Sndfile,
    libsndfile_version,
    pyav_version,
)
from .containers import examine
from .formats import FORMATS
from .structure import Completeness

OnDamage = Literal["fail", "salvage"]

_PIECE = 4096  # samples decoded at a time: what an error costs when salvaging, at least
_QUICK = 16 * _PIECE  # otherwise: each call costs, but longer ones leave the cache until mixed
_MOST_PROBLEMS = 5  # told of one file
_MOST_VALUES = 1 << 22  # at a time, whatever rate and channels a header claims: 16 MiB
_SALVAGE_REMEDY = "restore the file, or keep what decodes with --salvage"


@dataclass(frozen=True)
class Damage:
    """What a salvaged file lost, or a file that was never finished may have lost.

    Attributes
    ----------
    path : str
    reason : str
    kept : float
        Seconds that decoded.
    stated : float or None
        Seconds that the file says it has; None where it does not say.
    finished : bool
        Whether all of the file was read; otherwise more may have been kept.

    Examples
    --------
    >>> str(Damage("a.flac", "lost sync", kept=12.34, stated=30.0, finished=True))
    'kept 12.3 of 30.0 s: lost sync'
    """

    path: str
    reason: str
    kept: float
    stated: float | None
    finished: bool

    def __str__(self) -> str:
        least = "" if self.finished else "at least "
        of = "" if self.stated is None else f" of {self.stated:.1f}"
        return f"kept {least}{self.kept:.1f}{of} s: {self.reason}"


def decoder_versions() -> tuple[str, str | None]:
    """Name and version of libsndfile and of PyAV; None where the extra is not installed."""
    return libsndfile_version(), pyav_version()


def decoder_version() -> str:
    """Names and versions of the decoders here, e.g. ``"libsndfile 1.2.2, PyAV 18.1.0 (...)"``."""
    return ", ".join(filter(None, decoder_versions()))


class Decoder:
    """An open audio file; a context manager.

    Parameters
    ----------
    path : path
        Content decides what it is, not its suffix.
    on_damage : {"fail", "salvage"}
    channel : int, optional
        Which channel is decoded, from 0; by default their mean.

    Attributes
    ----------
    sr : int
        Sampling rate of the file in Hz.
    channels : int
    decoder : str
        Name and version of the library that decodes, e.g. ``"libsndfile 1.2.2"``.
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

    def __init__(
        self, path: Path | str, *, on_damage: OnDamage = "fail", channel: int | None = None
    ) -> None:
        if on_damage not in ("fail", "salvage"):
            raise ConfigError(f"on_damage must be 'fail' or 'salvage', got {on_damage!r}")
        self.path = Path(path)
        self.on_damage: OnDamage = on_damage
        self.channel = channel
        self._salvage = on_damage == "salvage"
        self.structure = examine(self.path)
        self._problems = list(self.structure.problems)
        self._backend = self._open()
        self.decoder, self.format = self._backend.name, self._backend.format
        self.sr, self.channels = self._backend.sr, self._backend.channels
        self.stated = self._backend.stated
        self.kept = 0
        self.finished = False
        if not self._salvage and self._problems:
            self.close()
            raise self.error("; ".join(self._problems))
        if self.stated == 0:
            self.close()
            reason = "; ".join([*self._problems, "holds no audio (0 samples)"])
            raise self.error(reason, "restore the file or leave it out")

    def __enter__(self) -> Decoder:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; more than once does no harm."""
        self._backend.close()

    def again(self) -> Decoder:
        """The same, from the start; the caller closes it."""
        return Decoder(self.path, on_damage=self.on_damage, channel=self.channel)

    def error(self, reason: str, remedy: str = _SALVAGE_REMEDY) -> AudioError:
        """Make an error with path, format, decoder, reason and remedy."""
        return AudioError(f"{self.path} ({self.format}, {self.decoder}): {reason}; {remedy}")

    @property
    def damage(self) -> Damage | None:
        """What is known by now to be lost; None for a sound file."""
        structure = self.structure
        unfinished = (structure.reason,) if structure.unfinished else ()
        reason = "; ".join(self._problems or unfinished)
        if not reason:
            return None
        share = None if unfinished else structure.share
        stated = self.stated / self.sr / share if self.stated and share else None
        return Damage(str(self.path), reason, self.kept / self.sr, stated, self.finished)

    def blocks(self, *, seconds: float, lead: float = 0.0) -> Iterator[NDArray[np.float32]]:
        """Decode from the start, once: mono, at the file's own rate.

        Parameters
        ----------
        seconds : float > 0
            Length of a block; less where the sampling rate is absurd.
        lead : float >= 0
            Seconds by which the first block is longer.

        Yields
        ------
        float32 array, shape (n,)
            ``n >= 1``, all finite, in a new array each time.

        Raises
        ------
        AudioError
            If a sample is not finite, nothing decodes, or there is damage and it is not salvaged.
        """
        length = self._samples(seconds + lead)
        piece = _PIECE if self._salvage else min(_QUICK, max(_PIECE, _MOST_VALUES // self.channels))
        buffer = np.empty((min(piece, length), self.channels), np.float32)
        while not self.finished:
            mono = np.empty(length, np.float32)
            filled = self._fill(mono, buffer)
            if filled == 0:
                break
            mono = mono[:filled]
            if not np.isfinite(mono).all():
                raise self.error(
                    f"holds NaN or infinite samples after {self.kept / self.sr:.1f} s",
                    "write the file anew, or leave it out",
                )
            self.kept += filled
            yield mono
            length = self._samples(seconds)
        self.finished = True
        self._check_length()

    def _samples(self, seconds: float) -> int:
        return min(max(round(seconds * self.sr), 1), _MOST_VALUES)

    def _fill(self, mono: NDArray[np.float32], buffer: NDArray[np.float32]) -> int:
        """Decode and mix until ``mono`` is full or the file ends; return the samples read."""
        filled = 0
        while filled < len(mono):
            try:
                n = self._backend.read(buffer[: len(mono) - filled])
            except Broken as error:
                at = self._backend.position / self.sr
                reason = f"the decoder failed after {at:.1f} s ({error})"
                if not self._salvage:
                    raise self.error(reason) from error
                if len(self._problems) < _MOST_PROBLEMS:
                    self._problems.append(reason)
                if self._backend.resume():
                    continue
                self.finished = True
                break
            if n == 0:
                break
            here = slice(None) if self.channel is None else slice(self.channel, self.channel + 1)
            _mean_of_channels(buffer[:n, here], mono[filled : filled + n])
            filled += n
        return filled

    def _check_length(self) -> None:
        if self.kept == 0:
            raise self.error("nothing of it decodes", "restore the file or leave it out")
        if self._problems or self.stated is None:
            return
        if self.kept < self.stated - self._backend.slack:
            self._problems.append(
                f"only {self.kept / self.sr:.1f} of {self.stated / self.sr:.1f} s decode"
            )
            if not self._salvage:
                raise self.error(self._problems[-1])

    def _open(self) -> Backend:
        kind = self.structure.format
        backend = Pyav if kind in PYAV_DEMUXERS else Sndfile
        try:
            if backend is Sndfile or pyav_version() is not None:
                if self.structure.links:
                    return Links(self.path, self.structure, backend)
                return backend(self.path, self.structure)
        except Broken as error:
            raise AudioError(self._why_not(error)) from error
        name = " or ".join(f.name for f in FORMATS if f.container == kind and f.demuxer)
        raise AudioError(f"{self.path} holds {name}, which needs PyAV; {REMEDY}")

    def _why_not(self, error: Broken) -> str:
        """Say why the decoder did not open the file."""
        kind = self.structure.format
        if kind:
            decoder = pyav_version() if kind in PYAV_DEMUXERS else libsndfile_version()
            reasons = "; ".join([*self._problems, str(error)])
            return (
                f"{self.path} ({kind}, {decoder}) cannot be opened: {reasons}; "
                "restore the file or leave it out"
            )
        return (
            f"{self.path} holds no audio format that {decoder_version()} knows; "
            "check what it is, or leave it out"
        )


@dataclass(frozen=True)
class AudioFile:
    """An audio file, described.

    Attributes
    ----------
    path : Path
    format : str
        Container and encoding, e.g. ``"OGG VORBIS"``.
    decoder : str
        E.g. ``"libsndfile 1.2.2"``.
    sr : int
        Sampling rate in Hz.
    channels : int
    duration : float
        Seconds, as stated by the file; counted where it does not say.
    completeness : {"complete", "truncated", "undetectable"}
        Whether all is there that the file says it holds; ``"undetectable"`` if it does not say.
    reason : str
        What the completeness rests on.
    breaks : tuple of str
        Damage in the middle, as far as the container shows it without decoding.
    """

    path: Path
    format: str
    decoder: str
    sr: int
    channels: int
    duration: float
    completeness: Completeness
    reason: str
    breaks: tuple[str, ...] = ()


def inspect(path: Path | str) -> AudioFile:
    """Describe an audio file without decoding it.

    Only a file whose length neither its header nor its structure tells is decoded, to count.

    Raises
    ------
    AudioError
        If the file cannot be opened or holds no audio. Damage and truncation are no errors here.
    """
    with Decoder(path, on_damage="salvage") as decoder:
        n = decoder.stated
        if n is None:
            n = sum(len(block) for block in decoder.blocks(seconds=5.0))
        structure = decoder.structure
        return AudioFile(
            decoder.path,
            decoder.format,
            decoder.decoder,
            decoder.sr,
            decoder.channels,
            n / decoder.sr,
            structure.completeness,
            structure.reason,
            structure.breaks,
        )


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
        A `Damage` is appended to it when reading ends, if the file is salvaged and not sound, or
        was never finished.

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


def _mean_of_channels(block: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """(n, channels) -> (n,), column by column: far faster than a mean over a short axis."""
    n_channels = block.shape[1]
    if n_channels <= 2:  # exact, as halving is
        np.dot(block, np.full(n_channels, 1 / n_channels, np.float32), out=out)
        return
    out[:] = block[:, 0]
    with np.errstate(over="ignore", invalid="ignore"):  # not finite: the caller looks
        for channel in range(1, n_channels):
            out += block[:, channel]
        out *= np.float32(1 / n_channels)
