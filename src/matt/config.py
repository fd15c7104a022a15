"""Settings of an experiment: TOML file and overrides in, checked dataclasses out.

The dataclasses beside the code (`matt.models.settings`, here for features and splits) are the only
schema; this module composes them, finds unknown keys, and checks types with pydantic.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError

from . import faults as known_faults
from .errors import ConfigError, did_you_mean
from .features.settings import FeatureSettings
from .models.baseline_settings import BaselineSettings
from .models.settings import ModelSettings
from .models.training_settings import TrainingSettings


@dataclass(frozen=True, kw_only=True)
class SplitSettings:
    """Shares of the artists of each genre that are kept from training.

    Attributes
    ----------
    validation, test : float >= 0
        Together less than 1; without test artists nothing could be said of a model.
    """

    validation: float = 0.1
    test: float = 0.2

    def __post_init__(self) -> None:
        if self.validation < 0 or self.test <= 0 or self.validation + self.test >= 1:
            raise ConfigError(
                f"shares must be at least 0, that of the test above 0, and sum to less than 1, got "
                f"validation={self.validation} and test={self.test}; the rest is for training"
            )


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that decides a run, besides the data.

    Attributes
    ----------
    bags : {"album", "track"}, or the name of a column
        What is classified together.
    seed : int >= 0
        Of the split and of the training.
    faults : tuple of str
        Mistakes of the paper or its release that are switched on, by the names of
        `matt.faults.FAULTS`; in a file also ``"paper"`` or ``"released"``, for a whole protocol.
        They overrule other settings.
    baseline : BaselineSettings, optional
        A baseline of scikit-learn instead of the network; `model` and `training` are then those of
        the control, the track model.

    Raises
    ------
    ConfigError
        If the seed is negative, or given for the training or the baseline alone, or a fault is
        unknown.
    """

    features: FeatureSettings = field(default_factory=FeatureSettings)
    bags: str = "album"
    splits: SplitSettings = field(default_factory=SplitSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    seed: int = 0
    faults: tuple[str, ...] = ()
    baseline: BaselineSettings | None = None

    def __post_init__(self) -> None:
        self._set_seed()
        self._set(faults=known_faults.check_names(self.faults))
        parts = known_faults.switched(self._parts, self.faults)
        self._set(model=parts.model, training=parts.training, baseline=parts.baseline)

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _set_seed(self) -> None:
        if self.seed < 0:
            raise ConfigError(f"seed must be at least 0, got {self.seed}; correct it")
        if self.training.seed not in (TrainingSettings().seed, self.seed):
            raise ConfigError(
                f"training.seed is {self.training.seed}, but a run has one seed, of its split and "
                "its training; set seed instead"
            )
        self._set(training=replace(self.training, seed=self.seed))
        if self.baseline is None:
            return
        if self.baseline.seed not in (BaselineSettings().seed, self.seed):
            raise ConfigError(
                f"baseline.seed is {self.baseline.seed}, but a run has one seed, of its split and "
                "its training; set seed instead"
            )
        self._set(baseline=replace(self.baseline, seed=self.seed))

    @property
    def _parts(self) -> known_faults.Parts:
        return known_faults.Parts(self.model, self.training, self.baseline, self.bags)

    @property
    def present_faults(self) -> tuple[str, ...]:
        """Faults of a run with these settings: those that are named, and those set by hand."""
        return known_faults.present(self._parts, self.faults)

    @property
    def inert_faults(self) -> tuple[str, ...]:
        """What is to be told of named faults that such a run cannot have."""
        return known_faults.inert(self._parts, self.faults)

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary of all settings."""
        return asdict(self)


def with_faults(settings: Settings, faults: str | Iterable[str]) -> Settings:
    """Settings with more faults, or a protocol, switched on.

    Parameters
    ----------
    settings : Settings
    faults : str or iterable of str
        A protocol by name, a fault, or several faults.

    Raises
    ------
    ConfigError
        If a name is unknown.

    Examples
    --------
    >>> paper = with_faults(Settings(model=ModelSettings(pooling="dot")), "paper")
    >>> paper.model.pooling, paper.model.query, paper.present_faults
    ('scalar', 'true', ('true_query', 'scalar_score'))
    """
    return replace(settings, faults=(*settings.faults, *_named(faults)))


def load(path: Path | str | None = None, overrides: Iterable[str] = ()) -> Settings:
    """Read settings from a TOML file and ``section.key=value`` overrides.

    Parameters
    ----------
    path : path, optional
        Without one, the defaults.
    overrides : iterable of str
        Values as in TOML; text may go without quotes. ``none`` takes what may be absent away.

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
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror}; check it") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} is not TOML: {error}; correct that line") from error
    for text in overrides:
        _override(content, text)
    return parse(content, where=where)


def parse(content: Mapping[str, Any], *, where: str = "settings") -> Settings:
    """Check a nested dictionary of settings; see `load`."""
    problems = list(_unknown_keys(Settings, content, ""))
    content = _without_none(Settings, content)
    if isinstance(content.get("faults"), str):
        content["faults"] = _named(content["faults"])
    try:
        settings = TypeAdapter(Settings).validate_python(content)
        settings.features.spec()  # refuses what does not fit together before any work
    except ValidationError as error:
        problems += map(_told, error.errors())
    except ConfigError as error:
        problems.append(str(error))
    if problems:
        raise ConfigError(f"{where}: {'; '.join(problems)}")
    return settings


def _named(faults: str | Iterable[str]) -> list[str]:
    """Names of faults: those of a protocol, one fault, or as they are."""
    if isinstance(faults, str):
        return list(known_faults.PROTOCOLS.get(faults, (faults,)))
    return list(faults)


def _without_none(schema: Any, content: Mapping[str, Any]) -> dict[str, Any]:
    """Content where "none" is None for what may be absent, as TOML has no word for it."""
    kinds = get_type_hints(schema)
    found = dict(content)
    for key, value in content.items():
        options = get_args(kinds.get(key))
        if value == "none" and type(None) in options:
            found[key] = None
        elif isinstance(value, Mapping) and key in kinds:
            section = next(filter(is_dataclass, (kinds[key], *options)), None)
            found[key] = value if section is None else _without_none(section, value)
    return found


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
        elif isinstance(value, Mapping):
            for section in (known[key], *get_args(known[key])):  # X, or X | None
                if is_dataclass(section):
                    yield from _unknown_keys(section, value, f"{prefix}{key}.")


def _told(error: Any) -> str:
    """One problem found by pydantic, in our words where they are ours."""
    name = ".".join(str(part) for part in error["loc"])
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, ConfigError):
        return f"{name}: {cause}" if name else str(cause)
    return f"{name} is {error['input']!r}: {error['msg'].lower()}"
