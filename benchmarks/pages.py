"""``python -m benchmarks.pages``: tells the figures of results.json to the pages that name them.

A page says what it likes around them; the sentences that hold a figure are listed below, and a test
finds those that say another. What the examples of such a page print is written anew with them.
Figures are those of the processor where matt gains least.
"""

from __future__ import annotations

import doctest
import re
from pathlib import Path
from string import Formatter
from typing import Any

from matt.errors import DataError
from matt.files import write_text

from .results import Row, least, of, read, where

ROOT = Path(__file__).parents[1]
CLIPS, FMA = "10 clips of 30 s, one core", "FMA's features.py"
STREAMED = "x 518 features streamed from a store"
TIMES = "{ratio:.3g} ({low:.3g} to {high:.3g}, n = {runs})"

# By claim and peer: pages, and what each says. A name in braces is one of `figures`.
SENTENCES: dict[tuple[str, str], list[tuple[str, str]]] = {
    (f"518 features from MP3, exact, {CLIPS}", FMA): [
        (
            "README.md",
            f"on one core | {{each:.3f}} s | {{their_each:.3f}} s, FMA's own script | {TIMES}",
        ),
        ("README.md", "Measured so far on: {processors}. The"),
        ("docs/scale.md", "| `seconds` | {longest_each:.3f} |"),
        ("docs/scale.md", ">>> seconds = {longest_each:.3f}"),
        ("CHANGELOG.md", "FMA's script takes {ratio:.1f} times as long"),
    ],
    (
        f"518 features and log-mel from one decode of MP3, exact, {CLIPS}",
        f"{FMA}, then librosa.load and log-mel",
    ): [
        ("docs/scale.md", "| `seconds_both` | {longest_each:.3f} |"),
        ("docs/scale.md", ">>> seconds_both = {longest_each:.3f}"),
    ],
    (
        "518 features of 128 MP3 clips of 30 s on 2 cores, as shipped, once under way, a clip",
        f"{FMA} in a pool of processes",
    ): [
        (
            "README.md",
            f"on two cores | {{ours:.3f}} s | {{theirs:.3f}} s, in a pool of processes | {TIMES}",
        )
    ],
    (f"log-mel of decoded audio, exact, {CLIPS}", "librosa"): [
        ("README.md", f"decoded audio | {{each:.4f}} s | {{their_each:.4f}} s, librosa | {TIMES}"),
        ("docs/features.md", "{ratio:.1f} times as fast as librosa's with `exact`"),
        ("CHANGELOG.md", "librosa's log-mel {ratio:.1f} times"),
    ],
    (f"log-mel of decoded audio, fast, {CLIPS}", "librosa"): [
        ("docs/features.md", "and {ratio:.1f} times with `fast`; but"),
    ],
    (f"log-mel from MP3, exact, {CLIPS}", "librosa.load and melspectrogram"): [
        ("README.md", f"from an MP3 | {{each:.3f}} s | {{their_each:.3f}} s, librosa | {TIMES}"),
        ("docs/features.md", "it is {ratio:.2f} times with `exact`"),
    ],
    (f"log-mel from MP3, fast, {CLIPS}", "librosa.load and melspectrogram"): [
        ("docs/features.md", "and {ratio:.2f} times with `fast` ("),
    ],
    (
        "ten epochs of 20,221 tracks in 3,000 bags, 518 features, one hidden layer, one thread",
        "the same epochs with a Python loop over the bags",
    ): [
        (
            "README.md",
            f"one thread | {{ours:.2f}} s | {{theirs:.2f}} s, a loop over the albums | {TIMES}",
        )
    ],
    (
        "matt predict on a folder of 100 albums whose features are there, wall time",
        "the same through torch",
    ): [("README.md", f"are there | {{ours:.1f}} s | {{theirs:.1f}} s, with torch | {TIMES}")],
    ("default recipe on 25,000 x 518 features, 2 cores", "4 minutes"): [
        (
            "README.md",
            "on two cores | {ours:.0f} s ({soonest:.0f} to {latest:.0f}, n = {runs})",
        ),
        ("docs/library/train.md", "took {ours:.0f} seconds on two cores ("),
    ],
    (f"memory of a process that trains, 250,000 {STREAMED}", "the same training of 25,000"): [
        ("docs/scale.md", "| 25,000 | 52 MB | {theirs:.0f} MB |"),
        ("docs/scale.md", "| 250,000 | 518 MB | {ours:.0f} MB |"),
        (
            "docs/scale.md",
            ">>> (n_1, mb_1), (n_2, mb_2) = (25_000, {theirs:.0f}), (250_000, {ours:.0f})",
        ),
    ],
    (f"memory of a process that trains, 1,000,000 {STREAMED}", "1 GB"): [
        ("docs/scale.md", "| 1,000,000 | 2,072 MB | {ours:.0f} MB |"),
    ],
    ("near-duplicates of 100,000 x 518 features: time", "a minute"): [
        ("README.md", "100,000 tracks | {ours:.1f} s ({soonest:.1f} to {latest:.1f}, n = {runs})"),
    ],
    ("review, first paint, 20,000 albums, what there is to do", "the goal of 300 ms"): [
        ("README.md", "20,000 albums | {ours:.0f} ms ({soonest:.0f} to {latest:.0f}, n = {runs})"),
    ],
    ("unchanged rescan of 100,000 files", "os.walk and mutagen.File"): [
        (
            "README.md",
            f"has changed | {{ours:.0f}} s | {{theirs:.0f}} s, mutagen in a loop | {TIMES}",
        ),
        ("docs/library/living.md", "a scan takes {ours:.0f} seconds where"),
        ("docs/library/living.md", "`mutagen.File` takes {theirs:.0f}, on two"),
        ("docs/library/living.md", "({ratio:.0f} times; `python -m benchmarks rescan`)"),
    ],
    ("memory of four rescans of 100,000 files, beside one", "one rescan"): [
        ("docs/library/living.md", "process take {ours:.0f} MB, one takes {theirs:.0f}."),
    ],
    (
        "scan, features and genres after one album more than 100,000 files",
        "os.walk and mutagen.File, for the tags alone",
    ): [
        ("docs/library/living.md", "took {ours:.0f} seconds on a machine"),
        ("docs/library/living.md", "tags alone took {theirs:.0f}."),
    ],
    (
        "peak memory of additive attention, 40,000 segments, 16 genres",
        "hidden units of shape (N, G, A)",
    ): [("docs/method.md", "peaks at {ours:.0f} MB instead of {theirs:,.0f}")],
    (
        "Bootstrap of all metrics over artists, 1,000 rounds of 2,573 items",
        "20 rounds of a loop with scikit-learn's metrics",
    ): [
        ("docs/evaluation.md", "16 genres took {ours:.2f} s on one CPU core"),
        ("docs/evaluation.md", "scikit-learn took {theirs:.2f} s for twenty"),
    ],
}


