"""MPS text: read back exactly, read by others, refused where it is damaged."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from other_programs import (
    OBJECTIVES,
    mask_of,
    read_with_or_tools,
    read_with_pulp,
    solve_with_cbc,
    solve_with_or_tools,
    solve_with_pulp,
    whole_instance,
)

from instances.milp import MILP
from instances.mps import from_mps, to_mps
from instances.objectives import Closest, FixedSize, Objective, Sparsest
from instances.subset_sum import SubsetSum
from solvers.solve import solve

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
TOLERANCES = st.floats(min_value=0, allow_infinity=False)
ASKED = st.one_of(
    st.just(Closest()),
    st.builds(Sparsest, TOLERANCES),
    st.builds(FixedSize, st.integers(0, 8)),
)


@st.composite
def subset_sums(draw: st.DrawFn) -> SubsetSum:
    n = draw(st.integers(0, 6))
    available = draw(st.none() | arrays(np.bool_, (1, n)))
    coefficients = draw(arrays(np.float64, (1, n), elements=FLOATS))
    return SubsetSum(coefficients, [draw(FLOATS)], draw(ASKED), available)


@st.composite
def programs(draw: st.DrawFn) -> MILP:
    """Any program: free rows, ranges, empty columns, a permuted mask, every kind of bound."""
    num_rows, num_columns = draw(st.integers(0, 4)), draw(st.integers(1, 6))
    places = draw(st.sets(st.integers(0, num_rows * num_columns - 1))) if num_rows else set()
    others = draw(st.integers(0, num_columns))
    order = draw(st.permutations(range(num_columns)))
    mask_columns = np.array(order[others:], np.int64)
    at = np.array(sorted(places), np.int64)
    at = at[np.lexsort((at, ~np.isin(at % num_columns, mask_columns)))]
    ends = st.sampled_from([-np.inf, np.inf, 0.0, -0.0, 1.0]) | FLOATS
    row_bounds = [draw(st.tuples(ends, ends)) for _ in range(num_rows)]
    bounds = [draw(st.tuples(ends, ends)) for _ in range(num_columns)]
    return MILP(
        c=draw(arrays(np.float64, num_columns, elements=FLOATS)),
        rows=at // num_columns,
        columns=at % num_columns,
        values=draw(arrays(np.float64, len(at), elements=FLOATS)),
        row_lower=np.array([_sorted(b)[0] for b in row_bounds], np.float64),
        row_upper=np.array([_sorted(b)[1] for b in row_bounds], np.float64),
        lower=np.array([_sorted(b)[0] for b in bounds], np.float64),
        upper=np.array([_sorted(b)[1] for b in bounds], np.float64),
        integer=draw(arrays(np.bool_, num_columns)),
        counts=draw(arrays(np.bool_, num_rows)),
        mask_columns=mask_columns,
    )


def _sorted(bounds: tuple[float, float]) -> tuple[float, float]:
    lower, upper = min(bounds), max(bounds)
    return (-np.inf if lower == np.inf else lower), (np.inf if upper == -np.inf else upper)


def assert_same(one: MILP, other: MILP) -> None:
    for field in fields(MILP):
        a, b = np.asarray(getattr(one, field.name)), np.asarray(getattr(other, field.name))
        assert (a.dtype, a.shape) == (b.dtype, b.shape), field.name
        assert a.tobytes() == b.tobytes(), field.name


@given(subset_sums())
def test_subset_sums_are_read_back_bit_for_bit(instance: SubsetSum) -> None:
    milp = instance.milp(0)
    assert_same(from_mps(to_mps(milp)), milp)


@given(programs())
def test_any_program_is_read_back_bit_for_bit(milp: MILP) -> None:
    assert_same(from_mps(to_mps(milp, "any.program-1_a")), milp)


def test_the_order_of_entries_does_not_matter(rng: np.random.Generator) -> None:
    milp = SubsetSum(rng.normal(size=(1, 9)), [0.3], FixedSize(4)).milp(0)
    mixed = rng.permutation(len(milp.values))
    other = replace(
        milp, rows=milp.rows[mixed], columns=milp.columns[mixed], values=milp.values[mixed]
    )
    assert to_mps(other) == to_mps(milp)


def rows_of(milp: MILP) -> list[tuple[dict[int, float], float, float]]:
    """State every row by its entries and its bounds; one with two bounds as two rows."""
    rows = []
    for i, (lower, upper) in enumerate(zip(milp.row_lower, milp.row_upper, strict=True)):
        at = milp.rows == i
        entries = dict(zip(milp.columns[at].tolist(), milp.values[at].tolist(), strict=True))
        if lower == upper or np.isinf(lower) or np.isinf(upper):
            rows.append((entries, lower, upper))
        else:
            rows += [(entries, lower, np.inf), (entries, -np.inf, upper)]
    return rows


@given(subset_sums())
def test_or_tools_reads_the_same_numbers(instance: SubsetSum) -> None:
    milp = instance.milp(0)
    model = read_with_or_tools(to_mps(milp)).export_to_proto()
    names = [v.name for v in model.variable]
    n = instance.num_candidates
    assert names == [f"x{k}" for k in range(n)] + ["z0"] * (len(milp.c) - n)
    assert [v.objective_coefficient for v in model.variable] == milp.c.tolist()
    assert [v.lower_bound for v in model.variable] == milp.lower.tolist()
    assert [v.upper_bound for v in model.variable] == milp.upper.tolist()
    assert [v.is_integer for v in model.variable] == milp.integer.tolist()
    read = [
        (dict(zip(r.var_index, r.coefficient, strict=True)), r.lower_bound, r.upper_bound)
        for r in model.constraint
    ]
    for entries, *_ in (stated := rows_of(milp)):
        for j in [j for j, value in entries.items() if value == 0]:
            del entries[j]  # OR-Tools keeps no zeros
    assert read == stated


@given(instance=subset_sums())
def test_pulp_reads_the_same_numbers(
    tmp_path_factory: pytest.TempPathFactory, instance: SubsetSum
) -> None:
    milp = instance.milp(0)
    variables, problem = read_with_pulp(to_mps(milp), tmp_path_factory.mktemp("mps"))
    columns = list(variables)
    assert [variables[name].cat == "Integer" for name in columns] == milp.integer.tolist()
    assert [variables[name].lowBound for name in columns] == milp.lower.tolist()
    upper = [None if b == np.inf else b for b in milp.upper]
    assert [variables[name].upBound for name in columns] == upper
    read = []
    for row in problem.constraints.values():
        entries = {columns.index(v.name): value for v, value in row.items()}
        sides = {0: (-row.constant,) * 2, 1: (-row.constant, np.inf), -1: (-np.inf, -row.constant)}
        read.append((entries, *sides[row.sense]))
    assert read == rows_of(milp)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_other_programs_find_the_same_optimum(
    tmp_path: Path, objective: Objective, seed: int
) -> None:
    instance = whole_instance(objective, seed)
    reference = solve(instance, "mitm")
    text = to_mps(instance.milp(0))
    path = tmp_path / "row.mps"
    path.write_text(text)
    answers = {name: solve_with_or_tools(text, name) for name in ("scip", "highs", "sat")}
    answers |= {"pulp": solve_with_pulp(text, tmp_path), "cbc": solve_with_cbc(path)}
    for name, values in answers.items():
        assert (values is not None) == reference.feasible[0], name
        if values is not None:
            found, violation = instance.evaluate(mask_of(values, instance.num_candidates))
            assert (found, violation) == (reference.objective, 0), name


TEXT = to_mps(
    SubsetSum([[0.5, -0.25, 1e-300]], [0.4], Sparsest(0.125), [[True, False, True]]).milp(0)
)
LONGER = to_mps(SubsetSum([[0.5, -0.25]], [0.4], FixedSize(1)).milp(0))

DAMAGE = {
    "ranges": ("BOUNDS\n", "RANGES\n    rhs  r0  1.0\nBOUNDS\n", "where BOUNDS belongs"),
    "a sense": ("ROWS\n", "OBJSENSE\n    MAX\nROWS\n", "where ROWS belongs"),
    "no name": ("          program", "", "NAME"),
    "something behind": ("ENDATA\n", "ENDATA\nROWS\n", "where nothing belongs"),
    "an unknown row": ("r1", "profit", "is nothing that to_mps writes there"),
    "an unknown kind": (" G  r0", " Q  r0", "'Q r0'"),
    "two kinds": (" G  r0", " GL r0", "'GL r0'"),
    "a row twice": (" L  r1", " L  r0", "'L r0'"),
    "a row out of order": ("r1", "r5", "row r5 of the MPS text stands where r1"),
    "an upper row alone": ("r1", "r1_upper", "row r1_upper of the MPS text does not repeat"),
    "another objective": ("obj", "cost", "'N cost'"),
    "an unknown variable": ("x1", "y1", "'y1 r0"),
    "a gap in the mask": ("x1", "x2", "variable x1 of the MPS text is missing"),
    "a number in the wrong place": ("x0        r0        0.5", "x0        r0", "'x0 r0'"),
    "an entry twice": (
        "    x0        r0        0.5\n", "    x0        r0        0.5\n" * 2, "second entry in r0"
    ),
    "entries apart": (
        "RHS\n", "    x0        obj       1.0\nRHS\n", "entries of x0 do not stand together"
    ),
    "two entries a line": ("    x0        r0        0.5\n", " x0 r0 0.5 r1 0.5\n", "'x0 r0 0.5 r1"),
    "words for a number": (" -0.25", " little", "'little' is no finite number"),
    "a number too large": (" -0.25", " 1e999", "'1e999' is no finite number"),
    "an exponent too large": (" -0.25", " 1e-99999999", "is no finite number"),
    "not a number": (" -0.25", " nan", "'nan' is no finite number"),
    "underscores": (" -0.25", " 1_0", "'1_0' is no finite number"),
    "a missing bound of a row": ("    rhs       r1        0.4\n", "", "the row r1 of the MPS text"),
    "a bound of a row twice": ("rhs       r1", "rhs       r0", "r0 has a second bound"),
    "a bound without a number": (" LO bnd       z0        0.0\n", " LO bnd z0\n", "'LO bnd z0'"),
    "an unknown bound": (" BV bnd       x0", " XX bnd       x0", "'XX bnd x0'"),
    "a missing bound": (" LO bnd       z0        0.0\n", "", "z0 of the MPS text needs both"),
    "a bound twice": (" PL bnd       z0", " UP bnd z0 1\n UP bnd z0 2", "z0 has a second bound"),
    "a broken binary": (" PL bnd       z0", " BV bnd       z0", "outside the markers"),
    "a marker without its end": (
        "    MARKER                 'MARKER'                 'INTEND'\n", "", "without its end"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", DAMAGE)
def test_other_mps_is_refused(case: str) -> None:
    old, new, message = DAMAGE[case]
    assert old in LONGER
    with pytest.raises(ValueError) as caught:
        from_mps(LONGER.replace(old, new))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_upper_row_repeats_the_one_above() -> None:
    assert from_mps(TEXT).row_upper[0] == 0.525
    with pytest.raises(ValueError, match="r0_upper of the MPS text does not repeat"):
        from_mps(TEXT.replace("r0_upper  -0.25", "r0_upper  -0.5"))


@pytest.mark.parametrize("text", [TEXT, LONGER])
def test_torn_text_is_refused(text: str) -> None:
    for length in range(len(text.rstrip())):
        with pytest.raises(ValueError) as caught:
            from_mps(text[:length])
        assert "\n" not in str(caught.value)


def complaint(text: str) -> str:
    try:
        from_mps(text)
    except ValueError as error:
        return str(error)
    return ""


@given(st.sampled_from([TEXT, LONGER]), st.integers(0, 10**6), st.integers(0, 7), st.text())
def test_damaged_text_is_a_program_or_refused(text: str, at: int, bit: int, noise: str) -> None:
    raw = bytearray(text.encode())
    raw[at % len(raw)] ^= 1 << bit
    place = at % len(text)
    for damaged in (raw.decode("latin-1"), text[:place] + noise + text[place:], noise):
        assert "\n" not in complaint(damaged)


GOOD = SubsetSum([[0.5, 0.25]], [0.4]).milp(0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": GOOD.values * np.inf}, "must be finite"),
        ({"c": GOOD.c * np.nan}, "must be finite"),
        ({"row_lower": GOOD.row_upper + 1}, "row 0 of the program has bounds inf and inf"),
        ({"row_upper": GOOD.row_lower - 1}, "row 0 of the program has bounds 0.4 and -0.6"),
        ({"lower": GOOD.upper + 1}, "variable 0 of the program has bounds 2.0 and 1.0"),
        ({"upper": GOOD.upper * np.nan}, "variable 0 of the program has bounds 0.0 and nan"),
        ({"columns": GOOD.columns * 0}, "add them up"),
        ({"mask_columns": np.array([1, 1])}, "name each variable once"),
    ],
)
def test_what_text_cannot_state_is_refused(change: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        to_mps(replace(GOOD, **change))
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["", "two words", "a\nb", "é", "a" * 101])
def test_names_that_mps_cannot_hold_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="give 1 to 100 letters"):
        to_mps(GOOD, name)
