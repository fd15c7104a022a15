"""Targets: what a reproduction can make, which cells each needs, and what comes out of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..comparison import Row
from ..evaluation.tables import Table
from .data import Data
from .plan import Request, Results


@dataclass(frozen=True, eq=False, kw_only=True)
class Made:
    """What a target made.

    Attributes
    ----------
    tables : dict of str to Table
        By the name of their file.
    pictures : dict of str to Path
    notes : tuple of str
        Sentences, e.g. claims.
    """

    tables: Mapping[str, Table] = field(default_factory=dict)
    pictures: Mapping[str, Path] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Target:
    """One thing to make.

    Attributes
    ----------
    title : str
    needs : callable
        (data, request) -> rows, whose cells have to be run first.
    make : callable
        (results, request, folder) -> Made. Where cells are missing it makes what can be made and
        says so.
    impossible : callable
        data -> why it cannot be made of it; nothing where it can.
    """

    title: str
    needs: Callable[[Data, Request], tuple[Row, ...]]
    make: Callable[[Results, Request, Path], Made]
    impossible: Callable[[Data], str] = lambda data: ""
