"""The state of a training after its last whole epoch, kept so that a killed one can go on.

One safetensors file, replaced after every epoch, holds the weights and their average, the state of
the optimiser, the best weights and the history; JSON in its header says of which training it is.
Nothing is pickled. States of random generators are not in it because there are none to keep:
everything random in an epoch comes from the seed and the number of the epoch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .. import __version__
from ..bags import Bags
from ..errors import DataError, first_few
from ..features.spec import FeatureSpec
from ..files import read_arrays, remove_leftovers, write_bytes
from .network import BagNetwork
from .optimisation import WeightAverage
from .settings import ModelSettings, TrainingSettings

SCHEMA = "matt.checkpoint/1"
FILE = "checkpoint.safetensors"
_REMEDY = "move it away to start from the first epoch"


@dataclass(frozen=True)
class State:
    """What was read besides weights, average and optimiser, which are put in their places.

    Attributes
    ----------
    history : list of dict
        One row for each epoch that is done.
    best_epoch : int >= 0
        0 if there is none yet.
    best_weights : dict of str to Tensor
    scaler : dict of str to float
        State of the scaler of the loss, see `precision.scaler_state`.
    """

    history: list[dict[str, float]]
    best_epoch: int
    best_weights: dict[str, Tensor]
    scaler: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Checkpoint:
    """Where one training keeps its state.

    Attributes
    ----------
    folder : Path
        Made when the first epoch is done.
    identity : dict
        What decides the training, see `of`.
    """

    folder: Path
    identity: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        folder: Path | str,
        network: BagNetwork,
        spec: FeatureSpec,
        bags: Bags,
        valid: Bags | None,
        settings: tuple[ModelSettings, TrainingSettings],
    ) -> Checkpoint:
        """Checkpoint of one training.

        Settings, bags with their labels, the specification of the features with their means and
        scales, the device and the versions that change results decide which training it is.
        """
        moments = hashlib.sha256()
        for value in network.inputs.buffers():
            moments.update(value.cpu().numpy().tobytes())
        identity = {
            "model": settings[0].to_json(),
            "training": settings[1].to_json(),
            "data": {
                "training bags": _digest(bags),
                "validation bags": "none" if valid is None else _digest(valid),
                "features": spec.digest,
                "moments of the features": moments.hexdigest()[:12],
            },
            "device": next(network.parameters()).device.type,
            "versions": {"matt": __version__, "torch": torch.__version__, "numpy": np.__version__},
        }
        return cls(Path(folder), identity)

    @property
    def file(self) -> Path:
        """The one file."""
        return self.folder / FILE

    def write(
        self,
        network: BagNetwork,
        optimizer: torch.optim.Optimizer,
        average: WeightAverage,
        state: State,
    ) -> None:
        """Replace the checkpoint by the state after an epoch; whole or not at all."""
        from safetensors.numpy import save

        arrays = {f"network.{name}": value for name, value in network.state_dict().items()}
        arrays |= {f"best.{name}": value for name, value in state.best_weights.items()}
        arrays |= {f"average.{name}": value for name, value in average.state().items()}
        for index, values in optimizer.state_dict()["state"].items():
            for name, value in values.items():
                if isinstance(value, Tensor):  # the rest is None: plain SGD has no momentum
                    arrays[f"optimizer.{index}.{name}"] = value
        columns = list(state.history[0])
        head = {
            "schema": SCHEMA,
            "identity": self.identity,
            "best_epoch": state.best_epoch,
            "scaler": state.scaler,
            "columns": columns,
            "whole": [name for name in columns if isinstance(state.history[0][name], int)],
        }
        content = {
            name: np.asarray(value.detach().cpu().numpy(), order="C")
            for name, value in arrays.items()
        }
        content["history"] = np.array([list(row.values()) for row in state.history], np.float64)
        write_bytes(self.file, save(content, metadata={"matt": json.dumps(head)}))

    def read(
        self, network: BagNetwork, optimizer: torch.optim.Optimizer, average: WeightAverage
    ) -> State | None:
        """Put weights, optimiser and average back as they were; None if there is no checkpoint yet.

        Raises
        ------
        DataError
            If the file is damaged, or of another training: other settings, data or versions.
        """
        if not self.file.is_file():
            return None
        remove_leftovers(self.folder)
        head, arrays = self._content()
        self._check(head.get("identity"))
        try:
            columns, whole = list(head["columns"]), set(head["whole"])
            rows = arrays.pop("history").tolist()
            history = [
                {
                    name: int(value) if name in whole else value
                    for name, value in zip(columns, row, strict=True)
                }
                for row in rows
            ]
            best_epoch = int(head["best_epoch"])
            if not 0 <= best_epoch <= len(history) or not history:
                raise ValueError(f"best epoch {best_epoch} of {len(history)}")
            scaler = {str(name): float(value) for name, value in head["scaler"].items()}
            best = _part(arrays, "best.")
            # All through load_state_dict, which knows the names and shapes.
            network.load_state_dict(best)
            network.load_state_dict(_part(arrays, "network."))
            average.restore(_part(arrays, "average."))
            _restore_optimizer(optimizer, _part(arrays, "optimizer."))
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            why = " ".join(str(error).split())  # torch writes a line for each of its weights
            raise DataError(f"{self.file} is damaged ({why}); {_REMEDY}") from error
        device = next(network.parameters()).device
        best = {name: value.to(device) for name, value in best.items()}
        return State(history, best_epoch, best, scaler)

    def _content(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        arrays, head = read_arrays(self.file, remedy=_REMEDY)
        schema = head.get("schema") if isinstance(head, dict) else None
        if schema != SCHEMA:
            raise DataError(
                f"{self.file} has the schema {schema!r}, expected {SCHEMA!r}; {_REMEDY}"
            )
        return head, arrays

    def _check(self, found: object) -> None:
        theirs = _flat(found)
        ours = _flat(json.loads(json.dumps(self.identity)))
        other = [name for name in ours | theirs if ours.get(name) != theirs.get(name)]
        if other:
            told = first_few(f"{k} {theirs.get(k)!r}, now {ours.get(k)!r}" for k in other)
            raise DataError(
                f"{self.file} is of another training ({told}); go on with what it was made with, "
                f"or {_REMEDY}"
            )


def _digest(bags: Bags) -> str:
    content = hashlib.sha256("\0".join(bags.genres).encode())
    own = [] if bags.track_labels is None else [bags.track_labels]
    for array in (bags.track_ids, bags.offsets, bags.labels, *own):
        content.update(np.asarray(array, order="C").tobytes())
    return content.hexdigest()[:12]


def _flat(content: object) -> dict[str, Any]:
    """One level of names, joined by a dot."""
    flat: dict[str, Any] = {}
    for name, value in content.items() if isinstance(content, dict) else ():
        inner = value if isinstance(value, dict) else {"": value}
        flat |= {f"{name}.{key}".rstrip("."): inner[key] for key in inner}
    return flat


def _part(arrays: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): torch.from_numpy(array.copy())
        for name, array in arrays.items()
        if name.startswith(prefix)
    }


def _restore_optimizer(optimizer: torch.optim.Optimizer, values: Mapping[str, Tensor]) -> None:
    """State of each parameter, by its number; the settings are the caller's."""
    blank = optimizer.state_dict()
    parameters = [value for group in optimizer.param_groups for value in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in values.items():
        index, _, kind = name.partition(".")
        if value.shape not in ((), parameters[int(index)].shape):
            raise ValueError(f"{kind} of parameter {index} has the shape {tuple(value.shape)}")
        state.setdefault(int(index), {})[kind] = value
    optimizer.load_state_dict({"state": state, "param_groups": blank["param_groups"]})
