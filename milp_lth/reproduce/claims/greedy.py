"""Greedy selection of neurons: the discrepancy falls exponentially with how many are kept."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from milp_lth.report.figures import discrepancy_by_kept
from milp_lth.reproduce.claims.claim import Claim, Measurement, Setting, Summary, mean, percent
from milp_lth.rivals.floor import dense
from milp_lth.rivals.found import Found
from milp_lth.rivals.greedy import greedy_selection, optimality_gap
from milp_lth.rivals.hidden_units import units_of
from milp_lth.rivals.imitation import ImitationPath, forward, imitation
from milp_lth.rivals.random_network import Shape

NUM_UNITS, FEW_UNITS = 256, 20
"""Of the layer that is imitated, and of the one for which optima are proved."""

SIZES = (2, 4, 6, 8)

FITTED = (1 / 8, 3 / 4)
"""The line is fitted between these shares of the units."""

STRAIGHT = 0.97
"""The least R² of a line that counts as straight."""

_RULES: dict[str, Callable[..., ImitationPath]] = {
    "greedy": imitation,
    "greedy, all coefficients anew": partial(imitation, corrective=True),
    "forward selection": forward,
}


def _measurements(setting: Setting) -> dict[str, Measurement]:
    return {
        f"{what} seed {seed}": partial(measure, setting, seed)
        for what, measure in (("curve", _curve), ("gap", _gap), ("layers", _layers))
        for seed in range(setting.num_seeds)
    }


def _trained(
    setting: Setting, seed: int, name: str, num_hidden: int, checkpoints: Path
) -> tuple[Found, Shape]:
    task = setting.task
    shape = Shape(name, task.num_features, task.num_classes, num_hidden)
    found = dense(
        task, shape, seed=seed, scale=setting.scale, device=setting.device, checkpoints=checkpoints
    )
    return found, shape


def _curve(setting: Setting, seed: int, checkpoints: Path) -> dict[str, Any]:
    target, _ = _trained(setting, seed, "fc2", NUM_UNITS, checkpoints)
    moments = units_of(target.network, 0, setting.task.train.x).moments()
    found: dict[str, Any] = {}
    for name, rule in _RULES.items():
        # the least with up to so many neurons, as a share of what is imitated
        best = np.minimum.accumulate(rule(*moments).best)[1:] / moments[2]
        found[name] = np.where(np.isfinite(best), best, 1.0).tolist()
    return found


def _gap(setting: Setting, seed: int, checkpoints: Path) -> dict[str, Any]:
    target, _ = _trained(setting, seed, "fc2", FEW_UNITS, checkpoints)
    gaps = optimality_gap(target.network, setting.task.train.x, SIZES)
    return {
        str(gap.size): {
            "greedy": gap.greedy,
            "corrective": gap.corrective,
            "optimum": gap.optimum,
            "proved": gap.status.name == "OPTIMAL",
            "seconds": gap.seconds,
        }
        for gap in gaps
    }


def _layers(setting: Setting, seed: int, checkpoints: Path) -> dict[str, Any]:
    """Prune the layers of a deeper network, by local and by global imitation."""
    target, shape = _trained(setting, seed, "fc3", setting.num_hidden, checkpoints)
    found: dict[str, Any] = {"dense": target.curve[-1].accuracy}
    for how in ("local", "global", "best"):
        pruned = greedy_selection(
            setting.task, shape, density=0.25, seed=seed, imitation=how, scale=setting.scale,
            target=target, device=setting.device,
        )  # fmt: skip
        found[how] = pruned.extra["discrepancy"]
    tuned = greedy_selection(
        setting.task, shape, density=0.25, seed=seed, finetune=True, scale=setting.scale,
        target=target, device=setting.device, checkpoints=checkpoints,
    )  # fmt: skip
    return found | {"finetuned": tuned.curve[-1].accuracy}


def fit(curve: list[float]) -> tuple[float, float]:
    """Return the slope of log₂ of a curve against kept neurons, and R² of the line."""
    first, last = (round(share * len(curve)) for share in FITTED)
    kept, logs = np.arange(first, last + 1), np.log2(curve[first - 1 : last])
    slope, start = np.polyfit(kept, logs, 1)
    off = logs - (slope * kept + start)
    return float(slope), float(1 - off.var() / logs.var())


def _summary(setting: Setting, found: Mapping[str, dict[str, Any]]) -> Summary:
    seeds = range(setting.num_seeds)
    curves = [found[f"curve seed {seed}"] for seed in seeds]
    lines: list[list[str]] = []
    fits = {rule: np.array([fit(curve[rule]) for curve in curves]) for rule in _RULES}
    for rule, fitted in fits.items():
        quarter = np.exp(np.mean(np.log([curve[rule][NUM_UNITS // 4 - 1] for curve in curves])))
        lines.append(
            [f"{rule}, {NUM_UNITS} neurons: a quarter kept", f"{quarter:.1e}",
             f"halved by {-1 / fitted[:, 0].mean():.1f} more, R² {fitted[:, 1].min():.3f}"]
        )  # fmt: skip
    gaps = [found[f"gap seed {seed}"] for seed in seeds]
    for size in map(str, SIZES):
        ratios = [_ratio(gap[size], "greedy") for gap in gaps]
        again = [_ratio(gap[size], "corrective") for gap in gaps]
        proved = sum(gap[size]["proved"] for gap in gaps)
        lines.append(
            [f"{FEW_UNITS} neurons: {size} kept",
             f"{np.mean(ratios):.2f} times the optimum, anew {np.mean(again):.2f}",
             f"{proved} of {len(gaps)} proved, {max(gap[size]['seconds'] for gap in gaps):.1f} s"]
        )  # fmt: skip
    layers = [f"layers seed {seed}" for seed in seeds]
    lines += [
        [f"two layers, {how} imitation: a quarter kept", f"{mean(found, layers, how):.1e}", "–"]
        for how in ("local", "global", "best")
    ]
    accuracies = [percent(mean(found, layers, key)) for key in ("finetuned", "dense")]
    lines.append(["the same, finetuned", accuracies[0], f"dense {accuracies[1]}"])
    straightness = float(fits["greedy"][:, 1].min())
    worst = max(_ratio(gap[str(size)], "greedy") for gap in gaps for size in SIZES)
    proved = all(gap[str(size)]["proved"] for gap in gaps for size in SIZES)
    shown = {rule: _points(curves[0][rule]) for rule in _RULES}
    return Summary(
        f"log discrepancy against kept neurons is a line with R² ≥ {straightness:.3f} between "
        f"{round(FITTED[0] * NUM_UNITS)} and {round(FITTED[1] * NUM_UNITS)} of {NUM_UNITS}; "
        f"greedy is at most {worst:.2f} times the {'proved' if proved else 'best known'} optimum "
        f"of {FEW_UNITS} neurons",
        straightness >= STRAIGHT and proved,
        ["selection", "discrepancy", "beside it"],
        lines,
        {"greedy": discrepancy_by_kept(shown)},
    )


def _ratio(gap: dict[str, float], rule: str) -> float:
    return gap[rule] / gap["optimum"]


def _points(curve: list[float]) -> dict[str, Any]:
    last = len(curve) - len(curve) // 16  # behind it rounding is all that is left
    return {"kept": list(range(1, last + 1)), "discrepancy": curve[:last]}


CLAIM = Claim(
    "greedy",
    "Ye et al., NeurIPS 2020, arXiv 2010.15969",
    "the discrepancy of a layer falls exponentially with the neurons that greedy imitation keeps",
    _measurements,
    _summary,
)
