"""The three floors: imports go downwards only, and heavy libraries stay in their own files."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BELOW = {
    "instances": {"numpy", "numba"},
    "solvers": {"numpy", "instances"},
    "milp_lth": {"numpy", "instances", "solvers", "torch", "click", "networkx", "plotly", "jinja2",
                 "scipy", "safetensors", "sklearn", "rich"},
}  # fmt: skip
OWN_FILES = {  # a backend's library is imported in its own file alone, and there on use
    "torch": {p.relative_to(ROOT).as_posix() for p in ROOT.glob("solvers/heuristic/*.py")},
    "ortools": {"solvers/exact/clash.py"},
    "pyarrow": {"milp_lth/compare/store.py"},
    "onnx": {"milp_lth/targets/onnx_file.py", "milp_lth/targets/onnx_export.py"},
    "pulp": {"solvers/exact/clash.py"},
    "gurobipy": {"solvers/exact/gurobi.py"},
    "matplotlib": {
        f"milp_lth/report/{name}.py"
        for name in ("figures", "phase_figures", "style", "theory_figures")
    },
    # its part for CUDA; these files are themselves imported on use
    "numba": {p.relative_to(ROOT).as_posix() for p in ROOT.glob("solvers/exact/cuda_*.py")},
}


def imports(path: Path, *, top_level_only: bool = False) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if top_level_only else list(ast.walk(tree))
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found.add(str(node.module).split(".")[0])
    return found - set(sys.stdlib_module_names)


def modules(floor: str) -> list[Path]:
    return sorted((ROOT / floor).rglob("*.py"))


@pytest.mark.parametrize("floor", BELOW)
def test_a_floor_imports_only_from_below(floor: str) -> None:
    for path in modules(floor):
        name = path.relative_to(ROOT).as_posix()
        own = {library for library, files in OWN_FILES.items() if name in files}
        assert imports(path) <= BELOW[floor] | {floor} | own, name


@pytest.mark.parametrize("floor", BELOW)
def test_backends_are_imported_on_use(floor: str) -> None:
    for path in modules(floor):
        late = {"matplotlib", "onnx", "ortools", "pulp", "pyarrow", "rich", "sklearn"}
        late |= {"torch"} if floor == "solvers" else set()
        assert not imports(path, top_level_only=True) & late, path


def test_no_file_has_two_jobs() -> None:
    lengths = {path: len(path.read_text().splitlines()) for f in BELOW for path in modules(f)}
    assert not {path: n for path, n in lengths.items() if n > 400}


def test_help_imports_no_heavy_library() -> None:
    code = (
        "import sys\n"
        "from milp_lth.cli.main import _run\n"
        "assert _run(['--help']) == 0\n"
        "heavy = {'torch', 'ortools', 'numba', 'numpy', 'plotly', 'rich', 'sklearn'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_importing_changes_nothing() -> None:
    code = (
        "import logging, random, sys, torch, numpy\n"
        "before = (torch.get_num_threads(), random.getstate(), logging.root.handlers[:])\n"
        "import milp_lth\n"
        "[getattr(milp_lth, name) for name in milp_lth.__all__]\n"
        "after = (torch.get_num_threads(), random.getstate(), logging.root.handlers[:])\n"
        "assert before == after"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
