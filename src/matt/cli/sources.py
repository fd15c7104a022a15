"""From a folder or a table to tracks and features: read, extract with progress, tell failures."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from ..errors import ConfigError, DataError
from .console import SOME_FAILED, Output, clock

if TYPE_CHECKING:
    from ..datasets.folder import FileProblem, Scan
    from ..datasets.genres import Vocabulary
    from ..features.report import ExtractionReport
    from ..features.spec import FeatureSpec
    from ..features.store import FeatureStore
    from ..processes import Progress
    from ..tracks import Tracks

Folder = Annotated[Path, Argument(help="Folder of tagged music.", show_default=False)]
SourcePath = Annotated[
    Path,
    Argument(
        metavar="SOURCE",
        help="Folder of tagged music, TOML of a table, tables of MTG-Jamendo, or tracks.parquet of "
        "'matt scan' or a run.",
        show_default=False,
    ),
]
Store = Annotated[
    Path | None,
    Option(
        "--store", help="Where features are kept; by default in the user's cache ($MATT_CACHE)."
    ),
]
Force = Annotated[bool, Option("--force", help="Replace what --out names, if it is there.")]
Salvage = Annotated[bool, Option("--salvage", help="Use what decodes of damaged files.")]
Retry = Annotated[bool, Option("--retry-failed", help="Try files again that failed before.")]
Workers = Annotated[
    int | None, Option(help="Processes that do the work; by default one a core.", min=1)
]
Scheduler = Annotated[
    str | None,
    Option(
        metavar="ADDRESS",
        help="Decode on the workers of a Dask scheduler, e.g. tcp://10.0.0.1:8786.",
        show_default=False,
    ),
]


@dataclass(frozen=True)
class Reading:
    """Options of commands that read a folder: what its tags mean."""

    artist: Annotated[
        str, Option(help="Whose a track is: artist, or composer where one is tagged.")
    ] = "artist"
    merge: Annotated[
        bool,
        Option(help="Take names for one that mean the same, guests and discs for no names."),
    ] = True
    words: Annotated[
        Path | None,
        Option(
            help="TOML with further words for unknown, various artists or no genre.",
            show_default=False,
        ),
    ] = None
    genre_separator: Annotated[
        str,
        Option(
            help="What separates genres within one tag, e.g. ';'. By default a tag is split only "
            "where every part is a known genre.",
            show_default=False,
        ),
    ] = ""
    genres: Annotated[
        Path | None,
        Option(
            help="TOML with your own names of genres, see 'matt genres'. By default genres.toml in "
            "the folder, if there is one.",
            show_default=False,
        ),
    ] = None


_WORTH_A_WORD = 10**8  # bytes to be written
_LINE_EVERY = 60.0  # seconds from line to line where nobody looks at a terminal
_SUFFIXES_SHOWN = 12
_WHATS = ("artist", "album")
SHOWN = 20  # lines of a list on a terminal; --json and a run's report hold all
IN_PART = "are cut off or damaged, and used in part"
UNHEARD = "hold nothing to hear: they get no genre, and count for no album"


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
    folder : bool
        Whether it is a folder of somebody's own music.
    fault : str
        Why nothing can be learned from it, by the user's own vocabulary; empty where it can.
    vocabulary : Vocabulary or None
        By which the tags of a folder were read.
    """

    path: Path
    tracks: Tracks
    features: FeatureStore | None = None
    problems: tuple[FileProblem, ...] = ()
    notes: tuple[str, ...] = ()
    folder: bool = False
    fault: str = ""
    vocabulary: Vocabulary | None = None


