"""Print what it costs to set every weight of up to 0.01 to 0: accuracy is a weak check.

python docs/measurements/small_weights.py NETWORK.pt DATA_FOLDER
"""

import sys

import torch

from milp_lth import load_target
from milp_lth.targets.named import load_data

target, data = load_target(sys.argv[1]), load_data(sys.argv[2])
with torch.no_grad():
    classes = target(data.x).argmax(dim=1)
    small = sum(int((weight.abs() <= 0.01).sum()) for weight in target.parameters())
    for weight in target.parameters():
        weight[weight.abs() <= 0.01] = 0
    left = target(data.x).argmax(dim=1)
total = sum(weight.numel() for weight in target.parameters())
accuracies = [100 * float((found == data.y).double().mean()) for found in (classes, left)]
print(f"{small / total:.0%} of {total:,} weights are within 0.01 of 0")
print(f"accuracy without them {accuracies[1]:.2f} %, with them {accuracies[0]:.2f} %")
print(f"classes that agree {100 * float((left == classes).double().mean()):.2f} %")
