"""``python -m benchmarks.results [WORD ...]``: what was measured, claim by claim.

results.json has a row for each claim and each processor that it was measured on. A claim is a text
and a peer: beside another peer it is another claim. What it comes to follows from its rows, and is
written nowhere: it is reached where every ratio is at least the goal, and there are two processors.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console

from matt.errors import DataError
from matt.evaluation.tables import Table
from matt.files import read_json, reading, write_json

RESULTS = Path(__file__).parent / "results.json"
NOT_NOTED = "a processor not noted"  # before rows named theirs
NEEDED = {"claim", "peer", "ratio", "low", "high", "runs", "goal", "ours", "theirs", "unit"}
REMEDY = "restore it with git"

Row = dict[str, Any]


def read(path: Path = RESULTS) -> list[Row]:
    """All rows; none where there is no file.

    Raises
    ------
    DataError
        If the file does not hold rows.
    """
    if not path.exists():
        return []
    rows: list[Row] = read_json(path, remedy=REMEDY)
    with reading(path, "holds no rows of results ({})", REMEDY):
        for number, row in enumerate(rows, 1):
            if lacking := sorted(NEEDED - row.keys()):
                raise DataError(f"{path}, row {number}: no {', '.join(lacking)}; {REMEDY}")
    return rows


def keep(new: Row, path: Path = RESULTS) -> list[Row]:
    """Write a row that was just measured among the others; gives all of the claim.

    What others measured in the meantime stays.
    """
    rows = merged(read(path), new)
    write_json(path, rows)
    return of(new["claim"], new["peer"], rows)


def merged(rows: list[Row], new: Row) -> list[Row]:
    """Rows with a new one, beside those of its claim or, if there are none, at the end.

    It replaces that of the same processor, and one whose processor is not noted. The goal belongs
    to the claim, so that the other rows get the new one.
    """
    same = of(new["claim"], new["peer"], rows)
    gone = (new["processor"], NOT_NOTED)
    others = [{**row, "goal": new["goal"]} for row in same if where(row) not in gone]
    group = sorted([*others, new], key=where)
    place = rows.index(same[0]) if same else len(rows)
    return [*rows[:place], *group, *(row for row in rows[place:] if row not in same)]


def where(row: Row) -> str:
    """Where it was measured."""
    return str(row.get("processor", NOT_NOTED))


def of(claim: str, peer: str, rows: list[Row]) -> list[Row]:
    """Those of a claim."""
    return [row for row in rows if (row["claim"], row["peer"]) == (claim, peer)]


def least(rows: list[Row]) -> Row:
    """The row, of those of a claim, of the processor where it gains least."""
    return min(rows, key=lambda row: float(row["ratio"]))


def claims(rows: list[Row]) -> list[list[Row]]:
    """Rows by claim, in the order in which claims first appear."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row["claim"], row["peer"]), []).append(row)
    return list(found.values())


def state(rows: list[Row]) -> str:
    """What the rows of a claim come to: ``reached``, ``reached on one`` or ``missed``."""
    if least(rows)["ratio"] < least(rows)["goal"]:
        return "missed"
    return "reached" if len(rows) > 1 else "reached on one"


def verdict(rows: list[Row]) -> str:
    """The same of a claim, with the processors, for people."""
    missed = [where(row) for row in rows if row["ratio"] < row["goal"]]
    names = missed or [where(row) for row in rows]
    return f"{state(rows)}: {', '.join(names)}"


def summary(rows: list[Row]) -> str:
    """How many claims are reached on all of at least two processors, and how many are not."""
    counts = Counter(map(state, claims(rows)))
    return (
        f"{counts.total()} claims: {counts['reached']} reached on all of two processors or more, "
        f"{counts['reached on one']} on the one that was tried, {counts['missed']} missed"
    )


def table(rows: list[Row]) -> Table:
    """Every claim with what it comes to on the processor where it gains least."""
    return Table.of(
        "What is claimed, where it gains least",
        claims(rows),
        ("claim", "text", lambda rows: rows[0]["claim"]),
        ("peer", "text", lambda rows: rows[0]["peer"]),
        ("goal", "number", lambda rows: rows[0]["goal"]),
        ("ratio", "number", lambda rows: least(rows)["ratio"]),
        ("lowest", "number", lambda rows: least(rows)["low"]),
        ("highest", "number", lambda rows: least(rows)["high"]),
        ("runs", "int", lambda rows: least(rows)["runs"]),
        ("processors", "int", len),
        ("state", "text", verdict),
        notes=[summary(rows)],
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.results")
    parser.add_argument("words", metavar="WORD", nargs="*", type=str.lower)
    words = parser.parse_args().words
    chosen = [row for row in read() if not words or any(w in row["claim"].lower() for w in words)]
    Console().print(table(chosen).to_rich(), crop=False)


if __name__ == "__main__":
    main()
