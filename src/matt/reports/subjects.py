"""What is compared or reported: runs of 'matt train' and files of predictions, whole or in part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..bags import Bags
from ..errors import DataError, MattError
from ..evaluation.overview import overview
from ..evaluation.resampling import ROUNDS
from ..evaluation.tables import Table, plain
from ..faults import check_names
from ..predictions import Predictions
from ..runs import Run
from ..tracks import Tracks
from .saved import NAMES, check_kind, model_name, named, saved, with_faults
from .scoring import open_predictions

UNFINISHED = "partial: the run was not finished"


@dataclass(frozen=True, eq=False)
class Subject:
    """One run, or one file of predictions.

    Attributes
    ----------
    name : str
        Differs from those of the others.
    path : Path
    model : str
        What titles call the model.
    made : dict of str to Predictions
        By the names of the tables; the first is the model.
    main : Predictions
        What is compared: of a run its model, of a file what the file holds.
    bags : Bags
        Of the test tracks.
    run : Run or None
    remark : str
        Why it is partial; nothing where it is whole.
    notes : tuple of str
    faults : tuple of str
        Of the run, by name, see `matt.faults`.
    title : str
        Which tracks these are.
    """

    name: str
    path: Path
    model: str
    made: Mapping[str, Predictions]
    main: Predictions
    bags: Bags
    run: Run | None = None
    remark: str = ""
    notes: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    title: str = "Test split"

    @property
    def control(self) -> Predictions | None:
        """Predictions of the run's track model, averaged over the bag."""
        return self.made.get(NAMES["control"]) if self.run else None

    def tables(self, *, rounds: int = ROUNDS, seed: int = 0) -> dict[str, Table]:
        """Tables of `matt.evaluation.overview`."""
        made = overview(
            self.made,
            model=self.model,
            rounds=rounds,
            seed=seed,
            bags=self.bags,
            title=self.title,
        )
        return {**made, "scores": with_faults(made["scores"], self.faults)}


@dataclass(frozen=True)
class LeftOut:
    """What could not be used, and why."""

    path: Path
    reason: str


def open_subjects(
    paths: Sequence[Path], tracks: Tracks | None = None, **options: Any
) -> tuple[list[Subject], list[LeftOut]]:
    """Open runs and files; one that cannot be used is told, not fatal, as long as one can.

    Parameters
    ----------
    paths : sequence of Path
        Run folders, and files as in `matt.reports.scoring.open_predictions`.
    tracks : Tracks, optional
        Of files.
    **options
        Of files: link, by, split.

    Returns
    -------
    subjects : list of Subject
        In the order of the paths; a run that was not finished has a remark.
    left_out : list of LeftOut

    Raises
    ------
    DataError
        If a path is given twice, or nothing can be used.
    """
    resolved = [path.resolve() for path in paths]
    if len(set(resolved)) < len(resolved):
        twice = next(path for path in paths if resolved.count(path.resolve()) > 1)
        raise DataError(f"{twice} is named twice; name each run once")
    subjects: list[Subject] = []
    left_out: list[LeftOut] = []
    for path in paths:
        try:
            subjects.append(_open(path, tracks, options))
        except MattError as error:
            if len(paths) == 1:
                raise
            left_out.append(LeftOut(path, str(error)))
    if not subjects:
        first = left_out[0]
        raise DataError(f"none of {len(paths)} can be used; the first: {first.reason}")
    return _apart(subjects), left_out


def _open(path: Path, tracks: Tracks | None, options: Mapping[str, Any]) -> Subject:
    if not path.is_dir():
        if not path.exists():
            raise DataError(f"{path} does not exist; check the path")
        found = open_predictions(path, tracks, **options)
        partial = [note for note in found.notes if note.startswith("Partial")]
        return Subject(
            found.name,
            path,
            next(iter(found.made)),
            found.made,
            found.given,
            found.bags,
            remark=partial[0] if partial else "",
            notes=found.notes,
            title=found.title,
        )
    run = Run.open(path)
    check_kind(run)
    finished = run.manifest.get("status") == "finished"
    if not finished and not run.has_predictions("test"):
        run.check_finished()
    model = model_name(run)
    made = saved(run) if finished else _what_is_there(run)
    if "test" not in made:
        raise DataError(f"the run {path} holds no test predictions; train it again")
    main = made["test"]
    shown = named(made, model=model)
    name = plain(path.resolve().name).strip() or "run"
    remark = "" if finished else UNFINISHED
    faults = check_names(run.manifest.get("faults") or ())
    return Subject(name, path, model, shown, main, main.bags, run=run, remark=remark, faults=faults)


def _what_is_there(run: Run) -> dict[str, Predictions]:
    """Predictions of an unfinished run; a file is whole or absent."""
    return {name: run.predictions(name) for name in NAMES if run.has_predictions(name)}


def _apart(subjects: list[Subject]) -> list[Subject]:
    """The same, those of one name told apart by their folder, or else by a number."""
    names = [subject.name for subject in subjects]
    longer = [
        plain(f"{s.path.resolve().parent.name}/{s.name}") if names.count(s.name) > 1 else s.name
        for s in subjects
    ]
    found = []
    for place, (subject, name) in enumerate(zip(subjects, longer, strict=True), start=1):
        found.append(
            replace(subject, name=name if longer.count(name) == 1 else f"{name} ({place})")
        )
    return found
