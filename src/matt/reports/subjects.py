"""What is compared or reported: runs of 'matt train' and files of predictions, whole or in part.

The predictions of a run stand under the names of its tables; anyone else's are put beside the
tracks that they are of, and it is told what is scored and what is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bags import Bags, vote, vote_many
from ..comparison import BAG_MODEL, STRONG
from ..errors import DataError, MattError, did_you_mean, first_few
from ..evaluation.intervals import ROUNDS
from ..evaluation.summaries import overview
from ..evaluation.tables import Table, plain
from ..faults import check_names, fault_texts
from ..models.blend import CALLED
from ..predictions import Predictions
from ..runs import Run
from ..tracks import SPLITS, Tracks

NAMES = {
    "test": BAG_MODEL,
    "test-alone": f"{BAG_MODEL}, each track alone",
    "control": "control: track model averaged over the bag",
    "control-alone": "control: track model, each track alone",
    **{key: f"control: {CALLED[name]}, averaged over the bag" for key, name in STRONG.items()},
}
BRIEFLY = tuple(NAMES[key] for key in STRONG)


def named(made: Mapping[str, Predictions], *, model: str = BAG_MODEL) -> dict[str, Predictions]:
    """Predictions under the names that tables give them.

    Parameters
    ----------
    made : mapping of str to Predictions
        Under the names that `matt.experiment.run` saves.
    model : str
        What the model is called, see `model_name`.
    """
    names = NAMES
    if model != BAG_MODEL:  # a baseline sees lone tracks
        alone = f"{model}, each track alone"
        names = {**NAMES, "test": f"{model}, averaged over the bag", "test-alone": alone}
    return {names.get(name, name): predictions for name, predictions in made.items()}


def tables_of(
    made: Mapping[str, Predictions],
    *,
    model: str = BAG_MODEL,
    faults: Sequence[str] = (),
    rounds: int = ROUNDS,
    seed: int = 0,
    costs: NDArray[np.float64] | None = None,
) -> dict[str, Table]:
    """Tables of saved predictions, see `matt.evaluation.summaries`.

    Parameters
    ----------
    made, model
        As in `named`.
    faults : sequence of str
        Of the run, by name; noted under the scores.
    rounds, seed : int
        Of the resamples for intervals; 0 rounds for none.
    costs : array, shape (G, G), optional
        Of answers, see `matt.calibration.costs`.
    """
    called = named(made, model=model)
    settings: dict[str, Any] = {"rounds": rounds, "seed": seed, "costs": costs}
    tables = overview(called, model=model, briefly=BRIEFLY, **settings)
    return with_faults(tables, faults)


def with_faults(tables: Mapping[str, Table], faults: Sequence[str]) -> dict[str, Table]:
    """Tables whose scores have a note for each fault of the run that made them."""
    scores = tables["scores"]
    return {**tables, "scores": replace(scores, notes=(*scores.notes, *fault_texts(faults)))}


def saved(run: Run) -> dict[str, Predictions]:
    """Predictions of a run under the names that `matt.experiment.run` gave them.

    Raises
    ------
    DataError
        If the run is unfinished or of another kind.
    """
    check_kind(run)
    run.check_finished()
    return _what_is_there(run)


def _what_is_there(run: Run) -> dict[str, Predictions]:
    """Predictions of a run, perhaps an unfinished one; a file is whole or absent."""
    return {name: run.predictions(name) for name in NAMES if run.has_predictions(name)}


def check_kind(run: Run) -> None:
    """Refuse a run whose predictions are not those of one training.

    Raises
    ------
    DataError
    """
    if run.manifest["kind"] != "train":
        raise DataError(
            f"{run.path} is a run of 'matt {run.manifest['kind']}', whose tables are in its "
            "scores.json; name a run folder of 'matt train'"
        )


def model_name(run: Run) -> str:
    """What the tables of a run call its model: its baseline by name, or the bag model."""
    settings = run.manifest["settings"].get("baseline")
    return BAG_MODEL if settings is None else str(settings["classifier"])


EVERY = "all"
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
    costs : array, shape (G, G), or None
        Of answers, see `matt.calibration.costs`, where these are to be scored.
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
    costs: NDArray[np.float64] | None = None

    @property
    def control(self) -> Predictions | None:
        """Predictions of the run's track model, averaged over the bag."""
        return self.made.get(NAMES["control"]) if self.run else None

    def tables(self, *, rounds: int = ROUNDS, seed: int = 0) -> dict[str, Table]:
        """Tables of `matt.evaluation.summaries`."""
        made = overview(
            self.made,
            model=self.model,
            rounds=rounds,
            seed=seed,
            bags=self.bags,
            title=self.title,
            briefly=BRIEFLY,
            costs=self.costs,
        )
        return with_faults(made, self.faults)


