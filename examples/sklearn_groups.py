"""Bags inside scikit-learn: flat arrays, folds that keep artists whole, `cross_val_score`.

The data are the FMA tracks that come with the package: 140 MFCC statistics of Rock and Hip-Hop.
The runs of an artist stand in for albums. Run it with

    python examples/sklearn_groups.py
"""

import numpy as np
import sklearn
from sklearn.model_selection import GroupKFold, cross_val_score

from matt import BagClassifier
from matt.datasets.embedded import fma_mfcc
from matt.models.settings import BaselineSettings, ModelSettings, TrainingSettings

N_TRACKS = 600  # of 1,975, so that it takes seconds

MODELS = {
    "logistic regression": BagClassifier(BaselineSettings(classifier="lr", max_iter=200)),
    "network, mean of the bag": BagClassifier(training=TrainingSettings(epochs=20)),
    "network, attention": BagClassifier(ModelSettings(pooling="dot"), TrainingSettings(epochs=20)),
}


def main() -> None:
    """Print the accuracy of each model over five folds, tracks classified with their bags."""
    tracks, features = fma_mfcc()
    some = np.sort(np.random.default_rng(0).permutation(len(tracks))[:N_TRACKS])
    tracks = tracks.take(some)

    X = features.read(tracks.track_id)[0]  # (n, 140): one segment a track
    y = np.array(tracks.genres)[tracks.labels]  # (n,): any labels will do
    bags = tracks.columns["artist_run"]  # (n,): rows of equal values are one bag
    artists = tracks.artist_id  # an artist on both sides would be recognised, not classified

    # With routing each fold gets its part of `bags`, in training and in scoring.
    with sklearn.config_context(enable_metadata_routing=True):
        for name, model in MODELS.items():
            routed = model.set_fit_request(bags=True).set_score_request(bags=True)
            scores = cross_val_score(
                routed, X, y, cv=GroupKFold(5), params={"bags": bags, "groups": artists}
            )
            print(f"{name:26} accuracy {scores.mean():.3f} ± {scores.std(ddof=1):.3f} over 5 folds")


if __name__ == "__main__":
    main()
