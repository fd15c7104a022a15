"""``python -m benchmarks [WORD ...]``: measure the claims, or those whose text holds a word."""

from __future__ import annotations

import sys
from pathlib import Path

from . import bags, fma, near_duplicates, reading, soak
from .paired import measure, show, write

MODULES = (bags, fma, near_duplicates, reading, soak)
RESULTS = Path(__file__).parent / "results.json"


def main() -> None:
    """Measure, print, and write results.json when everything was measured."""
    words = [word.lower() for word in sys.argv[1:]]
    claims = [claim for module in MODULES for claim in module.claims()]
    chosen = [c for c in claims if not words or any(w in c.claim.lower() for w in words)]
    results = []
    for claim in chosen:
        results.append(measure(claim))
        print(show(results[-1]), flush=True)
    if len(chosen) == len(claims):
        write(RESULTS, results)
        print(f"written to {RESULTS}")


if __name__ == "__main__":
    main()
