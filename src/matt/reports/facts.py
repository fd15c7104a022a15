"""What a run folder says of itself: its training, its data, its settings and versions."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from ..datasets.describe import describe
from ..errors import MattError
from ..evaluation import distribution, plots
from ..evaluation.report import Picture
from ..evaluation.summaries import files_table
from ..evaluation.tables import Column, Table
from ..runs import Run

NO_VALIDATION = (
    "There was no validation split, so the weights of the last epoch were kept and nothing says "
    "whether that was too early or too late."
)
Parts = dict[str, str | Table | Picture]


def training(run: Run) -> Parts:
    """Losses and scores by epoch, and what the training said."""
    found: Parts = {}
    rows, damaged = _history(run)
    if damaged:
        found["history"] = damaged
    elif rows:
        scores = [name for name in _SCORES if name in rows[0] and _defined(rows, name)]
        losses = [name for name in _LOSSES if name in rows[0] and _defined(rows, name)]
        if losses:
            figure = plots.history(rows, losses=losses, scores=scores)
            found["history"] = Picture.of(figure, f"Loss and validation by epoch ({len(rows)}).")
        if not scores:
            found["validation"] = NO_VALIDATION
    notes = [str(note) for note in run.manifest.get("notes") or ()]
    if notes:
        found["notes"] = "\n\n".join(notes)
    return found


def data(run: Run) -> Parts:
    """What is known of the tracks: audit, warnings, distribution, bags, what is missing, files."""
    manifest, found = run.manifest, Parts()
    told = [*(manifest.get("data_notes") or ()), *map(_sentence, manifest.get("warnings") or ())]
    if manifest.get("untestable"):
        names = ", ".join(map(str, manifest["untestable"]))
        told.append(f"No test track has these genres, so nothing is known of them: {names}.")
    if told:
        found["warnings"] = "\n\n".join(map(str, told))
    counts = manifest.get("audit")
    if isinstance(counts, Mapping):
        columns = Column("what"), Column("count", "int")
        rows = tuple((str(what), n if isinstance(n, int) else None) for what, n in counts.items())
        note = "A dash: nobody looked, because there was nothing to compare or it takes long."
        found["audit"] = Table("Audit of the tracks", columns, rows, (note,))
    try:
        found |= distribution.tables(describe(run.tracks()))
    except MattError as error:
        found["tracks"] = f"The tracks of the run cannot be read: {error}."
    files = files_table(manifest)
    if files.rows:
        found["files"] = files
    return found


def configuration(run: Run) -> Parts:
    """Settings, and the versions that made the run."""
    manifest = run.manifest
    columns = Column("setting"), Column("value")
    settings = tuple(_flat(manifest.get("settings") or {}))
    facts = {
        "made": manifest.get("created"),
        "status": manifest.get("status"),
        "seed": manifest.get("seed"),
        "data": manifest.get("data"),
        "features": manifest.get("store"),
        "commit": manifest.get("commit"),
        **(manifest.get("versions") or {}),
    }
    made = tuple((name, _value(value)) for name, value in facts.items() if value is not None)
    return {
        "versions": Table("Versions and seed", (Column("what"), Column("value")), made),
        "settings": Table("Settings", columns, settings),
    }


_LOSSES = ("loss", "valid_loss")
_SCORES = ("valid_macro_f1", "valid_tail_recall")


def _history(run: Run) -> tuple[list[dict[str, float]], str]:
    """Rows of the training history, or why they cannot be read."""
    path = run.path / "history.csv"
    if not path.exists():
        return [], ""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    except (OSError, ValueError, TypeError, csv.Error) as error:
        return [], f"The history of the training cannot be read: {error}."
    if rows and "epoch" not in rows[0]:
        return [], "The history of the training has no column 'epoch'."
    return rows, ""


def _defined(rows: list[dict[str, float]], name: str) -> bool:
    return any(not math.isnan(row[name]) for row in rows)


def _flat(settings: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Settings by their dotted names."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", _value(value)


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _sentence(text: Any) -> str:
    text = str(text)
    return f"{text[:1].upper()}{text[1:]}."
