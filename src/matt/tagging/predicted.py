"""What ``matt predict --out`` wrote, read again; a file that anybody may have made."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..audio import SUFFIXES
from ..datasets.folder import find_audio
from ..errors import DataError
from ..files import open_parquet, read_json, read_text
from ..library.export import SCHEMAS
from ..library.status import STATUSES
from ..tracks import stable_id

_MOST = 2**29  # bytes
_REMEDY = "make it again with 'matt predict --out'"
_FLAGS = {"True": True, "False": False, "": None}
_TEXTS = ("artist", "album", "title", "tagged", "genre", "mood")


def read_predictions(path: Path) -> tuple[str, list[dict[str, Any]]]:
    """Rows of a .json, .csv or .parquet of ``matt predict --out``, with the files of each.

    A table of albums names folders and the ids of tracks: the files are looked for there.

    Returns
    -------
    level : {"album", "track"}
    rows : list of dict
        With the keys that `matt.tagging.plan.TagPlan.of` asks for; albums have their ``tracks``.

    Raises
    ------
    DataError
        If it is nothing of the kind; names the row.
    """
    suffix = path.suffix.lower()
    if suffix == ".json":
        level, rows = _of_json(path)
    else:
        level, rows = _of_table(path, _cells(path, suffix))
    checked = []
    for number, row in enumerate(rows, start=1):
        try:
            checked.append(_checked(row, level))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            why = f"{error} is missing" if isinstance(error, KeyError) else error
            raise DataError(f"{path}, {level} {number}: {why}; {_REMEDY}") from None
    return level, checked


def _of_json(path: Path) -> tuple[str, list[Any]]:
    said = read_json(path, most=_MOST, remedy=_REMEDY)
    for level, schema in SCHEMAS.items():
        if isinstance(said, dict) and said.get("schema") == schema:
            rows = said.get(f"{level}s")
            if isinstance(rows, list):
                return level, rows
    raise DataError(f"{path} is no {' or '.join(SCHEMAS.values())}; {_REMEDY}")


def _cells(path: Path, suffix: str) -> list[dict[str, Any]]:
    """Rows of a flat table."""
    if suffix == ".csv":
        lines = read_text(path, most=_MOST).splitlines(keepends=True)
        try:
            return [{k: _unquoted(v) for k, v in row.items()} for row in csv.DictReader(lines)]
        except csv.Error as error:
            raise DataError(f"{path} is no CSV ({error}); {_REMEDY}") from None
    if suffix != ".parquet":
        raise DataError(f"{path} is neither .json, .csv, .parquet nor a folder; {_REMEDY}")
    with open_parquet(path, remedy=_REMEDY) as file:
        meta = json.loads((file.schema_arrow.metadata or {}).get(b"matt", b"{}"))
        if meta.get("schema") not in SCHEMAS.values():
            raise DataError(f"{path} is no {' or '.join(SCHEMAS.values())}; {_REMEDY}")
        rows: list[dict[str, Any]] = file.read().to_pylist()
        return rows


def _unquoted(value: Any) -> Any:
    """Text without the quote that keeps a spreadsheet from running it."""
    inert = isinstance(value, str) and value[:1] == "'" and value[1:2] in tuple("=+-@\t\r")
    return value[1:] if inert else value


def _of_table(path: Path, cells: list[dict[str, Any]]) -> tuple[str, list[Any]]:
    """Rows as JSON has them."""
    level = "album" if cells and "track_ids" in cells[0] else "track"
    rows = []
    for number, cell in enumerate(cells, start=1):
        if None in cell or "path" not in cell:
            raise DataError(f"{path}, row {number}: not as many cells as columns; {_REMEDY}")
        try:
            rows.append(_as_json(cell))
        except (TypeError, ValueError, AttributeError) as error:
            raise DataError(f"{path}, row {number}: {error}; {_REMEDY}") from None
    if level == "album":
        files = _files_of(rows)
        for row in rows:
            ids = str(row.get("track_ids") or "").split()
            here = [row["path"]] if len(ids) == 1 and os.path.isfile(row["path"]) else None
            row["tracks"] = [
                {"path": each} for each in here or (files[i] for i in ids if i in files)
            ]
            if len(row["tracks"]) < len(ids):
                raise DataError(
                    f"{path}: of {row['path']!r:.200} not all files are found; give the folder, or "
                    "a .json of 'matt predict --out', which names them"
                )
    return level, rows


def _as_json(cell: Mapping[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {key: None if value == "" else value for key, value in cell.items()}
    if isinstance(row.get("probability"), str):
        row["probability"] = float(row["probability"])
    for flag in ("unsure", "tag_unknown", "in_training", "out_of_fold"):
        if isinstance(value := cell.get(flag), str):
            row[flag] = _FLAGS.get(value, value)
    row["genre_path"] = (row.get("genre_path") or "").split(" > ") if row.get("genre_path") else []
    if row.get("genres"):
        row["genres"] = row["genres"].split("; ")
    else:
        row.pop("genres", None)
    places = (key for key in cell if key.startswith("top_") and key[4:].isdigit() and row[key])
    row["top"] = [
        {"genre": row[key], "probability": float(row[f"top_probability_{key[4:]}"] or 0)}
        for key in places
    ]
    return row


def _files_of(rows: list[dict[str, Any]]) -> dict[str, str]:
    """Files by the ids of their tracks, which are made of their places in a library."""
    folders = [row["path"] for row in rows if row.get("path") and os.path.isabs(row["path"])]
    if not folders:
        return {}
    top = Path(os.path.commonpath(folders))
    top = top if top.is_dir() else top.parent
    wanted = {each for row in rows for each in str(row.get("track_ids") or "").split()}
    paths = find_audio(top, frozenset(SUFFIXES)).paths
    best: dict[str, str] = {}
    for root in (top, *top.parents):
        before = "" if root == top else f"{top.relative_to(root).as_posix()}/"
        found = {str(stable_id(before + path)): str(top / path) for path in paths}
        found = {each: path for each, path in found.items() if each in wanted}
        best = max(best, found, key=len)
    return best


def _checked(row: Mapping[str, Any], level: str) -> dict[str, Any]:
    """A row of nothing but what is needed, each of the type that it has to be."""
    told: dict[str, Any] = {name: _text(row.get(name), name) for name in _TEXTS}
    told["probability"] = _share(row["probability"])
    if row["status"] not in STATUSES:
        raise ValueError(f"status is {row['status']!r:.80}")
    told["status"] = row["status"]
    for flag in ("unsure", "tag_unknown", "in_training", "out_of_fold"):
        if not isinstance(row[flag], bool | None):
            raise ValueError(f"{flag} is {row[flag]!r:.80}")
        told[flag] = row[flag]
    told["genre_path"] = [*_texts(row.get("genre_path") or [], "genre_path")]
    if row.get("genres"):
        told["genres"] = [*_texts(row["genres"], "genres")]
    told["top"] = [
        {"genre": _named(one["genre"], "top"), "probability": _share(one["probability"])}
        for one in row.get("top") or []
    ]
    if level == "track":
        return {**told, "path": _place(row["path"])}
    return {**told, "tracks": [{"path": _place(track["path"])} for track in row["tracks"]]}


def _text(value: Any, name: str) -> str | None:
    if not isinstance(value, str | None):
        raise ValueError(f"{name} is {value!r:.80}, no text")
    return value


def _named(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name} has {value!r:.80}, no text")
    return value


def _texts(values: Any, name: str) -> Iterator[str]:
    if not isinstance(values, list):
        raise ValueError(f"{name} is {values!r:.80}, no list")
    return (_named(value, name) for value in values)


def _share(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, float | int) or not 0 <= value <= 1:
        raise ValueError(f"probability is {value!r:.80}, none from 0 to 1")
    return float(value)


def _place(value: Any) -> str:
    if not isinstance(value, str) or not os.path.isabs(value) or "\0" in value:
        raise ValueError(f"path is {value!r:.80}, not the whole path of a file")
    return value
