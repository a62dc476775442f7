"""Elastic tickets: carried over to another depth, a ticket trains better than a random mask."""

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
from milp_lth.rivals.elastic import elastic
from milp_lth.rivals.random_network import Shape
from milp_lth.rivals.rewinding import imp

DIRECTIONS = {"stretched": ("fc3", "fc4", "0:0;1:1,2"), "squeezed": ("fc4", "fc3", "0:0;1:1")}
"""From which shape to which, and the mapping of blocks."""

DENSITIES = (0.1, 0.05)

SAME_DENSITY = 0.02
"""How far the density may move when a ticket is carried over."""


def _measurements(setting: Setting) -> dict[str, Measurement]:
    return {f"seed {seed}": partial(_measure, setting, seed) for seed in range(setting.num_seeds)}


def _measure(setting: Setting, seed: int, checkpoints: Path) -> dict[str, Any]:
    task = setting.task
    options: dict[str, Any] = {"seed": seed, "scale": setting.scale, "device": setting.device}
    found: dict[str, Any] = {}
    for direction, (source, target, mapping) in DIRECTIONS.items():
        shape = Shape(target, task.num_features, task.num_classes, setting.num_hidden)
        for density in DENSITIES:
            for mask in ("transferred", "random"):
                # one folder: all of them begin with the same levels of pruning
                ticket = elastic(
                    task, shape, density=density, source=source, mapping=mapping, mask=mask,
                    checkpoints=checkpoints / source, **options,
                )  # fmt: skip
                key = f"{direction} {density:g} {mask}"
                found[key] = ticket.curve[-1].accuracy
                found[f"{key} density"] = ticket.kept / ticket.source_dense
            direct = imp(task, shape, density=density, checkpoints=checkpoints / target, **options)
            found[f"{direction} {density:g} direct"] = direct.curve[-1].accuracy
    return found


def _summary(setting: Setting, found: Mapping[str, dict[str, Any]]) -> Summary:
    seeds = list(found)
    lines, won, moved = [], [], []
    for direction, (source, target, mapping) in DIRECTIONS.items():
        for density in DENSITIES:
            key = f"{direction} {density:g}"
            carried, drawn, direct = (
                mean(found, seeds, f"{key} {how}") for how in ("transferred", "random", "direct")
            )
            kept = mean(found, seeds, f"{key} transferred density")
            better = [found[s][f"{key} transferred"] > found[s][f"{key} random"] for s in seeds]
            won.append(carried > drawn)
            moved.append(abs(kept - density))
            lines.append(
                [
                    f"{source} → {target}, {mapping}", percent(density, 0), percent(kept, 2),
                    percent(carried), percent(drawn), points(carried - drawn),
                    f"{sum(better)} of {len(better)}", percent(direct),
                ]
            )  # fmt: skip
    return Summary(
        f"better than a random mask of the same layer densities in {sum(won)} of {len(won)} "
        f"settings, on the mean of {setting.num_seeds} seeds; the density moves by "
        f"{percent(max(moved), 2)} at most",
        all(won) and max(moved) <= SAME_DENSITY,
        ["from, to and mapping", "of the source", "kept", "carried over", "random mask",
         "difference", "seeds won", "pruned there itself"],
        lines,
    )  # fmt: skip


CLAIM = Claim(
    "elastic",
    "Chen et al., NeurIPS 2021, arXiv 2103.16547",
    "a ticket stretched or squeezed to another depth keeps its sparsity and trains better than a "
    "random mask",
    _measurements,
    _summary,
)
