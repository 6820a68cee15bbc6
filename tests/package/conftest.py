"""Fixtures that several files share."""

import os

import pytest
from IPython.core.interactiveshell import InteractiveShell


@pytest.fixture(scope="session")
def fetched():
    """All data; whoever has not fetched it skips the test, CI has to fetch it."""
    from mmlearn.data import store, unpack

    missing = [b for b in unpack.BUNDLES if not store.is_stored(b, unpack.bundle_key(b))]
    if missing and not os.environ.get("CI"):
        pytest.skip(f"not fetched: {', '.join(missing)}; call: python -m mmlearn fetch")
    assert not missing, "call first: python -m mmlearn fetch"


@pytest.fixture
def shell():
    """An IPython shell, without which nothing can be displayed."""
    yield InteractiveShell.instance()
    InteractiveShell.clear_instance()
