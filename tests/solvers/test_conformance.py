"""One suite over all solvers: whoever is in the registry is held to every property.

Two oracles: enumeration in fractions for n = 9, and meet-in-the-middle, which the first one checks,
for n = 20. A solver that claims bounds is also held to its declared tolerance, and one that takes
some objectives only, to those.
"""

import time
from pathlib import Path

import numpy as np
import pytest
from oracle import enumerate_row

from instances.files import load_instance
from instances.generate import normal_family, planted_family, product_family, uniform_family
from instances.objectives import Closest, FixedSize, Objective, Sparsest
from instances.subset_sum import SubsetSum
from solvers.registry import REGISTRY, available_solvers, get_solver
from solvers.solution import Solution, Status
from solvers.solve import solve

EXACT_TO_THE_BIT = [
    name for name in available_solvers() if REGISTRY[name].exact and get_solver(name).tolerance == 0
]
OBJECTIVES: list[Objective] = [
    Closest(),
    Closest(1e-4),
    Sparsest(0.02),
    FixedSize(3),
    FixedSize(3, 1e-3),
    FixedSize(1),
    FixedSize(1, 1e-3),
]
FAMILIES = [uniform_family, normal_family, product_family]
GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.json"))


def takers(objective: Objective) -> list[str]:
    asked = uniform_family(1, 38, objective=objective)
    return [name for name in available_solvers() if get_solver(name).supports(asked)]


def every_solver_of(*objectives: Objective) -> pytest.MarkDecorator:
    pairs = [(name, objective) for objective in objectives for name in takers(objective)]
    return pytest.mark.parametrize(("name", "objective"), pairs, ids=str)


SOLVERS = takers(Closest())
every_solver = pytest.mark.parametrize("name", SOLVERS)


def size_of(instance: SubsetSum) -> np.ndarray:
    return np.abs(instance.coefficients).sum(axis=1) + np.abs(instance.targets)


def judge_claims(instance: SubsetSum, solution: Solution, optimum: np.ndarray) -> None:
    """Hold every claim of `solution` against true optima; infinite where nothing is feasible."""
    objective, violation = instance.evaluate(solution.mask)
    assert (solution.objective == objective).all()
    assert (solution.violation == violation).all()
    assert (solution.error == instance.judge(solution.mask).error).all()
    feasible = violation == 0
    assert (solution.bound <= optimum).all()
    assert (objective[feasible] >= optimum[feasible]).all()
    for b, code in enumerate(solution.status):
        status = Status(code)
        assert feasible[b] == (status in (Status.OPTIMAL, Status.FEASIBLE))
        if status == Status.OPTIMAL:
            assert objective[b] == optimum[b]
        if status == Status.INFEASIBLE:
            assert np.isinf(optimum[b])
        if np.isinf(optimum[b]):
            assert status in (Status.INFEASIBLE, Status.NO_SOLUTION)


def true_optima(instance: SubsetSum) -> np.ndarray:
    found = [enumerate_row(instance, b) for b in range(len(instance))]
    if instance.counts:
        return np.array([np.inf if f is None else float(f[0].sum()) for f in found])
    return np.array([np.inf if f is None else float(f[1]) for f in found])


@every_solver_of(*OBJECTIVES)
@pytest.mark.parametrize("family", FAMILIES)
def test_against_enumeration(name: str, objective: Objective, family) -> None:  # type: ignore[no-untyped-def]
    instance = family(6, 9, seed=11, objective=objective)
    solution = solve(instance, name)
    optimum = true_optima(instance)
    judge_claims(instance, solution, optimum)
    if REGISTRY[name].exact and get_solver(name).tolerance < 1e-6:
        found = solution.feasible
        assert (found == np.isfinite(optimum)).all()
        assert (solution.objective[found] == optimum[found]).all()
    if name in EXACT_TO_THE_BIT:
        assert set(solution.status) <= {Status.OPTIMAL, Status.INFEASIBLE}
        for b in range(len(instance)):
            best = enumerate_row(instance, b)
            assert best is None or (best[0] == solution.mask[b]).all()


@every_solver_of(Closest(), Sparsest(1e-3), FixedSize(5), FixedSize(1))
def test_against_meet_in_the_middle(name: str, objective: Objective) -> None:
    """At n = 20 the optimum lies far below a MIP solver's default tolerances."""
    instance = uniform_family(3, 20, seed=5, objective=objective)
    reference = solve(instance, "mitm")
    assert reference.counts()["OPTIMAL"] == 3
    solution = solve(instance, name, time_limit=60)
    judge_claims(instance, solution, reference.objective)
    if name in EXACT_TO_THE_BIT:
        assert (solution.mask == reference.mask).all()
    elif REGISTRY[name].exact and get_solver(name).tolerance < 1e-6:
        assert (solution.objective == reference.objective).all()
        slack = 2 * get_solver(name).tolerance * size_of(instance)
        assert (solution.bound >= reference.objective - slack).all()


