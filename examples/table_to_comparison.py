# %% [markdown]
# # A table of your own to a comparison
#
# You have a table with one row a track: who recorded it, its genre, and numbers that describe its
# sound. Which model makes the most of it, and does it help to know which tracks belong together?
#
# The table here is written from the FMA tracks that come with the package, so that the example runs
# anywhere; yours takes its place.

# %%
import csv
import tempfile
from pathlib import Path

import numpy as np

from matt import Bags, BaselineClassifier, NeuralClassifier, splits
from matt.datasets import table
from matt.datasets.audit import audit
from matt.datasets.embedded import fma_mfcc
from matt.evaluation.contrast import contrast
from matt.models.settings import BaselineSettings, ModelSettings, TrainingSettings

folder = Path(tempfile.mkdtemp())
fma, sounds = fma_mfcc()
values = sounds.read(fma.track_id)[0]
with open(folder / "mine.csv", "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["song", "singer", "record", "style", *(f"mfcc_{i}" for i in range(140))])
    for row in np.sort(np.random.default_rng(0).permutation(len(fma))[:600]):
        style = fma.genres[fma.labels[row]]
        record = fma.columns["artist_run"][row]
        writer.writerow([fma.track_id[row], fma.artist_id[row], record, style, *values[row]])

# %% [markdown]
# ## Read it
#
# Settings say which column is what (a TOML file with the same names does, too). A track needs an
# id; everything else may be missing.

# %%
mine = table.read(
    table.TableSettings(
        table="mine.csv",
        track="song",
        artist="singer",
        album="record",
        genre="style",
        features=("mfcc_*",),
        name="mfcc",
    ),
    folder,
)
print(mine.tracks)
print(mine.features)

# %% [markdown]
# ## Split it by artist
#
# Songs of one artist sound alike, so no artist may be on both sides. The audit looks for what still
# crosses; here it has nothing to say.

# %%
tracks = splits.by_artist(mine.tracks, validation=0.15, test=0.3, seed=1)
print(tracks)
print(audit(tracks, features=mine.features).warnings() or "no warnings")

# %% [markdown]
# ## Fit some models
#
# Each learns from bags: the tracks of an album by an artist, or tracks alone. `valid` chooses the
# best epoch, on artists of its own.

# %%
parts = ("training", "validation", "test")
albums = {part: Bags.from_tracks(tracks, by="album", split=part) for part in parts}
alone = {part: Bags.from_tracks(tracks, by="track", split=part) for part in parts}
print(albums["training"])

training = TrainingSettings(epochs=30, seed=1)
track_model = NeuralClassifier(training=training)
mean = NeuralClassifier(training=training)
attention = NeuralClassifier(ModelSettings(pooling="dot"), training)
logistic = BaselineClassifier(BaselineSettings(classifier="lr", max_iter=500))
track_model.fit(mine.features, alone["training"], valid=alone["validation"])
for model in (mean, attention, logistic):
    model.fit(mine.features, albums["training"], valid=albums["validation"])
print(attention)

# %% [markdown]
# ## Compare them
#
# A model of albums has to beat the *control*: the track model, its probabilities averaged over each
# album. Each track is scored under its own label, with the prediction of its album, and intervals
# come from artists drawn again.

# %%
test = albums["test"]
made = {
    "control": track_model.predict(mine.features, tracks, alone["test"]).average_over(test),
    "mean": mean.predict(mine.features, tracks, test),
    "attention": attention.predict(mine.features, tracks, test),
    "logistic regression": logistic.predict(mine.features, tracks, test),
}
for row in contrast(made, baseline="control", rounds=500):
    low, high = row.scores.intervals["macro_f1"]
    print(f"{row.rank}. {row.name:20} macro-F1 {row.scores.macro_f1:.2f} ({low:.2f} to {high:.2f})")

# %% [markdown]
# The intervals overlap: 200 tracks do not tell these models apart. With `matt compare --grid` the
# same is done over many splits.
#
# ## Look closer
#
# Predictions are a table of pandas when you want one: here are the largest albums. And a network
# can be looked into: which track of the largest album counted most for Rock?

# %%
said = made["attention"]
frame = said.to_pandas().sort_values("n_tracks", ascending=False, kind="stable")
print(frame.head(3)[["n_tracks", "bag_label", "best", "probability.Rock"]].round(2).to_string())

inside = attention.embed(mine.features, tracks, test)
print(inside)
largest = int(frame["bag"].iloc[0])
segments = slice(inside.bag_offsets[largest], inside.bag_offsets[largest + 1])  # one a track here
counted = inside.attention[segments, said.genres.index("Rock")]
most = said.tracks.track_id[segments][counted.argmax()]
print(f"song {most}: attention {counted.max():.3f}, the mean being {1 / len(counted):.3f}")
