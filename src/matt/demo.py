"""The demonstration: real features first, then the whole way from audio files to genres.

Part 1 trains on real tracks of the Free Music Archive that are shipped in the package. Part 2
writes a *synthetic* library of audio files and goes through scan, extraction, training and
explanation.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from . import experiment, splits
from .comparison import FittedRow, bag_model, track_model
from .config import Settings
from .datasets.embedded import fma_mfcc
from .datasets.folder import Scan, scan
from .datasets.synthetic import write_library
from .evaluation import plots
from .evaluation.intervals import overlap
from .evaluation.report import Picture, ReportPage, Section
from .evaluation.scores import Scores, majority, score
from .evaluation.summaries import MAJORITY, files_table, split_table
from .evaluation.tables import Table
from .features.extract import extract
from .features.report import ExtractionReport
from .features.spec import FeatureSettings
from .features.store import FeatureStore, with_features
from .files import locks, write_bytes
from .library.albums import album_rows, decided_table, telling_bags
from .provenance import made
from .recipes import DEFAULT, PLAIN
from .reports.sections import album_picture
from .reports.subjects import tables_of
from .runs import Run
from .tracks import Tracks

N_SPLITS = 5
TAIL, TAIL_TRACKS = "Hip-Hop", 40
SYNTHETIC = Settings(features=FeatureSettings(policy="middle", duration=8.0))

_STAGES = {"looking": "comparing with the store", "extracting": "extracting features"}

# (step, done, total, detail)
Progress = Callable[[str, int, int, str], None]

_PLAIN = PLAIN.training
_ADJUSTED = replace(_PLAIN, logit_adjustment=1.0)
_DOT = replace(PLAIN.model, pooling="dot")
CONTROL = "control, trained as the default"
ROWS = (
    track_model("MLP per track", PLAIN.model, _PLAIN, average=False),
    track_model("control: MLP per track, averaged", PLAIN.model, _PLAIN, average=True),
    bag_model("+MIL (mean)", PLAIN.model, _PLAIN),
    bag_model(
        "MATT as in the paper",  # dot score, read with the true genre's query
        replace(_DOT, query="true", scale="fixed"),
        _PLAIN,
    ),
    track_model("control + LA", PLAIN.model, _ADJUSTED, average=True),
    bag_model("MATT, all queries + LA", _DOT, _ADJUSTED),
    track_model(CONTROL, DEFAULT.model, DEFAULT.training, average=True),
    bag_model(
        "default, with MATT's attention", replace(DEFAULT.model, pooling="dot"), DEFAULT.training
    ),
    bag_model("default", DEFAULT.model, DEFAULT.training),
)
SYNTHETIC_ROWS = (ROWS[0], ROWS[1], ROWS[6], ROWS[8])
LEAD = (
    "What bags, attention and a prior-corrected loss are worth, on real features of the Free Music "
    "Archive and on a library of audio files made for this page. No artist is in two splits, the "
    "best epoch is chosen on the validation split, and the test split is used once."
)
REAL_TEXT = (
    "1,975 tracks of the Free Music Archive, 140 MFCC statistics each. Hip-Hop is cut to "
    "40 training tracks to make a long tail; validation and test are not cut. A bag is "
    "a run of neighbouring tracks of one artist, which stands in for the album. LA is logit "
    "adjustment, a loss that corrects for the training counts. Default is mean pooling with LA, "
    "random sub-bags, a per-segment loss, tracks drawn towards their bag, how far they are apart, "
    "averaged weights, and ranks as inputs; the control beside it has all of that that a track "
    "model can have."
)
SYNTHETIC_TEXT = (
    "Synthetic: the music and its tags are made by a program, so these numbers say nothing about "
    "real genres; they show that the way from audio files to a result works."
)


@dataclass(frozen=True, eq=False)
class Demo:
    """What the demonstration showed.

    Attributes
    ----------
    run : Run
    tables : dict of str to Table
        ``"real"`` and ``"synthetic"``: mean and standard deviation of each row over splits.
        ``"genres"``: genres of the synthetic library on one split. ``"files"``: which of its files
        were left out or used in part, and why.
    albums : dict of str to dict
        Albums of the synthetic library by what they are an example of, as
        `matt.library.albums.album_rows` gives them.
    seconds : dict of str to float
        Of each step.
    """

    run: Run
    tables: Mapping[str, Table]
    albums: Mapping[str, Mapping[str, Any]]
    seconds: Mapping[str, float]

    @property
    def shown(self) -> list[Table]:
        """All tables, in the order in which they are read."""
        return [*self.tables.values(), *map(decided_table, self.albums.values())]


@locks()
def run_demo(
    out: Path | str,
    *,
    seed: int = 0,
    n_splits: int = N_SPLITS,
    n_tracks: int = 400,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Demo:
    """Run both parts and write everything into one run folder.

    Parameters
    ----------
    out : path
        Run folder; the library and its features in it are used again by the next run.
    seed : int
        Of the splits, the training and the synthetic library.
    n_splits : int >= 1
        Artist-disjoint splits, each with its own seed.
    n_tracks : int
        Size of the synthetic library.
    workers : int, optional
        Processes; by default one a core.
    progress : callable, optional
        Called with (step, done, total, detail).
    """
    tell = progress or (lambda step, done, total, detail: None)
    settings = {"n_splits": n_splits, "n_tracks": n_tracks, "synthetic": SYNTHETIC.to_json()}
    run = Run.create(out, kind="demo", settings=settings, seed=seed)
    clock = _Clock()

    tracks, features = fma_mfcc()
    real, real_ratio = _compare(run, "real", tracks, features, seed, n_splits, tell)
    clock.lap("real: training")

    found, report = _library(run.path, seed, n_tracks, workers, tell, clock)
    features = FeatureStore.open(run.path / f"features-{seed}-{n_tracks}")
    tracks = with_features(found.tracks, features)
    synthetic, synthetic_ratio = _compare(run, "synthetic", tracks, features, seed, n_splits, tell)
    inner = experiment.run(
        tracks,
        features,
        replace(SYNTHETIC, seed=seed),
        run.path / "synthetic",
        title="Synthetic library, one split",
        synthetic=True,
    )
    clock.lap("synthetic: training")

    predictions = inner.predictions("test")
    rows = album_rows(predictions)
    demo = Demo(
        run,
        {
            "real": split_table(
                real,
                title=f"Real FMA features: Rock, and a {TAIL} tail of {TAIL_TRACKS} tracks",
                against=CONTROL,
                ratio=real_ratio,
            ),
            "synthetic": split_table(
                synthetic,
                title="Synthetic library, from audio files",
                against=CONTROL,
                ratio=synthetic_ratio,
            ),
            "genres": tables_of({"test": predictions}, rounds=0)["genres"],
            "files": _files_table(found, report),
        },
        {kind: rows[bag] for kind, bag in telling_bags(predictions).items()},
        clock.seconds,
    )
    run.save_scores({name: table.to_json() for name, table in demo.tables.items()})
    write_page(run, demo.tables, demo.albums, inner, real)
    run.finish(seconds={step: round(s, 1) for step, s in clock.seconds.items()})
    return demo


def _files_table(found: Scan, report: ExtractionReport) -> Table:
    """Planted bad files: what became of each."""
    befell: dict[str, Sequence[Any]] = {
        "failures": [*found.problems, *report.failures],
        "partial": report.partial,
        "silent": report.silent,
    }
    used = report.total - report.failed - len(report.silent)
    table = files_table(
        {
            kind: [{"path": Path(file.path).name, "reason": file.reason} for file in files]
            for kind, files in befell.items()
        },
        title=f"Files of the synthetic library: {used} used",
    )
    return replace(table, notes=("The bad files are planted, to show what happens.",))


def _compare(
    run: Run,
    part: str,
    tracks: Tracks,
    features: FeatureStore,
    seed: int,
    n_splits: int,
    tell: Progress,
) -> tuple[dict[str, list[Scores]], float]:
    """Scores of each row on each split, each track under its own label; and how these overlap."""
    real = part == "real"
    rows, by = (ROWS, "artist_run") if real else (SYNTHETIC_ROWS, "album")
    scores: dict[str, list[Scores]] = {MAJORITY: []}
    total, parted = n_splits * len(rows), []
    for number in range(n_splits):
        here = seed + number
        split = splits.by_artist(tracks, seed=here)
        if real:
            split = splits.thin(split, {TAIL: TAIL_TRACKS}, by=by, seed=here)
        parted.append(split)
        for place, row in enumerate(rows):
            tell(f"{part}: training", number * len(rows) + place, total, row.name)
            fitted = FittedRow.of(replace(row, bags=by), features, split, seed=here)
            predictions = fitted.predict_row(fitted.bags("test"), explain=True)
            scores.setdefault(row.name, []).append(score(predictions, unit="track_of_bag"))
            name = f"{part}-split{number}-row{place}"
            run.save_predictions(name, predictions)
            run.save_history(fitted.model.history, f"history/{name}")
        scores[MAJORITY].append(score(majority(predictions), unit="track_of_bag"))
    tell(f"{part}: training", total, total, "")
    return scores, overlap(tracks, parted)


def _library(
    path: Path, seed: int, n_tracks: int, workers: int | None, tell: Progress, clock: _Clock
) -> tuple[Scan, ExtractionReport]:
    """Write the synthetic library, scan it, extract; what is there already is used again."""
    # One folder for each set of parameters: another seed is another library.
    root = path / f"library-{seed}-{n_tracks}"
    write_library(
        root,
        seed=seed,
        tracks=n_tracks,
        workers=workers or 2,
        progress=lambda done, total: tell("writing the synthetic library", done, total, ""),
    )
    clock.lap("writing the synthetic library")
    found = scan(root)
    report = extract(
        found.tracks,
        SYNTHETIC.features.spec(),
        path / f"features-{seed}-{n_tracks}",
        workers=workers,
        progress=lambda p: tell(_STAGES[p.stage], p.done, p.total, f"{p.failed} failed"),
    )
    clock.lap("extracting features")
    return found, report


class _Clock:
    """Seconds of each step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, step: str) -> None:
        now = time.perf_counter()
        self.seconds[step], self._last = now - self._last, now


