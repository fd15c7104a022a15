"""Known counts of FMA, compared with what is found: is this the data that papers speak of?

The expected counts are those of FMA's own analysis and, for bags, of the MATT paper's released
notebooks.

Verdicts file by file rest on the lists of SHA-1 sums that FMA's archives carry along.

``known_faults.csv`` lists what is known to be wrong with clips of the published archives, by id:

============== ==== ==================================================================== ==========
kind           n    what                                                                 by default
============== ==== ==================================================================== ==========
``no audio``   15   cut behind the end of the track, because FMA's metadata states a     left out
                    length that the track does not have; all in FMA-medium, 13 / 1 / 1
                    in training, validation and test
``short clip`` 6    0.5 to 27.4 s for the same reason; all in FMA-medium                 left out
``doubtful``   147  somebody could not open them although their sums are right; none in  kept
                    FMA-medium
============== ==== ==================================================================== ==========

Sources: ``wiki``, the errata of FMA's authors (github.com/mdeff/fma/wiki), with the lengths of
github.com/mdeff/fma/issues/8; ``length``, the same cut computed from those lengths (from half the
stated length less 15 s, for 30 s); ``issue 49`` (github.com/mdeff/fma/issues/49). The counts 13 / 1
/ 1 agree with others who decoded FMA-medium and were left with 19,909 / 2,504 / 2,572 clips.

The whole tracks of fma_full are not concerned, nor are the features that FMA computed from them.

Exact duplicates have no published list. Among the 106,574 files of fma_full there are 105,637
different ones, 105,042 of which occur once (github.com/mdeff/fma/issues/23), so 1,532 files share
their bytes with another; `exact_duplicates` finds them in the sums that come with the archives.
"""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...bags import Bags
from ...errors import DataError, did_you_mean
from ...tracks import SPLITS, Tracks
from .fetching import ARCHIVES, file_sha1
from .indexing import open_index
from .loading import load_tracks

CHECKSUMS = "checksums"
_LINE = re.compile(r"([0-9a-fA-F]{40}) [ *](.+)")


@dataclass(frozen=True)
class Verdict:
    """One file.

    Attributes
    ----------
    path : Path
    verdict : {"ok", "differs", "missing", "unreadable"}
    expected, found : str
        SHA-1 sums; ``found`` is empty where there is none.
    """

    path: Path
    verdict: str
    expected: str
    found: str = ""

    @property
    def reason(self) -> str:
        """What is wrong, and what to do."""
        if self.verdict == "differs":
            return f"SHA-1 {self.found}, expected {self.expected}; move it away and fetch again"
        return f"{self.verdict}; fetch again"


def verify(
    directory: Path | str,
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Verdict, ...]:
    """Compare every file with the list that came with it, and archives with the published sums.

    Parameters
    ----------
    directory : path
        Folder with ``fma_metadata``, ``fma_medium`` and so on, or one of these.
    workers : int, optional
        Files that are read at once; by default one a core.
    progress : callable
        Told files done and files in all.

    Returns
    -------
    tuple of Verdict
        In the order of the lists.

    Raises
    ------
    DataError
        If there is no list of sums and no archive, or a list is not one.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise DataError(f"{directory} is no folder; check the path")
    jobs = [*_archives(directory)]
    for folder in listed_folders(directory):
        jobs += read_checksums(folder)
    if not jobs:
        raise DataError(
            f"{directory} holds neither FMA's archives nor a folder with a list {CHECKSUMS!r}; "
            "name the folder that 'matt fma fetch' was told with --to"
        )
    verdicts = []
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:  # hashing lets other threads run
        for verdict in pool.map(lambda job: _judge(*job), jobs):
            verdicts.append(verdict)
            progress(len(verdicts), len(jobs))
    return tuple(verdicts)


def listed_folders(directory: Path) -> list[Path]:
    """Folders with a list of sums: the one that is named, and FMA's folders in it."""
    folders = (directory, *sorted(directory.glob("fma_*")))
    return [folder for folder in folders if (folder / CHECKSUMS).is_file()]


