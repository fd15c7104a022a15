"""Draw docs/images/bag.png and workflow.png: real bags of the tracks inside the package.

python tools/draw_method.py
"""

import sys
from pathlib import Path

import numpy as np

from matt import Bags, splits
from matt.datasets.embedded import fma_mfcc
from matt.evaluation import style
from matt.models.neural import NeuralClassifier
from matt.models.settings import ModelSettings, TrainingSettings
from matt.reproduce.drawings import Album, bag_example, workflow

SIZES = (5, 3, 1)  # tracks of the bags of the example
CHOSEN = (0, 2, 4)  # of the bags of that size, so that both genres are there
BAG = 5  # tracks of the bag of the workflow


def main() -> None:
    """Draw both."""
    images = Path(__file__).parents[1] / "docs/images"
    tracks, features = fma_mfcc()
    tracks = splits.by_artist(tracks, seed=0)
    everything, _ = features.read(tracks.track_id)
    values = (everything - everything.mean(axis=0)) / everything.std(axis=0)
    bags = Bags.from_tracks(tracks, by="artist_run", split="test")
    albums = []
    for size, place in zip(SIZES, CHOSEN, strict=True):
        bag = np.flatnonzero(bags.sizes == size)[place]
        rows = tracks.rows(bags.take([bag]).track_ids)
        there = tracks.take(rows)
        albums.append(
            Album(
                title=f"{there.columns['artist'][0]} (artist {there.artist_id[0]})",
                tracks=[
                    f"{n}  {title}"
                    for n, title in zip(there.track_id, there.columns["title"], strict=True)
                ],
                values=values[rows],
                genre=tracks.genres[bags.labels[bag]],
                genres=[tracks.genres[label] for label in there.labels],
            )
        )
    style.save(bag_example(albums), images / "bag.png")
    settings = ModelSettings(pooling="dot", spread=False)  # attention times logits is all there is
    network = NeuralClassifier(settings, TrainingSettings(epochs=60))
    train = Bags.from_tracks(tracks, by="artist_run", split="training")
    valid = Bags.from_tracks(tracks, by="artist_run", split="validation")
    network.fit(features, train, valid=valid)
    some = bags.take(np.flatnonzero(bags.sizes == BAG))
    made = network.predict(features, tracks, some, explain=True)
    # The bag whose attention differs most between its tracks: the others would show less.
    spread = [made.attention[i * BAG : (i + 1) * BAG].max() for i in range(len(some))]
    bag = some.take([int(np.argmax(spread))])
    found = network.predict(features, tracks, bag, explain=True)
    there = tracks.take(tracks.rows(bag.track_ids))
    figure = workflow(
        found,
        values[tracks.rows(bag.track_ids)],
        title=f"{there.columns['artist'][0]}, {BAG} tracks, {tracks.genres[bag.labels[0]]}",
        encoder="128 ReLU",
    )
    style.save(figure, images / "workflow.png")
    sys.stdout.write(f"{images / 'bag.png'}\n{images / 'workflow.png'}\n")


if __name__ == "__main__":
    main()
