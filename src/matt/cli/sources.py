"""From a folder or a table to tracks and features: read, extract with progress, tell failures."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .console import SOME_FAILED, Output, add_bar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from ..datasets.folder import Problem, Scan
    from ..features.extract import Progress, Report
    from ..features.spec import FeatureSpec
    from ..features.store import FeatureStore
    from ..tracks import Tracks

Folder = Annotated[Path, typer.Argument(help="Folder of tagged music.", show_default=False)]
SourcePath = Annotated[
    Path,
    typer.Argument(
        metavar="SOURCE",
        help="Folder of tagged music, TOML of a table, or tracks.parquet of 'matt scan' or a run.",
        show_default=False,
    ),
]
Store = Annotated[
    Path | None,
    typer.Option(
        "--store", help="Where features are kept; by default in the user's cache ($MATT_CACHE)."
    ),
]
Salvage = Annotated[bool, typer.Option("--salvage", help="Use what decodes of damaged files.")]
Retry = Annotated[bool, typer.Option("--retry-failed", help="Try files again that failed before.")]

_SHOWN = 20  # lines of a list of failures on a terminal; --json and a run's report hold all
IN_PART = "are cut off or damaged, and used in part"


@dataclass(frozen=True, eq=False)
class Source:
    """Tracks, wherever they come from.

    Attributes
    ----------
    path : Path
        What the user named.
    tracks : Tracks
    features : FeatureStore or None
        Where they come with the tracks.
    problems : tuple
        Files that could not be read.
    notes : tuple of str
        What the user should know of the data.
    """

    path: Path
    tracks: Tracks
    features: FeatureStore | None = None
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()


def open_source(path: Path, output: Output) -> Source:
    """Scan a folder, or load a table.

    Raises
    ------
    DataError, ConfigError
        If it is neither, or cannot be read.
    """
    from ..datasets import table
    from ..errors import DataError
    from ..tracks import Tracks

    suffix = path.suffix.lower()
    if suffix == ".toml":
        loaded = table.load(path)
        for note in loaded.notes:
            output.note(note)
        return Source(path, loaded.tracks, loaded.features, notes=loaded.notes)
    if suffix == ".parquet":
        return Source(path, Tracks.load(path))
    if path.is_file():
        raise DataError(
            f"{path} is a file; describe a table by a small TOML (table = {path.name!r}, and what "
            "its columns are), or name a folder of music"
        )
    found = scan_folder(path, output)
    return Source(path, found.tracks, problems=found.problems)


def source_features(
    source: Source, spec: FeatureSpec, store: Path | None, output: Output, **options: Any
) -> tuple[FeatureStore, Report | None, Path | None]:
    """Features of a source, extracted if it has audio, with the report and the folder of the store.

    Raises
    ------
    DataError
        If there is nothing to compute features from.
    """
    from ..errors import DataError
    from ..features.store import FeatureStore

    if source.features is not None:
        return source.features, None, None
    tracks = source.tracks.take(source.tracks.path != "")
    if len(tracks):
        place = store or default_store(source.path, spec)
        features, report = extract_tracks(tracks, spec, place, output, **options)
        return features, report, place
    if store is not None:
        return FeatureStore.open(store), None, store
    raise DataError(
        f"{source.path} names neither features nor audio; add features = 'COLUMNS*', embeddings or "
        "audio to the TOML, or name a store with --store"
    )


def default_store(folder: Path, spec: FeatureSpec) -> Path:
    """Where the features of a folder are kept unless the user says: outside the music itself."""
    import platformdirs

    from ..tracks import stable_id

    given = os.environ.get("MATT_CACHE")
    cache = Path(given) if given else platformdirs.user_cache_path("matt")
    root = folder.resolve()
    name = re.sub(r"[^\w-]+", "-", root.name)[:40] or "music"
    return cache / "features" / f"{name}-{stable_id(str(root)):x}" / f"{spec.kind}-{spec.digest}"


def scan_folder(folder: Path, output: Output) -> Scan:
    """Scan with a progress bar; problems are named by their whole path, as failures are."""
    from ..datasets.folder import scan

    with output.progress() as bars:
        bar = add_bar(bars, "reading tags")
        found = scan(
            folder, progress=lambda done, total: bars.update(bar, completed=done, total=total)
        )
    root = folder.absolute()
    problems = (replace(problem, path=str(root / problem.path)) for problem in found.problems)
    return replace(found, problems=tuple(problems))


def extract_tracks(
    tracks: Tracks,
    spec: FeatureSpec,
    store: Path,
    output: Output,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    **options: Any,
) -> tuple[FeatureStore, Report]:
    """Extract what is missing with a progress bar, and open the store."""
    from ..features.extract import extract
    from ..features.store import FeatureStore

    with crew(scheduler, workers, store, tracks) as hands, output.progress() as bars:
        progress = ExtractionBars(bars, spec.kind)
        report = extract(tracks, spec, store, progress=progress, **options, **hands)
    return FeatureStore.open(store), report


@contextmanager
def crew(
    scheduler: str | None, workers: int | None, store: Path, tracks: Tracks
) -> Iterator[dict[str, Any]]:
    """Who extracts: arguments of `matt.features.extract.extract`, here or on a cluster."""
    if scheduler is None:
        yield {"workers": workers}
        return
    from ..errors import ConfigError
    from ..features.cluster import connected

    if workers is not None:
        raise ConfigError(
            "--workers counts processes of this machine, but --scheduler has the blocks done by "
            "its workers' threads; leave one of them out"
        )
    with connected(scheduler, [store], tracks.path.tolist()) as executor:
        yield {"executor": executor}


class ExtractionBars:
    """Bars of an extraction: files are compared with the store, then features are computed."""

    def __init__(self, bars: Bars, kind: str) -> None:
        self._bars, self._names = bars, {"looking": "comparing", "extracting": f"extracting {kind}"}
        self._shown: dict[str, TaskID] = {}

    def __call__(self, progress: Progress) -> None:
        """Move the bar of the stage, with the count of failures beside it."""
        if progress.stage not in self._shown:
            self._shown[progress.stage] = add_bar(self._bars, self._names[progress.stage])
        detail = f"{progress.failed} failed" if progress.failed else ""
        bar = self._shown[progress.stage]
        self._bars.update(bar, completed=progress.done, total=progress.total, detail=detail)


def lost_files(found: Scan | Source, report: Report | None) -> list[Any]:
    """Files that gave no features: left out by the scan, or failed in extraction."""
    left_out = [problem for problem in found.problems if not problem.kept]
    return [*left_out, *(report.failures if report else ())]


def tell_failures(failures: Iterable[Any], output: Output, *, what: str = "failed") -> None:
    """List failed files with path and reason."""
    tell_list(
        [f"{failure.path}: {failure.reason}" for failure in failures], output, f"files {what}"
    )


def tell_list(lines: list[str], output: Output, what: str) -> None:
    """Warn of a list under its count; of a long one the first lines are shown."""
    if lines:
        output.warn(f"{len(lines):,} {what}:")
    for line in lines[:_SHOWN]:
        output.warn(f"  {line}")
    if len(lines) > _SHOWN:
        output.warn(f"  ... and {len(lines) - _SHOWN:,} more, all with --json")


def failure_rows(failures: Iterable[Any]) -> list[dict[str, str]]:
    """Failures for a JSON document."""
    return [{"path": str(f.path), "reason": str(f.reason)} for f in failures]


def extraction_counts(report: Report) -> dict[str, int]:
    """What an extraction did, in numbers."""
    names = ("total", "extracted", "reused", "unchanged", "failed", "deleted", "undetectable")
    return {**{name: getattr(report, name) for name in names}, "partial": len(report.partial)}


def exit_if_failed(n_failed: int) -> None:
    """Exit with the code for "done, but some files failed"."""
    if n_failed:
        raise typer.Exit(SOME_FAILED)
