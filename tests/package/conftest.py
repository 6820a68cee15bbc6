import pytest
from IPython.core.interactiveshell import InteractiveShell


@pytest.fixture
def shell():
    """An IPython shell, without which nothing can be displayed."""
    yield InteractiveShell.instance()
    InteractiveShell.clear_instance()
