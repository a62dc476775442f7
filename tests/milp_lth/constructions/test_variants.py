"""Constructions that are two-layer with something changed: what each changes, and its law."""

import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from instances.distributions import Distribution
from instances.objectives import Closest, FixedSize, Sparsest
from instances.perturbed import PerturbedSubsetSum
from instances.philox import Stream, uniform
from milp_lth.assembly import assemble
from milp_lth.constructions.registry import CONSTRUCTIONS, theorem
from milp_lth.evaluation import evaluate
from milp_lth.finding import find_ticket
from milp_lth.quantising import quantise
from milp_lth.reduction import reduce
from milp_lth.solving import solve_masks
from milp_lth.source import PRESENT, REDRAWN, SECOND, Source
from milp_lth.targets.data import Data
from milp_lth.targets.named import load_named_target
from milp_lth.ticket_files import load_ticket, save_ticket
from solvers.heuristic.golden_ratio import guaranteed_error
from solvers.solution import Status
from solvers.solve import solve

Digits = tuple[nn.Module, Data]


@pytest.fixture(scope="module")
def digits() -> Digits:
    return load_named_target("digits-mlp")


def small(*, bias: bool = True, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 6, bias=bias), nn.ReLU(), nn.Linear(6, 3, bias=bias)).double()


@pytest.mark.parametrize("name", CONSTRUCTIONS)
def test_every_construction_states_its_theorem(name: str) -> None:
    assert all(theorem(name))
    assert Source(construction=name).distribution


@pytest.mark.parametrize("name", CONSTRUCTIONS)
@pytest.mark.parametrize("low", [0.0, -1.0])
def test_a_ticket_is_what_its_file_says_and_folds_to_what_it_computes(
    name: str, low: float, tmp_path: object
) -> None:
    target = quantise(small(), 6) if name == "quantised" else small()
    ticket = find_ticket(target, construction=name, input_range=(low, 1.0), seed=3)
    x = low + (1 - low) * torch.rand(300, 5, dtype=torch.float64)
    got = ticket(x)
    assert (ticket.fold()(x) - got).abs().max() <= 1e-12 * got.abs().max()
    if name != "direct-shared":  # too few numbers for all weights of an output
        assert (got - target(x)).abs().max() < 0.2
    path = f"{tmp_path}/ticket.safetensors"
    save_ticket(ticket, path)
    again = load_ticket(path)
    assert again.settings.source == ticket.settings.source
    for place, tensor in ticket.state_dict().items():
        assert (again.state_dict()[place] == tensor).all(), place
    depth = sum(drawn.depth for drawn in ticket.settings.layers)
    assert depth == {"direct": 2, "direct-shared": 2, "l-plus-one": 3, "binary": 18}.get(name, 4)
    edges = ticket.edges()
    assert 0 < edges["alive"] <= edges["kept_u"] + edges["kept_v"] <= edges["source_block"]
    assert edges["source_block"] <= edges["source_dense"]


@pytest.mark.parametrize(
    ("name", "redraws"),
    [*((name, 0) for name in CONSTRUCTIONS),
     *((name, 3) for name, entry in CONSTRUCTIONS.items() if entry.redraws)],
)  # fmt: skip
def test_rows_that_are_sent_elsewhere_state_the_same_problems(name: str, redraws: int) -> None:
    target = quantise(small(), 6) if name == "quantised" else small()
    tolerance = {"two-layer": Closest(0.05), "k-subset": FixedSize(4, 0.01)}
    source = Source(construction=name, redraws=redraws)
    for part in reduce(target, source, objective=tolerance.get(name) if redraws else None).parts:
        here = part.instance(7, 13)
        there = pickle.loads(pickle.dumps(part.of_rows(7, 13))).instance(7, 13)
        assert (here.coefficients == there.coefficients).all()
        assert (here.targets == there.targets).all()
        assert (here.available is None) == (there.available is None)
        if here.available is not None:
            assert (here.available == there.available).all()


@pytest.mark.parametrize(
    "name", ["nearest-product", "golden-ratio", "k-subset", "quantised", "pre-masked", "perturbed"]
)
def test_agreement_with_digits(name: str, digits: Digits) -> None:
    target, data = digits
    if name == "quantised":
        target = quantise(target, 6)
    ticket = find_ticket(target, construction=name, input_range=data.input_range)
    assert evaluate(ticket, target, data.x, data.y).agreement >= 0.99


