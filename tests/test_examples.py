"""Every example runs as a user runs it, without a warning, and its page shows what it prints."""

import re
from functools import cache

import pytest

from tools.write_examples import EXAMPLES, PAGES, outputs_of, page_of

outputs = cache(outputs_of)
BY_NAME = {file.stem: file for file in EXAMPLES}


def but_for_numbers(page):
    """Cells of a page; in outputs numbers are masked, and lines sorted, as ranks may change.

    Other processors round otherwise, so a trained network has other digits there.
    """
    parts = re.split(r"^```text\n(.*?)^```$", page, flags=re.M | re.S)
    return [
        sorted(re.sub(r"[\d.,]+|[^\S\n]+", "#", part).splitlines()) if number % 2 else part
        for number, part in enumerate(parts)
    ]


def test_there_are_examples_and_no_page_without_one():
    assert len(EXAMPLES) >= 3
    assert {page.stem for page in PAGES.glob("*.md")} == set(BY_NAME)


@pytest.mark.parametrize("name", BY_NAME)
def test_the_page_of_an_example_is_up_to_date(name):
    page = page_of(BY_NAME[name], outputs(BY_NAME[name]))
    written = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    assert but_for_numbers(written) == but_for_numbers(page), "run: python tools/write_examples.py"


@pytest.mark.parametrize("name", BY_NAME)
def test_the_page_of_an_example_is_in_the_documentation(name):
    index = (PAGES.parent / "index.md").read_text(encoding="utf-8")
    assert f"examples/{name}\n" in index


def test_cross_validation_of_bags_beats_the_majority_class():
    """Half of the tracks are of either genre."""
    said = "".join(outputs(BY_NAME["sklearn_groups"]))
    rows = re.findall(r"^(.+?) +accuracy (\d\.\d+) ± \d\.\d+ over 5 folds$", said, re.M)
    assert [name for name, _ in rows] == [
        "logistic regression", "network, mean of the bag", "network, attention",
    ]  # fmt: skip
    assert all(0.6 < float(accuracy) < 1 for _, accuracy in rows)


def test_a_script_that_fails_says_why(tmp_path):
    script = tmp_path / "broken.py"
    script.write_text("# %% [markdown]\n# # Title\n\n# %%\nprint(1)\n\n# %%\nraise OSError('no')\n")
    with pytest.raises(RuntimeError, match="OSError: no"):
        outputs_of(script)
    script.write_text("# %% [markdown]\n# # Title\n\n# %%\nprint(1)\n\n# %%\nx = 2\n")
    assert outputs_of(script) == ["1\n", ""]
    page = page_of(script, ["1\n", ""])
    assert page.startswith("# Title\n\nThis page is `examples/broken.py` and what it prints.\n")
    assert page.endswith("```python\nprint(1)\n```\n\n```text\n1\n```\n\n```python\nx = 2\n```\n")
