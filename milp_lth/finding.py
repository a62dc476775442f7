"""The whole way in one call."""

import math
from concurrent.futures import Executor

import torch
from torch import nn

from instances.objectives import Objective
from milp_lth.assembly import assemble
from milp_lth.coupled import Coupling, DataAware, EdgeLimit
from milp_lth.coupled_solving import coupled_masks
from milp_lth.network import read_network
from milp_lth.reduction import BOTH_SIGNS, reduce
from milp_lth.solving import solve_masks
from milp_lth.source import Source
from milp_lth.ticket import Ticket
from solvers.registry import get_solver
from solvers.solver import Solver


def find_ticket(
    target: nn.Module,
    *,
    seed: int = 0,
    width: int | tuple[int, ...] | None = None,
    construction: str = "two-layer",
    source: Source | None = None,
    assignment: str = "matched",
    objective: Objective | Coupling | None = None,
    calibration: torch.Tensor | None = None,
    input_range: tuple[float, float] = BOTH_SIGNS,
    solver: Solver | str | None = None,
    time_limit: float = math.inf,
    executor: Executor | None = None,
    strict: bool = False,
    products: bool = False,
) -> Ticket:
    """Approximate `target` by only pruning a random network.

    Parameters
    ----------
    target
        Any module. Linear, Conv1d, Conv2d and Embedding become random layers; RNN, GRU, LSTM,
        MultiheadAttention and transformers are rebuilt of Linear first, a BatchNorm goes into the
        layer before it; what is left dense stands in ``ticket.settings.body.dense``.
    seed, width, construction
        What the random network is drawn from, see `milp_lth.Source`.
    source
        The same, in place of these three: with a distribution, redraws, and whatever else belongs
        to a construction.
    assignment, objective, input_range
        How it is pruned, see `milp_lth.reduce`; or what couples its weights: `milp_lth.EdgeLimit`
        or `milp_lth.DataAware`. Declare ``input_range=(0, 1)`` for inputs that are
        never negative: half of the edges are then not needed.
    calibration
        Inputs that a data-aware ticket is fitted to, as the target takes them.
    solver, time_limit
        Who decides, and in how many seconds, see `milp_lth.solve`; None: who belongs to the
        construction, or what `milp_lth.select` chooses.
    executor
        Where weights are solved: any executor of `concurrent.futures`, or of a Dask cluster,
        `milp_lth.open_cluster`; None: here. Nothing to weights that are coupled.
    strict
        Refuse a target of which a matrix would be left dense.
    products
        Approximate the products of attention's matrices, query·key and value·output, instead of
        each matrix: two random factors without a ReLU between.

    Returns
    -------
    Ticket
        A frozen module with the target's forward signature.

    Raises
    ------
    ValueError
        When the target cannot be read, or an argument is out of range.

    Examples
    --------
    >>> import torch
    >>> target = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    >>> ticket = find_ticket(target)
    >>> x = torch.randn(100, 4)
    >>> (ticket(x) - target(x)).abs().max().item() < 0.01
    True
    """
    source = source or Source(seed=seed, width=width, construction=construction)
    coupling = objective if isinstance(objective, EdgeLimit | DataAware) else None
    reduction = reduce(
        read_network(target, strict=strict, products=products),
        source,
        assignment=assignment,
        objective=None if isinstance(objective, EdgeLimit | DataAware) else objective,
        input_range=input_range,
    )
    if coupling is not None:
        decides = get_solver(solver) if isinstance(solver, str) else solver
        return assemble(
            reduction,
            coupled_masks(reduction, coupling, calibration, decides, time_limit=time_limit),
        )
    if solver is None:
        solver = source.registered.solver_for(reduction.objective.name)
    masks = solve_masks(reduction, solver, time_limit=time_limit, executor=executor)
    return assemble(reduction, masks)
