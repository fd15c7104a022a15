"""Coverage: how often a classifier is right, against how often it answers.

The surest bags are answered first. As the bar sinks more bags are answered, and as a rule fewer of
them rightly. Whoever wants some accuracy reads off the bar; what is below it is left to people.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, DataError, check_arguments, in_a_line
from ..predictions import Predictions

_POINTS = 200  # of a curve that is kept with a model


@dataclass(frozen=True, eq=False)
class Coverage:
    """Accuracy of the bags that are answered, as the bar of confidence sinks.

    Attributes
    ----------
    confidence : array, shape (k,)
        Bars, falling: the probability of the most likely genre that a bag needs.
    answered : int array, shape (k,)
        Bags at or above the bar.
    right : int array, shape (k,)
        Those of them that are predicted with their genre.
    n : int
        All bags.
    """

    confidence: NDArray[np.float64]
    answered: NDArray[np.int64]
    right: NDArray[np.int64]
    n: int

    __repr__ = in_a_line

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """Share of the answered bags that are right, shape (k,)."""
        return np.asarray(self.right / self.answered)

    @property
    def share(self) -> NDArray[np.float64]:
        """Share of all bags that are answered, shape (k,)."""
        return self.answered / self.n

    def bar(self, accuracy: float) -> float:
        """Lowest confidence from which answers are right so often.

        A bar is taken only if it holds with one more answer that is wrong, for it was chosen on the
        bags that it is judged by.

        Parameters
        ----------
        accuracy : float, 0 < accuracy < 1

        Raises
        ------
        ConfigError
            If it is no such share.
        DataError
            If no bar reaches it; the message names what can be reached.

        Examples
        --------
        >>> surest_first = Coverage(np.array([0.9, 0.6]), np.array([3, 5]), np.array([3, 4]), 5)
        >>> surest_first.bar(0.75), surest_first.bar(0.6)
        (0.9, 0.6)
        """
        check_share("accuracy", accuracy)
        safe = self.right / (self.answered + 1)
        reached = np.flatnonzero(safe >= accuracy)
        if not reached.size:
            raise DataError(
                f"an accuracy of {accuracy:g} is not reached on the {self.n} validation albums, "
                f"however few are answered: {safe.max(initial=0):.2f} can be counted on at most; "
                "ask for less, or use more validation albums"
            )
        return float(self.confidence[reached[-1]])

    def to_json(self) -> dict[str, Any]:
        """Plain lists, of at most 200 points."""
        kept = np.unique(np.linspace(0, len(self.confidence) - 1, _POINTS).round().astype(int))
        return {
            "confidence": self.confidence[kept].tolist(),
            "answered": self.answered[kept].tolist(),
            "right": self.right[kept].tolist(),
            "n": self.n,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Read what `to_json` gave.

        Raises
        ------
        ValueError
            If the lists do not describe a curve.
        """
        confidence = np.array(content["confidence"], np.float64)
        answered, right = (np.array(content[name], np.int64) for name in ("answered", "right"))
        n = int(content["n"])
        if not (confidence.ndim == 1 and confidence.shape == answered.shape == right.shape):
            raise ValueError("the coverage curve has lists of different lengths")
        rising = (np.diff(confidence) < 0).all() and (np.diff(answered) > 0).all()
        counted = (answered >= 1) & (answered <= n) & (right >= 0) & (right <= answered)
        if not (rising and counted.all()):
            raise ValueError("the coverage curve is out of order")
        return cls(confidence, answered, right, n)


def coverage(predictions: Predictions) -> Coverage:
    """Coverage curve of predictions; bags of unknown genre are left out.

    Parameters
    ----------
    predictions : Predictions
        With one genre a bag, and probabilities.

    Raises
    ------
    DataError
        If a bag may have several genres, scores are no probabilities, or no genre is known.
    """
    check_arguments(predictions=(predictions, Predictions))
    if predictions.bags.multi_label:
        raise DataError(
            "a bag may have several genres here, so it is not just right or wrong; "
            "give a bar of probability instead of an accuracy"
        )
    known = predictions.bags.known
    if not known.any():
        raise DataError(f"none of {len(predictions)} bags has a known genre; label some tracks")
    return coverage_of(predictions.probabilities[known], predictions.labels[known])


def coverage_of(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> Coverage:
    """Return what `coverage` does, of probabilities (b, G) and known labels (b,)."""
    sure, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    order = np.argsort(-sure, kind="stable")
    last = np.append(np.diff(sure[order]) != 0, True)  # equally sure bags are answered together
    answered = np.arange(1, len(order) + 1)
    return Coverage(sure[order][last], answered[last], np.cumsum(right[order])[last], len(labels))


def check_share(name: str, value: object) -> None:
    """Refuse what is no number in (0, 1).

    Raises
    ------
    ConfigError
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1:
        raise ConfigError(f"{name} must be above 0 and below 1, got {value!r}; 0.8 is usual")
