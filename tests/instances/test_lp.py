"""LP text: every number exactly, no long line, and CBC solves it to the same optimum."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from other_programs import OBJECTIVES, mask_of, solve_with_cbc, whole_instance

from instances.lp import to_lp
from instances.milp import MILP
from instances.objectives import FixedSize, Objective
from instances.subset_sum import SubsetSum
from solvers.solve import solve

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
TERM = re.compile(r"([+-]) (\S+) ([xz][0-9]+)")


@pytest.mark.parametrize("objective", OBJECTIVES, ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_cbc_finds_the_same_optimum(tmp_path: Path, objective: Objective, seed: int) -> None:
    instance = whole_instance(objective, seed)
    reference = solve(instance, "mitm")
    path = tmp_path / "row.lp"
    path.write_text(to_lp(instance.milp(0)))
    values = solve_with_cbc(path)
    assert (values is not None) == reference.feasible[0]
    if values is not None:
        found, violation = instance.evaluate(mask_of(values, instance.num_candidates))
        assert (found, violation) == (reference.objective, 0)


def sums_of(text: str) -> dict[str, tuple[dict[str, float], str]]:
    """Read the named sums of LP text: their terms, and what stands behind them."""
    body = text[text.index("obj:") : re.search("Bounds|Binaries|Generals|End", text).start()]  # type: ignore[union-attr]
    parts = re.split(r"(\w+):", body.replace("Subject To", ""))[1:]
    sums = {}
    for name, part in zip(parts[::2], parts[1::2], strict=True):
        terms = {v: float(sign + number) for sign, number, v in TERM.findall(part)}
        sums[name] = (terms, " ".join(TERM.sub("", part).split()))
    return sums


@given(arrays(np.float64, 7, elements=FLOATS), FLOATS)
def test_every_number_is_there_exactly(coefficients: np.ndarray, target: float) -> None:
    instance = SubsetSum(coefficients[None], [target], FixedSize(3))
    text = to_lp(instance.milp(0))
    terms = {f"x{k}": value for k, value in enumerate(coefficients.tolist())}
    assert sums_of(text) == {
        "obj": ({"z0": 1.0}, ""),
        "r0": (terms | {"z0": 1.0}, f">= {target!r}"),
        "r1": (terms | {"z0": -1.0}, f"<= {target!r}"),
        "count2": (dict.fromkeys(terms, 1.0), "= 3.0"),
    }
    assert max(map(len, text.splitlines())) <= 255


def test_long_rows_are_wrapped_and_read(tmp_path: Path) -> None:
    n = 400
    weights = np.full((1, n), 100.0)
    weights[0, -2:] = [-1.25, 7.75]
    instance = SubsetSum(weights, [6.5], FixedSize(2))
    text = to_lp(instance.milp(0))
    assert max(map(len, text.splitlines())) < 255
    path = tmp_path / "row.lp"
    path.write_text(text)
    values = solve_with_cbc(path)
    assert values is not None
    assert np.flatnonzero(mask_of(values, n)[0]).tolist() == [n - 2, n - 1]


def test_all_kinds_of_rows_and_variables(tmp_path: Path) -> None:
    """Minimise y − w + i, each held by a bound or row of another kind."""
    inf = np.inf
    milp = MILP(
        c=np.array([1.0, -1.0, 1.0, 0.0, 0.0]),
        rows=np.array([0, 1, 1, 3]),
        columns=np.array([0, 1, 2, 2]),
        values=np.array([2.0, 1.0, 0.0, 1.0]),
        row_lower=np.array([-7.0, -inf, -inf, -2.5, -1.0]),
        row_upper=np.array([9.0, 4.5, inf, 8.0, 1.0]),
        lower=np.array([-inf, -inf, -inf, 2.0, -1.0]),
        upper=np.array([inf, 6.0, inf, 2.0, inf]),
        integer=np.array([False, False, True, True, False]),
        counts=np.zeros(5, np.bool_),
        mask_columns=np.array([], np.int64),
    )
    path = tmp_path / "row.lp"
    path.write_text(to_lp(milp))
    values = solve_with_cbc(path)
    assert values is not None
    assert [values[f"z{k}"] for k in range(4)] == [-3.5, 4.5, -2, 2]
    assert "r2" not in path.read_text()  # a row without bounds


GOOD = SubsetSum([[0.5, 0.25]], [0.4]).milp(0)


@pytest.mark.parametrize("name", ["", "a\nb", "a" * 101])
def test_names_that_are_no_comment_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="one line of 1 to 100"):
        to_lp(GOOD, name)


def test_what_text_cannot_state_is_refused() -> None:
    with pytest.raises(ValueError, match="add them up"):
        to_lp(replace(GOOD, columns=GOOD.columns * 0))
    empty = replace(
        GOOD, c=GOOD.c[:0], rows=GOOD.rows[:0], columns=GOOD.columns[:0], values=GOOD.values[:0]
    )
    with pytest.raises(ValueError, match="write MPS"):
        to_lp(empty)