def test_the_error_of_the_nearest_product_falls_as_one_over_the_width(digits: Digits) -> None:
    target, data = digits
    widths, errors = [32, 64, 128, 256, 512], []
    for width in widths:
        source = Source(seed=1, construction="nearest-product", width=width)
        part = reduce(target, source, assignment="block", input_range=data.input_range).parts[1]
        solution = solve(part.instance())
        assert solution.counts()["OPTIMAL"] == len(part)
        assert (solution.mask.sum(axis=1) == 1).all()
        errors.append(np.median(solution.error))
    slope = np.polyfit(np.log(widths), np.log(errors), 1)[0]
    assert -1.15 < slope < -0.85


def test_golden_ratio_keeps_to_its_bound_on_1e5_weights_without_a_solver() -> None:
    torch.manual_seed(0)
    target = nn.Linear(100, 1000, bias=False)  # 10⁵ weights
    reduction = reduce(target, Source(construction="golden-ratio", width=96), input_range=(0, 1))
    (part,) = reduction.parts
    solution = solve(part.instance(), "golden-ratio")
    bound = guaranteed_error(solution.instance)
    assert len(bound) == 10**5
    assert (solution.error <= bound).all()
    assert np.median(bound) < 0.02 * reduction.layers[0].drawn.scale
    assert not (solution.status == Status.OPTIMAL).any()


def test_k_subsets_succeed_as_their_number_lets_them() -> None:
    """The least n for 99 % success: C(n, k) ≈ c √k / ε with one constant for all k and ε.

    The nearest of many independent sums is away by an exponential of mean 1 / (2 C(n, k) f), f the
    density of sums of k uniforms at the target: √(3 / 2πk) near 0. So 99 % need C f ε ≥ ln(100)/2,
    and a little more, since subsets share candidates.
    """
    constants = []
    for k, tolerance in ((2, 0.02), (3, 0.01), (4, 0.004)):
        needed = None
        for n in range(8, 80):
            rng = np.random.default_rng(n)
            coefficients = rng.uniform(-1, 1, (400, n))
            targets = rng.uniform(-0.25, 0.25, 400)
            hit = _k_subset_errors(coefficients, targets, k) <= tolerance
            if hit.mean() >= 0.99:
                needed = n
                break
        assert needed is not None
        density = math.sqrt(3 / (2 * math.pi * k))
        constants.append(math.comb(needed, k) * 2 * tolerance * density / math.log(100))
    assert 0.7 < min(constants) <= max(constants) < 3.5
    assert max(constants) / min(constants) < 2.5


def _k_subset_errors(coefficients: np.ndarray, targets: np.ndarray, k: int) -> np.ndarray:
    from instances.subset_sum import SubsetSum

    errors = np.empty(len(targets))
    for start in range(0, len(targets), 200):
        rows = slice(start, start + 200)
        instance = SubsetSum(coefficients[rows], targets[rows], FixedSize(k))
        errors[rows] = solve(instance, "mitm" if coefficients.shape[1] <= 48 else "beam").error
    return errors


def test_the_density_of_k_subsets_is_the_one_asked_for(digits: Digits) -> None:
    target, data = digits
    ticket = find_ticket(target, construction="k-subset", input_range=data.input_range)
    assert ticket.edges()["kept_v"] == 4 * 2368


def test_quantised_tickets_equal_their_targets(digits: Digits) -> None:
    target, data = digits
    rounded = quantise(target, 6).double()
    source = Source(construction="quantised")
    reduction = reduce(rounded, source, input_range=data.input_range)
    masks = solve_masks(reduction)
    for part, mask in zip(reduction.parts, masks, strict=True):
        instance = part.instance()
        assert isinstance(instance.objective, Closest)
        assert instance.objective.tolerance == 0
        assert (instance.judge(mask).error == 0).all()
    ticket = assemble(reduction, masks)
    x = data.x.double()
    assert torch.equal((x * 16).round(), x * 16)  # pixels are sixteenths
    assert torch.equal(ticket(x), rounded(x))
    # the last layer's step times the first's, in sixteenths: whole numbers on both sides
    steps = [layer.drawn.scale * 2.0**-8 for layer in reduction.layers]
    whole = ticket(x) * 16 / (steps[0] * steps[1])
    assert torch.equal(whole, whole.round())


def test_cp_sat_finds_the_same_quantised_weights(digits: Digits) -> None:
    target, data = digits
    source = Source(construction="quantised", width=20)
    part = reduce(quantise(target, 6), source, input_range=data.input_range).parts[1]
    rows = part.instance(0, 12)
    program, exact = solve(rows, "cp-sat"), solve(rows, "mitm")
    assert (program.error == 0).all()
    assert (program.mask == exact.mask).all()
    assert program.counts()["OPTIMAL"] == 12


