"""The shipped tagger: genres without training, from the tags of musicnn.

Each segment of 3 s gets a probability of every tag. The mean over the segments of a track, then
over the tracks of a bag, is the bag's; there is no attention, as none was ever trained for it. A
genre has the probability of the likeliest of its tags (``tagger.toml`` says which these are), and
what is predicted is its share of the sum over all genres. A share is no calibrated probability: the
tags were given by listeners, several at a time.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..bags import Bags
from ..calibration.priors import Prior
from ..errors import ConfigError, DataError
from ..features.kernels.musicnn import TAGS
from ..features.spec import N_TAGS, FeatureSpec
from ..features.store import FeatureStore
from ..predictions import Predictions, probabilities_of
from ..tracks import Tracks
from .arrays import parts_of, segment_counts, segment_sum
from .saving import (
    MODEL,
    Fitted,
    described,
    read_model,
    read_weights,
    readied,
    restore,
    telling_damage,
    write_model,
)

ASPECTS = ("mood", "decade", "voice")
_LEAST = 1e-6  # probability of a tag, below which nothing follows
_AT_ONCE = 2**16  # segments


@cache
def _words() -> dict[str, Any]:
    """Content of ``tagger.toml``, and which rows of `TAGS` each name stands for."""
    found = tomllib.loads(resources.files(__package__).joinpath("tagger.toml").read_text("utf-8"))
    rows = {tag: row for row, tag in enumerate(TAGS)}
    return found | {
        part: {name: [rows[tag] for tag in tags] for name, tags in found[part].items()}
        for part in ("genres", *ASPECTS)
    }


class Tagger(Fitted):
    """Classifier of bags that comes with the package; see the module.

    Attributes
    ----------
    genres, train_counts, spec, prior, coverage, notes
        As in `GenreClassifier`; it was trained on no tracks of anybody's table, so counts are 0.
    bar : float
        Albums whose likeliest genre has a smaller share are better left unsure.

    Examples
    --------
    >>> Tagger()
    Tagger(17 genres from the tags of musicnn)
    """

    def __init__(self) -> None:
        super().__init__()
        self.genres = tuple(_words()["genres"])
        self.train_counts = np.zeros(len(self.genres), np.int64)
        self.spec = FeatureSpec.musicnn()
        self.bar = float(_words()["bar"])

    def __repr__(self) -> str:
        return f"Tagger({len(self.genres)} genres from the tags of musicnn)"

    def fit(
        self,
        features: FeatureStore,
        bags: Bags,
        *,
        valid: Bags | None = None,
        progress: Callable[[Mapping[str, float]], None] | None = None,
    ) -> Self:
        """Refuse: it comes trained.

        Raises
        ------
        ConfigError
        """
        raise ConfigError(
            "the shipped tagger cannot be trained; train a model of your own with 'matt train', or "
            "in Python a NeuralClassifier, on features of kind musicnn if you like"
        )

    def predict(
        self, features: FeatureStore, tracks: Tracks, bags: Bags, *, prior: Prior | None = None
    ) -> Predictions:
        """Predict bags: the mean over segments, then over tracks.

        Parameters
        ----------
        features, tracks, bags
            As in `GenreClassifier.predict`; the features are of kind musicnn, of either layer and
            any segments.
        prior : optional
            There is none to replace.

        Raises
        ------
        ConfigError
            If a prior is given.
        """
        check_asked(prior=prior)
        return self._said(features, tracks, bags)[0]

    def tell(
        self, features: FeatureStore, tracks: Tracks, bags: Bags
    ) -> tuple[Predictions, list[dict[str, str | None]]]:
        """Predict bags, and what else is heard in each: mood, decade, voice, or None.

        Parameters
        ----------
        features, tracks, bags
            As in `predict`.
        """
        said, heard = self._said(features, tracks, bags)
        told: list[dict[str, str | None]] = [{} for _ in range(len(bags))]
        for aspect in ASPECTS:
            names, found = list(_words()[aspect]), _likeliest(heard, aspect)
            for row, best, share in zip(told, found.argmax(1), found.max(1), strict=True):
                row[aspect] = names[best] if share >= _words()["named"] else None
        return said, told

    def _said(
        self, features: FeatureStore, tracks: Tracks, bags: Bags
    ) -> tuple[Predictions, NDArray[np.float64]]:
        rows, known = readied(self._reading(features), self.genres, features, tracks, bags)
        heard = _heard(features, bags)
        logits = np.log(np.maximum(_likeliest(heard, "genres"), _LEAST))
        return Predictions(known, rows, logits.astype(np.float32), self.link), heard

    def _reading(self, features: FeatureStore) -> Fitted:
        """The same for features of other segments or the other layer: their tags mean the same."""
        if features.spec.kind != "musicnn":
            return self
        other = Tagger()
        other.spec = features.spec
        return other

    def save(self, path: Path | str) -> None:
        """Write a model folder, which says that the tagger is meant."""
        spec = FeatureSpec.musicnn()
        write_model(path, "tagger", described(self, spec, {}), {})

    @classmethod
    def load(cls, path: Path | str) -> Tagger:
        """Read what `save` wrote.

        Raises
        ------
        DataError
            If it is another kind of model, damaged, or of another tagger.
        """
        content = read_model(path, kind="tagger")
        found, ours = Fitted(), cls()
        read_weights(path, content)  # of which there are none
        with telling_damage(Path(path) / MODEL):
            restore(found, content, links=("softmax",))
            if (found.genres, found.spec) != (ours.genres, ours.spec):
                raise DataError("it is another tagger than that of this version")
        return ours


def _heard(features: FeatureStore, bags: Bags) -> NDArray[np.float64]:
    """Probability of each of the `TAGS` in each bag, shape (b, 50)."""
    counts = segment_counts(features, bags.track_ids)
    per_track = np.empty((len(counts), N_TAGS))
    for part in parts_of(counts, most=_AT_ONCE):
        values, offsets = features.read(bags.track_ids[part])
        tags = probabilities_of(values[:, -N_TAGS:], "sigmoid")
        per_track[part] = segment_sum(tags, offsets) / counts[part, None]
    return segment_sum(per_track, bags.offsets) / bags.sizes[:, None]


def _likeliest(heard: NDArray[np.float64], part: str) -> NDArray[np.float64]:
    """Probability of the likeliest tag of each name, (b, 50) -> (b, names)."""
    return np.stack([heard[:, those].max(axis=1) for those in _words()[part].values()], axis=1)


def check_asked(**asked: Any) -> None:
    """Refuse what cannot be asked of shares that are no calibrated probabilities.

    Parameters
    ----------
    **asked
        ``prior``, ``accuracy``, ``cost``; None where it is not.

    Raises
    ------
    ConfigError
    """
    for name, value in asked.items():
        if value is not None:
            raise ConfigError(
                f"{name} is about calibrated probabilities, and the shipped tagger gives shares of "
                "what it hears, see 'matt model card'; leave it out, or train a model of your own"
            )


def card() -> str:
    """The model card, in Markdown."""
    return resources.files(__package__).joinpath("tagger.md").read_text("utf-8")
