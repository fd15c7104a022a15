"""What is fitted: the twelve models of the paper and the controls, under any faults; and the cells.

The paper's attention is fitted in three ways, as its equation (1) may be read, each a row of its
own: see `SCORES`.

A row is known by its feature set and its name. Its cells, one a split, predict bags and lone
tracks of the test split; finished ones come back as predictions, and what is missing is told.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..comparison import Cell, Row, bag_model, track_model
from ..comparison import baseline as baseline_row
from ..config import Settings, named_faults
from ..datasets.fma.loading import ALL
from ..errors import ConfigError, DataError, did_you_mean, first_few
from ..faults import PROTOCOLS
from ..grid.engine import CellsReport, run_cells
from ..grid.study import Division, Material, make_cells, shared_arrays
from ..models.settings import (
    BaselineName,
    BaselineSettings,
    EncoderName,
    ModelSettings,
    PoolingName,
    TrainingSettings,
)
from ..predictions import Predictions
from ..processes import Progress
from ..recipes import PLAIN
from .data import LOGMEL, Data
from .published import MODELS_1

SCORES: dict[PoolingName, str] = {
    "dot": "as released",
    "additive": "eq. (1) with a weight matrix",
    "scalar": "eq. (1) to the letter",
}
"""What +MATT scores segments by: the dot product of the release, and eq. (1) read in two ways."""


def rows_of(models: Iterable[str]) -> tuple[str, ...]:
    """Names of the rows of models of the paper: of +MATT one a score.

    >>> rows_of(["MLP", "MLP+MATT"])
    ('MLP', 'MLP+MATT (dot)', 'MLP+MATT (additive)', 'MLP+MATT (scalar)')
    """
    return tuple(
        row
        for model in models
        for row in ([matt(model, s) for s in SCORES] if model.endswith("+MATT") else [model])
    )


def matt(model: str, score: str) -> str:
    """Name of the row of a model with attention and a score."""
    return f"{model} ({score})"


def published_as(row: str) -> str:
    """What the paper calls a row, as far as it has it: its +MATT is that of the release.

    >>> published_as("CRNN+MATT (dot)"), published_as("CRNN+MATT (scalar)")
    ('CRNN+MATT', 'CRNN+MATT (scalar)')
    """
    return row.removesuffix(" (dot)")


def score_of(row: str) -> str:
    """What a row with attention scores segments by; empty for the others.

    >>> score_of("MLP+MATT (additive)"), score_of("MLP")
    ('additive', '')
    """
    return row.partition(" (")[2].rstrip(")")


SCORES_NOTE = (
    "dot: the score of the released code, beside which the paper's numbers stand; additive: eq. "
    "(1) read with a weight matrix; scalar: eq. (1) to the letter, by which every genre puts the "
    "segments of a bag in one order."
)
MODELS = rows_of(
    [
        *MODELS_1,
        *("CRNN", "CRNN+MIL", "CRNN+MATT", "CRNN-TF", "CRNN-TF+MIL", "CRNN-TF+MATT"),
    ]
)
TRACK, AVERAGED = "track model", "track model averaged over the bag"
CONTROLS = (TRACK, AVERAGED)
"""Controls that are fitted: our MLP of lone tracks, scored alone and averaged over the bag.

The other two are made from predictions: `evaluation.scores.majority`, and for all singletons the
part ``"alone"`` of a bag model.
"""
TRIPLED = "triple_chroma"  # a fault of the features themselves
DROPPED = "dropped_batch"  # a fault that needs more bags than a batch holds

# Cells that were made under another name of what they predict further are still good.
_FORMERLY = {"matt.reproduce.degradation.degrade": "matt.reproduce.damage.degrade"}

# Feature set and name of a row.
Key = tuple[str, str]

_BASELINES: dict[str, BaselineName] = {"LR": "lr", "KNN": "knn", "SVM": "svm"}
# As many epochs as CRNN-TF's authors ran.
_CRNN: dict[str, Any] = {"max_bags": 16, "epochs": 30, "patience": 10}
_ENCODERS: dict[str, EncoderName] = {"MLP": "mlp", "CRNN": "crnn", "CRNN-TF": "crnn_tf"}
_DROPOUT = {"mlp": 0.3, "crnn": 0.3, "crnn_tf": 0.5, "identity": 0.3}
# What the release set, by model: learning rate and bags a step.
_RELEASED = {
    "MLP+MIL": (0.2, 160),
    "MLP+MATT": (0.2, 160),
    "CRNN": (0.2, 14),
    "CRNN-TF": (0.2, 14),
    "CRNN+MIL": (0.1, 14),
    "CRNN-TF+MIL": (0.2, 14),
    "CRNN+MATT": (0.3, 12),
    "CRNN-TF+MATT": (0.1, 12),
}


# How long cells take is guessed before any is finished: seconds of a cell on FMA-medium's size, as
# measured on one core of a cloud machine of 2025; fewer tracks take as much less.
_FULL = 20_000  # training tracks of the measurements
_AT_LEAST = 0.3  # seconds of any cell
# (seconds, seconds a feature) of a baseline; of a network they are an epoch's.
_BASELINE_SECONDS = {
    "lr": (2.0, 0.022),
    "knn": (2.0, 0.005),
    "svm": (60.0, 0.3),
    "mlp_sklearn": (20.0, 0),
}
_POWER = {"svm": 2.0}  # of the number of tracks; 1 otherwise
_EPOCHS = (0.18, 0.0001)  # of bags
_STOPPED = 0.35  # of the epochs that are allowed, as early stopping ends them
_MAPS = 35.0  # seconds of an epoch of 1,000 log-mels of 96 x 128
_MAP = 96 * 128


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked for.

    Attributes
    ----------
    protocol : {"corrected", "paper", "released"}
    epochs, crnn_epochs : int, optional
        Of networks of features, and of log-mels, at most.
    rounds : int
        Of the bootstrap.
    crnn_scores : bool
        Whether CRNNs have all three scores, too, each hours of its own, or that of the release.
    """

    protocol: str = "corrected"
    epochs: int | None = None
    crnn_epochs: int | None = None
    rounds: int = 1_000
    crnn_scores: bool = True


