"""Print how close tickets come to their targets over 20 seeds: the table of docs/measurements.md.

python docs/measurements/seeds.py
"""

import statistics
import time

from milp_lth import evaluate, find_ticket, load_named_target

SETTINGS = [
    ("digits-mlp", "matched", 24),
    ("digits-mlp", "block", 48),
    ("wine-mlp", "matched", (48, 24)),
]

print("| target | assignment | width | max Δlogit: median | worst | ≤ 0.05 | agreement: least |")
print("|---|---|---|---|---|---|---|")
for name, assignment, width in SETTINGS:
    target, data = load_named_target(name)
    results = []
    began = time.perf_counter()
    for seed in range(20):
        ticket = find_ticket(
            target, seed=seed, width=width, assignment=assignment, input_range=data.input_range
        )
        results.append(evaluate(ticket, target, data.x, data.y))
    errors = [result.max_logit_error for result in results]
    within = sum(error <= 0.05 for error in errors)
    agreement = min(result.agreement for result in results)
    print(
        f"| {name} | {assignment} | {width} | {statistics.median(errors):.4f} | {max(errors):.4f} "
        f"| {within} of 20 | {100 * agreement:.2f} % |"
    )
