"""Command line: parse, call, print. Everything heavy is imported by the command that needs it."""

from .app import main as main
