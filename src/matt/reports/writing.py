"""Files of a report: one page as HTML and Markdown, all tables as JSON and CSV, pictures as PNG."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import DataError
from ..evaluation.markdown import render_markdown
from ..evaluation.report import Picture, write_report
from ..evaluation.tables import Table, plain
from ..files import write_bytes, write_json, write_text
from .page import Report


def write(report: Report, out: Path) -> list[Path]:
    """Write ``report.html``, ``report.md``, ``report.json``, a CSV a table and a PNG a picture.

    Raises
    ------
    DataError
        If the folder holds something else, see `check_out`.
    """
    check_out(out)
    for name in ("tables", "plots"):
        if (out / name).is_dir() and not (out / name).is_symlink():
            shutil.rmtree(out / name)
    files: dict[int, str] = {}
    for number, (name, chapters) in enumerate(report.chapters.items()):
        before = f"{_plain_name(name) or 'all'}-" if len(report.chapters) > 1 else ""
        if before and [_plain_name(other) for other in report.chapters].count(before[:-1]) > 1:
            before = f"{number}-{before}"
        for key, part in (item for parts in chapters.values() for item in parts.items()):
            if isinstance(part, Table):
                files[id(part)] = f"tables/{before}{key}.csv"
                write_text(out / files[id(part)], _inert(part).to_csv())
            elif isinstance(part, Picture):
                files[id(part)] = f"plots/{before}{key}.png"
                write_bytes(out / files[id(part)], part.png)
    sections, foot = list(report.sections()), f"Made by matt {__version__} from saved predictions."
    told: dict[str, Any] = {"title": report.title, "lead": report.lead, "footer": foot}
    told["warnings"] = report.warnings
    write_report(out / "report.html", sections=sections, **told)
    text = render_markdown(sections=sections, picture=lambda part: files[id(part)], **told)
    write_text(out / "report.md", text)
    write_json(out / "report.json", _no_nan(report.to_json()))
    return [out / name for name in ("report.html", "report.md", "report.json", *files.values())]


def check_out(out: Path) -> None:
    """Refuse a folder that a report must not be written to, before any work is done for it.

    Raises
    ------
    DataError
        If it is a file, a run folder, or holds something that is no report.
    """
    if out.is_file():
        raise DataError(f"{out} is a file; choose another name for the folder of the report")
    if (out / "run.json").exists():
        raise DataError(f"{out} is a run folder; choose another folder for the report")
    if out.is_dir() and any(out.iterdir()) and not (out / "report.json").exists():
        raise DataError(f"{out} is not empty and holds no report; choose another folder")


def _plain_name(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower())[:50].strip("-")


def _inert(table: Table) -> Table:
    """The table with a quote before each text that a spreadsheet would run as a formula."""
    texts = [column.kind == "text" for column in table.columns]
    rows = tuple(
        tuple(
            f"'{cell}" if is_text and _is_formula(str(cell)) else cell
            for is_text, cell in zip(texts, row, strict=True)
        )
        for row in table.rows
    )
    return replace(table, rows=rows)


def _is_formula(text: str) -> bool:
    if plain(text).strip()[:1] not in tuple("=+-@"):
        return False
    try:
        float(text)
    except ValueError:
        return True
    return False


def _no_nan(value: Any) -> Any:
    """Undefined numbers as null: JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _no_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_no_nan(item) for item in value]
    return None if isinstance(value, float) and value != value else value
