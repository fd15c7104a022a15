"""Predictions that a run left, under the names of its tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..comparison import BAG_MODEL
from ..errors import DataError
from ..evaluation.overview import overview
from ..evaluation.resampling import ROUNDS
from ..evaluation.tables import Table
from ..faults import fault_texts
from ..predictions import Predictions
from ..runs import Run

NAMES = {
    "test": BAG_MODEL,
    "test-alone": f"{BAG_MODEL}, each track alone",
    "control": "control: track model averaged over the bag",
    "control-alone": "control: track model, each track alone",
}


def named(made: Mapping[str, Predictions], *, model: str = BAG_MODEL) -> dict[str, Predictions]:
    """Predictions under the names that tables give them.

    Parameters
    ----------
    made : mapping of str to Predictions
        Under the names that `matt.experiment.run` saves.
    model : str
        What the model is called, see `model_name`.
    """
    names = NAMES
    if model != BAG_MODEL:  # a baseline sees lone tracks
        alone = f"{model}, each track alone"
        names = {**NAMES, "test": f"{model}, averaged over the bag", "test-alone": alone}
    return {names.get(name, name): predictions for name, predictions in made.items()}


def tables_of(
    made: Mapping[str, Predictions],
    *,
    model: str = BAG_MODEL,
    faults: Sequence[str] = (),
    rounds: int = ROUNDS,
    seed: int = 0,
) -> dict[str, Table]:
    """Tables of saved predictions, see `matt.evaluation.overview`.

    Parameters
    ----------
    made, model
        As in `named`.
    faults : sequence of str
        Of the run, by name; noted under the scores.
    rounds, seed : int
        Of the resamples for intervals; 0 rounds for none.
    """
    tables = overview(named(made, model=model), model=model, rounds=rounds, seed=seed)
    return {**tables, "scores": with_faults(tables["scores"], faults)}


def with_faults(scores: Table, faults: Sequence[str]) -> Table:
    """The table of scores with a note for each fault of the run that made them."""
    return replace(scores, notes=(*scores.notes, *fault_texts(faults)))


def saved(run: Run) -> dict[str, Predictions]:
    """Predictions of a run under the names that `matt.experiment.run` gave them.

    Raises
    ------
    DataError
        If the run is unfinished or of another kind.
    """
    check_kind(run)
    run.check_finished()
    return {name: run.predictions(name) for name in NAMES if run.has_predictions(name)}


def check_kind(run: Run) -> None:
    """Refuse a run whose predictions are not those of one training.

    Raises
    ------
    DataError
    """
    if run.manifest["kind"] != "train":
        raise DataError(
            f"{run.path} is a run of 'matt {run.manifest['kind']}', whose tables are in its "
            "scores.json; name a run folder of 'matt train'"
        )


def model_name(run: Run) -> str:
    """What the tables of a run call its model: its baseline by name, or the bag model."""
    settings = run.manifest["settings"].get("baseline")
    return BAG_MODEL if settings is None else str(settings["classifier"])
