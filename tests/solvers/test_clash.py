"""OR-Tools beside highspy: the cure is named."""

import sys
import types

import pytest

from solvers.exact.clash import import_cp_model


def test_the_cure_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ortools.sat.python", None)
    monkeypatch.setitem(sys.modules, "highspy", types.ModuleType("highspy"))
    with pytest.raises(ImportError, match=r"uninstall highspy, install highspy<1\.15"):
        import_cp_model()


def test_other_failures_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ortools.sat.python", None)
    monkeypatch.delitem(sys.modules, "highspy", raising=False)
    with pytest.raises(ImportError, match="ortools"):
        import_cp_model()
