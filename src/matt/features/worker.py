"""One file -> its features: what runs inside a process that may crash, hang or use much memory.

`matt.features.child` is the other side. The process imports this module before it limits itself to
one thread, so nothing large is imported at the top.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from ..errors import AudioError, DataError, MattError
from .computing import computed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..audio import OnDamage
    from .spec import FeatureSpec

_ONE_THREAD = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of one file.

    Attributes
    ----------
    values : array, shape (segments, *spec.shape), or None
        None for a file that failed.
    reason : str
        Why it failed, or what is missing of its audio; ``""`` for a sound file.
    undetectable : bool
        Whether the file does not say how long it should be, so that nobody sees if it was cut off.
    """

    values: NDArray[Any] | None
    reason: str = ""
    undetectable: bool = False


Extractor = Callable[[str, "FeatureSpec", bool, Callable[[], None]], Outcome]


def extract_file(path: str, spec: FeatureSpec, salvage: bool, alive: Callable[[], None]) -> Outcome:
    """Decode one file and compute its features.

    A file that ends early gives what there is of it; a file with damage in its middle does so only
    if it is to be salvaged.

    Parameters
    ----------
    path : str
    spec : FeatureSpec
    salvage : bool
    alive : callable
        Called after each segment, and before the file is read once more.

    Raises
    ------
    AudioError
        If the file cannot be decoded.
    DataError
        If the audio is far too loud, or a value does not fit the dtype of the spec.
    """
    try:
        return _decoded(path, spec, "fail", alive)
    except AudioError:
        alive()
        if not (salvage or _ends_early(path)):
            raise
    alive()
    return _decoded(path, spec, "salvage", alive)


def _decoded(
    path: str, spec: FeatureSpec, on_damage: OnDamage, alive: Callable[[], None]
) -> Outcome:
    import numpy as np

    from ..audio import Damage, read_segments
    from ..audio.containers import examine

    if spec.segments is None:
        raise DataError(f"feature {spec.name!r} is not computed from audio; import it as a table")
    damages: list[Damage] = []
    segments = read_segments(
        path, sr=spec.sr, policy=spec.segments, on_damage=on_damage, damages=damages
    )
    values = []
    for part in segments:
        values.append(computed(part.samples, part.sr, spec))
        alive()
    undetectable = examine(path).completeness == "undetectable"
    return Outcome(np.stack(values), "; ".join(map(str, damages)), undetectable)


def _ends_early(path: str) -> bool:
    from ..audio import inspect

    found = inspect(path)
    return found.completeness == "truncated" and not found.breaks


def guarded(
    extractor: Extractor,
    path: str,
    spec: FeatureSpec,
    salvage: bool,
    memory_limit: int,
    pulse: str,
) -> Outcome:
    """Turn every exception into an outcome; whoever watches the file ``pulse`` sees it get on."""
    alive = partial(os.utime, pulse)
    alive()
    try:
        return extractor(path, spec, salvage, alive)
    except MemoryError:
        limit = f"{memory_limit / 2**20:.0f} MiB"
        return Outcome(
            None, f"needs more memory than the limit of {limit}; restore the file or leave it out"
        )
    except MattError as error:
        # The path stands beside the reason wherever it is shown.
        return Outcome(None, _text(str(error).removeprefix(path).strip(" :")))
    except Exception as error:
        what = f"its features cannot be computed ({type(error).__name__}: {error})"
        return Outcome(None, _text(f"{what}; restore the file or leave it out"))


def _text(reason: str) -> str:
    """Without what cannot be encoded: names of files may hold any bytes."""
    return reason.encode("utf-8", "backslashreplace").decode("utf-8")


def prepare(spec_json: str, memory_limit: int, warm_up: bool) -> None:
    """Start-up of the process: silence, one thread, libraries loaded, memory limited."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))

    import numpy as np
    import threadpoolctl

    from .spec import FeatureSpec

    if warm_up:  # compiles and loads what would otherwise count against the first file's time
        spec = FeatureSpec.from_json(json.loads(spec_json))
        noise = np.random.default_rng(0).normal(scale=0.1, size=max(spec.n_fft, 22_050))
        with suppress(MattError):  # settings that do not work are told with each file
            computed(noise.astype(np.float32), spec.sr or 22_050, spec)
    threadpoolctl.threadpool_limits(limits=1)
    _limit_memory(memory_limit)


def _limit_memory(memory_limit: int) -> None:
    try:
        import resource
    except ImportError:  # not on Windows
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        used = 0
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    soft = used + memory_limit
    if hard != resource.RLIM_INFINITY:
        soft = min(soft, hard)
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
