"""Hold every solver against the truth, on a million adversarial rows; print what it got wrong.

python tests/solvers/truth.py [ROWS] [--seed SEED] [--jobs JOBS]
python tests/solvers/truth.py --replay KIND SEED

All masks of a row are judged in exact arithmetic, and the row is given to every solver that takes
it, or, where a solver is slow, some rows of each batch. Larger rows, whose masks are too many, are
held to the laws of `truth_laws`. A line that begins with FAULT tells how to see that batch again.
"""

import argparse
import faulthandler
import math
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from typing import NamedTuple

import numpy as np
from truth_batches import KINDS
from truth_judge import CLAIMS, NUMBERS, faults
from truth_laws import LAWS, broken_laws
from truth_tables import Table, table_of

from instances.arrays import BoolArray
from instances.instance import Instance
from solvers.cores import num_cores
from solvers.registry import available_solvers, get_solver
from solvers.solution import Status
from solvers.solve import solve

SHARES = {
    "differencing": 0.3,
    "beam": 0.2,
    "tabu": 0.1,
    "rounding": 0.1,
    "annealing": 0.02,
    "shared-units": 0.1,
    "lns": 0.1,
} | dict.fromkeys(
    ["mitm", "nearest", "greedy", "golden-ratio", "swaps", "perturbed", "unit-sets", "knapsack",
     "budget", "sphere", "interval-tree", "selection", "error-feedback", "coordinate-descent"], 1.0
)  # fmt: skip
"""How many of the rows of a batch each solver gets, one at least; those not named `REST`."""

REST = 0.004

OTHER = ("raised", "silent", "law")
"""Faults that are no false claim and no wrong number."""

PLAN = {
    "sums": 0.62, "wide sums": 0.02, "perturbed": 0.15, "wide perturbed": 0.005,
    "budgets": 0.03, "wide budgets": 0.002, "units": 0.05, "wide units": 0.004,
    "knapsacks": 0.09, "wide knapsacks": 0.01, "neurons": 0.006, "wide neurons": 0.002,
    "sources": 0.002, "wide sources": 0.001, "selections": 0.002, "wide selections": 0.001,
    "laws": 0.005,
}  # fmt: skip
"""What share of all rows is of each kind."""

_LAW_ROWS = 700  # that a batch of laws comes to, about
_PATIENCE = 600.0  # seconds that no batch takes


class Fault(NamedTuple):
    """One row that one solver got wrong, and how to see it again."""

    kind: str
    seed: int
    row: int
    solver: str
    what: str

    def __str__(self) -> str:
        again = f"--replay '{self.kind}' {self.seed}"
        return f"FAULT {self.what}: {self.solver}, row {self.row} of {again}"


class Tried(NamedTuple):
    """What came of one batch."""

    rows: int
    counts: dict[str, Counter[str]]
    """Of each solver: rows, statuses, faults."""
    seconds: dict[str, float]
    faults: list[Fault]


def try_batch(kind: str, seed: int, rows: int = 0) -> Tried:
    """Draw a batch, of `rows` rows or as many as are usual, and hold all solvers against it."""
    if kind == "laws":
        return _try_laws(seed)
    began = time.perf_counter()
    instance = KINDS[kind].batch(seed, rows)
    table = table_of(instance)
    tried = Tried(len(instance), {}, {"(all masks)": time.perf_counter() - began}, [])
    for name in available_solvers():
        if not get_solver(name).supports(instance):
            continue
        rng = np.random.default_rng([seed, *name.encode()])
        share = 1.0 if name == _ONLY.get(kind) else SHARES.get(name, REST)
        num = max(1, round(share * len(instance)))
        first = int(rng.integers(0, len(instance) - num + 1))
        limit = 60.0 if rng.random() < 0.03 else np.inf  # then in a process of its own
        if name == "scip-default" and not instance.linear:
            limit = 5.0  # on squares it may go on for minutes, or for ever
        began = time.perf_counter()
        part = instance.part(first, first + num)
        start = rng.random((num, instance.num_candidates)) < 0.5 if rng.random() < 0.1 else None
        wrong, tried.counts[name] = hold(part, table.part(first, first + num), name, limit, start)
        tried.seconds[name] = time.perf_counter() - began
        for what, places in wrong.items():
            tried.faults.extend(Fault(kind, seed, first + r, name, what) for r in places)
    return tried


_ONLY = {"sources": "enumerate", "wide sources": "enumerate"}
"""The exact solver of kinds that have no other."""


def hold(
    instance: Instance,
    table: Table,
    name: str,
    time_limit: float = np.inf,
    start: BoolArray | None = None,
) -> tuple[dict[str, list[int]], Counter[str]]:
    """Solve and judge; an exception is a fault of the first row."""
    counts = Counter(rows=len(instance))
    try:
        solution = solve(instance, name, time_limit=time_limit, start=start)
        wrong = faults(instance, table, solution)
    except Exception as error:
        counts["raised"] = 1
        return {f"{type(error).__name__} {error}"[:200]: [0]}, counts
    counts.update(Status(int(code)).name for code in solution.status)
    for what, places in wrong.items():
        counts[what] += len(places)
    return wrong, counts


