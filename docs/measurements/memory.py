"""Print what solving keeps in memory while the number of weights grows.

python docs/measurements/memory.py
"""

import subprocess
import sys

MEASURE = """
import resource, sys
import torch
from milp_lth import Source, reduce
from milp_lth.solving import solve_chunks

def megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10

before = megabytes()
target = torch.nn.Linear(1000, int(sys.argv[1]), bias=False)
reduction = reduce(target, Source(width=21), input_range=(0, 1))
for chunk in solve_chunks(reduction):
    pass
print(f"| {reduction.num_rows:,} | {before:,.0f} | {megabytes():,.0f} |")
"""

print("| weights | imports alone, MB | at most, MB |")
print("|---|---|---|")
for outputs in (400, 1600, 6400):
    subprocess.run([sys.executable, "-c", MEASURE, str(outputs)], check=True)
