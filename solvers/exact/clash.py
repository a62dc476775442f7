"""Loading OR-Tools and PuLP in one process, where highspy may stand in the way.

The wheels of ortools 9.15 and highspy from 1.15 on both bring a libhighs of the same name:
whichever is loaded second fails. PuLP imports highspy where it is installed and does without it
where that fails; so OR-Tools goes first. https://github.com/google/or-tools/issues/5246
"""

import sys
from importlib.util import find_spec
from typing import Any


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
    """Import PuLP, after OR-Tools where PuLP would load highspy."""
    if find_spec("highspy") is not None and "highspy" not in sys.modules:
        import_cp_model()
    import pulp

    return pulp


def import_mathopt() -> Any:
    """Import OR-Tools' MathOpt."""
    import_cp_model()  # the same library: where it cannot be loaded, this says why
    from ortools.math_opt.python import mathopt

    return mathopt
