"""Monkey's Audio: a descriptor that states the size of every section of the file.

Versions before 3.98 have no descriptor; how long such a file should be is not looked at.
"""

from __future__ import annotations

from typing import BinaryIO

from .structure import Structure, read_at

_NAME = "Monkey's Audio"
_WITH_DESCRIPTOR = 3980  # version times 1000


def examine(stream: BinaryIO, start: int, stop: int) -> Structure:
    """Compare the sizes of the sections with the bytes that are there."""
    head = read_at(stream, start, 36)
    if len(head) < 36:
        return Structure(_NAME, "truncated", "its header is not whole")
    if int.from_bytes(head[4:6], "little") < _WITH_DESCRIPTOR:
        return Structure(_NAME, "undetectable", "its version does not state its size")
    # Descriptor, header, seek table, header of the original file, frames (64 bit), its end.
    sizes = [int.from_bytes(head[at : at + 4], "little") for at in range(8, 36, 4)]
    stated = sum(sizes) + sizes[5] * ((1 << 32) - 1)
    reason = f"{stop - start} of the {stated} bytes that its descriptor states are there"
    return Structure(_NAME, "truncated" if stop - start < stated else "complete", reason)
