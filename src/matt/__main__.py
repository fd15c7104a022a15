"""``python -m matt`` is the command ``matt``."""

from .cli import main

main()
