"""Checks of one setting each; what they raise names the setting, its value and what would do."""

from __future__ import annotations

import math
from collections.abc import Callable

from ..errors import ConfigError, did_you_mean


def check_all(*checks: Callable[[], None]) -> None:
    """Run all checks and tell everything that they found at once."""
    problems = []
    for check in checks:
        try:
            check()
        except ConfigError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError("; ".join(problems))


def check_flag(name: str, value: object) -> None:
    """Refuse what is neither true nor false."""
    if not isinstance(value, bool):
        raise ConfigError(f"{name} must be true or false, got {value!r}; choose one")


def check_choice(name: str, value: object, known: tuple[str, ...]) -> None:
    """Refuse a name that is not known."""
    if value not in known:
        raise ConfigError(f"unknown {name} {value!r}; {did_you_mean(str(value), known)}")


def check_number(name: str, value: object) -> None:
    """Refuse what is no finite number of at least 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigError(f"{name} must be a number, got {value!r}; give it without quotes")
    if not (math.isfinite(value) and value >= 0):
        raise ConfigError(f"{name} must be finite and at least 0, got {value}; correct it")


def check_fraction(name: str, value: object) -> None:
    """Refuse what is not in [0, 1)."""
    check_number(name, value)
    if not isinstance(value, (int, float)) or value >= 1:
        raise ConfigError(f"{name} must be in [0, 1), got {value}; 0 switches it off")


def check_whole(name: str, value: object, *, at_least: int) -> None:
    """Refuse what is no whole number of at least ``at_least``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < at_least:
        raise ConfigError(
            f"{name} must be a whole number of at least {at_least}, got {value!r}; correct it"
        )
