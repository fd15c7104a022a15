"""Named mistakes of the paper and of the code released with it, each of which can be switched on.

A protocol is a set of names. ``corrected`` has none and is what matt does by itself; ``paper`` is
what the paper says, ``released`` what its code did.

A fault of the model, its training or a baseline is a setting. One of the data or of the evaluation
is a name in the settings, on which those act who make bags, features or tables: `matt.comparison`
keys training bags by genre and chooses the epoch on the test split; `matt.datasets.fma` has the
tripled chroma (``load_features(faults=...)``) and the typed-in tail (``checking.TYPED_TAILS``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from .errors import ConfigError, did_you_mean
from .models.settings import QUERY_POOLINGS, BaselineSettings, ModelSettings, TrainingSettings


class Parts(NamedTuple):
    """The settings that faults concern; beside a baseline, model and training are the control's."""

    model: ModelSettings
    training: TrainingSettings
    baseline: BaselineSettings | None = None
    bags: str = "album"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One mistake.

    Attributes
    ----------
    does : str
        What it does, in one sentence.
    needs : str
        What has it, as in "it needs ...": nothing else can.
    possible : callable
        Whether a run with given settings can have it.
    changes : dict
        By section, "model", "training" or "baseline": the settings that are the fault, with what
        these need. Empty where no setting is.
    has : callable, optional
        Whether settings have it, however they were set; None where no setting is.
    """

    does: str
    needs: str
    possible: Callable[[Parts], bool]
    changes: dict[str, dict[str, Any]]
    has: Callable[[Parts], bool] | None = None


def _is_network(parts: Parts) -> bool:
    return parts.baseline is None


def _has_queries(parts: Parts) -> bool:
    return parts.baseline is None and parts.model.pooling in QUERY_POOLINGS


def _of_queries(does: str, has: Callable[[ModelSettings], bool], **changes: Any) -> Fault:
    return Fault(
        does=does,
        needs="a network with a query for each genre",
        possible=_has_queries,
        changes={"model": changes},
        has=lambda parts: parts.baseline is None and has(parts.model),
    )


FAULTS: dict[str, Fault] = {
    "genre_in_training_key": Fault(
        does="Training bags are keyed by their genre as well: mixed albums are purified by labels.",
        needs="a network that is trained on bags of more than a track",
        possible=lambda parts: parts.baseline is None and parts.bags != "track",
        changes={},
    ),
    "test_selection": Fault(
        does="The epoch, and whatever else is chosen, is chosen on the test split.",
        needs="a network, as nothing of a baseline is chosen",
        possible=_is_network,
        changes={},
    ),
    "typed_tail": Fault(
        does="The tail is a typed-in list of genres, with one of 814 training tracks in it.",
        needs="FMA's genres, and whoever scores them to act on it",
        possible=lambda parts: True,
        changes={},
    ),
    "triple_chroma": Fault(
        does="The 518 features hold one kind of chroma three times: 350 distinct columns.",
        needs="FMA's features, and whoever loads them to act on it",
        possible=lambda parts: True,
        changes={},
    ),
    "unscaled": Fault(
        does="Baselines of scikit-learn are fitted on raw features, with weak settings.",
        needs="a baseline of scikit-learn",
        possible=lambda parts: parts.baseline is not None,
        changes={"baseline": {"unscaled": True}},
        has=lambda parts: parts.baseline is not None and parts.baseline.unscaled,
    ),
    "frozen_queries": _of_queries(
        "Queries are never trained, and prediction reads with other random ones than training.",
        lambda model: model.frozen_queries,
        frozen_queries=True,
        scale="fixed",
    ),
    "true_query": _of_queries(
        "In training only the query of a bag's true genre reads it.",
        lambda model: model.query == "true",
        query="true",
        scale="fixed",
    ),
    "scalar_score": _of_queries(
        "Eq. (1) to the letter: every genre puts the segments of a bag in the same order.",
        lambda model: model.pooling == "scalar",
        pooling="scalar",
    ),
    "tanh_pooled": _of_queries(
        "A tanh on the pooled embedding, and the diagonal of a softmax per query for scores.",
        lambda model: model.tanh_pooled,
        tanh_pooled=True,
    ),
    "dropped_batch": Fault(
        does="The last batch of an epoch is left out if it is not full.",
        needs="a network, as a baseline has no batches of bags",
        possible=_is_network,
        changes={"training": {"dropped_batch": True}},
        has=lambda parts: parts.baseline is None and parts.training.dropped_batch,
    ),
}
"""All of them by name, in the order in which they are told."""

PROTOCOLS: dict[str, tuple[str, ...]] = {
    "corrected": (),
    "paper": ("true_query", "scalar_score"),
    "released": tuple(name for name in FAULTS if name != "scalar_score"),
}
"""Sets of faults by name."""

_RED = ("test_selection",)
_ELSEWHERE = ("typed_tail", "triple_chroma")


def check_names(names: Iterable[str]) -> tuple[str, ...]:
    """Names of faults, each once and in their order.

    Raises
    ------
    ConfigError
        If one is unknown.

    Examples
    --------
    >>> check_names(["true_query", "unscaled", "true_query"])
    ('unscaled', 'true_query')
    """
    given = set(names)
    unknown = sorted(given - FAULTS.keys(), key=str)
    if unknown:
        told = (f"unknown fault {name!r}; {did_you_mean(name, FAULTS)}" for name in unknown)
        raise ConfigError("; ".join(told))
    return tuple(name for name in FAULTS if name in given)


def switched(parts: Parts, names: Iterable[str]) -> Parts:
    """Settings with faults switched on, and with what these need.

    Whatever a run cannot have stays off; `inert` tells of it. The order of the names is no matter.

    Parameters
    ----------
    parts : Parts
    names : iterable of str

    Raises
    ------
    ConfigError
        If a name is unknown.

    Examples
    --------
    >>> attention = Parts(ModelSettings(pooling="dot"), TrainingSettings())
    >>> model = switched(attention, ["frozen_queries"]).model
    >>> model.frozen_queries, model.scale
    (True, 'fixed')
    """
    for name in check_names(names):
        if FAULTS[name].possible(parts):
            for section, changes in FAULTS[name].changes.items():
                parts = parts._replace(**{section: replace(getattr(parts, section), **changes)})
    return parts


def present(parts: Parts, names: Collection[str] = ()) -> tuple[str, ...]:
    """Faults of a run: those that its settings have, however set, and what is named and possible.

    Parameters
    ----------
    parts : Parts
        With the named faults switched on.
    names : collection of str
    """
    return tuple(
        name
        for name, fault in FAULTS.items()
        if (fault.has(parts) if fault.has else name in names and fault.possible(parts))
    )


def inert(parts: Parts, names: Collection[str]) -> tuple[str, ...]:
    """Say which named faults a run does not have by its settings, and why.

    >>> inert(Parts(ModelSettings(), TrainingSettings()), ["true_query", "dropped_batch"])
    ('fault true_query has no effect here: it needs a network with a query for each genre',)
    """
    told = []
    for name in check_names(names):
        if not FAULTS[name].possible(parts):
            told.append(f"fault {name} has no effect here: it needs {FAULTS[name].needs}")
        elif name in _ELSEWHERE:
            told.append(f"fault {name} is only noted: it needs {FAULTS[name].needs}")
    return tuple(told)


def fault_texts(names: Iterable[str], *, red: bool | None = None) -> tuple[str, ...]:
    """Say in a sentence each what faults do, for reports and under tables.

    Parameters
    ----------
    names : iterable of str
    red : bool, optional
        Only those that make scores mean something else, as they are chosen by them; or the others.

    Examples
    --------
    >>> fault_texts(["dropped_batch"])
    ('Fault dropped_batch: the last batch of an epoch is left out if it is not full.',)
    """
    wanted = [name for name in check_names(names) if red in (None, name in _RED)]
    texts = {name: FAULTS[name].does for name in wanted}
    return tuple(f"Fault {name}: {text[:1].lower()}{text[1:]}" for name, text in texts.items())
