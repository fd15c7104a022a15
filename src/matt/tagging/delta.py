"""The bytes of a file as it was, made from the file as it is: small, and proven when it is made.

What both begin and end with is taken from the new file; what lies between is compressed piece by
piece, with the new file's bytes around the same place for a dictionary. So neither a cover nor the
audio is stored a second time, not even where numbers in between have changed (pages of Ogg, offsets
in MP4).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from ..errors import DataError

if TYPE_CHECKING:
    import zstandard

_PIECE = 1 << 20  # bytes compressed at once
_AROUND, _MOST_SHIFT = 1 << 16, 1 << 24  # bytes of the dictionary beyond the piece
_LEVEL, _WINDOW = 9, 25  # of zstd; a window holds a piece and its dictionary


@dataclass(frozen=True)
class Delta:
    """What turns a new file into the old one.

    Attributes
    ----------
    prefix, suffix : int >= 0
        Bytes that both have at their beginning, and at their end.
    old_size, new_size : int
        Bytes.
    pieces : tuple of bytes
        What lies between in the old file, in pieces of 1 MiB, compressed.
    """

    prefix: int
    suffix: int
    old_size: int
    new_size: int
    pieces: tuple[bytes, ...]

    def __post_init__(self) -> None:
        between = self.old_size - self.prefix - self.suffix
        if min(
            self.prefix, self.suffix, between, self.new_size - self.prefix - self.suffix
        ) < 0 or len(self.pieces) != -(-between // _PIECE):
            raise DataError("sizes of a change do not fit together")

    @classmethod
    def between(cls, old: Path, new: Path) -> Delta:
        """Compare two files."""
        with open(old, "rb") as before, open(new, "rb") as after:
            old_size, new_size = _size(before), _size(after)
            shorter = min(old_size, new_size)
            prefix = _alike(before, after, 0, 0, shorter)
            suffix = _alike_from_the_end(before, after, old_size, new_size, shorter - prefix)
            told = cls._told(before, after, prefix, suffix, old_size, new_size)
            return cls(prefix, suffix, old_size, new_size, tuple(told))

    @staticmethod
    def _told(
        before: BinaryIO, after: BinaryIO, prefix: int, suffix: int, old_size: int, new_size: int
    ) -> Iterator[bytes]:
        import zstandard

        for start in range(prefix, old_size - suffix, _PIECE):
            before.seek(start)
            piece = before.read(min(_PIECE, old_size - suffix - start))
            words = _words(after, start, old_size, new_size)
            parameters = zstandard.ZstdCompressionParameters.from_level(
                _LEVEL, source_size=len(piece), dict_size=len(words), window_log=_WINDOW
            )
            yield zstandard.ZstdCompressor(
                dict_data=_dictionary(words), compression_params=parameters
            ).compress(piece)

    def undone(self, new: Path) -> Iterator[bytes]:
        """Yield the bytes of the old file, in pieces.

        Raises
        ------
        DataError
            If the new file has another size, or a piece is damaged.
        """
        import zstandard

        with open(new, "rb") as after:
            if _size(after) != self.new_size:
                raise DataError("it has another size than it was given")
            yield from _read(after, 0, self.prefix)
            for number, piece in enumerate(self.pieces):
                start = self.prefix + number * _PIECE
                size = min(_PIECE, self.old_size - self.suffix - start)
                words = _words(after, start, self.old_size, self.new_size)
                reader = zstandard.ZstdDecompressor(
                    dict_data=_dictionary(words), max_window_size=1 << _WINDOW
                )
                try:  # limited, whatever the piece claims of itself
                    with reader.stream_reader(piece) as told:
                        content = told.read(size + 1)
                except zstandard.ZstdError as error:
                    raise DataError(f"a piece of the change is damaged: {error}") from error
                if len(content) != size:
                    raise DataError("a piece of the change has another length than it should")
                yield content
            yield from _read(after, self.new_size - self.suffix, self.new_size)

    def digest(self, new: Path) -> str:
        """SHA-256 of the old file, as it comes of the new one."""
        digest = sha256()
        for piece in self.undone(new):
            digest.update(piece)
        return digest.hexdigest()


def digest_of(path: Path) -> str:
    """SHA-256 of a file."""
    digest = sha256()
    with open(path, "rb") as file:
        for piece in _read(file, 0, _size(file)):
            digest.update(piece)
    return digest.hexdigest()


def _words(after: BinaryIO, start: int, old_size: int, new_size: int) -> bytes:
    """The bytes of the new file around a place of the old one."""
    shift = max(min(new_size - old_size, _MOST_SHIFT), -_MOST_SHIFT)
    first = max(start + min(shift, 0) - _AROUND, 0)
    after.seek(first)
    return after.read(max(start + _PIECE + max(shift, 0) + _AROUND - first, 0))


def _dictionary(words: bytes) -> zstandard.ZstdCompressionDict | None:
    import zstandard

    if len(words) < 8:  # zstd has none so short
        return None
    return zstandard.ZstdCompressionDict(words, dict_type=zstandard.DICT_TYPE_RAWCONTENT)


def _size(file: BinaryIO) -> int:
    return file.seek(0, 2)


def _read(file: BinaryIO, start: int, stop: int) -> Iterator[bytes]:
    while start < stop:
        file.seek(start)
        piece = file.read(min(_PIECE, stop - start))
        if not piece:
            raise DataError("it became shorter while it was read")
        yield piece
        start += len(piece)


def _alike(one: BinaryIO, other: BinaryIO, first: int, second: int, most: int) -> int:
    """How many bytes are the same from two places on."""
    done = 0
    while done < most:
        n = min(_PIECE, most - done)
        one.seek(first + done)
        other.seek(second + done)
        here, there = one.read(n), other.read(n)
        if here != there:
            return done + _first_difference(here, there)
        done += n
    return done


def _alike_from_the_end(
    one: BinaryIO, other: BinaryIO, one_size: int, other_size: int, most: int
) -> int:
    """How many bytes are the same before the ends."""
    done = 0
    while done < most:
        n = min(_PIECE, most - done)
        one.seek(one_size - done - n)
        other.seek(other_size - done - n)
        here, there = one.read(n), other.read(n)
        if here != there:
            return done + _first_difference(here[::-1], there[::-1])
        done += n
    return done


def _first_difference(here: bytes, there: bytes) -> int:
    n = min(len(here), len(there))
    differ = np.frombuffer(here[:n], np.uint8) != np.frombuffer(there[:n], np.uint8)
    return int(differ.argmax()) if differ.any() else n
