"""Several runs or systems on the same test tracks: one ranked table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import ConfigError, DataError, did_you_mean
from ..evaluation.contrast import Standing, contrast, contrast_table, difference_table
from ..evaluation.overview import MAJORITY, with_protocol
from ..evaluation.resampling import ROUNDS
from ..evaluation.scores import majority
from ..evaluation.tables import Table
from ..faults import fault_texts
from ..predictions import Predictions
from .subjects import Subject


@dataclass(frozen=True, eq=False)
class Comparison:
    """A ranked table, and what it was made of.

    Attributes
    ----------
    ranking : Table
    differences : Table
        To the baseline; without rows where there were no rounds.
    standings : tuple of Standing
        The best first.
    baseline : str
    made : dict of str to Predictions
        By name, in the order that they were given.
    """

    ranking: Table
    differences: Table
    standings: tuple[Standing, ...]
    baseline: str
    made: dict[str, Predictions]


def compare_subjects(
    subjects: Sequence[Subject],
    *,
    baseline: str | None = None,
    controls: bool = True,
    unit: str = "spread",
    rounds: int = ROUNDS,
    seed: int = 0,
) -> Comparison:
    """Rank subjects by macro-F1 of the test split, each beside a baseline.

    Parameters
    ----------
    subjects : sequence of Subject
        Of the same test tracks.
    baseline : str, optional
        Name of a row; by default the first subject.
    controls : bool
        Also rank the control of each run. The majority class is always there.
    unit, rounds, seed
        As in `matt.evaluation.contrast.contrast`.

    Raises
    ------
    ConfigError
        If nothing has the name of the baseline.
    DataError
        If there are fewer than two, or they are not of the same tracks, genres and labels.
    """
    if len(subjects) < 2:
        raise DataError("a comparison needs two runs or files of predictions; name another one")
    made = {subject.name: subject.main for subject in subjects}
    remarks = {subject.name: _remark(subject) for subject in subjects}
    for subject in subjects if controls else ():
        if subject.control is not None:
            made[f"{subject.name}, control"] = subject.control
            remarks[f"{subject.name}, control"] = subject.remark
    made[MAJORITY] = majority(subjects[0].main)
    if baseline is not None and baseline not in made:
        raise ConfigError(f"nothing here is named {baseline!r}; {did_you_mean(baseline, made)}")
    against = baseline or subjects[0].name
    standings = contrast(made, baseline=against, unit=unit, rounds=rounds, seed=seed)
    ranking = with_protocol(contrast_table(standings, remarks=remarks), subjects[0].main)
    differences = difference_table(standings, baseline=against)
    return Comparison(ranking, differences, standings, against, made)


def _remark(subject: Subject) -> str:
    """What makes a row doubtful: that it is partial, or that it was chosen by what is scored."""
    return " ".join([subject.remark, *fault_texts(subject.faults, red=True)]).strip()
