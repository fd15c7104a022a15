"""WavPack: a chain of blocks, each with its size, the samples in it, and a total in the first.

The decoder checks a checksum in every block. ffmpeg gives up where a block does not begin at once
after the last one, so it is shown the file without what is no block (`Structure.parts`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

from .splice import Part
from .structure import CHUNK, MOST_BREAKS, Structure, read_at

_HEADER = 32  # bytes
_UNKNOWN = 0xFFFFFFFF  # total of a stream whose length was not known yet
_LONGEST = 1 << 24  # bytes of one block; more are not credible
_MOST_SPANS = 10_000  # between breaks


@dataclass(frozen=True)
class _Block:
    length: int  # bytes, header included
    total: int | None  # samples per channel of the file; of meaning in the first block only
    begin: int  # its first sample
    n_samples: int  # per channel; 0 for a block without audio

    @property
    def end(self) -> int:
        return self.begin + self.n_samples


def examine(stream: BinaryIO, start: int, stop: int) -> Structure:
    """Compare the samples of the blocks with the total that the first one states."""
    position, total, end, cut = start, None, 0, ""
    breaks: list[str] = []
    spans: list[tuple[int, int]] = []
    begin, first = start, True
    while position < stop:
        block = _parse(read_at(stream, position, _HEADER))
        if block is not None and position + block.length <= stop:
            if block.n_samples:
                total, first = (block.total, False) if first else (total, False)
                if block.begin > end and not (spans and spans[-1][1] == position):
                    breaks.append(f"WavPack samples {end} to {block.begin} are missing")
                end = max(end, block.end)
            position += block.length
            continue
        found = _find(stream, position + 1, stop)
        if found < 0:
            cut = "; its last block is cut" if block is not None else ""
            break  # what is left is no audio
        breaks.append(
            f"no WavPack block at byte {position}, blocks go on at byte {found}, after sample {end}"
        )
        if len(spans) < _MOST_SPANS:
            spans.append((begin, position))
            begin = found
        position = found
    parts: tuple[Part, ...] = ()
    if breaks or cut:
        parts = tuple(span for span in (*spans, (begin, position)) if span[0] < span[1])
    damage = tuple(breaks[:MOST_BREAKS])
    if total is None:
        reason = f"it does not say how many samples there should be{cut}"
        return Structure("WavPack", "undetectable", reason, damage, parts)
    reason = f"its blocks end at sample {end} of the {total} that it states{cut}"
    return Structure("WavPack", "truncated" if end < total else "complete", reason, damage, parts)


def _parse(header: bytes) -> _Block | None:
    """Read the header of a block; None if it is none."""
    size, version = (int.from_bytes(header[at : at + n], "little") for at, n in ((4, 4), (8, 2)))
    credible = _HEADER <= size + 8 <= _LONGEST and version >> 8 == 4
    if len(header) < _HEADER or header[:4] != b"wvpk" or not credible:
        return None
    low, index, n_samples = (int.from_bytes(header[at : at + 4], "little") for at in (12, 16, 20))
    total = None if low == _UNKNOWN else low + (header[11] << 32) - header[11]
    return _Block(size + 8, total, index + (header[10] << 32), n_samples)


def _find(stream: BinaryIO, start: int, stop: int) -> int:
    """Position of the next header of a block; -1 if there is none."""
    for base in range(start, stop, CHUNK):
        piece = read_at(stream, base, CHUNK + _HEADER - 1)
        at = piece.find(b"wvpk")
        while 0 <= at < CHUNK:
            if _parse(piece[at : at + _HEADER]) is not None:
                return base + at
            at = piece.find(b"wvpk", at + 1)
    return -1
