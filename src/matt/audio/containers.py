"""Which container a file is, whether it is whole, and a hash of its audio without tags."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from ..errors import AudioError
from . import chunks, flac, mpeg, ogg
from .structure import FileBytes, Hopeless, Structure, audio_extent

# By the bytes at the start of the audio; content decides, whatever the file is called.
_MAGIC = {
    b"fLaC": "FLAC",
    b"OggS": "Ogg",
    b"wvpk": "WavPack",
    b"MAC ": "Monkey's Audio",
    b"\x1a\x45\xdf\xa3": "Matroska",
    b"TTA1": "True Audio",
    b"\x7f\xfe\x80\x01": "DTS",
    b"\xfe\x7f\x01\x80": "DTS",  # of the other byte order
    b"\x1f\xff\xe8\x00": "DTS",  # of 14 bits in 16, as on CDs
    b"\xff\x1f\x00\xe8": "DTS",
    b"MPCK": "Musepack",
    b"MP+\x07": "Musepack 7",
    b"MP+\x17": "Musepack 7",
}

_Examine = Callable[[FileBytes, int, int], Structure]
_Encoded = Callable[[FileBytes, int, int], Iterator[bytes]]
_READERS: dict[str, tuple[_Examine, _Encoded]] = {
    # With the Xing, Info or VBRI frame: taggers leave it alone, and it trims audio.
    "MP3": (mpeg.examine, FileBytes.span),
    "FLAC": (flac.examine, flac.encoded),
    "Ogg": (ogg.examine, ogg.encoded),
    "chunks": (chunks.examine, chunks.encoded),
    "WavPack": (chunks.examine_wavpack, FileBytes.span),
    "Monkey's Audio": (chunks.examine_monkey, FileBytes.span),
    "True Audio": (chunks.examine_true_audio, FileBytes.span),
    "ADTS": (mpeg.examine_adts, FileBytes.span),
}


def examine(path: Path | str) -> Structure:
    """Compare what a file states about its own length with what is there; nothing is decoded.

    Reads all of an MP3, ADTS or WavPack file (headers of frames or blocks) and of an Ogg file
    (checksums), and some dozen kilobytes of any other, but of a FLAC file that does not end as it
    states, which is looked through for further streams. What can be seen, by format:

    ======== ================================== ====================================
    format   cut short                          damaged in the middle
    ======== ================================== ====================================
    MP3      frames against Xing, Info or VBRI; lost sync (the content of a frame
             undetectable without one           cannot be checked)
    FLAC     last whole frame against           not here: the decoder checks each
             STREAMINFO                         frame when it gets there
    Ogg      flag on the last page              checksum, number and start of pages
    WAV, W64 size of the audio chunk;           cannot be seen
    AIFF,    undetectable if not stated,
    AU, CAF, unfinished if it was to be
    DSF      stated later and never was
    MP4      sizes of all boxes; the index,     not here: the decoder finds a frame
             ``moov``, is there                 that makes no sense, not each one
    ADTS     undetectable                       lost sync
    ASF      size of the data object            not here: as in MP4
    (WMA)
    WavPack  samples of the blocks against      lost sync, missing blocks; the
             the first one's total              decoder checks each block
    Monkey's size of all sections               not here: the decoder checks each
    Audio                                       frame
    True     sizes of all frames                as in Monkey's Audio
    Audio
    others   not here: decoded length           not here
    ======== ================================== ====================================

    Salvaging goes on behind damage, except in a truncated CAF file, which libsndfile does not open.
    Opus fills what is missing by itself.

    Raises
    ------
    AudioError
        If the file cannot be read, or is empty.
    """
    with _opened(path) as (file, start, stop):
        kind = identify(file, start, stop)
        if kind in _READERS:
            try:
                structure = _READERS[kind][0](file, start, stop)
            except Hopeless as error:
                structure = Structure(kind, "undetectable", str(error), (str(error),))
        else:
            structure = Structure(kind, "undetectable", "its structure is not looked at")
        tagged = stop - start < file.size
        if tagged and kind != "MP3" and not structure.parts:
            # Only MP3 decoders expect such tags; libFLAC loses sync on them.
            structure = replace(structure, parts=((start, stop),))
        return structure


def audio_hash(path: Path | str, *, alive: Callable[[], None] | None = None) -> str:
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
    DSF          ``fmt`` and ``data`` chunks
    MP4          the ``mdat`` boxes
    ASF (WMA)    the data object
    ADTS,        all frames or blocks
    WavPack
    all others   the whole file
    ============ =====================================================================

    ID3v1, ID3v2, APE and Lyrics3 tags at either end are left out of every format, so "the
    whole file" is meant without those.

    Parameters
    ----------
    path : path
    alive : callable, optional
        Called before each read of the file; what it raises ends this.

    Returns
    -------
    str
        64 hex digits.

    Raises
    ------
    AudioError
        If the file cannot be read, or is empty. What it holds need not be audio.
    """
    with _opened(path, alive) as (file, start, stop):
        kind = identify(file, start, stop)
        encoded = _READERS[kind][1] if kind in _READERS else FileBytes.span
        try:
            return _digest(encoded(file, start, stop))
        except Hopeless:
            return _digest(file.span(start, stop))


def _digest(pieces: Iterator[bytes]) -> str:
    digest = sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def identify(file: FileBytes, start: int, stop: int) -> str:
    """Name of a format, ``"chunks"`` for those of chunks; empty if it is not known."""
    head = file.at(start, 16)
    if kind := identify_head(head):
        return kind
    if mpeg.parse_adts(head) is not None:
        return "ADTS"  # MPEG audio with layer bits 0
    try:
        return "MP3" if mpeg.is_mpeg(file, start, stop) else ""
    except Hopeless:
        return ""


def identify_head(head: bytes) -> str:
    """Name of a format that its first 16 bytes show, as `identify` gives it; empty if none.

    >>> identify_head(b"fLaC" + bytes(12)), identify_head(bytes.fromhex("fffb9064") + bytes(12))
    ('FLAC', '')
    """
    if chunks.identify(head):
        return "chunks"
    if head[:2] == b"\x0b\x77" and len(head) > 5 and head[5] >> 3 <= 16:
        return "AC-3" if head[5] >> 3 <= 10 else "E-AC-3"
    return _MAGIC.get(head[:4], "")


@contextmanager
def _opened(
    path: Path | str, alive: Callable[[], None] | None = None
) -> Iterator[tuple[FileBytes, int, int]]:
    """Open a file; give it with the bytes between which its audio lies."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            kind = "a folder" if os.path.isdir(path) else "no regular file"
            raise AudioError(f"{path} is {kind}; name an audio file")
        with open(path, "rb") as stream:
            file = FileBytes(stream, *filter(None, [alive]))
            if file.size == 0:
                raise AudioError(f"{path} is empty (0 bytes); restore it or leave it out")
            yield file, *audio_extent(file)
    except AudioError:
        raise
    except OSError as error:
        remedy = {
            FileNotFoundError: "check the path",
            PermissionError: "make it readable, e.g. with chmod u+r",
        }.get(type(error), "check the disk")
        raise AudioError(f"{path} cannot be read: {error.strerror or error}; {remedy}") from error
