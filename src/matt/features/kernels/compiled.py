"""Loops that are compiled to machine code when they are first called, by numba.

Where an array expression passes over memory several times, or sorts what need only be selected, a
loop does it once. What was compiled is kept beside the module, or in the user's cache folder where
that cannot be written, for all processes to come.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """The same function, compiled for the types that it is called with.

    Divisions by zero give what numpy gives; the order of additions is as written, so that values
    do not depend on the compiler.
    """
    return _kept(function)


def inlined(function: Function) -> Function:
    """The same, to be called by compiled functions: each gets a copy made for its own arrays."""
    return _kept(function, inline=True)


def _kept(function: Function, *, inline: bool = False) -> Function:
    try:
        return _jit(function, cache=True, inline=inline)
    except RuntimeError:  # there is no folder to keep it in: each process compiles for itself
        return _jit(function, cache=False, inline=inline)


def _jit(function: Function, *, cache: bool, inline: bool) -> Function:
    jit = numba.njit(error_model="numpy", cache=cache, forceinline=inline)
    return cast("Function", jit(function))
