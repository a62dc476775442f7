"""The API reference: every public name is in it, and docstrings say what a caller must know."""

import ast
import inspect
import re
import textwrap
from enum import Enum
from pathlib import Path
from typing import Any, get_type_hints

import pytest

import milp_lth

PAGE = Path(__file__).parents[1] / "docs" / "api.md"
PUBLIC = sorted(set(milp_lth.__all__) - {"__version__"})
ENTRY = re.compile(r"^\.\. auto(class|function):: (\w+)\n(?:   :members:(.*)\n)?", re.MULTILINE)


def sections(value: Any) -> dict[str, dict[str, str]]:
    """The sections of a numpydoc docstring: for each, what it says by name."""
    lines = (inspect.getdoc(value) or "").splitlines()
    found: dict[str, dict[str, str]] = {}
    entries: dict[str, str] = {}
    names: list[str] = []
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        if below and set(below) == {"-"}:
            entries = found.setdefault(line, {})
        elif line and not line.startswith((" ", "-", ">")):
            names = [name.strip("* ") for name in line.split(",")]
            entries |= dict.fromkeys(names, "")
        else:
            entries |= {name: entries[name] + " " + line for name in names if name in entries}
    return found


def parameters(value: Any) -> list[str]:
    if inspect.isclass(value) and (
        issubclass(value, Enum) or getattr(value, "_is_protocol", False)
    ):
        return []
    return list(inspect.signature(value).parameters)


def raises_value_error(value: Any) -> bool:
    """Whether its own code does, or, of a class, the code that makes one."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(value))).body
    if isinstance(tree, ast.ClassDef):
        tree = ast.Module(
            [n for n in tree.body if getattr(n, "name", "") in ("__init__", "__post_init__")], []
        )
    raised = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise)]
    calls = [exc.func for exc in raised if isinstance(exc, ast.Call)]
    return "ValueError" in [func.id for func in calls if isinstance(func, ast.Name)]


def arrays(value: Any) -> set[str]:
    """The names of the parameters or fields that are arrays, `return` among them."""
    return {name for name, hint in get_type_hints(value).items() if "ndarray" in str(hint)}


def test_every_public_name_is_in_the_reference() -> None:
    shown = ENTRY.findall(PAGE.read_text(encoding="utf-8"))
    assert sorted(name for _, name, _ in shown) == PUBLIC  # each of them once
    for kind, name, members in shown:
        value = getattr(milp_lth, name)
        assert (kind == "class") == inspect.isclass(value), name
        for member in filter(None, re.split(r"[,\s]+", members)):
            is_field = member in inspect.get_annotations(value)
            assert is_field or inspect.getdoc(getattr(value, member)), f"{name}.{member}"


@pytest.mark.parametrize("name", PUBLIC)
def test_docstrings_say_what_a_caller_must_know(name: str) -> None:
    value = getattr(milp_lth, name)
    said = sections(value)
    taken = said.get("Parameters", {}) | said.get("Attributes", {})
    assert set(parameters(value)) <= set(taken), "each parameter is explained"
    assert all(text.strip() for text in taken.values()), "with more than its name"
    for array in arrays(value) - {"return"}:
        if array in taken:
            assert re.search(r"\bshapes? \(", taken[array], re.IGNORECASE), f"the shape of {array}"
    if not inspect.isclass(value) and inspect.signature(value).return_annotation is not None:
        returned = said.get("Returns", {}) | said.get("Yields", {})
        assert any(text.strip() for text in returned.values()), "what is returned"
        if "return" in arrays(value):
            assert "hape (" in " ".join(returned.values()), "the shape of what is returned"
    if raises_value_error(value):
        assert said.get("Raises", {}).get("ValueError", "").strip(), "when it refuses"
