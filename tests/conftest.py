"""Fixtures for all tests."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# A deadline is a timed assertion: the first example pays for lazy imports, and machines are busy.
settings.register_profile("matt", deadline=None, print_blob=True)
settings.load_profile("matt")

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"
SHARED = Path(os.environ.get("MATT_SHARED_DATA", BESIDE))


@pytest.fixture(scope="session")
def shared_data():
    """Folder of real data beside the checkout; tests that need it skip where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the real data (../shared/data) is not beside this checkout")
    return SHARED
