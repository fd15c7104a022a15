"""An album that was explained: as a row for programs, as tables and a picture for people.

People read of excerpts where the code has segments.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..audio.segments import SegmentPolicy, planned
from ..evaluation import plots
from ..evaluation.tables import Cell, Column, ColumnOf, Table, plain
from .albums import LEAST, UNSURE, album_rows, name_of
from .explain import AlbumExplanation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCHEMA = "matt.explanation/1"
_SURE = 0.5  # probability of a genre, from which on a track alone or an album is sure of it
_SHARE = Column("share", "share").show
_ALBUM = (
    "Alone: what the track would be by itself. Without it: what the album would be. Adds: the "
    "probability of the album's genre less that without the track; tracks are in this order."
)
_ATTENTION = (
    "Attention: how much of it the track has, for the album's genre, in what the model's networks "
    "say; what they make of it stands under adds."
)
_MARKS = (
    "Does not fit: alone it is surely another genre than the others are surely of. Decides: "
    "without it the album would be another genre."
)
_LOUDEST = "Excerpt: where in the track its genre is the likeliest, and what that excerpt alone is."
_TIMES = (
    "Times follow from the length of the file; an excerpt that would have been silent was taken "
    "from elsewhere."
)
_ABOUT = "~: silence was left out of this track, so its excerpts may lie later."


def explained_row(
    told: AlbumExplanation,
    policy: SegmentPolicy | None = None,
    *,
    bar: float | None = None,
    related: Callable[[str, str], bool] = str.__eq__,
) -> dict[str, Any]:
    """One JSON-ready dictionary: the album, and what each of its tracks and excerpts did.

    Parameters
    ----------
    told : AlbumExplanation
    policy : SegmentPolicy, optional
        How tracks were cut: without it, excerpts have no times.
    bar : float, optional
        From which probability on a genre is given; without it every album gets one, and 0.5 is
        sure.
    related : callable, optional
        Whether two genres are kin, so that a track of the one fits an album of the other; by
        default only a genre to itself.

    Returns
    -------
    dict
        As `album_rows`, and ``likely``, the genre that is explained even where the album is unsure.
        Each of its ``tracks`` has ``genre`` and ``probability`` alone, ``of_album``, its
        probability of the album's genre, ``without`` (genre and probability of the album without
        it, or None), ``effect`` on the probability of the album's genre, ``attention`` or None,
        ``fits`` (None where nobody can tell) and ``excerpts``. Of these each has ``start`` and
        ``end`` in seconds or None, ``about`` (whether they are the earliest possible), ``genre``,
        ``probability`` and ``of_album``.
    """
    whole, g = told.whole, told.genre
    row = album_rows(whole, bar=bar)[0]
    lengths = whole.tracks.columns.get("duration", np.full(len(whole.tracks), np.nan))
    effects = told.effects[:, g]
    tracks = []
    for number, track in enumerate(row["tracks"]):
        here = slice(*told.segment_offsets[number : number + 2].tolist())
        heard = told.segments[here]
        attention = None if told.attention is None else _rounded(told.attention[number, g])
        tracks.append(
            {
                **{name: track[name] for name in ("track_id", "title", "path")},
                **_said(told.alone[number], whole.genres),
                "of_album": _rounded(told.alone[number, g]),
                "without": _said(told.without[number], whole.genres),
                "effect": _rounded(effects[number]),
                "attention": attention,
                "fits": _fits(told, number, bar or _SURE, related),
                "excerpts": [
                    {**when, **_said(said, whole.genres), "of_album": _rounded(said[g])}
                    for when, said in zip(
                        _times(policy, float(lengths[number]), len(heard)), heard, strict=True
                    )
                ],
            }
        )
    return {**row, "likely": whole.genres[g], "tracks": tracks}


def _rounded(value: float) -> float | None:
    return round(float(value), 4) if math.isfinite(value) else None


def _said(probabilities: NDArray[np.float64], genres: Sequence[str]) -> Any:
    """The likeliest genre and its probability; None where nothing was asked."""
    if np.isnan(probabilities).any():
        return None
    best = int(probabilities.argmax())
    return {"genre": genres[best], "probability": _rounded(probabilities[best])}


def _fits(
    told: AlbumExplanation, track: int, sure: float, related: Callable[[str, str], bool]
) -> bool | None:
    """Whether a track is of the genre of the others; None of too few, or where either is unsure."""
    alone, others, genres = told.alone[track], told.without[track], told.whole.genres
    if len(told.alone) < LEAST or np.isnan(others).any():
        return None
    if related(genres[int(alone.argmax())], genres[int(others.argmax())]):
        return True
    return False if min(alone.max(), others.max()) >= sure else None


def _times(policy: SegmentPolicy | None, seconds: float, n: int) -> Iterator[dict[str, Any]]:
    """Where each of the excerpts of a track lies."""
    known = policy is not None and math.isfinite(seconds) and seconds > 0
    found = planned(policy, seconds) if policy is not None and known else []
    about = bool(found) and len(found) != n
    for number in range(n):
        start, end = found[number] if number < len(found) else (None, None)
        yield {"start": start, "end": end, "about": about}


def explained_tables(rows: Sequence[Mapping[str, Any]], path: str = "") -> list[Table]:
    """Tables of the tracks of albums, and of the excerpts of one track; the last says how to read.

    Parameters
    ----------
    rows : sequence of mapping
        Of `explained_row`.
    path : str
        The track whose excerpts are listed; of an album of one track they are in any case.
    """
    tables = []
    for row in rows:
        if row["n_tracks"] > 1:
            tables.append(_tracks_table(row))
        listed = [one for one in row["tracks"] if row["n_tracks"] == 1 or one["path"] == path]
        tables += [_excerpts_table(row, track) for track in listed]
    tables[-1:] = [replace(table, notes=tuple(_legend(rows))) for table in tables[-1:]]
    return tables


def _legend(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What the columns mean that there are."""
    albums = [row for row in rows if row["n_tracks"] > 1]
    members = [(row, track) for row in albums for track in row["tracks"]]
    excerpts = [one for row in rows for track in row["tracks"] for one in track["excerpts"]]
    for text, holds in (
        (_ALBUM, bool(albums)),
        (_ATTENTION, any(track["attention"] is not None for _, track in members)),
        (_MARKS, any(_mark(row, track) for row, track in members)),
        (_LOUDEST, any(len(track["excerpts"]) > 1 for _, track in members)),
        (_TIMES, any(one["start"] is not None for one in excerpts)),
        (_ABOUT, any(one["about"] for one in excerpts)),
    ):
        if holds:
            yield text


