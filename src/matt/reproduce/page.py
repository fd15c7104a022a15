"""The pages of a reproduction: one HTML file that holds everything, and the same as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..evaluation.report import Picture, Section, render_markdown, write_report
from ..faults import PROTOCOLS, fault_texts
from ..files import write_text
from ..provenance import made as made_by
from ..runs import Run
from .targets import Made

LEAD = (
    "The tables and figures of Liu & Zhang, MATT: A Multiple-instance Attention Mechanism for "
    "Long-tail Music Genre Classification (IEEE SMC 2022), made again: with controls, several "
    "seeds and intervals, and every fault of the paper or its released code measured alone."
)
SIMULATED = "SIMULATED: nothing about music follows from any number on this page."
CAPTIONS = {
    "faults": "Each fault less the corrected model, on equal test tracks. Red crosses: chosen on "
    "the test split. A line with + adds its fault to those of the line above.",
    "figure_1": "Training tracks of each genre; the paper's two tails are marked.",
    "figure_4a": "Micro-flattened precision and recall, the mean over repeats at equal recall; the "
    "paper's own curves dotted, with hollow marks. Each track under its own label.",
    "figure_4b": "The same of the models that read log-mels.",
    "figure_4c": "Accuracy with its 95 % interval; diamonds are the paper's.",
    "damage_cut": "Accuracy as test bags are cut to a few random tracks.",
    "damage_missing": "Accuracy as tracks lose their album or artist, and are alone.",
    "damage_wrong": "Accuracy as tracks swap their places at random.",
}
"""What is said beneath a picture, by its name."""


def sections_of(
    made: Mapping[str, Made],
    titles: Mapping[str, str],
    *,
    skipped: Mapping[str, str],
    failures: Sequence[str],
) -> list[Section]:
    """What a page holds: of each target its pictures and tables, then what is missing.

    Parameters
    ----------
    made : dict of str to Made
        By the name of the target.
    titles : dict of str to str
    skipped : dict of str to str
        Targets that cannot be made of the data, and why.
    failures : sequence of str
        Cells that failed, and why.
    """
    sections = []
    for name, some in made.items():
        pictures = [
            Picture(path.read_bytes(), CAPTIONS.get(called, called))
            for called, path in some.pictures.items()
        ]
        sections.append(Section(titles[name], [*pictures, *some.tables.values()]))
    if skipped or failures:
        lines = [f"{titles.get(name, name)}: {reason}." for name, reason in skipped.items()]
        told = ["Not made of this data.", *lines] if skipped else []
        told += ["Cells that failed; what needs them is partial.", *failures] if failures else []
        sections.append(Section("What is missing", ["\n\n".join(told)]))
    return sections


def cut_short(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Say that trainings were cut short, where the run asked for it.

    >>> cut_short({"settings": {"request": {"epochs": None, "crnn_epochs": 3}}})
    ('CUT SHORT: CRNNs were trained for at most 3 epochs, so their rows say little.',)
    """
    settings = manifest.get("settings")
    request = settings.get("request") if isinstance(settings, Mapping) else None
    asked = request if isinstance(request, Mapping) else {}
    names = {"epochs": "networks of features", "crnn_epochs": "CRNNs"}
    return tuple(
        f"CUT SHORT: {name} were trained for at most {asked[key]} epochs, so their rows say little."
        for key, name in names.items()
        if asked.get(key) is not None
    )


def write_page(
    run: Run,
    folder: Path,
    made: Mapping[str, Made],
    titles: Mapping[str, str],
    *,
    data: str,
    real: bool,
    protocol: str,
    notes: Sequence[str] = (),
    skipped: Mapping[str, str] | None = None,
    failures: Sequence[str] = (),
) -> None:
    """Write ``report.html`` and ``report.md`` into the folder of a protocol.

    Parameters
    ----------
    run : Run
    folder : Path
        Where pictures are, too.
    made, titles, skipped, failures
        As in `sections_of`.
    data : str
        Name of the data.
    real : bool
        If not, the page says so in red.
    protocol : str
    notes : sequence of str
        What has to be known of the data.
    """
    sections = sections_of(made, titles, skipped=skipped or {}, failures=failures)
    warnings = [] if real else [SIMULATED]
    warnings += cut_short(run.manifest)
    warnings += fault_texts(PROTOCOLS[protocol], red=True)
    if failures:
        warnings.append(f"PARTIAL: {len(failures)} cells failed, see the end of the page.")
    told: dict[str, Any] = {
        "title": f"MATT, reproduced: {data}",
        "lead": f"{LEAD}\n\nData: {data}. Protocol: {protocol}. {' '.join(notes)}",
        "warnings": warnings,
        "footer": made_by(run.manifest),
    }
    write_report(folder / "report.html", sections=sections, **told)
    files = {}
    for some in made.values():
        for path in some.pictures.values():
            files[path.read_bytes()] = path.name
    text = render_markdown(sections=sections, picture=lambda p: files[p.png], **told)
    write_text(folder / "report.md", text)
