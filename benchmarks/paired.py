"""Measuring in pairs: ours and the peer's in turn, so that a machine that slows down slows both."""

from __future__ import annotations

import multiprocessing
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matt.processes import cores
from matt.provenance import versions

Work = Callable[[], Any]


def nothing() -> None:
    """No work."""


@dataclass(frozen=True)
class Claim:
    """What is claimed.

    Attributes
    ----------
    claim : str
        In words, with n.
    peer : str
        What it is compared with.
    goal : float
        The ratio peer / ours is to be at least this.
    ours, theirs : callable
        The work. Its result is thrown away.
    runs : int
        Pairs, after one that is not counted.
    memory : bool
        Compare the peak of resident memory of fresh processes instead of wall time.
    before : callable
        Done before each work and not measured: makes what the work is about, once, or empties a
        cache.
    pair : callable, optional
        Measures ours and the peer's itself, instead of the work; then every pair counts.
    unit : str
        Of the costs.
    n_items : int
        How many things the work does; the costs of both are then told a second as well.
    """

    claim: str
    peer: str
    goal: float
    ours: Work = nothing
    theirs: Work = nothing
    runs: int = 5
    memory: bool = False
    before: Work = nothing
    pair: Callable[[], tuple[float, float]] | None = None
    unit: str = "s"
    n_items: int = 0
    facts: dict[str, Any] = field(default_factory=dict)


def measure(claim: Claim) -> dict[str, Any]:
    """Median of the ratios peer / ours, pair by pair, with the lowest and the highest.

    Says on which processor, and whose versions of what.
    """
    if claim.pair is None:
        pairs = [
            (_cost(claim, claim.ours), _cost(claim, claim.theirs)) for _ in range(claim.runs + 1)
        ][1:]
    else:
        pairs = [claim.pair() for _ in range(claim.runs)]
    ours, theirs = (statistics.median(costs) for costs in zip(*pairs, strict=True))
    ratios = [peers / own for own, peers in pairs]
    return {
        "claim": claim.claim,
        "peer": claim.peer,
        "processor": processor(),
        "cores": cores(),
        "ratio": round(statistics.median(ratios), 3),
        "low": round(min(ratios), 3),
        "high": round(max(ratios), 3),
        "runs": claim.runs,
        "goal": claim.goal,
        "ours": _rounded(ours),
        "theirs": _rounded(theirs),
        "unit": "MB" if claim.memory else claim.unit,
        "versions": {**versions(), "machine": platform.machine()},
        **claim.facts,
        **(
            {"a_second": [round(claim.n_items / cost) for cost in (ours, theirs)]}
            if claim.n_items
            else {}
        ),
    }


def processor(told: Path = Path("/proc/cpuinfo")) -> str:
    """Name of this machine's processor, the same each time.

    On Linux it has the numbers of family and model with it, as many a virtual machine calls its
    processor just "AMD EPYC".
    """
    lines = told.read_text("utf-8").splitlines() if told.exists() else []
    # A block a core, of which the first is taken.
    pairs = [line.partition(":")[::2] for line in reversed(lines)]
    found = {name.strip(): value.strip() for name, value in pairs}
    if "model name" in found:
        which = f"family {found.get('cpu family')}, model {found.get('model')}"
        return f"{found['model name']} ({which})"
    if "CPU part" in found:  # of ARM
        which = f"implementer {found.get('CPU implementer')}, part {found['CPU part']}"
        return f"{platform.machine()} ({which})"
    if sys.platform == "darwin":
        asked = ["sysctl", "-n", "machdep.cpu.brand_string"]
        done = subprocess.run(asked, capture_output=True, text=True, check=True)
        return done.stdout.strip()
    return platform.processor() or platform.machine()


def _cost(claim: Claim, work: Work) -> float:
    claim.before()
    return cost(work, memory=claim.memory)


def cost(work: Work, *, memory: bool = False) -> float:
    """Seconds of some work, or the peak of memory, in MB, of a fresh process that does it."""
    return _peak(work) if memory else _seconds(work)


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")


def _seconds(work: Work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _peak(work: Work) -> float:
    """Peak resident memory in MB of a fresh process that does the work."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(work, sender))
    process.start()
    sender.close()
    peak: float = receiver.recv()
    process.join()
    return peak


def _child(work: Work, sender: Any) -> None:
    work()
    sender.send(resident_peak())


def resident_peak() -> float:
    """Peak of this process in MB. Linux's getrusage would count the parent's memory at the fork."""
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kilobytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def show(result: dict[str, Any]) -> str:
    """One line for people."""
    rates = "".join(f"; {rate:,}/s" for rate in result.get("a_second", ()))
    verdict = "reached" if result["ratio"] >= result["goal"] else "MISSED"
    return (
        f"{result['claim']}: {result['ratio']}x {result['peer']} "
        f"({result['low']} to {result['high']}, {result['runs']} runs; {result['ours']} against "
        f"{result['theirs']} {result['unit']}{rates}); goal {result['goal']}x {verdict} here"
    )
