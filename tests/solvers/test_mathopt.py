"""What is special about the solvers that come through MathOpt, and Gurobi where it is missing."""

import numpy as np
import pytest

from instances.generate import uniform_family
from instances.library import known_optima, load_set
from instances.objectives import Sparsest
from solvers.registry import get_solver, why_unavailable
from solvers.solution import Status
from solvers.solve import solve


@pytest.mark.parametrize("name", ["highs-default", "scip-default"])
def test_defaults_claim_what_is_false(name: str) -> None:
    """Targets half-way between two sums, 12 candidates: all subsets were tried for the optima."""
    instance, optimum = load_set("near-ties-12"), known_optima("near-ties-12")
    solution = solve(instance, name)
    claimed = solution.reported.status == "OPTIMAL"
    assert (claimed & (solution.objective > optimum)).any()
    assert not (solution.status == Status.OPTIMAL).any()


@pytest.mark.parametrize("name", ["highs", "scip"])
def test_counts_are_proven(name: str) -> None:
    instance = uniform_family(4, 16, seed=2, objective=Sparsest(1e-2))
    solution = solve(instance, name)
    assert (solution.status == Status.OPTIMAL).all()
    assert (solution.objective == solve(instance, "mitm").objective).all()
    assert solution.stats["build_seconds"] > 0


@pytest.mark.parametrize("name", ["highs", "scip"])
def test_an_infeasible_row_is_told(name: str) -> None:
    base = uniform_family(2, 8, seed=1, objective=Sparsest(1e-3))
    far = type(base)(base.coefficients, np.array([100.0, -100.0]), base.objective)
    assert (solve(far, name).status == Status.INFEASIBLE).all()


def test_scip_tells_of_better_masks_on_the_way() -> None:
    instance = uniform_family(1, 18, seed=3)
    errors: list[float] = []
    solve(
        instance,
        "scip",
        on_event=lambda first, part: errors.append(float(instance.judge(part.mask).error[0])),
        time_limit=60,
    )
    assert len(errors) > 1
    assert errors == sorted(errors, reverse=True)


def test_gurobi_is_listed_with_its_cure_where_it_is_missing() -> None:
    reason = why_unavailable("gurobi")
    if not reason:
        pytest.skip("gurobipy is installed")
    assert "pip install gurobipy" in reason
    with pytest.raises(ImportError, match="gurobipy"):
        get_solver("gurobi-default")