def test_weights_off_the_grid_are_refused() -> None:
    with pytest.raises(ValueError, match="--target-bits"):
        find_ticket(small(), construction="quantised")
    fine = quantise(small(), 12)
    with pytest.raises(ValueError, match="quantised-K"):
        find_ticket(fine, construction="quantised")
    source = Source(construction="quantised", distribution="quantised-7", width=56)
    ticket = find_ticket(fine, source=source, objective=Closest(0.0))
    x = torch.randn(20, 5, dtype=torch.float64)
    assert (ticket(x) - fine(x)).abs().max() < 1e-12


def test_pre_masking_at_p_needs_one_over_p_times_the_width(digits: Digits) -> None:
    target, data = digits
    needed = []
    for density, start in ((1.0, 6), (0.5, 12), (0.25, 24)):
        width, hit = start, 0.0
        while hit < 0.95:
            width += 1
            source = Source(construction="pre-masked", density=density, width=width)
            part = reduce(target, source, input_range=data.input_range).parts[0]
            hit = float((solve(part.instance()).error <= 0.03).mean())
        needed.append(width)
    assert needed[0] > 7  # not the first that was tried
    assert needed[1] / needed[0] == pytest.approx(2, rel=0.3)
    assert needed[2] / needed[0] == pytest.approx(4, rel=0.3)


def test_what_was_masked_beforehand_is_never_kept(digits: Digits) -> None:
    target, data = digits
    source = Source(construction="pre-masked", density=0.4, width=30, seed=5)
    ticket = find_ticket(target, source=source, input_range=data.input_range)
    for k, layer in enumerate(ticket.layers):
        luck = uniform(Stream(5, k, PRESENT), np.arange(layer.v_mask.numel()))
        there = luck.reshape(layer.v_mask.shape) < 2 * 0.4 - 1
        assert not (layer.v_mask.numpy() & ~there).any()
        drawn = ticket.settings.layers[k]
        assert drawn.num_edges()[1] == drawn.num_units + there.sum()


def test_frozen_edges_are_kept_or_pruned_whatever_the_target(digits: Digits) -> None:
    target, data = digits
    source = Source(construction="frozen", density=0.9, width=26, seed=2)
    masks = []
    for network in (target, nn.Sequential(*[_negated(module) for module in target])):
        reduction = reduce(network, source, input_range=data.input_range)
        ticket = assemble(reduction, solve_masks(reduction))
        masks.append([layer.v_mask.numpy() for layer in ticket.layers])
        errors = evaluate(ticket, network, data.x).layers
        assert max(layer.median_error for layer in errors) < 1e-6
    for k, (one, two) in enumerate(zip(*masks, strict=True)):
        luck = uniform(Stream(2, k, PRESENT), np.arange(one.size)).reshape(one.shape)
        locked, free = luck >= 0.9, luck < 0.8
        used = ticket.settings.layers[k].input_of >= 0
        assert one[:, used][locked[:, used]].all()
        assert two[:, used][locked[:, used]].all()
        assert not one[~free & ~locked].any()
        assert (one != two)[free].any()
        assert abs(locked.mean() - 0.05) < 0.01


def _negated(module: nn.Module) -> nn.Module:
    if not isinstance(module, nn.Linear):
        return module
    linear = nn.Linear(module.in_features, module.out_features, bias=False)
    linear.weight.data = -module.weight.detach()
    return linear


def test_perturbed_weights_move_no_further_than_they_may() -> None:
    target = small(bias=True)
    source = Source(construction="perturbed", width=12, perturbation=1 / 64)
    reduction = reduce(target, source)
    assert all(isinstance(part.instance(), PerturbedSubsetSum) for part in reduction.parts)
    ticket = assemble(reduction, solve_masks(reduction))
    for layer, plain in zip(ticket.layers, ticket.settings.layers, strict=True):
        unmoved = replace(plain, movement=np.zeros_like(plain.movement)).v()
        away = np.abs(layer.v.numpy() - unmoved) / plain.scale
        assert away.max() <= 1 / 64 * (1 + 1e-12)
        assert (away > 0).any()
    errors = evaluate(ticket, target, torch.randn(10, 5, dtype=torch.float64)).layers
    assert max(layer.median_error for layer in errors) < 1e-15


def test_perturbation_saves_candidates(digits: Digits) -> None:
    """With the same six candidates far fewer weights are missed, the fewer the more may move."""
    target, data = digits
    missed = []
    for perturbation in (1e-9, 1 / 64, 1 / 16):
        source = Source(construction="perturbed", width=6, perturbation=perturbation)
        part = reduce(target, source, input_range=data.input_range).parts[0]
        missed.append(float((solve(part.instance()).error > 0.01).mean()))
    assert missed[0] > 2 * missed[1] > 4 * missed[2]


