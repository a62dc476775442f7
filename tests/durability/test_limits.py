"""Limits of time and memory, and Ctrl-C, where the work would go on for ever.

Time limits on `SubsetSum` problems, and those of the solvers that one problem class has for itself,
are tested with the solvers. `make durability` tries every solver on every class.
"""

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from launching import Warm, start
from outsized import Outsized

from instances.arbitrary_source import ArbitrarySource
from instances.edge_budget import EdgeBudget
from instances.files import save_instance
from instances.generate import uniform_family
from instances.instance import Instance
from instances.neuron_selection import NeuronSelection
from instances.neurons import Neurons
from instances.objectives import FixedSize, Sparsest
from instances.perturbed import PerturbedSubsetSum
from instances.shared_units import SharedUnits
from instances.subset_sum import SubsetSum
from instances.valued_knapsack import ValuedKnapsack
from solvers.registry import available_solvers, get_solver
from solvers.solve import solve
from solvers.worker import OutOfMemoryError, Worker

EVERY = "MILP_LTH_DURABILITY" in os.environ


def uniform(*shape: int) -> Any:
    return np.random.default_rng(sum(shape)).uniform(-1, 1, shape)


def _neurons(norm: float) -> Instance:
    return Neurons(np.abs(uniform(200, 40)), uniform(3, 40, 6), uniform(3, 40) / 2, norm)


def _source() -> Instance:
    layers = (uniform(6, 14, 3), uniform(6, 10, 14), uniform(6, 1, 10))
    return ArbitrarySource(layers, uniform(8, 3), uniform(8, 1))


def _knapsacks() -> Instance:
    rng = np.random.default_rng(0)
    weights = rng.integers(10**6, 10**7, (50, 200))
    return ValuedKnapsack(rng.uniform(0, 1, (50, 200)), weights, weights.sum(axis=1) // 4)


HARD: dict[str, Callable[[], Instance]] = {
    "neurons in norm 1": partial(_neurons, 1.0),
    "neurons in norm 2": partial(_neurons, 2.0),
    "neurons in norm inf": partial(_neurons, np.inf),
    "edge budget": lambda: EdgeBudget(uniform(3, 400, 24), uniform(3, 400), 2000),
    "edge budget, rms": lambda: EdgeBudget(uniform(3, 400, 24), uniform(3, 400), 2000, None, "rms"),
    "knapsacks": _knapsacks,
    "perturbed": lambda: PerturbedSubsetSum(
        uniform(400, 24), uniform(400), np.abs(uniform(24, 400).T) / 1000
    ),
    "arbitrary source": _source,
    "shared units": lambda: SharedUnits(uniform(60, 32, 28), uniform(60, 32), 0.05),
    "selection": lambda: NeuronSelection(uniform(1, 60, 200), 12),
    "subset sum": lambda: uniform_family(4000, 40),
    "one large subset sum": lambda: uniform_family(1, 2000),
    "sparsest": lambda: SubsetSum(uniform(3000, 48), uniform(3000), Sparsest(1e-9)),
    "fixed size": lambda: SubsetSum(uniform(2000, 46), uniform(2000), FixedSize(20)),
}
"""Problems that hardly anybody finishes in time."""

UNTESTED_ELSEWHERE = [
    ("cp-sat", "neurons in norm 1"), ("cbc", "knapsacks"), ("scip", "edge budget, rms"),
    ("highs", "neurons in norm inf"), ("perturbed", "perturbed"),
]  # fmt: skip
ALL = [
    (name, problem)
    for problem in HARD
    for name in available_solvers()
    if EVERY and get_solver(name).supports(HARD[problem]())
]


@pytest.mark.parametrize(("name", "problem"), ALL or UNTESTED_ELSEWHERE)
def test_time_limits_hold(name: str, problem: str) -> None:
    instance, limit = HARD[problem](), 2.0 if EVERY else 0.3
    began = time.monotonic()
    solution = solve(instance, name, time_limit=limit)
    elapsed = time.monotonic() - began - solution.stats["start_seconds"]
    assert elapsed <= 1.1 * limit + 1.0 + 0.2  # 0.2: of the judge
    assert solution.mask.shape == (len(instance), instance.num_candidates)


def children(*, dead: bool) -> set[int]:
    """Return this process's children: those that ended and were not waited for, or the living."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(parent) == os.getpid() and (state == "Z") == dead:
            found.add(int(path.parent.name))
    return found


def commands() -> list[str]:
    """Return what all processes were started as."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("hogs", [True, False])
def test_what_a_solver_started_counts_and_ends_with_it(hogs: bool) -> None:
    """A child of the worker's is over the limit of memory, or of time; nobody stays behind."""
    before, dead = children(dead=False), children(dead=True)
    worker = Worker(memory_limit=400 * 2**20)
    began = time.monotonic()
    try:
        if hogs:
            with pytest.raises(OutOfMemoryError, match="more memory than it may"):
                worker.propose(Outsized(hogs), uniform_family(3, 8), 60.0)
            assert time.monotonic() - began < 30
        else:
            found = worker.propose(Outsized(hogs), uniform_family(3, 8), 0.5)
            assert found.stats["killed"] == 1
    finally:
        worker.kill()
    assert children(dead=False) == before
    assert children(dead=True) == dead
    assert not [line for line in commands() if "hoard.append" in line or "sleep(1000)" in line]


NEVER_ENDING = {
    "solve": "solve hard.npz --solver cp-sat --time-limit 600",
    "solve, any time": "solve hard.npz --solver cp-sat",
    "compare": "compare --instances hard.npz --solvers cp-sat --time-limit 600 --out out",
    "run": "run --target wine-mlp --construction direct --width 60 --solver cp-sat --out out",
}


@pytest.mark.parametrize("name", NEVER_ENDING if EVERY else ["run"])
def test_ctrl_c_twice_ends_at_once_what_would_never_end(
    name: str, tmp_path: Path, warm: Warm
) -> None:
    save_instance(uniform_family(3, 60), tmp_path / "hard.npz")
    started = start(NEVER_ENDING[name].split(), tmp_path, warm=warm)
    deadline = time.monotonic() + 60
    while not started.descendants():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(1.0)
    started.interrupt()
    if "out" in NEVER_ENDING[name]:
        time.sleep(0.5)
        assert started.poll() is None
        assert "finishing this chunk; Ctrl-C again stops at once" in started.said()
        started.interrupt()
    began = time.monotonic()
    assert started.wait() == 130
    assert time.monotonic() - began < 10  # some two seconds, where nothing else is at work
    assert started.said().endswith("milp-lth: interrupted\n")
    assert "Traceback" not in started.said()
    assert started.left_behind() == []
