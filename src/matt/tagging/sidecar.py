"""Plans written beside the music, or for another program, where no audio file is to be touched."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..files import read_json, write_json, write_text
from .plan import Plan

SCHEMA, NAME = "matt.sidecar/1", "matt-genres.json"


def write_sidecars(plan: Plan) -> list[Path]:
    """Write ``matt-genres.json`` into each folder of a plan: by file name, what its fields get.

    One that is there is replaced as a whole; a file of that name that is something else is not.

    Returns
    -------
    list of Path

    Raises
    ------
    DataError
        If a folder cannot be written, or something else has that name.
    """
    folders: dict[str, dict[str, dict[str, Any]]] = defaultdict(lambda: defaultdict(dict))
    for one in plan.changes:
        folder, name = os.path.split(one.path)
        folders[folder][name][one.field] = list(one.new)
        folders[folder][name]["why"] = one.why
    written = []
    for folder, files in folders.items():
        path = Path(folder) / NAME
        if path.exists() or path.is_symlink():
            there = read_json(path)
            if not isinstance(there, dict) or there.get("schema") != SCHEMA:
                raise DataError(f"{path} is there, and not of matt; move it away")
        write_json(path, {"schema": SCHEMA, "files": files})
        written.append(path)
    return written


def write_mp3tag(plan: Plan, path: Path) -> None:
    r"""Write a plan as a text file for Mp3tag's converter *Text file - Tag*.

    One line a file: its absolute path, then the value of each field, a tab between. The format
    string to give there is in the return of `mp3tag_format`. Several values are parted by ``\\``,
    as Mp3tag does.

    Raises
    ------
    DataError
        If a name has a tab or a line break, which the format has no room for.
    """
    fields = fields_of(plan)
    lines = []
    for wish in plan.wishes():
        cells = [str(wish.path), *("\\\\".join(wish.new.get(name, ())) for name in fields)]
        if bad := next((cell for cell in cells if set(cell) & set("\t\r\n")), None):
            raise DataError(f"{bad!r} has a tab or a line break; leave this file out")
        lines.append("\t".join(cells))
    try:
        write_text(path, "\ufeff" + "\r\n".join(lines) + "\r\n" * bool(lines))
    except UnicodeEncodeError as error:
        raise DataError(f"{path}: a file name is no UTF-8; leave that file out") from error


def mp3tag_format(plan: Plan) -> str:
    """What to type into Mp3tag as the format string."""
    return "\t".join(["%_path%", *(f"%{name}%" for name in fields_of(plan))])


def fields_of(plan: Plan) -> list[str]:
    """The fields that a plan writes."""
    return list(dict.fromkeys(one.field for one in plan.changes))
