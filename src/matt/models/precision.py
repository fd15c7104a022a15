"""Training in 16 bits: which layers compute in them, and how small gradients survive float16.

Weights, their optimiser, recurrent layers, scores, softmax and the sums of the pooling stay float32
whatever is chosen; so does all prediction, that of validation bags included.
"""

from __future__ import annotations

import torch

from ..errors import ConfigError, DataError
from .training_settings import TrainingSettings

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def check_precision(precision: str, device: torch.device) -> None:
    """Refuse what a device does not train in.

    Raises
    ------
    ConfigError
    """
    if precision == "float16" and device.type != "cuda":
        raise ConfigError(
            f"precision 'float16' needs a CUDA device, and this is {device.type!r}; use "
            "precision='bfloat16', which has the range of float32, or device='cuda'"
        )
    if precision == "bfloat16" and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise ConfigError(
            f"precision 'bfloat16' is more than {torch.cuda.get_device_name(device)} has; use "
            "precision='float16' or 'float32'"
        )


def autocast(settings: TrainingSettings, device: torch.device) -> torch.autocast:
    """Context in which convolutions and linear layers compute in the precision of the training."""
    dtype = DTYPES[settings.precision]
    if dtype == torch.float32:
        return torch.autocast(device.type, enabled=False)
    return torch.autocast(device.type, dtype)


def make_scaler(settings: TrainingSettings, device: torch.device) -> torch.amp.GradScaler:
    """Scaler of the loss, which does nothing but in float16.

    Gradients below 6e-8 are 0 there. So the loss is multiplied by a factor that grows as long as no
    gradient overflows; a step in which one does is left out, and the factor halved.
    """
    return torch.amp.GradScaler(device.type, enabled=settings.precision == "float16")


def scaler_state(scaler: torch.amp.GradScaler) -> dict[str, float]:
    """What a scaler knows, as numbers; nothing of one that does nothing."""
    return {name: float(value) for name, value in scaler.state_dict().items()}


def restore_scaler(scaler: torch.amp.GradScaler, state: dict[str, float]) -> None:
    """Let a scaler go on from `scaler_state`.

    Raises
    ------
    DataError
        If that is the state of no such scaler.
    """
    if set(state) != set(scaler.state_dict()):
        raise DataError(
            f"the checkpoint knows {sorted(state)} of the scaler of the loss, expected "
            f"{sorted(scaler.state_dict())}; remove it to start from the first epoch"
        )
    if not state:
        return
    whole = {name: int(state[name]) for name in ("growth_interval", "_growth_tracker")}
    scaler.load_state_dict(state | whole)
