"""Iterative magnitude pruning finds networks that match the dense one where training is stable."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from milp_lth.report.figures import error_on_lines
from milp_lth.reproduce.claims.claim import (
    Claim,
    Measurement,
    Setting,
    Summary,
    mean,
    percent,
    points,
)
from milp_lth.rivals.connectivity import error_barrier, instability, ticket_barriers
from milp_lth.rivals.floor import dense
from milp_lth.rivals.random_network import Shape
from milp_lth.rivals.rewinding import imp

DENSITIES = (0.5, 0.33, 0.2, 0.1, 0.05)

STABLE, MATCHING = 0.02, 0.005
"""The largest barrier that counts as none, as in the paper; and how far accuracy may be behind."""


def _measurements(setting: Setting) -> dict[str, Measurement]:
    seeds = range(setting.num_seeds)
    found: dict[str, Measurement] = {}
    found |= {f"pruned seed {seed}": partial(_pruned, setting, seed) for seed in seeds}
    return found | {f"tickets seed {seed}": partial(_tickets, setting, seed) for seed in seeds}


def _shape(setting: Setting) -> Shape:
    return Shape("fc2", setting.task.num_features, setting.task.num_classes, setting.num_hidden)


def _pruned(setting: Setting, seed: int, checkpoints: Path) -> dict[str, Any]:
    """Prune to every density, and part two orders of examples from the first weights."""
    task, shape = setting.task, _shape(setting)
    options: dict[str, Any] = {"seed": seed, "scale": setting.scale, "device": setting.device}
    whole = dense(task, shape, checkpoints=checkpoints / "dense", **options)
    found: dict[str, Any] = {"dense": whole.curve[-1].accuracy}
    masks: dict[float, dict[str, Any] | None] = {1.0: None}
    for density in DENSITIES:
        # levels that densities share are trained once
        ticket = imp(task, shape, density=density, checkpoints=checkpoints / "levels", **options)
        found[f"accuracy {density:g}"] = ticket.curve[-1].accuracy
        masks[density] = ticket.masks
    for density, kept in masks.items():
        parted = instability(
            task, shape, masks=kept, checkpoints=checkpoints / f"parted-{density:g}", **options
        )
        found[f"barrier {density:g}"] = parted.held_out.barrier
        found[f"training barrier {density:g}"] = parted.training.barrier
        if density == 1:
            found["line"] = parted.held_out.errors.tolist()
    other = dense(
        task, shape, seed=setting.num_seeds + seed, scale=setting.scale, device=setting.device,
        checkpoints=checkpoints / "other",
    )  # fmt: skip
    assert task.test.y is not None
    unrelated = error_barrier(whole.network, other.network, task.test.x, task.test.y)
    return found | {"unrelated": unrelated.barrier, "unrelated line": unrelated.errors.tolist()}


def _tickets(setting: Setting, seed: int, checkpoints: Path) -> dict[str, Any]:
    """Approximate a dense network by tickets of two sources, and fold them to its shape."""
    target = dense(
        setting.task, _shape(setting), seed=seed, scale=setting.scale, device=setting.device,
        checkpoints=checkpoints,
    ).network  # fmt: skip
    barriers = ticket_barriers(target, setting.task.test, seeds=(2 * seed, 2 * seed + 1))
    return {
        "barrier": barriers.tickets.barrier,
        "to target": barriers.target.barrier,
        "line": barriers.tickets.errors.tolist(),
    }


def _summary(setting: Setting, found: Mapping[str, dict[str, Any]]) -> Summary:
    seeds = range(setting.num_seeds)
    pruned = [f"pruned seed {seed}" for seed in seeds]
    tickets = [found[f"tickets seed {seed}"] for seed in seeds]
    whole = mean(found, pruned, "dense")

    def largest(key: str) -> float:
        return float(max(found[name][key] for name in pruned))

    lines = [["100 %", percent(whole, 2), "–", *_barriers(largest, 1.0)]]
    matching: list[float] = []
    for density in DENSITIES:
        behind = mean(found, pruned, f"accuracy {density:g}") - whole
        if behind >= -MATCHING and len(matching) + 1 == len(lines):  # and so do all before it
            matching.append(density)
        lines.append(
            [
                percent(density, 0),
                percent(behind + whole, 2),
                points(behind, 2),
                *_barriers(largest, density),
            ]
        )
    between = max(max(ticket["barrier"], ticket["to target"]) for ticket in tickets)
    lines.append(["two tickets of one target", "–", "–", percent(between, 2), "–"])
    lines.append(
        ["two dense networks of different seeds", "–", "–", percent(largest("unrelated"), 2), "–"]
    )
    barriers = [largest(f"barrier {density:g}") for density in (1.0, *DENSITIES)]
    stable = max(*barriers, between) < STABLE
    picture = error_on_lines(
        {
            "one network, two orders of examples": _line(found, pruned, "line"),
            "two tickets of one target": np.mean([t["line"] for t in tickets], axis=0).tolist(),
            "two networks": _line(found, pruned, "unrelated line"),
        }
    )
    where = f"down to {percent(matching[-1], 0)}" if matching else "at none of the densities"
    return Summary(
        f"largest barrier from the first weights {percent(max(barriers), 2)}, between tickets of "
        f"one target {percent(between, 2)}; accuracy within half a point of dense {where} of the "
        "edges",
        stable and 0.2 in matching,
        ["kept", "accuracy", "against dense", "largest barrier", "on training data"],
        lines,
        {"barriers": picture},
    )


def _barriers(largest: Any, density: float) -> list[str]:
    keys = f"barrier {density:g}", f"training barrier {density:g}"
    return [percent(largest(key), 2) for key in keys]


def _line(found: Mapping[str, dict[str, Any]], names: list[str], key: str) -> list[float]:
    line: list[float] = np.mean([found[name][key] for name in names], axis=0).tolist()
    return line


CLAIM = Claim(
    "rewinding",
    "Frankle et al., ICML 2020, arXiv 1912.05671",
    "small networks are stable from the first weights on, with barriers below 2 points, and what "
    "iterative magnitude pruning finds in them matches the dense network",
    _measurements,
    _summary,
)
