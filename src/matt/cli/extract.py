"""``matt extract``: features of every track of a folder, computed once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from .console import Output, command
from .sources import (
    IN_PART,
    UNHEARD,
    Extraction,
    Folder,
    Retry,
    Salvage,
    Scheduler,
    Store,
    Workers,
    default_store,
    exit_if_failed,
    extract_features,
    extraction_counts,
    failure_rows,
    scan_folder,
    tell_failures,
    tell_list,
)

if TYPE_CHECKING:
    from ..features.report import ExtractionReport
    from ..features.spec import FeatureSpec


_TOLD = {"others": "of other folders or left out"}  # of counts that do not speak for themselves


@dataclass(frozen=True)
class Computing:
    """Options of a feature: how audio is cut, and what is computed of it."""

    policy: Annotated[
        str | None,
        Option(
            help="Segments: first, middle, spread, all; whole: one, of a summary.",
            show_default="by feature",
        ),
    ] = None
    duration: Annotated[
        float | None, Option(help="Seconds of a segment.", show_default="by feature")
    ] = None
    hop: Annotated[float | None, Option(help="Seconds from segment to segment.")] = None
    n_segments: Annotated[
        int | None, Option(help="Segments of a track, of spread.", show_default="3")
    ] = None
    short: Annotated[
        str | None, Option(help="Shorter audio: keep (summary only), pad or tile.")
    ] = None
    silence: Annotated[
        str | None,
        Option(help="skip: no evidence of anything; keep: as FMA's columns have it."),
    ] = None
    precision: Annotated[
        str | None, Option(help="exact, or fast: spectra in single precision.")
    ] = None
    frequencies: Annotated[
        str | None, Option(help="Of a summary: fma, as in FMA's columns, or true hertz.")
    ] = None
    layer: Annotated[
        str | None,
        Option(help="Of musicnn: penultimate, 200 values, or pooled, 1,506.", show_default="200"),
    ] = None


@command
def extract(
    output: Output,
    folder: Folder,
    kinds: Annotated[
        list[str] | None,
        Option(
            "--features",
            help="summary (518 columns), logmel, mfcc, chroma, contrast, musicnn (a pretrained "
            "network) or combined (it and a summary); again for another one from the same decode.",
            show_default="summary",
        ),
    ] = None,
    *,
    computing: Computing,
    store: Store = None,
    salvage: Salvage = False,
    retry_failed: Retry = False,
    verify: Annotated[
        bool,
        Option("--verify", help="Read what is there, and make again what was damaged since."),
    ] = False,
    workers: Workers = None,
    nice: Annotated[
        int, Option(help="Priority of the processes: 19 yields to all else.", min=0, max=19)
    ] = 0,
    timeout: Annotated[
        float, Option(help="Seconds without a finished segment until a file fails.")
    ] = 120,
    memory: Annotated[int, Option(help="MiB that one file may need.")] = 4096,
    scheduler: Scheduler = None,
) -> None:
    """Compute features of every track, once; interrupted, the same command goes on.

    Several features share one decode. With more than one, --store is the folder of their stores.
    Example: [bold]matt extract ~/Music --features summary --features logmel[/bold]
    """
    from ..features.spec import KNOWN, FeatureSettings
    from ..processes import Limits
    from ..settings import made

    limits = Limits(timeout=timeout, memory=memory * 2**20, nice=nice)
    kinds = list(dict.fromkeys(kinds or ["summary"]))
    specs = []
    for kind in kinds:
        given = {"kind": kind, **asdict(computing)}
        for name in given.keys() & {"precision", "frequencies", "layer"}:
            meant = [other for other in kinds if name in KNOWN.get(other, ())]
            if meant and kind not in meant:  # what is meant for none is refused
                given[name] = None
        specs.append(made(FeatureSettings, given, where="features").spec())
    found = scan_folder(folder, output)
    stores = {spec: _place(spec, store, folder, alone=len(specs) == 1) for spec in specs}
    reports = extract_features(
        found.tracks,
        stores,
        output,
        Extraction(store, salvage, retry_failed, workers, scheduler),
        limits=limits,
        verify=verify,
    )
    for spec, report in reports.items():
        counts = extraction_counts(report)
        told = ", ".join(
            f"{n:,} {_TOLD.get(what, what)}" for what, n in counts.items() if n or what == "failed"
        )
        output.say(f"{spec.kind}: {told}. Store: {stores[spec]}")
        tell_list(list(report.damaged), output, "damaged blocks were made again")
        if report.unchecked:
            output.warn(_told_unchecked(report.unchecked))
    left_out = [problem for problem in found.problems if not problem.kept]
    # What befell a file in every store is told once.
    failures = dict.fromkeys(f for report in reports.values() for f in report.failures)
    partial = dict.fromkeys(f for report in reports.values() for f in report.partial)
    silent = dict.fromkeys(f for report in reports.values() for f in report.silent)
    tell_failures([*left_out, *failures], output)
    tell_failures(partial, output, what=IN_PART)
    tell_failures(silent, output, what=UNHEARD)
    output.document(
        {
            "stores": [_row(spec, stores[spec], report) for spec, report in reports.items()],
            "left_out": failure_rows(left_out),
        }
    )
    exit_if_failed(len(left_out) + sum(report.failed for report in reports.values()))


def _told_unchecked(names: Sequence[str]) -> str:
    some = "1 block has" if len(names) == 1 else f"{len(names):,} blocks have"
    return (
        f"{some} no checksum, as of before there were any: what is in there was not checked; to be "
        "sure of it, extract into another folder (--store)"
    )


def _place(spec: FeatureSpec, store: Path | None, folder: Path, *, alone: bool) -> Path:
    if store is None:
        return default_store(folder, spec)
    return store if alone else store / f"{spec.kind}-{spec.digest}"


def _row(spec: FeatureSpec, store: Path, report: ExtractionReport) -> dict[str, Any]:
    return {
        "store": str(store),
        "spec": spec.to_json(),
        "counts": extraction_counts(report),
        "failures": failure_rows(report.failures),
        "partial": failure_rows(report.partial),
        "silent": failure_rows(report.silent),
        "damaged": list(report.damaged),
        "unchecked": list(report.unchecked),
    }
