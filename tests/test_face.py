"""The public face: everything from milp_lth, and the guard against shadowed neighbours."""

import subprocess
import sys
from pathlib import Path

import pytest

import milp_lth


def test_every_public_name_is_there_and_documented() -> None:
    for name in milp_lth.__all__:
        value = getattr(milp_lth, name)
        assert name == "__version__" or value.__doc__, name
    assert set(milp_lth.__all__) <= set(dir(milp_lth))


def test_the_names_type_checkers_see_are_the_names_there_are() -> None:
    text = Path(milp_lth.__file__).read_text(encoding="utf-8")
    seen = {line.split(" as ")[1] for line in text.splitlines() if line.startswith("    from ")}
    assert seen == set(milp_lth.__all__) - {"__version__"}


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = milp_lth.nothing


@pytest.mark.parametrize("name", ["instances", "solvers"])
@pytest.mark.parametrize("kind", ["folder", "package", "module"])
def test_a_shadowed_neighbour_is_named(tmp_path: Path, name: str, kind: str) -> None:
    if kind == "module":
        (tmp_path / f"{name}.py").write_text("")
    else:
        (tmp_path / name).mkdir()
        (tmp_path / name / ("__init__.py" if kind == "package" else "data.txt")).write_text("")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nimport milp_lth"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    if kind == "folder":  # a folder without __init__.py never hides a real package
        assert done.returncode == 0, done.stderr
        return
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ImportError: milp_lth needs its own package")
    assert str(tmp_path) in last
    assert "rename that one" in last


def test_doctests_are_collected() -> None:
    """At least these modules show runnable examples: the doctest run is not empty."""
    import doctest

    import instances.subset_sum
    import solvers.solve

    finder = doctest.DocTestFinder()
    for module in (milp_lth, instances.subset_sum, solvers.solve):
        assert any(test.examples for test in finder.find(module)), module
