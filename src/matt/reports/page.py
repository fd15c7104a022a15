"""The report: everything about one run or several, in the order of its page.

Several runs on the same test tracks come to one ranked table. The files are one page as HTML and
Markdown, all tables as JSON and CSV, pictures as PNG.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import ConfigError, DataError, did_you_mean
from ..evaluation.contrast import Standing, contrast, contrast_table, difference_table
from ..evaluation.intervals import ROUNDS
from ..evaluation.plots import MOST
from ..evaluation.report import Picture, ReportPage, Section
from ..evaluation.scores import majority, score
from ..evaluation.style import cut
from ..evaluation.summaries import MAJORITY, pair_table, with_protocol
from ..evaluation.tables import Column, Table, capital, plain
from ..faults import fault_texts
from ..files import write_bytes, write_json, write_text
from ..predictions import Predictions
from . import sections
from .sections import NONE, examples
from .subjects import LeftOut, Subject


@dataclass(frozen=True, eq=False)
class Comparison:
    """A ranked table, and what it was made of.

    Attributes
    ----------
    ranking : Table
    differences : Table
        To the baseline; without rows where there were no rounds.
    standings : tuple of Standing
        The best first.
    baseline : str
    made : dict of str to Predictions
        By name, in the order that they were given.
    """

    ranking: Table
    differences: Table
    standings: tuple[Standing, ...]
    baseline: str
    made: dict[str, Predictions]


def compare_subjects(
    subjects: Sequence[Subject],
    *,
    baseline: str | None = None,
    controls: bool = True,
    unit: str = "track_of_bag",
    rounds: int = ROUNDS,
    seed: int = 0,
) -> Comparison:
    """Rank subjects by macro-F1 of the test split, each beside a baseline.

    Parameters
    ----------
    subjects : sequence of Subject
        Of the same test tracks.
    baseline : str, optional
        Name of a row; by default the first subject.
    controls : bool
        Also rank the control of each run. The majority class is always there.
    unit, rounds, seed
        As in `matt.evaluation.contrast.contrast`.

    Raises
    ------
    ConfigError
        If nothing has the name of the baseline.
    DataError
        If there are fewer than two, or they are not of the same tracks, genres and labels.
    """
    if len(subjects) < 2:
        raise DataError("a comparison needs two runs or files of predictions; name another one")
    made = {subject.name: subject.main for subject in subjects}
    # What makes a row doubtful: that it is partial, or that it was chosen by what is scored.
    remarks = {
        s.name: " ".join([s.remark, *fault_texts(s.faults, red=True)]).strip() for s in subjects
    }
    for subject in subjects if controls else ():
        if subject.control is not None:
            made[f"{subject.name}, control"] = subject.control
            remarks[f"{subject.name}, control"] = subject.remark
    made[MAJORITY] = majority(subjects[0].main)
    if baseline is not None and baseline not in made:
        raise ConfigError(f"nothing here is named {baseline!r}; {did_you_mean(baseline, made)}")
    against = baseline or subjects[0].name
    standings = contrast(made, baseline=against, unit=unit, rounds=rounds, seed=seed)
    ranking = with_protocol(contrast_table(standings, remarks=remarks), subjects[0].main)
    differences = difference_table(standings, baseline=against)
    return Comparison(ranking, differences, standings, against, made)


SCHEMA = "matt.report/1"
Chapters = dict[str, sections.Parts]
_HEADING = 70  # columns of a name in a heading


@dataclass(frozen=True, eq=False)
class Report:
    """What a report holds.

    Attributes
    ----------
    title, lead : str
    comparison : Comparison or None
        Of several subjects, where they can be compared.
    chapters : dict of str to dict of str to parts
        By subject, then by heading; ``""`` are the chapters about all.
    subjects : tuple of Subject
    left_out : tuple of LeftOut
    problems : tuple of str
        Why the report is partial; empty where it is whole.
    """

    title: str
    lead: str
    comparison: Comparison | None
    chapters: Mapping[str, Chapters]
    subjects: tuple[Subject, ...]
    left_out: tuple[LeftOut, ...]
    problems: tuple[str, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """What nobody may miss: that something is partial, or was chosen by what is scored."""
        red = [
            f"{cut(subject.name, most=_HEADING)}. {text}"
            for subject in self.subjects
            for text in fault_texts(subject.faults, red=True)
        ]
        return *(f"Partial. {problem}" for problem in self.problems), *red

    def sections(self) -> Iterator[Section]:
        """Headings with what belongs under them, in the order of the page."""
        several = len(self.subjects) > 1
        for name, chapters in self.chapters.items():
            if several and name:
                yield Section(cut(name, most=_HEADING), [])
            level = 3 if several and name else 2
            for title, parts in chapters.items():
                yield Section(title, list(parts.values()), level)

    def to_json(self) -> dict[str, Any]:
        """Every table by subject and key, and what is partial; schema ``matt.report/1``."""
        return {
            "schema": SCHEMA,
            "version": __version__,
            "runs": [
                {
                    "name": subject.name,
                    "path": str(subject.path),
                    "model": subject.model,
                    "partial": subject.remark or None,
                    "notes": list(subject.notes),
                }
                for subject in self.subjects
            ],
            "left_out": [{"path": str(o.path), "reason": o.reason} for o in self.left_out],
            "problems": list(self.problems),
            "comparison": None
            if self.comparison is None
            else {
                "baseline": self.comparison.baseline,
                "ranking": self.comparison.ranking.to_json(),
                "differences": self.comparison.differences.to_json(),
            },
            "tables": {
                name: {
                    key: part.to_json()
                    for parts in chapters.values()
                    for key, part in parts.items()
                    if isinstance(part, Table)
                }
                for name, chapters in self.chapters.items()
                if name
            },
        }


def make_report(
    subjects: Sequence[Subject],
    left_out: Sequence[LeftOut] = (),
    *,
    title: str = "",
    baseline: str | None = None,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> Report:
    """Put together what is known of runs and predictions.

    Parameters
    ----------
    subjects, left_out
        Of `matt.reports.subjects.open_subjects`.
    title : str
        By default the name of the run.
    baseline : str, optional
        What several subjects are compared with, by default the first.
    rounds, seed : int
        Of the resamples; 0 rounds for none.
    """
    chapters: dict[str, Chapters] = {}
    comparison, problems = None, [f"{s.name}: {s.remark}" for s in subjects if s.remark]
    if len(subjects) > 1:
        try:
            comparison = compare_subjects(subjects, baseline=baseline, rounds=rounds, seed=seed)
            chapters[""] = _compared(comparison, subjects)
        except DataError as error:
            problems.append(f"There is no comparison. {error}")
    problems += [f"{out.path} is left out: {out.reason}" for out in left_out]
    if left_out:
        columns = Column("what"), Column("why")
        rows = tuple((str(out.path), out.reason) for out in left_out)
        chapters.setdefault("", {})["Left out"] = {"left-out": Table("Left out", columns, rows)}
    for subject in subjects:
        chapters[subject.name] = dict(_about(subject, rounds=rounds, seed=seed))
    names = ", ".join(cut(subject.name, most=40) for subject in subjects[:5])
    names += f" and {len(subjects) - 5} more" if len(subjects) > 5 else ""
    return Report(
        title or f"Report: {names}",
        "\n\n".join(map(_lead, subjects)),
        comparison,
        chapters,
        tuple(subjects),
        tuple(left_out),
        tuple(problems),
    )


def _about(subject: Subject, *, rounds: int, seed: int) -> Iterator[tuple[str, sections.Parts]]:
    """Chapters of one subject."""
    tables = subject.tables(rounds=rounds, seed=seed)
    first = next(iter(subject.made.values()))
    scores = score(first, unit="track_of_bag")
    items = sections.items_by_name(subject.made)
    shown: sections.Parts = {"remark": f"{capital(subject.remark)}."} if subject.remark else {}
    for number, note in enumerate(subject.notes if not subject.run else ()):
        shown[f"note-{number}"] = note
    if subject.run is not None and subject.run.manifest.get("library"):
        yield "Albums", {**shown, **sections.albums(subject.main)}
    told = [name for name in ("scores", "costs", "detail") if name in tables]
    yield "Scores", {**shown, **{name: tables[name] for name in told}}
    drawn = sections.distribution_picture(scores)
    yield "Genres", {"genres": tables["genres"], "distribution": drawn}
    yield "Precision and recall", dict(sections.curve_pictures(items)) or {"none": _NO_CURVES}
    confusion = sections.confusion_picture(scores, subject.model)
    mistakes: sections.Parts = {} if confusion is None else {"confusion": confusion}
    yield "Mistakes", {**mistakes, "pairs": pair_table(scores)}
    sure = sections.sure_pictures(sections.items_by_name(subject.made, unit="bag"))
    yield "Calibration", {**sure, "calibration": tables["calibration"]}
    yield "By size and by training tracks", {"sizes": tables["sizes"], "shots": tables["shots"]}
    yield "Which tracks decided", dict(examples(subject.main)) or {"none": NONE}
    if subject.run is not None:
        fitted = sections.training(subject.run)
        if fitted:
            yield "Training", fitted
        # Under names that do not occur among those of the scores.
        names = {"genres": "tracks-of-genres"}
        data = sections.data(subject.run)
        yield "Data", {names.get(key, key): part for key, part in data.items()}
        yield "Settings and versions", sections.configuration(subject.run)


def _compared(comparison: Comparison, subjects: Sequence[Subject]) -> Chapters:
    """Chapters about all: the ranked table, and curves of the models that it holds."""
    models = {row.name for row in comparison.standings} & {s.name for s in subjects}
    best = [row.name for row in comparison.standings if row.name in models][:MOST]
    items = sections.items_by_name({name: comparison.made[name] for name in best})
    parts: sections.Parts = {"ranking": comparison.ranking}
    if comparison.differences.rows:
        parts["differences"] = comparison.differences
    parts |= {**sections.curve_pictures(items), **sections.sure_pictures(items)}
    left = len(models) - len(best)
    if left > 0:
        parts["drawn"] = f"The curves are of the best {MOST}; {left} others are in the table alone."
    return {"Comparison": parts}


_NO_CURVES = "There are no curves: the scores rank nothing, because they name one genre alone."


def _lead(subject: Subject) -> str:
    main = subject.main
    n = len(main.tracks)
    known = "" if bool(main.bags.known.all()) else f", {int(main.bags.known.sum()):,} with a genre"
    model = "" if subject.name == subject.model else f"{subject.model}, "
    return (
        f"{cut(subject.name, most=_HEADING)}: {model}{n:,} tracks in {len(main):,} "
        f"bags{known}, {len(main.genres)} genres."
    )


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
    page = ReportPage(
        title=report.title,
        lead=report.lead,
        sections=list(report.sections()),
        warnings=report.warnings,
        footer=f"Made by matt {__version__} from saved predictions.",
    )
    page.write(out / "report.html")
    write_text(out / "report.md", page.to_markdown(lambda part: files[id(part)]))
    write_json(out / "report.json", report.to_json())
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
