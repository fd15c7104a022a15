"""Make docs/reproduce.md, and its pictures, from folders of `matt reproduce`.

python tools/write_reproduce.py RUN [RUN ...]
"""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from matt.errors import DataError
from matt.evaluation.tables import Cell, Column, Table, escape_markdown
from matt.files import read_json, write_text
from matt.provenance import made as made_by
from matt.reproduce.run import CAPTIONS, SIMULATED, cut_short
from matt.runs import Run

KIND = "reproduce"
# In this order: tables, each with the pictures above it. The others are in a run's own page.
SHOWN: dict[str, tuple[str, ...]] = {
    "faults": ("faults",),
    "faults_top_k": (),
    "faults_corrected": (),
    "claims": (),
    "table_1_wide": (),
    "table_2": (),
    "figure_4": (
        "figure_4a",
        "figure_4a_scores",
        "figure_4b",
        "figure_4b_scores",
        "figure_4c",
    ),
    "case_study": (),
    "degradation": ("damage_cut", "damage_missing", "damage_wrong"),
    "recipes": (),
}
_DRAWN = ("degradation",)  # whose tables are too long here
_EARLIER = {"spread": "mean and sd"}  # kinds of columns, in runs of before
_LONG = 40  # rows: of longer tables those of the last feature set are shown
_NOTE = "<!-- Made by tools/write_reproduce.py from run files; do not edit. -->"
_INTRODUCTION = """\
# Reproduction

What `matt reproduce` made of the paper, beside what the paper prints. The first table of each
part is the one to read: every fault of the paper or of its released code, switched on alone and
then one after the other, as a difference to the corrected model on the same test tracks. Numbers
in brackets are the ends of a 95 % interval. [Method](method.md) says what each fault is, and which
protocol has which.

Parts whose title begins with **Simulated** are of a simulated FMA. They show that everything runs
and what it costs; nothing about music follows from them. The others are of real features of the
Free Music Archive.
"""


@dataclass(frozen=True)
class ShownRun:
    """One run in the page.

    Attributes
    ----------
    run : Run
    folder : Path
        Of its protocol.
    name : str
        Of its data.
    real : bool
    tables : dict of str to object
        As JSON, by name; files of an earlier run that lie in the folder are none of them.
    pictures : tuple of str
        Names.
    """

    run: Run
    folder: Path
    name: str
    real: bool
    tables: Mapping[str, Any]
    pictures: tuple[str, ...]

    @classmethod
    def open(cls, path: Path | str) -> ShownRun:
        """Open a run folder.

        Raises
        ------
        DataError
            If it is no run of ``matt reproduce``, or holds no scores.
        """
        run = Run.open(path)
        if run.manifest.get("kind") != KIND:
            raise DataError(f"{path} holds a run of another kind; give one of 'matt {KIND}'")
        content = read_json(run.path / "scores.json")
        try:
            data, protocol = content["data"], content["protocol"]
            tables, pictures = dict(content["tables"]), tuple(content["pictures"])
            folder, name = run.path / str(protocol), str(data["name"])
            return cls(run, folder, name, bool(data["real"]), tables, pictures)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{run.path}/scores.json is damaged; run the command again") from error

    @property
    def key(self) -> str:
        """Name in the names of files: letters, digits and hyphens."""
        source = str(self.run.manifest.get("source", "data"))
        text = "".join(c if c.isascii() and c.isalnum() else "-" for c in source.lower())
        return f"{text}-{self.folder.name}"

    def table(self, name: str) -> Table | None:
        """One of its tables, if it is there."""
        return table_of(self.tables[name], self.run.path) if name in self.tables else None


