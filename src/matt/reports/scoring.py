"""Anyone's predictions, put beside the tracks that they are of: what is scored, and what is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..bags import Bags
from ..errors import DataError, did_you_mean, first_few
from ..evaluation.tables import plain
from ..grouping import vote, vote_many
from ..predictions import Predictions
from ..tracks import SPLITS, Tracks

EVERY = "all"


@dataclass(frozen=True, eq=False)
class Scored:
    """Predictions of one system.

    Attributes
    ----------
    name : str
        What tables call the system.
    made : dict of str to Predictions
        By the names of the tables, the system first: each track alone, and, where there are
        probabilities, their mean over the bag.
    bags : Bags
        Of the scored tracks.
    title : str
        Which tracks these are.
    notes : tuple of str
        What was left out, and what is to be known of the numbers.
    """

    name: str
    made: Mapping[str, Predictions]
    bags: Bags
    title: str
    notes: tuple[str, ...]

    @property
    def given(self) -> Predictions:
        """The predictions as the file has them."""
        return list(self.made.values())[-1]


def open_predictions(
    path: Path | str,
    tracks: Tracks | None = None,
    *,
    link: str | None = None,
    by: str = "album",
    split: str | None = None,
    name: str | None = None,
) -> Scored:
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
        return Scored(name, {alone: made}, bags, title, tuple(notes))
    averaged = made.average_over(bags)
    both = {f"{name}, averaged over the bag": averaged, alone: made}
    return Scored(name, both, bags, title, tuple(notes))


def _own(
    path: Path, tracks: Tracks | None, *, name: str, link: str | None, split: str | None
) -> Scored:
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
    return Scored(name, {name: made}, made.bags, _title(made.tracks, split), tuple(notes))


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
