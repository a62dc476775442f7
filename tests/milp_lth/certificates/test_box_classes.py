"""Classes in boxes: what is proved has no counterexample, and counterexamples are true ones."""

import numpy as np
import pytest
import torch
from by_fractions import class_of, network, outputs
from torch import nn

from instances.arrays import FloatArray
from milp_lth import find_ticket
from milp_lth.certificates.ascent import Ascent
from milp_lth.certificates.classes import (
    PROVED,
    REFUTED,
    UNDECIDED,
    BoxAnswer,
    agreement_on_box,
    robustness_on_box,
)
from milp_lth.network import read_network
from milp_lth.targets.data import Data
from milp_lth.ticket import Ticket


@pytest.fixture(scope="module")
def both(digits: tuple[nn.Module, Data]) -> tuple[nn.Module, Ticket, FloatArray]:
    module, data = digits
    ticket = find_ticket(module, width=24, input_range=(0, 1))
    return module, ticket, data.x[:4].double().numpy()


def box(x: FloatArray, radius: float, low: float, high: float) -> tuple[FloatArray, FloatArray]:
    return np.maximum(low, x - radius), np.minimum(high, x + radius)


def sampled_classes(
    module: nn.Module, ticket: Ticket, ends: tuple[FloatArray, FloatArray]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The classes of 100,000 inputs of a box, half of them corners."""
    draws = np.random.default_rng(0).random((100_000, len(ends[0])))
    draws[::2] = draws[::2] < 0.5
    x = torch.from_numpy(ends[0] + draws * (ends[1] - ends[0]))
    own = read_network(module).module().double()(x)
    folded = ticket.fold().double()(x)
    return own.argmax(dim=1), folded.argmax(dim=1)


def check_refuted(
    found: BoxAnswer,
    module: nn.Module,
    ticket: Ticket,
    ends: tuple[FloatArray, FloatArray],
) -> None:
    assert found.status == REFUTED
    assert found.counterexample is not None
    assert (ends[0] <= found.counterexample).all()
    assert (found.counterexample <= ends[1]).all()
    one, two = map(class_of, outputs(module, ticket, found.counterexample))
    assert (one, two) == found.classes
    assert one != two
    assert None not in (one, two)


def test_small_boxes_agree_and_large_ones_do_not(
    both: tuple[nn.Module, Ticket, FloatArray],
) -> None:
    module, ticket, inputs = both
    statuses = []
    for k, x in enumerate(inputs):
        for radius in (0.01, 0.05, 0.3):
            found = agreement_on_box(module, ticket, x, radius)
            statuses.append((radius, found.status))
            ends = box(x, radius, 0, 1)
            if found.status == REFUTED:
                check_refuted(found, module, ticket, ends)
            elif found.status == PROVED and k < 2:
                assert found.counterexample is None
                one, two = sampled_classes(module, ticket, ends)
                assert (one == one[0]).all()
                assert (two == one[0]).all()
    assert statuses.count((0.01, PROVED)) >= 3
    assert statuses.count((0.3, REFUTED)) == 4


def test_over_the_whole_domain_some_input_changes_class(
    both: tuple[nn.Module, Ticket, FloatArray],
) -> None:
    module, ticket, inputs = both
    ends = np.zeros(64), np.ones(64)
    check_refuted(agreement_on_box(module, ticket), module, ticket, ends)
    check_refuted(agreement_on_box(module, ticket, inputs[0]), module, ticket, ends)


def test_robustness_of_the_ticket_alone(both: tuple[nn.Module, Ticket, FloatArray]) -> None:
    module, ticket, inputs = both
    for x in inputs[:2]:
        own = class_of(outputs(module, ticket, x)[1])
        small, large = (robustness_on_box(ticket, x, radius) for radius in (0.005, 0.3))
        assert small.status == PROVED
        _, classes = sampled_classes(module, ticket, box(x, 0.005, 0, 1))
        assert classes.eq(own or 0).all()
        assert large.status == REFUTED
        assert large.counterexample is not None
        ends = box(x, 0.3, 0, 1)
        assert (np.clip(large.counterexample, *ends) == large.counterexample).all()
        found = class_of(outputs(module, ticket, large.counterexample)[1])
        assert large.classes == (own, found)
        assert own != found


def largest_proved(module: nn.Module, ticket: Ticket, x: FloatArray, time_limit: float) -> float:
    """Halve radii down to where agreement is proved; at every one the answer is consistent."""
    low, high = 0.0, 2.0
    for _ in range(12):
        radius = (low + high) / 2
        found = agreement_on_box(module, ticket, x, radius, time_limit=time_limit)
        low, high = (radius, high) if found.status == PROVED else (low, radius)
    return low


def test_branching_proves_what_bounds_do_not() -> None:
    module = network(4, 8, 3, seed=3)
    ticket = find_ticket(module)
    x = np.array([0.1, -0.2, 0.3, 0.0])
    bounds, branching = (largest_proved(module, ticket, x, limit) for limit in (0.0, 10.0))
    assert 0 < bounds < branching
    radius = (bounds + branching) / 2
    found = agreement_on_box(module, ticket, x, radius)
    assert found.status == PROVED
    assert found.num_nodes > 0
    one, two = sampled_classes(module, ticket, box(x, radius, -1, 1))
    assert (one == one[0]).all()
    assert (two == one[0]).all()
    assert agreement_on_box(module, ticket, x, radius, time_limit=0.0).status == UNDECIDED
    beyond = agreement_on_box(module, ticket, x, branching + 1e-3)
    check_refuted(beyond, module, ticket, box(x, branching + 1e-3, -1, 1))


def first_change(classes: torch.Tensor, distance: FloatArray) -> float:
    """Return the smallest distance at which a class is not that of distance 0."""
    other = classes.ne(classes[int(distance.argmin())]).numpy()
    return float(distance[other].min(initial=np.inf))


def test_both_networks_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rough ticket changes its class before the target does; branching alone finds where.

    The smallest radius at which one of them changes is known from a fine grid of two inputs.
    """
    module = network(2, 6, 3, seed=1)
    ticket = find_ticket(module, width=4)
    sides = np.linspace(-1, 1, 801)
    grid = np.stack(np.meshgrid(sides, sides), axis=-1).reshape(-1, 2)
    own, theirs = (
        net.double()(torch.from_numpy(grid)).argmax(dim=1)
        for net in (read_network(module).module(), ticket.fold())
    )
    monkeypatch.setattr(
        "milp_lth.certificates.classes.ascend",
        lambda pair, ends, on_target, *others, **options: Ascent(
            np.full(len(on_target), -np.inf), np.tile(ends[0], (len(on_target), 1))
        ),
    )
    tried = 0
    for x in np.random.default_rng(0).choice(grid, 200):
        distance = np.abs(grid - x).max(axis=1)
        here = int(distance.argmin())
        first, second = first_change(own, distance), first_change(theirs, distance)
        if own[here] != theirs[here] or min(first, second) < 0.02 or abs(first - second) < 0.02:
            continue
        radius = min(first, second)
        assert agreement_on_box(module, ticket, x, radius - 0.01).status == PROVED
        beyond = agreement_on_box(module, ticket, x, radius + 0.01)
        check_refuted(beyond, module, ticket, box(x, radius + 0.01, -1, 1))
        assert robustness_on_box(ticket, x, second - 0.01).status == PROVED
        assert robustness_on_box(ticket, x, second + 0.01).status == REFUTED
        tried += 1
        if tried == 6:
            break
    assert tried == 6


def test_one_output_is_a_class_by_its_sign() -> None:
    module = network(3, 5, 1)
    with torch.no_grad():
        middle = module(torch.zeros(1, 3)).item()
        module[2].bias -= middle + 0.01
    ticket = find_ticket(module)
    near, far = (agreement_on_box(module, ticket, np.zeros(3), r) for r in (0.001, 1.0))
    assert near.status == PROVED
    check_refuted(far, module, ticket, (-np.ones(3), np.ones(3)))
    assert sorted(far.classes or ()) == [0, 1]


def test_a_ticket_that_is_wrong_at_the_centre_is_refuted_there() -> None:
    module = network(3, 4, 2)
    ticket = find_ticket(module, width=2)
    draws = np.random.default_rng(0).uniform(-1, 1, size=(4000, 3))
    wrong = torch.from_numpy(draws)
    own, theirs = read_network(module).module().double(), ticket.fold().double()
    differs = own(wrong).argmax(dim=1).ne(theirs(wrong).argmax(dim=1))
    x = draws[int(differs.nonzero()[0])]
    found = agreement_on_box(module, ticket, x, 0.0)
    check_refuted(found, module, ticket, (x, x))
    assert found.classes == tuple(map(class_of, outputs(module, ticket, x)))


def test_boxes_that_are_none_are_refused(both: tuple[nn.Module, Ticket, FloatArray]) -> None:
    module, ticket, inputs = both
    with pytest.raises(ValueError, match="give 64 numbers"):
        agreement_on_box(module, ticket, inputs[0][:9], 0.1)
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        agreement_on_box(module, ticket, inputs[0] - 1, 0.1)
    with pytest.raises(ValueError, match="from 0 on"):
        robustness_on_box(ticket, inputs[0], -0.1)