@every_solver
@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.stem)
def test_golden_instances(name: str, path: Path) -> None:
    """Optima far below 1e-6, proved by enumeration when the file was made."""
    instance = load_instance(path)
    optimum = np.array([float.fromhex(x) for x in path.with_suffix(".opt").read_text().split()])
    assert optimum.max() < 1e-7
    solution = solve(instance, name, time_limit=30)
    judge_claims(instance, solution, optimum)
    if name in EXACT_TO_THE_BIT:
        assert (solution.objective == optimum).all()
        assert (solution.status == Status.OPTIMAL).all()


def test_default_settings_claim_what_is_false() -> None:
    """Why none of this is paranoia: CBC's own words, recorded verbatim, on a golden instance."""
    instance = load_instance(GOLDEN[0])
    solution = solve(instance, "cbc-default")
    optimum = np.array(
        [float.fromhex(x) for x in GOLDEN[0].with_suffix(".opt").read_text().split()]
    )
    claimed = solution.reported.status == "Optimal"
    false = claimed & (solution.objective > optimum)
    assert false.any()
    assert not (solution.status[false] == Status.OPTIMAL).any()


TIES = {
    "duplicates": SubsetSum([[0.5, 0.5, 0.5, 0.25, 0.25]], [0.75]),
    "zeros": SubsetSum([[0.0, 0.5, 0.0, 0.5]], [0.5]),
    "both sides": SubsetSum([[0.25, 0.75, 0.25, 0.75]], [0.5]),
    "nothing needed": SubsetSum([[1.0, -1.0, 0.0]], [0.0]),
    "half-way between grid points": SubsetSum([[3.0, 2.0, 2.0, 3.0]], [2.5]),
    "grid": planted_family(1, 10, seed=2, unit=2.0**-2)[0],
}


@every_solver
@pytest.mark.parametrize("case", TIES)
def test_ties(name: str, case: str) -> None:
    instance = TIES[case]
    solution = solve(instance, name)
    best = enumerate_row(instance, 0)
    assert best is not None
    judge_claims(instance, solution, np.array([float(best[1])]))
    if name in EXACT_TO_THE_BIT:
        assert (solution.mask[0] == best[0]).all()


EDGES = {
    "zero target": SubsetSum([[0.3, -0.7, 0.9]], [0.0]),
    "one candidate, wanted": SubsetSum([[0.5]], [0.6]),
    "one candidate, unwanted": SubsetSum([[0.5]], [0.1]),
    "no candidates": SubsetSum(np.empty((2, 0)), [0.5, 0.0]),
    "out of reach": SubsetSum([[0.5, 0.25]], [100.0], Closest(1e-3)),
    "out of reach below": SubsetSum([[0.5, 0.25]], [-100.0], Sparsest(1e-3)),
    "only negative": SubsetSum([[-0.5, -0.25, -0.1]], [-0.6]),
    "nothing available": SubsetSum([[0.5, 0.25]], [0.5], Sparsest(0.1), [[False, False]]),
    "size beyond reach": SubsetSum([[0.5, 0.25]], [0.5], FixedSize(3)),
    "size 0": SubsetSum([[0.5, 0.25]], [0.5], FixedSize(0)),
    "one of equals": SubsetSum([[0.75, 0.25, 0.75, 0.25]], [0.5], FixedSize(1)),
    "one, none available": SubsetSum([[0.5, 0.25]], [0.5], FixedSize(1), [[False, False]]),
    "ragged": SubsetSum(
        [[0.5, 0.25, 0.125], [0.5, 0.25, 0.125]], [0.6, 0.6], Closest(),
        [[True, False, True], [False, True, True]],
    ),
    "arbitrary floats": SubsetSum([[0.1, 1 / 3, -np.pi, 1e-17, 2.5e-8]], [0.43]),
    "tolerance met exactly": SubsetSum([[0.5]], [0.75], Sparsest(0.25)),
    "tolerance just missed": SubsetSum([[0.5]], [0.75], Sparsest(float(np.nextafter(0.25, 0)))),
}  # fmt: skip


EDGES_TAKEN = [
    (name, case)
    for name in sorted({name for objective in OBJECTIVES for name in takers(objective)})
    for case, instance in EDGES.items()
    if get_solver(name).supports(instance)
]


