"""What a feature is, declared before anything is computed.

A `FeatureSpec` names everything that changes a value; its digest is the identity of a store.
Versions of libraries and of the decoder do not belong to it: they are provenance.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from ..audio import Cut, SegmentPolicy
from ..errors import ConfigError, did_you_mean

KINDS = ("summary", "logmel", "embedding")
SUMMARY_SIZE = 518


@dataclass(frozen=True)
class FeatureSpec:
    """Name, shape and dtype of a feature, and how it is computed.

    Attributes
    ----------
    name : str
        For people; it does not change values.
    kind : {"summary", "logmel", "embedding"}
        Which extractor; an ``"embedding"`` is precomputed and has no audio settings.
    shape : tuple of int
        Of one segment.
    dtype : {"float32", "float16"}
    sr : int or None
        Sampling rate in Hz to which audio is resampled; None keeps the file's own.
    n_fft, hop_length : int
        In samples.
    n_mels : int
        Mel bands of a log-mel.
    segments : SegmentPolicy or None
        How a track is cut; None for embeddings.

    Raises
    ------
    ConfigError
        If kind or dtype is unknown, or the settings do not fit each other.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    sr: int | None = None
    n_fft: int = 2048
    hop_length: int = 512
    n_mels: int = 128
    segments: SegmentPolicy | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"unknown kind {self.kind!r}; {did_you_mean(self.kind, KINDS)}")
        if self.dtype not in ("float32", "float16"):
            raise ConfigError(f"dtype must be float32 or float16, got {self.dtype!r}")
        if (self.segments is None) != (self.kind == "embedding"):
            raise ConfigError(
                f"kind {self.kind!r} {'takes no' if self.segments else 'needs a'} segment policy"
            )
        if self.kind == "logmel" and self.segments and self.segments.short == "keep":
            raise ConfigError(
                "a log-mel has a fixed width, so short audio cannot be kept; use 'pad' or 'tile'"
            )

    @classmethod
    def summary(
        cls, name: str = "summary", *, segments: SegmentPolicy | None = None
    ) -> FeatureSpec:
        """The 518 summary columns of FMA's features.csv, at the file's own sampling rate.

        Parameters
        ----------
        segments : SegmentPolicy
            By default the middle 30 s; shorter audio is taken as it is.
        """
        policy = segments or SegmentPolicy("middle", duration=30.0, short="keep")
        return cls(name, "summary", (SUMMARY_SIZE,), segments=policy)

    @classmethod
    def logmel(
        cls,
        name: str = "logmel",
        *,
        sr: int = 12_000,
        n_fft: int = 2048,
        hop_length: int = 256,
        n_mels: int = 96,
        segments: SegmentPolicy | None = None,
    ) -> FeatureSpec:
        """Log-mel map in dB, as the paper extracts it: (96, 1360) of the first 29 s at 12 kHz."""
        policy = segments or SegmentPolicy("first", duration=29.0, short="pad")
        if policy.duration is None:
            raise ConfigError("a log-mel has a fixed width: give its segments a duration")
        frames = 1 + round(policy.duration * sr) // hop_length
        return cls(
            name, "logmel", (n_mels, frames), "float16", sr, n_fft, hop_length, n_mels, policy
        )

    @classmethod
    def embedding(cls, name: str, shape: tuple[int, ...], *, dtype: str = "float32") -> FeatureSpec:
        """Values computed elsewhere, one or more arrays a track."""
        return cls(name, "embedding", shape, dtype)

    @property
    def digest(self) -> str:
        """Twelve hex digits that change when, and only when, values would."""
        content = {key: value for key, value in self.to_json().items() if key != "name"}
        if self.kind == "embedding":
            content["name"] = self.name  # nothing else tells two embeddings apart
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def cut(self) -> Cut:
        """What it wants of a file; specs with equal cuts are computed from the same samples.

        Raises
        ------
        ConfigError
            If it is not computed from audio.
        """
        if self.segments is None:
            raise ConfigError(
                f"feature {self.name!r} is not computed from audio; give its values to "
                "FeatureStore.from_arrays"
            )
        return Cut(self.sr, self.segments)

    @property
    def n_bytes(self) -> int:
        """Bytes of one segment."""
        size = 2 if self.dtype == "float16" else 4
        for length in self.shape:
            size *= length
        return size

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary of all settings."""
        return {**asdict(self), "shape": list(self.shape)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> FeatureSpec:
        """Read what `to_json` wrote.

        Raises
        ------
        ConfigError
            If a key is unknown.
        """
        known = {f.name for f in fields(cls)}
        for key in content:
            if key not in known:
                raise ConfigError(f"spec: unknown key {key!r}; {did_you_mean(key, known)}")
        values = dict(content)
        values["shape"] = tuple(values["shape"])
        if values.get("segments"):
            values["segments"] = SegmentPolicy(**values["segments"])
        return cls(**values)

    def differences(self, other: FeatureSpec) -> list[str]:
        """Settings in which two specs differ, as text for a message; the name does not count.

        >>> FeatureSpec.logmel().differences(FeatureSpec.logmel(sr=16_000))
        ['shape: [96, 1360] / [96, 1813]', 'sr: 12000 / 16000']
        """
        mine, theirs = self.to_json(), other.to_json()
        if "embedding" not in (self.kind, other.kind):
            mine.pop("name")
            theirs.pop("name")
        return [f"{key}: {mine[key]} / {theirs[key]}" for key in mine if mine[key] != theirs[key]]
