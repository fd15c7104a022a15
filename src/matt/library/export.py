"""Album rows as files for other programs: JSON with everything, CSV and Parquet with fixed columns.

The columns, their types and the schema names are promised in docs/library/predict.md.
"""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import ConfigError, DataError, did_you_mean
from ..files import write_json, write_parquet, write_text
from ..models.tagger import ASPECTS

SCHEMAS = {"album": "matt.albums/2", "track": "matt.albums.tracks/1"}
"""Name and version of what is written, by level."""
LEVELS = tuple(SCHEMAS)
_FORMATS = (".json", ".csv", ".parquet")
_BOM = "\ufeff"  # by which a spreadsheet knows UTF-8
# Columns and their types, one row an album or a track; then those of the genres that are likely.
_FLAG, _NUMBER, _SHARE, _TEXT = "bool_", "int64", "float64", "string"
_COLUMNS = {
    "album": {
        **dict.fromkeys(("artist", "album", "title"), _TEXT),
        **{"year": _NUMBER, "path": _TEXT, "n_tracks": _NUMBER, "tagged": _TEXT},
        **{"genre": _TEXT, "genre_path": _TEXT, "probability": _SHARE},
        **{"status": _TEXT, "unsure": _FLAG, "tag_unknown": _FLAG, "in_training": _FLAG},
        **{"out_of_fold": _FLAG, "if_rare": _TEXT, "track_ids": _TEXT},
    },
    "track": {
        **dict.fromkeys(("artist", "album", "title"), _TEXT),
        **{"year": _NUMBER, "path": _TEXT, "track_id": _NUMBER, "tagged": _TEXT},
        **{"genre": _TEXT, "genre_path": _TEXT, "probability": _SHARE},
        **{"status": _TEXT, "unsure": _FLAG, "tag_unknown": _FLAG, "in_training": _FLAG},
        **{
            "out_of_fold": _FLAG,
            "if_rare": _TEXT,
            "alone": _FLAG,
            "album_genre": _TEXT,
            "album_probability": _SHARE,
        },
    },
}
_OF_SOME = ("genres", "decision", *ASPECTS)  # columns of some models


def document(rows: Sequence[Mapping[str, Any]], *, level: str = "album") -> dict[str, Any]:
    """What a JSON file says: the schema, and albums with their tracks, or tracks alone."""
    check_level(level)
    return {"schema": SCHEMAS[level], f"{level}s": list(rows)}


def write_rows(
    path: Path, rows: Sequence[Mapping[str, Any]], *, level: str = "album", bom: bool = False
) -> None:
    """Write rows as .json (everything), .csv or .parquet (one row an album or a track).

    Parameters
    ----------
    path : Path
    rows : sequence of mapping
        Of `matt.library.albums`: ``album_rows``, or ``track_rows``.
    level : {"album", "track"}
        Which these are.
    bom : bool
        Whether a CSV begins with a byte order mark, by which a spreadsheet knows that it is UTF-8.

    Raises
    ------
    DataError
        If the suffix is none of these.
    ConfigError
        If the level is neither, or the mark is asked for in another format.
    """
    check_format(path, bom=bom)
    told = document(rows, level=level)
    if path.suffix.lower() == ".json":
        write_json(path, told)
        return
    types = _types(rows, level)
    flat = [{name: _visible(value) for name, value in _flat(row, types).items()} for row in rows]
    if path.suffix.lower() == ".parquet":
        import pyarrow as pa

        columns = {
            name: pa.array([row[name] for row in flat], getattr(pa, kind)())
            for name, kind in types.items()
        }
        write_parquet(path, columns, schema=SCHEMAS[level])
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, [*types], lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _inert(value) for key, value in row.items()} for row in flat)
    write_text(path, _BOM * bom + text.getvalue())


def check_format(path: Path, *, bom: bool = False) -> None:
    """Refuse a file whose suffix names no format, or has no mark, before any work.

    Raises
    ------
    DataError, ConfigError
    """
    suffix = path.suffix.lower()
    if suffix not in _FORMATS:
        raise DataError(f"cannot write {path}: its name must end in {', '.join(_FORMATS)}")
    if bom and suffix != ".csv":
        raise ConfigError(f"a byte order mark is for .csv, not for {path.name}; leave it out")


def check_level(level: str) -> None:
    """Refuse a level that is neither album nor track.

    Raises
    ------
    ConfigError
    """
    if level not in LEVELS:
        raise ConfigError(f"level is {level!r}; {did_you_mean(level, LEVELS)}")


def _types(rows: Sequence[Mapping[str, Any]], level: str) -> dict[str, str]:
    """Type of each column: those of the level, of the likely genres, and of some models."""
    top = max((len(row.get("top", ())) for row in rows), default=0)
    likely = {
        f"{name}_{place}": kind
        for place in range(1, top + 1)
        for name, kind in (("top", _TEXT), ("top_probability", _SHARE))
    }
    some = [name for name in _OF_SOME if any(name in row for row in rows[:1])]
    return {**_COLUMNS[level], **likely, **dict.fromkeys(some, _TEXT)}


def _flat(row: Mapping[str, Any], types: Mapping[str, str]) -> dict[str, Any]:
    """One value a column."""
    told = {
        **row,
        "genre_path": " > ".join(row.get("genre_path", ())) or None,
        "genres": "; ".join(row.get("genres", ())),
        "track_ids": " ".join(str(track["track_id"]) for track in row.get("tracks", ())),
    }
    for place, one in enumerate(row.get("top", ()), start=1):
        told |= {f"top_{place}": one["genre"], f"top_probability_{place}": one["probability"]}
    return {name: told.get(name) for name in types}


def _visible(value: Any) -> Any:
    r"""Text without characters that steer: they are written as Python would, e.g. ``\x1b``."""
    if not isinstance(value, str) or value.isprintable():  # nearly all
        return value
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char)[0] == "C" else char
        for char in value
    )


def _inert(value: Any) -> Any:
    """Text that a spreadsheet would run as a formula gets a quote in front."""
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" and value else value
