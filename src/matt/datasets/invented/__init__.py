"""An invented world: its artists, albums and genres, and how they sound.

The synthetic library (`matt.datasets.synthetic`) and the simulated FMA
(`matt.datasets.fma.simulate`) write it down. Nothing about real music follows from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...errors import DataError
from ...files import read_json


def made_with(
    root: Path, markers: Sequence[str], *, kind: str, parameters: dict[str, Any]
) -> dict[str, Any]:
    """What is noted in a folder that an equal call has begun; nothing if it is new or empty.

    Parameters
    ----------
    root : path
    markers : sequence of str
        Files under the root that may hold the note, the first one first.
    kind : str
        What the folder should hold.
    parameters : dict
        Of this call.

    Raises
    ------
    DataError
        If the folder holds something else, or was made with other parameters.
    """
    if root.exists() and not root.is_dir():
        raise DataError(f"{root} is a file; name a new folder for the {kind}")
    if not root.exists() or not any(root.iterdir()):
        return {}
    for marker in markers:
        with suppress(DataError):  # missing, or not JSON
            noted = read_json(root / marker)
            if isinstance(noted, dict) and noted.get("kind") == kind:
                break
    else:
        raise DataError(f"{root} is not empty and holds no {kind}; name a new folder")
    found = noted.get("parameters", {})
    for name, value in parameters.items():
        if found.get(name) != value:
            raise DataError(
                f"{root} holds a {kind} made with {name}={found.get(name)!r}, not {value!r}; "
                "name another folder"
            )
    return noted
