"""Answers: what is said of each album, made of probabilities, a bar, costs and a vocabulary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..calibration.costs import DECISION, cheapest
from ..predictions import Predictions
from .status import SURE, Above


@dataclass(frozen=True)
class Answer:
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
        self._abstains, self._bar, self._top = abstain, SURE if bar is None else bar, top
        self._probabilities, self._balanced = predictions.probabilities, predictions.balanced
        self._costly = None if costs is None else cheapest(predictions, costs)
        self._given = None
        if predictions.thresholds is not None:
            self._given = predictions.given & (self._probabilities >= (bar or 0))

    def of(self, bag: int) -> Answer:
        """The answer for one bag."""
        probabilities = self._probabilities[bag]
        order = np.argsort(-probabilities, kind="stable")
        if self._given is not None:
            return self._several(bag, order, self._given[bag])
        best = int(order[0] if self._costly is None else self._costly[bag])
        name, sure = self.predictions.genres[best], float(probabilities[best])
        if self._costly is None and self.predictions.link == "softmax":
            name, sure = self.above.surest(best, probabilities, bar=self._bar)
        unsure = sure < self._bar
        silent = unsure and self._abstains
        decision = {} if self._costly is None else {"decision": DECISION}
        told = self._told(bag, order, best, None if silent else name, sure, unsure, **decision)
        return Answer((name,), unsure, best, told)

    def _several(self, bag: int, order: NDArray[np.int64], given: NDArray[np.bool_]) -> Answer:
        """All genres that are given, or none."""
        chosen, genres = order[given[order]], self.predictions.genres
        best = int(chosen[0] if chosen.size else order[0])
        names = [genres[g] for g in chosen]
        sure = float(self._probabilities[bag, best])
        first = names[0] if names else None
        told = self._told(bag, order, best, first, sure, not names, genres=names)
        return Answer(tuple(names) or (genres[best],), not names, best, told)

    def _told(
        self,
        bag: int,
        order: NDArray[np.int64],
        best: int,
        genre: str | None,
        probability: float,
        unsure: bool,
        **more: Any,
    ) -> dict[str, Any]:
        genres, rare = self.predictions.genres, int(self._balanced[bag])
        return {
            "genre": genre,
            "genre_path": [] if genre is None else list(self.above.vocabulary.path(genre)),
            **more,
            "probability": round(probability, 4),
            "unsure": unsure,
            "if_rare": genres[rare] if rare != best else None,
            "top": [
                {"genre": genres[g], "probability": round(float(self._probabilities[bag, g]), 4)}
                for g in order[: self._top]
            ],
        }
