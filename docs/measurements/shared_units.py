"""Print how many hidden units digits-mlp needs when its weights share them.

python docs/measurements/shared_units.py
"""

import time

from milp_lth import Source, assemble, evaluate, get_solver, load_named_target, reduce
from milp_lth.shared_units import prune_units

target, data = load_named_target("digits-mlp")
reduction = reduce(target, Source(width=24), input_range=data.input_range)

print("| ε | drawn | alone | solver | shared | at least | edges alone | edges | missed | agreement"
      " | s |")  # fmt: skip
print("|---" * 11 + "|")
for name in ("shared-units", "unit-sets"):  # compilation is not on the clock
    prune_units(reduction, 0.5, solver=name)
for tolerance in (0.01, 0.02, 0.05, 0.1):
    for name in ("shared-units", "unit-sets"):
        began = time.perf_counter()
        pruned = prune_units(reduction, tolerance, solver=get_solver(name))
        seconds = time.perf_counter() - began
        found = evaluate(assemble(reduction, pruned.masks), target, data.x, data.y)
        numbers = [
            pruned.total(number)
            for number in ("num_units", "bound", "edges_alone", "edges", "num_missed")
        ]
        print(
            f"| {tolerance} | {pruned.total('num_drawn')} | {pruned.total('num_alone')} | `{name}` "
            f"| {' | '.join(f'{number:,}' for number in numbers)} "
            f"| {100 * found.agreement:.2f} % | {seconds:.1f} |"
        )
