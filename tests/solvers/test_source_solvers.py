"""Who solves arbitrary sources: enumeration is the oracle, checked in fractions itself."""

import time
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from instances.arbitrary_source import ArbitrarySource
from instances.generate import product_family, uniform_family
from instances.library import known_optima, load_set
from instances.objectives import Closest, FixedSize, Sparsest
from instances.philox import UNIT_FACTOR, Stream, uniform
from instances.subset_sum import SubsetSum
from solvers.exact.enumerate_masks import EnumerateMasks
from solvers.heuristic.flips import Flips
from solvers.heuristic.networks import Networks
from solvers.heuristic.popup import Popup
from solvers.registry import get_solver
from solvers.solution import Status
from solvers.solve import solve

PROGRAMS = ["scip", "cp-sat"]
HEURISTICS = ["flips", "popup"]


def random_source(
    sizes: tuple[int, ...], seed: int = 0, num_sources: int = 2, num_samples: int = 3, **settings
) -> ArbitrarySource:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(seed)
    weights = [rng.uniform(-1, 1, (num_sources, o, i)) for i, o in pairwise(sizes)]
    inputs = rng.uniform(-1, 1, (num_samples, sizes[0]))
    outputs = rng.uniform(-0.5, 0.5, (num_samples, sizes[-1]))
    return ArbitrarySource(tuple(weights), inputs, outputs, **settings)


def exact_best(source: ArbitrarySource, b: int) -> tuple[Fraction, int]:
    """The least error within the budget and the first mask that has it, in fractions."""
    n, best = source.num_candidates, (Fraction(10**9), -1)
    most = n if source.budget is None else source.budget
    for bits in range(2**n):
        if bits.bit_count() > most:
            continue
        errors = []
        for x, y in zip(source.inputs.tolist(), source.outputs.tolist(), strict=True):
            h, edge = [Fraction(v) for v in x], 0
            for depth, w in enumerate(source.weights):
                h = [max(v, Fraction(0)) if depth else v for v in h]
                rows = []
                for row in w[b].tolist():
                    kept = [bits >> (edge + k) & 1 for k in range(len(row))]
                    edge += len(row)
                    rows.append(
                        sum((Fraction(r) * v for r, v, m in zip(row, h, kept, strict=True) if m),
                            Fraction(0))
                    )  # fmt: skip
                h = rows
            errors += [abs(got - Fraction(wanted)) for got, wanted in zip(h, y, strict=True)]
        error = max(errors) if source.norm == "inf" else sum(errors, Fraction(0)) / len(errors)
        best = min(best, (error, bits))
    return best


@pytest.mark.parametrize("norm", ["1", "inf"])
@pytest.mark.parametrize("budget", [None, 3])
def test_enumeration_finds_what_fractions_find(norm: str, budget: int | None) -> None:
    source = random_source((2, 2, 1), num_samples=2, norm=norm, budget=budget)
    solution = solve(source, "enumerate")
    for b in range(2):
        error, _ = exact_best(source, b)
        assert abs(Fraction(solution.objective[b]) - error) <= source.slack[b]
        assert Fraction(solution.bound[b]) <= error
    assert (solution.status == Status.OPTIMAL).all()


def test_enumeration_takes_the_smallest_mask() -> None:
    """Powers of two, judged without rounding: masks that keep dead edges are as good."""
    first = np.array([[[1.0, 0.5], [-0.5, 0.25]]])
    source = ArbitrarySource((first, np.array([[[0.5, 2.0]]])), [[1.0, 2.0]], [[0.5]])
    solution = solve(source, "enumerate")
    error, bits = exact_best(source, 0)
    assert solution.objective[0] == error
    assert solution.mask[0].tolist() == [bool(bits >> k & 1) for k in range(6)]


@pytest.mark.parametrize(
    "objective", [Closest(), Closest(1e-3), Sparsest(0.02), FixedSize(3)], ids=str
)
@pytest.mark.parametrize("family", [uniform_family, product_family])
def test_enumeration_is_an_oracle_of_other_classes(objective, family) -> None:  # type: ignore[no-untyped-def]
    instance = family(3, 9, seed=7, objective=objective)
    mine, reference = solve(instance, "enumerate"), solve(instance, "mitm")
    assert (mine.status == reference.status).all()
    feasible = reference.feasible
    assert (mine.mask == reference.mask)[feasible].all()
    assert (mine.bound == reference.bound)[feasible].all()


