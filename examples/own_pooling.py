# %% [markdown]
# # A pooling of your own
#
# How much each track of an album counts is the work of a *pooling*: a small module that gives every
# segment a score for every genre. A softmax over the album makes attention of the scores. This one
# compares directions: a learned query for each genre, and the cosine between it and the embedding.

# %%
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.functional import normalize

from matt import Bags, ConfigError, NeuralClassifier, splits
from matt.datasets.embedded import fma_mfcc
from matt.evaluation.contrast import contrast
from matt.models import register
from matt.models.pooling import Pooling
from matt.models.settings import ModelSettings, TrainingSettings
from matt.settings import Checked, Positive
from matt.testing import check_pooling


@dataclass(frozen=True, kw_only=True)
class CosineSettings(Checked):
    """Settings of its own, beside those that every network has."""

    sharpness: Positive = 4.0
    """Factor of the cosines: how unequal the attention of two segments can be."""


@register("pooling", "cosine", settings=CosineSettings)
class Cosine(Pooling):
    """One query a genre; a segment counts by its direction, however long its embedding is."""

    def __init__(self, embedding_dim: int, n_genres: int, settings: CosineSettings) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(n_genres, embedding_dim))
        self.sharpness = settings.sharpness

    def forward(self, h: torch.Tensor) -> torch.Tensor:  # (N, D) -> scores (N, G)
        return self.sharpness * normalize(h) @ normalize(self.queries).T


# %% [markdown]
# ## Is it one?
#
# `check_pooling` holds it to what every pooling promises: attention sums to 1, albums do not see
# each other, the order of tracks does not matter, every parameter learns, and more. It says which
# promise is broken; silence is good.

# %%
check_pooling(Cosine, settings=CosineSettings(sharpness=2.0))


@register("pooling", "careless")
class Careless(Pooling):
    """What goes wrong often: this one looks at the whole batch."""

    def __init__(self, embedding_dim: int, n_genres: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.ones(embedding_dim, 1))

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        return (h - h.mean(0)).abs() @ self.query


try:
    check_pooling(Careless)
except AssertionError as broken:
    print(broken)

# %% [markdown]
# ## Use it by its name
#
# Settings know it now: in Python as here, in TOML files and in grids. A mistake is told.

# %%
cosine = ModelSettings(pooling="cosine", pooling_settings=CosineSettings(sharpness=8.0))
try:
    ModelSettings(pooling="cosinus")
except ConfigError as error:
    print(error)

# %% [markdown]
# ## Does it help?
#
# Rock and Hip-Hop of the FMA tracks that come with the package; the runs of an artist stand in for
# albums. The control is a model of lone tracks, averaged over each album.

# %%
tracks, features = fma_mfcc()
some = tracks.take(np.sort(np.random.default_rng(0).permutation(len(tracks))[:600]))
tracks = splits.by_artist(some, validation=0.15, test=0.3, seed=1)


def bags(split: str, by: str = "artist_run") -> Bags:
    """Bags of one split."""
    return Bags.from_tracks(tracks, by=by, split=split)


def fitted(settings: ModelSettings, by: str = "artist_run") -> NeuralClassifier:
    """Network that has learned from the bags of the training split."""
    model = NeuralClassifier(settings, TrainingSettings(epochs=30, seed=1))
    return model.fit(features, bags("training", by), valid=bags("validation", by))


model, test = fitted(cosine), bags("test")
lone = fitted(ModelSettings(), "track").predict(features, tracks, bags("test", "track"))
made = {
    "control": lone.average_over(test),
    "mean": fitted(ModelSettings()).predict(features, tracks, test),
    "cosine": model.predict(features, tracks, test),
}
for row in contrast(made, baseline="control", rounds=500):
    low, high = row.scores.intervals["macro_f1"]
    print(f"{row.name:8} macro-F1 {row.scores.macro_f1:.2f} ({low:.2f} to {high:.2f})")

# %% [markdown]
# Here it does not: the intervals are much the same. With `matt compare --grid` it would be told on
# many splits, each beside its control.
#
# ## What does it look at?
#
# `embed` gives the attention as an array. Its perplexity is the number of tracks that an album is
# heard by: as many as it has where all count alike, 1 where a single one decides.

# %%
inside = model.embed(features, tracks, test)
a, starts = inside.attention, inside.bag_offsets[:-1]
heard = np.exp(np.add.reduceat(-a * np.log(a), starts))  # (b, G)
large = test.sizes >= 4
for genre, number in zip(test.genres, heard[large].mean(axis=0), strict=True):
    print(f"{genre:8} hears {number:.1f} of {test.sizes[large].mean():.1f} tracks")
