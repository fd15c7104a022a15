"""Fixtures for all tests and doctests."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from matt.models.registry import REGISTRIES

# A deadline is a timed assertion: the first example pays for lazy imports, and machines are busy.
settings.register_profile("matt", deadline=None, print_blob=True)
settings.load_profile("matt")

collect_ignore = ["src/beetsplug"]  # of no package of ours, it would be taken for `matt` itself

BESIDE = Path(__file__).resolve().parents[1] / "shared" / "data"
SHARED = Path(os.environ.get("MATT_SHARED_DATA", BESIDE))


@pytest.fixture(scope="session")
def shared_data():
    """Folder of real data beside the checkout; tests that need it skip where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the real data (../shared/data) is not beside this checkout")
    return SHARED


@pytest.fixture(scope="session", autouse=True)
def _no_cache_of_the_user(tmp_path_factory):
    """What tests compute and remember does not lie among what the user's commands do."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("MATT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _no_plug_ins_left():
    """What one test registers is unknown in the next."""
    before = {kind: set(one) for kind, one in REGISTRIES.items()}
    yield
    for kind, one in REGISTRIES.items():
        for name in set(one) - before[kind] - set(one.ours):  # ours come with their module
            del one._members[name]
