"""Kernels compile where no cache can be written."""

import numba
import numba.typed  # numba itself imports it on use, when njit is another function
import pytest

from instances.compiled import compiled


def test_no_writable_cache_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    njit = numba.njit

    def refuse_to_cache(**options: bool) -> object:
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return njit(**options)

    monkeypatch.setattr(numba, "njit", refuse_to_cache)
    assert compiled(lambda x: x + 1)(2) == 3
