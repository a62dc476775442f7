"""The constants of the theorems, calibrated beforehand, and the file that they lie in."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_type_hints

from instances.files import write_atomically
from instances.plain_files import json_of
from milp_lth.value_kinds import fits

FORMAT = "constants/1"
FILE = "constants.json"
DEFAULT_TRIALS = 2000
"""Trials at the accuracy 0.01; as many times more as the accuracy is finer."""

_PACKAGED = Path(__file__).with_name(FILE)


@dataclass(frozen=True)
class Sweep:
    """What was drawn and solved at one accuracy.

    Attributes
    ----------
    accuracy
        ε of the event; where draws lie on a grid, its step.
    size
        How many candidates are kept; None: any number.
    share
        The probability that is asked of the event.
    trials
        How many were drawn.
    successes
        Pairs of a number of candidates and the trials that it was enough for.
    least, low, high
        The fewest candidates with successes in that share of the trials; the ends of the 95 %
        interval of that number, by Clopper and Pearson.
    """

    accuracy: float
    size: int | None
    share: float
    trials: int
    successes: tuple[tuple[int, int], ...]
    least: int
    low: int
    high: int


@dataclass(frozen=True)
class Constant:
    """A constant of a theorem: the least that holds at all accuracies that were tried.

    Attributes
    ----------
    name
        That of the event, see `milp_lth.theory.calibrated.EVENTS`.
    law, event
        Where it stands, and what was counted, in words.
    value, low, high
        The estimate and its 95 % interval.
    sweeps
        What it was taken from.
    """

    name: str
    law: str
    event: str
    value: float
    low: float
    high: float
    sweeps: tuple[Sweep, ...]

    @property
    def finest(self) -> float:
        """The finest accuracy that was tried: beyond it the law is extrapolated."""
        return min(sweep.accuracy for sweep in self.sweeps)

    def described(self) -> str:
        """Return the estimate and its interval in a few letters."""
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"

    def agrees(self, other: "Constant") -> bool:
        """Whether the intervals of two calibrations meet."""
        return self.low <= other.high and other.low <= self.high


def load_constants(path: Path | None = None) -> dict[str, Constant]:
    """Read constants, those that come with the package if no file is named.

    Parameters
    ----------
    path
        What `write_constants` wrote.

    Returns
    -------
    dict
        By name.

    Raises
    ------
    ValueError
        When the file cannot be read or is something else.
    """
    path = _PACKAGED if path is None else path
    try:
        stated = json_of(path)
        if stated["format"] != FORMAT:
            raise ValueError(f"of the format {stated['format']}, not {FORMAT}")
        return {one["name"]: _read(one) for one in stated["constants"]}
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path}: no file of constants: write one with milp-lth bounds --calibrate --out DIR"
        ) from error


def write_constants(constants: Sequence[Constant], path: Path, *, seed: int, trials: int) -> None:
    """Write constants and what they were taken from."""
    command = f"milp-lth bounds --calibrate --trials {trials} --seed {seed}"
    lines = ",\n".join(json.dumps(asdict(one), ensure_ascii=False) for one in constants)
    head = f'"format": "{FORMAT}",\n"command": "{command}",\n"constants": [\n'
    write_atomically(path, f"{{\n{head}{lines}\n]\n}}\n".encode())


def _read(stated: Mapping[str, Any]) -> Constant:
    sweeps = tuple(
        Sweep(**one | {"successes": tuple((n, count) for n, count in one["successes"])})
        for one in stated["sweeps"]
    )
    constant = Constant(**dict(stated) | {"sweeps": sweeps})
    for one in (constant, *sweeps):
        if not fits(vars(one), get_type_hints(type(one))):
            raise TypeError(f"{one} is none")
    return constant
