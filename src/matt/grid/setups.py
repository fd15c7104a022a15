"""From a grid file to what is compared: every cell resolved and checked, and its control added."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..comparison import Row, bag_model, baseline, track_model
from ..config import Settings, check, override
from ..errors import ConfigError, first_few
from ..faults import fault_texts
from ..features.spec import FeatureSettings
from ..files import read_toml
from ..models.settings import BaselineSettings
from .axes import ROW, ROWS, product, put_all, read_axes

CONTROL = "control"


@dataclass(frozen=True, kw_only=True)
class Setup:
    """One row of the table: what is fitted on every split.

    Attributes
    ----------
    row : Row
    bags : str
        What a bag is, as in `Bags.from_tracks`.
    features : FeatureSettings
    against : str
        Name of its own control: the track model averaged over the bag, with the same inputs,
        encoder and loss. A control's is its own.
    """

    row: Row
    bags: str
    features: FeatureSettings
    against: str = ""

    @property
    def name(self) -> str:
        """In tables."""
        return self.row.name

    @property
    def is_control(self) -> bool:
        """Whether others are compared with it."""
        return self.against == self.name

    def facts(self) -> dict[str, Any]:
        """All that decides its result besides data and seed; not what it is called."""
        row = self.row
        model, training = asdict(row.model), asdict(row.training)
        for settings in (model, training):
            settings.pop("seed", None)  # each repeat has its own
        return {
            "model": model,
            "training": None if isinstance(row.model, BaselineSettings) else training,
            "lone": row.lone,
            "average": row.average,
            "genre_in_training_key": row.genre_in_training_key,
            "test_selection": row.test_selection,
            "bags": self.bags,
            "features": self.features.spec().digest,
        }


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A grid file, read.

    Attributes
    ----------
    setups : tuple of Setup
        As in the file; then the controls that it does not name.
    settings : Settings
        Of the first cell, of which the seed and the shares of the splits are everybody's.
    notes : tuple of str
        What the faults of cells do, and which of them have no effect.
    """

    setups: tuple[Setup, ...]
    settings: Settings
    notes: tuple[str, ...] = ()


def read_grid(path: Path | str, overrides: Iterable[str] = ()) -> Grid:
    """Read a grid file, and refuse it as a whole if anything is wrong with any cell.

    Parameters
    ----------
    path : path
        See `matt.grid.axes` for the format.
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
    return Grid(
        setups=_setups(list(cells.values())),
        settings=every[0],
        notes=(*fault_texts(present), *notes),
    )


def _resolve(
    content: dict[str, Any], values: dict[str, Any]
) -> tuple[Settings | None, Sequence[str]]:
    whole = copy.deepcopy(content)
    try:
        put_all(whole, {key: value for key, value in values.items() if key != ROW})
    except ConfigError as error:
        return None, [str(error)]
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


def _setups(cells: list[tuple[dict[str, str], Settings, str]]) -> tuple[Setup, ...]:
    """Setups that differ, under names that differ."""
    asked = [_setup(settings, kind) for _, settings, kind in cells]
    controls = [_setup(settings, "averaged", control=True) for _, settings, _ in cells]
    asked_for, compared = _groups(asked), _groups(controls)
    names = _names(asked_for, [labels for labels, _, _ in cells])
    plain = _names(compared, [labels for labels, _, _ in cells])
    called: dict[str, str] = {}
    for key in compared:
        alone = f"{CONTROL}: {plain[key]}" if len(compared) > 1 else CONTROL
        called[key] = names.get(key, alone)
    setups = []
    for key, places in asked_for.items():
        against = called[_key(controls[places[0]])]
        setups.append(_renamed(asked[places[0]], names[key], against))
    for key, places in compared.items():
        if key not in asked_for:
            setups.append(_renamed(controls[places[0]], called[key], called[key]))
    return tuple(setups)


def _setup(settings: Settings, kind: str, *, control: bool = False) -> Setup:
    if settings.baseline is not None and not control:
        row = replace(baseline(settings.baseline), average=kind != "alone")
    elif kind == "bags":
        faults = settings.present_faults
        row = bag_model("", settings.model, settings.training, faults=faults)
    else:
        model, training = settings.model, settings.training
        row = track_model("", model, training, average=kind == "averaged")
    return Setup(row=row, bags=settings.bags, features=settings.features)


def _renamed(setup: Setup, name: str, against: str) -> Setup:
    return replace(setup, row=replace(setup.row, name=name), against=against)


def _key(setup: Setup) -> str:
    return json.dumps(setup.facts(), sort_keys=True)


def _groups(setups: Sequence[Setup]) -> dict[str, list[int]]:
    """Places of equal setups."""
    groups: dict[str, list[int]] = {}
    for place, setup in enumerate(setups):
        groups.setdefault(_key(setup), []).append(place)
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
