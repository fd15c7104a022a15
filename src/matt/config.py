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
    baseline : BaselineSettings, optional
        A baseline of scikit-learn instead of the network; `model` and `training` are then those of
        the control, the track model.

    Raises
    ------
    ConfigError
        If the seed is negative, or given for the training or the baseline alone.
    """

    features: FeatureSettings = field(default_factory=FeatureSettings)
    bags: str = "album"
    splits: SplitSettings = field(default_factory=SplitSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    seed: int = 0
    baseline: BaselineSettings | None = None

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ConfigError(f"seed must be at least 0, got {self.seed}; correct it")
        if self.training.seed not in (TrainingSettings().seed, self.seed):
            raise ConfigError(
                f"training.seed is {self.training.seed}, but a run has one seed, of its split and "
                "its training; set seed instead"
            )
        object.__setattr__(self, "training", replace(self.training, seed=self.seed))
        if self.baseline is None:
            return
        if self.baseline.seed not in (BaselineSettings().seed, self.seed):
            raise ConfigError(
                f"baseline.seed is {self.baseline.seed}, but a run has one seed, of its split and "
                "its training; set seed instead"
            )
        object.__setattr__(self, "baseline", replace(self.baseline, seed=self.seed))

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
    content = {} if path is None else read_toml(path)
    for text in overrides:
        override(content, text)
    return parse(content, where=where)


def read_toml(path: Path | str) -> dict[str, Any]:
    """Content of a TOML file, unchecked.

    Raises
    ------
    ConfigError
        If it cannot be read, or is not TOML.
    """
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist; check the path") from None
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}; check it") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}; correct that line") from error


def parse(content: Mapping[str, Any], *, where: str = "settings") -> Settings:
    """Check a nested dictionary of settings; see `load`."""
    settings, problems = check(content)
    if settings is None:
        raise ConfigError(f"{where}: {'; '.join(problems)}")
    return settings


def check(content: Mapping[str, Any]) -> tuple[Settings | None, list[str]]:
    """Settings of a nested dictionary, or else everything that is wrong with it."""
    problems = list(_unknown_keys(Settings, content, ""))
    try:
        settings = TypeAdapter(Settings).validate_python(content)
        settings.features.spec()  # refuses what does not fit together before any work
    except ValidationError as error:
        problems += map(_told, error.errors())
    except ConfigError as error:
        problems.append(str(error))
    return (None if problems else settings), problems


def put(content: dict[str, Any], name: str, value: Any) -> None:
    """Set one value of a nested dictionary by its dotted name.

    Raises
    ------
    ConfigError
        If a section of the name is a value.

    Examples
    --------
    >>> content = {"model": {"encoder": "mlp"}}
    >>> put(content, "model.pooling", "dot")
    >>> content
    {'model': {'encoder': 'mlp', 'pooling': 'dot'}}
    """
    *sections, key = name.strip().split(".")
    for section in sections:
        content = content.setdefault(section, {})
        if not isinstance(content, dict):
            raise ConfigError(f"{section!r} is a value and has no keys")
    content[key] = value


def override(content: dict[str, Any], text: str) -> None:
    """Change a nested dictionary by a text ``section.key=value``, see `load`.

    Raises
    ------
    ConfigError
        If there is no ``=``, or a section is a value.
    """
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"override {text!r} has no '='; write it as section.key=value")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value
    try:
        put(content, name, parsed)
    except ConfigError as error:
        raise ConfigError(f"override {text!r}: {error}") from error


def _unknown_keys(schema: Any, content: Mapping[str, Any], prefix: str) -> Iterable[str]:
    known = get_type_hints(schema)
    names = {f.name for f in fields(schema)}
    for key, value in content.items():
        if key == "grid" and not prefix:
            yield "[grid] makes many runs of one file; give it to 'matt compare --grid'"
        elif key not in names:
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
        return f"{name}: {cause}"
    return f"{name} is {error['input']!r}: {error['msg'].lower()}"
