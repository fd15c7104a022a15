"""Samples -> features: everything that is wanted of a segment, with what can be shared shared.

Summaries and sequences of frames on the same frequency axis come from one pass over the spectra.
The worker's process imports this module before it limits itself to one thread, so nothing large
is imported at the top.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import DataError, MattError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .spec import FeatureSpec

LOUDEST = 1e12  # full scale is 1, or 2**31 where integers were stored as they are
_ROWS = {"mfcc": "mfcc", "chroma": "chroma_stft", "contrast": "spectral_contrast"}


def compute(
    samples: NDArray[np.float32], sr: int, specs: Sequence[FeatureSpec]
) -> list[NDArray[Any] | MattError]:
    """Compute features of one segment.

    Parameters
    ----------
    samples : float32 array, shape (samples,)
        Mono audio, cut and resampled as all the specs want it.
    sr : int > 0
        Its sampling rate in Hz.
    specs : sequence of FeatureSpec
        None of them an embedding.

    Returns
    -------
    list
        For each spec its array, of the spec's shape and dtype; or the error, a DataError or a
        ConfigError, for which there is none. One that fails takes no other with it.
    """
    try:
        _check_loudness(samples)
    except DataError as error:
        return [error] * len(specs)
    groups: dict[Any, list[FeatureSpec]] = {}
    for spec in specs:
        groups.setdefault(_pass(spec, sr), []).append(spec)
    found: dict[FeatureSpec, NDArray[Any] | MattError] = {}
    for group in groups.values():
        try:
            arrays = _arrays(samples, sr, group)
        except MattError as error:
            found |= dict.fromkeys(group, error)
            continue
        for spec, values in zip(group, arrays, strict=True):
            try:
                found[spec] = fitted(values, spec)
            except MattError as error:
                found[spec] = error
    return [found[spec] for spec in specs]


def computed(samples: NDArray[np.float32], sr: int, spec: FeatureSpec) -> NDArray[Any]:
    """Compute one feature of one segment, as `compute` does.

    Raises
    ------
    DataError
        If the audio is not finite or so loud that its power exceeds what float32 holds, or the
        values do not fit the spec.
    ConfigError
        If the settings of the spec do not work.
    """
    (found,) = compute(samples, sr, [spec])
    if isinstance(found, MattError):
        raise found
    return found


def _check_loudness(samples: NDArray[np.float32]) -> None:
    peak = float(max(samples.max(initial=0.0), -samples.min(initial=0.0)))
    if not peak <= LOUDEST:
        raise DataError(
            f"the audio peaks at {peak:.3g}, where full scale is 1; it is damaged or far too loud, "
            "replace the file"
        )


def _pass(spec: FeatureSpec, sr: int) -> Any:
    """Specs for which this is equal come from the same pass over the spectra."""
    if spec.kind in ("logmel", "musicnn", "embedding"):
        return spec
    from .kernels.frames import FMA_SR

    # At FMA's rate the two axes are one, but audio of an unusual rate is treated by its axis.
    return spec.precision, spec.frequencies if sr != FMA_SR else "true"


def _arrays(samples: NDArray[np.float32], sr: int, specs: list[FeatureSpec]) -> list[NDArray[Any]]:
    """Values of specs of one pass."""
    import numpy as np

    first = specs[0]
    if first.kind == "embedding":
        raise DataError(f"feature {first.name!r} is not computed from audio; import it as a table")
    if first.kind == "musicnn":
        from .kernels.musicnn import encoded

        return [encoded(samples, layer=first.layer or "penultimate")]
    from .kernels.frames import SIZES, frame_features, logmel, summarised
    from .spec import SUMMARIES

    if first.kind == "logmel":
        frames = {"n_fft": first.n_fft, "hop_length": first.hop_length, "n_mels": first.n_mels}
        return [logmel(samples, sr=sr, **frames, precision=first.precision)]
    summary = any(spec.kind in SUMMARIES for spec in specs)
    rows = frame_features(
        samples,
        sr,
        names=set(SIZES) if summary else {_ROWS[spec.kind] for spec in specs},
        frequencies=first.frequencies,
        precision=first.precision,
    )
    found = {kind: rows[name] for kind, name in _ROWS.items() if name in rows}
    if summary:
        found["summary"] = summarised(rows)
    if any(spec.kind == "combined" for spec in specs):
        from .kernels.musicnn import averaged

        found["combined"] = np.concatenate([found["summary"], averaged(samples, sr)])
    return [found[spec.kind] for spec in specs]


def fitted(values: NDArray[Any], spec: FeatureSpec) -> NDArray[Any]:
    """Cast to the dtype of a spec.

    Raises
    ------
    DataError
        If the shape is another, or a value is not finite in that dtype.
    """
    import numpy as np

    if values.shape != spec.shape:
        raise DataError(f"features have shape {values.shape}, the spec says {spec.shape}")
    with np.errstate(over="ignore"):
        cast = values.astype(spec.dtype)
    if not _finite(cast):
        raise DataError(
            f"{int((~np.isfinite(cast)).sum())} of {cast.size} values are NaN or do not fit "
            f"{spec.dtype}; the audio is damaged or far too loud, replace the file"
        )
    return cast


def _finite(values: NDArray[Any]) -> bool:
    import numpy as np

    if values.dtype != np.float16:
        return bool(np.isfinite(values).all())
    exponents = np.uint16(0x7C00)  # a tenth of the time that isfinite takes for this type
    return not (values.view(np.uint16) & exponents == exponents).any()
