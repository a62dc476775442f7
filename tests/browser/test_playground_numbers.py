"""What the playground computes is what the library computes, bit for bit."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from instances.objectives import Closest, Objective, Sparsest
from instances.philox import UNIT_FACTOR, Stream, words
from milp_lth.assembly import assemble
from milp_lth.reduction import Part, Reduction, reduce
from milp_lth.source import Source
from milp_lth.theory.median_error import median_error_of_products
from milp_lth.ticket import Ticket
from solvers.solve import solve

SEEDS = (0, 7, 94, 2**32 - 1)
OBJECTIVES: dict[str, Objective] = {"closest": Closest(), "sparsest": Sparsest(0.01)}


def linear(weight: Any, bias: Any = None) -> nn.Linear:
    rows = torch.tensor(weight, dtype=torch.float64)
    layer = nn.Linear(rows.shape[1], rows.shape[0], bias=bias is not None, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(rows)
        if bias is not None:
            layer.bias.copy_(torch.tensor(bias, dtype=torch.float64))
    return layer


def pruned(
    target: nn.Module, seed: int, width: int, find: str, by: str, **options: Any
) -> tuple[Reduction, list[Any], Ticket]:
    """Ask the library."""
    objective = OBJECTIVES[find]
    source = Source(seed=seed, width=width)
    reduction = reduce(target, source, assignment="block", objective=objective, **options)
    solver = "greedy" if by == "greedy" else None
    answers = [solve(part.instance(), solver) for part in reduction.parts]
    return reduction, answers, assemble(reduction, answers)


def same_half(page_half: Any, part: Part, answer: Any, num_outputs: int | None = None) -> None:
    """Compare all rows of a half, or those of the first outputs."""
    instance = part.instance()
    assert page_half["sign"] == part.half.sign
    assert page_half["numInputs"] == part.half.num_inputs
    num_rows = len(part) if num_outputs is None else num_outputs * part.half.num_inputs
    assert len(page_half["rows"]) == num_rows
    for b, row in enumerate(page_half["rows"]):
        units = part.half.units[b % part.half.num_inputs]
        usable = units >= 0
        assert row["units"] == units[usable].tolist()
        assert row["a"] == instance.coefficients[b, usable].tolist()
        assert row["target"] == instance.targets[b]
        bits = [bool(row["mask"] >> k & 1) for k in range(usable.sum())]
        assert bits == answer.mask[b, usable].tolist()
        assert row["kept"] == sum(bits)
        assert row["error"] == instance.judge(answer.mask).error[b]


def test_random_numbers(page: Any) -> None:
    """The golden values of test_philox.py among them."""
    counters = [0, 1, 7, 2**40]
    got = page.evaluate("(cs) => cs.map((c) => playground.factor(12345, 3, 1, c))", counters)
    assert [x / UNIT_FACTOR for x in got] == [-6268104, -1053913, -5536634, 4879830]
    for seed, layer, matrix in itertools.product((0, 1, 2**31, 2**32 - 1), (0, 5), (0, 1)):
        numbers = np.array([0, 1, 2, 12345, 2**32 - 1, 2**32, 2**50 + 3])
        ask = "([cs, seed, key]) => cs.map((c) => playground.philox(c, seed, key))"
        got = page.evaluate(ask, [numbers.tolist(), seed, layer * 2**16 + matrix])
        assert got == words(Stream(seed, layer, matrix), numbers).tolist()


@pytest.mark.parametrize("by", ["exact", "greedy"])
@pytest.mark.parametrize("find", OBJECTIVES)
def test_one_weight_in_a_layer_of_weights_up_to_one(page: Any, find: str, by: str) -> None:
    """Sections 1 and 2: another output of weight 1 sets the scale, and changes nothing else."""
    weights = (0.3, -0.62, 1.0, -1.0, 0.0, 0.1 + 0.2, 2.0**-30, -0.0073)
    for (seed, width), w in itertools.product(
        [(0, 1), (0, 16), (7, 24), (94, 19), (2**32 - 1, 9)], weights
    ):
        reduction, answers, _ = pruned(linear([[w], [1.0]]), seed, width, find, by)
        asked = {"seed": seed, "weight": [[w]], "width": width, "largest": 1, "find": find}
        got = page.evaluate("(asked) => playground.compute(asked)", asked | {"by": by})
        assert got["scale"] == 4
        for half, part, answer in zip(got["halves"], reduction.parts, answers, strict=True):
            same_half(half, part, answer, num_outputs=1)


@pytest.mark.parametrize("w", [0.25, 0.2500001, 0.0, 1e-9, 3.7, -1000.0, 2.0**-101])
def test_the_scale_is_the_librarys(page: Any, w: float) -> None:
    reduction, answers, _ = pruned(linear([[w]]), 3, 10, "closest", "exact")
    got = page.evaluate("(w) => playground.compute({seed: 3, weight: [[w]], width: 10})", w)
    assert got["scale"] == reduction.layers[0].drawn.scale  # type: ignore[attr-defined]
    for half, part, answer in zip(got["halves"], reduction.parts, answers, strict=True):
        same_half(half, part, answer)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_the_first_section_shows(page: Any, seed: int) -> None:
    page.evaluate("(seed) => playground.change({seed, n: 13, w: 0.41})", seed)
    got = page.evaluate(
        "(() => { const one = playground.computeOne(); one.sums = 0; return one })()"
    )
    reduction, answers, _ = pruned(linear([[0.41], [1.0]]), seed, got["width"], "closest", "exact")
    part = reduction.parts[0]
    assert got["units"] == part.half.units[0].tolist()
    assert len(got["units"]) == 13
    assert got["a"] == part.instance().coefficients[0].tolist()
    drawn = reduction.layers[0].drawn
    assert got["u"] == drawn.u()[got["units"]].tolist()  # type: ignore[attr-defined]
    assert got["v"] == drawn.v()[0, got["units"]].tolist()  # type: ignore[attr-defined]
    bits = [bool(got["exact"]["mask"] >> k & 1) for k in range(13)]
    assert bits == answers[0].mask[0].tolist()
    for k, error in enumerate(got["exactErrors"]):  # of the first candidates alone
        few = part.instance().part(0, 1)
        first = type(few)(few.coefficients[:, : k + 1], few.targets)
        assert error == solve(first).objective[0]
        greedy = solve(first, "greedy")
        assert got["greedyErrors"][k] == first.judge(greedy.mask).error[0]
    counts = range(1, 21)
    predicted = [float(median_error_of_products(np.array(0.41), n, 4.0)) for n in counts]
    assert got["theory"] == pytest.approx(predicted, rel=1e-12)


@pytest.mark.parametrize(("seed", "width"), [(0, 8), (7, 14), (94, 12)])
def test_a_neuron_of_three_weights(page: Any, seed: int, width: int) -> None:
    weight = [0.7, -0.4, 0.5]
    reduction, answers, ticket = pruned(
        linear([weight, [1.0, 1.0, 1.0]]), seed, width, "closest", "exact"
    )
    asked = {"seed": seed, "weight": [weight], "width": width, "largest": 1}
    got = page.evaluate("(asked) => playground.compute(asked)", asked)
    folds = page.evaluate("(asked) => playground.folded(playground.compute(asked), 1)", asked)
    for half, part, answer in zip(got["halves"], reduction.parts, answers, strict=True):
        same_half(half, part, answer, num_outputs=1)
    assert folds == [ticket.layers[0].half_weights(sign)[:1].tolist() for sign in (1, -1)]


@pytest.mark.parametrize(
    ("name", "seed", "width", "find", "by"),
    [
        ("disc", 94, 12, "closest", "exact"),
        ("disc", 0, 15, "sparsest", "exact"),
        ("disc", 7, 24, "closest", "greedy"),
        ("disc", 1, 2, "closest", "exact"),
        ("moons", 94, 14, "closest", "exact"),
        ("moons", 2**32 - 1, 9, "sparsest", "greedy"),
    ],
)
def test_tiny_networks(page: Any, name: str, seed: int, width: int, find: str, by: str) -> None:
    layers = page.evaluate("(name) => playground.networks[name]", name)
    linears = [linear(layer["weight"], layer["bias"]) for layer in layers]
    target = nn.Sequential(linears[0], nn.ReLU(), linears[1])
    reduction, answers, ticket = pruned(target, seed, width, find, by)
    asked = {"layers": layers, "seed": seed, "width": width, "find": find, "by": by}
    got = page.evaluate("(asked) => playground.computeNetwork(asked)", asked | {"tolerance": 0.01})
    halves = [half for layer in got["pruned"] for half in layer["halves"]]
    for half, part, answer in zip(halves, reduction.parts, answers, strict=True):
        same_half(half, part, answer)
    edges = ticket.edges()
    assert (got["keptU"], got["keptV"]) == (edges["kept_u"], edges["kept_v"])
    assert got["numEdges"] == edges["source_block"]
    assert (got["keptU"] + got["keptV"]) / got["numWeights"] == edges["per_weight"]
    side = (np.arange(101) - 50) / 50
    x = torch.tensor(np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2))
    with torch.no_grad():
        wanted, given = target(x)[:, 0], ticket(x)[:, 0]
    assert torch.allclose(
        torch.tensor(got["wanted"], dtype=torch.float64), wanted, rtol=0, atol=1e-12
    )
    assert torch.allclose(torch.tensor(got["got"], dtype=torch.float64), given, rtol=0, atol=1e-11)
    sure = (wanted.abs() > 1e-12) & (given.abs() > 1e-11)
    agreement = float(((wanted > 0) == (given > 0)).double().mean())
    assert abs(got["agreement"] - agreement) <= float((~sure).sum()) / len(x)


def test_ties_and_the_edge_of_the_tolerance(page: Any) -> None:
    """Targets half-way between two sums; tolerances that an error meets, or misses by a hair."""
    part = pruned(linear([[0.3], [1.0]]), 7, 16, "closest", "exact")[0].parts[0]
    a = part.instance().coefficients[0]
    sums = np.sort(np.array([sum(s) for s in itertools.product(*((0.0, x) for x in a))]))
    near = np.flatnonzero(np.abs(sums) < 0.9)[::25]
    ask = "(asked) => playground.compute(asked).halves[0].rows[0]"
    asked: dict[str, Any] = {"seed": 7, "width": 16, "largest": 1}
    for k in near:
        middle = float(sums[k] + sums[k + 1]) / 2
        for t in (middle, float(np.nextafter(middle, 2)), float(sums[k])):
            reduction = reduce(linear([[t], [1.0]]), Source(seed=7, width=16), assignment="block")
            instance = reduction.parts[0].instance(0, 1)
            got = page.evaluate(ask, asked | {"weight": [[t]]})
            mask = solve(instance).mask[0]
            assert got["mask"] == sum(1 << i for i in np.flatnonzero(mask))
            error = float(instance.judge(mask[None]).error[0])
            for tolerance in (error, np.nextafter(error, 1), np.nextafter(error, 0)):
                sparsest = type(instance)(
                    instance.coefficients, instance.targets, Sparsest(float(max(tolerance, 0)))
                )
                row = page.evaluate(
                    ask,
                    asked
                    | {"weight": [[t]], "find": "sparsest", "tolerance": float(max(tolerance, 0))},
                )
                mask = solve(sparsest).mask[0]
                assert row["mask"] == sum(1 << i for i in np.flatnonzero(mask))