def test_enumeration_knows_its_limits() -> None:
    assert EnumerateMasks().supports(uniform_family(1, 16))
    assert not EnumerateMasks().supports(uniform_family(1, 17))
    assert EnumerateMasks().supports(random_source((1, 11, 1)))
    assert not EnumerateMasks().supports(random_source((1, 12, 1)))
    none = SubsetSum(np.empty((1, 0)), [0.5], Closest(0.25))
    assert solve(none, "enumerate").status[0] == Status.INFEASIBLE
    began = time.monotonic()
    stopped = EnumerateMasks().propose(random_source((2, 7, 1), num_sources=1), 0.1)
    assert time.monotonic() - began < 1.0
    assert stopped.reported.status[0] == "time limit"
    assert stopped.bound[0] == -np.inf


CASES = {
    "one hidden layer": ((2, 3, 1), {}),
    "mean": ((2, 3, 1), {"norm": "1"}),
    "two outputs": ((1, 3, 2), {"norm": "1"}),
    "two hidden layers": ((1, 2, 2, 1), {}),
    "no hidden layer": ((4, 2), {"norm": "1"}),
    "budget": ((2, 3, 1), {"budget": 4}),
    "tolerance": ((2, 3, 1), {"tolerance": 0.25}),
    "nothing within the tolerance": ((2, 3, 1), {"tolerance": 1e-3, "norm": "1"}),
}


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("case", CASES)
def test_programs_reach_what_enumeration_proves(name: str, case: str) -> None:
    sizes, settings = CASES[case]
    source = random_source(sizes, seed=4, num_sources=3, **settings)
    reference = solve(source, "enumerate")
    assert set(reference.status) <= {Status.OPTIMAL, Status.INFEASIBLE}
    solution = solve(source, name)
    feasible = reference.feasible
    assert (solution.feasible == feasible).all()
    assert set(solution.status[~feasible]) <= {Status.INFEASIBLE}
    difference = np.abs(solution.objective - reference.objective)[feasible]
    assert (difference <= source.slack[feasible]).all()
    assert (
        solution.bound[feasible] <= reference.objective[feasible] + source.slack[feasible]
    ).all()
    assert (solution.bound[feasible] >= reference.objective[feasible] - 1e-6).all()


def two_layers_of_eight(seed: int, tolerance: float | None) -> ArbitrarySource:
    shapes = [(8, 2), (8, 8), (1, 8)]
    weights = [
        uniform(Stream(seed, layer), np.arange(o * i).reshape(1, o, i), unit=UNIT_FACTOR)
        for layer, (o, i) in enumerate(shapes)
    ]
    weights[2] = 4 * weights[2]
    inputs = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    return ArbitrarySource(tuple(weights), inputs, [[1.0], [1.0], [0.0]], tolerance=tolerance)


@pytest.mark.parametrize("name", ["scip", "cp-sat"])
def test_nothing_feasible_is_called_infeasible(name: str) -> None:
    """SCIP did, over the last bits of numbers that cancel, when they had all their digits."""
    source = two_layers_of_eight(4, 0.02)
    solution = solve(source, name)
    assert solution.objective[0] == pytest.approx(0.0033049155592739)
    assert solution.bound[0] == pytest.approx(0.0033, abs=1e-5)


@pytest.mark.parametrize("name", HEURISTICS)
@pytest.mark.parametrize("case", ["one hidden layer", "mean", "budget", "two hidden layers"])
def test_heuristics_are_never_below_the_optimum(name: str, case: str) -> None:
    sizes, settings = CASES[case]
    source = random_source(sizes, seed=9, num_sources=4, **settings)
    best = solve(source, "enumerate").objective
    solution = solve(source, name)
    assert (solution.objective >= best - source.slack).all()
    assert (solution.violation == 0).all()
    assert (solution.status != Status.OPTIMAL).all()
    if name == "flips":
        assert (solution.objective <= best + source.slack).mean() >= 0.75
    empty, _ = source.evaluate(np.zeros(solution.mask.shape, bool))
    assert (solution.objective <= empty).all()


@pytest.mark.parametrize("solver", [Flips(walks=8, moves=20), Popup(starts=1, steps=30)])
def test_sources_do_not_mind_their_neighbours(solver) -> None:  # type: ignore[no-untyped-def]
    source = random_source((2, 6, 1), num_sources=4)
    whole = solve(source, solver)
    assert (solve(source, solver).mask == whole.mask).all()
    for b in range(4):
        assert (solve(source.part(b, b + 1), solver).mask[0] == whole.mask[b]).all()
    other = type(solver)(**{**vars(solver), "seed": 1})
    assert (solve(source, other).mask != whole.mask).any()