def make_row(
    name: str,
    faults: str | Collection[str] = (),
    *,
    features: str = "",
    bags: str = "album",
    released: bool | None = None,
    epochs: int | None = None,
    called: str | None = None,
    n_bags: int | None = None,
) -> Row:
    """Make a model of `MODELS` or `CONTROLS` under faults.

    Parameters
    ----------
    name : str
    faults : str or collection of str
        Names of faults, or of a protocol. A model that cannot have a fault is not changed by it.
        The score is part of the name, so that of a protocol, ``"scalar_score"``, changes none.
    features : str
        The feature set that it reads; CRNNs read log-mels.
    bags : str
        What a bag is, as in `Bags.from_tracks`.
    released : bool, optional
        Optimiser and encoder of the paper's release: plain SGD with its rates, features
        without a hidden layer. By default under the protocol ``"released"``.
    epochs : int, optional
        Of networks, at most.
    called : str, optional
        Another name in tables.
    n_bags : int, optional
        Of training, at least. Without the fault of a dropped batch, if that would be the only one.

    Raises
    ------
    ConfigError
        If a name is unknown.
    """
    if name not in (*MODELS, *CONTROLS):
        raise ConfigError(f"unknown model {name!r}; {did_you_mean(name, (*MODELS, *CONTROLS))}")
    if released is None:
        released = faults == "released"
    sklearn_mlp = isinstance(faults, str) and faults in PROTOCOLS and faults != "corrected"
    wanted = () if name in CONTROLS else named_faults(faults)
    if isinstance(faults, str) and faults in PROTOCOLS:
        wanted = tuple(fault for fault in wanted if fault != "scalar_score")
    called = called or name
    if "CRNN" in name:
        features = LOGMEL
    elif features == ALL and TRIPLED in wanted:
        features = f"{ALL} {TRIPLED}"
    if name in _BASELINES or (name == "MLP" and sklearn_mlp):
        kind = _BASELINES.get(name, "mlp_sklearn")
        settings = Settings(baseline=BaselineSettings(classifier=kind), faults=wanted)
        assert settings.baseline is not None
        row = replace(baseline_row(settings.baseline), name=called, average=False)
        return replace(row, bags=bags, features=features)
    model, training = _network(name, released=released)
    if epochs is not None:
        training = replace(training, epochs=epochs)
    settings = Settings(model=model, training=training, faults=wanted)
    if "+" in name:
        row = bag_model(called, settings.model, settings.training, faults=settings.present_faults)
    else:
        row = track_model(called, model, training, average=name == AVERAGED)
        row = replace(row, test_selection="test_selection" in wanted)
    if n_bags is not None and n_bags < row.training.max_bags:
        row = replace(row, training=replace(row.training, dropped_batch=False))
    return replace(row, bags=bags, features=features)


