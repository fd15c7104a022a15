# %% [markdown]
# # Bags inside scikit-learn
#
# Flat arrays, folds that keep artists whole, `cross_val_score` and a search over settings.
#
# The data are FMA tracks that come with the package: 140 MFCC statistics of Rock and Hip-Hop. The
# runs of an artist stand in for albums.

# %%
import numpy as np
import sklearn
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score

from matt import BagClassifier
from matt.datasets.embedded import fma_mfcc
from matt.models.settings import BaselineSettings, ModelSettings, TrainingSettings

tracks, features = fma_mfcc()
tracks = tracks.take(np.sort(np.random.default_rng(0).permutation(len(tracks))[:600]))

X = features.read(tracks.track_id)[0]  # (n, 140): one segment a track
y = np.array(tracks.genres)[tracks.labels]  # (n,): any labels will do
bags = tracks.columns["artist_run"]  # (n,): rows of equal values are one bag
artists = tracks.artist_id  # an artist on both sides would be recognised, not classified

# %% [markdown]
# With metadata routing each fold gets its part of `bags`, in training and in scoring: tracks are
# classified with their bags.

# %%
sklearn.set_config(enable_metadata_routing=True)


def routed(model):
    return model.set_fit_request(bags=True).set_score_request(bags=True)


given = {"bags": bags, "groups": artists}
models = {
    "logistic regression": BagClassifier(BaselineSettings(classifier="lr", max_iter=200)),
    "network, mean of the bag": BagClassifier(training=TrainingSettings(epochs=20)),
    "network, attention": BagClassifier(ModelSettings(pooling="dot"), TrainingSettings(epochs=20)),
}
for name, model in models.items():
    scores = cross_val_score(routed(model), X, y, cv=GroupKFold(5), params=given)
    print(f"{name:26} accuracy {scores.mean():.3f} ± {scores.std(ddof=1):.3f} over 5 folds")

# %% [markdown]
# Every setting is a parameter of its own, so it can be searched. A wrong name is told.

# %%
search = GridSearchCV(
    routed(BagClassifier(training=TrainingSettings(epochs=10))),
    {"training__lr": [1e-5, 2e-3], "model__pooling": ["mean", "dot"]},
    cv=GroupKFold(3),
)
search.fit(X, y, **given)
print(search.best_estimator_)
print(f"learning rate {search.best_params_['training__lr']}, accuracy {search.best_score_:.3f}")

try:
    BagClassifier().set_params(training__epoch=5)
except ValueError as error:
    print(error)
