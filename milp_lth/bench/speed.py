"""Whether everything is as fast as it was: ratios to a yardstick, beside those on record.

A second here is no second there. So every case is divided by work that does not change: sorting and
a loop in Python, timed right before and after it. The record is `speed.json` in this package.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from typing import Any

import numpy as np

from instances.files import write_atomically
from instances.generate import uniform_family
from instances.instance import Instance
from instances.library import load_set
from instances.objectives import Closest, FixedSize, Objective, Sparsest
from instances.plain_files import json_of
from milp_lth.bench.row import Row
from milp_lth.bench.timing import OnProgress, core_seconds
from milp_lth.environment import ENVIRONMENT, environment
from milp_lth.value_kinds import fits
from solvers.registry import get_solver
from solvers.solve import solve

FORMAT = "speed/1"
SLOWER = 1.5
"""Times its ratio on record: what takes longer has become slow."""

_PACKAGED = Path(__file__).with_name("speed.json")
_REPEATS = 5
_NUMBERS = np.random.default_rng(0).random(200_000)
_TURNS = 200_000

Work = Callable[[], Any]


@dataclass(frozen=True)
class Ratios:
    """What every case takes, in yardsticks, and what was measured."""

    cases: dict[str, float]
    environment: dict[str, Any]

    def write(self, path: Path) -> None:
        """Write the record."""
        cases = {name: float(f"{ratio:.3g}") for name, ratio in self.cases.items()}
        stated = {"format": FORMAT, "cases": cases, "environment": self.environment}
        write_atomically(path, (json.dumps(stated, indent=1, ensure_ascii=False) + "\n").encode())


def read_ratios(path: Path | None = None) -> Ratios:
    """Read a record, or the one that this package comes with.

    Raises
    ------
    ValueError
        When it cannot be read, or is none.
    """
    path = _PACKAGED if path is None else path
    try:
        stated = json_of(path)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    kinds = {"format": str, "cases": dict[str, float], "environment": ENVIRONMENT}
    if (
        not fits(stated, kinds)
        or stated["format"] != FORMAT
        or min(stated["cases"].values(), default=1) <= 0
    ):
        raise ValueError(f"{path}: no record: write one with milp-lth bench speed --record FILE")
    return Ratios(stated["cases"], stated["environment"])


def measure_ratios(on_progress: OnProgress, names: Sequence[str] = ()) -> Ratios:
    """Measure every case, or those named: about two minutes on a core that is idle.

    Parameters
    ----------
    on_progress
        Is told of every case.
    names
        Of cases.

    Raises
    ------
    ValueError
        When there is no such case.
    """
    if unknown := set(names) - CASES.keys():
        raise ValueError(f"case {min(unknown)}: choose {', '.join(CASES)}")
    chosen = list(names) or list(CASES)
    found: dict[str, float] = {}
    for name in chosen:
        found[name] = _ratio(CASES[name]())
        on_progress(len(found), len(chosen))
    return Ratios(found, environment())


def rows_beside(now: Ratios, recorded: Ratios) -> list[Row]:
    """Return how many times what is on record each case takes now."""
    rows = []
    for name, ratio in now.cases.items():
        before = recorded.cases.get(name)
        note = f"{ratio:.3g} yardsticks" + ("" if before is None else f", on record {before:.3g}")
        more = {"ratio": ratio, "recorded": before}
        if before is None:
            rows.append(Row(name, ratio, "yardsticks", note="not on record", more=more))
        else:
            rows.append(Row(name, ratio / before, "×", SLOWER, note=note, more=more))
    return rows


def _ratio(work: Work) -> float:
    """Return the median of some quotients, each of times next to each other."""
    work()  # compilation, imports
    before, quotients = core_seconds(_yardstick), []
    for _ in range(_REPEATS):
        began = getrusage(RUSAGE_CHILDREN)
        seconds = core_seconds(work)
        ended = getrusage(RUSAGE_CHILDREN)
        seconds += ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime
        after = core_seconds(_yardstick)
        quotients.append(2 * seconds / (before + after))
        before = after
    return statistics.median(quotients)


def _yardstick() -> None:
    np.sort(_NUMBERS)
    total = 0
    for k in range(_TURNS):
        total += k & 7


def _solving(name: str, build: Callable[[], Instance]) -> Callable[[], Work]:
    """Return all of solving, in one thread: scaling, the solver, the judge."""

    def ready() -> Work:
        solver = get_solver(name)
        if "threads" in {field.name for field in fields(solver)}:  # type: ignore[arg-type]
            solver = get_solver(name, threads=1)
        return partial(solve, build(), solver)

    return ready


def _family(num_rows: int, n: int, objective: Objective | None = None) -> Callable[[], Instance]:
    return partial(uniform_family, num_rows, n, seed=0, objective=objective or Closest())


def _some(name: str, num_rows: int) -> Callable[[], Instance]:
    return lambda: load_set(name).part(0, num_rows)


def _judging() -> Work:
    instance = uniform_family(20_000, 21, seed=0)
    mask = np.random.default_rng(0).random((20_000, 21)) < 0.5
    return partial(instance.evaluate, mask)


def _whole_run() -> Work:
    """Return a small run, from the target's file to the report and the check."""
    import torch

    from milp_lth.execution import execute
    from milp_lth.network import read_network
    from milp_lth.run import Run
    from milp_lth.run_creation import create_run
    from milp_lth.run_settings import RunSettings
    from milp_lth.targets.files import save_target
    from milp_lth.verification import check_run

    torch.manual_seed(0)
    linear = torch.nn.Linear
    module = torch.nn.Sequential(linear(6, 10), torch.nn.ReLU(), linear(10, 3))

    def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "net.safetensors"
            save_target(read_network(module), file)
            settings = RunSettings(target=str(file), input_range=(0.0, 1.0))
            out = create_run(settings, Path(folder) / "run")
            execute(Run(out))
            assert not check_run(out)

    return run