def rows_on(
    data: Data, request: Request, names: Collection[str], feature_sets: Collection[str] = ()
) -> tuple[Row, ...]:
    """Models under the protocol on feature sets; those of log-mels once, where there are any.

    Parameters
    ----------
    data : Data
    request : Request
    names : collection of str
        Of `MODELS` and `CONTROLS`.
    feature_sets : collection of str
        By default the fullest.
    """
    crnns = [
        name
        for name in names
        if "CRNN" in name and (request.crnn_scores or score_of(name) in ("", "dot"))
    ]
    others = [name for name in names if "CRNN" not in name]
    sets = [(feature_set, others) for feature_set in feature_sets or [data.fullest]]
    if crnns and data.logmel() is not None:
        sets.append((LOGMEL, crnns))
    drops = DROPPED in PROTOCOLS[request.protocol]
    return tuple(
        make_row(
            name,
            request.protocol,
            features=features,
            bags=data.bags,
            epochs=request.crnn_epochs if features == LOGMEL else request.epochs,
            n_bags=n_bags,
        )
        for features, some in sets
        for n_bags in [data.fewest_bags(features) if drops else None]
        for name in some
    )


def undropped(data: Data, request: Request) -> tuple[str, ...]:
    """Say which models lack the fault of a dropped batch although the protocol has it."""
    if DROPPED not in PROTOCOLS[request.protocol]:
        return ()
    rows = rows_on(data, request, [name for name in MODELS if "+" in name])
    names = [row.name for row in rows if not row.training.dropped_batch]
    if not names:
        return ()
    few = "their training bags are fewer than one batch, and nothing would be left"
    return (f"Fault {DROPPED} is left out of {', '.join(names)}: {few}.",)


def _network(name: str, *, released: bool) -> tuple[ModelSettings, TrainingSettings]:
    base, _, kind = name.partition(" (")[0].partition("+")
    encoder = _ENCODERS.get(base, "mlp")
    pooling: PoolingName = next((s for s in SCORES if s == score_of(name)), "mean")
    model = replace(PLAIN.model, encoder=encoder, pooling=pooling, dropout=_DROPOUT[encoder])
    training = replace(PLAIN.training, **(_CRNN if encoder != "mlp" else {}))
    published = name.partition(" (")[0]
    if not released or published not in _RELEASED:
        return model, training
    lr, most = _RELEASED[published]
    if kind:
        model = replace(
            model,
            encoder="identity" if encoder == "mlp" else encoder,
            pooled_dropout=0.5,
            head="mlp" if kind == "MIL" else "linear",
        )
    training = replace(training, optimizer="sgd", lr=lr, weight_decay=1e-5, max_bags=most)
    return model, training


def key_of(row: Row) -> Key:
    """Feature set and name of a row: a name of features is that of a set, and faults of it."""
    return row.features.partition(" ")[0], row.name


def fit_cell(material: Material, cell: Cell) -> dict[str, Predictions]:
    """Fit the row of a cell on its split; see `matt.grid.engine`.

    Returns
    -------
    dict of str to Predictions
        ``"test"``: bags of the test split; of a model of lone tracks their average over the bag.
        ``"alone"``: every test track alone. ``"valid"``: bags of the validation split, where
        there are any. And what the row predicts `further`.
    """
    fitted = material.fitted(cell)
    row, test = fitted.row, fitted.bags("test")
    alone = fitted.predict(fitted.bags("test", by="track"))
    averaged = row.lone and alone.link != "none"
    made = {
        "alone": alone,
        "test": fitted.average(alone, test) if averaged else fitted.predict(test),
    }
    if (fitted.tracks.split == "validation").any():
        unit = "track" if row.lone and not row.average else row.bags
        made["valid"] = fitted.predict_row(fitted.bags("validation", by=unit), explain=True)
    if row.further is not None:
        made |= row.further(fitted)
    return made


