"""A run: a folder that holds what was asked, what was found, and all that is needed to check it."""

import hashlib
import math
import os
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from instances.arrays import BoolArray
from instances.plain_files import json_of, size_of
from milp_lth.assembly import assemble
from milp_lth.beside import beside_independent
from milp_lth.calibration import load_calibration
from milp_lth.environment import ENVIRONMENT
from milp_lth.evaluation import Evaluation, evaluate
from milp_lth.ledger import Ledger
from milp_lth.narrower import narrower_tickets
from milp_lth.network import Network
from milp_lth.networks.forms import Convolution, Lookup
from milp_lth.networks.walked import Walked
from milp_lth.recorded_masks import RecordedMasks
from milp_lth.reduction import BOTH_SIGNS, Reduction, reduce
from milp_lth.run_settings import RunSettings, read_settings
from milp_lth.run_target import TARGET, read_run_target
from milp_lth.sharded_ticket import ShardedTicket
from milp_lth.shards import INDEX, WHOLE_EDGES, num_edges, shards_in, write_shards
from milp_lth.streaming import median
from milp_lth.targets.data import Data, random_data
from milp_lth.targets.named import load_data
from milp_lth.ticket import Ticket
from milp_lth.ticket_files import load_ticket, save_ticket
from milp_lth.value_kinds import fits
from solvers.select import Auto
from solvers.solution import Status

FORMAT = "milp_lth run/1"
SETTINGS, TICKET, REPORT = "settings.json", "ticket.safetensors", "report.html"


class Run:
    """A run folder, read back. Everything is derived from what lies in it.

    Parameters
    ----------
    folder
        The run's.
    module
        The class of its target, see `milp_lth.targets.modules.make_module`, where that is code of
        the user's own: what a folder names is never run.

    Raises
    ------
    ValueError
        When the folder is not one, or something in it is damaged.
    """

    def __init__(self, folder: str | os.PathLike[str], module: str | None = None) -> None:
        began = time.perf_counter()
        self.folder = Path(folder)
        self.stated, self.settings = _read_settings(self.folder)
        target = self.stated["target"]
        try:
            self.network, self.target_file = read_run_target(
                self.folder, self.settings, target, module
            )
            low, high = self.stated["data"]["input_range"]
            self.data = load_run_data(self.settings, self.network, (low, high))
            self.reduction = reduce_for(self.settings, self.network, self.data.input_range)
        except MemoryError as error:
            raise ValueError(f"{self.folder}: does not fit into memory") from error
        self.seconds_to_read = time.perf_counter() - began

    def calibration(self) -> Data:
        """Return the calibration inputs, see `load_calibration`."""
        settings = self.settings
        return load_calibration(settings.calibration, self.data, settings.data_name())

    def assemble(self, ledger: Ledger) -> Ticket:
        """Put the recorded masks into the random network.

        Raises
        ------
        ContradictionError
            When what is recorded does not fit the problems.
        ValueError
            When not every row is recorded.
        """
        return assemble(self.reduction, self.masks(ledger))

    def masks(self, ledger: Ledger) -> list[BoolArray]:
        """Return the recorded masks of all parts.

        Raises
        ------
        ContradictionError
            When what is recorded does not fit the problems.
        ValueError
            When not every row is recorded.
        """
        recorded = RecordedMasks(self.reduction, ledger)
        return [recorded.rows(p, 0, len(part)) for p, part in enumerate(self.reduction.parts)]

    @property
    def sharded(self) -> bool:
        """Whether the ticket is in shards: as it was written, or as large as it will be."""
        if (self.folder / INDEX).exists():
            return True
        large = num_edges(layer.drawn for layer in self.reduction.layers) > WHOLE_EDGES
        # what couples weights is solved in memory
        return (
            large
            and bool(self.network.steps)
            and self.reduction.source.registered.in_shards
            and not self.settings.redraws
            and self.settings.coupling() is None
            and not (self.folder / TICKET).exists()
        )

    def save_ticket(self, ledger: Ledger) -> Ticket | ShardedTicket:
        """Write the ticket of the recorded masks into the folder, and return it.

        Raises
        ------
        ContradictionError, ValueError
            As `assemble` does.
        """
        if self.sharded:
            masks = RecordedMasks(self.reduction, ledger)
            return ShardedTicket(write_shards(self.reduction, masks, self.folder))
        ticket = self.assemble(ledger)
        save_ticket(ticket, self.folder / TICKET)
        return ticket

    def load_ticket(self) -> Ticket | ShardedTicket:
        """Read the ticket of the folder.

        Raises
        ------
        ValueError
            When a file of it is missing or damaged.
        """
        if self.sharded:
            return ShardedTicket(self.folder / INDEX)
        module = None if self.network.steps else self.network.module()
        return load_ticket(self.folder / TICKET, module)

    def evaluate(self, ticket: Ticket | ShardedTicket) -> Evaluation:
        """Measure `ticket` against the target on the run's data."""
        device = self.settings.make_device()
        target = self.network.module().to(device)
        return evaluate(ticket.to(device), target, self.data.x, self.data.y)

    def figures(self, ledger: Ledger, evaluation: Evaluation) -> dict[str, Any]:
        """Return what a report states, the times apart."""
        status = np.zeros(len(Status), np.int64)
        max_error = 0.0
        for chunk in ledger.chunks():
            status += np.bincount(chunk.status, minlength=len(Status))
            max_error = max(max_error, float(chunk.error.max()))
        within, num_rows = int(status[[Status.OPTIMAL, Status.FEASIBLE]].sum()), int(status.sum())
        return (
            {
                "target": {"accuracy": evaluation.target_accuracy},
                "ticket": {
                    "accuracy": evaluation.ticket_accuracy,
                    "agreement": evaluation.agreement,
                    "max_logit_error": evaluation.max_logit_error,
                    "mean_logit_error": evaluation.mean_logit_error,
                    "max_logit": evaluation.max_logit,
                },
                "edges": evaluation.edges,
                "status": {s.name: int(status[s]) for s in Status},
                "within_tolerance": within,
                "out_of_tolerance": num_rows - within,
                "weights": {
                    "num_rows": num_rows,
                    "max_error": max_error,
                    "median_error": median(lambda: (chunk.error for chunk in ledger.chunks())),
                },
                "layers": [asdict(layer) for layer in evaluation.layers],
                "widths": self._widths(evaluation),
            }
            | self._redrawn()
            | self._beside(ledger)
            | self._left_dense()
        )

    def _redrawn(self) -> dict[str, Any]:
        """Return how many weights had their candidates drawn again, where that may be."""
        attempts = [getattr(layer.drawn, "attempts", None) for layer in self.reduction.layers]
        again = [array for array in attempts if array is not None]
        if not again:
            return {}
        rows, draws = (sum(int(f(array)) for array in again) for f in (np.count_nonzero, np.sum))
        return {"redrawn": {"rows": rows, "draws": draws}}

    def _beside(self, ledger: Ledger) -> dict[str, Any]:
        """Return what coupling bought, where there is any."""
        if self.settings.coupling() is None:
            return {}
        solver, masks = Auto(self.settings.device), self.masks(ledger)
        return {"beside": beside_independent(self.reduction, masks, self.data, solver)}

    def _left_dense(self) -> dict[str, Any]:
        """Return what of the target is no random layer, where that may be."""
        body = self.network.body
        if not isinstance(body, Walked):
            return {}
        return {"left_dense": [asdict(one) for one in body.dense], "untraced": body.untraced}

    def _widths(self, evaluation: Evaluation) -> list[dict[str, Any]]:
        """Return what narrower tickets reach, and this one behind them."""
        if self.settings.coupling() is not None:  # narrower ones would need a coupling of theirs
            return []
        points = narrower_tickets(self.reduction, self.data, Auto(self.settings.device))
        own = {
            "width": self.reduction.layers[0].drawn.width,
            "accuracy": evaluation.ticket_accuracy,
            "agreement": evaluation.agreement,
        }
        return [*points, own] if points else []

    def digests(self, ledger: Ledger) -> dict[str, str]:
        """Return the SHA-256 of every file of the folder."""
        names = [INDEX, *shards_in(self.folder)] if self.sharded else [TICKET]
        files = {name: self.folder / name for name in (SETTINGS, *names, REPORT)}
        files[TARGET] = self.target_file
        return {name: sha256(path) for name, path in files.items()} | {"ledger": ledger.digest()}


