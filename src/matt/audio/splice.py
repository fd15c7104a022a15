"""A file that is read as if it were another: bytes from memory and parts of itself, in a row."""

from __future__ import annotations

import io
import os
from bisect import bisect_right
from itertools import accumulate
from pathlib import Path

Part = bytes | tuple[int, int]  # content, or the bytes of the file between two positions


class Spliced(io.RawIOBase):
    """A seekable binary file made of parts.

    Parameters
    ----------
    path : path
        The real file; it is opened here and closed with this object.
    parts : sequence of bytes or (start, stop)
    """

    def __init__(self, path: Path, parts: tuple[Part, ...]) -> None:
        sizes = [len(part) if isinstance(part, bytes) else part[1] - part[0] for part in parts]
        self._parts = parts
        self._starts = [0, *accumulate(sizes)]
        self._at = 0
        self._file = open(path, "rb")  # noqa: SIM115 - closed with this object

    def readable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say yes."""
        return True

    def tell(self) -> int:
        """Position in bytes."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Set the position in bytes."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._starts[-1]}[whence]
        self._at = max(base + offset, 0)
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill the buffer, or as much of it as there is."""
        filled = 0
        while filled < len(buffer) and self._at < self._starts[-1]:
            number = bisect_right(self._starts, self._at) - 1
            part, within = self._parts[number], self._at - self._starts[number]
            most = min(len(buffer) - filled, self._starts[number + 1] - self._at)
            if isinstance(part, bytes):
                piece = part[within : within + most]
            else:
                self._file.seek(part[0] + within)
                piece = self._file.read(most)
            if not piece:  # the file has become shorter
                break
            buffer[filled : filled + len(piece)] = piece
            filled, self._at = filled + len(piece), self._at + len(piece)
        return filled

    def close(self) -> None:
        """Close the real file too."""
        self._file.close()
        super().close()
