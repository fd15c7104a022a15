"""``python -m benchmarks [--fma-script PATH] [WORD ...]``: measure the claims.

All of them, or those whose text holds a word; results.json keeps what others measured to earlier.
The path is that of FMA's features.py, to measure beside it instead of a plain librosa
transcription. What a claim measures is made when it is its turn.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from . import (
    attention,
    bags,
    crnn,
    encoder,
    features,
    fma,
    near_duplicates,
    pool,
    reading,
    resampling,
    rescan,
    review,
    short,
    soak,
)
from .paired import Claim, measure, read, show, write

MODULES = (
    *(attention, bags, crnn, encoder, features, fma, near_duplicates, pool, reading),
    *(resampling, rescan, review, short),
    soak,
)
RESULTS = Path(__file__).parent / "results.json"


def all_claims() -> list[Claim]:
    """Of all modules; nothing is made or loaded for them yet."""
    return [claim for module in MODULES for claim in module.claims()]


def main() -> None:
    """Measure, print, and write each result into results.json, in the order of the claims."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--fma-script", metavar="PATH")
    parser.add_argument("words", metavar="WORD", nargs="*", type=str.lower)
    options = parser.parse_args()
    if options.fma_script:
        os.environ["MATT_FMA_SCRIPT"] = options.fma_script
    words = options.words
    claims = all_claims()
    chosen = [c for c in claims if not words or any(w in c.claim.lower() for w in words)]
    results = {result["claim"]: result for result in read(RESULTS)}
    for claim in chosen:
        results[claim.claim] = result = measure(claim)
        print(show(result), flush=True)
        write(RESULTS, [results[c.claim] for c in claims if c.claim in results])


if __name__ == "__main__":
    main()
