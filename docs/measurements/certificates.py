"""Print how far tickets can be from their targets: proved, found by search, and at random.

python docs/measurements/certificates.py [SECONDS]

SECONDS is the time limit of each exact worst case, 60 without it.
"""

import sys
import time

import numpy as np
import torch

from milp_lth import find_ticket, load_named_target, propagated_bound, worst_case
from milp_lth.certificates.affine import read_pair
from milp_lth.certificates.ascent import ascend, differences
from milp_lth.certificates.propagation import both_ways
from milp_lth.report.markdown import markdown_table

NUM_INPUTS, AT_ONCE = 1_000_000, 10_000
TARGETS = (("digits-mlp", 24), ("wine-mlp", 48))


def random_worst(pair, seed):
    """Return the largest difference at random inputs, half of them corners of the box."""
    rng = np.random.default_rng(seed)
    low, high = pair.box()
    worst = 0.0
    for k in range(NUM_INPUTS // AT_ONCE):
        share = rng.random((AT_ONCE, pair.num_inputs))
        if k % 2:
            share = (share < rng.random((AT_ONCE, 1))).astype(float)
        worst = max(worst, float(np.abs(differences(pair, low + share * (high - low))[1]).max()))
    return worst


def exactly(found):
    """Say what is proved of a worst case."""
    if found.exact:
        return f"{found.lower:.3e}, proved in {found.seconds:.0f} s"
    return f"from {found.lower:.2e} to {found.upper:.2e}"


def small_network(seed):
    """Return a network of 16-16-4 with biases."""
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(16, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4))


def main(seconds):
    """Measure and print."""
    lines = []
    for name, width in TARGETS:
        target, data = load_named_target(name)
        for seed in range(3):
            ticket = find_ticket(target, width=width, seed=seed, input_range=data.input_range)
            bound = propagated_bound(target, ticket).bound
            pair = read_pair(target, ticket)
            on_target, on_error = both_ways(pair.num_outputs)
            climbed = float(ascend(pair, pair.box(), on_target, on_error).values.max())
            random = random_worst(pair, seed)
            assert max(climbed, random) <= bound
            found = worst_case(target, ticket, time_limit=seconds)
            lines.append(
                [f"{name}, width {width}, seed {seed}", f"{bound:.2e}", f"{random:.2e}",
                 f"{climbed:.2e}", f"{bound / climbed:.2f}", exactly(found)]
            )  # fmt: skip
    head = ["ticket", "bound", "worst of a million random inputs", "worst by ascent",
            "bound / ascent", f"exact worst case, within {seconds:g} s"]  # fmt: skip
    print(markdown_table(head, lines))
    for seed in range(4):
        for low in (0.0, -1.0):
            target = small_network(seed)
            ticket = find_ticket(target, seed=seed, input_range=(low, 1.0))
            began = time.perf_counter()
            found = worst_case(target, ticket, time_limit=60.0)
            seconds_taken = time.perf_counter() - began
            print(f"16-16-4, seed {seed}, inputs in [{low:g}, 1]: {exactly(found)}, ", end="")
            print(f"{found.num_nodes} linear programs, {seconds_taken:.1f} s")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0)