def open_source(
    path: Path, output: Output, reading: Reading | None = None, *, files: bool = True
) -> Source:
    """Scan a folder, or load a table, or those of MTG-Jamendo.

    Parameters
    ----------
    path : Path
    output : Output
    reading : Reading, optional
        Of a folder; a table says so itself.
    files : bool
        Whether the files that a table names have to be there.

    Raises
    ------
    DataError, ConfigError
        If it is none of them, or cannot be read.
    """
    from ..datasets import jamendo, table
    from ..datasets.meanings import too_few_left
    from ..tracks import Tracks

    suffix = path.suffix.lower()
    tables = jamendo.is_jamendo(path)
    if reading not in (None, Reading()) and (tables or suffix in (".toml", ".parquet")):
        raise ConfigError(
            "--artist, --no-merge, --words, --genres and --genre-separator say how to read a "
            f"folder, but {path} is none; in the TOML of a table say artist, merge, words, "
            "vocabulary or genre_separator"
        )
    if suffix == ".toml":
        loaded = table.load(path, files=files)
        for note in loaded.notes:
            output.note(note)
        return Source(path, loaded.tracks, loaded.features, notes=loaded.notes)
    if suffix == ".parquet":
        return Source(path, Tracks.load(path))
    if tables:
        found_tracks = jamendo.load_tracks(path)
        note = f"{path} has tables of MTG-Jamendo: {len(found_tracks):,} tracks"
        output.note(note)
        return Source(path, found_tracks, notes=(note,))
    if path.is_file():
        raise DataError(
            f"{path} is a file; describe a table by a small TOML (table = {path.name!r}, and what "
            "its columns are), or name a folder of music"
        )
    reading = reading or Reading()
    found = scan_folder(path, output, reading)
    notes = tuple(told_names(found, reading))
    for question in found.questions:
        output.warn(question)
    return Source(
        path,
        found.tracks,
        problems=found.problems,
        notes=notes,
        folder=True,
        fault=too_few_left(found.meanings, found.tracks.genres, found.vocabulary),
        vocabulary=found.vocabulary,
    )


def check_learnable(found: Source) -> None:
    """Refuse to learn where the user's own vocabulary leaves nothing to tell apart.

    Raises
    ------
    ConfigError
    """
    if found.fault:
        raise ConfigError(found.fault)


def told_names(found: Scan, reading: Reading) -> Iterator[str]:
    """What was made of names, where it is not what they say, and `told_tags`."""
    times = {what: sum(merge.what == what for merge in found.merges) for what in _WHATS}
    told = " and ".join(f"{n:,} {what}s" for what, n in times.items() if n)
    if told:
        yield (
            f"{told} go by several names and count as one each; 'matt scan' lists them, and "
            "--no-merge keeps them apart"
        )
    yield from told_tags(found, reading)


def told_tags(found: Scan, reading: Reading) -> Iterator[str]:
    """By what genres were read, how many are not what is written, and which names stay."""
    if found.vocabulary.source:
        yield f"genres are read by {found.vocabulary.source}"
    read = sum(not meaning.as_written for meaning in found.meanings)
    if read:
        yield (
            f"{read:,} genre tag{'s are' if read > 1 else ' is'} read as another genre, several or "
            "none; 'matt genres' lists them"
        )
    if not reading.merge:
        yield "names are taken as they are (--no-merge)"
    if reading.artist != "artist":
        yield f"a track is its {reading.artist}'s, where one is tagged (--artist {reading.artist})"


@dataclass(frozen=True)
class Extraction:
    """Options of commands that may have to extract features."""

    store: Store = None
    salvage: Salvage = False
    retry_failed: Retry = False
    workers: Workers = None
    scheduler: Scheduler = None


def source_features(
    source: Source, spec: FeatureSpec, output: Output, how: Extraction
) -> tuple[FeatureStore, ExtractionReport | None, Path | None]:
    """Features of a source, extracted if it has audio, with the report and the folder of the store.

    Raises
    ------
    DataError
        If there is nothing to compute features from.
    """
    from ..features.store import FeatureStore

    if source.features is not None:
        return source.features, None, None
    tracks = source.tracks.take(source.tracks.path != "")
    if len(tracks):
        place = how.store or default_store(source.path, spec)
        report = extract_features(tracks, {spec: place}, output, how)[spec]
        return FeatureStore.open(place), report, place
    if how.store is not None:
        return FeatureStore.open(how.store), None, how.store
    raise DataError(
        f"{source.path} names neither features nor audio; add features = 'COLUMNS*', embeddings or "
        "audio to the TOML, or name a store with --store"
    )


def extract_features(
    tracks: Tracks,
    stores: Mapping[FeatureSpec, Path],
    output: Output,
    how: Extraction,
    **options: Any,
) -> dict[FeatureSpec, ExtractionReport]:
    """Extract what is missing, and show how it goes."""
    from ..features.extract import extract_all

    with extracting(tracks, stores, output, how) as given:
        return extract_all(tracks, stores, **given, **options)


@contextmanager
def extracting(
    tracks: Tracks, stores: Mapping[FeatureSpec, Path], output: Output, how: Extraction
) -> Iterator[dict[str, Any]]:
    """Options of `matt.features.extract.extract_all`: who does it, how, and who is told."""
    given = {"salvage": how.salvage, "retry_failed": how.retry_failed}
    if how.scheduler is None:
        with watched(output, stores) as tell:
            yield {**given, "workers": how.workers, "progress": tell}
        return
    from ..features.cluster import connected

    if how.workers is not None:
        raise ConfigError(
            "--workers counts processes of this machine, but --scheduler has the blocks done by "
            "its workers' threads; leave one of them out"
        )
    with (
        connected(how.scheduler, list(stores.values()), tracks.path.tolist()) as executor,
        watched(output, stores) as tell,
    ):
        yield {**given, "executor": executor, "progress": tell}


