"""The one grid format: a file of settings with a section ``[grid]``.

::

    bags = "album"                                # what all cells share, as in any settings file
    [training]
    epochs = 100

    [grid]                                        # every combination is a cell
    "model.pooling" = ["mean", "dot"]             # an axis: a setting and its values
    row = ["bags", "averaged"]                    # an axis: bags, or lone tracks

    [grid.loss]                                   # an axis with names: several settings at once
    plain = { recipe = "plain" }
    adjusted = { recipe = "plain", "training.logit_adjustment" = 1.0 }
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from ..config import Settings
from ..errors import ConfigError, did_you_mean

ROW = "row"
ROWS = ("bags", "averaged", "alone")
MOST = 10_000  # cells; more are a slip of the pen
_SETTINGS = (*(f.name for f in fields(Settings)), "recipe")
_SECTIONS = ("features", "splits", "model", "training", "baseline")


@dataclass(frozen=True)
class Axis:
    """What differs along one direction of a grid.

    Attributes
    ----------
    name : str
    options : dict of str to dict
        Settings by dotted name, of each option by its label.
    """

    name: str
    options: Mapping[str, Mapping[str, Any]]


def read_axes(grid: Any, problems: list[str]) -> list[Axis]:
    """Axes of the section ``[grid]``; what is wrong with it is added to the problems."""
    if not isinstance(grid, Mapping) or not grid:
        problems.append(
            '[grid] names no axis; add one, such as "model.pooling" = ["mean", "dot"] below [grid]'
        )
        return []
    keyed: dict[str, Any] = {}  # axes of one setting
    named: dict[str, Mapping[str, Any]] = {}
    for key, value in grid.items():
        if not isinstance(value, Mapping):
            keyed[key] = value
        elif key in _SECTIONS:
            keyed |= _flat(value, f"{key}.")
        else:
            named[key] = value
    axes = [*_keyed(keyed, problems), *_named(named, problems)]
    _check_once(axes, problems)
    n_cells = math.prod(len(axis.options) for axis in axes)
    if n_cells > MOST:
        sizes = " x ".join(str(len(axis.options)) for axis in axes)
        problems.append(f"{sizes} = {n_cells:,} cells are more than {MOST:,}; make several grids")
        return []
    return axes


def product(axes: list[Axis]) -> Iterator[tuple[dict[str, str], dict[str, Any]]]:
    """Yield label by axis, and value by dotted name, of every combination.

    >>> lr, loss = Axis("lr", {"lr=1": {"training.lr": 1}}), Axis("loss", {"A": {}, "B": {}})
    >>> [", ".join(labels.values()) for labels, _ in product([lr, loss])]
    ['lr=1, A', 'lr=1, B']
    """
    for chosen in itertools.product(*(axis.options.items() for axis in axes)):
        labels = {axis.name: label for axis, (label, _) in zip(axes, chosen, strict=True)}
        yield labels, {key: value for _, some in chosen for key, value in some.items()}


def _keyed(grid: Mapping[str, Any], problems: list[str]) -> Iterator[Axis]:
    shorts = [key.rpartition(".")[2] for key in grid]
    for key, values in grid.items():
        if not isinstance(values, list) or not values:
            told = f"is {values!r}; give a list of values" if values != [] else "lists no value"
            problems.append(f"[grid] {key!r} {told}, or leave it out")
            continue
        if not _fits(key, values, problems):
            continue
        short = key.rpartition(".")[2]
        name = short if shorts.count(short) == 1 else key
        labels = [f"{name}={_shown(value)}" for value in values]
        again = sorted({label for label in labels if labels.count(label) > 1})
        if again:
            problems.append(f"[grid] {key!r} lists {again[0]} twice; leave one out")
        yield Axis(key, {label: {key: v} for label, v in zip(labels, values, strict=True)})


def _named(grid: Mapping[str, Mapping[str, Any]], problems: list[str]) -> Iterator[Axis]:
    for name, options in grid.items():
        read: dict[str, dict[str, Any]] = {}
        for label, option in options.items():
            if not isinstance(option, Mapping):
                problems.append(
                    f"[grid.{name}] {label!r} is {option!r}, not a set of settings; write "
                    f'{label} = {{ "section.key" = value }}, or, for an axis of one setting, its '
                    "whole name in quotes below [grid]"
                )
                continue
            read[label] = _flat(option, "")
            for key, value in read[label].items():
                _fits(key, [value], problems)
        if not options:
            problems.append(f"[grid.{name}] has no option; name some, or leave it out")
        yield Axis(name, read)


def _fits(key: str, values: list[Any], problems: list[str]) -> bool:
    """Whether a key may differ between cells."""
    last = key.rpartition(".")[2]
    if key == ROW:
        wrong = [value for value in values if value not in ROWS]
        problems += [f"[grid] {ROW} is {v!r}; {did_you_mean(v, ROWS)}" for v in wrong]
        return not wrong
    if last == "seed" or key.partition(".")[0] == "splits":
        problems.append(
            f"[grid] {key!r} would have cells learn from other tracks, so that they could not be "
            "compared; the repeats have their own seeds, see --repeats"
        )
        return False
    if key.partition(".")[0] not in _SETTINGS:
        known = [*_SETTINGS, ROW]
        problems.append(
            f"[grid] {key!r} is no setting; {did_you_mean(key.partition('.')[0], known)}"
        )
        return False
    return True


def _check_once(axes: list[Axis], problems: list[str]) -> None:
    """Two axes that set one value: which of them counts?"""
    seen: dict[str, str] = {}
    for axis in axes:
        for key in {key: None for some in axis.options.values() for key in some}:
            if key in seen:
                problems.append(
                    f"[grid] {key!r} is set by the axes {seen[key]!r} and {axis.name!r}; keep one"
                )
            seen[key] = axis.name


def _flat(content: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Values of nested tables by dotted name."""
    flat: dict[str, Any] = {}
    for key, value in content.items():
        flat |= (
            _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
        )
    return flat


def _shown(value: Any) -> str:
    """A value as TOML writes it, text without quotes."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def put_all(content: dict[str, Any], values: Mapping[str, Any]) -> None:
    """Set values by dotted name; see `matt.config.put`."""
    from ..config import put

    for key, value in values.items():
        try:
            put(content, key, value)
        except ConfigError as error:
            raise ConfigError(f"{key}: {error}; correct the section") from error
