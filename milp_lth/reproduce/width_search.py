"""The smallest width at which tickets are as accurate as their target, on its training data."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from instances.files import write_atomically
from instances.plain_files import json_of
from milp_lth.assembly import assemble
from milp_lth.constructions.layout import augmented
from milp_lth.constructions.two_layer import scale_for
from milp_lth.network import Network
from milp_lth.reduction import reduce
from milp_lth.run_settings import RunSettings
from milp_lth.solving import solve_chunks
from milp_lth.source import Source
from milp_lth.targets.named import load_data
from milp_lth.theory.median_error import median_error_of_products
from milp_lth.ticket import Ticket
from milp_lth.value_kinds import fits

if TYPE_CHECKING:
    from milp_lth.targets.data import Data

CLOSEST: dict[str, Any] = {"objective": "closest"}
SPARSEST: dict[str, Any] = {"objective": "sparsest", "tolerance": 0.01}

MAX_DIFFERENCE = 0.001
"""Of the accuracies of ticket and target: 0.1 point."""

CURVE_WIDTHS = (4, 8, 12, 16, 21)
"""Drawn for seed 0 whatever the search found."""

_RECORD = {
    "objective": str, "width": int, "seed": int, "accuracy": float, "target_accuracy": float,
    "agreement": float, "median_error": float,
}  # fmt: skip
_MAX_WIDTH = 48
_FORWARD = 1000  # inputs on which folded and unfolded tickets are compared
_FILE = "widths.json"


class WidthSearch:
    """Tickets of all widths from 1 up, matched, until one is as accurate as the target.

    Accuracies are measured on the training data, by the folded ticket, which is compared with the
    ticket's own forward on 1,000 inputs each time. What was measured is kept in a file.
    """

    def __init__(self, network: Network, data: str, folder: Path, num_seeds: int) -> None:
        self.network = network
        self.num_seeds = num_seeds
        self._data_name = data
        self._path = folder / _FILE
        self._data: Data | None = None
        self.records: list[dict[str, Any]] = []
        if self._path.exists():
            try:
                self.records = json_of(self._path)
            except (OSError, ValueError) as error:
                raise ValueError(f"{self._path}: damaged ({error})") from error
            if not fits(self.records, list[Any]) or not all(
                fits(record, _RECORD) for record in self.records
            ):
                raise ValueError(f"{self._path}: damaged: delete it")

    def smallest_width(
        self, objective: dict[str, Any], on_step: Callable[[str], None] = lambda what: None
    ) -> int:
        """Return the smallest width at which all seeds are within 0.1 point of the target.

        Raises
        ------
        ValueError
            When no width up to 48 is.
        """
        for width in range(1, _MAX_WIDTH + 1):
            if all(self._is_close(objective, width, s, on_step) for s in range(self.num_seeds)):
                return width
        raise ValueError(f"no width up to {_MAX_WIDTH} is within 0.1 point of the target")

    def fill_curve(self, on_step: Callable[[str], None] = lambda what: None) -> None:
        """Measure the widths that are always drawn."""
        for objective in (CLOSEST, SPARSEST):
            for width in CURVE_WIDTHS:
                self._record(objective, width, 0, on_step)

    def theory_width(self, error: float) -> int:
        """Return the width from which on theory's median over all weights is at most `error`."""
        for width in range(1, _MAX_WIDTH + 1):
            if self.theory_median(width) <= error:
                return width
        return _MAX_WIDTH

    def theory_median(self, width: int) -> float:
        """Return the median over all weights of the predicted median error."""
        predicted = []
        for layer in self.network.layers:
            weight = augmented(layer).astype(np.float64)
            scale = scale_for(weight)
            predicted.append(median_error_of_products(weight, width, scale).reshape(-1))
        return float(np.median(np.concatenate(predicted)))

    def _is_close(
        self, objective: dict[str, Any], width: int, seed: int, on_step: Callable[[str], None]
    ) -> bool:
        record = self._record(objective, width, seed, on_step)
        return bool(abs(record["accuracy"] - record["target_accuracy"]) <= MAX_DIFFERENCE)

    def _record(
        self, objective: dict[str, Any], width: int, seed: int, on_step: Callable[[str], None]
    ) -> dict[str, Any]:
        key = {"objective": objective["objective"], "width": width, "seed": seed}
        for record in self.records:
            if all(record[name] == value for name, value in key.items()):
                return record
        on_step(f"width {width}, {key['objective']}, seed {seed}")
        record = key | self._measure(objective, width, seed)
        self.records.append(record)
        write_atomically(self._path, (json.dumps(self.records, indent=1) + "\n").encode())
        return record

    def _measure(self, objective: dict[str, Any], width: int, seed: int) -> dict[str, Any]:
        if self._data is None:
            self._data = load_data(self._data_name, training=True)
        data = self._data
        if data.y is None:
            raise ValueError(f"the data {data.name!r} have no classes: give some that have")
        reduction = reduce(
            self.network,
            Source(seed=seed, width=width),
            objective=RunSettings(**objective).make_objective(),
            input_range=data.input_range,
        )
        masks = [np.zeros(part.shape, np.bool_) for part in reduction.parts]
        errors = []
        for chunk in solve_chunks(reduction):
            chunk.write_to(masks)
            errors.append(chunk.error)
        ticket = assemble(reduction, masks)
        with torch.inference_mode():
            target = self.network.module()(data.x.to(self.network.dtype)).argmax(dim=1)
            logits = folded_logits(ticket, data.x.to(self.network.dtype))
        found = logits.argmax(dim=1)
        return {
            "accuracy": float((found == data.y).double().mean()),
            "target_accuracy": float((target == data.y).double().mean()),
            "agreement": float((found == target).double().mean()),
            "median_error": float(np.median(np.concatenate(errors))),
        }


def folded_logits(ticket: Ticket, x: torch.Tensor) -> torch.Tensor:
    """Return what the folded ticket computes, after a comparison on 1,000 of the inputs.

    Raises
    ------
    ValueError
        When ticket and folded ticket differ by more than rounding.
    """
    folded: torch.Tensor = ticket.fold()(x)
    own = ticket(x[:_FORWARD])
    limit = 1e-5 * float(own.abs().max())
    if float((own - folded[:_FORWARD]).abs().max()) > limit:
        raise ValueError("the folded ticket computes something else than the ticket")
    return folded
