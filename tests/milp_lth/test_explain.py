"""What explains a ticket is what the ticket is: numbers recomputed from the module itself."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from instances.objectives import Closest, FixedSize, Objective, Sparsest
from milp_lth.explain.answers import Recorded
from milp_lth.explain.inputs import layer_inputs
from milp_lth.explain.layer import explain_layer
from milp_lth.explain.neuron import explain_neuron
from milp_lth.explain.weight import WeightHalf, explain_weight
from milp_lth.finding import find_ticket
from milp_lth.ledger import DIGESTS, Ledger
from milp_lth.network import read_network
from milp_lth.reduction import Reduction, reduce
from milp_lth.run import Run
from milp_lth.source import Source
from milp_lth.theory.median_error import median_error
from milp_lth.ticket import Ticket


@st.composite
def cases(draw: Any) -> tuple[nn.Module, dict[str, Any], dict[str, Any]]:
    """A small target, what its source is drawn from, and how it is pruned."""
    torch.manual_seed(draw(st.integers(0, 1000)))
    d_in, hidden, d_out = (draw(st.integers(1, 4)) for _ in range(3))
    bias = draw(st.booleans())
    target = nn.Sequential(
        nn.Linear(d_in, hidden, bias=bias), nn.ReLU(), nn.Linear(hidden, d_out, bias=not bias)
    )
    construction = draw(st.sampled_from(["two-layer", "two-layer", "direct", "direct-shared"]))
    source = {
        "seed": draw(st.integers(0, 2**32 - 1)),
        "width": draw(st.integers(1, 9)),
        "construction": construction,
    }
    objective: Objective = draw(st.sampled_from([Closest(), Sparsest(0.1), FixedSize(2)]))
    how = {
        "assignment": draw(st.sampled_from(["matched", "block"])),
        "input_range": draw(st.sampled_from([(0.0, 1.0), (-1.0, 1.0)])),
        "objective": objective,
    }
    return target, source, how


def same_half(half: WeightHalf, ticket: Ticket, place: int, j: int, i: int) -> None:
    """Compare with the matrices of the ticket, sums in fractions."""
    layer = ticket.layers[place]
    v = layer.v.double().numpy()
    if half.u is None or half.v is None:
        products = np.broadcast_to(v[j], (layer.num_inputs, v.shape[2]))[i]
        kept = layer.v_mask[j, i].numpy()
    else:
        assert (layer.input_of[half.units] == i).all()
        assert half.u.tolist() == layer.u[half.units].tolist()
        assert half.v.tolist() == v[j, half.units].tolist()
        assert (np.sign(half.u) == half.sign).all()
        products = half.u * half.v
        kept = layer.v_mask[j, half.units].numpy()
    assert half.products.tolist() == products.tolist()
    assert half.ticket.mask.tolist() == kept.tolist()
    assert half.num_subsets == 2 ** len(half.units)
    for choice in (half.ticket, half.exact, half.greedy):
        assert choice is not None
        total = sum(map(Fraction, products[choice.mask].tolist()), Fraction(0))
        assert choice.sum == float(total)
    assert half.ticket.sum == layer.half_weights(half.sign or 1)[j, i]


@given(cases())
def test_a_weight_is_what_the_ticket_has(
    case: tuple[nn.Module, dict[str, Any], dict[str, Any]],
) -> None:
    target, source, how = case
    ticket = find_ticket(target, **source, **how)
    reduction = reduce(target, Source(**source), **how)
    assert isinstance(target, nn.Sequential)
    for place, linear in enumerate((target[0], target[2])):
        layer = explain_layer(reduction, place)
        bias = [] if linear.bias is None else [linear.bias[:, None]]
        weights = torch.cat([linear.weight, *bias], dim=1).double()
        largest, kept, rows = 0.0, 0, 0
        for j in range(len(weights)):
            neuron = explain_neuron(reduction, place, j)
            for i, w in enumerate(weights[j].tolist()):
                weight = explain_weight(reduction, place, j, neuron.names[i])
                assert (weight.target, weight.input) == (w, i)
                assert [half.sign for half in weight.halves] == [
                    half.sign for half in neuron.halves if i < len(half.targets)
                ]
                for one, half in zip(neuron.halves, weight.halves, strict=False):
                    same_half(half, ticket, place, j, i)
                    error = abs(Fraction(w) - Fraction(half.ticket.sum))
                    assert half.ticket.error == float(error)
                    assert one.sums[i] == half.ticket.sum
                    assert one.errors[i] == half.ticket.error
                    assert one.status[i] == half.ticket.status
                    assert one.kept[i] == half.ticket.mask.sum()
                    assert one.candidates[i] == len(half.units)
                    assert layer.usable[half.sign][i] == len(half.units)
                    largest = max(largest, half.ticket.error)
                    kept += int(half.ticket.mask.sum())
                    rows += 1
        assert layer.max_error == largest == layer.neurons[0].max_error
        assert sum(layer.status.values()) == rows
        assert layer.num_weights == weights.numel()
        units, kept_v = ticket.layers[place].kept()
        assert (layer.kept_u, layer.kept_v) == (int(units.sum()), kept_v)
        assert kept_v == kept == sum(neuron.kept for neuron in layer.neurons)


@given(cases())
def test_what_is_stated_is_json(case: tuple[nn.Module, dict[str, Any], dict[str, Any]]) -> None:
    target, source, how = case
    reduction = reduce(target, Source(**source), **how)
    x = np.linspace(0, 1, 3 * reduction.network.layers[0].weight.shape[1]).reshape(3, -1)
    for shown in (
        explain_layer(reduction),
        explain_neuron(reduction, x=x),
        explain_weight(reduction),
    ):
        stated = json.loads(json.dumps(shown.stated(), allow_nan=False))
        assert stated["layer"]["name"] == "0"
        assert stated["source"]["seed"] == source["seed"]


@pytest.fixture(scope="module")
def wine_reduction(wine: Any) -> Reduction:
    return reduce(wine[0], Source(width=(16, 10)))


def test_the_neuron_on_data_is_the_pruned_layer(wine: Any, wine_reduction: Reduction) -> None:
    target, data = wine
    ticket = find_ticket(target, width=(16, 10))
    x = data.x.double()
    with torch.no_grad():
        wanted = [target[0](data.x).double(), target(data.x).double()]
        hidden = [x, torch.relu(target[0](data.x)).double()]
        given_ = [ticket.layers[k].double()(hidden[k]) for k in (0, 1)]
    for place in (0, 1):
        inputs = layer_inputs(wine_reduction.network, place, data.x)
        assert inputs is not None
        assert np.array_equal(inputs, hidden[place].numpy())
        neuron = explain_neuron(wine_reduction, place, 2, x=inputs)
        assert neuron.samples is not None
        assert np.allclose(neuron.samples.wanted, wanted[place][:, 2], rtol=0, atol=1e-4)
        assert np.allclose(neuron.samples.given, given_[place][:, 2], rtol=0, atol=1e-12)
        stated = neuron.samples.stated()
        away = np.abs(neuron.samples.given - neuron.samples.wanted)
        assert stated["max_difference"] == away.max() > 0


def test_inputs_of_any_layer_of_any_network() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 3)
            self.one, self.two = nn.Linear(8, 3), nn.Linear(3, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.one(torch.relu(self.conv(x)).flatten(1))
            return y + self.two(torch.tanh(y))

    torch.manual_seed(0)
    target, x = Branching().eval(), torch.rand(5, 1, 4, 4)
    network = read_network(target)
    seen: dict[str, torch.Tensor] = {}
    for name in ("one", "two"):
        target.get_submodule(name).register_forward_pre_hook(
            lambda module, inputs, name=name: seen.update({name: inputs[0]})
        )
    with torch.no_grad():
        target(x)
    for place, layer in enumerate(network.layers):
        inputs = layer_inputs(network, place, x)
        if layer.name == "conv":
            assert inputs is None
        else:
            assert inputs is not None
            assert np.allclose(inputs, seen[layer.name].numpy())


def test_a_convolution_is_explained_row_by_row() -> None:
    torch.manual_seed(0)
    target = nn.Sequential(nn.Conv2d(2, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2))
    reduction = reduce(target, Source(width=12))
    layer = explain_layer(reduction, 0)
    assert layer.num_weights == 3 * (2 * 2 * 2) + 3
    assert (len(layer.neurons), layer.facts["layer"]["taps"]) == (12, 4)
    weight = explain_weight(reduction, 0, 7, 1)  # channel 1, place 3: the last
    assert weight.target == target[0].weight[1, 1, 1, 1].item()
    assert [half.ticket.status for half in weight.halves] == ["OPTIMAL", "OPTIMAL"]


def test_the_prediction_is_that_of_theory(wine_reduction: Reduction) -> None:
    part = wine_reduction.parts[0]
    row = part.instance(14 + 3, 14 + 4)
    weight = explain_weight(wine_reduction, 0, 1, 3)
    assert weight.halves[0].predicted == median_error(row)[0]
    every = np.concatenate([median_error(p.instance()) for p in wine_reduction.parts[:2]])
    assert explain_layer(wine_reduction).predicted == np.median(every)
    sparse = reduce(wine_reduction.network, Source(width=8), objective=Sparsest(0.1))
    assert explain_weight(sparse).halves[0].predicted is None
    assert explain_layer(sparse).predicted is None


def test_a_run_is_explained_by_what_it_recorded(finished_run: Path) -> None:
    run = Run(finished_run)
    ticket = run.load_ticket()
    assert isinstance(ticket, Ticket)
    with Ledger(run.folder) as ledger:
        figures = ledger.figures()
        recorded = Recorded(run.reduction, ledger)
        layers = [explain_layer(run.reduction, k, answers=recorded) for k in (0, 1)]
        assert max(layer.max_error for layer in layers) == figures["weights"]["max_error"]
        for name, count in figures["status"].items():
            assert sum(layer.status[name] for layer in layers) == count
        for half in explain_weight(run.reduction, 0, 5, 2, answers=recorded).halves:
            same_half(half, ticket, 0, 5, 2)
        neuron = explain_neuron(run.reduction, 1, 2, answers=recorded)
        sums = ticket.layers[1].half_weights(1)[2]
        assert neuron.halves[0].sums.tolist() == sums.tolist()


def test_rows_may_be_recorded_in_any_pieces(wine_reduction: Reduction, tmp_path: Path) -> None:
    from milp_lth.solving import solve_chunks

    with Ledger(tmp_path, create=True) as ledger:
        for chunk in solve_chunks(wine_reduction, chunk_rows=7):
            ledger.put(chunk)
        ledger.put_figures({DIGESTS: {}})
        recorded = Recorded(wine_reduction, ledger)
        one = explain_neuron(wine_reduction, 0, 4, answers=recorded).stated()
        assert one == explain_neuron(wine_reduction, 0, 4).stated()
        layer = explain_layer(wine_reduction, 0, answers=recorded).stated()
        assert layer == explain_layer(wine_reduction, 0).stated()


def test_a_worse_mask_is_shown_beside_the_exact_one(
    wine_reduction: Reduction, tmp_path: Path
) -> None:
    from milp_lth.solving import solve_chunks

    with Ledger(tmp_path, create=True) as ledger:
        for chunk in solve_chunks(wine_reduction, "greedy"):
            ledger.put(chunk)
        with pytest.raises(ValueError, match=f"not finished: milp-lth resume {tmp_path}"):
            Recorded(wine_reduction, ledger)
        ledger.put_figures({DIGESTS: {}})
        recorded = Recorded(wine_reduction, ledger)
        (half, _) = explain_weight(wine_reduction, 0, 1, 3, answers=recorded).halves
    assert half.ticket.mask.tolist() == half.greedy.mask.tolist()
    assert half.ticket.status == "FEASIBLE"
    assert half.exact is not None
    assert half.exact.status == "OPTIMAL"
    assert half.exact.error < half.ticket.error


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (("nowhere", 0, 0), "unknown layer 'nowhere': choose one of '0', '2', or its place"),
        ((2, 0, 0), "unknown layer 2"),
        ((-1, 0, 0), "from 0 to 1"),
        ((0, 16, 0), "output 16: layer '0' has outputs 0 to 15"),
        ((0, -1, 0), "outputs 0 to 15"),
        ((0, "1.5", 0), "outputs 0 to 15"),
        ((0, 0, 13), "input 13: layer '0' has inputs 0 to 12 and 'bias'"),
        ((0, 0, "first"), "inputs 0 to 12"),
    ],
)
def test_what_there_is_not_is_named_with_what_there_is(
    place: tuple[Any, Any, Any], message: str, wine_reduction: Reduction
) -> None:
    with pytest.raises(ValueError) as raised:
        explain_weight(wine_reduction, *place)
    assert message in str(raised.value)


def test_names_come_before_places(wine_reduction: Reduction) -> None:
    assert explain_layer(wine_reduction, "2").facts["layer"]["place"] == 1
    assert explain_layer(wine_reduction, "1").facts["layer"]["name"] == "2"
    assert explain_weight(wine_reduction, 0, 0, "bias").input == 13
    without = reduce(nn.Linear(3, 2, bias=False), Source(width=4))
    with pytest.raises(ValueError, match="inputs 0 to 2, and no bias"):
        explain_weight(without, 0, 0, "bias")


def test_samples_must_fit(wine_reduction: Reduction) -> None:
    with pytest.raises(ValueError, match=r"inputs of shape \(2, 5\): give \(samples, 13\)"):
        explain_neuron(wine_reduction, x=np.ones((2, 5)))