def write_page(
    run: Run,
    tables: Mapping[str, Table],
    albums: Mapping[str, Mapping[str, Any]],
    inner: Run,
    real: Mapping[str, Sequence[Scores]],
) -> None:
    """Write the pictures under ``plots``, and the page that holds everything.

    Parameters
    ----------
    run : Run
        The demonstration.
    tables, albums : mappings
        As in `Demo`.
    inner : Run
        The one on the synthetic library, whose pictures are shown as well.
    real : dict of str to sequence of Scores
        Of each row on real data, one a split.
    """
    compared = Picture.of(
        plots.comparison(
            {name: [s.macro_f1 for s in scores] for name, scores in real.items()},
            label="macro-F1 on test: points are splits, bars means",
            highlight=["default"],
        ),
        "Real FMA features: macro-F1 of each row (unit as in the table).",
    )
    write_bytes(run.plot("real"), compared.png)
    pictures = [album_picture(row, f"Synthetic album, {kind}: ") for kind, row in albums.items()]
    for number, picture in enumerate(pictures):
        write_bytes(run.plot(f"album-{number}"), picture.png)
    drawn = [
        Picture(inner.plot(name).read_bytes(), f"Synthetic library: {caption}.")
        for name, caption in (
            ("genres", "training tracks of each genre, the tail in its colour"),
            ("confusion", "confusion on the test split (unit: bag over tracks)"),
        )
    ]
    sections = [
        Section("Real music", [REAL_TEXT, compared, tables["real"]]),
        Section(
            "From audio files to genres: a synthetic library",
            [SYNTHETIC_TEXT, tables["synthetic"], tables["genres"], *drawn, tables["files"]],
        ),
        Section("Which tracks decided", [*pictures, *(decided_table(r) for r in albums.values())]),
    ]
    title = "matt: the demonstration"
    ReportPage(title=title, lead=LEAD, sections=sections, footer=made(run.manifest)).write(
        run.report
    )
