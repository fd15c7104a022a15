"""What matt keeps in the user's cache: features of libraries, and what their files said.

``$MATT_CACHE`` names the folder; by default it is the system's for caches.

- ``features/NAME-KEY/KIND-DIGEST``: a `FeatureStore` of each library and kind;
- ``scans/NAME-KEY.parquet``: what is remembered of the library's files (`matt.datasets.memory`).

All of it can be computed again from the music. It is the music that may be away for a while, on a
disk that is not mounted, so nothing goes unless somebody says so.
"""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..datasets.memory import (
    SUFFIX,
    Memory,
    library_key,
    memory_file,
    remember_folder,
    remembered_folder,
)
from ..errors import DataError
from ..features.spec import FeatureSpec
from ..files import lock, locks, unlock

FEATURES, SCANS = "features", "scans"
_PART = ".part-"  # before what is not yet wholly copied


def cache_folder() -> Path:
    """The cache of the user; it need not be there."""
    import platformdirs

    given = os.environ.get("MATT_CACHE")
    return Path(given).absolute() if given else platformdirs.user_cache_path("matt")


def store_of(folder: Path, spec: FeatureSpec) -> Path:
    """Where the features of a folder are kept unless the user says: outside the music itself."""
    return cache_folder() / FEATURES / library_key(folder) / f"{spec.kind}-{spec.digest}"


def library_of(path: Path, spec: FeatureSpec) -> Path:
    """The library that a file or folder is part of, with features of this kind.

    It is the outermost folder, above it or itself, of which such features are kept, whatever was
    named when they were computed; where there is none it is the folder itself, of a file its own.
    The home folder, or what holds it, is none unless it is named: files from two places in it were
    asked for together once, and that takes over no library.
    """
    own = own_folder(path)
    around = [folder for folder in own.parents if not _holds_homes(folder)]
    return next((folder for folder in reversed(around) if has_features(folder, spec)), own)


def _holds_homes(folder: Path) -> bool:
    """Whether a folder is the user's own, or above it."""
    home = Path(os.path.abspath(os.path.expanduser("~")))
    return folder == home or folder in home.parents


def own_folder(path: Path) -> Path:
    """A folder itself; of a file the one that it lies in."""
    place = Path(os.path.abspath(path))
    return place.parent if place.is_file() else place


def has_features(folder: Path, spec: FeatureSpec) -> bool:
    """Whether features of this kind are kept of a library."""
    return (store_of(folder, spec) / "spec.json").is_file()


def name_folder(folder: Path) -> None:
    """Have the cache know where a library is whose files nobody has read, only been told of."""
    memory = memory_file(cache_folder() / SCANS, folder)
    if not memory.exists():
        Memory.load(memory).save({}, (), now=time.time(), name=str(folder))


@dataclass(frozen=True)
class KeptLibrary:
    """What is kept of one library.

    Attributes
    ----------
    key : str
        Its name in the cache.
    folder : str
        Where it is; empty where nobody remembers.
    stores : tuple of Path
        Of its features.
    memory : Path or None
        What its files said.
    n_bytes : int
        On disk.
    used : float
        When it was read or written last, in seconds.
    """

    key: str
    folder: str
    stores: tuple[Path, ...]
    memory: Path | None
    n_bytes: int
    used: float

    @property
    def gone(self) -> bool:
        """Whether its folder is known and is not there, or is empty: no disk is mounted."""
        if not self.folder:
            return False
        try:
            with os.scandir(self.folder) as found:
                return not any(found)
        except OSError:
            return True

    @property
    def parts(self) -> tuple[Path, ...]:
        """All that is kept of it."""
        return (*self.stores, *([] if self.memory is None else [self.memory]))


def kept_libraries(cache: Path) -> list[KeptLibrary]:
    """What a cache holds, the largest first."""
    stores: dict[str, list[Path]] = {}
    for place in _entries(cache / FEATURES):
        if some := [store for store in _entries(place) if (store / "spec.json").is_file()]:
            stores[place.name] = some
    memories = {place.stem: place for place in _entries(cache / SCANS) if place.suffix == SUFFIX}
    found = []
    for key in {**stores, **memories}:
        memory = memories.get(key)
        parts = [*stores.get(key, []), *([memory] if memory else [])]
        sizes = [_measured(part) for part in parts]
        folder = remembered_folder(memory) if memory else ""
        n_bytes, used = sum(n for n, _ in sizes), max((t for _, t in sizes), default=0.0)
        found.append(KeptLibrary(key, folder, tuple(stores.get(key, [])), memory, n_bytes, used))
    return sorted(found, key=lambda one: (-one.n_bytes, one.key))


def _entries(folder: Path) -> list[Path]:
    """What lies in a folder and is not hidden; nothing where there is none."""
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError:
        return []


