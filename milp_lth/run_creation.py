"""A new run: everything that is asked is checked before anything is written."""

import contextlib
import itertools
import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from torch import nn

from instances.edge_budget import EdgeBudget
from instances.files import write_atomically
from instances.neurons import Neurons
from milp_lth.calibration import load_calibration
from milp_lth.coupled import DataAware, EdgeLimit
from milp_lth.data_aware import IN_A_ROW
from milp_lth.environment import environment
from milp_lth.evaluation import try_out
from milp_lth.folders import alone_in, is_free
from milp_lth.ledger import FILE, Ledger
from milp_lth.network import Network
from milp_lth.run import FORMAT, SETTINGS, load_run_data, reduce_for, sha256
from milp_lth.run_settings import RunSettings
from milp_lth.run_target import (
    TARGET,
    TARGET_ONNX,
    load_asked_target,
    read_for,
    write_run_target,
)
from milp_lth.targets.data import Data
from milp_lth.targets.named import is_data_folder
from solvers.registry import available_solvers, get_solver
from solvers.select import Auto

_BEGUN = (TARGET, TARGET_ONNX, f"{FILE}-wal", f"{FILE}-shm", FILE)
"""What lies in a folder before its settings do. The ledger comes first, and goes last."""


def create_run(settings: RunSettings, out: str | os.PathLike[str] | None = None) -> Path:
    """Check everything that is asked, then make the run's folder.

    Parameters
    ----------
    settings
        What is asked.
    out
        The folder, new or empty; None: the first free one of ``runs/TARGET-1``, ``-2``, ….

    Raises
    ------
    ValueError
        When anything that was asked for cannot be; nothing is written then.
    """
    if settings.data is not None and is_data_folder(settings.data):
        settings = replace(settings, data=os.path.abspath(settings.data))
    if settings.calibration is not None:
        settings = replace(settings, calibration=os.path.abspath(settings.calibration))
    _check_solver(settings)
    settings.make_device()
    module = load_asked_target(settings)
    network, data = fitting(settings, module)
    reduction = reduce_for(settings, network, data.input_range)
    calibration, coupling = None, settings.coupling()
    if isinstance(coupling, EdgeLimit):
        coupling.shares(len(reduction.layers))
    elif isinstance(coupling, DataAware):
        if not network.steps:
            raise ValueError(IN_A_ROW)
        coupling.budgets(len(reduction.layers))
        calibration = load_calibration(settings.calibration, data, settings.data_name())
    folder = Path("runs") if out is None else Path(out)
    try:
        if out is None:
            folder = _new_folder(Path(settings.target).stem)
        elif not folder.exists():
            folder.mkdir(parents=True, exist_ok=True)
        with alone_in(folder):
            _begin(folder)
            target, file = write_run_target(settings, module, network, folder)
            target["sha256"] = sha256(file)
            stated = {
                "format": FORMAT,
                "settings": asdict(settings),
                "target": target,
                "data": _described(data) | {"input_range": list(data.input_range)},
                "calibration": None if calibration is None else _described(calibration),
                "environment": environment(),
            }
            content = json.dumps(stated, indent=2, ensure_ascii=False) + "\n"
            write_atomically(folder / SETTINGS, content.encode())
    except OSError as error:
        raise ValueError(f"{folder}: cannot be written ({error.strerror or error})") from error
    return folder


def _begin(folder: Path) -> None:
    """Make the ledger, in an empty folder or in one that was not begun to the end."""
    begun = (folder / FILE).exists()
    if not is_free(folder, *(_BEGUN if begun else ())):
        raise ValueError(f"{folder} exists and is not empty: give another --out")
    for name in _BEGUN:
        (folder / name).unlink(missing_ok=True)
    with Ledger(folder, create=True):
        pass


def _described(data: Data) -> dict[str, Any]:
    return {
        "name": data.name,
        "split": data.split,
        "num_inputs": len(data.x),
        "digest": data.digest(),
    }


def _check_solver(settings: RunSettings) -> None:
    """Refuse a solver that does not take what is asked, before anything is written."""
    solver, coupling = settings.make_solver(), settings.coupling()
    if coupling is None or isinstance(solver, Auto):
        return
    if isinstance(coupling, EdgeLimit):
        size, error = (1, None) if coupling.error is None else (None, 1.0)
        tiny: EdgeBudget | Neurons = replace(
            EdgeBudget.tiny(), budget=size, error_limit=error, measure=coupling.measure
        )
    else:
        tiny = replace(
            Neurons.tiny(),
            norm=coupling.norm,
            budget=None if coupling.budget is None else 1,
        )
    if not solver.supports(tiny):
        takers = [name for name in available_solvers() if get_solver(name).supports(tiny)]
        raise ValueError(
            f"solver {settings.solver} does not take the objective {settings.objective}: "
            f"leave it out, or choose one of {', '.join(takers)}"
        )


def load_asked(settings: RunSettings) -> tuple[Network, Data]:
    """Return the target that is asked for, and the data it is judged by.

    Raises
    ------
    ValueError
        When one of them cannot be had, or they do not fit each other.
    """
    return fitting(settings, load_asked_target(settings))


def fitting(settings: RunSettings, module: nn.Module) -> tuple[Network, Data]:
    """Return a target's layers and the data that a run is judged by.

    Raises
    ------
    ValueError
        When the target cannot be read, or the data do not fit.
    """
    network = read_for(settings, module)
    data = load_run_data(settings, network, settings.input_range)
    _check_fit(network, data)
    return network, data


def _check_fit(network: Network, data: Data) -> None:
    features = network.layers[0].weight.shape[1]
    outputs = network.layers[-1].weight.shape[0]
    if not network.steps:
        outputs = try_out(network.module(), data.x).shape[-1]
    elif data.x.shape[1] != features:
        raise ValueError(
            f"the data {data.name!r} have {data.x.shape[1]} features, the target takes {features}"
        )
    if data.y is not None and int(data.y.max()) >= outputs:
        raise ValueError(f"the data {data.name!r} have more classes than the target has outputs")
    if data.input_range[0] >= 0 and bool((data.x < 0).any()):
        raise ValueError("some inputs are negative: declare an --input-range that begins below 0")


def _new_folder(stem: str) -> Path:
    """Make the first of ``runs/STEM-1``, ``-2``, … that is not there: no two runs get the same."""
    for k in itertools.count(1):
        folder = Path("runs") / f"{stem}-{k}"
        with contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True)
            break
    return folder
