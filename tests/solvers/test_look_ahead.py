"""Rows made ready beside: in which order, and that masks do not depend on it; here on the CPU."""

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from instances.generate import normal_family, uniform_family
from instances.objectives import FixedSize, Sparsest
from instances.subset_sum import SubsetSum
from solvers.heuristic import chunks, rows
from solvers.heuristic.look_ahead import LookAhead
from solvers.heuristic.rows import Rows
from solvers.registry import get_solver

torch = pytest.importorskip("torch")

CPU = torch.device("cpu")
HEURISTICS = ["greedy", "swaps", "beam", "tabu", "differencing"]


class Side:
    """In the place of a stream: records what is done on it, and when its rows are handed over."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.inside = False

    @contextmanager
    def running(self) -> Iterator[None]:
        self.inside = True
        yield
        self.inside = False

    def hand_over(self, part: Rows) -> None:
        assert not self.inside
        self.events.append(f"take {len(part)}")


@pytest.fixture
def side(monkeypatch: pytest.MonkeyPatch) -> Side:
    """Let chunks of four rows be made ready beside."""
    side, load = Side(), Rows.load

    def loaded(part: SubsetSum, device: torch.device) -> Rows:
        side.events.append(f"load {len(part)}{'' if side.inside else ' here'}")
        return load(part, device)

    monkeypatch.setattr(chunks, "side_stream", lambda device: side)
    monkeypatch.setattr(chunks, "rows_at_once", lambda numbers, device: 4)
    monkeypatch.setattr(Rows, "load", loaded)
    return side


def test_the_next_rows_are_begun_before_those_at_hand_are_worked_on(side: Side) -> None:
    def masks(part: Rows, start: object, deadline: float) -> torch.Tensor:
        side.events.append(f"work {len(part)}")
        return torch.zeros_like(part.free)

    instance = uniform_family(10, 5)
    chunks.propose_in_chunks(instance, np.inf, masks, device="cpu", numbers_per_row=1)
    assert side.events == [
        "load 4", "take 4", "load 4", "work 4", "take 4", "load 2", "work 4", "take 2", "work 2",
    ]  # fmt: skip


@pytest.mark.parametrize("name", HEURISTICS)
def test_masks_do_not_depend_on_it(name: str, side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    solver = get_solver(name, device="cpu")
    whole = [uniform_family(11, 14, seed=2), normal_family(9, 12, objective=FixedSize(3))]
    whole.append(
        SubsetSum(whole[0].coefficients, whole[0].targets, Sparsest(0.05),
                  np.random.default_rng(0).random((11, 14)) < 0.7)
    )  # fmt: skip
    for instance in whole:
        beside = solver.propose(instance, np.inf).mask
        assert any(event.startswith("take") for event in side.events)
        with monkeypatch.context() as alone:
            alone.setattr(chunks, "side_stream", lambda device: None)
            expected = solver.propose(instance, np.inf).mask
            alone.setattr(rows, "DRAW_ON", ("cpu",))
            drawn = solver.propose(instance, np.inf).mask
        assert (beside == expected).all()
        assert (drawn == expected).all()


def test_only_devices_that_have_to_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    draw = rows.draw

    def counted(recipe, num_rows, device):  # type: ignore[no-untyped-def]
        drawn.append(num_rows)
        return draw(recipe, num_rows, device)

    monkeypatch.setattr(rows, "draw", counted)
    instance = uniform_family(6, 5)
    here = Rows.load(instance, CPU)
    assert drawn == []
    monkeypatch.setattr(rows, "DRAW_ON", ("cpu",))
    there = Rows.load(instance.part(2, 6), CPU)
    Rows.load(SubsetSum(instance.coefficients, instance.targets), CPU)
    assert drawn == [4]
    assert torch.equal(there.a, here.a[2:])
    assert torch.equal(there.unit, here.unit[2:])


@pytest.mark.parametrize("ahead", [False, True])
def test_rows_that_do_not_fit_beside_others_are_halved(
    ahead: bool, side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too little memory for the rows at hand, or for the next ones as well."""
    instance = uniform_family(10, 8)
    expected = get_solver("greedy", device="cpu").propose(instance, np.inf).mask
    load = Rows.load
    held: list[int] = []

    def crowded(part: SubsetSum, device: torch.device) -> Rows:
        held.append(len(part))
        if len(part) > 3 and (not ahead or len(held) == 2):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return load(part, device)

    monkeypatch.setattr(Rows, "load", crowded)
    found = get_solver("greedy", device="cpu").propose(instance, np.inf).mask
    assert (found == expected).all()
    assert held == ([4, 4] if ahead else [4]) + [2, 2, 2, 2, 2]


def test_the_clock_ends_it_and_what_was_begun_is_dropped(
    side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "monotonic", itertools.count().__next__)  # each look takes a second
    proposal = get_solver("greedy", device="cpu").propose(uniform_family(40, 6), 4.5)
    assert proposal.reported.status[0] == "done"
    assert (proposal.reported.status[12:] == "").all()
    assert side.events[-1] == "load 4"


def test_rows_are_those_that_are_asked_for() -> None:
    """Whatever was prepared."""
    instance = uniform_family(12, 5)
    side = Side()
    look = LookAhead(instance, CPU, side)  # type: ignore[arg-type]
    for prepared, wanted in (((0, 4), (0, 4)), ((4, 8), (4, 6)), ((6, 99), (6, 12))):
        look.prepare(*prepared)
        taken = look.take(*wanted)
        expected = torch.tensor(instance.coefficients[slice(*wanted)])
        assert torch.equal(taken.a, expected)
    look.prepare(12, 16)
    look.prepare(0, 4)
    look.forget()
    assert len(look.take(3, 5)) == 2


def test_streams_of_a_device_give_the_same_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    instance = uniform_family(5000, 21)
    copy = SubsetSum(instance.coefficients, instance.targets)
    for name in HEURISTICS:
        solver = get_solver(name, device="cuda")
        expected = solver.propose(copy, np.inf).mask
        with monkeypatch.context() as small:
            small.setattr(chunks, "_CUDA_NUMBERS", 1 << 18)
            assert (solver.propose(instance, np.inf).mask == expected).all()
            assert (solver.propose(copy, np.inf).mask == expected).all()
