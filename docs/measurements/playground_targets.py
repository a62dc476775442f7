"""Train the tiny targets of the playground, two inputs and one output, and print their weights.

python docs/measurements/playground_targets.py
"""

import json

import numpy as np
import torch
from sklearn.datasets import make_moons
from torch import nn


def points(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return points of the square [−1, 1]² and their classes, 0 or 1."""
    if name == "moons":
        x, y = make_moons(2000, noise=0.08, random_state=0)
        return (x - [0.5, 0.25]) / [1.75, 1.25], y
    x = np.random.default_rng(0).uniform(-1, 1, (2000, 2))
    return x, np.hypot(*x.T) < 0.65


def train(name: str, num_hidden: int, seed: int) -> tuple[float, nn.Sequential]:
    """Return the share of points it tells apart, and a network with weights of two decimals."""
    torch.manual_seed(seed)
    x, y = (torch.tensor(np.asarray(part), dtype=torch.float64) for part in points(name))
    model = nn.Sequential(nn.Linear(2, num_hidden), nn.ReLU(), nn.Linear(num_hidden, 1)).double()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02, weight_decay=0.05)
    for _ in range(1500):
        loss = nn.functional.binary_cross_entropy_with_logits(model(x)[:, 0], y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.round(parameter, decimals=2) + 0.0)  # no −0
        right = ((model(x)[:, 0] > 0) == (y > 0.5)).double().mean()
    return float(right), model


torch.set_num_threads(1)
for name, num_hidden in (("disc", 6), ("moons", 4)):
    share, model = max(
        (train(name, num_hidden, seed) for seed in range(8)), key=lambda found: found[0]
    )
    layers = [
        {"weight": layer.weight.tolist(), "bias": layer.bias.tolist()}
        for layer in (model[0], model[2])
    ]
    print(name, f"{share:.3f}", json.dumps(layers))
