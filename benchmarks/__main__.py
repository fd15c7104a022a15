"""``python -m benchmarks [--fma-script PATH] [WORD ...]``: measure the claims.

All of them, or those whose text holds a word; results.json keeps the other claims, and what other
processors did. The path is that of FMA's features.py, to measure beside it instead of a plain
librosa transcription. What a claim measures is made when it is its turn.

``python -m benchmarks.results`` shows what is there, ``python -m benchmarks.pages`` tells it to the
pages.
"""

from __future__ import annotations

import argparse
import os

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
    recipe,
    resampling,
    rescan,
    review,
    short,
    soak,
    streaming,
)
from .paired import Claim, measure, show
from .results import keep, read, summary, verdict

MODULES = (
    *(attention, bags, crnn, encoder, features, fma, near_duplicates, pool, reading),
    *(recipe, resampling, rescan, review, short),
    *(soak, streaming),
)


def all_claims() -> list[Claim]:
    """Of all modules; nothing is made or loaded for them yet."""
    return [claim for module in MODULES for claim in module.claims()]


def main() -> None:
    """Measure and print, and keep each result in results.json as soon as it is there."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--fma-script", metavar="PATH")
    parser.add_argument("words", metavar="WORD", nargs="*", type=str.lower)
    options = parser.parse_args()
    if options.fma_script:
        os.environ["MATT_FMA_SCRIPT"] = options.fma_script
    words = options.words
    chosen = [c for c in all_claims() if not words or any(w in c.claim.lower() for w in words)]
    read()  # what is damaged is told before an hour of measuring, not after
    for claim in chosen:
        result = measure(claim)
        print(f"{show(result)}; in all {verdict(keep(result))}", flush=True)
    print(summary(read()))


if __name__ == "__main__":
    main()
