"""Exceptions of the package; every message says what is wrong and what to do next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MattError(Exception):
    """Base class, so that callers can catch everything raised on purpose."""


class DataError(MattError, ValueError):
    """Tracks, features, bags or predictions that do not fit together."""


class AudioError(MattError, OSError):
    """A file that cannot be read as audio; the message names it and the decoder."""


class ConfigError(MattError, ValueError):
    """A setting with an unknown name or an impossible value."""


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """Suggest the nearest known word, or list what is known.

    >>> did_you_mean("learning_rte", ["learning_rate", "epochs"])
    "did you mean 'learning_rate'?"
    >>> did_you_mean("zzz", ["b", "a"])
    'known: a, b'
    """
    names = sorted(set(known))
    near = difflib.get_close_matches(str(word), names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"


def first_few(items: Iterable[object], *, most: int = 5) -> str:
    """Join the first few items for a message.

    >>> first_few([3, 5, 7, 11, 13, 17])
    '3, 5, 7, 11, 13, ...'
    """
    shown = [str(item) for item in items]
    return ", ".join(shown[:most]) + (", ..." if len(shown) > most else "")