@contextmanager
def watched(output: Output, specs: Iterable[FeatureSpec]) -> Iterator[Callable[[Progress], None]]:
    """Somebody to tell of progress: bars on a terminal, else a line a minute."""
    names = {
        "looking": "comparing",
        "extracting": f"extracting {', '.join(spec.kind for spec in specs)}",
    }
    next_line = time.monotonic() + _LINE_EVERY

    def tell(progress: Progress) -> None:
        nonlocal next_line
        name = names[progress.stage]
        if name not in bars and progress.n_bytes > _WORTH_A_WORD:
            output.note(f"about {progress.n_bytes / 1e9:.3g} GB will be written")
        rate = "" if progress.rate is None else f"{progress.rate:.3g} a second"
        detail = bars.follow(name, progress, rate)
        if bars.disable and time.monotonic() >= next_line:
            next_line = time.monotonic() + _LINE_EVERY
            left = "" if progress.left is None else f", about {clock(progress.left)} left"
            counts = f"{progress.done:,} of {progress.total:,}"
            output.note(f"{name}: {counts}{detail and ', ' + detail}{left}")

    with output.progress() as bars:
        yield tell


def extraction_counts(report: ExtractionReport) -> dict[str, int]:
    """What an extraction did, in numbers."""
    names = ("total", "extracted", "reused", "unchanged", "failed", "deleted", "others")
    counts = {name: getattr(report, name) for name in (*names, "undetectable")}
    return {**counts, "partial": len(report.partial), "silent": len(report.silent)}


def default_store(folder: Path, spec: FeatureSpec) -> Path:
    """Where the features of a folder are kept unless the user says: outside the music itself."""
    from ..library.cache import store_of

    return store_of(folder, spec)


def from_input(named: list[Path]) -> list[Path]:
    """Files and folders that are named; for ``-`` those that standard input names, NUL after each.

    A command line is short: 32,767 characters on Windows.

    Raises
    ------
    typer.BadParameter
        If standard input names none.
    """
    if named != [Path("-")]:
        return named
    names = sys.stdin.buffer.read().split(b"\0")
    paths = [Path(os.fsdecode(name)) for name in names if name]
    if not paths:
        raise typer.BadParameter(
            "standard input names no file; put a NUL after each name, as 'find -print0' does"
        )
    return paths


def scan_in_library(
    named: Sequence[Path], spec: FeatureSpec, output: Output, reading: Reading, how: Extraction
) -> tuple[Scan, Path]:
    """Scan files and folders as a part of their library; also gives where its features are kept.

    With ``--store`` what is named is the library.
    """
    from ..library.cache import library_of

    folder = holding_folder(named)
    within = None if how.store or folder is None else library_of(folder, spec)
    found = scan_folder(named, output, reading, within=within)
    if within is not None and within != folder:
        output.note(f"as a part of the library {within}, whose features are used")
    return found, how.store or default_store(found.root, spec)


def holding_folder(named: Sequence[Path]) -> Path | None:
    """The folder that holds what is named; None if that is on several drives."""
    from ..library.cache import own_folder

    try:
        return Path(os.path.commonpath([own_folder(path) for path in named]))
    except ValueError:  # a scan says it better
        return None


def given_library(library: Path | None, path: Path, how: Extraction, spec: FeatureSpec) -> Path:
    """The library of an album: the one that is given, or else the one that is known.

    Raises
    ------
    DataError
        If the album does not exist.
    ConfigError
        If a store is given, and not the library that it is of.
    """
    from ..library.cache import library_of

    if not path.exists():
        raise DataError(f"{path} does not exist; check the path")
    if how.store and library is None:
        raise ConfigError(
            f"--store {how.store} does not say which library its tracks belong to; add --library "
            "DIR, the folder that it was made of"
        )
    return Path(os.path.abspath(library)) if library else library_of(path, spec)


def heard(
    tracks: Tracks, spec: FeatureSpec, place: Path, output: Output, how: Extraction
) -> tuple[FeatureStore, Tracks, ExtractionReport]:
    """Features of tracks, extracted where they are missing; the tracks that have some; a report.

    Raises
    ------
    DataError
        If none has any; names the first file and what is wrong with it.
    """
    from ..features.store import FeatureStore, with_features

    report = extract_features(tracks, {spec: place}, output, how)[spec]
    features = FeatureStore.open(place)
    return features, with_features(tracks, features, report=report), report


