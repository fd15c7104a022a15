"""From a grid file to what is compared: every cell resolved and checked, and its control added.

The file is one of settings with a section ``[grid]``::

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

import copy
import itertools
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from ..comparison import Row, bag_model, baseline, track_model
from ..config import Settings, check, override, put
from ..errors import ConfigError, did_you_mean, first_few
from ..faults import fault_texts
from ..features.spec import FeatureSpec
from ..files import read_toml

CONTROL = "control"
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
        table = isinstance(value, Mapping)
        flat |= _flat(value, f"{prefix}{key}.") if table else {prefix + key: value}
    return flat


def _shown(value: Any) -> str:
    """A value as TOML writes it, text without quotes."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A grid file, read.

    Attributes
    ----------
    rows : tuple of Row
        As in the file; then the controls that it does not name.
    controls : dict of str to str
        Name of each row's own control, by its name: the track model averaged over the bag, with the
        same inputs, encoder and loss. A control's is its own.
    specs : dict of str to FeatureSpec
        Of the features that rows read, by `Row.features`, which is their digest.
    settings : Settings
        Of the first cell, of which the seed and the shares of the splits are everybody's.
    notes : tuple of str
        What the faults of cells do, and which of them have no effect.
    """

    rows: tuple[Row, ...]
    controls: Mapping[str, str]
    specs: Mapping[str, FeatureSpec]
    settings: Settings
    notes: tuple[str, ...] = ()


def read_grid(path: Path | str, overrides: Iterable[str] = ()) -> Grid:
    """Read a grid file, and refuse it as a whole if anything is wrong with any cell.

    Parameters
    ----------
    path : path
        See above for the format.
    overrides : iterable of str
        ``section.key=value`` for all cells.

    Raises
    ------
    ConfigError
        Listing everything that is wrong at once: for each problem the cells that have it.
    """
    content = read_toml(path)
    for text in overrides:
        override(content, text)
    problems: list[str] = []
    axes = read_axes(content.pop("grid", None), problems)
    cells: dict[str, tuple[dict[str, str], Settings, str]] = {}
    found: dict[str, list[str]] = {}  # cells by problem
    combined = list(product(axes)) if axes else []
    for labels, values in combined:
        name = ", ".join(labels.values())
        settings, wrong = _resolve(content, values)
        if name in cells:
            problems.append(f"two cells are called {name!r}; rename an option")
        for problem in wrong:
            found.setdefault(problem, []).append(name)
        if settings is not None:
            cells[name] = labels, settings, values.get(ROW, ROWS[0])
    problems += [_told(problem, names, len(combined)) for problem, names in found.items()]
    if problems:
        raise ConfigError(f"{path}: {'; '.join(problems)}")
    every = [settings for _, settings, _ in cells.values()]
    present = {fault for settings in every for fault in settings.present_faults}
    notes = dict.fromkeys(note for settings in every for note in settings.inert_faults)
    specs = {spec.digest: spec for spec in (settings.features.spec() for settings in every)}
    rows, controls = _rows(list(cells.values()))
    if (n := sum(bool(row.blend) for row in rows)) > 1:
        notes[
            f"{n} rows are blends: their networks make less of a difference there, and each fits "
            'all else that is in it; recipe = "single" compares networks alone.'
        ] = None
    return Grid(
        rows=rows,
        controls=controls,
        specs=specs,
        settings=every[0],
        notes=(*fault_texts(present), *notes),
    )


def _resolve(
    content: dict[str, Any], values: dict[str, Any]
) -> tuple[Settings | None, Sequence[str]]:
    whole = copy.deepcopy(content)
    for key, value in values.items():
        try:
            if key != ROW:
                put(whole, key, value)
        except ConfigError as error:
            return None, [f"{key}: {error}; correct the section"]
    settings, problems = check(whole)
    if settings is not None and not settings.splits.validation:
        return None, ["splits.validation is 0, but cells are ranked on validation; leave it out"]
    if settings is not None and settings.baseline is not None and values.get(ROW) == "bags":
        return None, ["a baseline knows no bags; use row = 'averaged' or leave row out"]
    return settings, problems


def _told(problem: str, names: list[str], n_cells: int) -> str:
    if len(names) == n_cells:
        return f"all cells: {problem}"
    return f"{len(names)} of {n_cells} cells ({first_few(map(repr, names), most=3)}): {problem}"


def _rows(
    cells: list[tuple[dict[str, str], Settings, str]],
) -> tuple[tuple[Row, ...], dict[str, str]]:
    """Rows that differ, under names that differ; and the name of the control of each."""
    labels = [labels for labels, _, _ in cells]
    asked = [_row(settings, kind) for _, settings, kind in cells]
    compared = [_row(settings, "averaged", control=True) for _, settings, _ in cells]
    asked_for, plain = _groups(asked), _groups(compared)
    names, called = _names(asked_for, labels), _names(plain, labels)
    for key, name in called.items():
        alone = f"{CONTROL}: {name}" if len(plain) > 1 else CONTROL
        called[key] = names.get(key, alone)
    rows, controls = [], {}
    for key, places in asked_for.items():
        rows.append(replace(asked[places[0]], name=names[key]))
        controls[names[key]] = called[row_key(compared[places[0]])]
    for key, places in plain.items():
        if key not in asked_for:
            rows.append(replace(compared[places[0]], name=called[key]))
            controls[called[key]] = called[key]
    return tuple(rows), controls


def _row(settings: Settings, kind: str, *, control: bool = False) -> Row:
    if settings.baseline is not None and not control:
        row = replace(baseline(settings.baseline), average=kind != "alone")
    elif kind == "bags":
        faults = settings.present_faults
        row = bag_model("", settings.model, settings.training, faults=faults)
        row = replace(row, blend=settings.blended)
    else:
        model, training = settings.model, settings.training
        row = track_model("", model, training, average=kind == "averaged")
    return replace(row, bags=settings.bags, features=settings.features.spec().digest)


def row_facts(row: Row) -> dict[str, Any]:
    """All that decides the result of a row besides data and seed, as a cell keeps it."""
    return {**row.facts(), "bags": row.bags, "features": row.features}


def row_key(row: Row) -> str:
    """Equal for rows of equal facts, whatever they are called."""
    return json.dumps(row_facts(row), sort_keys=True)


def _groups(rows: Sequence[Row]) -> dict[str, list[int]]:
    """Places of equal rows."""
    groups: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        groups.setdefault(row_key(row), []).append(place)
    return groups


def _names(groups: dict[str, list[int]], labels: list[dict[str, str]]) -> dict[str, str]:
    """Name of each group; an axis of which it has every label makes no difference to it."""
    every = {axis: {some[axis] for some in labels} for axis in labels[0]}
    names: dict[str, str] = {}
    for key, places in groups.items():
        first = ", ".join(labels[places[0]].values())
        here = {axis: dict.fromkeys(labels[place][axis] for place in places) for axis in every}
        telling = ["/".join(some) for axis, some in here.items() if set(some) != every[axis]]
        shared = [label for some in here.values() if len(some) == 1 for label in some]
        better = [] if len(places) == 1 else [", ".join(telling), ", ".join(shared)]
        names[key] = next((n for n in better if n and n not in names.values()), first)
    return names
