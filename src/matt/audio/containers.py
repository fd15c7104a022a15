"""Which container a file is, whether it is whole, and a hash of its audio without tags."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from ..errors import AudioError
from . import chunks, flac, mpeg, ogg
from .structure import CHUNK, Structure, audio_extent, read_at, read_span

SUFFIXES = frozenset(
    {".mp3", ".flac", ".ogg", ".oga", ".opus", ".wav", ".aif", ".aiff", ".aifc", ".au", ".caf"}
    | {".w64"}
)
"""Suffixes of files that are tried as audio."""

EXTRA_SUFFIXES = frozenset({".m4a", ".mp4", ".aac", ".wma", ".wv", ".ape"})
"""Suffixes of files that are tried too, and decoded where PyAV is installed."""

# By the bytes at the start of the audio; content decides, whatever the file is called.
_MAGIC = {
    b"fLaC": "FLAC",
    b"OggS": "Ogg",
    b"wvpk": "WavPack",
    b"MAC ": "Monkey's Audio",
    b"\x1a\x45\xdf\xa3": "Matroska",
}

_Examine = Callable[[BinaryIO, int, int], Structure]
_Encoded = Callable[[BinaryIO, int, int], Iterator[bytes]]
_READERS: dict[str, tuple[_Examine, _Encoded]] = {
    # With the Xing, Info or VBRI frame: taggers leave it alone, and it trims audio.
    "MP3": (mpeg.examine, read_span),
    "FLAC": (flac.examine, flac.encoded),
    "Ogg": (ogg.examine, ogg.encoded),
    "chunks": (chunks.examine, chunks.encoded),
    "WavPack": (chunks.examine_wavpack, read_span),
    "Monkey's Audio": (chunks.examine_monkey, read_span),
    "ADTS": (mpeg.examine_adts, read_span),
}


def examine(path: Path | str) -> Structure:
    """Compare what a file states about its own length with what is there; nothing is decoded.

    Reads all of an MP3, ADTS or WavPack file (headers of frames or blocks) and of an Ogg file
    (checksums), and a few kilobytes of any other. What can be seen, by format:

    ======== ================================== ====================================
    format   cut short                          damaged in the middle
    ======== ================================== ====================================
    MP3      frames against Xing, Info or VBRI; lost sync (the content of a frame
             undetectable without one           cannot be checked)
    FLAC     last whole frame against           not here: the decoder checks each
             STREAMINFO                         frame when it gets there
    Ogg      flag on the last page              checksum, number and start of pages
    WAV, W64 size of the audio chunk;           cannot be seen
    AIFF,    undetectable if not stated
    AU, CAF
    MP4      sizes of all boxes; the index,     not here: the decoder finds a frame
             ``moov``, is there                 that makes no sense, not each one
    ADTS     undetectable                       lost sync
    ASF      size of the data object            not here: as in MP4
    (WMA)
    WavPack  samples of the blocks against      lost sync, missing blocks; the
             the first one's total              decoder checks each block
    Monkey's size of all sections               not here: the decoder checks each
    Audio                                       frame
    others   not here: decoded length           not here
    ======== ================================== ====================================

    Salvaging goes on behind damage, except in a truncated CAF file, which libsndfile does not open.
    Opus fills what is missing by itself.

    Raises
    ------
    AudioError
        If the file cannot be read, or is empty.
    """
    with _opened(path) as (stream, start, stop):
        kind = _identify(stream, start, stop)
        if kind in _READERS:
            structure = _READERS[kind][0](stream, start, stop)
        else:
            structure = Structure(kind, "undetectable", "its structure is not looked at")
        tagged = stop - start < os.fstat(stream.fileno()).st_size
        if tagged and kind != "MP3" and not structure.parts:
            # Only MP3 decoders expect such tags; libFLAC loses sync on them.
            structure = replace(structure, parts=((start, stop),))
        return structure


def audio_hash(path: Path | str) -> str:
    """SHA-256 of the encoded audio without tags: the same before and after re-tagging.

    ============ =====================================================================
    format       what is hashed
    ============ =====================================================================
    MP3          all frames, with the Xing, Info or VBRI frame
    FLAC         STREAMINFO and the frames
    Ogg          the packets of each stream without the comment (FLAC-in-Ogg: without any
                 metadata); how they lie in pages does not matter
    WAV, W64     ``fmt`` and ``data`` chunks
    AIFF         ``COMM`` and ``SSND`` chunks
    CAF          ``desc``, ``kuki``, ``pakt`` and ``data`` chunks
    AU           encoding, sampling rate, channels and data, without the annotation
    MP4          the ``mdat`` boxes
    ASF (WMA)    the data object
    ADTS,        all frames or blocks
    WavPack
    all others   the whole file
    ============ =====================================================================

    ID3v1, ID3v2, APE and Lyrics3 tags at either end are left out of every format, so "the
    whole file" is meant without those.

    Returns
    -------
    str
        64 hex digits.

    Raises
    ------
    AudioError
        If the file cannot be read, or is empty. What it holds need not be audio.
    """
    digest = sha256()
    with _opened(path) as (stream, start, stop):
        kind = _identify(stream, start, stop)
        encoded = _READERS[kind][1] if kind in _READERS else read_span
        for piece in encoded(stream, start, stop):
            digest.update(piece)
    return digest.hexdigest()


def _identify(stream: BinaryIO, start: int, stop: int) -> str:
    """Key of `_READERS`, the name of another format, or an empty string."""
    head = read_at(stream, start, 16)
    if head[:4] in _MAGIC:
        return _MAGIC[head[:4]]
    if chunks.identify(head):
        return "chunks"
    if mpeg.parse_adts(head) is not None:
        return "ADTS"  # MPEG audio with layer bits 0
    return "MP3" if mpeg.is_mpeg(stream, start, stop) else ""


@contextmanager
def _opened(path: Path | str) -> Iterator[tuple[BinaryIO, int, int]]:
    """Open a file; give it with the bytes between which its audio lies."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            kind = "a folder" if os.path.isdir(path) else "no regular file"
            raise AudioError(f"{path} is {kind}; name an audio file")
        with open(path, "rb", buffering=CHUNK) as stream:
            size = os.fstat(stream.fileno()).st_size
            if size == 0:
                raise AudioError(f"{path} is empty (0 bytes); restore or delete it")
            yield stream, *audio_extent(stream, size)
    except AudioError:
        raise
    except OSError as error:
        remedy = {
            FileNotFoundError: "check the path",
            PermissionError: "make it readable, e.g. with chmod u+r",
        }.get(type(error), "check the disk")
        raise AudioError(f"{path} cannot be read: {error.strerror or error}; {remedy}") from error
