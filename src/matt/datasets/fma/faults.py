"""What is known to be wrong with FMA's audio, with sources.

``known_faults.csv`` lists clips of the published archives by id:

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
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError, did_you_mean
from ...tracks import SPLITS, Tracks
from .verifying import listed_folders, read_checksums

KINDS = ("no audio", "short clip", "doubtful")
LEFT_OUT = KINDS[:2]


@dataclass(frozen=True)
class Fault:
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
def known_faults() -> tuple[Fault, ...]:
    """All known faults, those without audio or with too little first.

    >>> faults = known_faults()
    >>> [sum(fault.kind == kind for fault in faults) for kind in KINDS]
    [15, 6, 147]
    """
    text = files(__package__).joinpath("known_faults.csv").read_text("utf-8")
    return tuple(
        Fault(
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
