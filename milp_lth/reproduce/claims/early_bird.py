"""Early-bird tickets: gates tell early which heads and neurons of a transformer to remove."""

from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from milp_lth.reproduce.claims.claim import (
    Claim,
    Measurement,
    Setting,
    Summary,
    mean,
    percent,
    points,
)
from milp_lth.rivals.early_bird import (
    RULES,
    dense_transformer,
    early_bird,
    gates_over_time,
    mask_distance,
    quantile_draw,
)

DRAW = 0.2
"""Share of the search after which a ticket is drawn."""

COMPARABLE = 0.02
"""How far the accuracy of a ticket may be behind that of the dense network."""


def _measurements(setting: Setting) -> dict[str, Measurement]:
    seeds = range(setting.num_seeds)
    found: dict[str, Measurement] = {}
    found |= {f"seed {seed}": partial(_measure, setting, seed) for seed in seeds}
    return found | {f"gates seed {seed}": partial(_gates, setting, seed) for seed in seeds}


def _measure(setting: Setting, seed: int, checkpoints: Path) -> dict[str, Any]:
    options: dict[str, Any] = {"seed": seed, "scale": setting.scale, "device": setting.device}
    options["checkpoints"] = checkpoints
    whole = dense_transformer(setting.task, **options)
    found: dict[str, Any] = {"dense": whole.curve[-1].accuracy, "dense flops": whole.extra["flops"]}
    for rule in RULES:
        ticket = early_bird(setting.task, rule=rule, draw=DRAW, **options)
        found[rule] = ticket.curve[-1].accuracy
        found |= {f"{rule} {name}": value for name, value in ticket.extra.items()}
        found[f"{rule} kept"] = ticket.kept / ticket.source_dense
    return found


def _gates(setting: Setting, seed: int, checkpoints: Path) -> dict[str, Any]:
    """Search to the end: how far is every epoch's draw from the last one's."""
    over_time = gates_over_time(setting.task, seed=seed, scale=setting.scale, device=setting.device)
    draws = [quantile_draw(gates) for gates in over_time]
    distances = [mask_distance(draw, draws[-1]) for draw in draws]
    steps = [mask_distance(one, two) for one, two in pairwise(draws)]
    return {"to the last": distances, "between epochs": steps}


def _summary(setting: Setting, found: Mapping[str, dict[str, Any]]) -> Summary:
    seeds = [name for name in found if not name.startswith("gates")]
    whole = mean(found, seeds, "dense")
    lines = [["dense", percent(whole), "–", "100.0 %", "100.0 %", "100.0 %", "–"]]
    for rule in RULES:
        accuracy = mean(found, seeds, rule)
        lines.append(
            [
                rule,
                percent(accuracy),
                points(accuracy - whole),
                percent(mean(found, seeds, f"{rule} kept")),
                percent(mean(found, seeds, f"{rule} flops_share")),
                percent(mean(found, seeds, f"{rule} training_share")),
                f"{mean(found, seeds, f'{rule} gate_mass'):.2f}",
            ]
        )
    early = _early(found)
    behind = whole - mean(found, seeds, "quantile")
    saved = 1 - mean(found, seeds, "quantile training_share")
    more = all(
        found[seed]["knapsack gate_mass"] >= found[seed]["quantile gate_mass"] for seed in seeds
    )
    return Summary(
        f"drawn after a fifth of the search, {percent(early)} of heads and neurons different from "
        f"the draw at its end; {points(-behind)} points for {percent(saved, 0)} less training; the "
        f"knapsack keeps {'no less' if more else 'less'} gate than the quantiles at the same "
        "operations",
        behind < COMPARABLE and saved > 0 and more,
        ["rule", "accuracy", "against dense", "weights", "operations", "training", "gates kept"],
        lines,
    )


def _early(found: Mapping[str, dict[str, Any]]) -> float:
    """Return how far the draw after a fifth of the search is from the last one: mean share."""
    shares = []
    for name, measured in found.items():
        if name.startswith("gates"):
            distances = measured["to the last"]
            shares.append(np.mean(distances[max(0, round(DRAW * len(distances)) - 1)]))
    return float(np.mean(shares))


CLAIM = Claim(
    "early-bird",
    "Chen et al., ACL 2021, arXiv 2101.00063",
    "heads and neurons to prune are known early, and the smaller transformer is comparable for "
    "less training",
    _measurements,
    _summary,
)
