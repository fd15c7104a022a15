"""Settings of a feature: what a configuration says, before it becomes a `FeatureSpec`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ..errors import ConfigError, did_you_mean
from .spec import FeatureSpec

_SEQUENCE = ("sr", "precision")
_FEATURES: dict[str, tuple[Callable[..., FeatureSpec], tuple[str, ...]]] = {
    "summary": (FeatureSpec.summary, ("frequencies", "precision")),
    "logmel": (FeatureSpec.logmel, ("sr", "n_fft", "hop_length", "n_mels", "precision")),
    "mfcc": (FeatureSpec.mfcc, _SEQUENCE),
    "chroma": (FeatureSpec.chroma, _SEQUENCE),
    "contrast": (FeatureSpec.contrast, _SEQUENCE),
}
"""By kind, what makes the spec and which settings it knows."""
_A = {"summary": "a summary", "logmel": "a log-mel"}


@dataclass(frozen=True, kw_only=True)
class FeatureSettings:
    """Which feature is extracted from which part of a track; None is what the kind is known for.

    Attributes
    ----------
    kind : {"summary", "logmel", "mfcc", "chroma", "contrast"}
        The 518 summary columns of FMA, of the middle 30 s; the paper's log-mel map, of the first
        29 s at 12 kHz; or one column a frame, of the first 30 s at 22,050 Hz.
    policy : {"first", "middle", "all"}, optional
        Which segments of a track.
    duration : float > 0, optional
        Of a segment, in seconds.
    hop : float > 0, optional
        From segment to segment in seconds, for ``"all"``; the duration by default.
    short : {"keep", "pad", "tile"}, optional
        What happens to audio shorter than a segment; only a summary can be kept short.
    sr : int >= 1, optional
        Sampling rate in Hz; not of a summary, which keeps the file's own.
    n_fft, hop_length, n_mels : int >= 1, optional
        Of a log-mel: samples of a frame and between frames, bands.
    precision : {"exact", "fast"}, optional
        Of the spectra: double, or single.
    frequencies : {"fma", "true"}, optional
        Of a summary: as FMA's script takes them, or in hertz at any sampling rate.
    """

    kind: str = "summary"
    policy: str | None = None
    duration: float | None = None
    hop: float | None = None
    short: str | None = None
    sr: int | None = None
    n_fft: int | None = None
    hop_length: int | None = None
    n_mels: int | None = None
    precision: str | None = None
    frequencies: str | None = None

    def spec(self) -> FeatureSpec:
        """The feature as `matt.features` knows it.

        Raises
        ------
        ConfigError
            If the settings do not fit each other.
        """
        if self.kind not in _FEATURES:
            told = did_you_mean(self.kind, _FEATURES)
            raise ConfigError(f"features.kind is {self.kind!r}; {told}")
        given = _given(self, "sr", "n_fft", "hop_length", "n_mels", "precision", "frequencies")
        make, known = _FEATURES[self.kind]
        for name in given:
            if name not in known:
                kinds = [kind for kind, (_, names) in _FEATURES.items() if name in names]
                raise ConfigError(
                    f"features.{name} belongs to {_A[kinds[0]]}; leave it out, or use "
                    f"features.kind={kinds[0]}"
                )
        for name in ("sr", "n_fft", "hop_length", "n_mels"):
            if given.get(name, 1) < 1:
                raise ConfigError(
                    f"features.{name} must be at least 1, got {given[name]}; leave it out for what "
                    "is usual"
                )
        cutting = _given(self, "policy", "duration", "hop", "short")
        cut = make().segments
        return make(segments=replace(cut, **cutting), **given)  # type: ignore[type-var]


def _given(settings: FeatureSettings, *names: str) -> dict[str, Any]:
    """Those of the named settings that are not None."""
    values = ((name, getattr(settings, name)) for name in names)
    return {name: value for name, value in values if value is not None}
