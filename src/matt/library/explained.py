"""An album that was explained: as a row for programs, as tables and a picture for people.

People read of excerpts where the code has segments.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..audio.segments import SegmentPolicy, planned
from ..bags import Bags
from ..datasets.genres import Vocabulary
from ..evaluation import plots
from ..evaluation.tables import Cell, ColumnOf, Table, percent
from ..features.store import FeatureStore
from ..models.classifier import GenreClassifier
from ..models.tagger import Tagger
from ..tracks import Tracks
from .albums import LEAST, UNSURE, album_rows, name_of
from .explain import AlbumExplanation, explain_album
from .learned import Judged, Learned
from .status import SURE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCHEMA = "matt.explanation/1"
_ALBUM = (
    "Alone: what the track would be by itself. Without it: what the rest of the album would be. "
    "Adds: what the album's genre owes to the track, in probability."
)
_ATTENTION = "Attention: how much of it the track has in the model's networks."
_MARKS = (
    "Does not fit: alone it is surely one genre, and the album and the rest of it surely another. "
    "Decides: without it the album would be another genre."
)
_LOUDEST = "Excerpt: where the track is the most of its genre, and how likely that is there."
_TIMES = "Times follow from the length of the file; silence may have moved an excerpt."
_ABOUT = "~: silent parts were left out of this track, so its excerpts may lie later."


def explained_row(
    told: AlbumExplanation,
    policy: SegmentPolicy | None = None,
    *,
    bar: float | None = None,
    vocabulary: Vocabulary | None = None,
    in_training: bool | None = None,
) -> dict[str, Any]:
    """One JSON-ready dictionary: the album, and what each of its tracks and excerpts did.

    Parameters
    ----------
    told : AlbumExplanation
    policy : SegmentPolicy, optional
        How tracks were cut: without it, excerpts have no times.
    bar, vocabulary
        As in `album_rows`; genres that are related fit each other.
    in_training : bool, optional
        Whether the model was trained on the album, where that is known.

    Returns
    -------
    dict
        As `album_rows`, and ``likely``, the genre that is explained even where the album is unsure.
        Each of its ``tracks`` has ``genre`` and ``probability`` alone, ``of_album``, its
        probability of the album's genre, ``without`` (genre and probability of the album without
        it, or None), ``effect`` on the probability of the album's genre, ``attention`` or None,
        ``decides``, ``fits`` (None where nobody can tell) and ``excerpts``. Of these each has
        ``start`` and ``end`` in seconds or None, ``about`` (whether they are the earliest
        possible), ``genre``, ``probability`` and ``of_album``.
    """
    whole, known = told.whole, vocabulary or Vocabulary()
    judged = Judged.of(whole, in_training)
    row = album_rows(whole, bar=bar, vocabulary=known, judged=judged)[0]
    likely = row["genre"] or whole.genres[told.genre]
    columns = _columns(likely, told, known)
    lengths = whole.tracks.columns.get("duration", np.full(len(whole.tracks), np.nan))
    tracks = []
    for number, track in enumerate(row["tracks"]):
        heard = told.segments[slice(*told.segment_offsets[number : number + 2].tolist())]
        without = _said(told.without[number], whole.genres)
        share = None if told.attention is None else told.attention[number, told.genre]
        when = _times(policy, float(lengths[number]), len(heard))
        tracks.append(
            {
                **{name: track[name] for name in ("track_id", "title", "artist", "path", "tagged")},
                **_said(told.alone[number], whole.genres),
                "of_album": _rounded(told.alone[number, columns].sum()),
                "without": without,
                "effect": _rounded(told.effects[number, columns].sum()),
                "attention": None if share is None else _rounded(share),
                "decides": bool(without) and not known.related(without["genre"], likely),
                "fits": _fits(told, number, SURE if bar is None else bar, known, likely),
                "excerpts": [
                    {
                        **place,
                        **_said(said, whole.genres),
                        "of_album": _rounded(said[columns].sum()),
                    }
                    for place, said in zip(when, heard, strict=True)
                ],
            }
        )
    return {**row, "likely": likely, "tracks": tracks}


def explained_rows(
    model: GenreClassifier,
    features: FeatureStore,
    tracks: Tracks,
    bags: Bags,
    *,
    bar: float | None = None,
    vocabulary: Vocabulary | None = None,
    learned: Learned | None = None,
) -> list[dict[str, Any]]:
    """Explain some albums, one after the other: a row each.

    Parameters
    ----------
    model, features, tracks
        As in `explain_album`.
    bags : Bags
    bar, vocabulary
        As in `explained_row`.
    learned : Learned, optional
        What the model has learned from, where that is known; the shipped tagger has from nobody's.
    """
    rows, known = [], None if learned is None else learned.knows(tracks, bags)
    for bag in range(len(bags)):
        told = explain_album(model, features, tracks, bags.take([bag]))
        in_training = False if isinstance(model, Tagger) else None
        if known is not None:
            in_training = bool(known[bag])
        rows.append(
            explained_row(
                told,
                features.spec.segments,
                bar=bar,
                vocabulary=vocabulary,
                in_training=in_training,
            )
        )
    return rows


def _columns(likely: str, told: AlbumExplanation, vocabulary: Vocabulary) -> list[int]:
    """Which of the model's genres make the one that is explained: itself, or all that it holds."""
    genres = told.whole.genres
    if likely == genres[told.genre] or told.whole.link != "softmax":
        return [told.genre]
    return [g for g, genre in enumerate(genres) if likely in vocabulary.path(genre)]


