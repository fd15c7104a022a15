"""What torch can do on this machine, and everything random on it seeded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ..errors import ConfigError
from .training_settings import TrainingSettings


def torch_build() -> dict[str, str]:
    """Version, CUDA and threads of torch, for people."""
    return {
        "version": torch.__version__,
        "CUDA": torch.version.cuda or "none (CPU build)",
        "CUDA devices": str(torch.cuda.device_count()),
        "threads": str(torch.get_num_threads()),
    }


def find_device(name: str) -> torch.device:
    """Device of a name of `TrainingSettings.device`.

    Raises
    ------
    ConfigError
        If this machine, or this build of torch, does not have it.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.mps.is_available()}
    device = torch.device(name)
    if not there[device.type] or (device.index or 0) >= max(1, torch.cuda.device_count()):
        raise ConfigError(f"device {name!r} is not available here; use device='cpu' or 'auto'")
    return device


@contextmanager
def reproducible(settings: TrainingSettings, device: torch.device) -> Iterator[None]:
    """Seed torch and set its threads, and leave both as they were."""
    n_threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(settings.seed)
        try:
            torch.set_num_threads(settings.threads or n_threads)
            yield
        finally:
            torch.set_num_threads(n_threads)