def _measured(path: Path) -> tuple[int, float]:
    """Bytes of a file or folder, and when it was changed last."""
    if path.is_file():
        found = path.stat()
        return found.st_size, found.st_mtime
    n_bytes, changed = 0, 0.0
    for place, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):  # somebody else removes it now
                found = os.stat(os.path.join(place, name))
                n_bytes, changed = n_bytes + found.st_size, max(changed, found.st_mtime)
    return n_bytes, changed


def named_libraries(cache: Path, folders: Sequence[Path]) -> list[KeptLibrary]:
    """What is kept of some libraries, by their folders, be they there or not, or by their keys.

    Raises
    ------
    DataError
        If nothing is kept of one.
    """
    kept = {one.key: one for one in kept_libraries(cache)}
    found = []
    for folder in folders:
        one = kept.get(library_key(folder)) or kept.get(str(folder))
        if one is None:
            raise DataError(
                f"nothing is kept of {folder}; 'matt cache show' lists of which libraries there is"
            )
        found.append(one)
    return found


@locks()
def forget(libraries: Sequence[KeptLibrary]) -> int:
    """Remove what is kept of libraries; gives the bytes that are free by that.

    Raises
    ------
    DataError
        If another process writes there.
    """
    for store in (store for one in libraries for store in one.stores):
        lock(store)
    for one in libraries:
        for part in one.parts:
            _remove(part)
        if one.stores:
            with suppress(OSError):  # something else lies there, too
                one.stores[0].parent.rmdir()
    return sum(one.n_bytes for one in libraries)


def _remove(part: Path) -> None:
    if part.is_dir():
        unlock(part)  # Windows removes no open file
        shutil.rmtree(part)
    else:
        part.unlink(missing_ok=True)


def move_cache(cache: Path, to: Path) -> Iterator[Path]:
    """Move all that is kept to another folder, one store after the other; yields what is moved.

    Interrupted, run it again: what was moved is there, what was not is here, each of it whole.

    Raises
    ------
    DataError
        If one folder lies in the other, or the new one in music; the same is kept in both, another
        process writes, or the disk is too full.
    """
    cache, to = cache.resolve(), to.resolve()
    if cache == to or cache in to.parents or to in cache.parents:
        raise DataError(f"{to} and {cache} lie in each other; name another folder")
    libraries = kept_libraries(cache)
    for folder in (Path(one.folder).resolve() for one in libraries if one.folder):
        if (to == folder or folder in to.parents) and not _holds_homes(folder):
            raise DataError(f"{to} lies in the library {folder}; name a folder outside of music")
    kept = [part.relative_to(cache) for one in libraries for part in one.parts]
    if twice := next((part for part in kept if (to / part).exists()), None):
        raise DataError(f"{to / twice} is there already; name a folder without it")
    to.mkdir(parents=True, exist_ok=True)
    n_bytes = sum(_measured(cache / part)[0] for part in kept)
    free = shutil.disk_usage(to).free
    if os.stat(to).st_dev != os.stat(cache).st_dev and n_bytes > free:
        raise DataError(
            f"{n_bytes / 1e9:.3g} GB are kept, but only {free / 1e9:.3g} GB are free at {to}; "
            "free some space, or name a folder on another disk"
        )
    for part in kept:
        _move(cache / part, to / part)
        yield to / part


def move_library(cache: Path, folder: Path, to: Path) -> None:
    """Have what is kept of a library count for another folder, to which it was moved.

    Raises
    ------
    DataError
        If nothing is kept of the first, or something of the other.
    """
    (one,) = named_libraries(cache, [folder])
    if any(kept.key == library_key(to) for kept in kept_libraries(cache)):
        raise DataError(f"something is kept of {to} already; 'matt cache prune {to}' forgets it")
    for store in one.stores:
        _move(store, cache / FEATURES / library_key(to) / store.name)
    if one.memory is not None:
        memory = memory_file(cache / SCANS, to)
        _move(one.memory, memory)
        with suppress(DataError):  # what is damaged names no folder, and is written anew
            remember_folder(memory, to)


@locks()
def _move(source: Path, target: Path) -> None:
    """Move a file or folder, on one disk or to another; it is whole at one of both places."""
    if source.is_dir():
        lock(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{_PART}{uuid.uuid4().hex[:12]}")
    try:
        if source.is_dir():
            unlock(source)
            if not _renamed(source, target):
                shutil.copytree(source, part)
                part.rename(target)
                shutil.rmtree(source)
        elif not _renamed(source, target):
            shutil.copy2(source, part)
            part.replace(target)
            source.unlink()
    except OSError as error:
        raise DataError(
            f"cannot move {source} to {target}: {error.strerror or error}; run the same command "
            "again: what was moved is there"
        ) from error
    finally:
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        with suppress(OSError):
            part.unlink(missing_ok=True)
    with suppress(OSError):
        source.parent.rmdir()  # of the library, if it is empty


def _renamed(source: Path, target: Path) -> bool:
    try:
        source.rename(target)
    except OSError:
        return False
    return True
