"""What is fitted: the twelve models of the paper and the controls, under any faults."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from ..comparison import Row, bag_model, track_model
from ..comparison import baseline as baseline_row
from ..config import Settings, named_faults
from ..errors import ConfigError, did_you_mean
from ..faults import PROTOCOLS
from ..models.settings import (
    BaselineName,
    BaselineSettings,
    EncoderName,
    ModelSettings,
    PoolingName,
    TrainingSettings,
)
from ..recipes import PLAIN

MODELS = (
    *("LR", "KNN", "SVM", "MLP", "MLP+MIL", "MLP+MATT"),
    *("CRNN", "CRNN+MIL", "CRNN+MATT", "CRNN-TF", "CRNN-TF+MIL", "CRNN-TF+MATT"),
)
TRACK, AVERAGED = "track model", "track model averaged over the bag"
CONTROLS = (TRACK, AVERAGED)
"""Controls that are fitted: our MLP of lone tracks, scored alone and averaged over the bag.

The other two are made from predictions: `evaluation.scores.majority`, and for all singletons the
part ``"alone"`` of a bag model.
"""

_BASELINES: dict[str, BaselineName] = {"LR": "lr", "KNN": "knn", "SVM": "svm"}
_DETERMINISTIC = ("knn", "svm", "lr")
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


@dataclass(frozen=True, kw_only=True)
class Model:
    """One model, as it is fitted.

    Attributes
    ----------
    name : str
        In tables.
    row : Row
        What is fitted, and how predictions reach the bag.
    logmel : bool
        It reads log-mels; else a feature set.
    random : bool
        Whether a seed changes anything.
    faults : tuple of str
        That were asked for; what is a setting is in the row.
    """

    name: str
    row: Row
    logmel: bool = False
    random: bool = True
    faults: tuple[str, ...] = ()


def make_model(
    name: str,
    faults: str | Collection[str] = (),
    *,
    released: bool | None = None,
    epochs: int | None = None,
    called: str | None = None,
) -> Model:
    """Make a model of `MODELS` or `CONTROLS` under faults.

    Parameters
    ----------
    name : str
    faults : str or collection of str
        Names of faults, or of a protocol. A model that cannot have a fault is not changed by it.
    released : bool, optional
        Optimiser and encoder of the paper's release: plain SGD with its rates, features
        without a hidden layer. By default under the protocol ``"released"``.
    epochs : int, optional
        Of networks, at most.
    called : str, optional
        Another name in tables.

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
    called = called or name
    if name in _BASELINES or (name == "MLP" and sklearn_mlp):
        kind = _BASELINES.get(name, "mlp_sklearn")
        settings = Settings(baseline=BaselineSettings(classifier=kind), faults=wanted)
        assert settings.baseline is not None
        row = replace(baseline_row(settings.baseline), name=called, average=False)
        random = kind not in _DETERMINISTIC
        return Model(name=called, row=row, random=random, faults=wanted)
    model, training = _network(name, released=released)
    if epochs is not None:
        training = replace(training, epochs=epochs)
    settings = Settings(model=model, training=training, faults=wanted)
    if "+" in name:
        row = bag_model(called, settings.model, settings.training, faults=settings.present_faults)
    else:
        row = track_model(called, model, training, average=name == AVERAGED)
        row = replace(row, test_selection="test_selection" in wanted)
    return Model(name=called, row=row, logmel="CRNN" in name, faults=wanted)


def protocol_models(
    protocol: str,
    names: Collection[str] = MODELS,
    *,
    epochs: int | None = None,
    crnn_epochs: int | None = None,
) -> tuple[Model, ...]:
    """Models under a protocol, in the order of the names; CRNNs may have fewer epochs."""
    return tuple(
        make_model(name, protocol, epochs=crnn_epochs if "CRNN" in name else epochs)
        for name in names
    )


def _network(name: str, *, released: bool) -> tuple[ModelSettings, TrainingSettings]:
    base, _, kind = name.partition("+")
    encoder = _ENCODERS.get(base, "mlp")
    pooling: PoolingName = "dot" if kind == "MATT" else "mean"
    model = replace(PLAIN.model, encoder=encoder, pooling=pooling, dropout=_DROPOUT[encoder])
    training = replace(PLAIN.training, **(_CRNN if encoder != "mlp" else {}))
    if not released or name not in _RELEASED:
        return model, training
    lr, most = _RELEASED[name]
    if kind:
        model = replace(
            model,
            encoder="identity" if encoder == "mlp" else encoder,
            pooled_dropout=0.5,
            head="mlp" if kind == "MIL" else "linear",
        )
    training = replace(training, optimizer="sgd", lr=lr, weight_decay=1e-5, max_bags=most)
    return model, training
