"""Make docs/reproduce.md, and its pictures, from folders of `matt reproduce`.

python tools/write_reproduce.py RUN [RUN ...]
"""

import sys
from pathlib import Path

from matt.reproduce.docs import write_docs


def main(runs: list[str]) -> None:
    """Write the page of the runs, in their order."""
    page = Path(__file__).parents[1] / "docs/reproduce.md"
    write_docs(runs, page)
    sys.stdout.write(f"{page}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
