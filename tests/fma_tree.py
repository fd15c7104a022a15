"""A tiny tree in FMA's format, written by hand: 9 tracks, 4 genres, all subsets and splits."""

import csv
import io

import numpy as np

from matt.features.kernels.frames import COLUMNS

TRACK_COLUMNS = [
    ("album", "comments"),
    ("album", "id"),
    ("album", "information"),
    ("album", "title"),
    ("artist", "bio"),
    ("artist", "id"),
    ("artist", "latitude"),
    ("artist", "name"),
    ("set", "split"),
    ("set", "subset"),
    ("track", "duration"),
    ("track", "genre_top"),
    ("track", "genres"),
    ("track", "genres_all"),
    ("track", "listens"),
    ("track", "title"),
]

# The bio has commas, quotes and line breaks, as those of FMA have.
BIO = 'Born in "Basel",\r\nlives, it seems,\n\nelsewhere.'
GENRES = [(21, 7, 0, "Hip-Hop", 21), (83, 2, 21, "Alternative Hip-Hop", 21), (12, 5, 0, "Rock", 12), (25, 3, 12, "Punk", 12)]  # fmt: skip

# id, album, artist, split, subset, top genre, genres, all genres; not in the order of the subsets
TRACKS = [
    (2, 1, 1, "training", "small", "Hip-Hop", [21], [21]),
    (3, 1, 1, "training", "medium", "Hip-Hop", [83], [83, 21]),
    (5, -1, 2, "test", "large", "", [21, 25], [25, 12, 21]),
    (10, 2, 3, "validation", "medium", "Rock", [25], [12, 25]),
    (20, 2, 3, "validation", "small", "Rock", [12], [12]),
    (1486, 3, 4, "test", "medium", "Rock", [12], [12]),
    (2624, 4, 5, "training", "large", "Rock", [], [12]),
    (98565, 5, 6, "training", "small", "Hip-Hop", [21], [21]),
    (155320, -1, 7, "test", "large", "", [], []),
]


def row(track):
    i, album, artist, split, subset, top, genres, all_ = track
    return [
        0, album, "", f"Album {album}" if album > 0 else "", BIO if artist == 3 else "", artist,
        "" if artist == 1 else 47.5, "NA" if artist == 2 else f"Artist {artist}", split, subset,
        30 + i % 7, top, genres, all_, i * 10, f"Title, {i}",
    ]  # fmt: skip


def features(ids=tuple(t[0] for t in TRACKS), seed=0):
    """(n, 518), no two values equal."""
    return np.random.default_rng(seed).permutation(len(ids) * 518).reshape(len(ids), 518) / 7


def text(names, index, rows, first=None):
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    levels = len(names[0])
    for level in range(levels):
        writer.writerow([(first or [""] * levels)[level], *(name[level] for name in names)])
    writer.writerow([index, *[""] * len(names)])
    writer.writerows(rows)
    return out.getvalue()


def tracks_csv(tracks=TRACKS, columns=TRACK_COLUMNS):
    keep = [TRACK_COLUMNS.index(name) for name in columns]
    rows = [[t[0], *(row(t)[k] for k in keep)] for t in tracks]
    return text(columns, "track_id", rows)


def features_csv(values=None, ids=tuple(t[0] for t in TRACKS), columns=COLUMNS):
    values = features(ids) if values is None else values
    rows = [
        [i, *("" if np.isnan(v) else repr(float(v)) for v in vs)]
        for i, vs in zip(ids, values, strict=True)
    ]
    return text(columns, "track_id", rows, ["feature", "statistics", "number"])


def genres_csv(genres=GENRES):
    lines = [",".join(map(str, g)) for g in genres]
    return "\n".join(["genre_id,#tracks,parent,title,top_level", *lines]) + "\n"


def echonest_csv():
    names = [
        ("echonest", "audio_features", "acousticness"),
        ("echonest", "audio_features", "valence"),
        ("echonest", "metadata", "artist_name"),
        *[("echonest", "temporal_features", f"{i:03d}") for i in range(5)],
    ]
    rows = [
        [3, 0.25, 0.5, "Artist, 1", *range(5)],
        [20, "", 0.75, "Artist 3", *range(5, 10)],
        [99, 0.125, 0.0, "Nobody", *range(10, 15)],
    ]
    return text(names, "track_id", rows)


def write(root, **contents):
    """Write a tree; ``features=None`` leaves a file out."""
    folder = root / "fma_metadata"
    folder.mkdir(parents=True, exist_ok=True)
    usual = {"tracks": tracks_csv, "genres": genres_csv, "features": features_csv, "echonest": echonest_csv}  # fmt: skip
    for name, make in usual.items():
        content = contents.get(name, ...)
        if content is not None:
            (folder / f"{name}.csv").write_text(make() if content is ... else content, newline="")
    return root
