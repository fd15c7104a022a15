"""One configuration, one run: split, fit, predict, compare with the controls, write it all down."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from . import splits
from .comparison import FittedRow, Row, fitted_rows, single, strong_controls
from .config import Settings, to_toml
from .datasets.audit import Audit, audit, is_cheap
from .errors import DataError
from .evaluation import plots
from .evaluation.report import Picture, ReportPage, Section
from .evaluation.scores import score
from .evaluation.summaries import files_table
from .evaluation.tables import Column, Table, capital
from .faults import fault_texts
from .features.store import FeatureStore, with_features
from .files import locks, write_bytes, write_text
from .folds import answer_out_of_fold
from .predictions import Predictions
from .provenance import digest
from .provenance import made as made_by
from .reports.lines import lines_of
from .reports.sections import albums, confusion_picture, distribution_picture
from .reports.subjects import tables_of
from .review.corrections import Corrections
from .review.curve import curve, curve_picture, curve_table
from .runs import OUT_OF_FOLD, Run
from .tracks import SPLITS, Tracks


def prepare(tracks: Tracks, features: FeatureStore, settings: Settings) -> Tracks:
    """Keep the tracks that have features, and `divide` them.

    Raises
    ------
    DataError
        As there, or if no track has features.
    """
    return divide(with_features(tracks, features), settings)


def divide(tracks: Tracks, settings: Settings) -> Tracks:
    """Split tracks by artist where no split is given.

    Raises
    ------
    DataError
        If fewer than two genres can be trained, or nothing can be tested.
    """
    usable = tracks
    if not (usable.split != "").any():
        shares = {"validation": settings.splits.validation, "test": settings.splits.test}
        usable = splits.by_artist(usable, **shares, seed=settings.seed)
    n_trained = int((usable.train_counts > 0).sum())
    if n_trained < 2:
        raise DataError(
            f"{('no', 'only one')[n_trained]} genre has labelled training tracks, "
            "a classifier needs two; "
            "tag more albums with genres, or use a larger library"
        )
    if not (usable.labelled & (usable.split == "test")).any():
        n_artists = len(np.unique(usable.artist_id[usable.labelled]))
        raise DataError(
            f"no test track has a known genre, so nothing could be said of the model: the labelled "
            f"tracks are by {n_artists} artists, and a genre needs two to be tested; tag more"
        )
    return usable


CANDIDATES = ("summary", "musicnn", "combined")
"""Kinds of features that validation chooses from where nobody does, the cheapest first."""


@dataclass(frozen=True, eq=False)
class Choice:
    """Which features validation chose.

    Attributes
    ----------
    kind : str
        One of `CANDIDATES`.
    tracks : Tracks
        Those of which there are all features, with splits: what is trained on the chosen ones has
        to keep them.
    table : Table
        How each of them did.
    note : str
        The same in a line.
    """

    kind: str
    tracks: Tracks
    table: Table
    note: str


def choose_features(
    tracks: Tracks, stores: Mapping[str, FeatureStore], settings: Settings
) -> Choice:
    """Try features by one network each, on the validation split alone.

    Parameters
    ----------
    tracks : Tracks
    stores : mapping of str to FeatureStore
        By kind; of equal ones the first is taken, as it is without validation tracks.
    settings : Settings
        What is trained on what is chosen.

    Raises
    ------
    DataError
        As `prepare`.
    """
    usable = prepare(with_features(tracks, *stores.values()), next(iter(stores.values())), settings)
    found: dict[str, float] = {}
    n, one = 0, single(fitted_rows(settings, controls=False)[0])
    if (usable.labelled & (usable.split == "validation")).any():
        for kind, store in stores.items():
            fitted = FittedRow.of(replace(one, name=kind), store, usable, seed=settings.seed)
            scores = score(fitted.predict_row(fitted.bags("validation")), unit="track_of_bag")
            found[kind], n = scores.macro_f1, scores.n
    kind = max(found, key=lambda name: found[name], default=next(iter(stores)))
    told = ", ".join(f"{name} {value:.3f}" for name, value in found.items())
    columns = Column("features"), Column("n", "int"), Column("macro-F1, validation", "share")
    rows = tuple((name, n, value) for name, value in found.items())
    return Choice(
        kind,
        usable,
        Table("Features, chosen on validation", columns, rows),
        f"features are {kind}: macro-F1 of one network each on the {n:,} tracks of the validation "
        f"split, {told}"
        if told
        else f"features are {kind}: without validation tracks none could be chosen",
    )


@locks()
def run(
    tracks: Tracks,
    features: FeatureStore,
    settings: Settings,
    path: Path | str,
    *,
    title: str = "Training run",
    controls: bool = True,
    notes: Sequence[str] = (),
    progress: Callable[[str, Mapping[str, float]], None] | None = None,
    warn: Callable[[str], None] | None = None,
    ready: Callable[[], None] | None = None,
    resume: bool = False,
    library: bool = False,
    out_of_fold: bool = False,
    corrections: Corrections | None = None,
    workers: int = 1,
    fitting: Callable[[int, int], None] | None = None,
    **facts: Any,
) -> Run:
    """Train, compare with the controls on the test split, and write a complete run folder.

    Before anything is learned the data are audited; what that finds is in the manifest and in the
    report. Nothing is hashed for it, and near-duplicates are looked for where that is quick.

    Parameters
    ----------
    tracks : Tracks
        Without splits they are split by artist, see `prepare`.
    features : FeatureStore
    settings : Settings
    path : path
        Run folder, new or of an earlier run.
    title : str
        Of the report.
    controls : bool
        Also fit the track model (the majority class costs nothing and always stands there).
    notes : sequence of str
        What is to be known of the data, for the report and the manifest.
    progress : callable, optional
        Called with the name of the row and its history after each epoch.
    warn : callable, optional
        Called with each warning of the audit, before the training.
    ready : callable, optional
        Called before the first training, when others can `comparison.take_part`.
    resume : bool
        Go on where an unfinished run in the folder was killed: after the last whole epoch, with
        the same result as if it never had been.
    library : bool
        The tracks are somebody's own music: the report opens with its albums, and the manifest has
        `lines_of` the run.
    out_of_fold : bool
        Also answer each album that is learned from by a network that has heard none of its artists,
        see `matt.folds`; the run keeps that as predictions "out-of-fold".
    corrections : Corrections, optional
        Of which the tracks are: the run keeps them, and its lines and report tell of them.
    workers, fitting
        Of what is blended with a network, as in `BlendClassifier.fit`.
    **facts
        Kept in the manifest.

    Returns
    -------
    Run

    Raises
    ------
    DataError
        If the data cannot be trained on; what was written before stays readable. Also if the run to
        resume is finished, or of other settings, data or versions.
    """
    tracks, faults = prepare(tracks, features, settings), settings.present_faults
    found = audit(tracks, by=settings.bags, features=features if is_cheap(features) else None)
    if warn is not None:
        for warning in found.warnings():
            warn(warning)
    out = Run.create(
        path,
        kind="train",
        settings=settings.to_json(),
        seed=settings.seed,
        resume=resume,
        data=digest(tracks),
        data_notes=list(notes),
        audit=found.counts(),
        warnings=list(found.warnings()),
        faults=list(faults),
        library=library,
        **({} if corrections is None else {"corrections": corrections.facts}),
        **facts,
    )
    if corrections is not None:
        out.save_corrections(corrections.to_json())
    write_text(out.settings, to_toml(settings))
    out.save_tracks(tracks)
    if ready is not None:
        ready()
    start = monotonic()

    def fitted(row: Row) -> FittedRow:
        told = None if progress is None else lambda epoch: progress(row.name, epoch)
        return FittedRow.of(
            row,
            features,
            tracks,
            seed=settings.seed,
            progress=told,
            checkpoint=out.checkpoint(row.name),
            workers=workers,
            fitting=fitting,
        )

    main, *others = fitted_rows(settings, controls=controls)
    first = fitted(main)
    model, test = first.model, first.bags("test")
    model.save(out.model)
    out.save_history(model.history)
    noted = [*settings.inert_faults, *model.notes]
    predictions = first.predict_row(test, explain=True)
    made = {"test": predictions, "test-alone": first.predict(first.bags("test", by="track"))}
    for row in others:
        control = fitted(row)
        own = [note for note in control.model.notes if note not in model.notes]
        noted += [f"{row.name}: {note}" for note in own]
        made["control"] = control.predict_row(test)
        made["control-alone"] = replace(control, row=replace(row, average=False)).predict_row(test)
    if controls:
        strong, left_out = strong_controls(tracks, features.spec.shape, bags=settings.bags)
        for name, row in strong.items():
            within = first.beside(row)  # whose notes are the blend's
            control = within or fitted(row)
            made[name] = control.predict_row(test)
            said = () if within else control.model.notes
            noted += [f"{row.name}: {note}" for note in said if note not in model.notes]
        noted += left_out
    for name, some in made.items():
        out.save_predictions(name, some)
    if out_of_fold:
        took = monotonic() - start
        answer = answer_out_of_fold(
            tracks, features, settings, progress=progress, checkpoint=out.checkpoint
        )
        noted.append(f"{answer.note}, after {took:.0f} s for all else")
        if answer.predictions is not None:
            out.save_predictions(OUT_OF_FOLD, answer.predictions)
    tables = tables_of(made, model=main.name, faults=faults)
    out.save_scores({name: table.to_json() for name, table in tables.items()})
    untestable = splits.untestable(tracks)
    lines = lines_of(made, tracks, by=settings.bags, model=main.name) if library else None
    if lines is not None and corrections is not None:
        lines = replace(lines, told=(*lines.told, corrections.line))
    told = [*_told(tracks, found, untestable, noted), *notes, *fault_texts(faults, red=False)]
    page = ReportPage(
        title=title,
        lead="\n\n".join(told if lines is None else lines.told),
        warnings=fault_texts(faults, red=True),
        sections=[
            *([] if lines is None else [Section("Albums", [*albums(predictions).values()])]),
            *([] if corrections is None else [_taught(corrections)]),
            Section("Results", [*tables.values()]),
            Section("Pictures", draw(out, predictions, model.history, model=main.name)),
            *([Section("Files", [files])] if (files := files_table(out.manifest)).rows else []),
            *([] if lines is None else [Section("Notes", ["\n\n".join(told)])]),
        ],
        footer=made_by(out.manifest),
    )
    page.write(out.report)
    if lines is not None:
        out.write(lines=list(lines.told), weak=lines.weak)
    out.finish(notes=noted, untestable=list(untestable))
    return out


def _taught(corrections: Corrections) -> Section:
    """How often the model had been right when a person decided."""
    points = curve(corrections.used)
    caption = "How often matt had said what you decided, by the number of albums decided."
    return Section("Corrections", [curve_table(points), Picture.of(curve_picture(points), caption)])


def draw(
    out: Run,
    predictions: Predictions,
    history: Sequence[Mapping[str, float]],
    *,
    model: str,
) -> list[Picture]:
    """Pictures of a run: files under ``plots``, and the same for its report."""
    scores = score(predictions, unit="track_of_bag")
    pictures = {"genres": distribution_picture(scores)}
    if history:
        epochs = plots.history(history, losses=["loss"], scores=["valid_macro_f1"])
        caption = "Loss, and macro-F1 of the validation split, by epoch."
        pictures["history"] = Picture.of(epochs, caption)
    matrix = confusion_picture(scores, model)
    if matrix is not None:
        pictures["confusion"] = matrix
    for name, picture in pictures.items():
        write_bytes(out.plot(name), picture.png)
    return list(pictures.values())


def _told(
    tracks: Tracks, found: Audit, untestable: Sequence[str], notes: Sequence[str]
) -> list[str]:
    counts = ", ".join(f"{int((tracks.split == s).sum()):,} {s}" for s in SPLITS)
    crossing, without = len(found.artists.groups), found.artists.n_tracks_without
    artists = f"{crossing:,} of {found.artists.n:,} artists are" if crossing else "no artist is"
    unknown = f" ({without:,} tracks have no known artist)" if without else ""
    told = [f"{len(tracks):,} tracks ({counts}); {artists} in two splits{unknown}."]
    told += [f"{capital(warning)}." for warning in found.warnings()]
    told += notes
    if untestable:
        names = ", ".join(untestable)
        told.append(f"No test track has these genres, so nothing is known of them: {names}.")
    return told
