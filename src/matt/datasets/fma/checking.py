"""Known counts of FMA, compared with what is found: is this the data that papers speak of?

The expected counts are those of FMA's own analysis and, for bags, of the MATT paper's released
notebooks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...bags import Bags
from ...tracks import SPLITS, Tracks
from .indexing import open_index
from .loading import load_tracks

N_TRACKS = 106_574
N_SUBSETS = {"small": 8_000, "medium": 25_000, "large": N_TRACKS}
SPLIT_SIZES = {
    "small": (6_400, 800, 800),
    "medium": (19_922, 2_505, 2_573),
    "large": (84_353, 10_958, 11_263),
}
MEDIUM_GENRES = {
    "Blues": (58, 8, 8),
    "Classical": (495, 62, 62),
    "Country": (142, 18, 18),
    "Easy Listening": (13, 2, 6),
    "Electronic": (5050, 632, 632),
    "Experimental": (1801, 225, 225),
    "Folk": (1215, 152, 152),
    "Hip-Hop": (1761, 220, 220),
    "Instrumental": (1045, 131, 174),
    "International": (814, 102, 102),
    "Jazz": (306, 39, 39),
    "Old-Time / Historic": (408, 51, 51),
    "Pop": (945, 122, 119),
    "Rock": (5681, 711, 711),
    "Soul-RnB": (94, 18, 42),
    "Spoken": (94, 12, 12),
}
"""Tracks of FMA-medium in training, validation and test."""

TEST_BAGS, TRAINING_BAGS = 750, (6_000, 6_999)
TAILS = {100: 68, 200: 86}
TYPED_TAIL = ("Easy Listening", "International", "Blues", "Spoken", "Soul-RnB")
"""Genres below 100 training tracks as the released code names them; one of them has 814."""
TYPED_TAILS = {100: (TYPED_TAIL, 170), 200: ((*TYPED_TAIL, "Country"), 188)}


@dataclass(frozen=True)
class Line:
    """One count.

    Attributes
    ----------
    what : str
    expected, found : str
        As people read them.
    ok : bool
    """

    what: str
    expected: str
    found: str
    ok: bool

    @property
    def verdict(self) -> str:
        """``"ok"`` or ``"differs"``."""
        return "ok" if self.ok else "differs"

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary."""
        return {
            "what": self.what,
            "expected": self.expected,
            "found": self.found,
            "verdict": self.verdict,
        }


def check(directory: Path | str) -> tuple[Line, ...]:
    """Compare the indexed tables with the known counts of FMA.

    Parameters
    ----------
    directory : path
        As in `load_tracks`.

    Raises
    ------
    DataError
        If there is no index, or a CSV has changed since.
    """
    counts = open_index(directory).counts
    everything = load_tracks(directory, "full", columns=("genre_top", "subset"))
    medium = everything.take(everything.columns["subset"] != "large")
    medium = medium.with_genres([g for g, n in zip(medium.genres, medium.counts, strict=True) if n])
    lines = [_equal("tracks", N_TRACKS, len(everything))]
    lines += [_equal(f"tracks of FMA-{name}", n, counts[name]) for name, n in N_SUBSETS.items()]
    if "with features" in counts:
        lines.append(_equal("tracks with features", N_TRACKS, counts["with features"]))
    for subset, sizes in SPLIT_SIZES.items():
        part = everything if subset == "large" else _subset(everything, subset)
        lines += _split_lines(subset, part, sizes)
    return (*lines, *_genre_lines(medium), *_bag_lines(medium), *_artist_lines(medium, everything))


def _subset(tracks: Tracks, name: str) -> Tracks:
    held = ("small",) if name == "small" else ("small", "medium")
    return tracks.take(np.isin(tracks.columns["subset"], held))


def _split_lines(subset: str, tracks: Tracks, sizes: tuple[int, ...]) -> Iterator[Line]:
    for split, expected in zip(SPLITS, sizes, strict=True):
        found = int((tracks.split == split).sum())
        yield _equal(f"FMA-{subset}, {split}", expected, found)


def _genre_lines(medium: Tracks) -> Iterator[Line]:
    for genre, expected in MEDIUM_GENRES.items():
        found: tuple[int, ...] = (0, 0, 0)
        if genre in medium.genres:
            ours = medium.labels == medium.genres.index(genre)
            found = tuple(int((ours & (medium.split == split)).sum()) for split in SPLITS)
        yield Line(
            f"FMA-medium, {genre}: total = training / validation / test",
            _split_up(expected),
            _split_up(found),
            expected == found,
        )
    others = sorted(set(medium.genres) - set(MEDIUM_GENRES))
    yield Line("FMA-medium, other genres", "none", ", ".join(others) or "none", not others)
    yield _equal("FMA-medium, tracks without a genre", 0, int((~medium.labelled).sum()))


def _bag_lines(medium: Tracks) -> Iterator[Line]:
    tests, training = (medium.take(medium.split == name) for name in ("test", "training"))
    found = len(Bags.from_tracks(tests)) if len(tests) else 0
    yield _equal("FMA-medium, test bags (album, artist)", TEST_BAGS, found)
    key = ("album_id", "artist_id", "genre_top")
    found = len(Bags.from_tracks(training, by=key)) if len(training) else 0
    low, high = TRAINING_BAGS
    yield Line(
        "FMA-medium, training bags (album, artist, genre)",
        f"{low:,} to {high:,}",
        f"{found:,}",
        low <= found <= high,
    )
    for fewer, expected in TAILS.items():
        rare = medium.train_counts < fewer
        n = int(rare[tests.labels[tests.labelled]].sum())
        yield _equal(f"test tracks of genres below {fewer} training tracks", expected, n)
    for fewer, (names, expected) in TYPED_TAILS.items():
        typed = np.isin(np.array(medium.genres, np.str_), names)
        n = int(typed[tests.labels[tests.labelled]].sum())
        yield _equal(
            f"test tracks of the genres typed in as below {fewer} (fault typed_tail)", expected, n
        )


def _artist_lines(medium: Tracks, everything: Tracks) -> Iterator[Line]:
    for name, tracks in (("FMA-medium", medium), ("all tracks", everything)):
        known = tracks.artist_id >= 0
        columns = (tracks.artist_id[known].tolist(), tracks.split[known].tolist())
        splits = Counter(artist for artist, _ in set(zip(*columns, strict=True)))
        crossing = sum(n > 1 for n in splits.values())
        yield _equal(f"{name}, artists in more than one split", 0, crossing)


def _equal(what: str, expected: int, found: int) -> Line:
    return Line(what, f"{expected:,}", f"{found:,}", expected == found)


def _split_up(counts: tuple[int, ...]) -> str:
    return f"{sum(counts):,} = " + " / ".join(f"{n:,}" for n in counts)