def read_checksums(folder: Path) -> list[tuple[Path, str]]:
    """Files of a folder and the SHA-1 sums they should have, from its list.

    Raises
    ------
    DataError
        If the list is not one, or names a file outside the folder.
    """
    listed = []
    path = folder / CHECKSUMS
    text = path.read_text("utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(), start=1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise DataError(
                f"{path}, line {number}: {line[:60]!r} is no SHA-1 sum with a file name; unpack "
                "the archive again"
            )
        name = PurePosixPath(match[2])
        if name.is_absolute() or ".." in name.parts:
            raise DataError(f"{path}, line {number}: {match[2]!r} leads out of the folder")
        listed.append((folder / name, match[1].lower()))
    return listed


def _archives(directory: Path) -> Iterator[tuple[Path, str]]:
    for archive in ARCHIVES.values():
        if (directory / archive.file).is_file():
            yield directory / archive.file, archive.sha1


def _judge(path: Path, expected: str) -> Verdict:
    try:
        found = file_sha1(path)
    except FileNotFoundError:
        return Verdict(path, "missing", expected)
    except OSError:
        return Verdict(path, "unreadable", expected)
    return Verdict(path, "ok" if found == expected else "differs", expected, found)


KINDS = ("no audio", "short clip", "doubtful")
LEFT_OUT = KINDS[:2]


@dataclass(frozen=True)
class FileFault:
    """A clip with a known fault.

    Attributes
    ----------
    track_id : int
    kind : {"no audio", "short clip", "doubtful"}
    clip_seconds : float
        Of audio in the clip; NaN where nobody has told.
    reported_seconds, real_seconds : float
        Length of the track as FMA states it and as it is; NaN likewise.
    source : {"wiki", "length", "issue 49"}
    """

    track_id: int
    kind: str
    clip_seconds: float
    reported_seconds: float
    real_seconds: float
    source: str


@cache
def known_faults() -> tuple[FileFault, ...]:
    """All known faults, those without audio or with too little first.

    >>> faults = known_faults()
    >>> [sum(fault.kind == kind for fault in faults) for kind in KINDS]
    [15, 6, 147]
    """
    text = files(__package__).joinpath("known_faults.csv").read_text("utf-8")
    return tuple(
        FileFault(
            int(row["track_id"]),
            row["kind"],
            float(row["clip_seconds"] or "nan"),
            float(row["reported_seconds"] or "nan"),
            float(row["real_seconds"] or "nan"),
            row["source"],
        )
        for row in csv.DictReader(text.splitlines())
    )


