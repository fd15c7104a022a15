"""Command line: parse, call, print. Everything heavy is imported by the command that needs it."""

from __future__ import annotations


def main() -> None:
    """Run the command ``matt``."""
    # Not at the top: processes that decode import what started them, and need no command.
    try:
        from .app import main as run
    except KeyboardInterrupt:  # nothing has begun
        raise SystemExit(130) from None
    run()
