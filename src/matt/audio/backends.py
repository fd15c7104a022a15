"""The libraries that decode, behind one interface: libsndfile, and PyAV where that cannot.

libsndfile decodes WAV and its relatives, AIFF, AU, CAF, FLAC, Ogg Vorbis, Opus and MP3. PyAV, which
is ffmpeg's libraries, is an optional extra for the rest. Its demuxer is named, not guessed, and it
reads from an open file: what a file claims to be cannot make ffmpeg open a playlist, an address or
another file. One thread decodes, since extraction has a process for each core. Encoder delay is
left out as ffmpeg does it.

C code of the decoders writes to file descriptor 2 on damaged files: see `quiet_decoders`.
"""

from __future__ import annotations

import io
import os
import sys
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import soundfile
from numpy.typing import NDArray

from .formats import FORMATS
from .structure import Part, Structure

if TYPE_CHECKING:
    import av

# By `Structure.format`: ffmpeg's demuxer. The formats that are left to PyAV.
PYAV_DEMUXERS = {f.container: f.demuxer for f in FORMATS if f.demuxer}

REMEDY = "pip install 'matt-mgc[formats]'"
_GUESSED = ("ADTS", "ASF", "AC-3", "E-AC-3", "DTS")  # ffmpeg goes by the bitrate
_PYAV_OPTIONS = {"err_detect": "crccheck"}  # WavPack's checksums are ignored otherwise
_MOST_FAILURES = 100  # in a row, of a demuxer that may not move
_SNDFILE_ERRORS = (soundfile.SoundFileError, OSError, RuntimeError)
_LEAP = 4096  # samples that the first error costs
_UNKNOWN_LENGTH = 1 << 62  # libsndfile's mark is just above


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


def libsndfile_version() -> str:
    """Name and version, e.g. ``"libsndfile 1.2.2"``."""
    return f"libsndfile {soundfile.__libsndfile_version__}"


def pyav_version() -> str | None:
    """Name and version, e.g. ``"PyAV 18.1.0 (libavcodec 62.28.102)"``; None if not installed."""
    try:
        import av
    except ImportError:
        return None
    codec = ".".join(map(str, av.library_versions["libavcodec"]))
    return f"PyAV {av.__version__} (libavcodec {codec})"


@contextmanager
def quiet_decoders() -> Iterator[None]:
    """Send file descriptor 2 nowhere, because C code of the decoders writes to it.

    The descriptor belongs to the whole process, other threads included, so this is meant for
    processes that only decode. Python's own ``sys.stderr`` is silent too while it lasts.
    """
    with suppress(OSError, ValueError, AttributeError):  # no stderr at all, or a closed one
        sys.stderr.flush()
    try:
        saved = os.dup(2)
    except OSError:  # descriptor 2 is closed: nothing can be written
        yield
        return
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        yield
    finally:
        with suppress(OSError, ValueError, AttributeError):
            sys.stderr.flush()
        os.dup2(saved, 2)
        os.close(saved)


