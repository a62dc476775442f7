"""Programs other than ours that read LP and MPS text: PuLP, CBC itself, and OR-Tools."""

import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from instances.objectives import Closest, FixedSize, Objective, Sparsest
from instances.subset_sum import SubsetSum
from solvers.exact.clash import import_cp_model, import_pulp

OBJECTIVES = [Closest(), Sparsest(3.0), Sparsest(0.0), FixedSize(4), FixedSize(0)]


def whole_instance(objective: Objective, seed: int) -> SubsetSum:
    """Draw whole numbers, so that no tolerance matters; some subset hits the target."""
    rng = np.random.default_rng(seed)
    coefficients = rng.integers(-60, 60, (1, 12)).astype(float)
    available = rng.random((1, 12)) > 0.2
    target = coefficients[available & (rng.random((1, 12)) > 0.5)].sum()
    return SubsetSum(coefficients, [target], objective, available)


def read_with_or_tools(text: str) -> Any:
    """Return OR-Tools' model of MPS text."""
    import_cp_model()  # OR-Tools goes first
    from ortools.linear_solver.python import model_builder

    model = model_builder.Model()
    assert model.import_from_mps_string(text)
    return model


def solve_with_or_tools(text: str, solver_name: str) -> dict[str, float] | None:
    """Solve MPS text; return the variables' values, or None where it is infeasible."""
    from ortools.linear_solver.python import model_builder

    model = read_with_or_tools(text)
    solver = model_builder.Solver(solver_name)
    status = solver.solve(model)
    if status == model_builder.SolveStatus.INFEASIBLE:
        return None
    assert status == model_builder.SolveStatus.OPTIMAL
    return {v.name: solver.value(v) for v in model.get_variables()}


def read_with_pulp(text: str, folder: Path) -> tuple[dict[str, Any], Any]:
    """Return PuLP's variables and problem of MPS text."""
    path = folder / "program.mps"
    path.write_text(text)
    variables, problem = import_pulp().LpProblem.fromMPS(str(path))
    return variables, problem


def solve_with_pulp(text: str, folder: Path) -> dict[str, float] | None:
    """Solve MPS text with CBC through PuLP, without the preprocessing that loses optima."""
    pulp = import_pulp()
    variables, problem = read_with_pulp(text, folder)
    problem.solve(pulp.PULP_CBC_CMD(msg=False, options=["preprocess off"]))
    if problem.sol_status == pulp.LpSolutionInfeasible:
        return None
    assert problem.sol_status == pulp.LpSolutionOptimal
    return {name: v.value() for name, v in variables.items()}


def solve_with_cbc(path: Path) -> dict[str, float] | None:
    """Let CBC itself read and solve an LP or MPS file."""
    answer = path.with_suffix(".answer")
    cbc = import_pulp().PULP_CBC_CMD().path
    done = subprocess.run(
        [cbc, path, "preprocess", "off", "solve", "printingOptions", "all", "solution", answer],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "errors on input" not in done.stdout, done.stdout
    head, *lines = answer.read_text().splitlines()
    if head.startswith(("Infeasible", "Integer infeasible")):
        return None
    assert head.startswith("Optimal"), head
    words = [line.split()[-4:] for line in lines]
    return {name: float(value) for _, name, value, _ in words if name[0] in "xz"}


def mask_of(values: dict[str, float], num_candidates: int) -> np.ndarray:
    """Read the mask, shape (1, n), off the variables x0, x1, …"""
    return np.array([[values[f"x{k}"] > 0.5 for k in range(num_candidates)]])
