"""What a run's figures look like: pages and tables are made of them as they were recorded."""

from typing import Any

from milp_lth.value_kinds import fits
from solvers.solution import Status

_SHARE = float | None
_COUNTS = {status.name: int for status in Status}
_BESIDE: dict[str, Any] = {
    "accuracy": _SHARE,
    **dict.fromkeys(
        ("agreement", "max_logit_error", "per_weight", "max_error", "median_error", "sum_error"),
        float,
    ),
    "output_errors": list[float],
}

_ALWAYS: dict[str, Any] = {
    "target": {"accuracy": _SHARE},
    "ticket": {
        "accuracy": _SHARE,
        **dict.fromkeys(("agreement", "max_logit_error", "mean_logit_error", "max_logit"), float),
    },
    "edges": {
        **dict.fromkeys(("source_dense", "source_block", "kept_u", "kept_v", "alive"), int),
        "per_weight": float,
    },
    "status": _COUNTS,
    "within_tolerance": int,
    "out_of_tolerance": int,
    "weights": {"num_rows": int, "max_error": float, "median_error": float},
    "layers": list[dict[str, Any]],
    "widths": list[dict[str, Any]],
    "seconds": {"solve": float, "total": float},
}
"""Of a run that is finished."""

_SOMETIMES: dict[str, Any] = {
    "seconds": dict[str, float],
    "status": dict[str, int],
    "redrawn": {"rows": int, "draws": int},
    "left_dense": list[dict[str, Any]],
    "untraced": str,
    "coupling": list[dict[str, Any]],
    "beside": {"coupled": _BESIDE, "independent": _BESIDE},
    "digests": dict[str, str],
}

_PARTS: dict[str, Any] = {
    "layers": {
        "name": str,
        **dict.fromkeys(("max_error", "median_error", "max_half_difference"), float),
    },
    "widths": {"width": int, "accuracy": _SHARE, "agreement": float},
    "left_dense": {"name": str, "kind": str, "num_weights": int, "elementwise": bool},
    "coupling": {"layer": str, "status": _COUNTS},
}
"""Of every entry of a list."""

_BUDGETED: dict[str, Any] = {
    "per": str | None,
    "task": str,
    "objective": list[float],
    "bound": list[float],
}


def check_figures(figures: dict[str, Any], *, finished: bool) -> None:
    """Look whether every figure is of the kind that those who show it take for granted.

    Parameters
    ----------
    figures
        By name, as recorded.
    finished
        Whether all figures of a run must be there.

    Raises
    ------
    ValueError
        When one is missing or of another kind; it is named.
    """
    for name in _ALWAYS if finished else ():
        if name not in figures:
            raise ValueError(f"{name} is missing")
    for name, value in figures.items():
        kinds = [kinds[name] for kinds in (_ALWAYS, _SOMETIMES) if name in kinds]
        parts = value if name in _PARTS and isinstance(value, list) else ()
        if not (
            all(fits(value, kind) for kind in kinds)
            and all(fits(part, _PARTS[name]) for part in parts)
            and (name != "coupling" or _same_tasks(value))
        ):
            raise ValueError(f"{name} is not what it should be")
    if "beside" in figures and finished:
        counts = {len(one["output_errors"]) for one in figures["beside"].values()}
        if counts != {len(figures["layers"])} or len(figures["beside"]) != 2:
            raise ValueError("beside is not what it should be")


def _same_tasks(coupling: list[dict[str, Any]]) -> bool:
    """Whether what is coupled is there, and all of it with a task, or nothing."""
    budgeted = [one for one in coupling if "task" in one]
    return bool(coupling) and (
        not budgeted
        or (len(budgeted) == len(coupling) and all(fits(one, _BUDGETED) for one in budgeted))
    )
