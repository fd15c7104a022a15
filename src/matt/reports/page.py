"""The report: everything about one run or several, in the order of its page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import __version__
from ..errors import DataError
from ..evaluation.curves import MOST
from ..evaluation.detail import pair_table
from ..evaluation.report import Section
from ..evaluation.resampling import ROUNDS
from ..evaluation.scores import score
from ..evaluation.style import cut
from ..evaluation.tables import Column, Table
from ..faults import fault_texts
from . import facts, pictures
from .comparing import Comparison, compare_subjects
from .examples import NONE, examples
from .subjects import LeftOut, Subject

SCHEMA = "matt.report/1"
Chapters = dict[str, facts.Parts]
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


def _about(subject: Subject, *, rounds: int, seed: int) -> Iterator[tuple[str, facts.Parts]]:
    """Chapters of one subject."""
    tables = subject.tables(rounds=rounds, seed=seed)
    first = next(iter(subject.made.values()))
    scores = score(first, unit="spread")
    items = pictures.items_by_name(subject.made)
    shown: facts.Parts = {"remark": f"{_upper(subject.remark)}."} if subject.remark else {}
    for number, note in enumerate(subject.notes if not subject.run else ()):
        shown[f"note-{number}"] = note
    yield "Scores", {**shown, "scores": tables["scores"], "detail": tables["detail"]}
    drawn = pictures.distribution_picture(scores)
    yield "Genres", {"genres": tables["genres"], "distribution": drawn}
    yield "Precision and recall", dict(pictures.curve_pictures(items)) or {"none": _NO_CURVES}
    confusion = pictures.confusion_picture(scores, subject.model)
    mistakes: facts.Parts = {} if confusion is None else {"confusion": confusion}
    yield "Mistakes", {**mistakes, "pairs": pair_table(scores)}
    sure = pictures.sure_pictures(pictures.items_by_name(subject.made, unit="bag"))
    yield "Calibration", {**sure, "calibration": tables["calibration"]}
    yield "By size and by training tracks", {"sizes": tables["sizes"], "shots": tables["shots"]}
    yield "Which tracks decided", dict(examples(subject.main)) or {"none": NONE}
    if subject.run is not None:
        fitted = facts.training(subject.run)
        if fitted:
            yield "Training", fitted
        yield "Data", _renamed(facts.data(subject.run))
        yield "Settings and versions", facts.configuration(subject.run)


def _compared(comparison: Comparison, subjects: Sequence[Subject]) -> Chapters:
    """Chapters about all: the ranked table, and curves of the models that it holds."""
    models = {row.name for row in comparison.standings} & {s.name for s in subjects}
    best = [row.name for row in comparison.standings if row.name in models][:MOST]
    items = pictures.items_by_name({name: comparison.made[name] for name in best})
    parts: facts.Parts = {"ranking": comparison.ranking}
    if comparison.differences.rows:
        parts["differences"] = comparison.differences
    parts |= {**pictures.curve_pictures(items), **pictures.sure_pictures(items)}
    left = len(models) - len(best)
    if left > 0:
        parts["drawn"] = f"The curves are of the best {MOST}; {left} others are in the table alone."
    return {"Comparison": parts}


_NO_CURVES = "There are no curves: the scores rank nothing, because they name one genre alone."


def _renamed(parts: facts.Parts) -> facts.Parts:
    """Tables of the tracks under names that do not occur among those of the scores."""
    return {{"genres": "tracks-of-genres"}.get(key, key): part for key, part in parts.items()}


def _lead(subject: Subject) -> str:
    main = subject.main
    n = len(main.tracks)
    known = "" if bool(main.bags.known.all()) else f", {int(main.bags.known.sum()):,} with a genre"
    model = "" if subject.name == subject.model else f"{subject.model}, "
    return (
        f"{cut(subject.name, most=_HEADING)}: {model}{n:,} tracks in {len(main):,} "
        f"bags{known}, {len(main.genres)} genres."
    )


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
