"""Settings of an experiment: TOML file and overrides in, checked dataclasses out.

The dataclasses beside the code, composed in `matt.settings`, are the only schema; this module finds
unknown keys, and checks types with pydantic.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError

from .errors import ConfigError, did_you_mean
from .settings import Settings as Settings
from .settings import SplitSettings as SplitSettings
from .settings import named_faults
from .settings import with_faults as with_faults


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
    content = _as_meant(Settings, content)
    if isinstance(content.get("faults"), str):
        content["faults"] = list(named_faults(content["faults"]))
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


def _as_meant(schema: Any, content: Mapping[str, Any]) -> dict[str, Any]:
    """Content where "none" is None for what may be absent, and true is text where text is asked.

    TOML has no word for the first, and ``--set model.query=true`` is TOML's truth.
    """
    kinds = get_type_hints(schema)
    found = dict(content)
    for key, value in content.items():
        kind = kinds.get(key)
        options = get_args(kind)
        if value == "none" and type(None) in options:
            found[key] = None
        elif isinstance(value, bool) and str in (kind, *options):
            found[key] = str(value).lower()
        elif isinstance(value, Mapping) and key in kinds:
            section = next(filter(is_dataclass, (kinds[key], *options)), None)
            found[key] = value if section is None else _as_meant(section, value)
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
