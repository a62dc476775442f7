"""A comparison: every solver on every row with every seed, in a folder that can be continued."""

import os
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from instances.subset_sum import SubsetSum
from milp_lth.compare.measuring import UNSUPPORTED, Run, measure, not_supported, rows_per_second
from milp_lth.compare.problems import STANDARD, Problem, load_problems
from milp_lth.compare.store import FILE, Store
from milp_lth.environment import environment
from milp_lth.folders import alone_in, is_free
from solvers.registry import REGISTRY, available_solvers, get_solver
from solvers.solver import Solver
from solvers.worker import Worker

OnRun = Callable[[int, int], None]
"""Called with the runs done and the runs in all."""


@dataclass(frozen=True)
class Asked:
    """What is compared.

    Parameters
    ----------
    instances
        Library sets or files; never mixed in one table where their tasks differ.
    solvers
        Names; empty: all that are available.
    rows
        Rows of each set at most.
    time_limit
        Seconds per row; the start of a process, imports and compilation are not counted.
    memory_limit
        Megabytes that a solver's process may have resident.
    seeds
        Orders of the candidates, and seeds of solvers that take one.
    threads
        Of solvers that take a number.

    Raises
    ------
    ValueError
        When a number is out of range.
    """

    instances: tuple[str, ...] = STANDARD
    solvers: tuple[str, ...] = ()
    rows: int = 10
    time_limit: float = 5.0
    memory_limit: float = 4096.0
    seeds: int = 1
    threads: int = 1

    def __post_init__(self) -> None:
        for name in ("rows", "time_limit", "memory_limit", "seeds", "threads"):
            if not getattr(self, name) > 0:
                option = name.replace("_", "-")
                raise ValueError(f"--{option} {getattr(self, name)}: give a number above 0")


class Comparison:
    """The runs of one folder; those that are recorded are not done again.

    Parameters
    ----------
    asked
        What is compared.
    folder
        Where results go: new, empty, or that of the same comparison.
    solvers
        Solvers by name; None: those of the registry that `asked` names.

    Raises
    ------
    ValueError
        When a name is unknown, or the folder is another's.
    ImportError
        When a solver that was named is not available.
    """

    def __init__(
        self, asked: Asked, folder: Path, solvers: dict[str, Solver] | None = None
    ) -> None:
        self.problems = load_problems(asked.instances, asked.rows)
        if solvers is None:
            names = asked.solvers or _who_take(self.problems)
            solvers = {name: get_solver(name) for name in names}
        self.asked, self.folder, self.solvers = asked, folder, solvers
        if not (is_free(folder) or (folder / FILE).exists()):
            raise ValueError(f"{folder} exists and is not empty: give another --out")
        folder.mkdir(parents=True, exist_ok=True)
        stated = {"asked": asdict(asked) | {"solvers": list(solvers)}}
        with alone_in(folder), Store(folder) as store:
            before = store.settings()
            plain = {"asked": {k: list(v) if isinstance(v, tuple) else v
                               for k, v in stated["asked"].items()}}  # fmt: skip
            if before and before.get("asked") != plain["asked"]:
                raise ValueError(f"{folder} holds another comparison: give another --out")
            if not before:
                here = environment() | {"load": list(os.getloadavg())}
                store.put_settings(plain | {"environment": here})

    def num_runs(self) -> int:
        """Return how many runs there are in all."""
        return sum(1 for _ in self._runs())

    def carry_out(
        self,
        on_run: OnRun = lambda done, total: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Do the runs that are not recorded.

        Raises
        ------
        KeyboardInterrupt
            When `should_stop` says so; what was measured is recorded.
        ValueError
            When another process is at work in the folder, or it cannot be written.
        """
        worker = Worker(self.asked.memory_limit * 2**20)
        try:
            with alone_in(self.folder), Store(self.folder) as store:
                known, total = store.known(), self.num_runs()
                done, before = len(known), None
                for name, problem, seed in self._runs():
                    if (problem.set_name, problem.row, name, seed) in known:
                        continue
                    if name != before:  # a process of its own: nobody's imports are another's
                        worker.kill()
                        before = name
                    store.put(self._run(name, problem, seed, worker))
                    done += 1
                    on_run(done, total)
                    if should_stop():
                        raise KeyboardInterrupt
                self._measure_batches(store, worker, should_stop)
        finally:
            worker.kill()

    def _run(self, name: str, problem: Problem, seed: int, worker: Worker) -> Run:
        solver = self.solvers[name]
        if not solver.supports(problem.instance):
            return not_supported(problem, name, seed=seed)
        return measure(
            problem,
            name,
            solver,
            worker,
            seed=seed,
            threads=self.asked.threads,
            time_limit=self.asked.time_limit,
        )

    def _runs(self) -> Iterator[tuple[str, Problem, int]]:
        """Yield what is run; solver after solver, so that its process is started once.

        Whoever takes one row of a task is measured on all of them; the others are left out of it.
        """
        for name, solver in self.solvers.items():
            tasks = {p.task for p in self.problems if solver.supports(p.instance)}
            for problem in self.problems:
                if problem.task in tasks:
                    for seed in range(self.asked.seeds):
                        yield name, problem, seed

    def _measure_batches(
        self, store: Store, worker: Worker, should_stop: Callable[[], bool]
    ) -> None:
        known = store.batches()
        runs = store.runs()
        for name, solver in self.solvers.items():
            if name not in REGISTRY or not REGISTRY[name].batched:
                continue
            for set_name in self.asked.instances:
                mine = [r for r in runs if (r.set_name, r.solver) == (set_name, name)]
                if (set_name, name) in known or not mine or mine[0].outcome == UNSUPPORTED:
                    continue
                rows = [p for p in self.problems if p.set_name == set_name]
                latency = statistics.median(run.seconds for run in mine)
                batch = _together(rows)
                if batch is None:
                    continue
                rate = rows_per_second(
                    batch, solver, worker, latency=latency, threads=self.asked.threads
                )
                store.put_batch(set_name, name, rate)
                if should_stop():
                    raise KeyboardInterrupt


def _who_take(problems: Sequence[Problem]) -> list[str]:
    """Return the available solvers that take every row of a task."""
    tasks: dict[str, list[Problem]] = {}
    for problem in problems:
        tasks.setdefault(problem.task, []).append(problem)
    return [
        name
        for name in available_solvers()
        if any(
            all(get_solver(name).supports(problem.instance) for problem in rows)
            for rows in tasks.values()
        )
    ]


def _together(problems: Sequence[Problem]) -> SubsetSum | None:
    """Return the rows of one set as one batch; None where they are no SubsetSum problems."""
    parts = [p.instance for p in problems if isinstance(p.instance, SubsetSum)]
    if not parts:
        return None
    available = None
    if any(part.available is not None for part in parts):
        available = np.concatenate(
            [np.ones(p.coefficients.shape, bool) if p.available is None else p.available
             for p in parts]
        )  # fmt: skip
    return SubsetSum(
        np.concatenate([part.coefficients for part in parts]),
        np.concatenate([part.targets for part in parts]),
        parts[0].objective,
        available,
    )
