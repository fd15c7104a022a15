"""What torch can do on this machine, and everything random on it seeded."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch

from ..errors import ConfigError
from .settings import TrainingSettings

_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"  # cuBLAS is deterministic only with a fixed one


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
    """Seed torch, set its threads and, if asked for, its algorithms; leave all as they were.

    Raises
    ------
    ConfigError
        If what is done inside has no deterministic algorithm, and needs one.
    """
    n_threads = torch.get_num_threads()
    seeded = torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])
    with seeded, _deterministic(device) if settings.deterministic else nullcontext():
        torch.manual_seed(settings.seed)
        try:
            torch.set_num_threads(settings.threads or n_threads)
            yield
        finally:
            torch.set_num_threads(n_threads)


@contextmanager
def _deterministic(device: torch.device) -> Iterator[None]:
    before = torch.are_deterministic_algorithms_enabled()
    only_warned = torch.is_deterministic_algorithms_warn_only_enabled()
    workspace = os.environ.get(_WORKSPACE)
    if device.type == "cuda" and workspace is None:
        os.environ[_WORKSPACE] = ":4096:8"
    torch.use_deterministic_algorithms(True)
    try:
        yield
    except RuntimeError as error:
        if "deterministic" not in str(error):
            raise
        raise ConfigError(
            f"deterministic=true: {error}; use device='cpu' or deterministic=false"
        ) from error
    finally:
        torch.use_deterministic_algorithms(before, warn_only=only_warned)
        if workspace is None:
            os.environ.pop(_WORKSPACE, None)
