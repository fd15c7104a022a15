"""Albums as rows: who, which genre, how sure, and which tracks decided; for people and programs."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..calibration.costs import DECISION
from ..datasets.genres import Vocabulary, parted
from ..errors import ConfigError
from ..evaluation.tables import ColumnOf, Table, percent
from ..models.tagger import ASPECTS
from ..predictions import Predictions
from .answers import Answers, GenreAnswer
from .explain import Explanation, explain
from .learned import Judged
from .status import STATUSES, Above, is_fair, status_of, summary

_HOW_TO_READ = (
    "Margin: what the track added to the logit of the genre, against the mean of all genres. "
    "Effect: how much probability the genre would lose without the track."
)
_PARTS = ("attention", "margin", "effect")
_NO_PART: dict[str, float | None] = dict.fromkeys(_PARTS)
_TOLD = (
    *("track_id", "path", "artist_id", "title", "artist", "album_artist", "album", "year"),
    "genre_tags",
)
LEAST = 3  # tracks of a bag that is worth a look: smaller ones have little to show
UNSURE = "(unsure)"  # on a screen, where a genre would be


def album_rows(
    predictions: Predictions,
    *,
    top: int = 3,
    bar: float | None = None,
    aspects: Sequence[Mapping[str, str | None]] = (),
    costs: NDArray[np.float64] | None = None,
    alone: Predictions | None = None,
    judged: Judged | None = None,
    vocabulary: Vocabulary | None = None,
) -> list[dict[str, Any]]:
    """One JSON-ready dictionary a bag: who, what was said, with which probability, who decided.

    Parameters
    ----------
    predictions : Predictions
        With tracks that have the columns of `matt.datasets.folder`. Without attention, no track's
        part is known, and its attention, margin and effect are None.
    top : int >= 1
        How many genres are named, most likely first.
    bar : float, optional
        An album whose most likely genre has less probability is unsure, unless a genre that stands
        above it reaches the bar, which is given then. An unsure album has no genre, and what it
        might be is named in ``top`` alone. By default the bar is one half, and takes no genre away.
    aspects : sequence of mapping, optional
        What else is known of each bag, by name, such as its mood.
    costs : array, shape (G, G), optional
        The genre of an album is the one of least expected cost then, see `matt.calibration.costs`,
        not the most likely, and ``decision`` says so.
    alone : Predictions, optional
        Of each track by itself, in the same order; without it no track has a genre of its own. An
        unsure track has one all the same.
    judged : Judged, optional
        Which bags the model was trained on, and what is said of these by who was not.
    vocabulary : Vocabulary, optional
        Which genre stands above which; by default none does.

    Returns
    -------
    list of dict
        In the order of the bags. Where predictions have thresholds, an album may have several
        genres: ``genres`` names those that reach theirs (and the bar), most likely first. ``genre``
        is the first of them, and an album without any is unsure.
    """
    told = None if predictions.attention is None else explain(predictions)
    judged = judged or Judged.of(predictions)
    above = Above(predictions.genres, vocabulary or Vocabulary())
    abstain = bar is not None
    said = Answers(judged.predictions, above, bar=bar, abstain=abstain, costs=costs, top=top)
    own = None if alone is None else Answers(alone, above, bar=bar, costs=costs, top=top)
    status = cache(partial(status_of, above=above))  # there are few, and many tracks of each
    known = predictions.tracks.to_columns()
    columns = {name: known[name].tolist() for name in _TOLD if name in known}
    offsets, rows = predictions.bags.offsets.tolist(), []
    for bag in range(len(predictions)):
        first, held_out = offsets[bag], bool(judged.held_out[bag])
        tracks = {name: column[first : offsets[bag + 1]] for name, column in columns.items()}
        answer, main, learned = said.of(bag), _main(predictions, bag), judged.in_training[bag]
        fair = is_fair(learned, out_of_fold=held_out)
        tags = tuple(dict.fromkeys([*main, *_tags(tracks)]))
        parts = [
            {
                **track,
                **_answered(
                    named,
                    answer if held_out else None if own is None else own.of(first + i),
                    fair=fair,
                    status=status,
                ),
                "alone": own is not None and not held_out,
                **_part(None if held_out else told, first + i, answer.best),
            }
            for i, (track, named) in enumerate(_each(tracks))
        ]
        rows.append(
            {
                **who_made(tracks),
                "tagged": "; ".join(tags) or None,
                **_answered(tags, answer, fair=fair, status=status),
                "in_training": learned,
                "out_of_fold": held_out,
                **(aspects[bag] if aspects else {}),
                "tracks": parts,
            }
        )
    return rows


def _answered(
    tags: tuple[str, ...],
    answer: GenreAnswer | None,
    *,
    fair: bool,
    status: Callable[..., dict[str, Any]],
) -> dict[str, Any]:
    """What is said of an album or a track, and what there is to do about it."""
    if answer is None:
        return {"genre": None, "probability": None}
    return {**answer.told, **status(tags, answer.genres, sure=not answer.unsure, fair=fair)}


def track_rows(
    rows: Iterable[Mapping[str, Any]], *, bar: float | None = None
) -> Iterator[dict[str, Any]]:
    """Rows of tracks from rows of albums, each with what is said of its album.

    Parameters
    ----------
    rows : iterable of mapping
        Of `album_rows`, with ``alone``.
    bar : float, optional
        With which these were made: a track that is unsure has no genre then.

    Raises
    ------
    ConfigError
        If they were made without ``alone``.
    """
    for row in rows:
        for track in row["tracks"]:
            if "status" not in track:
                raise ConfigError(
                    f"nothing was asked of {name_of(track)!r} by itself, so there are no rows of "
                    "tracks; predict with alone=True"
                )
            told = {name: value for name, value in track.items() if name not in _PARTS}
            if bar is not None and track["unsure"]:
                told |= {"genre": None, "genre_path": []}
            yield {
                **told,
                "artist": track["artist"] or row["artist"],
                "album": row["album"],
                "year": row["year"],
                "in_training": row["in_training"],
                "out_of_fold": row["out_of_fold"],
                "album_genre": row["genre"],
                "album_probability": row["probability"],
                **{name: row[name] for name in ASPECTS if name in row},
            }


def in_order(rows: Iterable[Mapping[str, Any]]) -> list[Any]:
    """Album rows by what there is to do, and then the surest first."""
    return sorted(
        rows,
        key=lambda row: (
            STATUSES.index(row["status"]),
            -row["probability"],
            *(str(row[name] or "").casefold() for name in ("artist", "album", "path")),
        ),
    )


def albums_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Table of album rows: one line an album, and how many are new, disagree and so on."""
    title = _counted(len(rows), "album")
    return _answers_table(title, rows, ("album", "text", _title))


