"""OR-Tools beside highspy: the cure is named."""

import sys
import types

import pytest

from solvers.exact.clash import import_cp_model, import_mathopt


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


@pytest.mark.parametrize(
    ("order", "fits"),
    [
        (("pulp", "highspy", "ortools.sat.python.cp_model"), False),
        (("pulp", "highspy"), False),
        (("highspy", "ortools.sat.python.cp_model", "pulp"), True),
        (("pulp", "ortools.sat.python.cp_model"), True),
        (("highspy",), True),
    ],
)
def test_what_would_crash_is_refused(
    order: tuple[str, ...], fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_mathopt()
    known = dict(sys.modules)
    for name in ("pulp", "highspy", "ortools.sat.python.cp_model"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    for name in order:
        monkeypatch.setitem(sys.modules, name, known.get(name, types.ModuleType(name)))
    import_mathopt("GSCIP")
    if fits:
        import_mathopt("HIGHS")
    else:
        with pytest.raises(ImportError, match=r"import ortools\.sat\.python\.cp_model before pulp"):
            import_mathopt("HIGHS")
