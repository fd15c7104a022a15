"""Which audio formats can be read here, found out by writing and reading a short tone of each."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soundfile

from .. import audio
from ..errors import AudioError

_SR = 44_100
_TONE = 0.25 * np.sin(2 * np.pi * 440 * np.arange(_SR // 2) / _SR)  # half a second

# Name, suffix, and how soundfile is told to write it.
_WRITTEN = (
    ("MP3", ".mp3", {"format": "MP3"}),
    ("FLAC", ".flac", {"format": "FLAC"}),
    ("Ogg Vorbis", ".ogg", {"format": "OGG", "subtype": "VORBIS"}),
    ("Ogg Opus", ".opus", {"format": "OGG", "subtype": "OPUS"}),
    ("WAV", ".wav", {"format": "WAV"}),
    ("AIFF", ".aiff", {"format": "AIFF"}),
    ("AU", ".au", {"format": "AU"}),
    ("CAF", ".caf", {"format": "CAF"}),
    ("Wave64", ".w64", {"format": "W64"}),
)


@dataclass(frozen=True)
class FormatCheck:
    """What happened to one format.

    Attributes
    ----------
    name, suffix : str
    reads : str
        ``"yes"``, or why not.
    truncation : str
        ``"yes"`` if a file that was cut in half was found out.
    """

    name: str
    suffix: str
    reads: str
    truncation: str

    def to_json(self) -> dict[str, str]:
        """Plain dictionary."""
        return asdict(self)


def try_formats() -> list[FormatCheck]:
    """Write, read and cut a tone in every format; formats without a decoder are listed as such."""
    with tempfile.TemporaryDirectory() as folder, audio.quiet_decoders():
        checks = [
            _try(name, Path(folder) / f"tone{suffix}", options)
            for name, suffix, options in _WRITTEN
        ]
    absent = (
        FormatCheck(suffix.removeprefix(".").upper(), suffix, "no decoder", "-")
        for suffix in sorted(audio.EXTRA_SUFFIXES)
    )
    return [*checks, *absent]


def _try(name: str, path: Path, options: dict[str, str]) -> FormatCheck:
    tone = _TONE
    sr = 48_000 if path.suffix == ".opus" else _SR  # Opus knows no 44.1 kHz
    try:
        soundfile.write(path, tone, sr, **options)
        decoded = np.concatenate(list(audio.read_blocks(path, sr=None)))
    except (AudioError, soundfile.SoundFileError) as error:
        return FormatCheck(name, path.suffix, f"no: {error}", "-")
    if abs(len(decoded) - len(tone)) > sr // 10:
        return FormatCheck(name, path.suffix, f"no: {len(decoded)} of {len(tone)} samples", "-")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    try:
        cut = audio.inspect(path).completeness
    except AudioError:
        cut = "truncated"
    return FormatCheck(name, path.suffix, "yes", "yes" if cut == "truncated" else cut)
