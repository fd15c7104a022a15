"""Features, looked up by track: a track is a list of segments, one array each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, check_arguments, first_few
from ..tracks import Tracks
from .blocks import (
    LOST,
    PARTIAL,
    SILENT,
    check_rows,
    check_values,
    committed,
    copy_tracks,
    intact,
    map_values,
    read_rows,
    read_spec,
)
from .report import ExtractionReport
from .spec import FeatureSpec

IN_MEMORY_BYTES = 2**30  # a store below this is read at once


@dataclass(frozen=True, eq=False)
class FeatureStore:
    """Arrays of one feature, all of one shape: one per segment, one or more segments a track.

    Make one with `open` (a folder) or `from_arrays` (values that you have).

    Attributes
    ----------
    spec : FeatureSpec
    track_ids : int array, shape (n,)
        Tracks with features, sorted, without repeats.
    block, start, n_segments : int array, shape (n,)
        Where each track lies: in which block, from which row, how many rows.
    blocks : sequence of path or array, shape (rows, *spec.shape)
        Values; a path is a ``.npy`` file, mapped when it is first read.
    failures : dict of str to array
        ``track_id`` and ``reason`` of the tracks that could not be extracted.
    partial : dict of str to array
        ``track_id`` and ``reason`` of the tracks that were cut off or salvaged.
    silent : dict of str to array
        ``track_id`` and ``reason`` of the tracks in which nothing can be heard: they have no
        features, and are no evidence of anything.
    """

    spec: FeatureSpec
    track_ids: NDArray[np.int64]
    block: NDArray[np.int64]
    start: NDArray[np.int64]
    n_segments: NDArray[np.int64]
    blocks: Sequence[Path | NDArray[Any]]
    failures: dict[str, NDArray[Any]] = field(default_factory=lambda: _reasons([], []))
    partial: dict[str, NDArray[Any]] = field(default_factory=lambda: _reasons([], []))
    silent: dict[str, NDArray[Any]] = field(default_factory=lambda: _reasons([], []))

    @classmethod
    def from_arrays(
        cls,
        name: str,
        track_ids: NDArray[np.int64],
        values: NDArray[Any],
        offsets: NDArray[np.int64] | None = None,
    ) -> FeatureStore:
        """Wrap precomputed values, e.g. embeddings.

        Parameters
        ----------
        name : str
            Names the feature; part of its identity.
        track_ids : int array, shape (n,)
            Unique, in the order of the values.
        values : float array, shape (N, *shape)
            One row a segment.
        offsets : int array, shape (n + 1,), optional
            Where each track's segments start; by default every track has one.

        Raises
        ------
        ArgumentError
            If the name is none.
        DataError
            If there are no tracks, lengths disagree, ids repeat, a track has no segment, or a
            value is not finite.

        Examples
        --------
        >>> store = FeatureStore.from_arrays("mfcc", np.array([3, 2]), np.eye(2, dtype="f4"))
        >>> store.read(np.array([2]))
        (array([[0., 1.]], dtype=float32), array([0, 1]))
        """
        check_arguments(name=(name, str), track_ids=(track_ids, object))
        if np.ndim(track_ids) != 1:
            raise DataError(
                f"feature {name!r}: track_ids have the shape {np.shape(track_ids)}, but hold "
                "one id a track; give the name, then the ids, then the values"
            )
        ids = np.asarray(track_ids, np.int64)
        values = np.asarray(values)
        if values.dtype != np.float16:
            values = values.astype(np.float32, copy=False)
        values = np.ascontiguousarray(values)  # rows are read, never columns
        offsets = np.arange(len(ids) + 1) if offsets is None else np.asarray(offsets, np.int64)
        if not len(ids):
            raise DataError(f"feature {name!r} has no tracks; give it at least one")
        if len(offsets) != len(ids) + 1 or offsets[-1] != len(values):
            raise DataError(
                f"feature {name!r}: {len(ids)} tracks and {len(values)} rows do not fit offsets of "
                f"length {len(offsets)} that end at {offsets[-1]}"
            )
        sizes = np.diff(offsets)
        if offsets[0] != 0 or (sizes < 1).any():
            raise DataError(
                f"feature {name!r}: offsets must start at 0 and give every track a segment, but "
                f"start at {offsets[0]}, and {(sizes < 1).sum()} of {len(ids)} tracks have none "
                f"(first: {first_few(ids[sizes < 1])}); drop those tracks"
            )
        if len(np.unique(ids)) != len(ids):
            raise DataError(f"feature {name!r}: track ids repeat; give every track one entry")
        bad = ~np.isfinite(values).reshape(len(values), -1).all(axis=1)
        if bad.any():
            owners = np.unique(np.repeat(ids, sizes)[bad])
            raise DataError(
                f"feature {name!r}: {len(owners)} of {len(ids)} tracks hold NaN or infinite values "
                f"(first: {first_few(owners)}); drop those tracks"
            )
        order = np.argsort(ids)
        spec = FeatureSpec.embedding(name, values.shape[1:], dtype=str(values.dtype))
        zeros = np.zeros(len(ids), np.int64)
        return cls(spec, ids[order], zeros, offsets[:-1][order], sizes[order], (values,))

    @classmethod
    def open(
        cls, path: Path | str, *, before: int | None = None, in_memory: int = IN_MEMORY_BYTES
    ) -> FeatureStore:
        """Open a store folder.

        Parameters
        ----------
        path : path
        before : int, optional
            Only what plans below this number wrote: the store as it was then.
        in_memory : int
            A store of fewer bytes is read at once; a larger one is mapped.

        Raises
        ------
        DataError
            If it is not a store, holds no committed block, or a file of it is damaged.
        """
        path = Path(path)
        spec = read_spec(path)
        found = [entry for entry in committed(path) if before is None or entry[0] < before]
        if not found:
            raise DataError(f"{path} holds no extracted features; run 'matt extract' first")
        read = [read_rows(path / f"{name}.parquet") for _, _, name in found]
        tables, checksums = [table for table, _ in read], [checksum for _, checksum in read]
        columns = {key: np.concatenate([table[key] for table in tables]) for key in tables[0]}
        columns["block"] = np.repeat(np.arange(len(found)), [len(t["track_id"]) for t in tables])
        paths = [path / f"{name}.npy" for _, _, name in found]
        rows = [int(table["n_segments"].sum()) for table in tables]
        blocks: Sequence[Path | NDArray[Any]] = paths
        values = _load_if_small(paths, rows, checksums, spec, in_memory)
        if values is not None:  # one block behind the other is one block
            columns["start"] = columns["start"] + (np.cumsum(rows) - rows)[columns["block"]]
            columns["block"] = np.zeros_like(columns["block"])
            blocks = (values,)
        # Blocks are in plan order, so the last entry of a track is the newest.
        _, last = np.unique(columns["track_id"][::-1], return_index=True)
        newest = {key: column[::-1][last] for key, column in columns.items()}
        there = newest["n_segments"] > 0
        told = [
            _reasons(newest["track_id"][here], newest["reason"][here])
            for those in (LOST, (PARTIAL,), (SILENT,))
            for here in [np.isin(newest["status"], those)]
        ]
        return cls(
            spec,
            newest["track_id"][there],
            newest["block"][there],
            newest["start"][there],
            newest["n_segments"][there],
            blocks,
            *told,
        )

    def __repr__(self) -> str:
        n, failed = int(self.n_segments.sum()), len(self.failures["track_id"])
        segments = f"{n:,} segments of {self.spec.shape} {self.spec.dtype}"
        told = f"; {failed:,} failed" if failed else ""
        if silent := len(self.silent["track_id"]):
            told += f"; {silent:,} silent"
        return f"FeatureStore({self.spec.name!r}: {len(self):,} tracks, {segments}{told})"

    def __len__(self) -> int:
        return len(self.track_ids)

    def __contains__(self, track_id: int) -> bool:
        return bool(np.isin(track_id, self.track_ids))

    def counts(self, track_ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Segments of each track, shape (len(track_ids),)."""
        return self.n_segments[self._places(np.asarray(track_ids, np.int64))]

    def read(
        self, track_ids: NDArray[np.int64], *, out: NDArray[Any] | None = None
    ) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Features of the given tracks, in that order.

        Parameters
        ----------
        track_ids : int array, shape (n,)
            May repeat.
        out : array, shape (>= N, *spec.shape), optional
            Written instead of a new array, e.g. the memory of a tensor; its dtype may differ.

        Returns
        -------
        values : array, shape (N, *spec.shape)
        offsets : int array, shape (n + 1,)
            Where each track's segments start in ``values``. Two such lists compose by indexing:
            with ``bags.track_ids`` read, ``offsets[bags.offsets]`` holds the segments of each bag.

        Raises
        ------
        DataError
            If a track has no features, ``out`` is too small, or a file of the store is damaged.
        """
        place = self._places(np.asarray(track_ids, np.int64))
        sizes = self.n_segments[place]
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        total = int(offsets[-1])
        if out is None:
            out = np.empty((total, *self.spec.shape), self.spec.dtype)
        elif len(out) < total or out.shape[1:] != self.spec.shape:
            raise DataError(
                f"out has shape {out.shape}, but ({total}, {', '.join(map(str, self.spec.shape))}) "
                "is needed; make it larger or read fewer tracks"
            )
        copy_tracks(self.blocks, self.spec, self.block[place], self.start[place], sizes, out)
        return out[:total], offsets

    def _places(self, track_ids: NDArray[np.int64]) -> NDArray[np.intp]:
        if not len(self):
            raise DataError(f"feature {self.spec.name!r} has no track; run 'matt extract' first")
        place = np.searchsorted(self.track_ids, track_ids).clip(max=len(self) - 1)
        missing = np.unique(track_ids[self.track_ids[place] != track_ids])
        if missing.size:
            raise DataError(
                f"feature {self.spec.name!r} is missing for {missing.size} of "
                f"{len(np.unique(track_ids))} tracks (first: {first_few(missing)}); extract them "
                "with 'matt extract', or leave them out with tracks.drop(...)"
            )
        return place


def with_features(
    tracks: Tracks, *stores: FeatureStore, report: ExtractionReport | None = None
) -> Tracks:
    """Tracks of which every store holds features.

    Parameters
    ----------
    tracks : Tracks
    *stores : FeatureStore
    report : ExtractionReport, optional
        Of their extraction, which knows why there may be none.

    Raises
    ------
    DataError
        If there is none.
    """
    there = np.ones(len(tracks), bool)
    for store in stores:
        there &= np.isin(tracks.track_id, store.track_ids)
    if not there.any():
        if report is not None and (lost := (*report.failures, *report.silent)):
            raise DataError(
                f"none of {len(tracks)} files could be used (first: {lost[0].path}: "
                f"{lost[0].reason}); name a folder with music"
            )
        raise DataError(
            f"none of {len(tracks)} tracks has features; 'matt extract' computes them, and says "
            "why where it cannot"
        )
    return tracks.take(there)


def _reasons(track_ids: Any, reasons: Any) -> dict[str, NDArray[Any]]:
    return {
        "track_id": np.asarray(track_ids, np.int64),
        "reason": np.asarray(reasons, np.str_),
    }


def _load_if_small(
    paths: list[Path],
    rows: list[int],
    checksums: list[int | None],
    spec: FeatureSpec,
    in_memory: int,
) -> NDArray[Any] | None:
    """Values of all blocks as one array, the rows of their tables only."""
    total = 0
    for path in paths:
        with intact(path):
            total += path.stat().st_size
    if total > in_memory:
        return None
    for path, n in zip(paths, rows, strict=True):
        if n * spec.n_bytes > total:  # no memory for what a damaged table tells of
            block = map_values(path, spec)
            with intact(path):
                check_rows(len(block), n)
    values = np.empty((sum(rows), *spec.shape), spec.dtype)
    done = 0
    for path, n, checksum in zip(paths, rows, checksums, strict=True):
        block = map_values(path, spec)
        with intact(path):
            check_rows(len(block), n)
        check_values(path, block, checksum)
        values[done : done + n] = block[:n]
        done += n
    return values
