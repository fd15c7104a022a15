"""MPEG audio (MP3): a chain of frames, each with a header that says where the next one begins.

How long the file should be is stated, if at all, in the first frame: a Xing or Info header (LAME,
ffmpeg) or a VBRI header (Fraunhofer). The chain itself is walked, so lost sync is seen; a frame
whose header is whole but whose content is not cannot be seen by anyone, as most have no checksum.

libsndfile estimates the length of a file without such a header from its first frame and then stops
there, which cuts many variable-bitrate files short. Such a file is given a header made from the
frames really counted (`Structure.parts`), and one that states too few gets the right number.
With a header libmpg123 leaves out its own delay, the first 529 samples, as for any other file.

Frames of free bitrate do not say how long they are: all but the padding are as long as the first,
which ends where the next one begins.

AAC as a bare stream is a chain of ADTS frames. Nothing states how many there should be, so one that
is cut between two frames looks whole; one that is cut within a frame is told as such.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from .structure import (
    MOST_BREAKS,
    MOST_SPANS,
    FileBytes,
    Part,
    Structure,
    find_header,
    leading_tag,
)

_KBPS = {  # by (MPEG-1?, layer); index 0 is "free", 15 is forbidden
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_HZ = (44_100, 48_000, 32_000)
_DIVISOR = {3: 1, 2: 2, 0: 4}  # of the sampling rate, by the version bits: MPEG-1, 2, 2.5
_SAME = 0xFFFE0C00  # sync, version, layer, sampling rate: what no frame of a file may change
_SEARCH = 1 << 20  # bytes of junk before the first frame that are looked through
_SKIPPED = 1 << 16  # bytes of junk at which libmpg123 gives up
_SYNC = re.compile(  # sync, and no forbidden version, layer, bitrate or sampling rate
    rb"\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff][%b]"
    % re.escape(bytes(byte for byte in range(0x10, 0xF0) if byte >> 2 & 3 != 3))
)
_FREE = re.compile(
    rb"\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff][%b]"
    % re.escape(bytes(byte for byte in range(0x10) if byte >> 2 & 3 != 3))
)
_FREE_LENGTHS = 24, 4608  # bytes of a frame of free bitrate, at least and at most
_ADTS = 7  # bytes of a header, without a checksum
_MOST_KNOWN = 4096  # headers; those of ADTS differ in the length, too
_ADTS_SAME = 0xFFFE_FDC0  # sync, version, profile, sampling rate, channels: equal in all frames


@dataclass(frozen=True)
class Frame:
    """Header of one frame, of MPEG audio or ADTS."""

    same: int  # what it shares with all frames of one file
    word: int  # its first four bytes as a number
    length: int  # bytes, header included
    samples: int = 0  # per channel; unknown in ADTS, as what follows
    sr: int = 0  # Hz
    layer: int = 0
    side_info: int = 0  # bytes between a layer III header and its audio


@dataclass(frozen=True)
class _Chain:
    n_frames: int
    cut: bool  # whether the last frame runs over the end
    breaks: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]  # bytes of the file without the breaks
    end: int  # byte at which it ends


def parse_frame(header: bytes, free: int = 0) -> Frame | None:
    """Read the four bytes of a frame header; None if they are not one.

    Parameters
    ----------
    header : bytes
    free : int
        Bytes of a frame of free bitrate without padding; 0 for a stream of known bitrates, in which
        there is none.

    Examples
    --------
    >>> parse_frame(bytes.fromhex("fffb9064")).length
    417
    """
    word = int.from_bytes(header[:4], "big")
    version, layer = word >> 19 & 3, 4 - (word >> 17 & 3)
    kbps_index, sr_index = word >> 12 & 15, word >> 10 & 3
    sync = len(header) >= 4 and word >> 21 == 0x7FF
    if not sync or version == 1 or layer == 4 or kbps_index == 15 or sr_index == 3:
        return None
    if (kbps_index == 0) != (free > 0):
        return None
    mpeg1, padding, mono = version == 3, word >> 9 & 1, word >> 6 & 3 == 3
    bits = _KBPS[mpeg1, layer][kbps_index] * 1000
    sr = _HZ[sr_index] // _DIVISOR[version]
    samples = 384 if layer == 1 else 1152 if layer == 2 or mpeg1 else 576
    slot = 4 if layer == 1 else 1  # bytes; padding adds one
    length = free + padding * slot if free else (samples // 8 // slot * bits // sr + padding) * slot
    side_info = (17 if mono else 32) if mpeg1 else (9 if mono else 17)
    return Frame(word & _SAME, word, length, samples, sr, layer, side_info)


def parse_adts(header: bytes) -> Frame | None:
    """Read the seven bytes of an ADTS header; None if they are not one.

    >>> parse_adts(bytes.fromhex("fff150801abffc")).length
    213
    """
    if len(header) < _ADTS or header[0] != 0xFF or header[1] & 0xF6 != 0xF0:
        return None
    word, length = (
        int.from_bytes(header[:4], "big"),
        int.from_bytes(header[3:6], "big") >> 5 & 0x1FFF,
    )
    if length < _ADTS or header[2] >> 2 & 15 > 12:  # the latter: index of the sampling rate
        return None
    return Frame(word & _ADTS_SAME, word, length)


_Parse = Callable[[bytes], Frame | None]


def _size(parse: _Parse) -> int:
    """Bytes of a header."""
    return _ADTS if parse is parse_adts else 4


def find_frame(
    file: FileBytes, start: int, stop: int, like: Frame | None = None, parse: _Parse = parse_frame
) -> int:
    """Position of the next frame that another one or the end follows; -1 if there is none.

    Parameters
    ----------
    like : Frame, optional
        Only a frame of the same stream counts; by default any, within the first MiB.
    parse : callable
        What reads a header.
    """
    size = _size(parse)

    def is_one(position: int, header: bytes) -> bool:
        frame = parse(header)
        if frame is None or (like is not None and frame.same != like.same):
            return False
        after = position + frame.length
        follower = parse(file.at(after, size)) if after + size <= stop else None
        return after == stop or (follower is not None and follower.same == frame.same)

    if like is None:
        return find_header(file, start, min(stop, start + _SEARCH), _SYNC, size, is_one)
    second = like.same >> 16 & 0xFE  # its last bit, a checksum, may change
    sync = re.compile(b"\xff[%c%c]" % (second, second | 1))
    return find_header(file, start, stop, sync, size, is_one)


def find_first(file: FileBytes, start: int, stop: int) -> tuple[int, _Parse]:
    """Position of the first frame within the first MiB, -1 if there is none; what reads headers."""
    position = find_frame(file, start, stop)
    if position >= 0:
        return position, parse_frame
    length = 0

    def is_one(position: int, header: bytes) -> bool:
        nonlocal length
        length = _free_length(file, position, stop)
        return length > 0

    position = find_header(file, start, min(stop, start + _SEARCH), _FREE, 4, is_one)
    return position, partial(parse_frame, free=length)


def _free_length(file: FileBytes, position: int, stop: int) -> int:
    """Bytes of a frame of free bitrate that two more follow, without padding; 0 if it is none."""
    least, most = _FREE_LENGTHS
    window = file.at(position, min(most + 4, stop - position))
    header = window[:4]
    second = header[1] & 0xFE
    sync = re.compile(b"\xff[%c%c]" % (second, second | 1))
    for found in sync.finditer(window, least):
        file.missed()
        length = found.start() - (header[2] >> 1 & 1)  # without padding; of layer I, four bytes
        read = partial(parse_frame, free=length)
        first = read(header)
        if first is None or first.layer == 1:
            return 0
        at = position + first.length
        for _ in range(2):
            frame = read(file.at(at, 4))
            if frame is None or frame.same != first.same:
                break
            at += frame.length
        else:
            return length
    return 0


def is_mpeg(file: FileBytes, start: int, stop: int) -> bool:
    """Whether frames of MPEG audio are found near ``start``."""
    return find_first(file, start, stop)[0] >= 0


def examine(file: FileBytes, start: int, stop: int) -> Structure:
    """Compare the frames that are there with the number stated in the first one."""
    position, parse = find_first(file, start, stop)
    first = parse(file.at(position, 4)) if position >= 0 else None
    if first is None:
        return Structure("MP3", "undetectable", "no MPEG frames were found")
    content = file.at(position, first.length)
    kind, stated, field = _stated_frames(content, first)
    lost = "MPEG sync is lost after {1:.1f} s"
    chain = _walk(file, position, stop, first, parse, lost)
    present = chain.n_frames - (1 if kind else 0)  # the header's own frame holds no audio
    head, header_length = b"", first.length if kind else 0
    if kind != "VBRI" and stated is not None and present > stated + 1:
        head = content[:field] + present.to_bytes(4, "big") + content[field + 4 :]
    elif first.layer == 3 and (kind == "VBRI" or stated is None) and parse is parse_frame:
        head = _info_frame(first, present)
    parts: tuple[Part, ...] = ()
    if head:
        (begin, end), *others = chain.spans
        parts = (head, (begin + header_length, end), *others)
    elif chain.breaks or position - start >= _SKIPPED:
        parts = chain.spans
    cut = "; its last frame is cut" if chain.cut else ""
    if position - start >= _SKIPPED:
        cut += f"; {position - start:,} bytes of junk lie before the first frame"
    if stated is None:
        reason = f"no Xing, Info or VBRI header says how many frames there should be{cut}"
        return Structure("MP3", "undetectable", reason, chain.breaks, parts)
    # Some encoders count the header's own frame too: one frame fewer, and no cut, proves nothing.
    short = present < stated - 1 or (present < stated and chain.cut)
    reason = f"{present} of the {stated} MPEG frames that its {kind} header states are there{cut}"
    return Structure("MP3", "truncated" if short else "complete", reason, chain.breaks, parts)


def examine_adts(file: FileBytes, start: int, stop: int) -> Structure:
    """Follow the chain of frames to its end."""
    first = parse_adts(file.at(start, _ADTS))
    if first is None:
        return Structure("ADTS", "undetectable", "no ADTS frames were found")
    chain = _walk(file, start, stop, first, parse_adts, "ADTS sync is lost after {0} frames")
    left = stop - chain.end
    cut = chain.cut or (0 < left < _ADTS and file.at(chain.end, 1) == b"\xff")
    end = "; its last frame is cut" if cut else ""
    reason = f"ADTS does not say how many frames there should be{end}"
    return Structure("ADTS", "undetectable", reason, chain.breaks)


def _walk(
    file: FileBytes, position: int, stop: int, first: Frame, parse: _Parse, lost: str
) -> _Chain:
    """Follow a chain of frames to its end, over tags and over damage.

    ``lost`` says of a number of frames, and of their seconds, that sync is lost after them.
    """
    size = _size(parse)
    known: dict[bytes, int] = {}  # length by header
    breaks: list[str] = []
    spans: list[tuple[int, int]] = []
    n_frames, cut, begin = 0, False, position
    while position + size <= stop:
        window, at = file.piece(position, size)
        if len(window) - at < size:
            break  # the file has become shorter
        base = position - at
        end = min(stop - base, len(window))
        # Nearly all frames of a sound MP3 pass here.
        while (length := known.get(window[at : at + size], 0)) and at + length <= end:
            n_frames, at = n_frames + 1, at + length
        position, header = base + at, window[at : at + size]
        if position + size > stop or len(header) < size:
            continue
        if not length and (parsed := parse(header)) and parsed.same == first.same:
            length = parsed.length
            if len(known) < _MOST_KNOWN:
                known[header] = length
        if length:
            if position + length > stop:
                cut = True
                break
            n_frames, position = n_frames + 1, position + length
            continue
        if first.layer and (tag := leading_tag(file, position, stop)) > 0:
            position += tag  # of files joined end to end
            continue
        found = find_frame(file, position + 1, stop, first, parse)
        if found < 0:
            break  # what is left is no audio
        if len(breaks) < MOST_BREAKS:
            told = lost.format(n_frames, n_frames * first.samples / max(first.sr, 1))
            breaks.append(f"{told}, at byte {position} ({found - position} bytes are no audio)")
        if len(spans) < MOST_SPANS:
            spans.append((begin, position))
            begin = found
        position = found
    return _Chain(n_frames, cut, tuple(breaks), (*spans, (begin, stop)), position)


def _stated_frames(content: bytes, frame: Frame) -> tuple[str, int | None, int]:
    """Kind of length header in the first frame, the frames it states, where the number lies."""
    if frame.layer != 3:
        return "", None, 0
    for at in (4 + frame.side_info, 6 + frame.side_info):  # with a checksum: two bytes later
        kind = content[at : at + 4]
        if kind in (b"Xing", b"Info"):
            has_frames = len(content) >= at + 12 and content[at + 7] & 1
            number = int.from_bytes(content[at + 8 : at + 12], "big") if has_frames else None
            return kind.decode(), number or None, at + 8
    if content[36:40] == b"VBRI" and len(content) >= 54:
        return "VBRI", int.from_bytes(content[50:54], "big"), 50
    return "", None, 0


def _info_frame(like: Frame, n_frames: int) -> bytes:
    """Build a frame of silence that states the number of frames after it."""
    # Index 9 has room for the header in all versions; no checksum, no padding.
    word = like.word & 0xFFFF0DFF | 0x00010000 | 9 << 12
    frame = parse_frame(word.to_bytes(4, "big"))
    length = frame.length if frame else 0
    tag = b"Info" + (1).to_bytes(4, "big") + n_frames.to_bytes(4, "big")
    return (word.to_bytes(4, "big") + bytes(like.side_info) + tag).ljust(length, b"\0")