class Spliced(io.RawIOBase):
    """A seekable binary file made of parts.

    Parameters
    ----------
    path : path
        The real file; it is opened here and closed with this object.
    parts : sequence of bytes or (start, stop)
    """

    def __init__(self, path: Path, parts: tuple[Part, ...]) -> None:
        sizes = [len(part) if isinstance(part, bytes) else part[1] - part[0] for part in parts]
        self._parts = parts
        self._starts = [0, *accumulate(sizes)]
        self._at = 0
        self._file = open(path, "rb")  # noqa: SIM115 - closed with this object

    def readable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say yes."""
        return True

    def tell(self) -> int:
        """Position in bytes."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Set the position in bytes."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._starts[-1]}[whence]
        self._at = max(base + offset, 0)
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill the buffer, or as much of it as there is."""
        filled = 0
        while filled < len(buffer) and self._at < self._starts[-1]:
            number = bisect_right(self._starts, self._at) - 1
            part, within = self._parts[number], self._at - self._starts[number]
            most = min(len(buffer) - filled, self._starts[number + 1] - self._at)
            if isinstance(part, bytes):
                piece = part[within : within + most]
            else:
                self._file.seek(part[0] + within)
                piece = self._file.read(most)
            if not piece:  # the file has become shorter
                break
            buffer[filled : filled + len(piece)] = piece
            filled, self._at = filled + len(piece), self._at + len(piece)
        return filled

    def close(self) -> None:
        """Close the real file too."""
        self._file.close()
        super().close()


class Sndfile:
    """A file opened by libsndfile; a `Backend`."""

    slack = 4096  # decoders trim a frame or two

    def __init__(self, path: Path, structure: Structure) -> None:
        self._path, self._structure = path, structure
        self._stream: Spliced | None = None
        self._sound = self._open()
        self.name = libsndfile_version()
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
        except _SNDFILE_ERRORS as error:
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
            with suppress(*_SNDFILE_ERRORS):
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
        except (*_SNDFILE_ERRORS, TypeError, ValueError) as error:
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


class Pyav:
    """The first audio stream of a file opened by PyAV, which must be installed; a `Backend`."""

    # ffmpeg leaves out two frames at the start of a WMA file, twice 2048 samples at most, and
    # the last, incomplete one; the delay of AAC with SBR is 5186 samples.
    slack = 8192

    def __init__(self, path: Path, structure: Structure) -> None:
        import av

        self._errors = (av.error.FFmpegError, OSError, ValueError, RuntimeError)
        self._file: Spliced | None = None
        self._container: av.container.InputContainer | None = None
        self._frames: deque[av.AudioFrame] = deque()
        self._held = np.empty((0, 0), np.float32)  # (n, channels), decoded and not yet read
        self._first_error = ""
        self._failures, self._over, self._position = 0, False, 0
        try:
            self._start(path, structure)
        except self._errors as error:
            self.close()
            raise Broken(_text(error)) from error
        except Broken:
            self.close()
            raise
        self.name = pyav_version() or ""
        codec = self._stream.codec_context.name
        container = structure.format.rpartition(" in ")[2]
        same = codec.lower() == container.lower()
        self.format = container if same else f"{container} {codec.upper()}"
        self.stated = self._stated(structure)

    @property
    def position(self) -> int:
        """Samples per channel that were read."""
        return self._position

    def read(self, out: NDArray[np.float32]) -> int:
        """Decode into ``out``; see `Backend.read`."""
        if self._first_error:
            reason, self._first_error = self._first_error, ""
            raise Broken(reason)
        if len(self._held) == 0:
            frame = self._next()
            if frame is None:
                return 0
            try:
                self._held = self._samples(frame)
            except self._errors as error:
                raise Broken(_text(error)) from error
        n = min(len(self._held), len(out))
        out[:n], self._held = self._held[:n], self._held[n:]
        self._position += n
        return n

    def resume(self) -> bool:
        """Go on with the next packet, as `read` does anyway."""
        return True

    def close(self) -> None:
        """Close the file."""
        if self._container is not None:
            self._container.close()
        if self._file is not None:
            self._file.close()

    def _start(self, path: Path, structure: Structure) -> None:
        """Open, choose the stream, and decode until a first frame says what it holds."""
        import av

        whole: tuple[Part, ...] = ((0, path.stat().st_size),)
        self._file = Spliced(path, structure.parts or whole)
        demuxer = PYAV_DEMUXERS[structure.format]
        # Tags are not looked at; of a wrong encoding they must not stop anything.
        container = av.open(self._file, mode="r", format=demuxer, metadata_errors="replace")
        self._container = container
        if not container.streams.audio:
            raise Broken("it has no audio stream")
        self._stream = container.streams.audio[0]
        if self._stream.codec_context is None:
            raise Broken("its encoding is protected, or not known to PyAV")
        self._stream.codec_context.thread_type = "NONE"
        self._stream.codec_context.thread_count = 1
        self._stream.codec_context.options = _PYAV_OPTIONS
        self._demux = cast(
            "Callable[[], Iterator[av.Packet[av.AudioStream]]]",
            partial(container.demux, self._stream),
        )
        self._packets = self._demux()
        frame = None
        while frame is None and not self._over:
            try:
                frame = self._next()
            except Broken as error:
                self._first_error = self._first_error or str(error)
        if frame is None:
            raise Broken(self._first_error or "it holds no audio, 0 samples")
        self.sr, self.channels = frame.sample_rate, frame.layout.nb_channels
        self._held = self._samples(frame)

    def _next(self) -> av.AudioFrame | None:
        """Give the next frame that is not empty; None at the end."""
        while not self._over:
            while self._frames:
                frame = self._frames.popleft()
                if frame.samples:
                    self._failures = 0
                    return frame
            try:
                packet = next(self._packets)
            except StopIteration:
                self._over = True
            except self._errors as error:
                self._failures += 1
                self._over = self._failures > _MOST_FAILURES
                self._packets = self._demux()  # one that raised is spent
                raise Broken(_text(error)) from error
            else:
                try:
                    self._frames.extend(packet.decode())
                except self._errors as error:
                    raise Broken(_text(error)) from error
        return None

    def _samples(self, frame: av.AudioFrame) -> NDArray[np.float32]:
        """Samples of a frame, shape (n, channels), within [-1, 1] as libsndfile scales them."""
        sr, channels = frame.sample_rate, frame.layout.nb_channels
        if sr != self.sr:
            raise Broken(f"the sampling rate changes from {self.sr} to {sr} Hz")
        if channels != self.channels:
            raise Broken(f"the number of channels changes from {self.channels} to {channels}")
        values = frame.to_ndarray()  # (channels, n), or (1, n * channels)
        values = values.T if frame.format.is_planar else values.reshape(-1, channels)
        with np.errstate(over="ignore"):  # not finite: the caller looks
            samples = values.astype(np.float32)
        if values.dtype.kind == "u":
            samples -= 1 << 8 * values.itemsize - 1
        if values.dtype.kind in "ui":
            samples *= np.float32(2.0 ** (1 - 8 * values.itemsize))
        return samples

    def _stated(self, structure: Structure) -> int | None:
        """Samples per channel; None where ffmpeg would only guess from the bitrate."""
        if structure.seconds is not None:
            return round(structure.seconds * self.sr)
        unknown = structure.format == "WavPack" and structure.completeness == "undetectable"
        if unknown or structure.format in _GUESSED:
            return None
        stream, duration = self._stream, self._container and self._container.duration
        if stream.duration is not None and stream.time_base is not None:
            stated = round(stream.duration * stream.time_base * self.sr)
        else:
            stated = round((duration or 0) * self.sr / 1_000_000)  # microseconds
        return stated if stated > 0 else None


class Links:
    """Streams that follow each other in one file, each decoded as if it were alone; a `Backend`.

    Parameters
    ----------
    path : path
    structure : Structure
        With links.
    backend : callable
        What decodes one of them.

    Raises
    ------
    Broken
        If the first cannot be opened, or one has another rate or number of channels.
    """

    def __init__(
        self, path: Path, structure: Structure, backend: Callable[[Path, Structure], Backend]
    ) -> None:
        self._open = [
            partial(backend, path, replace(structure, parts=(link,), links=()))
            for link in structure.links
        ]
        stated: list[int | None] = []
        for number, start in enumerate(self._open):
            try:
                link = start()
            except Broken:
                if number == 0:
                    raise
                stated.append(None)  # `read` will tell when it gets there
                continue
            stated.append(link.stated)
            if number == 0:
                self.name, self.format, self.slack = link.name, link.format, link.slack
                self.sr, self.channels = link.sr, link.channels
            link.close()
            if (link.sr, link.channels) != (self.sr, self.channels):
                raise Broken(
                    f"stream {number + 1} of {len(self._open)} in it has {link.channels} channels "
                    f"at {link.sr} Hz, the first {self.channels} at {self.sr} Hz"
                )
        known = [n for n in stated if n is not None]
        self.stated = sum(known) if len(known) == len(stated) else None
        self._number, self._before = 0, 0
        self._link = self._open[0]()

    @property
    def position(self) -> int:
        """Samples per channel that were read, or leapt over."""
        return self._before + self._link.position

    def read(self, out: NDArray[np.float32]) -> int:
        """Decode into ``out``; see `Backend.read`."""
        while (n := self._link.read(out)) == 0 and self._next():
            pass
        return n

    def resume(self) -> bool:
        """Go on behind damage, or with the next stream that can be opened."""
        if self._link.resume():
            return True
        while self._number + 1 < len(self._open):
            with suppress(Broken):
                return self._next()
        return False

    def close(self) -> None:
        """Close the file."""
        self._link.close()

    def _next(self) -> bool:
        if self._number + 1 == len(self._open):
            return False
        self._number, self._before = self._number + 1, self.position
        self._link.close()
        self._link = self._open[self._number]()
        return True


def _text(error: Any) -> str:
    """What a library said, without paths, numbers and functions."""
    said = getattr(error, "error_string", None) or getattr(error, "strerror", None) or error
    if "does not exist or is not a regular file" in str(said):  # as libsndfile says of libmpg123
        said = "no frame that can be decoded was found"
    return str(said).strip(" .:") or "without saying why"
