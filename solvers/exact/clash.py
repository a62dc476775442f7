"""Loading OR-Tools and PuLP in one process, where highspy may stand in the way.

The wheels of ortools 9.15 and highspy from 1.15 on both bring a libhighs of the same name:
whichever is loaded second may fail. PuLP imports highspy where it is installed, such that its
HiGHS replaces that of whoever is loaded later; so OR-Tools goes first.
https://github.com/google/or-tools/issues/5246
"""

import contextlib
import sys
from importlib.util import find_spec
from typing import Any

_ORTOOLS = "ortools.sat.python.cp_model"


def import_cp_model() -> Any:
    """Import OR-Tools' CP-SAT.

    Raises
    ------
    ImportError
        When it cannot be loaded; with the cure where highspy is the cause.
    """
    try:
        from ortools.sat.python import cp_model
    except ImportError as error:
        if "highspy" not in sys.modules:
            raise
        raise ImportError(
            "ortools cannot be loaded after highspy in one process: uninstall highspy, install "
            "highspy<1.15, or import milp_lth's solvers before highspy"
        ) from error
    return cp_model


def import_pulp() -> Any:
    """Import PuLP, after OR-Tools where highspy is installed."""
    if find_spec("highspy") is not None:
        with contextlib.suppress(ImportError):  # whoever needs OR-Tools is told; CBC does not
            import_cp_model()
    import pulp

    return pulp


def import_mathopt(engine: str = "") -> Any:
    """Import OR-Tools' MathOpt, to be used with an engine.

    Raises
    ------
    ImportError
        When it cannot be loaded, or that engine would crash the process; with the cure.
    """
    if engine == "HIGHS" and _is_replaced():
        raise ImportError(
            "OR-Tools' HiGHS crashes where highspy is installed and PuLP was imported first: "
            "uninstall highspy, or import ortools.sat.python.cp_model before pulp"
        )
    import_cp_model()  # the same library: where it cannot be loaded, this says why
    from ortools.math_opt.python import mathopt

    return mathopt


def _is_replaced() -> bool:
    """Whether PuLP has offered highspy's library to those that are loaded later, OR-Tools' own."""
    order = [name for name in sys.modules if name in ("pulp", "highspy", _ORTOOLS)]
    return {"pulp", "highspy"} <= set(order) and _ORTOOLS not in order[: order.index("pulp")]
