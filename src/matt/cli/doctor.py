"""``matt doctor``: versions, decoders, and which formats can really be read here."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ..evaluation.tables import Column, Table
from .console import Output, command

if TYPE_CHECKING:
    import av
    import numpy as np
    from numpy.typing import NDArray

_SR = 44_100
# How soundfile, or ffmpeg (muxer, encoder, format of samples), writes formats, by their names.
_SOUNDFILE = {
    "MP3": {"format": "MP3"},
    "FLAC": {"format": "FLAC"},
    "Ogg Vorbis": {"format": "OGG", "subtype": "VORBIS"},
    "Ogg Opus": {"format": "OGG", "subtype": "OPUS"},
    "WAV": {"format": "WAV"},
    "RF64": {"format": "RF64"},
    "AIFF": {"format": "AIFF"},
    "AU": {"format": "AU"},
    "CAF": {"format": "CAF"},
    "Wave64": {"format": "W64"},
}
_PYAV = {
    "MPEG layer II": ("mp2", "mp2", "s16"),
    "AAC in MP4": ("ipod", "aac", "fltp"),
    "ALAC in MP4": ("ipod", "alac", "s16p"),
    "AAC (ADTS)": ("adts", "aac", "fltp"),
    "WMA": ("asf", "wmav2", "fltp"),
    "WavPack": ("wv", "wavpack", "s16p"),
    "FLAC in Ogg": ("ogg", "flac", "s16"),
    "Matroska": ("matroska", "flac", "s16"),
    "WebM": ("webm", "libopus", "flt"),
    "True Audio": ("tta", "tta", "s16"),
    "AC-3": ("ac3", "ac3", "fltp"),
    "E-AC-3": ("eac3", "eac3", "fltp"),
}


@command
def doctor(output: Output) -> None:
    """Show versions, decoders, a format x decoder matrix and the build of torch.

    Every format is written and read back here and now, so the matrix says what works, not what
    should. Example: [bold]matt doctor[/bold]
    """
    from .. import audio, provenance
    from ..models.extra import torch_build

    found = provenance.versions()
    versions = {"matt": found.pop("matt-mgc", "not installed"), **found}
    formats = try_formats()
    build = torch_build()
    output.tables(
        [
            Table.of(
                f"Formats, read by {audio.decoder_version()}",
                formats,
                ("format", "text", lambda found: found.name),
                ("suffix", "text", lambda found: found.suffix),
                ("decoder", "text", lambda found: found.decoder.split()[0]),
                ("reads", "text", lambda found: found.reads),
                ("truncation seen", "text", lambda found: found.truncation),
            ),
            Table("Versions", (Column("package"), Column("version")), tuple(versions.items())),
            Table(
                "torch",
                (Column("what"), Column("value")),
                tuple((key, str(value)) for key, value in build.items()),
            ),
        ]
    )
    output.document(
        {
            "python": sys.version,
            "versions": versions,
            "decoder": audio.decoder_version(),
            "formats": [asdict(f) for f in formats],
            "torch": build,
        }
    )


@dataclass(frozen=True)
class FormatCheck:
    """What happened to one format.

    Attributes
    ----------
    name, suffix : str
    decoder : str
        Which library reads it.
    reads : str
        ``"yes"``, or why not.
    truncation : str
        ``"yes"`` if a file that was cut in half was found out.
    """

    name: str
    suffix: str
    decoder: str
    reads: str
    truncation: str


def try_formats() -> list[FormatCheck]:
    """Write, read and cut a tone in every format; formats without a decoder are listed as such."""
    from .. import audio

    libsndfile, pyav = audio.decoder_versions()
    checks = []
    with tempfile.TemporaryDirectory() as folder, audio.quiet_decoders():
        for known in audio.FORMATS:
            suffix, decoder = known.suffixes[0], pyav if known.demuxer else libsndfile
            if decoder is None:
                checks.append(FormatCheck(known.name, suffix, "PyAV", f"no: {audio.REMEDY}", "-"))
                continue
            write: Callable[[Path], int] | None = None
            if options := _SOUNDFILE.get(known.name):
                # Opus knows no 44.1 kHz.
                sr = 48_000 if suffix == ".opus" else _SR
                write = partial(_write, sr=sr, options=options)
            elif pyav and (encoding := _PYAV.get(known.name)):
                write = partial(_write_pyav, encoding=encoding)
            if write is None:
                told = "not tried: no encoder"
                checks.append(FormatCheck(known.name, suffix, decoder, told, "-"))
            else:
                path = Path(folder) / f"tone{suffix}"
                checks.append(_try(known.name, path, decoder, write))
    return checks


def _tone() -> NDArray[np.float64]:
    """Half a second."""
    import numpy as np

    return 0.25 * np.sin(2 * np.pi * 440 * np.arange(_SR // 2) / _SR)


def _try(name: str, path: Path, decoder: str, write: Callable[[Path], int]) -> FormatCheck:
    import numpy as np

    from .. import audio
    from ..errors import AudioError

    def found(reads: str, truncation: str = "-") -> FormatCheck:
        return FormatCheck(name, path.suffix, decoder, reads, truncation)

    try:
        sr = write(path)
        decoded = np.concatenate(list(audio.read_blocks(path, sr=None)))
    except Exception as error:  # a library of the machine may fail in any way; the next is tried
        return found(f"no: {error}")
    if abs(len(decoded) - _SR // 2) > sr // 10:
        return found(f"no: {len(decoded)} of {_SR // 2} samples")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    try:
        cut = audio.inspect(path).completeness
    except AudioError:
        cut = "truncated"
    return found("yes", "yes" if cut == "truncated" else cut)


def _write(path: Path, *, sr: int, options: dict[str, str]) -> int:
    import soundfile

    soundfile.write(path, _tone(), sr, **options)
    return sr


def _write_pyav(path: Path, *, encoding: tuple[str, str, str]) -> int:
    import av
    import numpy as np

    muxer, codec, sample_format = encoding
    sr = 48_000 if codec == "libopus" else _SR  # it knows no 44.1 kHz
    scale, dtype = (32_767, np.int16) if sample_format[0] == "s" else (1, np.float32)
    tone = (_tone() * scale).astype(dtype)
    with av.open(str(path), "w", format=muxer) as container:
        stream = cast("av.AudioStream", container.add_stream(codec, rate=sr, layout="mono"))
        stream.codec_context.format = av.AudioFormat(sample_format)
        stream.codec_context.bit_rate = 128_000
        length = stream.codec_context.frame_size or 4096
        for start in range(0, len(tone), length):
            piece = np.ascontiguousarray(tone[None, start : start + length])
            frame = av.AudioFrame.from_ndarray(piece, format=sample_format, layout="mono")
            frame.sample_rate, frame.pts = sr, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return sr
