"""One file -> its features: what runs inside a process that may crash, hang or use much memory.

The process imports this module before it limits itself to one thread, so nothing large is imported
at the top.
"""

from __future__ import annotations

import ctypes
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import AudioError, MattError
from ..processes import alive
from .computing import compute

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..audio import OnDamage
    from .spec import FeatureSpec


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of one file.

    Attributes
    ----------
    values : array, shape (segments, *spec.shape), or None
        None for a file that failed; no segment for one in which nothing can be heard.
    reason : str
        Why it failed or what is missing of its audio; ``""`` for a sound file.
    undetectable : bool
        Whether the file does not say how long it should be, so that nobody sees if it was cut off.
    copied : bool
        Whether the values were known already.
    killed : bool
        Whether its process was killed from outside: no fault of the file.
    """

    values: NDArray[Any] | None
    reason: str = ""
    undetectable: bool = False
    copied: bool = False
    killed: bool = False


_HASHED_AT_ONCE = 8  # files: hashing waits for the disk, or for a network
_SILENT = "nothing to hear: it is silence from beginning to end"

Extractor = Callable[[str, Sequence["FeatureSpec"], bool, Callable[[], None]], Sequence[Outcome]]


def extract_file(
    path: str, specs: Sequence[FeatureSpec], salvage: bool, alive: Callable[[], None]
) -> list[Outcome]:
    """Decode one file once and compute all its features; each is what it would be alone.

    A file that ends early gives what there is of it; a file with damage in its middle does so only
    if it is to be salvaged.

    Parameters
    ----------
    path : str
    specs : sequence of FeatureSpec
    salvage : bool
    alive : callable
        Called after each segment, and before the file is read once more.

    Returns
    -------
    list of Outcome
        One a spec.
    """
    cuts = {spec.cut for spec in specs}
    if len(cuts) > 1:
        try:
            return _decoded(path, specs, "fail", alive)
        except (AudioError, MemoryError):  # some may do without the part that is bad
            alive()
    outcomes: dict[FeatureSpec, Outcome] = {}
    for cut in cuts:
        alike = [spec for spec in specs if spec.cut == cut]
        outcomes |= zip(alike, _alone(path, alike, salvage, alive), strict=True)
    return [outcomes[spec] for spec in specs]


def _alone(
    path: str, specs: Sequence[FeatureSpec], salvage: bool, alive: Callable[[], None]
) -> list[Outcome]:
    """Features that cut a file alike."""
    try:
        return _decoded(path, specs, "fail", alive)
    except AudioError as error:
        alive()
        if not (salvage or _ends_early(path)):
            return [failed(error, path)] * len(specs)
    alive()
    try:
        return _decoded(path, specs, "salvage", alive)
    except AudioError as error:
        return [failed(error, path)] * len(specs)


def _decoded(
    path: str, specs: Sequence[FeatureSpec], on_damage: OnDamage, alive: Callable[[], None]
) -> list[Outcome]:
    import numpy as np

    from ..audio import Damage, read_cuts
    from ..audio.containers import examine

    cuts = list({spec.cut: None for spec in specs})
    values: dict[FeatureSpec, list[NDArray[Any]]] = {spec: [] for spec in specs}
    errors: dict[FeatureSpec, MattError] = {}
    damages: list[Damage | None] = []
    for number, part in read_cuts(path, cuts, on_damage=on_damage, damages=damages):
        alike = [spec for spec in specs if spec.cut == cuts[number] and spec not in errors]
        for spec, found in zip(alike, compute(part.samples, part.sr, alike), strict=True):
            if isinstance(found, MattError):
                errors[spec] = found
            else:
                values[spec].append(found)
        alive()
    undetectable = examine(path).completeness == "undetectable"
    outcomes = []
    for spec in specs:
        if spec in errors:
            outcomes.append(failed(errors[spec], path))
            continue
        reason = str(damages[cuts.index(spec.cut)] or "")
        if not values[spec]:
            reason = f"{_SILENT}; {reason}" if reason else _SILENT
        nothing = np.empty((0, *spec.shape), spec.dtype)
        found = np.stack(values[spec]) if values[spec] else nothing
        outcomes.append(Outcome(found, reason, undetectable))
    return outcomes


def _ends_early(path: str) -> bool:
    from ..audio import inspect

    found = inspect(path)
    return found.completeness == "truncated" and not found.breaks


def hash_files(paths: Sequence[str]) -> list[str]:
    """Hash of the audio of each file; ``""`` where it has none: its extraction will say why."""
    alive()
    with ThreadPoolExecutor(_HASHED_AT_ONCE, "hash") as threads:
        return list(threads.map(_hash, paths))


def _hash(path: str) -> str:
    from ..audio import audio_hash

    try:
        return audio_hash(path, alive=alive)
    except Exception:  # whatever is wrong with the file
        return ""


def guarded(
    extractor: Extractor, path: str, specs: Sequence[FeatureSpec], salvage: bool
) -> list[Outcome]:
    """Turn every exception into outcomes, but want of memory, which may come when they are sent."""
    alive()
    try:
        return list(extractor(path, specs, salvage, alive))
    except MemoryError:
        raise
    except MattError as error:
        what = failed(error, path)
    except Exception as error:
        told = f"its features cannot be computed ({type(error).__name__}: {error})"
        what = Outcome(None, _text(f"{told}; restore the file or leave it out"))
    return [what] * len(specs)


def failed(error: MattError, path: str) -> Outcome:
    """What became of a file that met one of our errors."""
    # The path stands beside the reason wherever it is shown.
    return Outcome(None, _text(str(error).removeprefix(path).strip(" :")))


def _text(reason: str) -> str:
    """Without what cannot be encoded: names of files may hold any bytes."""
    return reason.encode("utf-8", "backslashreplace").decode("utf-8")


def prepare(specs_json: str, warm_up: bool) -> None:
    """Start-up of the process: silence, libraries loaded."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    keep_memory()

    import numpy as np

    from .spec import N_SAMPLES, FeatureSpec

    if warm_up:  # compiles and loads what would otherwise count against the first file's time
        for content in json.loads(specs_json):
            spec = FeatureSpec.from_json(content)
            size = N_SAMPLES if spec.kind == "musicnn" else max(spec.n_fft, 22_050)
            noise = np.random.default_rng(0).normal(scale=0.1, size=size)
            compute(noise.astype(np.float32), spec.sr or 22_050, [spec])


_KEPT, _SHARED = 64 * 2**20, 32 * 2**20  # bytes; the latter is the most that glibc takes
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def keep_memory() -> None:
    """Have memory that is freed kept for the next file, where the C library is glibc.

    It would be given back to the system, and every page of it asked for and zeroed again.
    """
    with suppress(OSError, AttributeError, TypeError):  # TypeError: on Windows
        libc = ctypes.CDLL(None)
        libc.mallopt(_MMAP_THRESHOLD, _SHARED)
        libc.mallopt(_TRIM_THRESHOLD, _KEPT)
