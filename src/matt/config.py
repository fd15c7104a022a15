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

from . import recipes
from .errors import ConfigError, did_you_mean
from .files import read_toml
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
    content = {} if path is None else read_toml(path)
    for text in overrides:
        override(content, text)
    return parse(content, where=where)


def parse(content: Mapping[str, Any], *, where: str = "settings") -> Settings:
    """Check a nested dictionary of settings; see `load`."""
    settings, problems = check(content)
    if settings is None:
        raise ConfigError(f"{where}: {'; '.join(problems)}")
    return settings


def check(content: Mapping[str, Any]) -> tuple[Settings | None, list[str]]:
    """Settings of a nested dictionary, or else everything that is wrong with it."""
    problems: list[str] = []
    try:
        content = recipes.under(content)
    except ConfigError as error:
        problems.append(str(error))
        content = {key: value for key, value in content.items() if key != "recipe"}
    problems += _unknown_keys(Settings, content, "")
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
    return (None if problems else settings), problems


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
        return f"{name}: {cause}" if name else str(cause)
    return f"{name} is {error['input']!r}: {error['msg'].lower()}"
