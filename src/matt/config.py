"""Settings of an experiment: TOML file and overrides in, checked dataclasses out.

The dataclasses beside the code (`matt.models.settings`, here for features and splits) are the only
schema; this module composes them, finds unknown keys, and checks types with pydantic.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from .audio import SegmentPolicy
from .errors import ConfigError, did_you_mean
from .features.spec import FeatureSpec
from .models.settings import ModelSettings, TrainingSettings


@dataclass(frozen=True, kw_only=True)
class FeatureSettings:
    """Which feature is extracted from which part of a track.

    Attributes
    ----------
    kind : {"summary", "logmel"}
        The 518 summary columns of FMA, or the paper's log-mel map.
    policy : {"first", "middle", "all"}
        Which segments of a track.
    duration : float > 0
        Of a segment, in seconds.
    hop : float > 0, optional
        From segment to segment in seconds, for ``"all"``; the duration by default.
    short : {"keep", "pad", "tile"}
        What happens to audio shorter than a segment; a log-mel cannot be kept short.
    """

    kind: str = "summary"
    policy: str = "middle"
    duration: float = 30.0
    hop: float | None = None
    short: str = "keep"

    def spec(self) -> FeatureSpec:
        """The feature as `matt.features` knows it.

        Raises
        ------
        ConfigError
            If the settings do not fit each other.
        """
        makers = {"summary": FeatureSpec.summary, "logmel": FeatureSpec.logmel}
        if self.kind not in makers:
            raise ConfigError(f"features.kind is {self.kind!r}; {did_you_mean(self.kind, makers)}")
        policy = SegmentPolicy(self.policy, self.duration, hop=self.hop, short=self.short)  # type: ignore[arg-type]
        return makers[self.kind](segments=policy)


@dataclass(frozen=True, kw_only=True)
class SplitSettings:
    """Shares of the artists of each genre that are kept from training.

    Attributes
    ----------
    validation, test : float in [0, 1)
    """

    validation: float = 0.1
    test: float = 0.2


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that decides a run, besides the data.

    Attributes
    ----------
    bags : {"album", "track"}, or the name of a column
        What is classified together.
    seed : int >= 0
        Of the split and of the training.
    """

    features: FeatureSettings = field(default_factory=FeatureSettings)
    bags: str = "album"
    splits: SplitSettings = field(default_factory=SplitSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    seed: int = 0

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary of all settings."""
        return asdict(self)


def load(path: Path | str | None = None, overrides: Iterable[str] = ()) -> Settings:
    """Read settings from a TOML file and ``section.key=value`` overrides.

    Parameters
    ----------
    path : path, optional
        Without one, the defaults.
    overrides : iterable of str
        Values as in TOML; text may go without quotes.

    Returns
    -------
    Settings

    Raises
    ------
    ConfigError
        Listing everything that is wrong at once, with the nearest known name.

    Examples
    --------
    >>> load(overrides=["training.lr=0.1", "model.pooling=dot"]).model.pooling
    'dot'
    """
    where = str(path) if path is not None else "settings"
    content: dict[str, Any] = {}
    if path is not None:
        try:
            content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ConfigError(f"{path} does not exist; check the path") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} is not TOML: {error}; correct that line") from error
    for text in overrides:
        _override(content, text)
    return parse(content, where=where)


def parse(content: Mapping[str, Any], *, where: str = "settings") -> Settings:
    """Check a nested dictionary of settings; see `load`."""
    problems = list(_unknown_keys(Settings, content, ""))
    if problems:
        raise ConfigError(f"{where}: {'; '.join(problems)}")
    adapter = TypeAdapter(Settings)
    try:
        settings = adapter.validate_python(content)
    except ValidationError as error:
        found = "; ".join(_told(one) for one in error.errors())
        raise ConfigError(f"{where}: {found}") from error
    settings.features.spec()  # refuses what does not fit together before any work
    return settings


def _override(content: dict[str, Any], text: str) -> None:
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"override {text!r} has no '='; write it as section.key=value")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value
    *sections, key = name.strip().split(".")
    place = content
    for section in sections:
        place = place.setdefault(section, {})
        if not isinstance(place, dict):
            raise ConfigError(f"override {text!r}: {section!r} is a value and has no keys")
    place[key] = parsed


def _unknown_keys(schema: Any, content: Mapping[str, Any], prefix: str) -> Iterable[str]:
    known = get_type_hints(schema)
    names = {f.name for f in fields(schema)}
    for key, value in content.items():
        if key not in names:
            yield f"unknown key {prefix + key!r}; {did_you_mean(key, names)}"
        elif is_dataclass(known[key]) and isinstance(value, Mapping):
            yield from _unknown_keys(known[key], value, f"{prefix}{key}.")


def _told(error: Any) -> str:
    """One problem found by pydantic, in our words where they are ours."""
    name = ".".join(str(part) for part in error["loc"])
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, ConfigError):
        return f"{name}: {cause}"
    return f"{name} is {error['input']!r}: {error['msg'].lower()}"
