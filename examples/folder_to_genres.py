# %% [markdown]
# # A folder to genres
#
# You have a folder of music with tags, some of which carry a genre. Here is how the others get one,
# step by step in Python; `matt train` and `matt predict` do the same in two commands.
#
# The music here is synthetic, so that the example runs anywhere; put your own folder in its place.
# Extraction starts processes, which read a script again: so what works stands under
# `if __name__ == "__main__":`. In a notebook that changes nothing.

# %%
import tempfile
from pathlib import Path

import numpy as np

from matt import Bags, FeatureSpec, FeatureStore, NeuralClassifier, splits
from matt.datasets.folder import scan
from matt.datasets.synthetic import write_library
from matt.evaluation.scores import score
from matt.features.extract import extract
from matt.library.predict import predict_library
from matt.models.settings import TrainingSettings

if __name__ == "__main__":
    folder = Path(tempfile.mkdtemp())
    music = folder / "music"
    write_library(music, tracks=80, difficulty=0.0, seconds=(1.0, 1.5), workers=1)

# %% [markdown]
# ## Look
#
# A scan reads tags, not sound. Files that cannot be used are listed, and cost themselves only.

# %%
if __name__ == "__main__":
    found = scan(music)
    print(found.tracks)
    print(len(found.problems), "files with problems")

# %% [markdown]
# ## Listen
#
# Each file is decoded once, in processes of their own; values are kept in a store. What is there
# already is not computed again, so this can be interrupted at any time.

# %%
if __name__ == "__main__":
    report = extract(found.tracks, FeatureSpec.summary(), folder / "store", workers=2)
    features = FeatureStore.open(folder / "store")
    print(features)

# %% [markdown]
# ## Learn
#
# From the albums whose genre is known, with some artists kept aside to see what the model is worth.

# %%
if __name__ == "__main__":
    heard = found.tracks.take(np.isin(found.tracks.track_id, features.track_ids))
    tracks = splits.by_artist(heard, validation=0.0, test=0.3, seed=2)
    learned = Bags.from_tracks(tracks, by="album", split="training").labelled()
    model = NeuralClassifier(training=TrainingSettings(epochs=40)).fit(features, learned)
    print(model)
    test = Bags.from_tracks(tracks, by="album", split="test")
    print(score(model.predict(features, tracks, test)))
    model.save(folder / "model")

# %% [markdown]
# ## Predict
#
# Every album of the folder, those without a genre tag included. The model knows which features it
# needs, so a saved model and a folder are enough.

# %%
if __name__ == "__main__":
    done = predict_library(found, model, folder / "store", workers=2)
    said = done.predictions
    frame = said.to_pandas()
    print(said)
    print(frame[frame["bag_label"].isna()][["n_tracks", "best"]].to_string())