def figures(claim: str, peer: str, rows: list[Row]) -> dict[str, Any]:
    """What there is to tell of a claim: the row where it gains least, and what follows.

    ``each`` and ``their_each`` are the costs of one of ``n`` things, ``longest_each`` is ours on
    the processor that takes longest. ``soonest`` and ``latest`` are our lowest and highest cost
    where the peer is a goal, which costs the same each time. ``processors`` names those of any
    claim.

    Raises
    ------
    DataError
        If it was measured nowhere.
    """
    found = of(claim, peer, rows)
    if not found:
        raise DataError(
            f"results.json has no {claim!r} beside {peer!r}; measure it, or change "
            "benchmarks/pages.py, where it is to be told"
        )
    row = least(found)
    n = row.get("n", 1)
    return {
        **row,
        "each": row["ours"] / n,
        "their_each": row["theirs"] / n,
        "longest_each": max(other["ours"] for other in found) / n,
        "soonest": row["theirs"] / row["high"],
        "latest": row["theirs"] / row["low"],
        "processors": ", ".join(sorted({where(other) for other in rows})),
    }


def told(path: str, page: str, sentence: str, found: dict[str, Any]) -> str:
    """A page with these figures in a sentence of it; its lines break where they did.

    Raises
    ------
    DataError
        If the sentence, whatever its figures, is not there just once.
    """
    parts = [(before, name, form or "") for before, name, form, _ in Formatter().parse(sentence)]
    pattern = ""
    for before, name, _ in parts:
        pattern += r"\s+".join(map(re.escape, re.split(r"\s+", before)))
        if name:
            pattern += r"(.+?)" if isinstance(found[name], str) else r"([\d.,]*\d)"
    places = list(re.finditer(pattern, page))
    if len(places) != 1:
        raise DataError(
            f"{path} has {sentence!r} {len(places)} times; change it or benchmarks/pages.py so "
            "that it is there once"
        )
    names = [(name, form) for _, name, form in parts if name]
    for number in range(len(names), 0, -1):  # from the last on, so that places hold
        start, end = places[0].span(number)
        name, form = names[number - 1]
        page = page[:start] + format(found[name], form) + page[end:]
    return page


class _Outputs(doctest.DocTestRunner):
    """Keeps what examples print where they say something else."""

    def __init__(self) -> None:
        super().__init__(verbose=False)
        self.found: list[tuple[doctest.Example, str]] = []

    def report_failure(
        self, out: Any, test: doctest.DocTest, example: doctest.Example, got: str
    ) -> None:
        self.found.append((example, got))


def run_again(page: str) -> str:
    """A page whose examples say what they print now."""
    runner, lines = _Outputs(), page.splitlines(keepends=True)
    runner.run(doctest.DocTestParser().get_doctest(page, {}, "page", None, 0))
    for example, got in reversed(runner.found):
        start = example.lineno + example.source.count("\n")
        lines[start : start + example.want.count("\n")] = got.splitlines(keepends=True)
    return "".join(lines)


def pages(rows: list[Row]) -> dict[str, str]:
    """Text of each page that tells figures, as it is to be, by its path in the repository."""
    found: dict[str, str] = {}
    listed = [(*key, *pair) for key, pairs in SENTENCES.items() for pair in pairs]
    for claim, peer, path, sentence in listed:
        page = found.get(path) or (ROOT / path).read_text("utf-8")
        found[path] = told(path, page, sentence, figures(claim, peer, rows))
    for path in {path for *_, path, sentence in listed if sentence.startswith(">>>")}:
        found[path] = run_again(found[path])
    return found


def main() -> None:
    """Write them."""
    for path, text in pages(read()).items():
        write_text(ROOT / path, text)
        print(path)


if __name__ == "__main__":
    main()
