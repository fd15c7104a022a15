"""Downloads that go on where they stopped: bytes go to ``NAME.part``, what they are of beside it.

A server may cut the connection, ignore ranges, or hold another file by now; the disk may be full.
Whatever happens, the part that is there stays usable, or is thrown away because it is known to be
of another file. The finished part is renamed by the caller, who knows its checksum.
"""

from __future__ import annotations

import errno
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ... import __version__
from ...errors import DataError
from ...files import read_json, write_json

CHUNK = 2**18
PROGRESS = 2**20  # bytes after which earlier failures are forgiven
_PASSING = (408, 425, 429)  # of the 4xx, those that may go away
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)

Progress = Callable[[int, int], None]
"""Told bytes done and bytes in all; the latter is 0 where the server does not say."""


class _Cut(Exception):
    """The connection ended before the file did."""


@dataclass(frozen=True)
class _Remote:
    """What a part is a part of."""

    url: str
    total: int | None
    etag: str


def part_of(path: Path) -> Path:
    """Where the bytes of an unfinished download lie."""
    return path.with_name(path.name + ".part")


def download(
    url: str,
    path: Path,
    *,
    room: Callable[[int], None] = lambda missing: None,
    progress: Progress = lambda done, total: None,
    tries: int = 5,
    wait: float = 2.0,
    timeout: float = 60.0,
) -> Path:
    """Download a file, going on with what an earlier call left.

    Parameters
    ----------
    url : str
        ``http`` or ``https``.
    path : Path
        Where the file is meant to go; the bytes go to ``path.part``.
    room : callable
        Told how many bytes are still missing, before the first is written; may raise.
    tries : int >= 1
        Attempts in a row that bring next to nothing before it is given up.
    wait : float
        Seconds before the second attempt, doubled each time.
    timeout : float
        Seconds without a byte after which a connection counts as cut.

    Returns
    -------
    Path
        The complete part.

    Raises
    ------
    DataError
        If the server has no such file or fails again and again, or the disk is full. What was
        downloaded is kept.
    """
    from http.client import HTTPException
    from urllib.error import HTTPError

    if not url.lower().startswith(("http://", "https://")):
        raise DataError(f"{url} is no web address; give one that begins with http:// or https://")
    part = part_of(path)
    with _writing(part.parent, "nothing was downloaded"):
        part.parent.mkdir(parents=True, exist_ok=True)
    failures = 0
    while True:
        before = _size(part)
        try:
            _go_on(url, part, room, progress, timeout)
            return part
        except HTTPError as error:
            error.close()
            if error.code < 500 and error.code not in _PASSING:
                raise DataError(
                    f"{url}: the server answers {error.code} ({error.reason}); check the address, "
                    "or name a mirror with --url"
                ) from error
            reason = f"the server answers {error.code} ({error.reason})"
        except _Cut as error:
            reason = str(error)
        except (OSError, HTTPException) as error:
            cause = getattr(error, "reason", None) or error
            reason = str(cause) or type(cause).__name__
        failures = 1 if _size(part) - before >= PROGRESS else failures + 1
        if failures >= tries:
            raise DataError(
                f"{url}: {reason}, {failures} times in a row; {_size(part):,} bytes are kept in "
                f"{part.name}. Run the same command again to go on from there"
            )
        time.sleep(wait * 2 ** (failures - 1))


def forget(path: Path) -> None:
    """Remove the part of a download, and what is known of it."""
    part_of(path).unlink(missing_ok=True)
    _note(part_of(path)).unlink(missing_ok=True)


def write_all(file: Any, data: bytes, kept: str) -> None:
    """Write to an unbuffered file, or say why that is impossible and what is kept.

    Raises
    ------
    DataError
        Whatever the system objects to.
    """
    view = memoryview(data)
    with _writing(file.name, kept):
        while view:
            view = view[file.write(view) :]


@contextmanager
def _writing(path: Any, kept: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _DISK_FULL:
            why = f"the disk is full ({kept}); free some space"
        elif error.errno == errno.EFBIG:
            why = f"files of that size are not possible there ({kept}); use another file system"
        else:
            why = f"it cannot be written: {error.strerror} ({kept}); check the disk"
        raise DataError(f"{path}: {why} and run the same command again") from error


def _go_on(
    url: str, part: Path, room: Callable[[int], None], progress: Progress, timeout: float
) -> None:
    """One connection: returns when the part is complete, else raises."""
    # Imported late, like its errors above: loading tracks does not need the network.
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    known, have = _known(part), _size(part)
    headers = {"User-Agent": f"matt/{__version__}", "Accept-Encoding": "identity"}
    if have and known:  # a part of nobody knows what is not continued
        headers["Range"] = f"bytes={have}-"
        if known.url == url and known.etag.startswith('"'):
            headers["If-Range"] = known.etag
    try:
        response = urlopen(Request(url, headers=headers), timeout=timeout)
    except HTTPError as error:
        if error.code != 416 or not have:
            raise
        error.close()
        # No byte from there on: all of it is here, or the file is another one by now.
        if known and known.total == have == _total(error.headers):
            return
        forget(part.with_suffix(""))
        raise _Cut("the file on the server has changed") from error
    with response:
        remote = _Remote(url, _total(response.headers), response.headers.get("ETag", ""))
        if response.status == 206 and known:
            if not _continues(response.headers, have) or _changed(known, remote):
                forget(part.with_suffix(""))
                raise _Cut("the file on the server has changed; starting again")
        else:
            have = 0
            with _writing(part, "nothing is kept"):
                part.unlink(missing_ok=True)
        room((remote.total or 0) - have)
        with _writing(part, f"{have:,} bytes are kept"):
            write_json(_note(part), asdict(remote))
            opened = part.open("ab", buffering=0)
        with opened as file:
            while data := response.read1(CHUNK):
                write_all(file, data, f"{have:,} bytes are kept")
                have += len(data)
                progress(have, remote.total or 0)
    if remote.total is not None and have != remote.total:
        raise _Cut(f"the connection was cut after {have:,} of {remote.total:,} bytes")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _note(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _known(part: Path) -> _Remote | None:
    try:
        return _Remote(**read_json(_note(part)))
    except (DataError, TypeError):
        return None


def _changed(known: _Remote, remote: _Remote) -> bool:
    if known.total != remote.total:
        return True
    # A mirror has tags of its own; its bytes are judged by the checksum.
    return known.url == remote.url and bool(known.etag) and known.etag != remote.etag


def _continues(headers: Any, have: int) -> bool:
    found = re.match(r"bytes (\d+)-", headers.get("Content-Range", ""))
    return bool(found) and int(found[1]) == have  # type: ignore[index]


def _total(headers: Any) -> int | None:
    """Bytes of the whole file, whatever part of it is being sent."""
    found = re.search(r"/(\d+)$", headers.get("Content-Range", ""))
    text = found[1] if found else headers.get("Content-Length", "")
    return int(text) if text and text.isdigit() else None
