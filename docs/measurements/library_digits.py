"""Store rows of digits-mlp for the instance library, in instances/library/digits-mlp.npz.

python docs/measurements/library_digits.py
"""

from pathlib import Path

import numpy as np

from milp_lth import Source, SubsetSum, load_named_target, reduce, save_instance

NUM_ROWS = 18  # of each layer, evenly spaced among its weights
PLACE = Path(__file__).parents[2] / "instances" / "library" / "digits-mlp.npz"

target, data = load_named_target("digits-mlp")
reduction = reduce(
    target, Source(seed=0, width=24), assignment="matched", input_range=data.input_range
)
rows = []
for part in reduction.parts:
    for b in np.linspace(0, len(part) - 1, NUM_ROWS).astype(int).tolist():
        rows.append(part.instance(b, b + 1))
    print(f"{part.name}: {NUM_ROWS} of {len(part):,} rows of {part.shape[1]} candidates")
assert all(row.available is None for row in rows)
coefficients = np.concatenate([row.coefficients for row in rows])
save_instance(SubsetSum(coefficients, np.concatenate([row.targets for row in rows])), PLACE)
print(f"{PLACE.name}: {PLACE.stat().st_size:,} bytes")
