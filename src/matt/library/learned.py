"""What a model has learned from, and what is said of it by networks that have not.

A model that was trained on an album knows its tag by heart, so whether the two agree says nothing.
A run keeps an answer out of fold for each such album: of a network that never saw its artists.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..predictions import Predictions


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