def _command(*arguments: str) -> Callable[[], Work]:
    return lambda: partial(
        subprocess.run, [sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL
    )


CASES: dict[str, Callable[[], Work]] = {
    "mitm closest 21": _solving("mitm", _family(10_000, 21)),
    "mitm closest 40": _solving("mitm", _family(5, 40)),
    "mitm sparsest 21": _solving("mitm", _family(50_000, 21, Sparsest(0.01))),
    "mitm fixed-size 21": _solving("mitm", _family(5_000, 21, FixedSize(5))),
    "cp-sat closest 16": _solving("cp-sat", _some("uniform-16", 3)),
    "scip closest 12": _solving("scip", _some("uniform-12", 10)),
    "highs closest 12": _solving("highs", _some("uniform-12", 5)),
    "cbc closest 8": _solving("cbc", _some("uniform-8", 5)),
    "greedy": _solving("greedy", _family(5_000, 32)),
    "swaps": _solving("swaps", _family(1_000, 32)),
    "beam": _solving("beam", _family(50, 32)),
    "differencing": _solving("differencing", _family(50, 32)),
    "golden-ratio": _solving("golden-ratio", _family(50_000, 32)),
    "tabu": _solving("tabu", _family(20, 32)),
    "annealing": _solving("annealing", _family(10, 32)),
    "rounding": _solving("rounding", _family(20, 32)),
    "sphere": _solving("sphere", _some("neurons-2-48", 4)),
    "interval-tree": _solving("interval-tree", _some("neurons-inf-64", 4)),
    "coordinate-descent": _solving("coordinate-descent", _some("neurons-2-100", 4)),
    "lns": _solving("lns", _some("neurons-2-64", 2)),
    "budget": _solving("budget", _some("budget-sum-1000", 2)),
    "unit-sets": _solving("unit-sets", _some("shared-units-6-14-edges", 6)),
    "shared-units": _solving("shared-units", _some("shared-units-10-20", 2)),
    "judging": _judging,
    "run and check": _whole_run,
    "milp-lth --version": _command("-m", "milp_lth", "--version"),
    "import and solve": _command(
        "-c", "from milp_lth import SubsetSum, solve; solve(SubsetSum([[0.5, 0.25]], [0.4]))"
    ),
}
"""What is measured, by name; each makes its work ready."""
