"""Exceptions of the package, and what texts for people are made of.

Every message says what is wrong and what to do next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, get_args


class MattError(Exception):
    """Base class, so that callers can catch everything raised on purpose."""


class DataError(MattError, ValueError):
    """Tracks, features, bags or predictions that do not fit together."""


class AudioError(MattError, OSError):
    """A file that cannot be read as audio; the message names it and the decoder."""


class ConfigError(MattError, ValueError):
    """A setting with an unknown name or an impossible value."""


class ArgumentError(MattError, TypeError):
    """An argument of another type than is wanted, such as one of two that are swapped."""


def check_arguments(**given: tuple[object, type | UnionType]) -> None:
    """Refuse arguments of a wrong type by name; public functions that take nouns call it first.

    Parameters
    ----------
    **given : (value, type or union of types)
        By name, in the order of the signature.

    Raises
    ------
    ArgumentError
        Saying where a value belongs that another argument would take, else how to make one.

    Examples
    --------
    >>> check_arguments(name=("mfcc", str), n=(3, int), seed=(None, int | None))
    >>> check_arguments(name=(3, str), n=("mfcc", int))
    Traceback (most recent call last):
    matt.errors.ArgumentError: name must be a str, but got int; n is the second argument
    """
    for name, (value, wanted) in given.items():
        if isinstance(value, wanted):
            continue
        kinds = get_args(wanted) or (wanted,)
        home = [
            other
            for other, (_, theirs) in given.items()
            if other != name and value is not None and isinstance(value, theirs)
        ]
        if home:
            place = ("first", "second", "third", "fourth")[list(given).index(home[0])]
            remedy = f"{home[0]} is the {place} argument"
        else:
            remedy = _how_to_make(kinds[0], value)
        got = f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
        must = f"{name} must be {' or '.join(map(_a, kinds))}"
        raise ArgumentError(f"{must}, but got {got}; {remedy}")


def _a(kind: type) -> str:
    name = kind.__name__
    if kind is type(None) or name.endswith("s"):  # None, Tracks, Bags, Predictions
        return "None" if kind is type(None) else name
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"


def _how_to_make(kind: type, value: object) -> str:
    """How to make one of a kind, of a file where the value is a path."""
    if kind is str:
        return "give a text"
    makers = (classmethod, staticmethod)
    ways = [name for name, member in vars(kind).items() if isinstance(member, makers)]
    if isinstance(value, (str, Path)):
        ways = [name for name in ways if name in ("open", "load")] or ways
    public = [f"{kind.__name__}.{name}" for name in ways if not name.startswith("_")]
    return f"make one with {' or '.join(public) or f'{kind.__name__}(...)'}"


def in_a_line(thing: Any) -> str:
    """Show a dataclass in one line: arrays by their shape, long collections by their length.

    It is the ``__repr__`` of what holds arrays, which nobody wants to see printed.

    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Found:
    ...     names: tuple[str, ...]
    ...     n: int
    >>> in_a_line(Found(("Rock",) * 9, 3))
    'Found(names: 9, n: 3)'
    """
    parts = [f"{field.name}: {_short(getattr(thing, field.name))}" for field in fields(thing)]
    return f"{type(thing).__name__}({', '.join(parts)})"


def _short(value: Any) -> str:
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and shape:
        return f"{' x '.join(map(str, shape))} {value.dtype}"
    if isinstance(value, (str, Path)):
        return repr(str(value)[:37] + "..." if len(str(value)) > 40 else str(value))
    kind = type(value).__name__ if is_dataclass(value) else ""
    size = f"{len(value):,}" if hasattr(value, "__len__") else ""
    return f"{size} {kind}".strip() or f"{value}"


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """Suggest the nearest known word, or list what is known.

    >>> did_you_mean("learning_rte", ["learning_rate", "epochs"])
    "did you mean 'learning_rate'?"
    >>> did_you_mean("genre", ["GENRE", "F_1"])
    "did you mean 'GENRE'?"
    >>> did_you_mean("zzz", ["b", "a"])
    'known: a, b'
    """
    names = sorted(set(known))
    near = difflib.get_close_matches(str(word), names, n=1)
    if not near or str(word).casefold() != near[0].casefold():
        near = [name for name in names if name.casefold() == str(word).casefold()] or near
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"


def first_few(items: Iterable[object], *, most: int = 5) -> str:
    """Join the first few items for a message.

    >>> first_few([3, 5, 7, 11, 13, 17])
    '3, 5, 7, 11, 13, ...'
    """
    shown = [str(item) for item in items]
    return ", ".join(shown[:most]) + (", ..." if len(shown) > most else "")
