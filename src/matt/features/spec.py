"""What a feature is, declared before anything is computed.

A `FeatureSpec` names everything that changes a value; its digest is the identity of a store.
Versions of libraries and of the decoder do not belong to it: they are provenance. `FeatureSettings`
is what a configuration says of a feature, before it becomes a spec.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, TypedDict, Unpack, get_args

from ..audio import Cut, SegmentPolicy
from ..errors import ConfigError, did_you_mean
from ..settings import AtLeastOne, Checked, Positive

Precision = Literal["exact", "fast"]
Frequencies = Literal["fma", "true"]
Layer = Literal["penultimate", "pooled"]

SUMMARY_SIZE = 518
SEQUENCES = {"mfcc": 20, "chroma": 12, "contrast": 7}  # rows of one column a frame
LAYERS = {"penultimate": 200, "pooled": 1506}  # values of musicnn
N_TAGS = 50  # of which it tells, behind either layer
SUMMARIES = ("summary", "combined")  # which hold FMA's columns
ENCODED = ("musicnn", "combined")  # which hold what musicnn makes
KINDS = (*SUMMARIES, "logmel", *SEQUENCES, "musicnn", "embedding")
MUSICNN_SR = 16_000  # Hz
N_SAMPLES = 48_128  # of an excerpt: 187 frames of 512, one every 256
EXCERPT = N_SAMPLES / MUSICNN_SR  # seconds
N_FFT, HOP_LENGTH, N_MELS = 2048, 512, 128  # what only a log-mel may change
LOWEST_SR, HIGHEST_SR = 16_000, 48_000  # in Hz: all bands of contrast and of 128 mel hold something


class SequenceSettings(TypedDict, total=False):
    """Of one column a frame: MFCC, chroma, spectral contrast; all of it may be left out.

    Attributes
    ----------
    sr : int, 16,000 <= sr <= 48,000
        Sampling rate in Hz; 22,050 by default.
    precision : {"exact", "fast"}
    segments : SegmentPolicy
        By default the first 30 s, shorter audio being padded with zeros.
    """

    sr: int
    precision: Precision
    segments: SegmentPolicy | None


@dataclass(frozen=True)
class FeatureSpec:
    """Name, shape and dtype of a feature, and how it is computed.

    Attributes
    ----------
    name : str
        For people; it does not change values.
    kind : str
        ``"summary"``, ``"logmel"``, ``"mfcc"``, ``"chroma"``, ``"contrast"``, ``"musicnn"``,
        ``"combined"`` or ``"embedding"``: which extractor; an ``"embedding"`` is precomputed and
        has no audio settings.
    shape : tuple of int
        Of one segment.
    dtype : {"float32", "float16"}
    sr : int or None
        Sampling rate in Hz to which audio is resampled; None keeps the file's own.
    n_fft, hop_length : int
        In samples; only those of a log-mel can be chosen.
    n_mels : int
        Mel bands of a log-mel.
    segments : SegmentPolicy or None
        How a track is cut; None for embeddings.
    precision : {"exact", "fast"}
        Whether spectra are computed in double precision, as librosa does, or in single.
    frequencies : {"fma", "true"}, optional
        What the sampling rate is taken for by those columns of a summary of which FMA's script
        did not say it: 22,050 Hz always, or what it is. ``"fma"`` by default for a summary;
        everything else is ``"true"``.
    layer : {"penultimate", "pooled"}, optional
        Of musicnn: which of its layers is the embedding; None for everything else.

    Raises
    ------
    ConfigError
        If a kind, layer, dtype, precision or axis of frequencies is unknown, a setting has no
        meaning for the kind, or settings do not fit each other.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    sr: int | None = None
    n_fft: int = N_FFT
    hop_length: int = HOP_LENGTH
    n_mels: int = N_MELS
    segments: SegmentPolicy | None = None
    precision: Precision = "exact"
    frequencies: Frequencies = None  # type: ignore[assignment]  # None until the kind is known
    layer: Layer | None = None

    def __repr__(self) -> str:
        kind = "" if self.kind == self.name else f"{self.kind}, "
        return f"FeatureSpec({self.name!r}: {kind}{self.shape} {self.dtype}, digest {self.digest})"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"unknown kind {self.kind!r}; {did_you_mean(self.kind, KINDS)}")
        if self.frequencies is None:
            own = "fma" if self.kind in SUMMARIES else "true"
            object.__setattr__(self, "frequencies", own)
        for name, known in (
            ("precision", get_args(Precision)),
            ("frequencies", get_args(Frequencies)),
            *([("layer", get_args(Layer))] if self.kind == "musicnn" else []),
        ):
            value = getattr(self, name)
            if value not in known:
                raise ConfigError(f"unknown {name} {value!r}; {did_you_mean(value, known)}")
        if self.dtype not in ("float32", "float16"):
            raise ConfigError(f"dtype must be float32 or float16, got {self.dtype!r}")
        if (self.segments is None) != (self.kind == "embedding"):
            raise ConfigError(
                f"kind {self.kind!r} {'takes no' if self.segments else 'needs a'} segment policy"
            )
        self._check_meaning()
        fixed = self.kind in ("logmel", "musicnn", *SEQUENCES)
        if fixed and self.segments and self.segments.short == "keep":
            raise ConfigError(
                f"{self.kind!r} has a fixed width, so short audio cannot be kept; "
                "use 'pad' or 'tile'"
            )

    def _check_meaning(self) -> None:
        """Refuse what the kind does not know: it would change the digest but no value."""
        strange: dict[str, int | str | None] = {}
        if self.kind != "logmel":
            defaults = {"n_fft": N_FFT, "hop_length": HOP_LENGTH, "n_mels": N_MELS}
            strange |= {k: v for k, v in defaults.items() if getattr(self, k) != v}
        if self.kind not in SUMMARIES and self.frequencies != "true":
            strange["frequencies"] = "true"
        if self.kind != "musicnn" and self.layer is not None:
            strange["layer"] = None
        if self.kind in ("embedding", "musicnn") and self.precision != "exact":
            strange["precision"] = "exact"
        if self.kind == "musicnn" and self.sr != MUSICNN_SR:
            strange["sr"] = MUSICNN_SR
        for name, only in strange.items():
            raise ConfigError(
                f"{name}={getattr(self, name)!r} has no meaning for kind {self.kind!r}, which has "
                f"{only!r}; leave it out"
            )
        if self.kind == "musicnn" and getattr(self.segments, "duration", None) != EXCERPT:
            raise ConfigError(
                f"a segment of musicnn is {EXCERPT} s long, got {self.segments}; leave duration out"
            )
        if self.kind in SEQUENCES and not LOWEST_SR <= (self.sr or 0) <= HIGHEST_SR:
            raise ConfigError(
                f"kind {self.kind!r} needs a sampling rate of {LOWEST_SR} to {HIGHEST_SR} Hz, got "
                f"sr={self.sr}; its highest or lowest bands would be empty, choose another"
            )

    @classmethod
    def summary(
        cls,
        name: str = "summary",
        *,
        frequencies: Frequencies = "fma",
        precision: Precision = "exact",
        segments: SegmentPolicy | None = None,
    ) -> FeatureSpec:
        """The 518 summary columns of FMA's features.csv, at the file's own sampling rate.

        Parameters
        ----------
        frequencies : {"fma", "true"}
            What FMA's columns mean, or the same columns in true hertz.
        precision : {"exact", "fast"}
        segments : SegmentPolicy
            By default the middle 30 s; shorter audio is taken as it is.
        """
        policy = segments or SegmentPolicy("middle", duration=30.0, short="keep")
        return cls(
            name,
            "summary",
            (SUMMARY_SIZE,),
            segments=policy,
            precision=precision,
            frequencies=frequencies,
        )

    @classmethod
    def combined(
        cls,
        name: str = "combined",
        *,
        frequencies: Frequencies = "fma",
        precision: Precision = "exact",
        segments: SegmentPolicy | None = None,
    ) -> FeatureSpec:
        """A `summary`, and behind it the mean of what `musicnn` makes of the same audio: (768,).

        That hears three excerpts of each segment, in the middle of each third, but for silent ones.

        Parameters
        ----------
        frequencies, precision, segments
            As in `summary`.
        """
        alike = cls.summary(frequencies=frequencies, precision=precision, segments=segments)
        shape = (SUMMARY_SIZE + LAYERS["penultimate"] + N_TAGS,)
        return replace(alike, name=name, kind="combined", shape=shape)

    @classmethod
    def logmel(
        cls,
        name: str = "logmel",
        *,
        sr: int = 12_000,
        n_fft: int = 2048,
        hop_length: int = 256,
        n_mels: int = 96,
        precision: Precision = "exact",
        segments: SegmentPolicy | None = None,
    ) -> FeatureSpec:
        """Log-mel map in dB, as the paper extracts it: (96, 1360) of the first 29 s at 12 kHz."""
        policy = segments or SegmentPolicy("first", duration=29.0, short="pad")
        shape = (n_mels, _columns(policy, sr, hop_length))
        return cls(
            name, "logmel", shape, "float16", sr, n_fft, hop_length, n_mels, policy, precision
        )

    @classmethod
    def mfcc(
        cls,
        name: str = "mfcc",
        **settings: Unpack[SequenceSettings],
    ) -> FeatureSpec:
        """Twenty mel-frequency cepstral coefficients a frame: (20, 1292) of the first 30 s.

        Frames are 2,048 samples long, one every 512. `chroma` and `contrast` are like it.

        Parameters
        ----------
        name : str
        **settings
            See `SequenceSettings`.
        """
        return cls._sequence(name, "mfcc", **settings)

    @classmethod
    def chroma(cls, name: str = "chroma", **settings: Unpack[SequenceSettings]) -> FeatureSpec:
        """Strength of the twelve pitch classes in each frame, from C: (12, 1292); see `mfcc`."""
        return cls._sequence(name, "chroma", **settings)

    @classmethod
    def contrast(cls, name: str = "contrast", **settings: Unpack[SequenceSettings]) -> FeatureSpec:
        """Peak over valley of seven bands in each frame, in dB: (7, 1292); see `mfcc`."""
        return cls._sequence(name, "contrast", **settings)

    @classmethod
    def _sequence(cls, name: str, kind: str, **settings: Unpack[SequenceSettings]) -> FeatureSpec:
        policy = settings.get("segments") or SegmentPolicy("first", duration=30.0, short="pad")
        settings = {"sr": 22_050, **settings, "segments": policy}
        shape = (SEQUENCES[kind], _columns(policy, settings["sr"], HOP_LENGTH))
        return cls(name, kind, shape, **settings)

    @classmethod
    def musicnn(
        cls,
        name: str = "musicnn",
        *,
        layer: Layer = "penultimate",
        segments: SegmentPolicy | None = None,
    ) -> FeatureSpec:
        """What musicnn, a network trained to tag music, makes of excerpts of 3 s at 16 kHz.

        Parameters
        ----------
        layer : {"penultimate", "pooled"}
            Its last 200 values before the tags, or the 1,506 that it pools over time. The logits of
            its 50 tags, `kernels.musicnn.TAGS`, stand behind them: (250,) or (1556,).
        segments : SegmentPolicy
            By default three of 3 s spread over the track, or a shorter track repeated. Whatever
            the policy, each segment is an excerpt of that length.
        """
        policy = segments or SegmentPolicy("spread", duration=EXCERPT, short="tile")
        size = LAYERS.get(layer, 0) + N_TAGS
        return cls(name, "musicnn", (size,), sr=MUSICNN_SR, segments=policy, layer=layer)

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
        """What it wants of a file; a ConfigError if it is not computed from audio."""
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
        content = {**asdict(self), "shape": list(self.shape)}
        # As specs were before there was a choice.
        if self.layer is None:
            del content["layer"]
        if self.segments and self.segments.silence == "keep":
            del content["segments"]["silence"]
        if self.segments and self.segments.n_segments is None:
            del content["segments"]["n_segments"]
        return content

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
            values["segments"] = SegmentPolicy(**{"silence": "keep", **values["segments"]})
        return cls(**values)

    def differences(self, other: FeatureSpec) -> list[str]:
        """Settings in which two specs differ, as text for a message; the name does not count.

        >>> FeatureSpec.logmel().differences(FeatureSpec.logmel(sr=16_000))
        ['shape: [96, 1360] / [96, 1813]', 'sr: 12000 / 16000']
        """
        mine, theirs = self._settings(), other._settings()
        keys = [key for key in mine if key in theirs and mine[key] != theirs[key]]
        return [f"{key}: {mine[key]} / {theirs[key]}" for key in keys]

    def asked(self, other: FeatureSpec) -> str:
        """Say by which options, and settings, this is asked for instead of another of its kind.

        Returns
        -------
        str
            ``""`` where nobody can ask so.

        Examples
        --------
        >>> kept = SegmentPolicy("middle", duration=30, short="keep", silence="keep")
        >>> FeatureSpec.summary(segments=kept).asked(FeatureSpec.summary())
        "--silence keep (in settings features.silence = 'keep')"
        >>> FeatureSpec.logmel(sr=16_000).asked(FeatureSpec.logmel())
        'features.sr = 16000 in settings'
        """
        if self.kind != other.kind:
            return ""
        mine, theirs = self._settings(), other._settings()
        differ = {key: mine[key] for key in mine if mine[key] != theirs.get(key)}
        differ.pop("shape", None)  # follows from the others
        if differ.get("n_segments", 1) is None:  # as it does from the policy
            del differ["n_segments"]
        if "duration" in differ and None in (mine["duration"], theirs["duration"]):
            differ["policy"] = mine["policy"] if mine["duration"] else "whole"
        if differ.get("policy") == "whole":
            differ.pop("duration", None)
        known = {field.name for field in fields(FeatureSettings)}
        if not differ or not differ.keys() <= known:
            return ""
        settings = " and ".join(
            f"features.{key} = {value!r}" if value else f"no features.{key}"
            for key, value in differ.items()
        )
        if not differ.keys() <= set(OPTIONS):
            return f"{settings} in settings"
        options = " ".join(
            f"--{key} {value}" if value else f"no --{key}" for key, value in differ.items()
        )
        return f"{options} (in settings {settings})"

    def _settings(self) -> dict[str, Any]:
        """Every setting by the name by which it is asked for; a name is one of embeddings only."""
        found = self.to_json()
        if self.kind != "embedding":
            del found["name"]
        segments = asdict(self.segments) if self.segments else {}
        return {key: value for key, value in found.items() if key != "segments"} | segments


