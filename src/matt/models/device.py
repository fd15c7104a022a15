"""What torch can do on this machine."""

from __future__ import annotations

import torch


def torch_build() -> dict[str, str]:
    """Version, CUDA and threads of torch, for people."""
    return {
        "version": torch.__version__,
        "CUDA": torch.version.cuda or "none (CPU build)",
        "CUDA devices": str(torch.cuda.device_count()),
        "threads": str(torch.get_num_threads()),
    }
