"""A run: a folder that holds what was asked, what was found, and all that is needed to check it."""

import hashlib
import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from instances.files import write_atomically
from milp_lth.assembly import assemble
from milp_lth.evaluation import Evaluation, evaluate
from milp_lth.ledger import ContradictionError, Ledger
from milp_lth.network import Network, read_network
from milp_lth.reduction import Reduction, reduce
from milp_lth.run_settings import RunSettings
from milp_lth.solving import solve_chunks
from milp_lth.targets.data import Data, random_data
from milp_lth.targets.files import load_target, load_written_target
from milp_lth.targets.named import NAMED_TARGETS, load_data
from milp_lth.ticket import Ticket
from milp_lth.ticket_files import save_ticket
from solvers.solution import Status

FORMAT = "milp_lth run/1"
SETTINGS, TARGET, TICKET, REPORT = (
    "settings.json", "target.safetensors", "ticket.safetensors", "report.html"
)  # fmt: skip
OnProgress = Callable[[int, int, float], None]
"""Called with the rows solved, the rows in all, and the worst error so far."""


class Run:
    """A run folder, read back. Everything is derived from what lies in it.

    Raises
    ------
    ValueError
        When the folder is not one, or something in it is damaged.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.stated = _read_settings(self.folder)
        try:
            fields = dict(self.stated["settings"])
            for name in ("width", "input_range"):
                if isinstance(fields[name], list):
                    fields[name] = tuple(fields[name])
            self.settings = RunSettings(**fields)
            self.chunk_rows = int(self.stated["chunk_rows"])
            low, high = self.stated["data"]["input_range"]
            where = self.stated["target"].get("path")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"{self.folder / SETTINGS}: damaged ({error})") from error
        if where is None:
            self.network = load_written_target(self.folder / TARGET)
        else:
            self.network = read_network(load_target(where))
        self.target_file = self.folder / TARGET if where is None else Path(where)
        self.data = load_run_data(self.settings, self.network, (float(low), float(high)))
        self.reduction = reduce_for(self.settings, self.network, self.data.input_range)

    def execute(
        self,
        on_progress: OnProgress | None = None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> dict[str, Any]:
        """Solve what is not solved yet, assemble and evaluate the ticket, write the report.

        Parameters
        ----------
        on_progress
            Told of the rows solved.
        should_stop
            Asked after every chunk; when it says yes, KeyboardInterrupt is raised and the folder
            can be continued later.

        Returns
        -------
        dict
            The figures, as ``milp-lth run --json`` prints them.
        """
        began = time.perf_counter()
        with Ledger(self.folder) as ledger:
            self._solve(ledger, on_progress, should_stop)
            ticket = self.assemble(ledger)
            save_ticket(ticket, self.folder / TICKET)
            figures = self.figures(ledger, self.evaluate(ticket))
            figures["seconds"] = {
                "solve": sum(chunk.seconds for chunk in ledger.chunks()),
                "total": time.perf_counter() - began,
            }
            ledger.put_figures(figures)
            self.write_report(ledger)
            ledger.put_figures({"digests": self.digests(ledger)})
        return figures | {"out": str(self.folder)}

    def _solve(
        self, ledger: Ledger, on_progress: OnProgress | None, should_stop: Callable[[], bool]
    ) -> None:
        known = ledger.known()
        limit = math.inf if self.settings.time_limit is None else self.settings.time_limit
        done, worst = 0, 0.0
        for recorded in ledger.chunks():
            done += recorded.stop - recorded.start
            worst = max(worst, float(recorded.error.max()))
        for chunk in solve_chunks(
            self.reduction,
            self.settings.make_solver(),
            time_limit=limit,
            chunk_rows=self.chunk_rows,
            skip=lambda part, start: (part, start) in known,
        ):
            ledger.put(chunk.part, chunk.start, chunk.stop, chunk.solution)
            done += chunk.stop - chunk.start
            worst = max(worst, float(chunk.solution.error.max()))
            if on_progress is not None:
                on_progress(done, self.reduction.num_rows, worst)
            if should_stop():
                raise KeyboardInterrupt

    def assemble(self, ledger: Ledger) -> Ticket:
        """Put the recorded masks into the random network.

        Raises
        ------
        ContradictionError
            When what is recorded does not fit the problems.
        ValueError
            When not every row is recorded.
        """
        parts = self.reduction.parts
        masks = [np.zeros((len(p), p.half.units.shape[1]), np.bool_) for p in parts]
        covered = [0] * len(parts)
        for chunk in ledger.chunks():
            if chunk.part >= len(parts) or chunk.stop > len(parts[chunk.part]):
                raise ContradictionError("results are recorded for rows that do not exist")
            mask = masks[chunk.part]
            mask[chunk.start : chunk.stop] = chunk.mask(mask.shape[1])
            covered[chunk.part] += chunk.stop - chunk.start
        if covered != [len(p) for p in parts]:
            raise ValueError(f"{self.folder}: the run is not complete")
        return assemble(self.reduction, masks)

    def evaluate(self, ticket: Ticket) -> Evaluation:
        """Measure `ticket` against the target on the run's data."""
        device = self.settings.make_device()
        target = self.network.module().to(device)
        return evaluate(ticket.to(device), target, self.data.x, self.data.y)

    def figures(self, ledger: Ledger, evaluation: Evaluation) -> dict[str, Any]:
        """Return what a report states, the times apart."""
        status = np.zeros(len(Status), np.int64)
        within = 0
        errors = []
        for chunk in ledger.chunks():
            status += np.bincount(chunk.status, minlength=len(Status))
            within += int(np.isin(chunk.status, (Status.OPTIMAL, Status.FEASIBLE)).sum())
            errors.append(chunk.error)
        every = np.concatenate(errors)
        return {
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
            "out_of_tolerance": len(every) - within,
            "weights": {
                "num_rows": len(every),
                "max_error": float(every.max()),
                "median_error": float(np.median(every)),
            },
            "layers": [asdict(layer) for layer in evaluation.layers],
        }

    def rewrite_report(self) -> Path:
        """Write ``report.html`` again from what is recorded, and record that it was.

        Raises
        ------
        ValueError
            When the run is not complete.
        """
        with Ledger(self.folder) as ledger:
            figures = ledger.figures()
            if "digests" not in figures:
                raise ValueError(
                    f"{self.folder}: the run is not complete: milp-lth resume {self.folder}"
                )
            path = self.write_report(ledger)
            # only the report's own digest: a change elsewhere must still be found by check
            ledger.put_figures({"digests": figures["digests"] | {REPORT: sha256(path)}})
        return path

    def write_report(self, ledger: Ledger) -> Path:
        """Write ``report.html`` from what is recorded."""
        from milp_lth.report.render import render

        path = self.folder / REPORT
        write_atomically(path, render(self, ledger).encode())
        return path

    def digests(self, ledger: Ledger) -> dict[str, str]:
        """Return the SHA-256 of every file of the folder."""
        files = {name: self.folder / name for name in (SETTINGS, TICKET, REPORT)}
        files[TARGET] = self.target_file
        return {name: sha256(path) for name, path in files.items()} | {"ledger": ledger.digest()}


def data_name(settings: RunSettings) -> str | None:
    """Return which data a run is evaluated on; None: it comes without."""
    return settings.data or NAMED_TARGETS.get(settings.target, (None, None))[1]


def load_run_data(
    settings: RunSettings, network: Network, input_range: tuple[float, float]
) -> Data:
    """Return the held-out data of a run, or random inputs in `input_range` where it has none."""
    name = data_name(settings)
    if name is None:
        return random_data(network.layers[0].weight.shape[1], input_range, settings.seed)
    data = load_data(name)
    return Data(data.name, data.split, data.x, data.y, input_range)


def reduce_for(
    settings: RunSettings, network: Network, input_range: tuple[float, float]
) -> Reduction:
    """Pose the problems that a run asks for."""
    return reduce(
        network,
        settings.source(),
        assignment=settings.assignment,
        objective=settings.make_objective(),
        input_range=input_range,
    )


def _read_settings(folder: Path) -> dict[str, Any]:
    path = folder / SETTINGS
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: damaged ({error})") from error
    if not isinstance(stated, dict) or stated.get("format") != FORMAT:
        raise ValueError(f"{path}: not the settings of a run")
    return stated


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror or error})") from error
