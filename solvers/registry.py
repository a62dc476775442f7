"""The known solvers, by name. A solver is imported when it is first asked for."""

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any, NamedTuple

from solvers.solver import Solver


class Entry(NamedTuple):
    """Where a solver is, what it needs, and when to take it."""

    place: str
    """"module:Class"."""
    needs: str
    """The package it stands on."""
    exact: bool
    """Whether it proves bounds."""
    summary: str
    batched: bool = False
    """Whether it takes many rows at once, thousands in a second."""
    parameters: Mapping[str, Any] = MappingProxyType({})


REGISTRY: dict[str, Entry] = {
    "mitm": Entry(
        "solvers.exact.meet_in_the_middle:MeetInTheMiddle",
        "numba",
        True,
        "meet-in-the-middle; exact to the last bit, the first choice up to 48 candidates",
        batched=True,
    ),
    "cp-sat": Entry(
        "solvers.exact.cp_sat:CpSat",
        "ortools",
        True,
        "OR-Tools CP-SAT on exactly scaled integers; any size, slower",
    ),
    "cbc": Entry(
        "solvers.exact.cbc:Cbc",
        "pulp",
        True,
        "COIN-OR CBC through PuLP, tuned; bounds lowered by 1e-9 of the row's size",
    ),
    "cbc-default": Entry(
        "solvers.exact.cbc:Cbc",
        "pulp",
        False,
        "CBC with its own settings, for comparison; its claims are shown, not believed",
        parameters={"tuned": False},
    ),
    "highs": Entry(
        "solvers.exact.highs:Highs",
        "ortools",
        True,
        "HiGHS through OR-Tools, tuned; bounds lowered by 1e-9 of the row's size",
    ),
    "highs-default": Entry(
        "solvers.exact.highs:Highs",
        "ortools",
        False,
        "HiGHS with its own settings, for comparison; its claims are shown, not believed",
        parameters={"tuned": False},
    ),
    "scip": Entry(
        "solvers.exact.scip:Scip",
        "ortools",
        True,
        "SCIP through OR-Tools, tuned; bounds lowered by 1e-9 of the row's size",
    ),
    "scip-default": Entry(
        "solvers.exact.scip:Scip",
        "ortools",
        False,
        "SCIP with its own settings, for comparison; its claims are shown, not believed",
        parameters={"tuned": False},
    ),
    "gurobi": Entry(
        "solvers.exact.gurobi:Gurobi",
        "gurobipy",
        True,
        "Gurobi, tuned; needs a licence; bounds lowered by 1e-8 of the row's size",
    ),
    "gurobi-default": Entry(
        "solvers.exact.gurobi:Gurobi",
        "gurobipy",
        False,
        "Gurobi with its own settings, for comparison; its claims are shown, not believed",
        parameters={"tuned": False},
    ),
    "nearest": Entry(
        "solvers.exact.nearest:Nearest",
        "numba",
        True,
        "the one candidate that comes closest; subsets of size 1 among any number",
        batched=True,
    ),
    "greedy": Entry(
        "solvers.heuristic.greedy:Greedy",
        "torch",
        False,
        "best-improvement greedy in batches, CPU or GPU; proves nothing",
        batched=True,
    ),
    "golden-ratio": Entry(
        "solvers.heuristic.golden_ratio:GoldenRatio",
        "numba",
        False,
        "one pass in linear time with a guaranteed error; closest with candidates of all sizes",
        batched=True,
    ),
    "swaps": Entry(
        "solvers.heuristic.swaps:Swaps",
        "torch",
        False,
        "greedy, then the best flips and exchanges until none improves; polishes a start",
        batched=True,
    ),
    "beam": Entry(
        "solvers.heuristic.beam:Beam",
        "torch",
        False,
        "beam search with an exact finish; the closest heuristic, for every objective",
        batched=True,
    ),
    "differencing": Entry(
        "solvers.heuristic.differencing:Differencing",
        "torch",
        False,
        "Karmarkar-Karp differencing with discrepancies; closest with many candidates",
        batched=True,
    ),
    "rounding": Entry(
        "solvers.heuristic.rounding:Rounding",
        "torch",
        False,
        "rounded vertices of the linear relaxation, repaired by flips and exchanges",
        batched=True,
    ),
    "annealing": Entry(
        "solvers.heuristic.annealing:Annealing",
        "torch",
        False,
        "simulated annealing, many chains per row",
        batched=True,
    ),
    "tabu": Entry(
        "solvers.heuristic.tabu:Tabu",
        "torch",
        False,
        "tabu search over flips and exchanges",
        batched=True,
    ),
    "perturbed": Entry(
        "solvers.exact.perturbed:Perturbed",
        "numba",
        True,
        "perturbed subset sums: all subsets of up to 24 candidates; exact to the last bit",
        batched=True,
    ),
    # coupled programs
    "budget": Entry(
        "solvers.exact.budget:Budget",
        "numba",
        True,
        "fronts of all weights and a knapsack over them; edge budgets, to whole networks",
    ),
    "sphere": Entry(
        "solvers.exact.sphere:Sphere",
        "numba",
        True,
        "sphere decoding; data-aware neurons in norm 2, to some hundred candidates",
    ),
    "interval-tree": Entry(
        "solvers.exact.interval_tree:IntervalTree",
        "numba",
        True,
        "ranges of subset sums split; data-aware neurons in norm 1 and inf, to 200 candidates",
    ),
    "subset-choice": Entry(
        "solvers.exact.subset_choice:SubsetChoice",
        "ortools",
        True,
        "SCIP on one choice among the best subsets per weight; data-aware neurons, any norm",
    ),
    "knapsack": Entry(
        "solvers.exact.knapsack_table:KnapsackTable",
        "numpy",
        True,
        "table of all capacities; valued knapsacks, exact to the last bit",
    ),
    "selection": Entry(
        "solvers.exact.selection:Selection",
        "numba",
        True,
        "branch and bound over neurons; neuron selections, to some thirty neurons",
    ),
    "lns": Entry(
        "solvers.heuristic.lns:Lns",
        "numba",
        False,
        "some weights freed and solved, many times; data-aware neurons, any norm",
    ),
    "error-feedback": Entry(
        "solvers.heuristic.error_feedback:ErrorFeedback",
        "torch",
        False,
        "one pass in nearest-plane order; layers of data-aware neurons, CPU or GPU",
        batched=True,
    ),
    "coordinate-descent": Entry(
        "solvers.heuristic.coordinate_descent:CoordinateDescent",
        "torch",
        False,
        "error feedback, then every weight solved again; layers of data-aware neurons",
        batched=True,
    ),
    "unit-sets": Entry(
        "solvers.exact.unit_sets:UnitSets",
        "numba",
        True,
        "shared units: all sets of up to 28 units at once; exact to the last bit",
        batched=True,
    ),
    "shared-units": Entry(
        "solvers.heuristic.shared_units:SharedUnitsSearch",
        "numba",
        False,
        "shared units: drops and exchanges for all blocks at once; a bound that is seldom met",
        batched=True,
    ),
    "enumerate": Entry(
        "solvers.exact.enumerate_masks:EnumerateMasks",
        "numpy",
        True,
        "every mask of few candidates, of any problem class: an oracle",
    ),
    "flips": Entry(
        "solvers.heuristic.flips:Flips",
        "torch",
        False,
        "tabu search over flips of edges of arbitrary sources, CPU or GPU",
    ),
    "popup": Entry(
        "solvers.heuristic.popup:Popup",
        "torch",
        False,
        "score training in the style of edge-popup, of arbitrary sources, CPU or GPU",
    ),
}