def fault_ids(kinds: Collection[str] = LEFT_OUT) -> NDArray[np.int64]:
    """Sorted ids of the clips with some kinds of fault.

    Raises
    ------
    DataError
        If a kind is unknown.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise DataError(f"unknown kind of fault {kind!r}; {did_you_mean(kind, KINDS)}")
    return np.array(sorted(f.track_id for f in known_faults() if f.kind in kinds), np.int64)


def without_faults(tracks: Tracks, kinds: Collection[str] = LEFT_OUT) -> Tracks:
    """Tracks of FMA without those whose clips have a known fault.

    For clips, not for whole tracks or for FMA's features, which know no such fault.

    Parameters
    ----------
    kinds : collection of str
        By default clips without audio or with too little.

    Raises
    ------
    DataError
        If a kind is unknown.

    Examples
    --------
    >>> tracks = Tracks([2, 99134, 2624], [0, 0, 0], ("Rock",))
    >>> without_faults(tracks).track_id
    array([   2, 2624])
    """
    return tracks.drop(fault_ids(kinds))


@dataclass(frozen=True)
class FaultCount:
    """How many tracks of a table have a kind of fault.

    Attributes
    ----------
    kind : str
    n : int
    by_split : tuple of int
        In training, validation and test.
    left_out : bool
        Whether `without_faults` leaves them out by default.
    track_ids : tuple of int
    """

    kind: str
    n: int
    by_split: tuple[int, ...]
    left_out: bool
    track_ids: tuple[int, ...]


def count_faults(tracks: Tracks) -> tuple[FaultCount, ...]:
    """Known faults among some tracks, one entry a kind."""
    found = []
    for kind in KINDS:
        concerned = np.isin(tracks.track_id, fault_ids([kind]))
        found.append(
            FaultCount(
                kind,
                int(concerned.sum()),
                tuple(int((concerned & (tracks.split == split)).sum()) for split in SPLITS),
                kind in LEFT_OUT,
                tuple(tracks.track_id[concerned].tolist()),
            )
        )
    return tuple(found)


def exact_duplicates(audio: Path | str) -> tuple[tuple[int, ...], ...]:
    """Tracks whose files are equal byte for byte, from the sums that came with the archive.

    Parameters
    ----------
    audio : path
        Folder of an unpacked archive, for example ``fma_medium``, or one of several: then each
        archive counts apart. No audio is read.

    Returns
    -------
    tuple of tuple of int
        Ids of each group of two or more, in their order.

    Raises
    ------
    DataError
        If the folder holds no list of sums.
    """
    folders = listed_folders(Path(audio))
    if not folders:
        raise DataError(f"{audio} holds no list 'checksums'; unpack FMA's archive again")
    same: dict[tuple[Path, str], list[int]] = {}
    for folder in folders:
        for path, sha1 in read_checksums(folder):
            if path.suffix == ".mp3" and path.stem.isdigit():
                same.setdefault((folder, sha1), []).append(int(path.stem))
    return tuple(sorted({tuple(sorted(ids)) for ids in same.values() if len(ids) > 1}))


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
class KnownCount:
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


def check(directory: Path | str) -> tuple[KnownCount, ...]:
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


def _split_lines(subset: str, tracks: Tracks, sizes: tuple[int, ...]) -> Iterator[KnownCount]:
    for split, expected in zip(SPLITS, sizes, strict=True):
        found = int((tracks.split == split).sum())
        yield _equal(f"FMA-{subset}, {split}", expected, found)


def _genre_lines(medium: Tracks) -> Iterator[KnownCount]:
    for genre, expected in MEDIUM_GENRES.items():
        found: tuple[int, ...] = (0, 0, 0)
        if genre in medium.genres:
            ours = medium.labels == medium.genres.index(genre)
            found = tuple(int((ours & (medium.split == split)).sum()) for split in SPLITS)
        yield KnownCount(
            f"FMA-medium, {genre}: total = training / validation / test",
            _split_up(expected),
            _split_up(found),
            expected == found,
        )
    others = sorted(set(medium.genres) - set(MEDIUM_GENRES))
    yield KnownCount("FMA-medium, other genres", "none", ", ".join(others) or "none", not others)
    yield _equal("FMA-medium, tracks without a genre", 0, int((~medium.labelled).sum()))


def _bag_lines(medium: Tracks) -> Iterator[KnownCount]:
    tests, training = (medium.take(medium.split == name) for name in ("test", "training"))
    found = len(Bags.from_tracks(tests)) if len(tests) else 0
    yield _equal("FMA-medium, test bags (album, artist)", TEST_BAGS, found)
    key = ("album_id", "artist_id", "genre_top")
    found = len(Bags.from_tracks(training, by=key)) if len(training) else 0
    low, high = TRAINING_BAGS
    yield KnownCount(
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


def _artist_lines(medium: Tracks, everything: Tracks) -> Iterator[KnownCount]:
    for name, tracks in (("FMA-medium", medium), ("all tracks", everything)):
        known = tracks.artist_id >= 0
        columns = (tracks.artist_id[known].tolist(), tracks.split[known].tolist())
        splits = Counter(artist for artist, _ in set(zip(*columns, strict=True)))
        crossing = sum(n > 1 for n in splits.values())
        yield _equal(f"{name}, artists in more than one split", 0, crossing)


def _equal(what: str, expected: int, found: int) -> KnownCount:
    return KnownCount(what, f"{expected:,}", f"{found:,}", expected == found)


def _split_up(counts: tuple[int, ...]) -> str:
    return f"{sum(counts):,} = " + " / ".join(f"{n:,}" for n in counts)
