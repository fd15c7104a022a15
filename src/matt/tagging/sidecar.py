"""What a plan says, beside the music instead of in it: a JSON in each folder, a list for Mp3tag."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..files import read_json, write_text
from .journal import SIDECAR, Journal
from .plan import TagPlan
from .writing import FileOutcome, Told, put

SCHEMA = "matt.sidecar/1"
_BETWEEN, _SEVERAL = "|", "\\\\"  # in no file name of Windows; Mp3tag's own sign for several values


def write_sidecars(
    plan: TagPlan,
    command: str = "matt",
    *,
    break_links: bool = False,
    journals: Path | None = None,
    told: Told | None = None,
) -> tuple[list[FileOutcome], Journal | None]:
    """Write ``matt-genres.json`` into each folder of a plan: by file name, what its fields get.

    What one that is there says besides stays. A file of that name that is something else is left
    alone. Arguments and what is returned are those of `matt.tagging.writing.put`; a file of the
    plan that a sidecar cannot tell of has an outcome, too.
    """
    folders: dict[Path, dict[str, dict[str, Any]]] = {}
    refused = []
    for path, changes in plan.files.items():
        if why := _untold(path):
            refused.append(FileOutcome(path, False, why, failed=True))
            continue
        new: dict[str, Any] = {change.field: list(change.new) for change in changes}
        new |= {"why": changes[0].why, "sure": changes[0].sure}
        folders.setdefault(path.parent, {})[path.name] = new
    contents = {
        folder / SIDECAR: partial(_content, folder / SIDECAR, files)
        for folder, files in folders.items()
    }
    outcomes, journal = put(
        contents,
        command,
        library=plan.library,
        break_links=break_links,
        journals=journals,
        told=told,
    )
    return [*outcomes, *refused], journal


def _untold(path: Path) -> str:
    """Why a sidecar cannot tell of a file; empty where it can."""
    if not path.is_file():
        return "there is no such file"
    try:
        path.name.encode()
    except UnicodeEncodeError:
        return "its name is no Unicode, which JSON needs; rename it"
    return ""


def _content(place: Path, files: Mapping[str, Any]) -> bytes:
    """What a sidecar is to hold: what it does, and what is new of some files."""
    there = _known(place)
    known = there["files"]
    told = known | {name: known.get(name, {}) | new for name, new in files.items()}
    content = there | {"files": told}
    try:
        return (json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
    except ValueError as error:
        raise DataError(f"what it says besides could not be kept ({error}); mend it") from error


def _known(place: Path) -> dict[str, Any]:
    """What a sidecar says already."""
    if not place.exists():
        return {"schema": SCHEMA, "files": {}}
    there = read_json(place)
    files = there.get("files") if isinstance(there, dict) else None
    if (
        not isinstance(there, dict)
        or there.get("schema") != SCHEMA
        or not isinstance(files, dict)
        or not all(isinstance(one, dict) for one in files.values())
    ):
        raise DataError("something else has that name; move it away")
    return there


def write_mp3tag(plan: TagPlan, path: Path) -> list[tuple[Path, str]]:
    """Write a plan as a list that Mp3tag's converter *Text file - Tag* reads.

    One line a file and no heading: its whole path, then each field, ``|`` between; several values
    of a field with two backslashes between. `mp3tag_format` is the format string to give there.

    Returns
    -------
    list of (Path, str)
        Files that the list cannot name, and why.
    """
    fields, lines, failures = fields_of(plan), [], []
    for file, changes in plan.files.items():
        new = {change.field: _SEVERAL.join(change.new) for change in changes}
        cells = [str(file), *(new.get(field, "") for field in fields)]
        line = _BETWEEN.join(cells)
        if any(_BETWEEN in cell for cell in cells) or not line.isprintable():
            failures.append((file, "its name, or a value, has a sign that the list cannot hold"))
        elif len(changes) < len(fields):
            failures.append((file, "not all fields of the list are known of it; plan one field"))
        else:
            lines.append(line)
    write_text(path, "\ufeff" + "".join(f"{line}\r\n" for line in lines))
    return failures


def mp3tag_format(plan: TagPlan) -> str:
    """What to type into Mp3tag as the format string, e.g. ``%_path%|%genre%``."""
    return _BETWEEN.join(["%_path%", *(f"%{field}%" for field in fields_of(plan))])


def fields_of(plan: TagPlan) -> list[str]:
    """The fields that a plan writes."""
    return list(dict.fromkeys(change.field for change in plan.changes))
