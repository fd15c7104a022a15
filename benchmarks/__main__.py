"""``python -m benchmarks [--fma-script PATH] [WORD ...]``: measure the claims.

All of them, or those whose text holds a word. The path is that of FMA's features.py, to measure
beside it instead of a plain librosa transcription. What a claim measures is made when it is its
turn.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from . import attention, bags, crnn, features, fma, near_duplicates, pool, reading, resampling, soak
from .paired import Claim, measure, show, write

MODULES = (attention, bags, crnn, features, fma, near_duplicates, pool, reading, resampling, soak)
RESULTS = Path(__file__).parent / "results.json"


def all_claims() -> list[Claim]:
    """Of all modules; nothing is made or loaded for them yet."""
    return [claim for module in MODULES for claim in module.claims()]


def main() -> None:
    """Measure, print, and write results.json when everything was measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--fma-script", metavar="PATH")
    parser.add_argument("words", metavar="WORD", nargs="*", type=str.lower)
    options = parser.parse_args()
    if options.fma_script:
        os.environ["MATT_FMA_SCRIPT"] = options.fma_script
    words = options.words
    claims = all_claims()
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
