"""``python -m benchmarks.installing WHEEL [PYTHON]``: from nothing to the first genres.

Installs a wheel (``make dist``) into a new environment of a Python, then predicts the ten clips of
FMA with it. Prints seconds of both and the size of the environment. It needs a package index.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from . import clips


def timed(*command: object, **more: str) -> float:
    """Seconds that a command takes; whatever it prints is thrown away."""
    start = time.perf_counter()
    done = subprocess.run(
        list(map(str, command)), env={**os.environ, **more}, capture_output=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr.decode(errors="replace"))
    return time.perf_counter() - start


def main() -> None:
    """Install, predict, print."""
    wheel, python = sys.argv[1], (sys.argv[2:] or [sys.executable])[0]
    with tempfile.TemporaryDirectory(prefix="matt-bench-") as name:
        environment = Path(name) / "environment"
        timed(python, "-m", "venv", environment)
        program = environment / "bin"
        installed = timed(program / "python", "-m", "pip", "install", wheel)
        size = sum(f.stat().st_size for f in environment.rglob("*") if f.is_file()) / 1e6
        music, cache = clips.paths()[0].parent, str(Path(name) / "cache")
        answered = timed(program / "matt", "predict", music, MATT_CACHE=cache)
        version = subprocess.check_output([python, "--version"], text=True).strip()
        print(
            f"{version}: installed in {installed:.0f} s, {size:.0f} MB; genres of "
            f"{len(clips.paths())} clips {answered:.0f} s later"
        )


if __name__ == "__main__":
    main()
