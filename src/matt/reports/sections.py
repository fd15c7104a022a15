"""Sections of a report: training, data and settings of a run, albums worth a look, pictures.

Albums are those where the model was surely right and surely wrong, with the tracks that decided.
Pictures show predictions under several names: one run beside its controls, or several runs.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bags import gather
from ..calibration.coverage import coverage_of
from ..datasets.describe import describe
from ..errors import MattError
from ..evaluation import distribution, plots
from ..evaluation.items import Items, items_of
from ..evaluation.metrics import micro_curve, precision_recall, reliability, tail
from ..evaluation.report import Picture
from ..evaluation.scores import Scores
from ..evaluation.style import cut
from ..evaluation.summaries import files_table
from ..evaluation.tables import Column, Table, capital, percent
from ..library.albums import album_rows, decided_table, name_of, telling_bags
from ..library.status import SURE
from ..predictions import Predictions
from ..runs import Run

NO_VALIDATION = (
    "There was no validation split, so the weights of the last epoch were kept and nothing says "
    "whether that was too early or too late."
)
Parts = dict[str, str | Table | Picture]


def training(run: Run) -> Parts:
    """Losses and scores by epoch, and what the training said."""
    found: Parts = {}
    rows, damaged = _history(run)
    if damaged:
        found["history"] = damaged
    elif rows:
        scores = [name for name in _SCORES if name in rows[0] and _defined(rows, name)]
        losses = [name for name in _LOSSES if name in rows[0] and _defined(rows, name)]
        if losses:
            figure = plots.history(rows, losses=losses, scores=scores)
            found["history"] = Picture.of(figure, f"Loss and validation by epoch ({len(rows)}).")
        if not scores:
            found["validation"] = NO_VALIDATION
    notes = [str(note) for note in run.manifest.get("notes") or ()]
    if notes:
        found["notes"] = "\n\n".join(notes)
    return found


def data(run: Run) -> Parts:
    """What is known of the tracks: audit, warnings, distribution, bags, what is missing, files."""
    manifest, found = run.manifest, Parts()
    told = [
        *(manifest.get("data_notes") or ()),
        *(f"{capital(str(text))}." for text in manifest.get("warnings") or ()),
    ]
    if manifest.get("untestable"):
        names = ", ".join(map(str, manifest["untestable"]))
        told.append(f"No test track has these genres, so nothing is known of them: {names}.")
    if told:
        found["warnings"] = "\n\n".join(map(str, told))
    counts = manifest.get("audit")
    if isinstance(counts, Mapping):
        columns = Column("what"), Column("count", "int")
        rows = tuple((str(what), n if isinstance(n, int) else None) for what, n in counts.items())
        note = "A dash: nobody looked, because there was nothing to compare or it takes long."
        found["audit"] = Table("Audit of the tracks", columns, rows, (note,))
    try:
        found |= distribution.tables(describe(run.tracks()))
    except MattError as error:
        found["tracks"] = f"The tracks of the run cannot be read: {error}."
    files = files_table(manifest)
    if files.rows:
        found["files"] = files
    return found


def configuration(run: Run) -> Parts:
    """Settings, and the versions that made the run."""
    manifest = run.manifest
    settings = tuple(_flat(manifest.get("settings") or {}))
    facts = {
        "made": manifest.get("created"),
        "status": manifest.get("status"),
        "seed": manifest.get("seed"),
        "data": manifest.get("data"),
        "features": manifest.get("store"),
        "commit": manifest.get("commit"),
        **(manifest.get("versions") or {}),
    }
    made = tuple((name, _value(value)) for name, value in facts.items() if value is not None)
    return {
        "versions": Table("Versions and seed", (Column("what"), Column("value")), made),
        "settings": Table("Settings", (Column("setting"), Column("value")), settings),
    }


_LOSSES = ("loss", "valid_loss")
_SCORES = ("valid_macro_f1", "valid_tail_recall")


def _history(run: Run) -> tuple[list[dict[str, float]], str]:
    """Rows of the training history, or why they cannot be read."""
    path = run.path / "history.csv"
    if not path.exists():
        return [], ""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    except (OSError, ValueError, TypeError, csv.Error) as error:
        return [], f"The history of the training cannot be read: {error}."
    if rows and "epoch" not in rows[0]:
        return [], "The history of the training has no column 'epoch'."
    return rows, ""


def _defined(rows: list[dict[str, float]], name: str) -> bool:
    return any(not math.isnan(row[name]) for row in rows)


def _flat(settings: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Settings by their dotted names."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", _value(value)


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


SHOWN = 200  # albums of one kind on a page


def albums(predictions: Predictions) -> Parts:
    """Albums with a genre tag, one row each, by what became of them: wrong, unsure, right.

    Unsure are those whose best genre has a probability below one half, right or wrong. The surest
    come first. Empty where an album may have several genres.
    """
    known = predictions.take(np.flatnonzero(predictions.bags.known))
    if predictions.bags.multi_label or not len(known) or known.link == "none":
        return {}
    sure = known.probabilities.max(axis=1)
    right, unsure = known.best == known.labels, sure < SURE
    kinds = {"wrong": ~right & ~unsure, "unsure": unsure, "right": right & ~unsure}
    counts = ", ".join(f"{int(which.sum()):,} {kind}" for kind, which in kinds.items())
    also = (
        f" Of the unsure, {int((right & unsure).sum()):,} would be right." if unsure.any() else ""
    )
    found: Parts = {
        "albums": f"{len(known):,} albums by artists it had not heard: {counts}.{also} Right means "
        "as tagged, and a tag may be wrong, too; Rock for Indie Rock counts as wrong here, though "
        "'matt predict' lets related genres agree."
    }
    for kind, those in kinds.items():
        which = np.flatnonzero(those)
        which = which[np.argsort(-sure[which], kind="stable")]
        if which.size:
            more = (f"{len(which) - SHOWN:,} more are not listed.",) if len(which) > SHOWN else ()
            rows = _labelled(known.take(which[:SHOWN]))
            found[f"albums-{kind}"] = _albums_table(capital(kind), rows, more)
    return found


def _labelled(predictions: Predictions) -> list[dict[str, Any]]:
    """Rows of albums with one genre, which are tagged what counts as right."""
    rows = zip(album_rows(predictions), predictions.labels.tolist(), strict=True)
    return [{**row, "tagged": predictions.genres[label]} for row, label in rows]


def _albums_table(title: str, rows: Sequence[Mapping[str, Any]], notes: tuple[str, ...]) -> Table:
    def at(place: int, what: str) -> Callable[[Mapping[str, Any]], Any]:
        return lambda row: row["top"][place][what]

    return Table.of(
        title,
        rows,
        ("artist", "text", lambda row: row["artist"] or ""),
        ("album", "text", lambda row: row["album"] or name_of(row["tracks"][0])),
        ("tag", "text", itemgetter("tagged")),
        ("genre", "text", at(0, "genre")),
        ("how sure", "percent", at(0, "probability")),
        ("second", "text", at(1, "genre")),
        notes=notes,
    )


LISTED = 12  # tracks of one album in a table
NONE = (
    "No album is shown: there is none of three tracks or more whose genre is known, or the model "
    "weighs no tracks."
)


def examples(predictions: Predictions) -> dict[str, Table | Picture]:
    """Tables and pictures of a few albums, right ones before wrong ones.

    Returns
    -------
    dict of str to Table or Picture
        ``album-1``, ``album-1-tracks``, ``album-2``, ... Empty where no track's part is known.
    """
    if predictions.attention is None or predictions.bags.multi_label or predictions.link == "none":
        return {}
    found: dict[str, Table | Picture] = {}
    telling = telling_bags(predictions, sure_mistake=True)
    chosen = {_KINDS[kind]: bag for kind, bag in telling.items()}
    if not chosen:
        return {}
    rows = _labelled(only(predictions, np.array(list(chosen.values()))))
    for number, (kind, row) in enumerate(zip(chosen, rows, strict=True), start=1):
        if row["tracks"][0]["margin"] is not None:
            found[f"album-{number}"] = album_picture(row, f"{capital(kind)}: {_told(row)}; ")
        found[f"album-{number}-tracks"] = _table(row, kind)
    return found


def only(predictions: Predictions, which: NDArray[np.int64]) -> Predictions:
    """Return the chosen bags, in the given order, with their segments."""
    made = predictions.take(which)
    offsets = predictions.segment_offsets
    if offsets is None or predictions.attention is None or predictions.segment_logits is None:
        return made
    tracks, _ = gather(predictions.bags.offsets, which)
    segments, starts = gather(offsets, tracks)
    return replace(
        made,
        segment_offsets=starts,
        attention=predictions.attention[segments],
        segment_logits=predictions.segment_logits[segments],
    )


_KINDS = {
    "the surest": "right, the surest",
    "of the rarest genre": "right, of the rarest genre",
    "mistaken": "wrong, narrowly",
    "surely mistaken": "wrong, and sure of it",
}


def _told(row: Mapping[str, Any]) -> str:
    """Which album this is; where nothing says so, by its first track."""
    album = cut(str(row["album"] or name_of(row["tracks"][0])), most=80)
    return f"{album} by {cut(str(row['artist']), most=60)}" if row["artist"] else album


def album_picture(row: Mapping[str, Any], before: str) -> Picture:
    """How much each track of an album spoke for its genre; ``before`` begins what is said of it."""
    figure = plots.contributions(
        [name_of(track) for track in row["tracks"]],
        np.array([np.nan if (m := track["margin"]) is None else m for track in row["tracks"]]),
        genre=row["genre"],
        title=_told(row),
        effects=np.array([np.nan if (e := t["effect"]) is None else e for t in row["tracks"]]),
    )
    said = f"true genre {row['tagged']}, predicted {row['genre']} ({percent(row['probability'])})"
    return Picture.of(figure, f"{before}{said}.")


def _table(row: Mapping[str, Any], kind: str) -> Table:
    table = decided_table(row)
    rest = len(table.rows) - LISTED
    more = (f"{rest:,} more tracks are not listed.",) if rest > 0 else ()
    title = f"{cut(table.title, most=140)} ({kind})"
    return replace(table, title=title, rows=table.rows[:LISTED], notes=(*table.notes, *more))


def items_by_name(
    made: Mapping[str, Predictions], *, unit: str = "track_of_bag"
) -> dict[str, Items]:
    """Items of the first few predictions, as many as a picture has lines."""
    return {name: items_of(p, unit=unit) for name, p in list(made.items())[: plots.MOST]}


def curve_pictures(items: Mapping[str, Items]) -> dict[str, Picture]:
    """Precision and recall of each name: ``curves``, and for the genres ``genre-curves``.

    Names whose scores rank nothing are left out; empty where there is none.
    """
    ranked = {name: some for name, some in items.items() if len(some) and not some.no_ranking}
    if not ranked:
        return {}
    first = next(iter(ranked.values()))
    micro = {name: micro_curve(some.values, some.truth) for name, some in ranked.items()}
    chance = float(first.truth.mean())
    figure = plots.micro_curves(micro, chance=chance, unit=first.unit, n=len(first))
    rare, n = tail(first.train_counts), first.truth.sum(axis=0)
    order = np.argsort(-first.train_counts, kind="stable")
    panels = [
        plots.GenrePanel(
            first.genres[g],
            int(n[g]),
            float(n[g] / len(first)),
            {name: _of_genre(some, first.genres[g]) for name, some in ranked.items()},
            bool(rare[g]),
        )
        for g in order
        if n[g]
    ]
    by_genre = plots.genre_curves(panels, unit=first.unit)
    left = len(panels) - plots.PANELS
    more = f" The {left} genres with the fewest training tracks are not drawn." if left > 0 else ""
    absent = int((n == 0).sum())
    untested = f" {absent} genres have no test item." if absent else ""
    return {
        "curves": Picture.of(
            figure,
            "Precision and recall over all pairs of item and genre; AP is the area of the steps.",
        ),
        "genre-curves": Picture.of(
            by_genre,
            "Precision and recall of each genre against the others, from the most to the fewest "
            "training tracks, rare ones in the tail's colour; the level line is chance."
            f"{more}{untested}",
        ),
    }


def sure_pictures(items: Mapping[str, Items]) -> dict[str, Picture]:
    """Calibration and coverage: ``reliability``, ``coverage``.

    Names without probabilities, or of another unit than the first, are left out.
    """
    units = [some.unit for some in items.values()]
    sure = {
        name: (some, some.probabilities)
        for name, some in items.items()
        if some.probabilities is not None and len(some) and some.unit == units[0]
    }
    if not sure:
        return {}
    first = next(some for some, _ in sure.values())
    bins = {
        name: reliability(values, some.truth, link=some.link)
        for name, (some, values) in sure.items()
    }
    found = {
        "reliability": Picture.of(
            plots.reliability(bins, unit=first.unit),
            "How often forecasts of some confidence come true. Below the diagonal a model is too "
            "sure, above it not sure enough; hollow points are of fewer than ten "
            "forecasts. Beneath, the share of forecasts in each bin.",
        )
    }
    answers = {
        name: coverage_of(values.astype(np.float64), some.labels)
        for name, (some, values) in sure.items()
        if some.labels is not None
    }
    covered = {name: (made.share, made.accuracy) for name, made in answers.items()}
    if covered:
        found["coverage"] = Picture.of(
            plots.coverage(covered, unit=first.unit, n=len(first)),
            "Accuracy if only the surest items are answered and the others are left to a person.",
        )
    return found


def distribution_picture(scores: Scores) -> Picture:
    """Training tracks of each genre."""
    counts = np.array([genre.train_tracks for genre in scores.genres])
    rare = np.array([genre.tail for genre in scores.genres])
    figure = plots.genre_distribution(counts, [g.genre for g in scores.genres], tail=rare)
    return Picture.of(figure, "Training tracks of each genre, the tail in its colour.")


def confusion_picture(scores: Scores, model: str) -> Picture | None:
    """Which genre was taken for which; None where an item may have several genres."""
    if scores.confusion is None:
        return None
    rare = np.array([genre.tail for genre in scores.genres])
    names = [genre.genre for genre in scores.genres]
    figure = plots.confusion(scores.confusion, names, tail=rare, unit=scores.unit)
    return Picture.of(figure, f"Confusion on the test split: {model} (unit: {scores.unit}).")


def _of_genre(items: Items, genre: str) -> plots.Curve:
    g = items.genres.index(genre)
    return precision_recall(items.values[:, g], items.truth[:, g])
