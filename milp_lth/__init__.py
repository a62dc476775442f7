"""Winning lottery tickets, found by solving for them.

A target network is approximated by only pruning a larger random one; which edges to keep is posed
as SubsetSum problems and integer programs. Everything a user needs is importable from here:

>>> from milp_lth import SubsetSum, solve
>>> solution = solve(SubsetSum([[0.5, 0.25, -0.125]], [0.4]))
>>> solution.mask.tolist(), float(solution.error[0])
([[True, False, True]], 0.025000000000000022)
"""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

__version__ = "1.0.0"

if TYPE_CHECKING:
    from instances.arbitrary_source import ArbitrarySource as ArbitrarySource
    from instances.distributions import Distribution as Distribution
    from instances.edge_budget import EdgeBudget as EdgeBudget
    from instances.files import load_instance as load_instance
    from instances.files import save_instance as save_instance
    from instances.generate import hyperbolic_family as hyperbolic_family
    from instances.generate import normal_family as normal_family
    from instances.generate import planted_family as planted_family
    from instances.generate import product_family as product_family
    from instances.generate import uniform_family as uniform_family
    from instances.instance import Instance as Instance
    from instances.knapsack import read_knapsack as read_knapsack
    from instances.library import known_optima as known_optima
    from instances.library import list_sets as list_sets
    from instances.library import load_set as load_set
    from instances.lp import to_lp as to_lp
    from instances.milp import MILP as MILP
    from instances.mps import from_mps as from_mps
    from instances.mps import to_mps as to_mps
    from instances.neuron_selection import NeuronSelection as NeuronSelection
    from instances.neurons import Neurons as Neurons
    from instances.objectives import Closest as Closest
    from instances.objectives import FixedSize as FixedSize
    from instances.objectives import Sparsest as Sparsest
    from instances.perturbed import PerturbedSubsetSum as PerturbedSubsetSum
    from instances.shared_units import SharedUnits as SharedUnits
    from instances.subset_sum import SubsetSum as SubsetSum
    from instances.valued_knapsack import ValuedKnapsack as ValuedKnapsack
    from milp_lth.assembly import assemble as assemble
    from milp_lth.certificates.certifying import certify_run as certify_run
    from milp_lth.certificates.classes import BoxAnswer as BoxAnswer
    from milp_lth.certificates.classes import agreement_on_box as agreement_on_box
    from milp_lth.certificates.classes import robustness_on_box as robustness_on_box
    from milp_lth.certificates.optimality import OptimalityCertificate as OptimalityCertificate
    from milp_lth.certificates.optimality import certify_optimality as certify_optimality
    from milp_lth.certificates.propagation import PropagatedBound as PropagatedBound
    from milp_lth.certificates.propagation import propagated_bound as propagated_bound
    from milp_lth.certificates.weight_errors import LayerErrors as LayerErrors
    from milp_lth.certificates.worst_case import WorstCase as WorstCase
    from milp_lth.certificates.worst_case import worst_case as worst_case
    from milp_lth.cluster import open_cluster as open_cluster
    from milp_lth.constructions.registry import list_constructions as list_constructions
    from milp_lth.constructions.theorem import Theorem as Theorem
    from milp_lth.coupled import DataAware as DataAware
    from milp_lth.coupled import EdgeLimit as EdgeLimit
    from milp_lth.evaluation import Evaluation as Evaluation
    from milp_lth.evaluation import evaluate as evaluate
    from milp_lth.explain.layer import LayerExplained as LayerExplained
    from milp_lth.explain.layer import explain_layer as explain_layer
    from milp_lth.explain.neuron import NeuronExplained as NeuronExplained
    from milp_lth.explain.neuron import explain_neuron as explain_neuron
    from milp_lth.explain.weight import WeightExplained as WeightExplained
    from milp_lth.explain.weight import explain_weight as explain_weight
    from milp_lth.finding import find_ticket as find_ticket
    from milp_lth.quantising import quantise as quantise
    from milp_lth.reduction import Reduction as Reduction
    from milp_lth.reduction import reduce as reduce
    from milp_lth.report.style import plot_style as plot_style
    from milp_lth.rivals.biprop import biprop as biprop
    from milp_lth.rivals.connectivity import Barrier as Barrier
    from milp_lth.rivals.connectivity import Instability as Instability
    from milp_lth.rivals.connectivity import TicketBarriers as TicketBarriers
    from milp_lth.rivals.connectivity import error_barrier as error_barrier
    from milp_lth.rivals.connectivity import instability as instability
    from milp_lth.rivals.connectivity import ticket_barriers as ticket_barriers
    from milp_lth.rivals.early_bird import early_bird as early_bird
    from milp_lth.rivals.edge_popup import edge_popup as edge_popup
    from milp_lth.rivals.elastic import elastic as elastic
    from milp_lth.rivals.floor import magnitude as magnitude
    from milp_lth.rivals.floor import random_pruning as random_pruning
    from milp_lth.rivals.found import Found as Found
    from milp_lth.rivals.greedy import Gap as Gap
    from milp_lth.rivals.greedy import greedy_selection as greedy_selection
    from milp_lth.rivals.greedy import optimality_gap as optimality_gap
    from milp_lth.rivals.mcnemar import paired_difference as paired_difference
    from milp_lth.rivals.phew import phew as phew
    from milp_lth.rivals.random_network import Shape as Shape
    from milp_lth.rivals.random_network import random_network as random_network
    from milp_lth.rivals.rewinding import imp as imp
    from milp_lth.rivals.supermask import supermask as supermask
    from milp_lth.rivals.task import Task as Task
    from milp_lth.rivals.task import load_task as load_task
    from milp_lth.rivals.tickets import subset_sum_ticket as subset_sum_ticket
    from milp_lth.rivals.transformer import TransformerShape as TransformerShape
    from milp_lth.sharded_ticket import ShardedTicket as ShardedTicket
    from milp_lth.shared_units import PrunedUnits as PrunedUnits
    from milp_lth.shared_units import prune_units as prune_units
    from milp_lth.source import Source as Source
    from milp_lth.targets.files import load_target as load_target
    from milp_lth.targets.named import load_named_target as load_named_target
    from milp_lth.targets.onnx_export import save_onnx as save_onnx
    from milp_lth.theory.bounds import Bound as Bound
    from milp_lth.theory.bounds import Bounds as Bounds
    from milp_lth.theory.bounds import Width as Width
    from milp_lth.theory.bounds import bounds as bounds
    from milp_lth.theory.constants import Constant as Constant
    from milp_lth.theory.constants import load_constants as load_constants
    from milp_lth.theory.laws import RandomSums as RandomSums
    from milp_lth.theory.median_error import median_error as median_error
    from milp_lth.ticket import Ticket as Ticket
    from milp_lth.ticket_files import load_ticket as load_ticket
    from milp_lth.ticket_files import save_ticket as save_ticket
    from milp_lth.verification import check_run as check_run
    from solvers.exact.count_solutions import count_solutions as count_solutions
    from solvers.heuristic.golden_ratio import guaranteed_error as guaranteed_error
    from solvers.registry import available_solvers as available_solvers
    from solvers.registry import get_solver as get_solver
    from solvers.select import select as select
    from solvers.solution import Solution as Solution
    from solvers.solution import Status as Status
    from solvers.solve import solve as solve
    from solvers.solver import Proposal as Proposal
    from solvers.solver import Solver as Solver

