"""Where there is no torch, tests of the solvers that need it are skipped."""

from collections.abc import Generator
from importlib.util import find_spec

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    try:
        return (yield)
    except ImportError as error:
        if "torch" in str(error) and find_spec("torch") is None:
            pytest.skip(str(error))
        raise
