"""Where a result comes from: versions, data and source code."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .tracks import Tracks

STAMPED = (
    *("matt-mgc", "numpy", "scipy", "scikit-learn", "torch", "onnxruntime"),
    *("numba", "soundfile", "soxr"),
)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that change results."""
    found = {"python": platform.python_version()}
    for name in STAMPED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def digest(tracks: Tracks) -> str:
    """Twelve hex digits of ids, labels and splits: tells whether two runs saw the same data."""
    content = hashlib.sha256("\0".join(tracks.genres).encode())
    for array in (tracks.track_id, tracks.labels, tracks.split.astype("<U10")):
        content.update(array.tobytes())
    return content.hexdigest()[:12]


def commit() -> str | None:
    """Git commit of the source tree, where matt runs from a checkout of its own."""
    here = Path(__file__)
    # The first command fails where matt merely lies inside somebody else's checkout.
    for command in (["ls-files", "--error-unmatch", here.name], ["rev-parse", "HEAD"]):
        try:
            done = subprocess.run(
                ["git", "-C", str(here.parent), *command],
                capture_output=True,
                text=True,
                check=True,
                timeout=5,
            )
        except (OSError, subprocess.SubprocessError):
            return None
    return done.stdout.strip()


def made(manifest: Mapping[str, Any]) -> str:
    """What a reader needs to make a run again, in one line.

    Parameters
    ----------
    manifest : mapping
        Of the run, see `matt.runs`.
    """
    told = ", ".join(f"{name} {version}" for name, version in manifest["versions"].items())
    source = f", commit {manifest['commit'][:12]}" if manifest["commit"] else ""
    return f"Made {manifest['created']} with seed {manifest['seed']}{source}. {told}."
