"""The playground with weights of somebody's network in it: one page that needs no network."""

import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np

from instances.objectives import FixedSize
from milp_lth.constructions.layout import Layout
from milp_lth.constructions.two_matrices import TwoMatrices
from milp_lth.explain.answers import Answers
from milp_lth.explain.layer import LayerExplained
from milp_lth.explain.neuron import NeuronExplained, explain_neuron
from milp_lth.explain.place import find_layer
from milp_lth.explain.weight import WeightExplained
from milp_lth.reduction import Reduction

MOST_CANDIDATES = 40
"""What the page solves while somebody drags a target."""

_GIVEN = '<script type="application/json" id="given">{}</script>'
_NEURONS = 8
_INPUTS = 1000
_UNITS = 25_000  # a page that shows this many is of about 300 kB


class _Shown(NamedTuple):
    """One neuron on the page: `weights` and, half by half, the bits of `kept`, input by input."""

    output: int
    weights: list[float]
    kept: list[list[str]]
    status: str


def explanation_page(
    reduction: Reduction,
    shown: WeightExplained | NeuronExplained | LayerExplained,
    answers: Answers,
    name: str,
) -> str:
    """Return the playground as HTML text, with what is shown in it.

    Of a layer the page holds a sample of neurons: those with the largest errors, and some between;
    of many inputs those with the largest errors.

    Parameters
    ----------
    reduction
        What it was explained from.
    shown
        One weight, a neuron or a layer.
    answers
        Where the masks of other neurons of a layer come from.
    name
        What the network is called.

    Raises
    ------
    ValueError
        As `check_page` does.
    """
    layout = reduction.layers[shown.facts["layer"]["place"]]
    check_page(reduction, shown.facts["layer"]["place"])
    drawn = _matrices(layout)
    inputs, neurons, start = _chosen(reduction, shown, answers)
    units = [np.flatnonzero(drawn.input_of == i) for i in inputs]
    asked = reduction.objective
    layer = {
        "title": f"Pruning by solving: layer {layout.name} of {name}",
        "about": _about(reduction, shown, inputs, neurons),
        "source": _source(reduction, drawn),
        "seed": reduction.source.seed,
        "index": drawn.index,
        "numInputs": drawn.num_inputs,
        "numUnits": drawn.num_units,
        "scale": drawn.scale,
        "bias": drawn.has_bias,
        "nonnegative": not drawn.has_halves,
        "find": asked.name,
        "tolerance": asked.tolerance,
        "size": asked.size if isinstance(asked, FixedSize) else None,
        "inputs": inputs,
        "units": [of.tolist() for of in units],
        "neurons": [neuron._asdict() for neuron in neurons],
        "at": {"output": start[0], "input": start[1]},
    }
    page = files("milp_lth.explain").joinpath("playground.html").read_text(encoding="utf-8")
    if page.count(_GIVEN) != 1:
        raise AssertionError("the playground has no place for what it is given")
    return page.replace(_GIVEN, _GIVEN.replace("{}", _escaped({"layer": layer})))


def check_page(reduction: Reduction, layer: int | str) -> None:
    """See that a layer has what the page shows, before anything is solved for it.

    Raises
    ------
    ValueError
        When there is no such layer, it has no hidden units behind a ReLU, or more candidates than
        the page can solve.
    """
    layout = reduction.layers[find_layer(reduction, layer)]
    _matrices(layout)
    for half in layout.halves():
        counts = (half.units >= 0).sum(axis=1)
        if counts.max() > MOST_CANDIDATES:
            raise ValueError(
                f"--out solves weights of up to {MOST_CANDIDATES} candidates, and input "
                f"{counts.argmax()} of layer {layout.name!r} has {counts.max()}: leave it out, or "
                "give a smaller --width"
            )


def _matrices(layout: Layout) -> TwoMatrices:
    drawn = layout.drawn
    if not isinstance(drawn, TwoMatrices):
        raise ValueError(
            f"--out shows hidden units, and the construction {drawn.source.construction} has "
            "none: leave it out, or take --construction two-layer"
        )
    source = drawn.source
    if source.distribution != "uniform" or source.numbers():
        raise ValueError(
            "--out draws uniform numbers again, all of them free and none twice: leave it out, or "
            "take --construction two-layer"
        )
    if not drawn.form.activated:
        raise ValueError(
            f"--out shows units behind a ReLU, and layer {layout.name!r} has none: leave it out"
        )
    return drawn


