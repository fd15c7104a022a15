"""What a classifier needs of bags: labels, two genres, disjoint tracks, one order of genres."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..bags import Bags
from ..columns import relabel
from ..errors import ConfigError, DataError, first_few
from .settings import ModelSettings
from .training_settings import TrainingSettings


def check_bags(bags: Bags, valid: Bags | None, model: ModelSettings) -> None:
    """Refuse training bags that cannot be learned from.

    Parameters
    ----------
    bags, valid : Bags
        For training and, optionally, for validation.
    model : ModelSettings

    Raises
    ------
    DataError
        If a bag has no known genre, fewer than two genres have a training bag, or the two kinds of
        bags share tracks or differ in genres.
    ConfigError
        If the model needs one genre a bag and bags may have several.
    """
    for name, given in {"training": bags, "validation": valid}.items():
        if given is not None and not given.known.all():
            raise DataError(
                f"{int((~given.known).sum())} of {len(given)} {name} bags have no known genre; "
                "leave them out with bags.labelled()"
            )
    here = np.flatnonzero(bags_per_genre(bags))
    if len(here) < 2:
        names = first_few(bags.genres[genre] for genre in here)
        raise DataError(
            f"training bags of only {len(here)} genre ({names}): there is nothing to tell apart; "
            "add bags of another genre"
        )
    if bags.multi_label and model.query == "true":
        raise ConfigError(
            "query='true' reads a bag with its one true genre, but these bags may have several; "
            "use query='all'"
        )
    if bags.multi_label and model.tanh_pooled:
        raise ConfigError(
            "tanh_pooled takes its scores from a softmax over the genres, but these bags may have "
            "several; use tanh_pooled=false"
        )
    if valid is None:
        return
    if valid.genres != bags.genres or valid.multi_label != bags.multi_label:
        raise DataError(
            f"validation bags know the genres {first_few(valid.genres)}, training bags "
            f"{first_few(bags.genres)}; make both from one table of tracks"
        )
    both = np.intersect1d(bags.track_ids, valid.track_ids)
    if both.size:
        raise DataError(
            f"{both.size} tracks are both in training and in validation (first: "
            f"{first_few(both)}); split the tracks with matt.splits"
        )


def check_training(
    bags: Bags,
    valid: Bags | None,
    model: ModelSettings,
    training: TrainingSettings,
    *,
    n_processes: int = 1,
) -> None:
    """Refuse settings of training that these bags, or this model, cannot have.

    Raises
    ------
    ConfigError
        Naming every such setting.
    """
    problems = []
    if bags.multi_label:
        for name, wrong, use in (
            ("loss", "class_balanced", "'cross_entropy' or 'focal'"),
            ("sampler", "sqrt", "'natural'"),
            ("sampler", "balanced", "'natural'"),
            ("head_tuning", "crt", "'none'"),
            ("head_tuning", "tau_norm", "'none'"),
        ):
            if getattr(training, name) == wrong:
                problems.append(
                    f"{name}={wrong!r} goes by the one genre of a bag, but these bags may have "
                    f"several; use {name}={use}"
                )
    if training.head_tuning == "tau_norm" and valid is None:
        problems.append(
            "head_tuning='tau_norm' is chosen on validation bags, but there are none; give valid, "
            "or use head_tuning='crt'"
        )
    if training.head_tuning != "none" and model.pooling == "max":
        problems.append(
            "pooling='max' reads the very head that head_tuning changes; use another pooling, or "
            "head_tuning='none'"
        )
    if training.head_tuning != "none" and model.tanh_pooled:
        problems.append(
            "tanh_pooled makes no logits that a head could be tuned by; use tanh_pooled=false, or "
            "head_tuning='none'"
        )
    if training.mix and n_processes > 1:
        problems.append(
            f"mix pairs the bags of a step, whichever of {n_processes} processes has them; use "
            "mix=0, or one process"
        )
    if problems:
        raise ConfigError("; ".join(problems))


def link_of(bags: Bags, model: ModelSettings) -> str:
    """Link of a model that is fitted to labelled bags, see `Predictions`."""
    if model.tanh_pooled:
        return "none"
    return "sigmoid" if bags.multi_label else "softmax"


def fit_notes(
    bags: Bags, history: Iterable[Mapping[str, float]], max_segments: int
) -> tuple[str, ...]:
    """What is worth knowing of a fit: genres without a training bag, bags shown in part."""
    notes = []
    for many, text in ((0, "no training bag"), (1, "one training bag alone")):
        those = np.flatnonzero(bags_per_genre(bags) == many)
        if those.size:
            names = first_few(bags.genres[genre] for genre in those)
            notes.append(f"{those.size} of {len(bags.genres)} genres have {text}: {names}")
    capped = int(max((row["capped_bags"] for row in history), default=0))
    if capped:
        notes.append(
            f"{capped} training bags have more than {max_segments} segments; "
            "each epoch showed random tracks of them"
        )
    return tuple(notes)


def bags_per_genre(bags: Bags) -> NDArray[np.int64]:
    """Bags of each genre, shape (G,); all have a known one."""
    if bags.multi_label:
        summed: NDArray[np.int64] = bags.labels.sum(axis=0, dtype=np.int64)
        return summed
    return np.bincount(bags.labels, minlength=len(bags.genres))


def align(bags: Bags, genres: tuple[str, ...], train_counts: NDArray[np.int64]) -> Bags:
    """Return the same bags with labels in another order of genres, matched by name.

    A genre that is not wanted becomes an unknown label.

    Examples
    --------
    >>> bags = Bags([5, 7, 9], [0, 1, 2, 3], [0, 1, -1], genres=("Folk", "Rock"))
    >>> align(bags, ("Rock", "Jazz"), np.array([8, 3])).labels
    array([-1,  0, -1])
    """
    labels = relabel(bags.labels, bags.genres, genres)
    return replace(bags, labels=labels, genres=genres, train_counts=train_counts)
