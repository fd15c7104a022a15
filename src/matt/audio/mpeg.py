"""MPEG audio (MP3): a chain of frames, each with a header that says where the next one begins.

How long the file should be is stated, if at all, in the first frame: a Xing or Info header (LAME,
ffmpeg) or a VBRI header (Fraunhofer). The chain itself is walked, so lost sync is seen; a frame
whose header is whole but whose content is not cannot be seen by anyone, as most have no checksum.

libsndfile estimates the length of a file without such a header from its first frame and then stops
there, which cuts many variable-bitrate files short. Such a file is given a header made from the
frames really counted (`Structure.parts`), and one that states too few gets the right number.
With a header libmpg123 leaves out its own delay, the first 529 samples, as for any other file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from .splice import Part
from .structure import CHUNK, MOST_BREAKS, Structure, read_at, read_span
from .tagblocks import leading_tag

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
_MOST_SPANS = 10_000  # between breaks; after that the decoder has to find its way itself
_SEARCH = 1 << 20  # bytes of junk before the first frame that are looked through


@dataclass(frozen=True)
class Frame:
    """Header of one MPEG audio frame."""

    word: int  # the four bytes as a number
    length: int  # bytes, header included
    samples: int  # per channel
    sr: int  # Hz
    layer: int
    side_info: int  # bytes between a layer III header and its audio

    @property
    def same(self) -> int:
        """Equal for all frames of one file."""
        return self.word & _SAME


@dataclass(frozen=True)
class _Chain:
    n_frames: int
    cut: bool  # whether the last frame runs over the end
    breaks: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]  # bytes of the file without the breaks


def parse_frame(header: bytes) -> Frame | None:
    """Read the four bytes of a frame header; None if they are not one (or of free bitrate).

    >>> parse_frame(bytes.fromhex("fffb9064")).length
    417
    """
    word = int.from_bytes(header[:4], "big")
    version, layer = word >> 19 & 3, 4 - (word >> 17 & 3)
    kbps_index, sr_index = word >> 12 & 15, word >> 10 & 3
    sync = len(header) >= 4 and word >> 21 == 0x7FF
    if not sync or version == 1 or layer == 4 or kbps_index in (0, 15) or sr_index == 3:
        return None
    mpeg1, padding, mono = version == 3, word >> 9 & 1, word >> 6 & 3 == 3
    bits = _KBPS[mpeg1, layer][kbps_index] * 1000
    sr = _HZ[sr_index] // _DIVISOR[version]
    samples = 384 if layer == 1 else 1152 if layer == 2 or mpeg1 else 576
    slot = 4 if layer == 1 else 1  # bytes; padding adds one
    length = (samples // 8 // slot * bits // sr + padding) * slot
    side_info = (17 if mono else 32) if mpeg1 else (9 if mono else 17)
    return Frame(word, length, samples, sr, layer, side_info)


def find_frame(stream: BinaryIO, start: int, stop: int, *, same: int = 0) -> tuple[int, Frame]:
    """Position and header of the next frame, which must be followed by another or by the end.

    Parameters
    ----------
    same : int
        Only a frame with this `Frame.same` counts; 0: any, within the first MiB.

    Returns
    -------
    position : int
        -1 where there is none; the header is then of no meaning.
    frame : Frame
    """
    nothing = Frame(0, 0, 0, 0, 0, 0)
    if not same:
        stop_search = min(stop, start + _SEARCH)
        sync = re.compile(rb"\xff[\xe0-\xff]")
    else:
        stop_search = stop
        sync = re.compile(
            re.escape(bytes([same >> 24, same >> 16 & 0xFE]))
            + b"|"
            + re.escape(bytes([same >> 24, same >> 16 & 0xFE | 1]))
        )
    for base in range(start, stop_search, CHUNK):
        piece = read_at(stream, base, CHUNK + 3)  # a header may lie across two pieces
        for match in sync.finditer(piece):
            frame = parse_frame(piece[match.start() : match.start() + 4])
            position = base + match.start()
            if frame is None or (same and frame.same != same) or match.start() >= CHUNK:
                continue
            after = position + frame.length
            follower = parse_frame(read_at(stream, after, 4)) if after + 4 <= stop else None
            if after == stop or (follower is not None and follower.same == frame.same):
                return position, frame
    return -1, nothing


def is_mpeg(stream: BinaryIO, start: int, stop: int) -> bool:
    """Whether frames of MPEG audio are found near ``start``."""
    return find_frame(stream, start, stop)[0] >= 0


def examine(stream: BinaryIO, start: int, stop: int) -> Structure:
    """Compare the frames that are there with the number stated in the first one."""
    position, first = find_frame(stream, start, stop)
    if position < 0:
        return Structure("MP3", "undetectable", "no MPEG frames with a known bitrate were found")
    content = read_at(stream, position, first.length)
    kind, stated, field = _stated_frames(content, first)
    chain = _walk(stream, position, stop, first)
    present = chain.n_frames - (1 if kind else 0)  # the header's own frame holds no audio
    head, header_length = b"", first.length if kind else 0
    if kind != "VBRI" and stated is not None and present > stated + 1:
        head = content[:field] + present.to_bytes(4, "big") + content[field + 4 :]
    elif first.layer == 3 and (kind == "VBRI" or stated is None):
        head = _info_frame(first, present)
    parts: tuple[Part, ...] = ()
    if head:
        (begin, end), *others = chain.spans
        parts = (head, (begin + header_length, end), *others)
    elif chain.breaks:
        parts = chain.spans
    cut = "; its last frame is cut" if chain.cut else ""
    if stated is None:
        reason = f"no Xing, Info or VBRI header says how many frames there should be{cut}"
        return Structure("MP3", "undetectable", reason, chain.breaks, parts)
    # Some encoders count the header's own frame too: one frame fewer, and no cut, proves nothing.
    short = present < stated - 1 or (present < stated and chain.cut)
    reason = f"{present} of the {stated} MPEG frames that its {kind} header states are there{cut}"
    return Structure("MP3", "truncated" if short else "complete", reason, chain.breaks, parts)


def encoded(stream: BinaryIO, start: int, stop: int) -> Iterator[bytes]:
    """All frames, the Xing, Info or VBRI frame too: taggers leave it alone, and it trims audio."""
    return read_span(stream, start, stop)


def _walk(stream: BinaryIO, position: int, stop: int, first: Frame) -> _Chain:
    """Follow the chain of frames to its end, over tags and over damage."""
    known: dict[bytes, int] = {}  # length by header
    breaks: list[str] = []
    spans: list[tuple[int, int]] = []
    n_frames, cut, begin = 0, False, position
    window, base = b"", position
    while position + 4 <= stop:
        if not base <= position <= base + len(window) - 4:
            window, base = read_at(stream, position, CHUNK), position
        at, end = position - base, min(stop - base, len(window))
        # Nearly all frames of a sound file pass here.
        while (length := known.get(window[at : at + 4], 0)) and at + length <= end:
            n_frames, at = n_frames + 1, at + length
        position, header = base + at, window[at : at + 4]
        if position + 4 > stop or (at and len(header) < 4):
            continue
        if header not in known and (parsed := parse_frame(header)) and parsed.same == first.same:
            known[header] = parsed.length
        if header in known:
            if position + known[header] > stop:
                cut = True
                break
            n_frames, position = n_frames + 1, position + known[header]
            continue
        if (tag := leading_tag(stream, position, stop)) > 0:  # files joined end to end
            position += tag
            continue
        found, _ = find_frame(stream, position + 1, stop, same=first.same)
        if found < 0:
            break  # what is left is no audio
        if len(breaks) < MOST_BREAKS:
            seconds = n_frames * first.samples / first.sr
            breaks.append(
                f"MPEG sync is lost after {seconds:.1f} s, at byte {position} "
                f"({found - position} bytes are no audio)"
            )
        if len(spans) < _MOST_SPANS:
            spans.append((begin, position))
            begin = found
        position = found
    return _Chain(n_frames, cut, tuple(breaks), (*spans, (begin, stop)))


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