def tracks_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Table of `track_rows`: one line a track."""
    return _answers_table(
        _counted(len(rows), "track"),
        rows,
        ("title", "text", name_of),
        ("album", "text", lambda row: row["album"] or ""),
    )


def _answers_table(
    title: str,
    rows: Sequence[Mapping[str, Any]],
    *what: ColumnOf[Mapping[str, Any]],
) -> Table:
    own = any("decision" in row for row in rows)
    dated, tagged = (any(row[name] for row in rows) for name in ("year", "tagged"))
    return Table.of(
        f"{title}, decided by {DECISION}" if own else title,
        rows,
        ("artist", "text", lambda row: row["artist"] or ""),
        *what,
        *([("year", "text", lambda row: str(row["year"] or ""))] if dated else []),
        ("genre", "text", _shown),
        ("sure", "percent", itemgetter("probability")),
        ("or else", "text", _second),
        *([("tag", "text", lambda row: row["tagged"] or "")] if tagged else []),
        ("mark", "text", itemgetter("status")),
        notes=(summary(rows),) if rows else (),
        cut=True,
    )


def _counted(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _shown(row: Mapping[str, Any]) -> str:
    """What is given; where that is nothing, the likeliest genre with a question mark."""
    given = "; ".join(row.get("genres", ())) or row["genre"]
    return given or f"{row['top'][0]['genre']}?"


def _second(row: Mapping[str, Any]) -> str:
    """The likeliest genre that is not shown as the first."""
    said = row.get("genres") or [row["genre"] or row["top"][0]["genre"]]
    rest = [one["genre"] for one in row["top"] if one["genre"] not in said]
    return rest[0] if rest else ""


def decided_table(row: Mapping[str, Any]) -> Table:
    """Table of the tracks of one album: who spoke for its genre, and who could not be missed."""
    tagged = f", tagged {row['tagged']}" if row["tagged"] else ""
    return Table.of(
        f"{_title(row)}: {_said(row)}, {percent(row['probability'])}{tagged}",
        sorted(row["tracks"], key=lambda track: -(track["margin"] or 0)),
        ("track", "text", name_of),
        ("attention", "share", itemgetter("attention")),
        ("margin", "signed", itemgetter("margin")),
        ("effect", "signed", itemgetter("effect")),
        notes=(_HOW_TO_READ,),
    )


def telling_bags(predictions: Predictions, *, sure_mistake: bool = False) -> dict[str, int]:
    """Bags worth a look, by what they are an example of; a kind that does not occur is left out.

    Parameters
    ----------
    predictions : Predictions
        Single-label.
    sure_mistake : bool
        Also the mistaken bag with the most confidence.

    Returns
    -------
    dict of str to int
        The surest right bag, the right one of the rarest genre, and the least sure mistaken one.
    """
    best, sure = predictions.best, predictions.probabilities.max(axis=1)
    large = predictions.bags.known & (predictions.bags.sizes >= LEAST)
    right = large & (best == predictions.labels)
    rarity = sure - predictions.train_counts[predictions.labels]  # counts differ by 1 or more
    kinds = [
        ("the surest", right, sure),
        ("of the rarest genre", right, rarity),
        ("mistaken", large & ~right, -sure),
        ("surely mistaken", large & ~right, sure),
    ]
    found: dict[str, int] = {}
    for kind, those, order in kinds if sure_mistake else kinds[:-1]:
        ranked = [int(bag) for bag in np.argsort(-order, kind="stable") if those[bag]]
        left = [bag for bag in ranked if bag not in found.values()]
        if left:
            found[kind] = left[0]
    return found


def name_of(track: Mapping[str, Any]) -> str:
    """Title of a track, or where it has none the name of its file, or else its id."""
    return str(track["title"] or Path(track["path"]).name or f"track {track['track_id']}")


def _said(row: Mapping[str, Any]) -> str:
    """The genre of an album, or all that it is given."""
    return "; ".join(row.get("genres", ())) or row["genre"] or UNSURE


def _main(predictions: Predictions, bag: int) -> list[str]:
    """Genres of a bag that the model knows: its label."""
    label = predictions.labels[bag]
    those = np.flatnonzero(label) if predictions.bags.multi_label else [label][: int(label >= 0)]
    return [predictions.genres[g] for g in those]


def _title(row: Mapping[str, Any]) -> str:
    return str(row["album"] or name_of(row["tracks"][0]))


def who_made(tracks: Mapping[str, list[Any]]) -> dict[str, Any]:
    """Whose album it is, which, of which year, and where, from the columns of its tracks."""
    one = len({*tracks["artist_id"]}) == 1 and tracks["artist_id"][0] >= 0
    artist = _common(tracks.get("artist")) or _common(tracks.get("album_artist"))
    return {
        "artist": artist or (_most(tracks.get("artist")) if one else None),
        "album": _most(tracks.get("album")) if one else _common(tracks.get("album")),
        "title": _common(tracks.get("title")),
        "year": _common([year for year in tracks.get("year", ()) if year > 0]),
        "path": _place(tracks["path"]),
        "n_tracks": len(tracks["path"]),
    }


def _each(tracks: Mapping[str, list[Any]]) -> Iterator[tuple[dict[str, Any], tuple[str, ...]]]:
    """What is told of each track, whatever a model says, and the genres that it names."""
    none = [""] * len(tracks["path"])
    names = "track_id", "title", "artist", "path", "genre_tags"
    columns = [tracks.get(name, none) for name in names]
    for track_id, title, artist, path, tags in zip(*columns, strict=True):
        genres = parted(tags)
        told = {"track_id": track_id, "title": title, "artist": artist, "path": path}
        yield told | {"tagged": "; ".join(genres) or None}, genres


def _place(paths: Sequence[str]) -> str:
    """The file of a lone track, the folder that holds all files of an album."""
    if len(paths) == 1 or not all(paths):
        return paths[0] if len(paths) == 1 else ""
    if len({path.rpartition(os.sep)[0] for path in paths}) == 1:  # mostly; then two of them tell
        paths = [min(paths), max(paths)]
    return os.path.commonpath(paths)


def _tags(tracks: Mapping[str, list[Any]]) -> list[str]:
    """Genres that half of the tagged tracks name, or else all that one names."""
    named = [parted(tags) for tags in tracks.get("genre_tags", ()) if tags]
    counted = Counter(genre for some in named for genre in dict.fromkeys(some))
    often = [genre for genre, n in counted.items() if 2 * n >= len(named)]
    return often or sorted(counted)


def _common(values: Sequence[Any] | None) -> Any:
    """The value all tracks share, else None."""
    found = {*(values or ())}
    return (found.pop() or None) if len(found) == 1 else None


def _most(values: Sequence[Any] | None) -> Any:
    """The value of most tracks that have one."""
    return max(Counter(filter(None, values or ())).items(), key=itemgetter(1), default=(None,))[0]


def _part(told: Explanation | None, row: int, genre: int) -> dict[str, float | None]:
    """What a track did for a genre."""
    if told is None:
        return _NO_PART
    arrays = told.attention, told.margins, told.effects
    values = (float(array[row, genre]) for array in arrays)
    return {
        name: round(value, 4) if np.isfinite(value) else None
        for name, value in zip(_PARTS, values, strict=True)
    }