def scan_folder(
    folder: Path | Sequence[Path],
    output: Output,
    reading: Reading | None = None,
    *,
    within: Path | None = None,
    names_listed: bool = False,
) -> Scan:
    """Scan with a progress bar; problems are named by their whole path, as failures are.

    Parameters
    ----------
    folder : Path, or several
    output : Output
        Is told what was left out, and what was made of tags.
    reading : Reading, optional
        What tags mean; by default nobody asks.
    within : Path, optional
        As in `matt.datasets.folder.scan`.
    names_listed : bool
        Whether the command itself lists the names that are one.
    """
    from ..datasets.folder import scan
    from ..library.cache import SCANS, cache_folder

    place = cache_folder() / SCANS
    with output.progress() as bars:
        options = {} if reading is None else asdict(reading)
        tell = bars.counting("reading tags")
        found = scan(folder, within=within, progress=tell, remembered=place, **options)
    tell_formats(found, output)
    for note in found.notes:
        output.note(note)
    if reading is not None:
        for note in (told_tags if names_listed else told_names)(found, reading):
            output.note(note)
    problems = (replace(problem, path=str(found.root / problem.path)) for problem in found.problems)
    return replace(found, problems=tuple(problems))


def tell_formats(found: Scan, output: Output) -> None:
    """Say which files were left out, and which need a decoder that is not installed."""
    from ..audio import EXTRA_SUFFIXES, REMEDY, decoder_versions

    if found.left_out:
        n = sum(found.left_out.values())
        output.note(
            f"{n:,} file{'s are' if n > 1 else ' is'} not audio: {_counted(found.left_out)}"
        )
    suffixes = Counter(os.path.splitext(path)[1].lower() for path in found.tracks.path.tolist())
    extra = {suffix: n for suffix, n in suffixes.most_common() if suffix in EXTRA_SUFFIXES}
    if extra and decoder_versions()[1] is None:
        n = sum(extra.values())
        output.note(
            f"{n:,} of the files found need PyAV to be decoded: {_counted(extra)}; {REMEDY}"
        )


def _counted(suffixes: Mapping[str, int]) -> str:
    told = [f"{n:,} {suffix}" for suffix, n in suffixes.items()]
    return ", ".join(told[:_SUFFIXES_SHOWN] + ["..."] * (len(told) > _SUFFIXES_SHOWN))


def lost_files(found: Scan | Source, report: ExtractionReport | None) -> list[Any]:
    """Files that gave no features: left out by the scan, or failed in extraction."""
    left_out = [problem for problem in found.problems if not problem.kept]
    return [*left_out, *(report.failures if report else ())]


def tell_files(
    found: Scan | Source, report: ExtractionReport | None, output: Output
) -> dict[str, list[dict[str, str]]]:
    """List files that failed, are used in part, or hold nothing to hear; and for JSON."""
    partial, silent = (report.partial, report.silent) if report else ((), ())
    lost = lost_files(found, report)
    tell_failures(lost, output)
    tell_failures(partial, output, what=IN_PART)
    tell_failures(silent, output, what=UNHEARD)
    told = {"failures": lost, "partial": partial, "silent": silent}
    return {what: failure_rows(files) for what, files in told.items()}


def tell_failures(failures: Iterable[Any], output: Output, *, what: str = "failed") -> None:
    """List failed files with path and reason."""
    tell_list(
        [f"{failure.path}: {failure.reason}" for failure in failures], output, f"files {what}"
    )


def tell_list(lines: list[str], output: Output, what: str) -> None:
    """Warn of a list under its count; of a long one the first lines are shown."""
    if lines:
        one = what.replace("files", "file").replace(" are ", " is ")
        output.warn(f"{len(lines):,} {one if len(lines) == 1 else what}:")
    for line in lines[:SHOWN]:
        output.warn(f"  {line}")
    if len(lines) > SHOWN:
        output.warn(f"  ... and {len(lines) - SHOWN:,} more, all with --json")


def failure_rows(failures: Iterable[Any]) -> list[dict[str, str]]:
    """Failures for a JSON document."""
    return [{"path": str(f.path), "reason": str(f.reason)} for f in failures]


def exit_if_failed(n_failed: int) -> None:
    """Exit with the code for "done, but some files failed"."""
    if n_failed:
        raise typer.Exit(SOME_FAILED)
