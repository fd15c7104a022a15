"""Every example runs as a user runs it, without a warning, and prints what it promises."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


def printed(file):
    done = subprocess.run(
        [sys.executable, "-W", "error", str(file)],
        env={**os.environ, "PYTHONPATH": str(file.parents[1] / "src"), "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_there_are_examples():
    assert EXAMPLES


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_an_example_is_shown_in_the_documentation(file):
    pages = (file.parents[1] / "docs").glob("**/*.md")
    assert any(f"examples/{file.name}" in page.read_text(encoding="utf-8") for page in pages)


def test_cross_validation_of_bags_beats_the_majority_class():
    """Half of the tracks are of either genre."""
    (file,) = (file for file in EXAMPLES if file.stem == "sklearn_groups")
    rows = re.findall(r"^(.+?) +accuracy (\d\.\d+) ± \d\.\d+ over 5 folds$", printed(file), re.M)
    assert [name for name, _ in rows] == [
        "logistic regression", "network, mean of the bag", "network, attention",
    ]  # fmt: skip
    assert all(0.6 < float(accuracy) < 1 for _, accuracy in rows)