def _rounded(value: float) -> float | None:
    return round(float(value), 4) if math.isfinite(value) else None


def _said(probabilities: NDArray[np.float64], genres: Sequence[str]) -> Any:
    """The likeliest genre and its probability; None where nothing was asked."""
    if np.isnan(probabilities).any():
        return None
    best = int(probabilities.argmax())
    return {"genre": genres[best], "probability": _rounded(probabilities[best])}


def _fits(
    told: AlbumExplanation, track: int, sure: float, vocabulary: Vocabulary, likely: str
) -> bool | None:
    """Whether a track is of the genre of the album or of the others; None where nobody can tell.

    That is so of too few tracks, or where either is unsure.
    """
    alone, others, genres = told.alone[track], told.without[track], told.whole.genres
    if len(told.alone) < LEAST or np.isnan(others).any():
        return None
    own = genres[int(alone.argmax())]
    if any(vocabulary.related(own, other) for other in (likely, genres[int(others.argmax())])):
        return True
    return False if min(alone.max(), others.max()) >= sure else None


def _times(policy: SegmentPolicy | None, seconds: float, n: int) -> Iterator[dict[str, Any]]:
    """Where each of the excerpts of a track lies."""
    known = policy is not None and math.isfinite(seconds) and seconds > 0
    found = planned(policy, seconds) if policy is not None and known else []
    about = bool(found) and len(found) != n
    for number in range(n):
        start, end = map(_rounded, found[number]) if number < len(found) else (None, None)
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
    tables, lone = [], False
    for row in rows:
        if row["n_tracks"] > 1:
            tables.append(_tracks_table(row))
        listed = [one for one in row["tracks"] if row["n_tracks"] == 1 or one["path"] == path]
        tables += [_excerpts_table(row, track) for track in listed]
        lone = lone or bool(listed)
    tables[-1:] = [replace(table, notes=tuple(_legend(rows, lone=lone))) for table in tables[-1:]]
    return tables


def _legend(rows: Sequence[Mapping[str, Any]], *, lone: bool) -> Iterator[str]:
    """What the columns mean that there are."""
    albums = [row for row in rows if row["n_tracks"] > 1]
    members = [track for row in albums for track in row["tracks"]]
    excerpts = [one for row in rows for track in row["tracks"] for one in track["excerpts"]]
    shown = lone or any(len(track["excerpts"]) > 1 for track in members)
    timed = shown and any(one["start"] is not None for one in excerpts)
    for text, holds in (
        (_ALBUM, bool(albums)),
        (_ATTENTION, any(track["attention"] is not None for track in members)),
        (_MARKS, any(_mark(track) for track in members)),
        (_LOUDEST, any(len(track["excerpts"]) > 1 for track in members)),
        (_TIMES, timed),
        (_ABOUT, timed and any(one["about"] for one in excerpts)),
    ):
        if holds:
            yield text


def title_of(row: Mapping[str, Any]) -> str:
    """Which album, and what it is said to be."""
    several = row["n_tracks"] > 1 and (row["album"] or Path(row["path"]).name)
    name = several or name_of(row["tracks"][0])
    by = f" by {row['artist']}" if row["artist"] else ""
    year = f" ({row['year']})" if row["year"] else ""
    unsure = "" if row["genre"] else f"{UNSURE} "
    tagged = f", tagged {row['tagged']}" if row["tagged"] else ""
    said = f"{unsure}{row['likely']} {percent(row['probability'])}"
    return f"{name}{by}{year}: {said}{tagged}"


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
    if any(_mark(track) for track in tracks):
        columns.append(("", "text", _mark))
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
        (f"as {row['likely']}", "text", lambda excerpt: percent(excerpt["of_album"])),
    )


def _genre(said: Mapping[str, Any] | None) -> Cell:
    return None if said is None else f"{said['genre']} {percent(said['probability'])}"


def _mark(track: Mapping[str, Any]) -> str:
    """What is worth saying of a track."""
    return "decides" if track["decides"] else "does not fit" if track["fits"] is False else ""


def _loudest(track: Mapping[str, Any]) -> str:
    """The excerpt in which the track's own genre is the likeliest; of another only if none is."""
    own = [one for one in track["excerpts"] if one["genre"] == track["genre"]]
    best = max(own or track["excerpts"], key=itemgetter("probability"))
    return f"{_when(best)} {percent(best['probability']) if own else _genre(best)}".strip()


def _when(excerpt: Mapping[str, Any]) -> str:
    """Where an excerpt lies, e.g. ``0:30-0:33``."""
    if excerpt["start"] is None:
        return ""
    about = "~" if excerpt["about"] else ""
    return f"{about}{_clock(excerpt['start'])}-{_clock(excerpt['end'])}"


def _clock(seconds: float) -> str:
    """Whole minutes and seconds, and hours where there are any.

    >>> _clock(30.7), _clock(3723)
    ('0:30', '1:02:03')
    """
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