def open_predictions(
    path: Path | str,
    tracks: Tracks | None = None,
    *,
    link: str | None = None,
    by: str = "album",
    split: str | None = None,
    name: str | None = None,
) -> Subject:
    """Read predictions of tracks, from a CSV of anyone's or a Parquet file of our own.

    Parameters
    ----------
    path : path
        CSV of the schema ``matt.scores/1``, or what `Predictions.save` wrote.
    tracks : Tracks, optional
        Gives genres, artists, albums and training counts of a CSV. A Parquet file carries its
        tracks; if these are given as well, they must agree.
    link : str, optional
        See `Predictions.from_csv`.
    by : str
        What a bag is, as in `Bags.from_tracks`.
    split : str, optional
        Score this split, or ``"all"``; by default test, where the tracks have splits.
    name : str, optional
        What tables call the system, by default the name of the file.

    Raises
    ------
    DataError
        If the file is of another data set, other genres, or nothing of it can be scored.
    """
    path = Path(path)
    name = plain(name or path.stem).strip() or "predictions"
    if split not in (None, EVERY, *SPLITS):
        raise DataError(f"unknown split {split!r}; {did_you_mean(split, (*SPLITS, EVERY))}")
    if path.suffix.lower() == ".parquet":
        return _own(path, tracks, name=name, link=link, split=split)
    if tracks is None:
        raise DataError(
            f"{path} holds scores and no tracks; name the tracks that they are of with --tracks"
        )
    made = Predictions.from_csv(path, tracks, link=link)
    if not len(made):
        raise DataError(f"{path} holds no row; give one a track")
    made, notes = _in_split(made, tracks, split)
    bags = _bags(made.tracks, tracks, by)
    if not (tracks.split != "").any():
        notes.append(
            "The tracks are in no split, so rare genres are counted from all of them, and nobody "
            "can tell what the system was trained on."
        )
    alone, title = f"{name}, each track alone", _title(tracks, split)
    if made.link == "none" or (bags.sizes == 1).all():
        return _of_file(path, name, {alone: made}, bags, title, notes)
    averaged = made.average_over(bags)
    both = {f"{name}, averaged over the bag": averaged, alone: made}
    return _of_file(path, name, both, bags, title, notes)


def _of_file(
    path: Path,
    name: str,
    made: dict[str, Predictions],
    bags: Bags,
    title: str,
    notes: Sequence[str],
) -> Subject:
    """Predictions of a file, which are the last of those that are made of it."""
    model, main = next(iter(made)), list(made.values())[-1]
    remark = next((note for note in notes if note.startswith("Partial")), "")
    told = tuple(notes)
    return Subject(name, path, model, made, main, bags, remark=remark, notes=told, title=title)


