"""A warm process for all commands, and what these find when nobody disturbs them."""

from collections.abc import Callable, Iterator
from functools import cache

import pytest
from disturbing import Undisturbed, undisturbed
from jobs import JOBS
from launching import Warm

Expected = Callable[[str], Undisturbed]


@pytest.fixture(scope="session")
def warm() -> Iterator[Warm]:
    with Warm() as process:
        yield process


@pytest.fixture(scope="session")
def expected(warm: Warm, tmp_path_factory: pytest.TempPathFactory) -> Expected:
    """What a command finds, by its job's name."""

    @cache
    def found(name: str) -> Undisturbed:
        return undisturbed(JOBS[name], tmp_path_factory.mktemp("undisturbed"), warm)

    return found