def load_run_data(
    settings: RunSettings, network: Network, input_range: tuple[float, float] | None
) -> Data:
    """Return the held-out data of a run, or random inputs where it has none.

    `input_range` overrides the range the data are declared in, −1 to 1 for random ones.
    """
    name = settings.data_name()
    if name is None:
        shape = settings.input_shape or _shape(network)
        data = random_data(math.prod(shape), input_range or BOTH_SIGNS, settings.seed)
        return replace(data, x=data.x.reshape(-1, *shape))
    data = load_data(name)
    if settings.normalise is not None:
        data = data.normalised(*settings.normalise)
    if settings.input_shape is not None:
        data = data.shaped(settings.input_shape)
    return replace(data, input_range=input_range or data.input_range)


def _shape(network: Network) -> tuple[int, ...]:
    """Return what inputs a target takes, where its first layer tells."""
    first = network.layers[0]
    if isinstance(first.form, Convolution | Lookup):
        raise ValueError(
            f"layer {first.name!r} does not tell the shape of its inputs: give --data, or an "
            "--input-shape such as 3,32,32"
        )
    return (first.weight.shape[1],)


def reduce_for(
    settings: RunSettings, network: Network, input_range: tuple[float, float]
) -> Reduction:
    """Pose the problems that a run asks for."""
    return reduce(
        network,
        settings.source(),
        assignment=settings.assignment or "matched",
        objective=settings.make_objective(),
        input_range=input_range,
    )


def settings_of(folder: str | os.PathLike[str]) -> RunSettings:
    """Return what was asked of the run in a folder, without reading the rest.

    Raises
    ------
    ValueError
        When the folder is none of a run, or its settings are damaged.
    """
    return _read_settings(Path(folder))[1]


def _read_settings(folder: Path) -> tuple[dict[str, Any], RunSettings]:
    """Return all that a run's settings file states, and what was asked."""
    path = folder / SETTINGS
    try:
        stated = json_of(path)
    except FileNotFoundError as error:
        raise ValueError(
            f"{path}: cannot be read ({error.strerror}): milp-lth run begins one"
        ) from error
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise ValueError(f"{path}: damaged ({error})") from error
    if not isinstance(stated, dict) or stated.get("format") != FORMAT:
        raise ValueError(f"{path}: not the settings of a run")
    if not fits(stated, _KINDS) or not fits(stated["target"].get("path"), str | None):
        raise ValueError(f"{path}: damaged (target, data or environment are not whole)")
    ends = stated["data"]["input_range"]
    if len(ends) != 2 or not (ends[0] <= ends[1] and all(map(math.isfinite, ends))):
        raise ValueError(f"{path}: damaged (input_range: two finite numbers, lower first)")
    try:
        return stated, read_settings(stated.get("settings"))
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{path}: damaged ({error})") from error


_KINDS = {
    "target": {},
    "data": {"input_range": list[float], "digest": str, "num_inputs": int},
    "environment": ENVIRONMENT,
}


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content."""
    try:
        size_of(path)
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror or error})") from error