def title_of(row: Mapping[str, Any]) -> str:
    """Which album, and what it is said to be."""
    several = Path(row["path"]).name if row["n_tracks"] > 1 else ""
    name = row["album"] or several or name_of(row["tracks"][0])
    by = f" by {row['artist']}" if row["artist"] else ""
    genre = row["genre"] or f"{UNSURE} {row['likely']}"
    probability = next(g["probability"] for g in row["top"] if g["genre"] == row["likely"])
    tagged = f", tagged {row['tagged']}" if row["tagged"] else ""
    return plain(f"{name}{by}: {genre} {_SHARE(probability)}{tagged}")


def _tracks_table(row: Mapping[str, Any]) -> Table:
    tracks = _in_order(row)
    several = any(len(track["excerpts"]) > 1 for track in tracks)
    columns: list[ColumnOf[Any]] = [
        ("track", "text", name_of),
        ("alone", "text", _genre),
        ("without it", "text", lambda track: _genre(track["without"])),
        ("adds", "signed", itemgetter("effect")),
    ]
    if any(track["attention"] is not None for track in tracks):
        columns.append(("attention", "share", itemgetter("attention")))
    if several:
        columns.append(("excerpt", "text", _loudest))
    if any(_mark(row, track) for track in tracks):
        columns.append(("", "text", lambda track: _mark(row, track)))
    return Table.of(title_of(row), tracks, *columns)


def _in_order(row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Tracks from the one that adds the most."""
    return sorted(row["tracks"], key=lambda track: -(track["effect"] or 0))


def explained_picture(row: Mapping[str, Any]) -> Figure:
    """Draw what the tracks of an album are alone, what they add, and their excerpts.

    Parameters
    ----------
    row : mapping
        Of `explained_row`.
    """
    tracks = _in_order(row)
    spans = [
        [
            (one["start"], one["end"], one["of_album"])
            for one in track["excerpts"]
            if one["start"] is not None
        ]
        for track in tracks
    ]
    return plots.heard(
        [name_of(track) for track in tracks],
        _numbers(tracks, "of_album"),
        _numbers(tracks, "effect"),
        ["" if track["genre"] == row["likely"] else str(_genre(track)) for track in tracks],
        spans if any(len(some) > 1 for some in spans) else [],
        genre=row["likely"],
        title=title_of(row),
    )


def _numbers(tracks: Sequence[Mapping[str, Any]], name: str) -> NDArray[np.float64]:
    return np.array([np.nan if track[name] is None else track[name] for track in tracks])


def _excerpts_table(row: Mapping[str, Any], track: Mapping[str, Any]) -> Table:
    title = title_of(row) if row["n_tracks"] == 1 else f"Excerpts of {name_of(track)}"
    return Table.of(
        title,
        track["excerpts"],
        ("excerpt", "text", _when),
        ("alone", "text", _genre),
        (f"as {row['likely']}", "share", itemgetter("of_album")),
    )


def _genre(said: Mapping[str, Any] | None) -> Cell:
    return None if said is None else f"{said['genre']} {_SHARE(said['probability'])}"


def _mark(row: Mapping[str, Any], track: Mapping[str, Any]) -> str:
    """What is worth saying of a track."""
    if track["fits"] is False:
        return "does not fit"
    without = track["without"]
    return "decides" if without is not None and without["genre"] != row["likely"] else ""


def _loudest(track: Mapping[str, Any]) -> str:
    """The excerpt in which the track's own genre is the likeliest."""
    own = [one for one in track["excerpts"] if one["genre"] == track["genre"]]
    best = max(own or track["excerpts"], key=itemgetter("probability"))
    return " ".join(filter(None, [_when(best), str(_genre(best))]))


def _when(excerpt: Mapping[str, Any]) -> str:
    """Where an excerpt lies, e.g. ``0:30-0:33``."""
    if excerpt["start"] is None:
        return ""
    about = "~" if excerpt["about"] else ""
    return f"{about}{_clock(excerpt['start'])}-{_clock(excerpt['end'])}"


def _clock(seconds: float) -> str:
    """Minutes and seconds, and hours where there are any.

    >>> _clock(30.4), _clock(3723)
    ('0:30', '1:02:03')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
