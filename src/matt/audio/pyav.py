"""Decoding by PyAV, that is by ffmpeg's libraries, of what libsndfile cannot: an optional extra.

The demuxer is named, not guessed by ffmpeg, and it reads from an open file: what a file claims to
be cannot make ffmpeg open a playlist, an address or another file. One thread decodes, since
extraction has a process for each core. Encoder delay is left out as ffmpeg does it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from .backend import Broken
from .splice import Part, Spliced
from .structure import Structure

if TYPE_CHECKING:
    import av

# By `Structure.format`: ffmpeg's demuxer, and what the format is called for people.
CONTAINERS = {
    "MP4": ("mov", "MP4 audio (AAC or ALAC)"),
    "ADTS": ("aac", "AAC audio (ADTS)"),
    "ASF": ("asf", "Windows Media audio (WMA)"),
    "WavPack": ("wv", "WavPack audio"),
    "Monkey's Audio": ("ape", "Monkey's Audio"),
    "FLAC in Ogg": ("ogg", "FLAC in Ogg"),
    "Matroska": ("matroska", "Matroska or WebM audio"),
}
"""Formats that are left to PyAV."""

REMEDY = "pip install 'matt-mgc[formats]'"
_OPTIONS = {"err_detect": "crccheck"}  # WavPack's checksums are ignored otherwise
_MOST_FAILURES = 100  # in a row, of a demuxer that may not move


def version() -> str | None:
    """Name and version, e.g. ``"PyAV 18.1.0 (libavcodec 62.28.102)"``; None if not installed."""
    try:
        import av
    except ImportError:
        return None
    codec = ".".join(map(str, av.library_versions["libavcodec"]))
    return f"PyAV {av.__version__} (libavcodec {codec})"


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
        self.name = version() or ""
        codec = self._stream.codec_context.name
        container = structure.format.removeprefix("FLAC in ")
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
        demuxer, _ = CONTAINERS[structure.format]
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
        self._stream.codec_context.options = _OPTIONS
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
        if unknown or structure.format in ("ADTS", "ASF"):
            return None
        stream, duration = self._stream, self._container and self._container.duration
        if stream.duration is not None and stream.time_base is not None:
            stated = round(stream.duration * stream.time_base * self.sr)
        else:
            stated = round((duration or 0) * self.sr / 1_000_000)  # microseconds
        return stated if stated > 0 else None


def _text(error: Any) -> str:
    """What ffmpeg said, without its numbers and functions."""
    text = getattr(error, "strerror", None) or str(error)
    return text.strip(" .") or "without saying why"