def _try_laws(seed: int) -> Tried:
    tried = Tried(0, {}, {}, [])
    for name in LAWS:
        began = time.perf_counter()
        given, broken = broken_laws(name, seed)
        tried.counts[name] = Counter({"rows": given.total(), "law": len(broken)})
        tried.seconds[name] = time.perf_counter() - began
        tried.faults.extend(Fault("laws", seed, row, name, law) for law, row in broken)
    return tried._replace(rows=sum(c["rows"] for c in tried.counts.values()))


def batches(num_rows: int, seed: int) -> list[tuple[str, int]]:
    """Return which batches make up so many rows or a few more, at least one of each kind."""
    sizes = {kind: KINDS[kind].rows for kind in KINDS} | {"laws": _LAW_ROWS}
    return [
        (kind, 1_000_000 * seed + k)
        for kind, share in PLAN.items()
        for k in range(math.ceil(share * num_rows / sizes[kind]))
    ]


def try_all(
    chosen: list[tuple[str, int]], jobs: int, patience: float = _PATIENCE
) -> Iterator[Tried]:
    """Try batches, in processes of their own, and yield what came of each.

    When none ends for `patience` seconds, those that are being tried are faults, and the end.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_quiet) as pool:
        order = np.random.default_rng(0).permutation(len(chosen))  # for an even progress
        left = {pool.submit(_watched, *chosen[k]): chosen[k] for k in order}
        while left:
            ended, _ = wait(left, patience, FIRST_COMPLETED)
            for one in ended:
                del left[one]
                yield one.result()
            if not ended:
                stuck = list(left.values())[:jobs]  # they are begun in this order
                hanging = [Fault(kind, seed, 0, "?", "no end") for kind, seed in stuck]
                yield Tried(0, {}, {}, hanging)
                pool.shutdown(wait=False, cancel_futures=True)
                for process in multiprocessing.active_children():
                    process.kill()
                return


def _watched(kind: str, seed: int) -> Tried:
    """Try a batch, and show where it is when it takes long: which solver does not end."""
    faulthandler.dump_traceback_later(_PATIENCE / 2, file=_shown)
    try:
        return try_batch(kind, seed)
    finally:
        faulthandler.cancel_dump_traceback_later()


_shown = 2  # the file descriptor of standard error, wherever `_quiet` puts it


def _quiet() -> None:
    """Leave out what backends print, and warnings about numbers that are meant to overflow."""
    global _shown
    import warnings

    warnings.simplefilter("ignore")
    _shown = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def main() -> int:
    """Print progress, faults and a table; return how many faults there are."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("rows", type=int, nargs="?", default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=num_cores())
    parser.add_argument("--replay", nargs=2, metavar=("KIND", "SEED"))
    asked = parser.parse_args()
    began = told = time.monotonic()
    if asked.replay:
        kind, seed = asked.replay
        found: Iterator[Tried] = iter([_watched(kind, int(seed))])
    else:
        found = try_all(batches(asked.rows, asked.seed), asked.jobs)
    rows, num_faults = 0, 0
    counts: dict[str, Counter[str]] = {}
    seconds: Counter[str] = Counter()
    for tried in found:
        rows, num_faults = rows + tried.rows, num_faults + len(tried.faults)
        for name, of_batch in tried.counts.items():
            counts.setdefault(name, Counter()).update(of_batch)
        seconds.update(tried.seconds)
        for fault in tried.faults[:20]:
            print(fault, flush=True)
        if time.monotonic() - told > 10:
            told = time.monotonic()
            print(f"{told - began:5.0f} s  {rows:,} rows, {num_faults} faults", flush=True)
    print("| solver | rows | optimal | infeasible | false claims | wrong numbers | other | s |")
    print("|---|---|---|---|---|---|---|---|")
    for name, c in counts.items():
        false, wrong = sum(c[what] for what in CLAIMS), sum(c[what] for what in NUMBERS)
        told_of = (
            c["rows"],
            c["OPTIMAL"],
            c["INFEASIBLE"],
            false,
            wrong,
            sum(c[what] for what in OTHER),
        )
        print(f"| {name} | {' | '.join(f'{n:,}' for n in told_of)} | {seconds[name]:.0f} |")
    solved = sum(c["rows"] for c in counts.values())
    print(
        f"\n{rows:,} rows, solved {solved:,} times, {num_faults} faults, "
        f"{time.monotonic() - began:.0f} s"
    )
    return num_faults


if __name__ == "__main__":
    sys.exit(main() > 0)