_PLACES = {
    "instances.arbitrary_source": "ArbitrarySource",
    "instances.distributions": "Distribution",
    "instances.edge_budget": "EdgeBudget",
    "instances.files": "load_instance save_instance",
    "instances.generate": "hyperbolic_family normal_family planted_family product_family "
    "uniform_family",
    "instances.instance": "Instance",
    "instances.knapsack": "read_knapsack",
    "instances.library": "known_optima list_sets load_set",
    "instances.lp": "to_lp",
    "instances.milp": "MILP",
    "instances.mps": "from_mps to_mps",
    "instances.neuron_selection": "NeuronSelection",
    "instances.neurons": "Neurons",
    "instances.objectives": "Closest FixedSize Sparsest",
    "instances.perturbed": "PerturbedSubsetSum",
    "instances.shared_units": "SharedUnits",
    "instances.subset_sum": "SubsetSum",
    "instances.valued_knapsack": "ValuedKnapsack",
    "milp_lth.assembly": "assemble",
    "milp_lth.certificates.certifying": "certify_run",
    "milp_lth.certificates.classes": "BoxAnswer agreement_on_box robustness_on_box",
    "milp_lth.certificates.optimality": "OptimalityCertificate certify_optimality",
    "milp_lth.certificates.propagation": "PropagatedBound propagated_bound",
    "milp_lth.certificates.weight_errors": "LayerErrors",
    "milp_lth.certificates.worst_case": "WorstCase worst_case",
    "milp_lth.cluster": "open_cluster",
    "milp_lth.constructions.registry": "list_constructions",
    "milp_lth.constructions.theorem": "Theorem",
    "milp_lth.coupled": "DataAware EdgeLimit",
    "milp_lth.evaluation": "Evaluation evaluate",
    "milp_lth.explain.layer": "LayerExplained explain_layer",
    "milp_lth.explain.neuron": "NeuronExplained explain_neuron",
    "milp_lth.explain.weight": "WeightExplained explain_weight",
    "milp_lth.finding": "find_ticket",
    "milp_lth.quantising": "quantise",
    "milp_lth.reduction": "Reduction reduce",
    "milp_lth.report.style": "plot_style",
    "milp_lth.rivals.biprop": "biprop",
    "milp_lth.rivals.connectivity": "Barrier Instability TicketBarriers error_barrier instability "
    "ticket_barriers",
    "milp_lth.rivals.early_bird": "early_bird",
    "milp_lth.rivals.edge_popup": "edge_popup",
    "milp_lth.rivals.elastic": "elastic",
    "milp_lth.rivals.floor": "magnitude random_pruning",
    "milp_lth.rivals.found": "Found",
    "milp_lth.rivals.greedy": "Gap greedy_selection optimality_gap",
    "milp_lth.rivals.mcnemar": "paired_difference",
    "milp_lth.rivals.phew": "phew",
    "milp_lth.rivals.random_network": "Shape random_network",
    "milp_lth.rivals.rewinding": "imp",
    "milp_lth.rivals.supermask": "supermask",
    "milp_lth.rivals.task": "Task load_task",
    "milp_lth.rivals.tickets": "subset_sum_ticket",
    "milp_lth.rivals.transformer": "TransformerShape",
    "milp_lth.sharded_ticket": "ShardedTicket",
    "milp_lth.shared_units": "PrunedUnits prune_units",
    "milp_lth.source": "Source",
    "milp_lth.targets.files": "load_target",
    "milp_lth.targets.named": "load_named_target",
    "milp_lth.targets.onnx_export": "save_onnx",
    "milp_lth.theory.bounds": "Bound Bounds Width bounds",
    "milp_lth.theory.constants": "Constant load_constants",
    "milp_lth.theory.laws": "RandomSums",
    "milp_lth.theory.median_error": "median_error",
    "milp_lth.ticket": "Ticket",
    "milp_lth.ticket_files": "load_ticket save_ticket",
    "milp_lth.verification": "check_run",
    "solvers.exact.count_solutions": "count_solutions",
    "solvers.heuristic.golden_ratio": "guaranteed_error",
    "solvers.registry": "available_solvers get_solver",
    "solvers.select": "select",
    "solvers.solution": "Solution Status",
    "solvers.solve": "solve",
    "solvers.solver": "Proposal Solver",
}
_PLACE_OF = {name: place for place, names in _PLACES.items() for name in names.split()}

__all__ = [*sorted(_PLACE_OF), "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _PLACE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_PLACE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACE_OF})


def _check_neighbours() -> None:
    """Make sure that `instances` and `solvers` are ours: their names are generic."""
    home = Path(__file__).resolve().parents[1]  # files may be links: those of a strict installation
    for name in ("instances", "solvers"):
        spec = find_spec(name)
        places = [] if spec is None else [spec.origin, *(spec.submodule_search_locations or [])]
        found = next((Path(place) for place in places if place), None)
        if found is None or found.resolve() != home / name / "__init__.py":
            raise ImportError(
                f"milp_lth needs its own package {name!r} from {home / name}, but Python finds "
                f"{found or 'none'}: rename that one, or take its folder off the search path"
            )


_check_neighbours()
