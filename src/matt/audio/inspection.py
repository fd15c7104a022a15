"""What kind of audio a file holds, how long it is, and whether all of it is there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .decoder import Decoder
from .structure import Completeness


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