def get_solver(name: str, **parameters: Any) -> Solver:
    """Make the solver registered as `name`, with its parameters.

    >>> get_solver("mitm", threads=1)
    MeetInTheMiddle(threads=1, device='auto')

    Parameters
    ----------
    name
        One of `available_solvers`.
    **parameters
        Fields of the solver's dataclass; those not given have their defaults.

    Returns
    -------
    Solver
        A frozen value, to be passed to `solve`.

    Raises
    ------
    ValueError
        When no solver has that name, or it has no such parameter.
    ImportError
        When the package it stands on is missing.
    """
    entry = _entry(name)
    reason = why_unavailable(name)
    if reason:
        raise ImportError(reason)
    module, _, class_name = entry.place.partition(":")
    factory = getattr(import_module(module), class_name)
    try:
        solver: Solver = factory(**{**entry.parameters, **parameters})
    except TypeError as error:
        raise ValueError(f"solver {name}: {error}") from error
    return solver


def solver_name(solver: Solver) -> str:
    """Return the name under which `solver` is registered, else its class's name."""
    place = f"{type(solver).__module__}:{type(solver).__qualname__}"
    names = [name for name, entry in REGISTRY.items() if entry.place == place]
    for name in names:
        parameters = REGISTRY[name].parameters
        if parameters and all(getattr(solver, k) == v for k, v in parameters.items()):
            return name
    return names[0] if names else type(solver).__name__


def why_unavailable(name: str) -> str:
    """Return why the solver cannot be used here, with the cure; empty when it can.

    Raises
    ------
    ValueError
        When no solver has that name.
    """
    needs = _entry(name).needs
    if find_spec(needs) is None:
        return f"solver {name} needs {needs}: pip install {needs}"
    return ""


def available_solvers() -> list[str]:
    """Return the names of the solvers that can be used here.

    Returns
    -------
    list of str
        Those whose packages are installed.
    """
    return [name for name in REGISTRY if not why_unavailable(name)]


def _entry(name: str) -> Entry:
    if name not in REGISTRY:
        raise ValueError(f"unknown solver {name!r}: choose one of {', '.join(REGISTRY)}")
    return REGISTRY[name]
