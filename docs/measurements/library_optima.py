"""Prove the optima of the instance library and write them to instances/library/optima.solu.

python docs/measurements/library_optima.py [SET…]

Without a SET all are proved; with some, the others stay as they are written.

Coupled programs are proved by coupled_optima.py. Every other row is solved by meet-in-the-middle,
and proved a second time by the few lines below, which share nothing with the solvers: up to 28
candidates by enumeration, all masks in whole numbers; beyond that by halves, every sum of one half
looked up among the sorted sums of the other. A seeded sample of the rows of 21 to 28 candidates is
proved a third time by CP-SAT, where a minute suffices. Where two methods disagree, nothing is
written.
"""

import random
import sys
import time
from fractions import Fraction
from math import floor
from pathlib import Path
from typing import NamedTuple

import coupled_optima
import numpy as np

from instances.library.checksum import checksum
from instances.library.coupled_sets import COUPLED_SETS
from instances.library.named_set import NamedSet
from instances.library.sets import SETS
from instances.library.table import Proven, format_table, parse_table
from milp_lth import Closest, FixedSize, SubsetSum, solve
from milp_lth.library_check import proven_optima

PLACE = Path(__file__).parents[2] / "instances" / "library" / "optima.solu"
HEADING = """\
# Proven optima of the instance library; docs/measurements/library_optima.py writes this file.
#   =set= NAME VERSION CANDIDATES SHA256
#   =opt= NAME ROW OBJECTIVE METHODS
#   =inf= NAME ROW METHODS
# Objectives are whole numbers or hexadecimal floats, errors correctly rounded.
# +gap after a method: the optimum may be less by as much.
"""
ENUMERATED, AT_ONCE = 28, 16  # candidates of a row; those whose sums are held in one array
SAMPLED, SAMPLE, SECONDS = (21, 28), 2, 60.0  # rows for CP-SAT: candidates, per set, time


class Row(NamedTuple):
    """A row in whole numbers, its unavailable candidates left out."""

    coefficients: list[int]
    target: int
    unit: Fraction
    kind: type
    """The type that holds every sum: 64-bit integers, or Python's."""


def whole(instance: SubsetSum, b: int) -> Row:
    """Express a row in the largest unit that all its numbers are multiples of."""
    usable = range(instance.num_candidates)
    if instance.available is not None:
        usable = np.flatnonzero(instance.available[b])
    target = Fraction(float(instance.targets[b]))
    row = [Fraction(float(instance.coefficients[b, k])) for k in usable]
    unit = Fraction(1, max(a.denominator for a in [*row, target]))
    coefficients, goal = [int(a / unit) for a in row], int(target / unit)
    fits = sum(map(abs, coefficients)) + abs(goal) < 2**62
    return Row(coefficients, goal, unit, np.int64 if fits else object)


def all_sums(coefficients: list[int], kind: type) -> tuple[np.ndarray, np.ndarray]:
    """Return the sums of all subsets, and their sizes."""
    sums, sizes = np.zeros(1, kind), np.zeros(1, np.int8)
    for a in coefficients:
        sums = np.concatenate([sums, sums + a])
        sizes = np.concatenate([sizes, sizes + np.int8(1)])
    return sums, sizes


def by_enumeration(instance: SubsetSum, b: int) -> float:
    """Return the optimum of a row by trying all masks; infinity: none is feasible."""
    row = whole(instance, b)
    sums, sizes = all_sums(row.coefficients[:AT_ONCE], row.kind)
    limit = None
    if instance.tolerance is not None:
        limit = floor(Fraction(instance.tolerance) / row.unit)
    best: int | None = None
    for total, size in zip(*all_sums(row.coefficients[AT_ONCE:], row.kind), strict=True):
        found = np.abs(row.target - total - sums)
        if isinstance(instance.objective, FixedSize):
            found = found[sizes == instance.objective.size - size]
        if instance.counts:
            found = sizes[found <= limit] + size
        if len(found) and (best is None or found.min() < best):
            best = int(found.min())
    if instance.counts:
        return float("inf") if best is None else float(best)
    if best is None or (limit is not None and best > limit):
        return float("inf")
    return float(best * row.unit)


def by_halves(instance: SubsetSum, b: int) -> float:
    """Return the least error of a row by looking sums of one half up among those of the other."""
    if instance.objective != Closest():
        raise ValueError(f"{instance.objective}: halves are for the closest sum alone")
    row = whole(instance, b)
    middle = len(row.coefficients) // 2
    one, other = (
        np.sort(all_sums(half, row.kind)[0])
        for half in (row.coefficients[:middle], row.coefficients[middle:])
    )
    wanted = row.target - one
    above = np.searchsorted(other, wanted).clip(1, len(other) - 1)
    error = min(np.abs(wanted - other[above]).min(), np.abs(wanted - other[above - 1]).min())
    return float(int(error) * row.unit)


def prove(named: NamedSet) -> Proven:
    """Prove every row of a set."""
    instance = named.build()
    values = proven_optima(solve(instance, "mitm")).tolist()
    if np.isnan(values).any():
        raise SystemExit(f"{named.name}: a row is not proved; nothing written")
    methods = [["mitm"] for _ in values]
    rows = range(len(values))
    narrow = instance.num_candidates <= ENUMERATED
    for b in rows:
        again = by_enumeration(instance, b) if narrow else by_halves(instance, b)
        confirm(named.name, b, values[b], again)
        methods[b].append("enumeration" if narrow else "halves")
    fewest, most = SAMPLED
    sampled = random.Random(named.name).sample(rows, min(SAMPLE, len(rows)))
    for b in sampled if fewest <= instance.num_candidates <= most else ():
        solution = solve(instance.part(b, b + 1), "cp-sat", time_limit=SECONDS)
        value = float(proven_optima(solution)[0])
        if not np.isnan(value):
            confirm(named.name, b, values[b], value)
            methods[b].append("cp-sat")
    joined = tuple(",".join(used) for used in methods)
    return Proven(
        named.version, instance.num_candidates, checksum(instance), np.array(values), joined
    )


def confirm(name: str, b: int, first: float, second: float) -> None:
    """Stop where two proofs differ."""
    if first != second:
        raise SystemExit(f"{name}, row {b}: proofs of {first!r} and {second!r}; nothing written")


def main() -> None:
    """Prove every set; a set that changed must have a new version."""
    old = parse_table(PLACE.read_text("utf-8")) if PLACE.exists() else {}
    table = {}
    for name, named in SETS.items():
        if len(sys.argv) > 1 and name not in sys.argv[1:]:
            if name in old:
                table[name] = old[name]
            continue
        began = time.perf_counter()
        entry = table[name] = (coupled_optima.prove if named in COUPLED_SETS else prove)(named)
        if name in old and old[name].version == entry.version and old[name].sha256 != entry.sha256:
            raise SystemExit(f"{name} changed under its version {entry.version}: raise it")
        seconds = time.perf_counter() - began
        print(f"{name}: {len(entry.optima)} rows, {seconds:.1f} s", flush=True)
    PLACE.write_text(HEADING + format_table(table), "utf-8")
    used = [methods for entry in table.values() for methods in entry.methods]
    for methods in sorted(set(used)):
        print(f"{methods}: {used.count(methods)} rows")


if __name__ == "__main__":
    main()
