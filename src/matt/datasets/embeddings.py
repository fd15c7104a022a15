"""Numbers of each track out of a table: columns, files of numpy, or lists in Parquet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, first_few

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, eq=False)
class Values:
    """Arrays of some tracks, one or more segments each.

    Attributes
    ----------
    rows : int array, shape (n,)
        Which tracks of the table have values.
    values : array, shape (N, *shape)
    offsets : int array, shape (n + 1,)
    """

    rows: NDArray[np.int64]
    values: NDArray[Any]
    offsets: NDArray[np.int64]

    def finite(self) -> NDArray[np.bool_]:
        """Which of the tracks hold neither NaN nor infinite values, shape (n,)."""
        flat = self.values.reshape(len(self.values), -1)
        return np.logical_and.reduceat(np.isfinite(flat).all(axis=1), self.offsets[:-1])

    def take(self, which: NDArray[np.bool_]) -> Values:
        """Return the chosen tracks, by a mask of shape (n,)."""
        sizes = np.diff(self.offsets)
        values = self.values[np.repeat(which, sizes)]
        return Values(self.rows[which], values, np.concatenate([[0], np.cumsum(sizes[which])]))


def from_columns(
    columns: Sequence[pa.ChunkedArray], names: Sequence[str], log1p: set[str]
) -> Values:
    """One row of numbers a track.

    Raises
    ------
    DataError
        If a column holds no numbers, or one whose logarithm is wanted holds less than -1.
    """
    import pyarrow as pa

    values = np.empty((len(columns[0]), len(columns)), np.float32)
    for i, (name, column) in enumerate(zip(names, columns, strict=True)):
        kind = column.type
        if pa.types.is_null(kind):
            numbers = np.full(len(column), np.nan)
        elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
            numbers = np.asarray(column.cast(pa.float64()).to_numpy())
        else:
            raise DataError(
                f"the feature {name!r} holds {kind}, not numbers; leave it out of features"
            )
        if name in log1p:
            if np.nanmin(numbers, initial=0) <= -1:
                raise DataError(
                    f"log1p of {name!r} does not exist: it holds {np.nanmin(numbers):g}; "
                    "leave it out of log1p"
                )
            numbers = np.log1p(numbers)
        with np.errstate(over="ignore"):  # what does not fit is infinite, and told as such
            values[:, i] = numbers
    rows = np.arange(len(values))
    return Values(rows, values, np.arange(len(values) + 1))


def from_lists(column: pa.ChunkedArray) -> Values:
    """Lists of numbers, or lists of such lists: one, or several segments a track.

    Raises
    ------
    DataError
        If their lengths differ, or they hold no numbers.
    """
    rows, arrays, labels = [], [], []
    for row, cell in enumerate(column.to_pylist()):
        if cell is not None and len(cell):
            try:
                arrays.append(np.asarray(cell, np.float32))
            except (TypeError, ValueError) as error:
                raise DataError(
                    f"the embedding in row {row + 1} is no array of numbers ({error}); give every "
                    "segment of a track as many numbers"
                ) from error
            rows.append(row)
            labels.append(f"row {row + 1}")
    return _stacked(rows, arrays, labels)


def from_files(cells: NDArray[np.str_], folder: Path) -> Values:
    """Arrays of ``.npy`` files; an empty cell is a track without one.

    Raises
    ------
    DataError
        If files are missing, hold no numbers, or differ in shape.
    """
    rows = np.flatnonzero(cells != "").tolist()
    paths = [folder / str(cells[row]) for row in rows]
    absent = [path for path in paths if not path.is_file()]
    if absent:
        raise DataError(
            f"{len(absent)} of {len(paths)} embeddings do not exist (first: {absent[0]}); "
            f"paths count from {folder}, the folder of the TOML"
        )
    return _stacked(rows, [_load(path) for path in paths], [str(path) for path in paths])


def _load(path: Path) -> NDArray[Any]:
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"{path} is no array of numpy ({error}); write it again with numpy.save"
        ) from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub" or not array.ndim:
        told = f"{array.dtype}, shape {array.shape}" if isinstance(array, np.ndarray) else "several"
        raise DataError(
            f"{path} holds {told}, expected an array of numbers; write one with numpy.save"
        )
    return array if array.dtype == np.float16 else array.astype(np.float32)


def _stacked(rows: list[int], arrays: list[NDArray[Any]], labels: list[str]) -> Values:
    """Segments of all tracks under each other; a vector is one segment."""
    if not arrays:
        raise DataError("no track has an embedding; check the column that is named")
    empty = [label for array, label in zip(arrays, labels, strict=True) if not array.size]
    if empty:
        raise DataError(
            f"{len(empty)} of {len(arrays)} embeddings are empty (first: {empty[0]}); leave the "
            "cell empty where there is none"
        )
    shapes = [array.shape if array.ndim == 1 else array.shape[1:] for array in arrays]
    counted = Counter(shapes)
    if len(counted) > 1:
        usual = counted.most_common(1)[0][0]
        odd = [i for i, shape in enumerate(shapes) if shape != usual]
        raise DataError(
            f"{len(odd)} of {len(arrays)} embeddings have another shape than {usual} a segment "
            f"(first: {labels[odd[0]]} with {shapes[odd[0]]}; all: {first_few(counted)}); "
            "make them alike, or leave those cells empty"
        )
    segments = [array[None] if array.ndim == 1 else array for array in arrays]
    offsets = np.concatenate([[0], np.cumsum([len(some) for some in segments])])
    return Values(np.array(rows, np.int64), np.concatenate(segments), offsets)
