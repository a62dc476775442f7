"""What is asked of a run."""

import math
from dataclasses import dataclass
from typing import Any, get_type_hints

import torch

from instances.objectives import Closest, FixedSize, Objective, make_objective
from milp_lth.constructions.registry import CONSTRUCTIONS
from milp_lth.coupled import Coupling, DataAware, EdgeLimit
from milp_lth.quantising import check_bits
from milp_lth.solving import CHUNK_ROWS, REMOTE_CHUNK_ROWS, SLOW_CHUNK_ROWS
from milp_lth.source import Source
from milp_lth.targets.named import NAMED_TARGETS
from milp_lth.value_kinds import fits
from solvers.registry import REGISTRY, get_solver
from solvers.select import Auto, on_device
from solvers.solver import Solver

AUTO = "auto"

COUPLED = ("budget", "data-aware")
"""The objectives that couple weights."""


@dataclass(frozen=True)
class RunSettings:
    """What is asked of a run; the fields are the command line's options.

    What is left empty and belongs to a construction, such as the objective, is filled in.

    Raises
    ------
    ValueError
        When an option is unknown or out of range.
    """

    target: str = "digits-mlp"
    data: str | None = None
    construction: str = "two-layer"
    width: int | tuple[int, ...] | None = None
    assignment: str | None = None
    distribution: str = ""
    bits: int | None = None
    density: float | None = None
    perturbation: float | None = None
    redraws: int = 0
    target_bits: int | None = None
    objective: str = ""
    tolerance: float | None = None
    size: int | None = None
    budget: int | tuple[int, ...] | None = None
    error_limit: float | tuple[float, ...] | None = None
    measure: str | None = None
    per: str | None = None
    calibration: str | None = None
    norm: str | None = None
    ridge: float | None = None
    input_range: tuple[float, float] | None = None
    input_shape: tuple[int, ...] | None = None
    normalise: tuple[float, float] | None = None
    module: str | None = None
    strict: bool = False
    products: bool = False
    solver: str = AUTO
    time_limit: float | None = None
    seed: int = 0
    device: str = AUTO

    def __post_init__(self) -> None:
        for name in ("target", "data", "calibration", "module", "solver", "device"):
            if not fits(getattr(self, name), str | None):
                raise ValueError(f"--{name} {getattr(self, name)!r}: give a name in Unicode")
        construction = self.source().registered
        if self.assignment is not None and not construction.has_units:
            raise ValueError(f"--construction {self.construction} has no hidden units to assign")
        asked = construction.objective
        if not self.objective:
            fill_in: dict[str, Any] = {"objective": asked.name, "tolerance": asked.tolerance}
            if isinstance(asked, FixedSize):
                fill_in["size"] = asked.size
            for name, value in fill_in.items():
                if not getattr(self, name):
                    object.__setattr__(self, name, value)
        if self.target_bits is None:
            object.__setattr__(self, "target_bits", construction.target_bits)
        if self.target_bits is not None:
            check_bits(self.target_bits)
        self.make_objective()
        self.coupling()
        if self.time_limit is not None and not self.time_limit > 0:
            raise ValueError(f"time limit {self.time_limit}: give a number of seconds above 0")
        if self.input_range is not None:
            low, high = self.input_range
            if not (low <= high and math.isfinite(low) and math.isfinite(high)):
                raise ValueError(
                    f"input range {low} to {high}: give two finite numbers, lower first"
                )

        if self.input_shape is not None and min(self.input_shape) < 1:
            raise ValueError(f"--input-shape {self.input_shape}: give whole numbers above 0")
        if self.normalise is not None:
            mean, deviation = self.normalise
            if not (math.isfinite(mean) and math.isfinite(deviation) and deviation > 0):
                raise ValueError(
                    f"--normalise {mean} {deviation}: give a mean, and a deviation above 0"
                )

    def source(self) -> Source:
        """Return what the random network is drawn from."""
        return Source(
            seed=self.seed,
            width=self.width,
            construction=self.construction,
            distribution=self.distribution,
            bits=self.bits,
            density=self.density,
            perturbation=self.perturbation,
            redraws=self.redraws,
        )

    def data_name(self) -> str | None:
        """Return what a run is judged by, as `load_data` takes it; None: random inputs."""
        return self.data or NAMED_TARGETS.get(self.target, (None, None))[1]

    def coupling(self) -> Coupling | None:
        """Return what couples the weights, if anything does."""
        self._check_belonging()
        if self.objective in COUPLED and not CONSTRUCTIONS[self.construction].couples:
            takers = [name for name, entry in CONSTRUCTIONS.items() if entry.couples]
            raise ValueError(
                f"--objective {self.objective} is for the constructions {', '.join(takers)}"
            )
        if self.objective == "budget":
            if (self.budget is None) == (self.error_limit is None):
                raise ValueError(
                    "--objective budget needs a --budget, the most edges to keep, or an "
                    "--error-limit: one of the two"
                )
            return EdgeLimit(
                self.budget, self.measure or "sum", self.error_limit, self.per or "network"
            )
        if self.objective != "data-aware":
            return None
        if self.norm not in (None, "1", "2", "inf"):
            raise ValueError(f"--norm {self.norm}: choose 1, 2 or inf")
        ridge = DataAware.ridge if self.ridge is None else self.ridge
        return DataAware(float(self.norm or 2), ridge, self.budget)

    def _check_belonging(self) -> None:
        """Refuse options of another objective."""
        belongs = {
            "budget": ("budget", "data-aware"), "error_limit": ("budget",),
            "measure": ("budget",), "per": ("budget",), "calibration": ("data-aware",),
            "norm": ("data-aware",), "ridge": ("data-aware",),
        }  # fmt: skip
        for name, objectives in belongs.items():
            if getattr(self, name) is not None and self.objective not in objectives:
                raise ValueError(
                    f"--{name.replace('_', '-')} belongs to --objective {' or '.join(objectives)}"
                )

    def make_objective(self) -> Objective:
        """Return what is asked of every weight; where they are coupled, what each is judged by."""
        if self.objective in COUPLED:
            if self.tolerance is not None or self.size is not None:
                raise ValueError(f"--objective {self.objective} takes no --tolerance and no --size")
            return Closest()
        return make_objective(self.objective, tolerance=self.tolerance, size=self.size)

    def make_solver(self) -> Solver:
        """Return who decides, on the device that is asked for."""
        name: str | None = self.solver
        if name == AUTO:
            name = CONSTRUCTIONS[self.construction].solver_for(self.objective)
        return Auto(self.device) if name is None else on_device(get_solver(name), self.device)

    def chunk_rows(self, *, elsewhere: bool = False) -> int:
        """Return how many rows are solved and recorded together, here or `elsewhere`."""
        if self.one_by_one():
            return SLOW_CHUNK_ROWS
        return REMOTE_CHUNK_ROWS if elsewhere else CHUNK_ROWS

    def one_by_one(self) -> bool:
        """Whether the solver that is named takes one row after the other."""
        return self.solver != AUTO and not REGISTRY[self.solver].batched

    def make_device(self) -> torch.device:
        """Return where the networks are run."""
        name = self.device
        if name == AUTO:
            name = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            device = torch.device(name)
            torch.zeros(1, device=device).tolist()  # which a device that only plans cannot
        except (RuntimeError, AssertionError) as error:
            raise ValueError(
                f"device {name!r} cannot be used: {str(error).splitlines()[0]}"
            ) from error
        return device


def read_settings(stated: Any) -> RunSettings:
    """Return the settings that a file states.

    Raises
    ------
    ValueError
        When it states others, or values of another kind or out of range.
    """
    if not isinstance(stated, dict):
        raise ValueError("no settings")
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in stated.items()
    }
    kinds = get_type_hints(RunSettings)
    for name, value in fields.items():
        if name not in kinds or not fits(value, kinds[name]):
            raise ValueError(f"the setting {name!r} is not what it should be")
    return RunSettings(**fields)
