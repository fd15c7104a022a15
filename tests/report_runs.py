"""Run folders as a training leaves them, made without one."""

import numpy as np
from scored import GENRES, catalogue

from matt.bags import Bags
from matt.predictions import Predictions
from matt.runs import Run
from matt.tracks import Tracks


def tracks(seed=0, *, names=None, genres=GENRES, n_bags=41):
    """Tracks of three splits, the test being a catalogue; with titles."""
    made = catalogue(seed, n_bags=n_bags, genres=genres)
    n = len(made)
    split = np.where(made.artist_id % 3, "test", "training")
    texts = names or ["plain"]
    columns = {
        name: np.array([texts[i % len(texts)] for i in range(n)])
        for name in ("title", "artist", "album")
    }
    paths = [f"music/{texts[i % len(texts)]}/{i}.flac" for i in range(n)]
    return Tracks(
        made.track_id, made.labels, genres, artist_id=made.artist_id, album_id=made.album_id,
        split=split, path=paths, columns=columns,
    )  # fmt: skip


def explained(bags, table, seed=0, skill=1.0):
    """Predictions of a linear head: logits are sums over segments, two a track."""
    rng = np.random.default_rng([seed, 2])
    n, n_genres = len(bags.track_ids), len(bags.genres)
    offsets = np.arange(0, 2 * n + 1, 2)
    logits = rng.normal(size=(2 * n, n_genres)).astype(np.float32)
    segments = np.repeat(bags.sizes, bags.sizes).repeat(2)
    hit = np.repeat(bags.labels, bags.sizes).repeat(2)[:, None] == np.arange(n_genres)
    logits += np.float32(skill) * hit
    attention = (1 / (2 * segments))[:, None].astype(np.float32)
    starts = 2 * bags.offsets[:-1]
    whole = np.add.reduceat(attention * logits, starts, axis=0).astype(np.float32)
    there = table.take(table.rows(bags.track_ids))
    return Predictions(
        bags, there, whole, segment_offsets=offsets, attention=attention, segment_logits=logits
    )


def write_run(path, table=None, *, seed=0, skill=1.0, finish=True, predicted=True, **facts):
    """A run folder of 'matt train'."""
    table = tracks() if table is None else table
    settings = {"baseline": None, "bags": "album", "training": {"lr": 0.01, "epochs": 2}}
    run = Run.create(
        path, kind="train", settings=settings | facts.pop("settings", {}), seed=seed, **facts
    )
    run.save_tracks(table)
    run.save_history(
        [
            {"epoch": e, "loss": 1 / e, "valid_loss": 2 / e, "valid_macro_f1": 1 - 1 / e}
            for e in (1, 2)
        ]
    )
    if predicted:
        bags = Bags.from_tracks(table, split="test")
        alone = Bags.from_tracks(table, by="track", split="test")
        run.save_predictions("test", explained(bags, table, seed, skill))
        run.save_predictions("test-alone", explained(alone, table, seed, skill / 2))
        run.save_predictions("control", explained(bags, table, seed + 50, skill / 2))
    if finish:
        run.finish(notes=[], untestable=[])
    return run
