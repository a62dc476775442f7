"""What explains a weight, a neuron or a layer, for people."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from milp_lth.explain.layer import LayerExplained
from milp_lth.explain.neuron import NeuronExplained
from milp_lth.explain.weight import WeightExplained, WeightHalf

if TYPE_CHECKING:
    from rich.table import Table

_CANDIDATES, _WEIGHTS, _NEURONS = 64, 16, 8  # rows of a table, at most
_SIDES = {1: "x > 0", -1: "x < 0", 0: "any x"}


def print_explanation(
    shown: WeightExplained | NeuronExplained | LayerExplained, stated: dict[str, Any]
) -> None:
    """Print what is shown, and how to go on; `stated` is what ``--json`` would print."""
    if isinstance(shown, WeightExplained):
        _print_weight(shown, stated)
    elif isinstance(shown, NeuronExplained):
        _print_neuron(shown, stated)
    else:
        _print_layer(shown, stated)
    if stated["out"]:
        _say(f"page: {stated['out']}")


def _say(text: str) -> None:
    from rich.console import Console

    Console().print(text, soft_wrap=True, markup=False, highlight=False)


def _show(table: "Table") -> None:
    from rich.console import Console

    Console().print(table)


def _table(*columns: str) -> "Table":
    """Return a table of numbers, or without columns one of names and values."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), show_header=bool(columns))
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _begin(stated: dict[str, Any], what: str) -> None:
    """Say which layer it is, and what it is rebuilt from."""
    layer, source, asked = stated["layer"], stated["source"], stated["objective"]
    of = f"{layer['place'] + 1} of {layer['num_layers']}"
    _say(f"{stated['target']}, layer {layer['name']} ({of}), {what}")
    words = [f"seed {source['seed']}", source["construction"], f"width {source['width']}"]
    if source["assignment"]:
        words += [source["assignment"], f"V in {source['scale']:g}·[-1, 1)"]
    words.append(asked["name"])
    if asked["tolerance"] is not None:
        words.append(f"tolerance {asked['tolerance']:g}")
    if asked["size"] is not None:
        words.append(f"size {asked['size']}")
    _say(f"random network: {', '.join(words)}")
    if stated["recorded"]:
        _say(f"masks: those that {stated['recorded']} recorded")


def _output(stated: dict[str, Any], output: int) -> str:
    """Name a neuron; a row of a convolution belongs to a channel and a place of its kernel."""
    taps = stated["layer"]["taps"]
    place = f" (channel {output // taps}, place {output % taps} of the kernel)"
    return f"output {output}" + (place if taps > 1 else "")


def _print_weight(weight: WeightExplained, stated: dict[str, Any]) -> None:
    i = weight.name if weight.name == "bias" else f"input {weight.name}"
    _begin(stated, f"{_output(stated, weight.output)}, {i}: w = {weight.target:.10g}")
    for half in weight.halves:
        _say(f"\n{_serves(half, weight.name)}")
        same = half.exact is None or bool((half.exact.mask == half.ticket.mask).all())
        _show_candidates(half, same)
        _say("")
        _show_choices(weight.target, half, same)
        theory = ""
        reach = float(np.abs(half.products).sum())
        if half.predicted is not None and half.predicted < reach:  # of very few it says nothing
            theory = f"; theory predicts a median error of {half.predicted:.2g}"
        many = len(half.units) > 50
        subsets = f"2^{len(half.units)}" if many else f"{half.num_subsets:,}"
        _say(f"{subsets} subsets{theory}")
    if not stated["out"] and stated["source"]["assignment"]:
        _say("\n--out FILE.html makes a page of it, to be played with.")


def _serves(half: WeightHalf, name: str) -> str:
    """Say what a half is for."""
    n = len(half.units)
    if half.sign == 0:
        kind = "random edges" if half.u is None else "hidden units"
        return f"{n} {kind}, for inputs of both signs"
    if name == "bias":
        return f"{n} hidden units with U > 0, for the constant 1"
    side = ">" if half.sign > 0 else "<"
    return f"{n} hidden units with U {side} 0, for x {side} 0"


def _show_candidates(half: WeightHalf, same: bool) -> None:
    two = half.u is not None and half.v is not None
    columns = ["unit", "U", "V", "V·U"] if two else ["edge", "weight"]
    choices = [("kept", half.ticket), ("greedy", half.greedy)]
    if not same and half.exact is not None:
        choices.insert(1, ("exact", half.exact))
    table = _table(*columns, *(name for name, _ in choices))
    for k, unit in enumerate(half.units[:_CANDIDATES].tolist()):
        cells = [str(unit)]
        if half.u is not None and half.v is not None:
            cells += [f"{half.u[k]:.7f}", f"{half.v[k]:.7f}"]
        cells.append(f"{half.products[k]:.10f}")
        table.add_row(*cells, *("●" if choice.mask[k] else "·" for _, choice in choices))
    _show(table)
    if len(half.units) > _CANDIDATES:
        _say(f"… and {len(half.units) - _CANDIDATES} more: --json prints them all")


def _show_choices(target: float, half: WeightHalf, same: bool) -> None:
    table = _table("", "sum", "error", "kept", "status")
    table.add_row("target", f"{target:.10g}")
    rows = [("kept", half.ticket), ("greedy", half.greedy)]
    if not same and half.exact is not None:
        rows.insert(1, ("exact", half.exact))
    for name, choice in rows:
        status = "" if name == "greedy" else choice.status
        kept = str(int(choice.mask.sum()))
        table.add_row(name, f"{choice.sum:.10g}", f"{choice.error:.2g}", kept, status)
    _show(table)