def _escaped(value: Any) -> str:
    """Return JSON that cannot end the script element that it stands in, whatever names it holds."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _chosen(
    reduction: Reduction,
    shown: WeightExplained | NeuronExplained | LayerExplained,
    answers: Answers,
) -> tuple[list[int], list[_Shown], tuple[int, int]]:
    """Return which inputs and neurons the page holds, and the weight it begins with."""
    if isinstance(shown, WeightExplained):
        bits = [_bits(half.ticket.mask) for half in shown.halves]
        counts = [half.ticket.status for half in shown.halves]
        one = _Shown(shown.output, [shown.target], [[text] for text in bits], _counted(counts))
        return [shown.input], [one], (shown.output, shown.input)
    if isinstance(shown, NeuronExplained):
        explained = [shown]
    else:
        # the worst ones, and others spread evenly over the rest
        order = [neuron.output for neuron in shown.neurons]
        worst = order[: _NEURONS // 2]
        rest = order[len(worst) :]
        spread = np.linspace(0, len(rest) - 1, min(len(rest), _NEURONS - len(worst)))
        outputs = sorted(worst + [rest[k] for k in spread.astype(int)])
        place = shown.facts["layer"]["place"]
        explained = [
            explain_neuron(reduction, place, output, answers=answers) for output in outputs
        ]
    inputs = _inputs(reduction, shown.facts["layer"]["place"], explained)
    first = explained[0]
    if isinstance(shown, LayerExplained):
        first = next(one for one in explained if one.output == shown.neurons[0].output)
    _, worst_input = first.by_error()[0]
    return inputs, [_neuron(one, inputs) for one in explained], (first.output, worst_input)


def _inputs(reduction: Reduction, place: int, explained: Sequence[NeuronExplained]) -> list[int]:
    """Return all inputs, or where they are too many those with the largest errors."""
    drawn = reduction.layers[place].drawn
    most = min(_INPUTS, _UNITS // (drawn.width + 4 * len(explained)))
    errors = np.zeros(drawn.num_inputs)
    for neuron in explained:
        for half in neuron.halves:
            served = errors[: len(half.errors)]
            np.maximum(served, half.errors, out=served)
    largest = np.argsort(-errors, kind="stable")[: max(1, most)]
    return sorted(int(i) for i in largest)


def _neuron(neuron: NeuronExplained, inputs: list[int]) -> _Shown:
    kept = []
    for half in neuron.halves:
        usable = half.part.half.units >= 0
        served = len(half.targets)
        kept.append([_bits(half.mask[i][usable[i]]) if i < served else "" for i in inputs])
    first = neuron.halves[0]
    weights = [float(first.targets[i]) for i in inputs]
    status = _counted([half.status[i] for half in neuron.halves for i in inputs
                       if i < len(half.status)])  # fmt: skip
    return _Shown(neuron.output, weights, kept, status)


def _bits(mask: Any) -> str:
    return "".join("01"[int(bit)] for bit in mask)


def _counted(status: list[str]) -> str:
    return ", ".join(f"{status.count(name):,} {name}" for name in dict.fromkeys(sorted(status)))


def _about(
    reduction: Reduction,
    shown: WeightExplained | NeuronExplained | LayerExplained,
    inputs: list[int],
    neurons: list[_Shown],
) -> str:
    """Say what the page shows, and what it leaves out."""
    drawn = reduction.layers[shown.facts["layer"]["place"]].drawn
    about = (
        "Weights of a trained network, rebuilt from random numbers by choosing which of them to "
        "keep: nothing is trained or adjusted, all that is done to them is pruning."
    )
    if isinstance(shown, LayerExplained) and len(neurons) < drawn.num_outputs:
        about += (
            f" Of {drawn.num_outputs:,} neurons {len(neurons)} are shown: those with the largest "
            "errors, and some of the others."
        )
    if not isinstance(shown, WeightExplained) and len(inputs) < drawn.num_inputs:
        about += (
            f" Of the {drawn.num_inputs:,} weights of a neuron {len(inputs):,} are shown: those "
            "with the largest errors."
        )
    if not drawn.has_halves:
        about += " Inputs of this layer are never below 0, so one half of the units serves all."
    return about


def _source(reduction: Reduction, drawn: TwoMatrices) -> str:
    return (
        f"seed {reduction.source.seed}, width {drawn.width}, assignment {reduction.assignment}, "
        f"V drawn from {drawn.scale:g}·[−1, 1)"
    )