@pytest.mark.parametrize(("name", "case"), EDGES_TAKEN)
def test_edges(name: str, case: str) -> None:
    instance = EDGES[case]
    judge_claims(instance, solve(instance, name), true_optima(instance))


@pytest.mark.parametrize("name", [name for name in SOLVERS if name in EXACT_TO_THE_BIT])
def test_huge_range(name: str) -> None:
    """Numbers that no 64-bit integers can hold together are still solved, or not called optimal."""
    instance = SubsetSum(
        [[1e300, -1e300, 1.0, 1e-300, 0.5, 5e-324], [3e-200, 1e17, 1.0, -1e17, 2e-16, 0.1]],
        [1.5, 1.1],
    )
    solution = solve(instance, name)
    judge_claims(instance, solution, true_optima(instance))
    if name == "mitm":
        assert (solution.status == Status.OPTIMAL).all()


@every_solver_of(Closest(), Sparsest(0.1), FixedSize(2), FixedSize(1))
def test_available_candidates_alone_are_used(
    name: str, objective: Objective, rng: np.random.Generator
) -> None:
    base = uniform_family(8, 9, seed=2)
    available = rng.random((8, 9)) < 0.6
    instance = SubsetSum(base.coefficients, base.targets, objective, available)
    solution = solve(instance, name)
    assert not (solution.mask & ~available).any()
    judge_claims(instance, solution, true_optima(instance))


@every_solver
def test_same_seed_same_mask(name: str) -> None:
    instance = uniform_family(3, 14, seed=8)
    assert (solve(instance, name).mask == solve(instance, name).mask).all()


@every_solver
def test_the_instance_is_left_alone(name: str) -> None:
    instance = uniform_family(3, 9, seed=4)
    before = instance.coefficients.copy(), instance.targets.copy()
    solve(instance, name)
    assert (instance.coefficients == before[0]).all()
    assert (instance.targets == before[1]).all()


@every_solver
def test_rows_do_not_depend_on_their_neighbours(name: str) -> None:
    instance = uniform_family(5, 10, seed=6)
    whole = solve(instance, name)
    for b in range(5):
        assert (solve(instance.part(b, b + 1), name).mask[0] == whole.mask[b]).all()


@every_solver
def test_time_limits_hold(name: str) -> None:
    instance = uniform_family(200, 38, seed=1)
    for limit in (0.05, 1.0):
        began = time.monotonic()
        solution = solve(instance, name, time_limit=limit)
        started = solution.stats["start_seconds"]
        assert time.monotonic() - began - started <= 1.1 * limit + 1.0 + 0.5  # 0.5: the judge's own
        assert solution.mask.shape == instance.coefficients.shape
        assert not (solution.status[solution.objective > 1e-6] == Status.OPTIMAL).any()


@every_solver
def test_a_start_is_never_made_worse(name: str) -> None:
    instance = uniform_family(3, 30, seed=1)
    start = solve(instance, "mitm").mask
    solution = solve(instance, name, start=start, time_limit=0.3)
    assert (solution.error <= instance.judge(start).error).all()


@every_solver
def test_events_tell_of_every_row(name: str) -> None:
    instance = uniform_family(4, 10, seed=1)
    seen = np.full(4, np.inf)

    def record(first: int, part) -> None:  # type: ignore[no-untyped-def]
        rows = slice(first, first + len(part.bound))
        seen[rows] = instance.part(rows.start, rows.stop).judge(part.mask).error

    solution = solve(instance, name, on_event=record)
    assert (seen == solution.error).all()
    seen[:] = np.inf
    solution = solve(instance, name, on_event=record, time_limit=30)
    assert (seen == solution.error).all()


def test_permuting_and_scaling_leave_the_optimum_alone(rng: np.random.Generator) -> None:
    base = uniform_family(6, 15, seed=9)
    optimum = solve(base, "mitm").objective
    order = rng.permutation(15)
    assert (
        solve(SubsetSum(base.coefficients[:, order], base.targets), "mitm").objective == optimum
    ).all()
    assert (solve(SubsetSum(-base.coefficients, -base.targets), "mitm").objective == optimum).all()
    scaled = solve(SubsetSum(base.coefficients * 2.0**-30, base.targets * 2.0**-30), "mitm")
    assert (scaled.objective == optimum * 2.0**-30).all()
    more = np.column_stack([base.coefficients, np.full(6, 1e6)])
    assert (solve(SubsetSum(more, base.targets), "mitm").objective == optimum).all()