def _print_neuron(neuron: NeuronExplained, stated: dict[str, Any]) -> None:
    _begin(stated, _output(stated, neuron.output))
    errors, n = stated["errors"], stated["candidates"]
    table = _table()
    table.add_row("error of a weight, max / median", _pair(errors["max"], errors["median"]))
    table.add_row("SubsetSum problems", _counted(stated["status"]))
    per_weight = stated["kept"] / len(neuron.names)
    table.add_row(
        "candidates / kept ones", f"{_two(n, stated['kept'])} ({per_weight:.2f} per weight)"
    )
    samples = stated["samples"]
    if samples is not None:
        table.add_row(f"on {samples['num_inputs']:,} inputs", stated["data"])
        away = _pair(samples["max_difference"], samples["mean_difference"])
        table.add_row("change of its output, max / mean", away)
    _show(table)
    _say("")
    _show_weights(neuron)
    if samples is not None:
        _say("")
        table = _table("on", "w·x + b" if stated["layer"]["bias"] else "w·x", "gadget", "change")
        for k, row in enumerate(samples["first"]):
            away = row["gadget"] - row["target"]
            outputs = f"{row['target']:.6f}", f"{row['gadget']:.6f}"
            table.add_row(f"x{k}", *outputs, f"{away:.2g}")
        _show(table)
    _, i = neuron.by_error()[0]
    last = stated["layer"]["num_inputs"] - 1
    inputs = f"0 to {last}" if last else "0"
    bias = " and bias" if stated["layer"]["bias"] else ""
    _say(f"\n--input {neuron.names[i]} shows its worst weight; its inputs are {inputs}{bias}.")


def _show_weights(neuron: NeuronExplained) -> None:
    """Show the weights in the order of the inputs; of many those with the largest errors."""
    pairs, halves = neuron.by_error(), neuron.halves
    some = pairs[:_WEIGHTS]
    largest = max(float(np.abs(half.targets).max()) for half in halves)
    decimals = min(15, 7 - math.floor(math.log10(largest))) if largest else 1
    signed = len(halves) > 1
    side = ["for"] if signed else []
    table = _table("input", *side, "target", "sum", "error", "kept", "of", "status")
    for h, i in sorted(some, key=lambda pair: (pair[1], pair[0])):
        half = halves[h]
        sign = "" if neuron.names[i] == "bias" else _SIDES[half.sign]
        table.add_row(
            neuron.names[i],
            *([sign] if signed else []),
            f"{half.targets[i]:.{decimals}f}",
            f"{half.sums[i]:.{decimals}f}",
            f"{half.errors[i]:.2g}",
            str(half.kept[i]),
            str(half.candidates[i]),
            half.status[i],
        )
    _show(table)
    if len(pairs) > len(some):
        rest = len(pairs) - len(some)
        _say(f"… and {rest:,} more with smaller errors: --json prints them all")


def _print_layer(layer: LayerExplained, stated: dict[str, Any]) -> None:
    told, edges = stated["layer"], stated["edges"]
    inputs = _several(told["num_inputs"], "input")
    if told["nonnegative"]:
        inputs += " ≥ 0"
    if told["bias"]:
        inputs += " and a bias"
    outputs = _several(told["num_outputs"], "output")
    if told["taps"] > 1:
        outputs += f": {told['taps']} places of a kernel for each channel"
    _begin(stated, f"{inputs}, {outputs}")
    table = _table()
    errors = stated["errors"]
    table.add_row("weights", f"{stated['num_weights']:,}")
    table.add_row("error of a weight, max / median", _pair(errors["max"], errors["median"]))
    if errors["predicted_median"] is not None:
        table.add_row("median that theory predicts", f"{errors['predicted_median']:.2g}")
    table.add_row("SubsetSum problems", _counted(stated["status"]))
    table.add_row(
        "within / out of tolerance",
        f"{stated['within_tolerance']:,} / {stated['out_of_tolerance']:,}",
    )
    per_weight = f"({edges['per_weight']:.2f} per weight)"
    if edges["units"]:
        table.add_row("hidden units / edges behind them", _two(edges["units"], edges["source_v"]))
        table.add_row("kept in U / in V", f"{_two(edges['kept_u'], edges['kept_v'])} {per_weight}")
    else:
        pair = _two(edges["source_v"], edges["kept_v"])
        table.add_row("edges / kept ones", f"{pair} {per_weight}")
    for sign, counts in layer.usable.items():
        name = "candidates of an input" + (f", {_SIDES[sign]}" if len(layer.usable) > 1 else "")
        table.add_row(name, _spread(counts))
    _show(table)
    _say("")
    _show_neurons(layer)
    worst = layer.neurons[0]
    _say(
        f"\n--output {worst.output} shows the first of these neurons, "
        f"--output {worst.output} --input {layer.names[worst.input]} its worst weight."
    )


def _show_neurons(layer: LayerExplained) -> None:
    table = _table("output", "largest error", "at input", "kept in front of it")
    for neuron in layer.neurons[:_NEURONS]:
        table.add_row(
            str(neuron.output),
            f"{neuron.max_error:.2g}",
            layer.names[neuron.input],
            f"{neuron.kept:,}",
        )
    _show(table)
    if len(layer.neurons) > _NEURONS:
        rest = len(layer.neurons) - _NEURONS
        _say(f"… and {rest:,} more with smaller errors: --json prints them all")


def _spread(counts: np.ndarray[Any, Any]) -> str:
    low, high = int(counts.min()), int(counts.max())
    return str(low) if low == high else f"{low} to {high}, median {np.median(counts):g}"


def _pair(one: float, other: float) -> str:
    return f"{one:.2g} / {other:.2g}"


def _several(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("s" if count != 1 else "")


def _two(one: int, other: int) -> str:
    return f"{one:,} / {other:,}"


def _counted(status: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in status.items() if count)