def test_redraws_are_recorded_and_drawn_from_streams_of_their_own(tmp_path: object) -> None:
    target = small(bias=True)
    source = Source(width=8, redraws=40, seed=11)
    ticket = find_ticket(target, source=source, objective=Closest(0.02))
    plain = find_ticket(target, source=Source(width=8, seed=11), objective=Closest(0.02))
    x = torch.randn(30, 5, dtype=torch.float64)
    errors = [max(layer.max_error for layer in evaluate(t, target, x).layers)
              for t in (ticket, plain)]  # fmt: skip
    assert errors[0] <= 0.02 < errors[1]
    again = 0
    for k, (layer, drawn) in enumerate(zip(ticket.layers, ticket.settings.layers, strict=True)):
        units, v = np.arange(drawn.num_units), layer.v.numpy() / drawn.scale
        half = (drawn.u() < 0).astype(int)
        for j in range(drawn.num_outputs):
            attempts = drawn.attempts[half, j, drawn.input_of]
            for attempt in np.unique(attempts):
                matrix = SECOND if attempt == 0 else REDRAWN + attempt
                of_it = units[(attempts == attempt) & (drawn.input_of >= 0)]
                assert (v[j, of_it] == source.draw(k, matrix, drawn.num_units, j, of_it)).all()
                again += attempt > 0
    assert again
    reduction = reduce(target, source, objective=Closest(0.02))
    for part in reduction.parts:
        drawn = part.layer.candidates(part.half, 1, 3)
        rows = part.instance(part.half.num_inputs, 3 * part.half.num_inputs)
        assert (drawn.reshape(len(rows), -1) == rows.coefficients).all()
    save_ticket(ticket, f"{tmp_path}/t.safetensors")
    loaded = load_ticket(f"{tmp_path}/t.safetensors")
    assert loaded.settings.source.redraws == 40
    assert torch.equal(loaded(x), ticket(x))


def test_redraws_need_to_know_what_failing_is() -> None:
    with pytest.raises(ValueError, match="tolerance"):
        find_ticket(small(), source=Source(width=8, redraws=3))


@pytest.mark.parametrize(
    "distribution", ["normal", "hyperbolic", "signed-constant", "binary", "quantised-6"]
)
def test_any_distribution_serves_two_layer(distribution: str) -> None:
    """Entries are the distribution's; what few candidates reach depends on it."""
    source = Source(width=24, distribution=distribution, seed=4)
    reduction = reduce(small(), source, objective=Sparsest(0.25))
    ticket = assemble(reduction, solve_masks(reduction))
    drawn = Distribution(distribution)
    for k, (layer, matrices) in enumerate(zip(ticket.layers, ticket.settings.layers, strict=True)):
        counters = np.arange(layer.v.numel())
        v = drawn.draw(Stream(4, k, SECOND), counters, unit=drawn.factor_unit)
        assert (layer.v.numpy().ravel() == matrices.scale * v).all()
    for part in reduction.parts:
        assert (part.instance().recipe.draw(len(part)) == part.instance().coefficients).all()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"density": 0.5}, "pre-masked or frozen"),
        ({"construction": "pre-masked", "density": 0.0}, "above 0 up to 1"),
        ({"construction": "perturbed", "perturbation": 2.0}, "above 0 up to 1"),
        ({"bits": 4}, "binary"),
        ({"construction": "direct", "distribution": "normal"}, "uniform"),
        ({"construction": "direct", "redraws": 2}, "two-layer"),
        ({"redraws": 256}, "255"),
        ({"distribution": "cauchy"}, "quantised-K"),
        ({"construction": "three-layer"}, "l-plus-one"),
    ],
)
def test_what_does_not_belong_is_refused(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Source(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("bits", [1, 25])
def test_targets_are_rounded_to_some_bits(bits: int) -> None:
    with pytest.raises(ValueError, match="from 2 to 24"):
        quantise(small(), bits)


def test_rounding_is_to_the_nearest_step_of_each_layer() -> None:
    target = small()
    rounded = quantise(target, 5)
    for old, new in zip(target.parameters(), rounded.parameters(), strict=True):
        assert (new - old).abs().max() <= 2.0**-6
    for layer in (rounded[0], rounded[2]):
        largest = max(float(tensor.detach().abs().max()) for tensor in layer.parameters())
        step = 2.0 ** math.ceil(math.log2(largest)) / 16
        assert torch.equal(layer.weight / step, (layer.weight / step).round())