@dataclass(frozen=True, eq=False)
class Results:
    """The cells of some rows, and what is there of them: nothing before they are run.

    Attributes
    ----------
    data : Data
    protocol : str
        For people.
    material : Material
        What all cells share.
    cells : dict of (str, str) to tuple of Cell
        By feature set and name of the row, one a division.
    report : Report
    """

    data: Data
    protocol: str
    material: Material
    cells: Mapping[Key, tuple[Cell, ...]]
    report: CellsReport = field(default_factory=lambda: CellsReport({}, (), 0))

    @classmethod
    def planned(
        cls,
        data: Data,
        rows: Sequence[Row],
        divisions: Sequence[Division],
        *,
        protocol: str = "corrected",
    ) -> Results:
        """Make the cells of rows.

        Cells of a row without randomness are equal where only the seed differs, and so run once.

        Parameters
        ----------
        data : Data
        rows : sequence of Row
            See `make_row`; no two of one `key_of`.
        divisions : sequence of Division
            See `Data.divisions`.
        protocol : str
        """
        stores = {}
        for name in dict.fromkeys(row.features for row in rows):
            feature_set, *faults = name.split(" ")
            stores[name] = data.features(feature_set, faults)
        material = Material(tuple(divisions), stores)
        made = make_cells(rows, material, _facts, called=_called, split="split")
        n = len(rows)
        cells = {key_of(row): tuple(made[place::n]) for place, row in enumerate(rows)}
        return cls(data, protocol, material, cells)

    def run(
        self,
        out: Path | str,
        *,
        n_jobs: int = 1,
        progress: Callable[[Progress], None] | None = None,
    ) -> Results:
        """Run what is not finished in the folder, and return all.

        Parameters
        ----------
        out : path
        n_jobs : int >= 1
            Processes.
        progress : callable, optional
            See `run_cells`.
        """
        given: dict[str, Any] = {"jobs": n_jobs, "guess": partial(_guess, self.material)}
        with shared_arrays(self.material, Path(out), n_jobs) as shared:
            report = run_cells(
                self.every(), fit_cell, out, shared=shared, progress=progress, **given
            )
        return replace(self, report=report)

    @property
    def divisions(self) -> tuple[Division, ...]:
        """The splits."""
        return self.material.divisions

    def every(self) -> list[Cell]:
        """Each cell once: all models on the first split, then on the next."""
        rounds = zip(*self.cells.values(), strict=True)
        return list({cell.digest: cell for some in rounds for cell in some}.values())

    def by_split(self, feature_set: str, model: str, part: str = "test") -> dict[str, Predictions]:
        """Predictions of the finished cells of a model, by the name of the division.

        A cell that serves several divisions is read once, and is the same object in all of them.

        Raises
        ------
        DataError
            If a file holds predictions of other tracks, labels or genres: nothing of it is used.
        """
        read: dict[str, Predictions] = {}
        found = {}
        for cell in self.cells.get((feature_set, model), ()):
            result = self.report.results.get(cell.digest)
            if result is None:
                continue
            if cell.digest not in read:
                read[cell.digest] = result.predictions(part)
                _check(read[cell.digest], self.data, result.path)
            found[self.divisions[cell.split].name] = read[cell.digest]
        return found

    def failed(self, feature_set: str, model: str) -> tuple[str, ...]:
        """Which cells of a model failed, and why: ``"split 3: ..."``."""
        reasons = {failure.cell.digest: failure.reason for failure in self.report.failures}
        return tuple(
            f"split {self.divisions[cell.split].name}: {reasons[cell.digest]}"
            for cell in self.cells.get((feature_set, model), ())
            if cell.digest in reasons
        )


def _called(row: Row) -> str:
    feature_set, name = key_of(row)
    return f"{name}, {feature_set}"


def _facts(row: Row, read: Mapping[str, Any]) -> dict[str, Any]:
    seed = read["seed"] if row.random else None
    further = None
    if row.further is not None:
        name = f"{row.further.__module__}.{row.further.__qualname__}"
        further = _FORMERLY.get(name, name)
    known = {"reproduce": 1, "row": row.facts(), "bags": row.bags}
    return {**known, **read, "seed": seed, "further": further}


def _check(predictions: Predictions, data: Data, path: Path) -> None:
    """Refuse predictions of other data."""
    ids, labels = data.known
    found = predictions.tracks.track_id
    place = np.searchsorted(ids, found).clip(max=len(ids) - 1)
    unknown = found[ids[place] != found]
    wrong = ""
    if predictions.genres != data.tracks.genres:
        wrong = f"genres {first_few(predictions.genres)}, not {first_few(data.tracks.genres)}"
    elif unknown.size:
        wrong = f"{unknown.size} tracks that are not in the data (first: {first_few(unknown)})"
    elif (labels[place] != predictions.tracks.labels).any():
        wrong = "other genres of some tracks than the data has"
    if wrong:
        raise DataError(f"{path} holds predictions of other data: {wrong}; move it away")


def _guess(material: Material, cell: Cell) -> float:
    """Seconds that a cell may take, until cells that are finished know better."""
    row = cell.row
    if row is None:
        return _AT_LEAST
    store, tracks = material.features[row.features], material.divisions[cell.split].tracks
    share = min(len(store) / len(tracks), 1.0)  # log-mels may be of some tracks only
    n_train = share * int((tracks.split == "training").sum())
    size = math.prod(store.spec.shape)
    if isinstance(row.model, BaselineSettings):
        fixed, each = _BASELINE_SECONDS[row.model.classifier]
        power = _POWER.get(row.model.classifier, 1.0)
        return max(_AT_LEAST, (fixed + each * size) * float((n_train / _FULL) ** power))
    epochs = row.training.epochs
    stopped = epochs if epochs <= row.training.patience else max(30.0, _STOPPED * epochs)
    if row.features == LOGMEL:
        return _MAPS * n_train / 1_000 * size / _MAP * stopped
    fixed, each = _EPOCHS
    return max(_AT_LEAST, (fixed + each * size) * stopped * n_train / _FULL)