def _columns(policy: SegmentPolicy, sr: int, hop_length: int) -> int:
    """Frames of a segment."""
    if policy.duration is None:
        raise ConfigError("one column a frame makes a fixed width: give its segments a duration")
    return 1 + round(policy.duration * sr) // hop_length


OPTIONS = (
    *("policy", "duration", "hop", "n_segments", "short", "silence"),
    *("precision", "frequencies", "layer"),
)
"""Settings of a feature that are options of ``matt extract``, too."""
KNOWN: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(SUMMARIES, ("frequencies", "precision")),
    "logmel": ("sr", "n_fft", "hop_length", "n_mels", "precision"),
    **dict.fromkeys(SEQUENCES, ("sr", "precision")),
    "musicnn": ("layer",),
}
"""Settings of each kind; the method of `FeatureSpec` that makes it has its name."""


@dataclass(frozen=True, kw_only=True)
class FeatureSettings(Checked):
    """Which feature is extracted from which part of a track; None is what the kind is known for."""

    kind: Literal["summary", "logmel", "mfcc", "chroma", "contrast", "musicnn", "combined"] = (
        "summary"
    )
    """The 518 summary columns of FMA, of the middle 30 s; the paper's log-mel map, of the first 29
    s at 12 kHz; one column a frame, of the first 30 s at 22,050 Hz; what the pretrained musicnn
    makes of three segments of 3 s; or the summary and musicnn of the same 30 s combined.
    """
    policy: Literal["first", "middle", "spread", "all", "whole"] | None = None
    """Which segments of a track; or the whole of it as one, of a summary, as FMA's columns are of
    whole clips, which are a few hundredths of a second longer than 30 s.
    """
    duration: Positive | None = None
    """Of a segment, in seconds."""
    hop: Positive | None = None
    """From segment to segment in seconds, for ``"all"``; the duration by default."""
    n_segments: AtLeastOne | None = None
    """Segments of a track, for ``"spread"``: each in the middle of its part of the track."""
    short: Literal["keep", "pad", "tile"] | None = None
    """What happens to audio shorter than a segment; only a summary, combined or not, keeps it."""
    silence: Literal["skip", "keep"] | None = None
    """Whether silence is left out, as evidence of nothing, or kept, as FMA's columns have it."""
    sr: AtLeastOne | None = None
    """Sampling rate in Hz; not of a summary, which keeps the file's own."""
    n_fft: AtLeastOne | None = None
    """Samples of a frame, of a log-mel."""
    hop_length: AtLeastOne | None = None
    """Samples from frame to frame, of a log-mel."""
    n_mels: AtLeastOne | None = None
    """Bands, of a log-mel."""
    precision: Precision | None = None
    """Of the spectra: double, or single."""
    frequencies: Frequencies | None = None
    """Of a summary: as FMA's script takes them, or in hertz at any sampling rate."""
    layer: Layer | None = None
    """Of musicnn: the last 200 values before its tags, or the 1,506 pooled over time."""

    def spec(self) -> FeatureSpec:
        """The feature as `matt.features` knows it.

        Raises
        ------
        ConfigError
            If the settings do not fit each other.
        """
        given = _given(
            self, "sr", "n_fft", "hop_length", "n_mels", "precision", "frequencies", "layer"
        )
        make = getattr(FeatureSpec, self.kind)
        for name in given:
            if name not in KNOWN[self.kind]:
                kinds = [kind for kind, names in KNOWN.items() if name in names]
                raise ConfigError(
                    f"features.{name} = {given[name]!r} belongs to {' or '.join(kinds)}, not to "
                    f"{self.kind}; leave it out, or use features.kind={kinds[0]}"
                )
        cutting = _given(self, "policy", "duration", "hop", "n_segments", "short", "silence")
        cut = make().segments
        if self.policy not in (None, "spread"):
            cutting.setdefault("n_segments", None)
        if self.policy == "whole":
            if self.kind not in SUMMARIES or self.duration or self.hop:
                raise ConfigError(
                    "features.policy='whole' makes one segment of a summary, however long; leave "
                    "out duration and hop, and use 'all' for features of a fixed width"
                )
            cutting |= {"policy": "first", "duration": None}
        spec: FeatureSpec = make(segments=replace(cut, **cutting), **given)
        return spec


def _given(settings: FeatureSettings, *names: str) -> dict[str, Any]:
    """Those of the named settings that are not None."""
    values = ((name, getattr(settings, name)) for name in names)
    return {name: value for name, value in values if value is not None}