def write_docs(runs: Sequence[Path | str], page: Path | str) -> None:
    """Write the page, and the pictures of the runs into ``images/reproduce`` beside it.

    Parameters
    ----------
    runs : sequence of path
        Folders of ``matt reproduce``, in the order of the page.
    page : path

    Raises
    ------
    DataError
        If a folder is none, or two runs are of the same data and protocol.
    """
    page = Path(page)
    parts = [ShownRun.open(path) for path in runs]
    keys = [part.key for part in parts]
    if len(set(keys)) < len(keys):
        raise DataError(f"two runs are of the same data and protocol ({keys}); give one of them")
    images = page.parent / "images" / "reproduce"
    images.mkdir(parents=True, exist_ok=True)
    lines = [_NOTE, "", _INTRODUCTION]
    for part in parts:
        lines += _part(part, images)
    write_text(page, "\n".join(lines).rstrip() + "\n")


def table_of(content: Any, path: Path) -> Table:
    """Read what `Table.to_json` gave.

    Raises
    ------
    DataError
        If it is something else.
    """
    try:
        columns = tuple(
            Column(c["name"], _EARLIER.get(c["kind"], c["kind"])) for c in content["columns"]
        )
        rows = tuple(
            tuple(_cell(row[column.name]) for column in columns) for row in content["rows"]
        )
        return Table(str(content["title"]), columns, rows, tuple(map(str, content["notes"])))
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} holds no table; run the command again") from error


def shortened(table: Table) -> Table:
    """Of a long table by feature set, the rows of the last set."""
    names = [column.name for column in table.columns]
    if len(table.rows) <= _LONG or "features" not in names:
        return table
    place = names.index("features")
    last = table.rows[-1][place]
    rows = tuple(row for row in table.rows if row[place] == last)
    told = f"Features {last} only; the other sets are in the run's own page."
    return replace(table, rows=rows, notes=(*table.notes, told))


def _cell(value: Any) -> Cell:
    if isinstance(value, Mapping):
        return tuple(math.nan if part is None else float(part) for part in value.values())
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise TypeError(f"{value!r} is no cell")


def _part(part: ShownRun, images: Path) -> list[str]:
    manifest = part.run.manifest
    title = part.name if part.real else f"Simulated: {part.name.removeprefix('simulated ')}"
    settings = manifest.get("settings", {})
    lines = [f"## {escape_markdown(title)}, protocol {part.folder.name}", ""]
    if not part.real:
        lines += [f"**{SIMULATED}**", ""]
    lines += [line for text in cut_short(manifest) for line in (f"**{escape_markdown(text)}**", "")]
    if manifest.get("status") != "finished":
        lines += ["**PARTIAL: cells failed, and what needs them is missing.**", ""]
    notes = [str(note) for note in manifest.get("data_notes", ())]
    ratio = settings.get("imbalance", 1) if isinstance(settings, Mapping) else 1
    if ratio != 1:
        notes.append(f"Training tracks are cut to a tail of 1 to {ratio:g}, by whole bags.")
    lines += [line for note in notes for line in (escape_markdown(note), "")]
    for name, pictures in SHOWN.items():
        table = part.table(name)
        if table is None:
            continue
        for picture in pictures:
            source = part.folder / f"{picture}.png"
            if picture in part.pictures and source.is_file():
                target = f"{part.key}-{picture}.png"
                shutil.copyfile(source, images / target)
                simulated = "" if part.real else "Simulated data. "
                caption = escape_markdown(simulated + CAPTIONS[picture])
                lines += [f"![{caption}](images/reproduce/{target})", "", f"*{caption}*", ""]
        if name not in _DRAWN:
            lines.append(shortened(table).to_markdown())
    asked = settings if isinstance(settings, Mapping) else {}
    told = f"Seeds or splits: {asked.get('seeds')}. {made_by(manifest)}"
    return [*lines, escape_markdown(told), ""]


def main(runs: list[str]) -> None:
    """Write the page of the runs, in their order."""
    page = Path(__file__).parents[1] / "docs/reproduce.md"
    write_docs(runs, page)
    sys.stdout.write(f"{page}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
