"""Print what data-aware pruning brings beside independent sums of the same random network.

python docs/measurements/data_aware.py [NETWORK.pt DATA_FOLDER]

Without a network: the digits classifier. Direct construction, exactly n candidates per weight, five
seeds, calibration on the training part (its first 20,000 inputs), errors and accuracies on the test
part. The last lines are the smallest n whose tickets come within 0.3 point of the target.
"""

import sys
import time

import numpy as np

from milp_lth import DataAware, Source, assemble, evaluate, load_named_target, load_target, reduce
from milp_lth.calibration import load_calibration
from milp_lth.coupled_solving import coupled_masks
from milp_lth.data_aware import output_errors
from milp_lth.solving import solve_masks
from milp_lth.targets.named import load_data

SEEDS = range(5)
WITHIN = 0.003

if len(sys.argv) > 2:
    name = sys.argv[2]
    target, data = load_target(sys.argv[1]), load_data(name)
else:
    name = "digits"
    target, data = load_named_target("digits-mlp")
x = load_calibration(None, data, name).x
accuracy = evaluate(
    assemble(r := reduce(target, Source(width=21, construction="direct"),
                         input_range=data.input_range), solve_masks(r)),
    target, data.x, data.y,
).target_accuracy  # fmt: skip
print(
    f"target {100 * accuracy:.2f} %; {len(x):,} calibration inputs, {len(data.x):,} test inputs\n"
)
print("| n | independent | data-aware | agreement | layer error², independent / data-aware "
      "| weight error, median | seconds |")  # fmt: skip
print("|---|---|---|---|---|---|---|")

reached = {}
for n in range(3, 13):
    rows = []
    for seed in SEEDS:
        reduction = reduce(
            target, Source(seed=seed, width=n, construction="direct"), input_range=data.input_range
        )
        alone = solve_masks(reduction)
        began = time.perf_counter()
        masks = coupled_masks(reduction, DataAware(), x)
        seconds = time.perf_counter() - began
        found = [evaluate(assemble(reduction, m), target, data.x, data.y) for m in (alone, masks)]
        ratio = np.square(np.divide(*(output_errors(reduction, m, data.x) for m in (alone, masks))))
        medians = [max(layer.median_error for layer in one.layers) for one in found]
        rows.append((*(f.ticket_accuracy for f in found), *(f.agreement for f in found), *ratio,
                     *medians, seconds))  # fmt: skip
    mean = np.mean(rows, axis=0)
    ratios = " / ".join(f"{value:.1f}" for value in mean[4:-3])
    print(f"| {n} | {100 * mean[0]:.2f} % | {100 * mean[1]:.2f} % "
          f"| {100 * mean[2]:.2f} → {100 * mean[3]:.2f} % | {ratios} "
          f"| {mean[-3]:.1e} → {mean[-2]:.1e} | {mean[-1]:.1f} |", flush=True)  # fmt: skip
    for name, value in zip(("independent", "data-aware"), mean, strict=False):
        if value >= accuracy - WITHIN:
            reached.setdefault(name, n)
    if len(reached) == 2:
        break
print()
for name, n in reached.items():
    print(f"{name}: within {100 * WITHIN:.1f} point of the target from n = {n} on")
