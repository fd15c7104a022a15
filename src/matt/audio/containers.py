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
from .structure import CHUNK, Structure, read_at, read_span
from .tagblocks import audio_extent

SUFFIXES = frozenset(
    {".mp3", ".flac", ".ogg", ".oga", ".opus", ".wav", ".aif", ".aiff", ".aifc", ".au", ".caf"}
    | {".w64"}
)
"""Suffixes of files that are tried as audio."""

EXTRA_SUFFIXES = frozenset({".m4a", ".mp4", ".aac", ".wma", ".wv", ".ape"})
"""Suffixes of audio that is found, but that this version cannot decode."""

FORMATS_REMEDY = "this version of matt has no decoder for it: convert it to FLAC or MP3"

# By the bytes at the start of the audio; content decides, whatever the file is called.
_EXTRA_MAGIC = {
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11": "WMA",
    b"wvpk": "WavPack",
    b"MAC ": "Monkey's Audio",
}

_Examine = Callable[[BinaryIO, int, int], Structure]
_Encoded = Callable[[BinaryIO, int, int], Iterator[bytes]]
_READERS: dict[str, tuple[_Examine, _Encoded]] = {
    "MP3": (mpeg.examine, mpeg.encoded),
    "FLAC": (flac.examine, flac.encoded),
    "Ogg": (ogg.examine, ogg.encoded),
    "chunks": (chunks.examine, chunks.encoded),
}


def examine(path: Path | str) -> Structure:
    """Compare what a file states about its own length with what is there; nothing is decoded.

    Reads all of an MP3 (frame headers) and of an Ogg file (checksums), and a few kilobytes of any
    other. What can be seen, by format:

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
        if kind not in _READERS:
            return Structure(kind, "undetectable", "its format is not known here")
        structure = _READERS[kind][0](stream, start, stop)
        tagged = stop - start < os.fstat(stream.fileno()).st_size
        if tagged and kind != "MP3" and not structure.parts:
            # Only libmpg123 expects such tags; libFLAC loses sync on them.
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
    """Key of `_READERS`, the name of a format without a decoder, or an empty string."""
    head = read_at(stream, start, 16)
    if head[:4] == b"fLaC":
        return "FLAC"
    if head[:4] == b"OggS":
        return "Ogg"
    if chunks.identify(head):
        return "chunks"
    for magic, name in _EXTRA_MAGIC.items():
        if head.startswith(magic):
            return name
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0:
        return "AAC"  # the sync of ADTS: MPEG audio with layer bits 0
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
