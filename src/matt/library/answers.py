"""Answers: what is said of each album, made of probabilities, a bar, costs and a vocabulary."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..calibration.costs import DECISION, cheapest
from ..predictions import Predictions
from .status import SURE, Above

_DIGITS = 4  # of a probability that is told


class GenreAnswer(NamedTuple):
    """What is said of one album or track.

    Attributes
    ----------
    genres : tuple of str
        Mostly one; of a model of several genres those that are given, most likely first, or the
        likeliest where none is.
    unsure : bool
        Whether the first has less probability than the bar.
    best : int
        Place of the first genre, or of that below it which brought it, among the model's.
    told : dict
        The same as keys of a row, JSON-ready.
    """

    genres: tuple[str, ...]
    unsure: bool
    best: int
    told: dict[str, Any]


class Answers:
    """What is said of each bag of predictions.

    Parameters
    ----------
    predictions : Predictions
    above : Above
        What stands above the genres of the predictions.
    bar : float, optional
        An answer of less probability is unsure; by default one half.
    abstain : bool
        Whether an unsure answer names no genre.
    costs : array, shape (G, G), optional
        See `matt.calibration.costs`: the answer is then the one of least expected cost.
    top : int >= 1
        How many genres are named, most likely first.
    """

    def __init__(
        self,
        predictions: Predictions,
        above: Above,
        *,
        bar: float | None = None,
        abstain: bool = False,
        costs: NDArray[np.float64] | None = None,
        top: int = 3,
    ) -> None:
        self.predictions, self.above = predictions, above
        self._abstains, self._bar = abstain, SURE if bar is None else bar
        self._probabilities = predictions.probabilities
        order = np.argsort(-self._probabilities, axis=1, kind="stable")[:, :top]
        likely = np.take_along_axis(self._probabilities, order, axis=1)
        best = order[:, 0] if costs is None else cheapest(predictions, costs)
        sums = costs is None and predictions.link == "softmax"  # else nothing stands above
        names, sure = above.surest(best, self._probabilities, bar=self._bar if sums else -np.inf)
        # Lists, since one number after the other is taken from these.
        likeliest = np.array(predictions.genres, object)[order].tolist()
        self._top = [
            [{"genre": genre, "probability": share} for genre, share in zip(*one, strict=True)]
            for one in zip(likeliest, likely.round(_DIGITS).tolist(), strict=True)
        ]
        self._best, self._names, self._sure = best.tolist(), names, sure.tolist()
        self._balanced = predictions.balanced.tolist()
        self._decision = {} if costs is None else {"decision": DECISION}
        self._given = None
        if predictions.thresholds is not None:
            self._given = predictions.given & (self._probabilities >= (bar or 0))

    def of(self, bag: int) -> GenreAnswer:
        """The answer for one bag."""
        if self._given is not None:
            return self._several(bag, self._given[bag])
        best, name, sure = self._best[bag], self._names[bag], self._sure[bag]
        unsure = sure < self._bar
        silent = unsure and self._abstains
        told = self._told(bag, best, None if silent else name, sure, unsure, **self._decision)
        return GenreAnswer((name,), unsure, best, told)

    def _several(self, bag: int, given: NDArray[np.bool_]) -> GenreAnswer:
        """All genres that are given, or none."""
        genres, order = (
            self.predictions.genres,
            np.argsort(-self._probabilities[bag], kind="stable"),
        )
        names = [genres[g] for g in order if given[g]]
        best = genres.index(names[0]) if names else int(order[0])
        sure, first = float(self._probabilities[bag, best]), names[0] if names else None
        told = self._told(bag, best, first, sure, not names, genres=names)
        return GenreAnswer(tuple(names) or (genres[best],), not names, best, told)

    def _told(
        self,
        bag: int,
        best: int,
        genre: str | None,
        probability: float,
        unsure: bool,
        **more: Any,
    ) -> dict[str, Any]:
        genres, rare = self.predictions.genres, self._balanced[bag]
        return {
            "genre": genre,
            "genre_path": [] if genre is None else list(self.above.path(genre)),
            **more,
            "probability": round(probability, _DIGITS),
            "unsure": unsure,
            "if_rare": genres[rare] if rare != best else None,
            "top": self._top[bag],
        }
