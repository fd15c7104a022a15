"""What a process that computes features may use, so that no file can hurt."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import ConfigError
from .worker import Extractor, extract_file

_LEAST_MEMORY = 2**26


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a process that computes features may do, and how.

    Attributes
    ----------
    timeout : float > 0
        Seconds without a finished segment, after which a file fails. What comes before the first
        segment counts, too: ``"middle"`` decodes up to it. The length of a file does not matter.
    memory : int > 0
        Bytes for one file and what is computed from it, beyond what the libraries take.
    nice : int
        Added to the priority number of the process where the system has one: 19 yields to
        everything else.
    extractor : callable
        ``extractor(path, specs, salvage, alive)`` gives one `Outcome` a spec; it calls ``alive()``
        whenever it got on, and must be importable by name.

    Raises
    ------
    ConfigError
        If a number is out of its range.
    """

    timeout: float = 120.0
    memory: int = 4 * 2**30
    nice: int = 0
    extractor: Extractor = extract_file

    def __post_init__(self) -> None:
        if not self.timeout > 0:
            raise ConfigError(f"timeout must be above 0 seconds, got {self.timeout}; 120 is usual")
        if self.memory < _LEAST_MEMORY:
            raise ConfigError(
                f"memory must be at least {_LEAST_MEMORY:,} bytes, got {self.memory:,}; nothing "
                "could be decoded in less"
            )
        if not 0 <= self.nice <= 19:
            raise ConfigError(f"nice must be 0 to 19, got {self.nice}; 0 is ordinary")


DEFAULT = Limits()
