"""Answers out of fold: each album by a network that has heard nobody of whom the album names.

A model has an easy task with the albums that it was trained on: it says what their tags say. What
those tags are worth is said by one that never met the artists. All who were learned from are dealt
into folds, artists whole; a network each learns from the other folds, without any track that names
somebody of this one, and answers this one. By which epoch is chosen inside of what it learns from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from . import splits
from .bags import Bags
from .calibration.priors import decision_of
from .comparison import FittedRow, Row, fitted_rows, single
from .config import Settings
from .features.store import FeatureStore
from .predictions import Predictions
from .tracks import Tracks

FOLDS = 5


@dataclass(frozen=True, eq=False)
class FoldAnswer:
    """What was said out of fold.

    Attributes
    ----------
    predictions : Predictions or None
        Of the albums that could be answered, in the order of the tracks. None where none could. An
        album whose genre nobody else plays has no label there: what answered it cannot know it.
    note : str
        How many there are, how they came about, how long that took, and which are missing.
    seconds : float
        That it took.
    """

    predictions: Predictions | None
    note: str
    seconds: float


def answer_out_of_fold(
    tracks: Tracks,
    features: FeatureStore,
    settings: Settings,
    *,
    progress: Callable[[str, Mapping[str, float]], None] | None = None,
    checkpoint: Callable[[str], Path] | None = None,
) -> FoldAnswer:
    """Answer every labelled album of the training and the validation split out of fold.

    Parameters
    ----------
    tracks : Tracks
        With splits; test tracks are left out, as no model learns from them.
    features : FeatureStore
        Holds all of them.
    settings : Settings
        Of the run. Each fold has one network of them, or the baseline.
    progress : callable, optional
        Called with the name of the fold and its history after each epoch.
    checkpoint : callable, optional
        Which folder keeps the state of what is named so, to go on from there.
    """
    start = monotonic()
    row = single(fitted_rows(settings, controls=False)[0])
    learned = _learned(tracks, row)
    n = min(FOLDS, int(splits.companies(learned).max()) + 1)
    said: list[Predictions] = []
    for number, (rest, part) in enumerate(_folds(learned, n, settings.seed), start=1):
        fold = replace(row, name=f"fold {number} of {n}")
        divided = _divided(learned, rest, part, settings)
        if divided is None:
            continue
        told = None if progress is None else partial(progress, fold.name)
        kept = None if checkpoint is None else checkpoint(fold.name)
        fitted = FittedRow.of(
            fold, features, divided, seed=settings.seed, progress=told, checkpoint=kept
        )
        said.append(_judgeable(fitted.predict_row(fitted.bags("test")), divided.train_counts))
    made = _joined(said, tracks, row) if said else None
    seconds = monotonic() - start
    return FoldAnswer(made, _told(made, learned, row, n, seconds), seconds)


def _learned(tracks: Tracks, row: Row) -> Tracks:
    """Tracks of the albums that a model learns from, or by which it is chosen."""
    there = tracks.take(np.isin(tracks.split, ("training", row.chosen_on)))
    known = Bags.from_tracks(there, by=row.bags).labelled()
    return there.take(np.isin(there.track_id, known.track_ids))


def _folds(learned: Tracks, n: int, seed: int) -> Iterator[tuple[Tracks, Tracks]]:
    if n > 1:
        yield from splits.folds(learned, k=n, seed=seed)


def _divided(learned: Tracks, rest: Tracks, part: Tracks, settings: Settings) -> Tracks | None:
    """Tracks of a fold: those that are answered are its test split, and no others name anybody
    whom they name. None where fewer than two genres are left to learn from.

    A guest of many may bind no company (see `matt.splits`), and would stand on both sides else.
    """
    named, ids = rest.everybody(alike=True)
    known = np.zeros(len(rest), bool)
    known[named[np.isin(ids, part.everybody(alike=True)[1])]] = True
    if (rest.take(~known).counts > 0).sum() < 2:
        return None
    inside = splits.by_artist(
        rest.take(~known), validation=settings.splits.validation, test=0, seed=settings.seed
    )
    split = np.full(len(learned), "", "<U10")
    split[learned.rows(inside.track_id)] = inside.split
    split[learned.rows(part.track_id)] = "test"
    return learned.with_split(split).take(split != "")


def _judgeable(said: Predictions, counts: NDArray[np.int64]) -> Predictions:
    """The same without the label of albums whose genre their fold has not learned."""
    labels, known = said.labels, counts > 0
    labels = labels & known if said.bags.multi_label else np.where(known[labels], labels, -1)
    return replace(said, bags=replace(said.bags, labels=labels))


def _joined(said: Sequence[Predictions], tracks: Tracks, row: Row) -> Predictions:
    """One of those of all folds, in the order of the tracks.

    Each fold's logits assume the genres of its own training albums. Where that is known, they are
    made to assume those of all training albums, as the run's model does.
    """
    bags = _all_bags([one.bags for one in said], tracks.train_counts)
    decisions = [one.decision for one in said if one.decision is not None]
    logits, decision = np.concatenate([one.logits for one in said]), None
    if len(decisions) == len(said):
        trained = Bags.from_tracks(tracks, by=row.bags, split="training").labelled()
        decision = replace(decision_of(trained), tau=float(np.mean([d.tau for d in decisions])))
        likely = np.concatenate([one.likelihoods for one in said])
        logits = (likely + np.log(decision.bags)).astype(np.float32)
    limits = [one.thresholds for one in said if one.thresholds is not None]
    made = Predictions(
        bags,
        tracks.take(tracks.rows(bags.track_ids)),
        logits,
        said[0].link,
        thresholds=np.mean(limits, axis=0) if len(limits) == len(said) else None,
        decision=decision,
    )
    return made.take(np.argsort(tracks.rows(bags.track_ids[bags.offsets[:-1]]), kind="stable"))


def _all_bags(parts: Sequence[Bags], train_counts: NDArray[np.int64]) -> Bags:
    several = [part.track_labels for part in parts if part.track_labels is not None]
    return Bags(
        np.concatenate([part.track_ids for part in parts]),
        np.concatenate([[0], np.cumsum(np.concatenate([part.sizes for part in parts]))]),
        np.concatenate([part.labels for part in parts]),
        parts[0].genres,
        train_counts,
        np.concatenate(several) if several else None,
    )


def _told(made: Predictions | None, learned: Tracks, row: Row, n: int, seconds: float) -> str:
    """How many albums were answered, by what, in which time; and how many were not."""
    total = len(Bags.from_tracks(learned, by=row.bags))
    if made is None:
        return f"none of {total:,} albums was answered out of fold: too few artists play two genres"
    artists = len(np.unique(made.tracks.artist_id[made.tracks.artist_id >= 0]))
    missing = f", {total - len(made):,} could not be" if total > len(made) else ""
    if not made.bags.known.all():
        n_alone = int((~made.bags.known).sum())
        missing += f", {n_alone:,} are of a genre that nobody else plays"
    return (
        f"out of fold: {len(made):,} albums of {artists:,} artists were each answered by one of "
        f"{n} models that had heard none of its artists{missing}; that took {seconds:.0f} s"
    )
