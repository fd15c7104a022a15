"""Toy work for the engine of grids: importable by name, so that other processes can do it."""

import os
import signal
import sys

import numpy as np

from matt import Bags, Predictions, Tracks
from matt.comparison import Cell

N_TRACKS, GENRES = 7, ("A", "B", "C")


def cells(n, **facts):
    return [
        Cell(name=f"cell {i}", facts={"i": i, **facts}, split=i, group=f"g{i % 2}")
        for i in range(n)
    ]


def predict(seed):
    tracks = Tracks(np.arange(N_TRACKS), np.arange(N_TRACKS) % 3, GENRES)
    logits = np.random.default_rng(seed).normal(size=(N_TRACKS, 3)).astype(np.float32)
    return Predictions(Bags.from_tracks(tracks, by="track"), tracks, logits)


def work(shared, cell):
    """Note that it was done, or do what the cell is told to."""
    log, orders = shared
    order = orders.get(cell.split, "")
    if order == "wait":  # to be killed
        sys.stdout.write(f"waiting in {os.getpid()}\n")
        sys.stdout.flush()
        signal.pause()
    if order == "fail":
        raise ValueError("planted")
    if order == "die":
        os._exit(3)
    with open(log, "a") as file:
        file.write(f"{cell.split}\n")
    return {"validation": predict(cell.split), "test": predict(100 + cell.split)}


def done(log):
    """Which cells were done, in order."""
    return [int(line) for line in log.read_text().split()] if log.exists() else []