@pytest.mark.parametrize("name", HEURISTICS)
def test_a_start_is_never_made_worse(name: str) -> None:
    source = random_source((2, 3, 1), seed=2)
    start = solve(source, "enumerate").mask
    given, _ = source.evaluate(start)
    assert (solve(source, name, start=start).objective <= given).all()


@pytest.mark.parametrize("name", ["enumerate", *HEURISTICS, "scip", "cp-sat"])
def test_time_limits_hold(name: str) -> None:
    sizes = (2, 7, 1) if name == "enumerate" else (3, 14, 10, 1)
    source = random_source(sizes, num_sources=6, num_samples=8)
    began = time.monotonic()
    solution = solve(source, name, time_limit=0.3)
    elapsed = time.monotonic() - began - solution.stats["start_seconds"]
    assert elapsed <= 1.1 * 0.3 + 1.0 + 0.5
    assert solution.mask.shape == (6, source.num_candidates)
    assert (solution.violation == 0).all()


@pytest.mark.parametrize("name", HEURISTICS)
def test_events_tell_of_every_source(name: str) -> None:
    source = random_source((2, 4, 1), num_sources=3)
    seen = np.full(3, np.inf)

    def record(first: int, part) -> None:  # type: ignore[no-untyped-def]
        rows = slice(first, first + len(part.bound))
        seen[rows] = source.part(rows.start, rows.stop).evaluate(part.mask)[0]

    assert (solve(source, name, on_event=record).objective == seen).all()


@pytest.mark.parametrize("sizes", [(3, 2), (2, 4, 2), (2, 3, 4, 2), (1, 2, 3, 2, 1)], ids=str)
@pytest.mark.parametrize("norm", ["1", "inf"])
def test_flips_are_judged_like_masks(sizes: tuple[int, ...], norm: str) -> None:
    torch = pytest.importorskip("torch")
    source = random_source(sizes, norm=norm, budget=sum(a * b for a, b in pairwise(sizes)) - 1)
    networks = Networks.load(source, "cpu")
    n = networks.num_edges
    mask = torch.rand(2, 5, n, generator=torch.Generator().manual_seed(1)) < 0.8
    after = networks.objectives_of_flips(mask)
    masks = (mask[:, :, None] ^ torch.eye(n, dtype=torch.bool)).numpy()
    for b in range(2):
        error, violation = source.evaluate_many(b, masks[b].reshape(-1, n))
        wanted = np.where(violation > 0, np.inf, error).reshape(5, n)
        assert np.allclose(after[b].numpy(), wanted, rtol=0, atol=1e-12)


def test_only_sources_are_taken() -> None:
    for name in HEURISTICS:
        assert not get_solver(name).supports(uniform_family(1, 4))
        with pytest.raises(ValueError, match="does not take"):
            solve(uniform_family(1, 4), name)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("flips", {"walks": 0}),
        ("flips", {"moves": -1}),
        ("flips", {"tenure": 1.5}),
        ("popup", {"shares": (0.0,)}),
        ("popup", {"shares": (1.5,)}),
        ("popup", {"starts": 0}),
        ("popup", {"steps": 0}),
        ("popup", {"rate": 0.0}),
    ],
)
def test_parameters_out_of_range_are_refused(name: str, parameters: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="give"):
        get_solver(name, **parameters)


def test_programs_whose_rows_tie_numbers_are_known() -> None:
    assert random_source((2, 3, 1)).milp(0).chained
    assert not uniform_family(1, 9).milp(0).chained
    assert not load_set("neurons-1-24").milp(0).chained


def test_highs_and_cbc_are_not_believed_about_sources() -> None:
    """Of these two rows HiGHS proved a bound above the optimum."""
    assert not get_solver("cbc").supports(random_source((2, 3, 1)))
    for name, row in (("source-1-16", 0), ("source-inf-20-budget-10", 2)):
        instance = load_set(name).part(row, row + 1)
        assert not get_solver("highs").supports(instance)
        found = solve(instance, "highs-default", time_limit=20)
        assert found.status[0] != Status.OPTIMAL
        assert found.objective[0] >= known_optima(name)[row] - instance.slack[0]
