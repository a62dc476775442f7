"""Tickets whose weights share hidden units: what is reported is what they keep."""

import numpy as np
import pytest
import torch

from milp_lth import Source, assemble, evaluate, reduce
from milp_lth.reduction import Reduction
from milp_lth.shared_units import prune_units, shared_units
from milp_lth.solving import solve_masks
from milp_lth.targets.data import Data


@pytest.fixture(scope="module")
def reduction(digits: tuple[torch.nn.Module, Data]) -> Reduction:
    return reduce(digits[0], Source(width=14), input_range=digits[1].input_range)


@pytest.mark.parametrize("solver", [None, "shared-units"])
def test_digits(
    reduction: Reduction, digits: tuple[torch.nn.Module, Data], solver: str | None
) -> None:
    target, data = digits
    tolerance = 0.1
    pruned = prune_units(reduction, tolerance, solver=solver)
    ticket = assemble(reduction, pruned.masks)
    assert ticket.edges()["kept_u"] == pruned.total("num_units")
    assert ticket.edges()["kept_v"] == pruned.total("edges")
    assert pruned.total("bound") <= pruned.total("num_units") <= 0.7 * pruned.total("num_alone")
    if solver is None:
        assert pruned.total("bound") == pruned.total("num_units")
    missed = 0
    for part, mask in zip(reduction.parts, pruned.masks, strict=True):
        missed += int((part.instance().judge(mask).error > tolerance).sum())
    assert missed == pruned.total("num_missed") <= 30
    assert evaluate(ticket, target, data.x, data.y).agreement > 0.95


def test_blocks_hold_the_layer_s_weights() -> None:
    torch.manual_seed(0)
    target = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    reduction = reduce(target, Source(width=16, seed=3))
    for part in reduction.parts:
        blocks, rows = shared_units(part, 0.1), part.instance()
        num_inputs = part.half.num_inputs
        assert blocks.shape == (num_inputs, part.layer.drawn.num_outputs, part.shape[1])
        for i in range(num_inputs):
            assert (blocks.targets[i] == rows.targets[i::num_inputs]).all()
            assert (blocks.coefficients[i] == rows.coefficients[i::num_inputs]).all()
            if rows.available is not None:
                assert (blocks.usable()[i] == rows.available[i::num_inputs]).all()


def test_weights_out_of_reach_get_the_closest() -> None:
    torch.manual_seed(0)
    target = torch.nn.Linear(2, 3, bias=False)
    reduction = reduce(target, Source(width=2))
    pruned = prune_units(reduction, 1e-6)
    assert pruned.total("num_missed") == sum(map(len, reduction.parts))
    for mask, closest in zip(pruned.masks, solve_masks(reduction), strict=True):
        assert (mask == closest).all()


def test_a_solver_out_of_time_claims_no_more_than_it_proved() -> None:
    torch.manual_seed(2)
    reduction = reduce(torch.nn.Linear(3, 8, bias=False), Source(width=20), input_range=(0, 1))
    pruned = prune_units(reduction, 0.02, solver="scip", time_limit=0.5)
    best = prune_units(reduction, 0.02)
    assert best.total("num_missed") == 0
    assert pruned.total("bound") <= best.total("num_units") == best.total("bound")
    assert best.total("num_units") <= pruned.total("num_units") <= pruned.total("num_alone")


def test_both_halves_are_pruned() -> None:
    torch.manual_seed(1)
    target = torch.nn.Linear(3, 4)
    reduction = reduce(target, Source(width=24))
    pruned = prune_units(reduction, 0.1)
    assert [part.name for part in pruned.parts] == [part.name for part in reduction.parts]
    assert len(pruned.parts) == 2
    ticket = assemble(reduction, pruned.masks)
    assert ticket.edges()["kept_u"] == pruned.total("num_units") < pruned.total("num_drawn")
    assert all(np.asarray(mask).dtype == np.bool_ for mask in pruned.masks)


def test_only_hidden_units_can_be_shared() -> None:
    reduction = reduce(torch.nn.Linear(2, 2), Source(construction="direct", width=4))
    with pytest.raises(ValueError, match="two-layer"):
        prune_units(reduction, 0.1)
