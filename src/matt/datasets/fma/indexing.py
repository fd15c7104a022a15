"""The index: FMA's CSVs read once, so that a part of them is read in a moment.

``matt-index/index.json`` holds the hashes of the CSVs and the sizes of the files beside it, which
`index_files` describes. It is removed before those are written and written after them: without it
there is no index.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import DataError
from ...files import read_json, write_json
from .index_files import write_index
from .places import INDEX, SIMULATED, metadata_of, root_of
from .tables import Source, survey

SCHEMA = "matt.fma.index/1"
MANIFEST = "index.json"
_KEYS = {
    *("metadata", "simulated", "sources", "files"),
    *("counts", "columns", "unmatched", "descriptors", "feature_rows"),
}
REQUIRED, OPTIONAL = ("tracks.csv", "genres.csv"), ("features.csv", "echonest.csv")

Progress = Callable[[str, int, int], None]
"""Told what is being done, and of how many steps how many are done."""


@dataclass(frozen=True)
class Index:
    """An index that is whole and fits its sources.

    Attributes
    ----------
    root : Path
        Folder that holds FMA's folders and the index.
    manifest : dict
        Content of ``index.json``.
    fresh : bool
        Whether it was made just now.
    """

    root: Path
    manifest: Mapping[str, Any]
    fresh: bool = False

    @property
    def path(self) -> Path:
        """Folder of the index."""
        return self.root / INDEX

    @property
    def simulated(self) -> bool:
        """Whether it is not FMA, but made up by `simulate`."""
        return bool(self.manifest["simulated"])

    @property
    def counts(self) -> dict[str, int]:
        """Tracks of each subset, genres, and tracks with features."""
        return dict(self.manifest["counts"])

    @property
    def notes(self) -> tuple[str, ...]:
        """What does not fit between the CSVs, with counts."""
        return tuple(f"{entry['n']} {entry['what']}" for entry in self.manifest["unmatched"])

    @property
    def unmatched(self) -> list[dict[str, Any]]:
        """The same as ``what``, ``n`` and the first ids."""
        return list(self.manifest["unmatched"])


def index(
    directory: Path | str,
    *,
    force: bool = False,
    progress: Progress = lambda step, done, total: None,
) -> Index:
    """Read FMA's CSVs once; where they have not changed since, only check that.

    Parameters
    ----------
    directory : path
        Folder that holds ``fma_metadata``.
    force : bool
        Make it again even if nothing has changed.

    Raises
    ------
    DataError
        If a CSV is missing, cut off, or is not FMA's; the message names file and line.
    """
    root = root_of(directory)
    folder = metadata_of(root)
    names = [*REQUIRED, *(name for name in OPTIONAL if (folder / name).is_file())]
    sources, steps = {}, 2 * len(names)
    for i, name in enumerate(names):
        progress(f"looking at {name}", i, steps)
        sources[name] = survey(folder / name)
    stamps = {name: _stamp(source) for name, source in sources.items()}
    known = _manifest(root)
    if known is not None and not force and _hashes(known["sources"]) == _hashes(stamps):
        known = {**known, "sources": stamps}
        with suppress(OSError):  # in a folder that cannot be written, the stamps stay as they were
            write_json(root / INDEX / MANIFEST, known)
        return Index(root, known)
    try:
        place = root / INDEX
        place.mkdir(exist_ok=True)
        (place / MANIFEST).unlink(missing_ok=True)
        for left in (*place.glob("*.parquet"), *place.glob("*.npy")):  # also of a killed run
            left.unlink()
        content = write_index(
            place,
            sources,
            lambda name: progress(f"reading {name}", len(names) + names.index(name), steps),
        )
        files = {path.name: path.stat().st_size for path in sorted(place.iterdir())}
        manifest = {
            "schema": SCHEMA,
            "metadata": folder.relative_to(root).as_posix(),
            "simulated": (folder / SIMULATED).exists(),
            "sources": stamps,
            "files": files,
            **content,
        }
        write_json(place / MANIFEST, manifest)
    except OSError as error:
        raise DataError(
            f"{root / INDEX} cannot be written ({error.strerror or error}); make room there, or "
            "copy the tables to a folder of yours"
        ) from error
    progress("done", steps, steps)
    return Index(root, manifest, fresh=True)


def open_index(directory: Path | str) -> Index:
    """Open an index that was made before.

    Raises
    ------
    DataError
        If there is none, it is not whole, or a CSV has changed since.
    """
    root = root_of(directory)
    remedy = f"run 'matt fma index {root}'"
    if not (root / INDEX / MANIFEST).exists():
        metadata_of(root)
        raise DataError(f"{root} has no index yet; {remedy}")
    manifest = _manifest(root)
    if manifest is None:
        raise DataError(f"the index of {root} is not whole, or of another version; {remedy} again")
    for name, stamp in manifest["sources"].items():
        path = root / manifest["metadata"] / name
        if not path.exists():  # the index holds all of it
            continue
        now = path.stat()
        if now.st_size == stamp["bytes"] and now.st_mtime_ns == stamp["mtime_ns"]:
            continue
        if now.st_size != stamp["bytes"] or survey(path).sha256 != stamp["sha256"]:
            raise DataError(f"{path} has changed since it was indexed; {remedy} again")
    return Index(root, manifest)


def _stamp(source: Source) -> dict[str, Any]:
    return {"bytes": source.n_bytes, "mtime_ns": source.mtime_ns, "sha256": source.sha256}


def _hashes(stamps: Mapping[str, Any]) -> dict[str, str]:
    return {name: stamp["sha256"] for name, stamp in stamps.items()}


def _manifest(root: Path) -> dict[str, Any] | None:
    """The manifest, if every file is there in its full size."""
    try:
        manifest: dict[str, Any] = read_json(root / INDEX / MANIFEST)
        if manifest["schema"] != SCHEMA or not manifest.keys() >= _KEYS:
            return None
        for name, size in manifest["files"].items():
            if (root / INDEX / name).stat().st_size != size:
                return None
    except (DataError, OSError, KeyError, TypeError, AttributeError):
        return None
    return manifest
