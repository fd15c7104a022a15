"""What a model has learned from, and what is said of it by networks that have not.

A model that was trained on an album knows its tag by heart, so whether the two agree says nothing.
A run keeps an answer out of fold for each such album: of a network that never saw its artists.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..bags import Bags
from ..calibration.priors import Prior, TrainedPrior, as_logits, reprior
from ..errors import DataError
from ..models.classifier import GenreClassifier
from ..models.packing import folder_of
from ..predictions import Predictions
from ..runs import OUT_OF_FOLD, Run
from ..tracks import Tracks

_LEARNED = ("training", "validation")
_APART = 0.05  # seconds: files of one length differ by less


@dataclass(frozen=True, eq=False)
class Judged:
    """Predictions in which albums that the model has learned from are answered out of fold.

    Attributes
    ----------
    predictions : Predictions
        Without segments.
    in_training : sequence of bool or None, length b
        Whether the model was trained on a track of each bag; None where nobody knows.
    held_out : bool array, shape (b,)
        Which bags are answered out of fold.
    """

    predictions: Predictions
    in_training: Sequence[bool | None]
    held_out: NDArray[np.bool_]

    @classmethod
    def of(cls, predictions: Predictions, in_training: bool | None = None) -> Judged:
        """As a model says it that was trained on all of the bags, or none, or nobody knows."""
        return cls(
            replace(predictions, segment_offsets=None, attention=None, segment_logits=None),
            [in_training] * len(predictions),
            np.zeros(len(predictions), bool),
        )


@dataclass(frozen=True, eq=False)
class Learned:
    """What a run has learned from.

    Attributes
    ----------
    tracks : Tracks
        Of the albums that its model was trained on, or chosen by.
    predictions : Predictions or None
        Of these albums, each by a network that has heard nobody of theirs; None where the run keeps
        none.
    """

    tracks: Tracks
    predictions: Predictions | None = None

    @classmethod
    def of(cls, path: Path | str) -> Learned | None:
        """What a run, or its model folder, has learned from; None of a model without its run."""
        for folder in (Path(path), Path(path).resolve().parent):
            if (folder / "run.json").exists() and Path(path).resolve() in _models(folder):
                run = Run.open(folder)
                tracks = run.tracks()
                learned = np.isin(tracks.split, _LEARNED) & tracks.labelled
                kept = run.has_predictions(OUT_OF_FOLD)
                return cls(tracks.take(learned), run.predictions(OUT_OF_FOLD) if kept else None)
        return None

    def judge(
        self,
        predictions: Predictions,
        *,
        prior: Prior | None = None,
        trained: TrainedPrior | None = None,
    ) -> Judged:
        """Put what is known out of fold in the place of what the model says of its own lessons.

        Both take genres for equally frequent, so one decision fits both.

        Parameters
        ----------
        predictions : Predictions
            Of the model.
        prior : optional
            That they were made with.
        trained : TrainedPrior, optional
            Of the model.
        """
        offsets = predictions.bags.offsets[:-1]
        learned = self.knows(predictions.tracks, predictions.bags)
        there = self._same_kind(predictions)
        logits, held_out = predictions.logits.copy(), np.zeros(len(predictions), bool)
        if there is not None:
            asked = _as_frequent(there, predictions, prior, trained)
            bag_of = np.repeat(np.arange(len(there)), there.bags.sizes)
            rows = rows_in(predictions.tracks, there.tracks)
            for bag, some in enumerate(np.split(rows, offsets[1:])):
                if (some >= 0).any():
                    other = int(np.bincount(bag_of[some[some >= 0]]).argmax())
                    if there.bags.known[other]:  # else nobody else plays its genre
                        logits[bag], held_out[bag] = asked[other], True
        in_training = (learned | held_out).tolist()
        mine = Judged.of(predictions).predictions
        return Judged(replace(mine, logits=logits), in_training, held_out)

    def knows(self, tracks: Tracks, bags: Bags) -> NDArray[np.bool_]:
        """Whether any track of each bag was learned from, shape (b,)."""
        known = rows_in(tracks.take(tracks.rows(bags.track_ids)), self.tracks) >= 0
        return np.asarray(np.logical_or.reduceat(known, bags.offsets[:-1]))

    def _same_kind(self, predictions: Predictions) -> Predictions | None:
        """Answers out of fold, if they are about the same genres."""
        there = self.predictions
        if there is None or there.link != predictions.link:
            return None
        return there if {*predictions.genres} <= {*there.genres} else None


def _as_frequent(
    there: Predictions, mine: Predictions, prior: Prior | None, trained: TrainedPrior | None
) -> NDArray[np.float64]:
    """Logits of other predictions, with genres as frequent as in mine, in the order of mine.

    Where nobody knows what they assume, they are given the prior anew.
    """
    columns = [there.genres.index(genre) for genre in mine.genres]
    if mine.decision is not None and there.decision is not None:
        return there.likelihoods[:, columns] + as_logits(mine.decision.bags, mine.link)
    if prior is not None:
        there = reprior(there, prior, trained=trained)
    return there.logits[:, columns].astype(np.float64)


def rows_in(tracks: Tracks, others: Tracks) -> NDArray[np.int64]:
    """Row of each track among others, -1 where it is none of them, shape (n,).

    It is the same by its path; where the library has moved, by its id and its length, since a file
    of another library may well lie in the same place.
    """
    places = {path: row for row, path in enumerate(others.path.tolist()) if path}
    numbers = {number: row for row, number in enumerate(others.track_id.tolist())}
    lengths = _lengths(tracks), _lengths(others)
    found = np.full(len(tracks), -1, np.int64)
    for row, (path, number) in enumerate(
        zip(tracks.path.tolist(), tracks.track_id.tolist(), strict=True)
    ):
        place = places.get(path, -1)
        if place < 0 and (other := numbers.get(number, -1)) >= 0:
            same = abs(float(lengths[0][row]) - float(lengths[1][other])) < _APART
            place = other if same else -1
        found[row] = place
    return found


def _lengths(tracks: Tracks) -> NDArray[np.float64]:
    return np.asarray(tracks.columns.get("duration", np.full(len(tracks), np.nan)), np.float64)


def _models(run: Path) -> tuple[Path, Path]:
    """What names the model of a run: the run itself, and the folder of its model."""
    return run.resolve(), (run / "model").resolve()


def load_model(path: Path) -> GenreClassifier:
    """Classifier of a run folder, of a model folder or a packed model, of any kind.

    Raises
    ------
    DataError
        If it is none of them, or damaged.
    """
    with folder_of(model_folder(path)) as folder:
        return GenreClassifier.load(folder)


def model_folder(path: Path) -> Path:
    """The folder of the model of a run; a model folder, or a packed model, itself.

    Raises
    ------
    DataError
        If it does not exist, or is no run or an unfinished one.
    """
    if not path.exists():
        raise DataError(f"{path} does not exist; name a run of 'matt train', or a model")
    if path.is_file() or (path / "model.json").exists():
        return path
    return Run.open(path).check_finished().model
