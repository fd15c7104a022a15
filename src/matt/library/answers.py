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
    probability : float
        Of the first.
    unsure : bool
        Whether that is below the bar.
    best : int
        Place of the first genre, or of that below it which brought it, among the model's.
    """

    genres: tuple[str, ...]
    probability: float
    unsure: bool
    best: int


class Answers:
    """What is said of each bag of predictions.

    Parameters
    ----------
    predictions : Predictions
    above : Above
        What stands above the genres of the predictions.
    bar : float, optional
        An answer of less probability is unsure, and names no genre. By default it is one half, and
        an unsure answer names one all the same.
    costs : array, shape (G, G), optional
        See `matt.calibration.costs`: the answer is then the one of least expected cost.
    """

    def __init__(
        self,
        predictions: Predictions,
        above: Above,
        *,
        bar: float | None = None,
        costs: NDArray[np.float64] | None = None,
    ) -> None:
        self.predictions, self.above, self.abstains = predictions, above, bar is not None
        self._bar = SURE if bar is None else bar
        self._probabilities, self._balanced = predictions.probabilities, predictions.balanced
        self._costly = None if costs is None else cheapest(predictions, costs)
        self._given = None
        if predictions.thresholds is not None:
            self._given = predictions.given & (self._probabilities >= (bar or 0))

    def of(self, bag: int) -> Answer:
        """The answer for one bag."""
        probabilities, genres = self._probabilities[bag], self.predictions.genres
        order = np.argsort(-probabilities, kind="stable")
        if self._given is not None:
            chosen = order[self._given[bag][order]]
            best = int(order[0] if not chosen.size else chosen[0])
            names = tuple(genres[g] for g in chosen) or (genres[best],)
            return Answer(names, float(probabilities[best]), not chosen.size, best)
        best = int(order[0] if self._costly is None else self._costly[bag])
        name, sure = genres[best], float(probabilities[best])
        if self._costly is None and self.predictions.link == "softmax":
            name, sure = self.above.surest(best, probabilities, bar=self._bar)
        return Answer((name,), sure, sure < self._bar, best)

    def told(self, bag: int, answer: Answer, top: int) -> dict[str, Any]:
        """The answer as keys of a row, with the genres that are most likely."""
        genres, probabilities = self.predictions.genres, self._probabilities[bag]
        several = self._given is not None
        silent = answer.unsure and (self.abstains or several)
        genre = None if silent else answer.genres[0]
        rare = int(self._balanced[bag])
        order = np.argsort(-probabilities, kind="stable")[:top]
        return {
            "genre": genre,
            "genre_path": [] if genre is None else list(self.above.vocabulary.path(genre)),
            **({"genres": [] if silent else list(answer.genres)} if several else {}),
            **({} if self._costly is None else {"decision": DECISION}),
            "probability": round(answer.probability, 4),
            "unsure": answer.unsure,
            "if_rare": genres[rare] if rare != answer.best else None,
            "top": [
                {"genre": genres[g], "probability": round(float(probabilities[g]), 4)}
                for g in order
            ],
        }