def _own(
    path: Path, tracks: Tracks | None, *, name: str, link: str | None, split: str | None
) -> Subject:
    made = Predictions.load(path)
    if link not in (None, made.link):
        raise DataError(f"{path} has the link {made.link!r}; leave out the link {link!r}")
    notes: list[str] = []
    if tracks is not None:
        _check_same(path, made, tracks)
    if split not in (None, EVERY):
        inside = made.tracks.split == split
        which = np.flatnonzero(np.logical_and.reduceat(inside, made.bags.offsets[:-1]))
        if not which.size:
            raise DataError(f"no bag of {path} is in the {split} split; leave out the split")
        notes = _left(len(made) - len(which), "bags", split)
        made = made.take(which) if notes else made
    return _of_file(path, name, {name: made}, made.bags, _title(made.tracks, split), notes)


def _check_same(path: Path, made: Predictions, tracks: Tracks) -> None:
    """Refuse tracks that say something else than those that the predictions carry."""
    there = tracks.take(tracks.rows(made.tracks.track_id)).with_genres(made.genres)
    if there.labels.shape != made.tracks.labels.shape:
        raise DataError(f"{path} and the tracks differ in how many genres a track may have")
    other = there.labels != made.tracks.labels
    other = other.any(axis=1) if other.ndim == 2 else other
    if other.any():
        raise DataError(
            f"{int(other.sum())} tracks of {path} have another genre in the tracks given (first: "
            f"{first_few(made.tracks.track_id[other])}); leave out --tracks, or name those that "
            "were predicted"
        )


def _in_split(
    made: Predictions, tracks: Tracks, split: str | None
) -> tuple[Predictions, list[str]]:
    """Predictions of the split that is scored, and what is to be known of it."""
    if not (tracks.split != "").any():
        if split in SPLITS:
            raise DataError(f"the tracks are in no split; leave out --split {split}")
        return made, []
    if split == EVERY:
        return made, ["Tracks of all splits are scored: what was trained on is remembered."]
    split = split or "test"
    which = np.flatnonzero(made.tracks.split == split)
    if not which.size:
        raise DataError(
            f"none of {len(made)} predicted tracks is in the {split} split; predict those, or name "
            f"another split ({', '.join((*SPLITS, EVERY))})"
        )
    notes = _left(len(made) - len(which), "predicted tracks", split)
    made = made.take(which) if notes else made
    there = int(((tracks.split == split) & tracks.labelled).sum())
    missing = there - int(made.tracks.labelled.sum())
    if missing:
        notes.append(
            f"Partial: {missing:,} of {there:,} {split} tracks with a known genre have no "
            "prediction, so these scores compare with no other system's."
        )
    return made, notes


def _title(tracks: Tracks, split: str | None) -> str:
    if split == EVERY or not (tracks.split != "").any():
        return "All tracks"
    return f"{(split or 'test').capitalize()} split"


def _left(n: int, what: str, split: str) -> list[str]:
    return [f"{n:,} {what} outside the {split} split are left out."] if n else []


def _bags(chosen: Tracks, tracks: Tracks, by: str) -> Bags:
    """Bags of some tracks, ties and tail by the training counts of all."""
    bags, counts = Bags.from_tracks(chosen, by=by), tracks.train_counts
    number = np.repeat(np.arange(len(bags)), bags.sizes)
    labels = chosen.labels[chosen.rows(bags.track_ids)]
    majority = vote_many if chosen.multi_label else vote
    return replace(bags, labels=majority(number, labels, counts), train_counts=counts)


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
        Run folders, and files as in `matt.reports.subjects.open_predictions`.
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
        return open_predictions(path, tracks, **options)
    run = Run.open(path)
    check_kind(run)
    finished = run.manifest.get("status") == "finished"
    if not finished and not run.has_predictions("test"):
        run.check_finished()
    model = model_name(run)
    made = _what_is_there(run)
    if "test" not in made:
        raise DataError(f"the run {path} holds no test predictions; train it again")
    main = made["test"]
    shown = named(made, model=model)
    name = plain(path.resolve().name).strip() or "run"
    remark = "" if finished else UNFINISHED
    faults = check_names(run.manifest.get("faults") or ())
    return Subject(name, path, model, shown, main, main.bags, run=run, remark=remark, faults=faults)


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
