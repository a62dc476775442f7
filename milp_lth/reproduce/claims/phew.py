"""PHEW: without data, paths of large weights train better than a random mask of the same size."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from milp_lth.reproduce.claims.claim import (
    Claim,
    Measurement,
    Setting,
    Summary,
    mean,
    percent,
    points,
)
from milp_lth.rivals.floor import random_pruning
from milp_lth.rivals.phew import edges_off_paths, phew
from milp_lth.rivals.random_network import Shape

DENSITIES = (0.02, 0.05, 0.1, 0.2)

_METHODS = {"phew": phew, "random": random_pruning}


def _measurements(setting: Setting) -> dict[str, Measurement]:
    return {
        _name(method, density, seed): partial(_measure, setting, method, density, seed)
        for density in DENSITIES
        for method in _METHODS
        for seed in range(setting.num_seeds)
    }


def _name(method: str, density: float, seed: int) -> str:
    return f"{method} {density:g} seed {seed}"


def _measure(
    setting: Setting, method: str, density: float, seed: int, checkpoints: Path
) -> dict[str, Any]:
    task = setting.task
    shape = Shape("fc2", task.num_features, task.num_classes, setting.num_hidden)
    found = _METHODS[method](
        task, shape, density=density, seed=seed, scale=setting.scale, device=setting.device,
        checkpoints=checkpoints,
    )  # fmt: skip
    return {
        "accuracy": found.curve[-1].accuracy,
        "kept": found.kept,
        "off_paths": edges_off_paths(found.masks),
    }


def _summary(setting: Setting, found: Mapping[str, dict[str, Any]]) -> Summary:
    lines = []
    better = []
    for density in DENSITIES:
        names = {
            method: [_name(method, density, seed) for seed in range(setting.num_seeds)]
            for method in _METHODS
        }
        differences = [
            found[one]["accuracy"] - found[other]["accuracy"]
            for one, other in zip(names["phew"], names["random"], strict=True)
        ]
        accuracies = {method: mean(found, names[method], "accuracy") for method in _METHODS}
        difference = accuracies["phew"] - accuracies["random"]
        better.append(difference > 0)
        lines.append(
            [
                percent(density, 0),
                f"{found[names['phew'][0]]['kept']:,}",
                percent(accuracies["phew"]),
                percent(accuracies["random"]),
                points(difference),
                f"{sum(d > 0 for d in differences)} of {setting.num_seeds}",
                *(f"{mean(found, names[method], 'off_paths'):,.0f}" for method in _METHODS),
            ]
        )
    held = [percent(d, 0) for d, good in zip(DENSITIES, better, strict=True) if good]
    return Summary(
        f"better on the mean of {setting.num_seeds} seeds with {', '.join(held) or 'no share'} "
        f"kept; {lines[0][4]} points with {lines[0][0]}; no kept edge is off a path",
        all(better) and all(line[6] == "0" for line in lines),
        ["kept", "edges", "PHEW", "random", "difference", "seeds won", "off paths, PHEW",
         "off paths, random"],
        lines,
    )  # fmt: skip


CLAIM = Claim(
    "phew",
    "Patil and Dovrolis, ICML 2021, arXiv 2010.11354",
    "without data, a mask of random walks along large weights trains better than others",
    _measurements,
    _summary,
)
