"""The rows of the rivals' table: means over seeds, and differences to the dense networks."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from instances.arrays import BoolArray
from milp_lth.rivals.bench import Rivals
from milp_lth.rivals.found import Point
from milp_lth.rivals.mcnemar import discordant, exact_p, paired_difference
from milp_lth.rivals.methods import METHODS, Entry

COLUMNS = {
    "row": "method",
    "accuracy": "accuracy",
    "difference": "against dense",
    "kept": "kept edges",
    "source_dense": "edges drawn",
    "density": "density",
    "target_seconds": "target, s",
    "search_seconds": "search, s",
    "examples": "examples",
    "training": "trained",
    "converged": "converged",
    "verified": "verified",
}

BRIEFLY = ("row", "accuracy", "difference", "kept", "source_dense", "verified")
"""The columns that fit a terminal."""

_MEANS = ("accuracy", "kept", "source_dense", "target_seconds", "search_seconds", "examples")


def rows(rivals: Rivals) -> list[dict[str, Any]]:
    """Return the rows of the table, once all of them are measured.

    Returns
    -------
    list
        One dict a row: means over the seeds, and what each seed gave under ``seeds``.
        ``difference`` is to the accuracy of the dense networks of the same seeds, between ``low``
        and ``high`` with 95 % confidence, see `milp_lth.rivals.mcnemar`; of a seed ``p`` is that of
        McNemar's exact test.
    """
    dense = rivals.right(rivals.entries[0])
    return [_row(rivals, entry, dense) for entry in rivals.entries]


def curve(rivals: Rivals, entry: Entry) -> list[Point]:
    """Return the learning curve of a row: the mean over the seeds."""
    curves = [one.curve for one in rivals.measured(entry)]
    return [Point(int(x), y, z) for x, y, z in np.mean(curves, axis=0)] if curves[0] else []


def _row(rivals: Rivals, entry: Entry, dense: BoolArray) -> dict[str, Any]:
    measured, right = rivals.measured(entry), rivals.right(entry)
    seeds = []
    for one, mine, reference in zip(measured, right, dense, strict=True):
        better, worse = discordant(mine, reference)
        stated = one._asdict()
        del stated["row"], stated["classes"], stated["sha256"]
        seeds.append(
            stated
            | {
                "difference": (better - worse) / len(mine),
                "discordant": [better, worse],
                "p": exact_p(better, worse),
            }
        )
    reference_itself = entry == rivals.entries[0]
    difference = paired_difference(right, dense)
    means = {name: float(np.mean([getattr(one, name) for one in measured])) for name in _MEANS}
    return {
        "row": entry.name,
        "method": entry.method,
        "value": entry.value,
        **means,
        "density": means["kept"] / means["source_dense"],
        "training": measured[0].training,
        "needs_training": METHODS[entry.method].trained,
        "converged": all(one.converged for one in measured),
        "verified": all(one.verified for one in measured),
        "extra": {
            name: float(np.mean([one.extra[name] for one in measured]))
            for name in measured[0].extra
        },
        "difference": difference.difference,
        "low": None if reference_itself else difference.low,
        "high": None if reference_itself else difference.high,
        "seeds": seeds,
    }


def cells(row: dict[str, Any], columns: Iterable[str] = COLUMNS, *, digits: int = 2) -> list[str]:
    """Return a row's values as text, in the order of `columns`; differences with `digits`."""
    return [_text(name, row, digits) for name in columns]


def _text(name: str, row: dict[str, Any], digits: int) -> str:
    value = row[name]
    if name == "difference":
        if row["low"] is None:
            return "–"
        ends = (f"{100 * end:+.{digits}f}" for end in (value, row["low"], row["high"]))
        return "{} [{}, {}]".format(*(end.replace("-", "−") for end in ends))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if name in ("accuracy", "density"):
        return f"{100 * value:.2f} %"
    return f"{value:,.1f}" if name.endswith("seconds") else f"{value:,.0f}"


def notes(rows: list[dict[str, Any]]) -> list[str]:
    """Say what single methods have to say beside the table."""
    return [
        f"{row['row']}: {_told(name, value)}."
        for row in rows
        for name, value in row["extra"].items()
    ]


def _told(name: str, value: float) -> str:
    words = name.replace("_", " ")
    return f"{words} {100 * value:.2f} %" if name.endswith("accuracy") else f"{words} {value:.3g}"
