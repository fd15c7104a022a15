"""Recipes: settings of a network and its training that belong together, by name.

``default`` is what matt does by itself, the best that was found on real data: a network, and
classifiers of other kinds beside it. ``single`` is that network alone. ``plain`` is what the
networks of the paper are compared by: cross-entropy of bags alone, on standardised features. A row
that names its recipe stays what it is when a better default is found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from .errors import ConfigError, did_you_mean
from .models.settings import ModelSettings, TrainingSettings


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Settings that belong together.

    Attributes
    ----------
    model : ModelSettings
    training : TrainingSettings
    blended : bool
        Whether classifiers of other kinds are averaged with the network.
    """

    model: ModelSettings
    training: TrainingSettings
    blended: bool = False


DEFAULT = Recipe(model=ModelSettings(), training=TrainingSettings(), blended=True)
SINGLE = replace(DEFAULT, blended=False)
PLAIN = Recipe(
    model=replace(DEFAULT.model, inputs="standard", spread=False),
    training=replace(
        DEFAULT.training,
        lr=1e-3,
        logit_adjustment=0.0,
        decision="argmax",
        sub_bags=False,
        segment_loss=0.0,
        agreement=0.0,
        weight_average=0.0,
    ),
)
RECIPES = {"default": DEFAULT, "single": SINGLE, "plain": PLAIN}


def under(content: Mapping[str, Any]) -> dict[str, Any]:
    """Lay the recipe that nested settings name, as ``recipe``, under them: what they say counts.

    Parameters
    ----------
    content : mapping
        As in a TOML file.

    Raises
    ------
    ConfigError
        If there is no such recipe.

    Examples
    --------
    >>> under({"recipe": "plain", "model": {"pooling": "dot"}})["model"]
    {'inputs': 'standard', 'spread': False, 'pooling': 'dot'}
    """
    found = dict(content)
    name = found.pop("recipe", "default")
    if not isinstance(name, str) or name not in RECIPES:
        raise ConfigError(f"unknown recipe {name!r}; {did_you_mean(str(name), RECIPES)}")
    if not RECIPES[name].blended:
        found.setdefault("blend", [])
    for section in ("model", "training"):
        changes = _changes(getattr(RECIPES[name], section), getattr(DEFAULT, section))
        given = found.get(section, {})
        if changes and isinstance(given, Mapping):
            found[section] = changes | dict(given)
    return found


def _changes(settings: Any, default: Any) -> dict[str, Any]:
    """What is not as by default."""
    wanted, usual = vars(settings), vars(default)
    return {key: value for key, value in wanted.items() if value != usual[key]}
