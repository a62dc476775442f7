"""Make the golden instances: optima by trying all subsets, in integers, with numpy alone."""

from pathlib import Path

import numpy as np

from instances.files import save_instance
from instances.generate import product_family, uniform_family
from instances.subset_sum import SubsetSum

HERE = Path(__file__).parent
UNIT = 2.0**-46


def optimum(coefficients: np.ndarray, target: float) -> float:
    """Return the least error over all 2^n subsets; sums are exact in 64-bit integers."""
    sums = np.zeros(1, np.int64)
    for a in (coefficients / UNIT).astype(np.int64):
        sums = np.concatenate([sums, sums + a])
    below, above = sums[sums * UNIT <= target], sums[sums * UNIT >= target]
    nearest = (below.max(initial=-(2**62)), above.min(initial=2**62))
    return min(abs(target - s * UNIT) for s in nearest)


def make(name: str, instance: SubsetSum, num_rows: int) -> None:
    """Keep the first rows whose optimum is below 1e-7."""
    rows, optima = [], []
    for b in range(len(instance)):
        least = optimum(instance.coefficients[b], float(instance.targets[b]))
        if least < 1e-7:
            rows.append(b)
            optima.append(least)
        if len(rows) == num_rows:
            break
    chosen = SubsetSum(instance.coefficients[rows], instance.targets[rows])
    save_instance(chosen, HERE / f"{name}.json")
    (HERE / f"{name}.opt").write_text("\n".join(o.hex() for o in optima) + "\n")


if __name__ == "__main__":
    make("uniform-18", uniform_family(2000, 18, seed=101, target_range=0.3), 5)
    make("product-20", product_family(200, 20, seed=102, target_range=0.3), 3)
    make("uniform-22", uniform_family(100, 22, seed=103, target_range=0.3), 1)
