"""From a target to its problems and back: the laws of the reduction."""

import copy
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn

from instances.objectives import Closest, FixedSize, Sparsest
from instances.philox import UNIT_FACTOR, Stream, uniform
from milp_lth.assembly import assemble
from milp_lth.constructions.assignment import assign
from milp_lth.constructions.two_layer import scale_for
from milp_lth.finding import find_ticket
from milp_lth.network import read_network
from milp_lth.reduction import Reduction, reduce
from milp_lth.solving import solve_chunks, solve_masks
from milp_lth.source import Source
from milp_lth.ticket_files import save_ticket
from solvers.exact.meet_in_the_middle import MeetInTheMiddle

RANGES = [(0.0, 1.0), (-1.0, 1.0)]


def small(
    dims: tuple[int, ...], *, bias: bool, seed: int = 0, dtype: torch.dtype = torch.float64
) -> nn.Sequential:
    torch.manual_seed(seed)
    module = nn.Sequential()
    for k, (d_in, d_out) in enumerate(itertools.pairwise(dims)):
        if k:
            module.append(nn.ReLU())
        module.append(nn.Linear(d_in, d_out, bias=bias, dtype=dtype))
    return module


def plant(reduction: Reduction, seed: int) -> nn.Sequential:
    """Return a target whose every weight is the sum of some candidates of its problem.

    Sums stay within a quarter of the scale, so that the same source serves the planted target.
    """
    rng = np.random.default_rng(seed)
    modules = [nn.ReLU() if step == "relu" else None for step in reduction.network.steps]
    linears = []
    for part in reduction.parts:
        drawn, instance = part.layer.drawn, part.instance()
        sums = np.zeros(len(instance))
        for k in rng.permutation(instance.num_candidates):
            more = sums + instance.coefficients[:, k]  # 0 where it is not available
            fits = (np.abs(more) <= drawn.scale / 4) & (rng.random(len(sums)) < 0.8)
            sums = np.where(fits, more, sums)
        weight = torch.tensor(sums).reshape(drawn.num_outputs, drawn.num_inputs)
        num_weights = drawn.num_inputs - drawn.has_bias
        linear = nn.Linear(num_weights, drawn.num_outputs, bias=drawn.has_bias, dtype=weight.dtype)
        linear.weight.data = weight[:, :num_weights].contiguous()
        if drawn.has_bias:
            linear.bias.data = weight[:, num_weights].contiguous()
        linears.append(linear)
    return nn.Sequential(*(module or linears.pop(0) for module in modules))


@pytest.mark.parametrize("assignment", ["matched", "block"])
@given(seed=st.integers(0, 2**32 - 1), bias=st.booleans(), hidden=st.integers(3, 6))
def test_a_planted_target_is_found_exactly(
    assignment: str, seed: int, bias: bool, hidden: int
) -> None:
    """assemble(reduce(f)) ≡ f where an exact solution exists."""
    source = Source(seed=seed, width=10)
    first = reduce(
        small((4, hidden, 3), bias=bias), source, assignment=assignment, input_range=(0, 1)
    )
    target = plant(first, seed)
    again = reduce(target, source, assignment=assignment, input_range=(0, 1))
    scales = [[layer.drawn.scale for layer in r.layers] for r in (first, again)]
    assume(scales[0] == scales[1])  # else the target was not planted in this source
    masks = solve_masks(again)
    for part, mask in zip(again.parts, masks, strict=True):
        assert (part.instance().judge(mask).error == 0).all()
    ticket = assemble(again, masks)
    x = torch.rand(50, 4, dtype=torch.float64)
    with torch.no_grad():
        wanted, got = target(x), ticket(x)
    assert (got - wanted).abs().max() <= 1e-12 * wanted.abs().max()


@pytest.mark.parametrize("input_range", RANGES)
@pytest.mark.parametrize("assignment", ["matched", "block"])
@given(seed=st.integers(0, 1000), bias=st.booleans())
def test_fold_computes_what_the_ticket_computes(
    input_range: tuple[float, float], assignment: str, seed: int, bias: bool
) -> None:
    target = small((5, 7, 3), bias=bias, seed=seed)
    ticket = find_ticket(target, seed=seed, width=6, assignment=assignment, input_range=input_range)
    low, high = input_range
    x = low + (high - low) * torch.rand(200, 5, dtype=torch.float64)
    for dtype, relative in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
        ticket = ticket.to(dtype)
        got, folded = ticket(x.to(dtype)), ticket.fold()(x.to(dtype))
        limit = relative * max(float(got.abs().max()), 1e-9)
        assert float((got - folded).abs().max()) <= limit


@pytest.mark.parametrize("input_range", RANGES)
def test_every_frozen_weight_is_what_was_drawn(input_range: tuple[float, float]) -> None:
    """Drawn here once more, entry by entry, from the definition of the random numbers."""
    target = small((4, 6, 2), bias=True, dtype=torch.float32)
    ticket = find_ticket(target, seed=77, width=10, input_range=input_range)
    for k, (layer, drawn) in enumerate(zip(ticket.layers, ticket.settings.layers, strict=True)):
        num_units, num_inputs = drawn.num_units, drawn.num_inputs
        u = uniform(Stream(77, k, 0), np.arange(num_units * num_inputs), unit=UNIT_FACTOR)
        u = u.reshape(num_units, num_inputs)
        v = uniform(Stream(77, k, 1), np.arange(layer.v.numel()), unit=UNIT_FACTOR) * drawn.scale
        assert (layer.v.double().numpy() == v.reshape(layer.v.shape)).all()
        keeps = drawn.input_of >= 0
        chosen = u[np.arange(num_units), drawn.input_of]
        assert (layer.u.double().numpy()[keeps] == chosen[keeps]).all()
        assert layer.v_mask.dtype == layer.u_mask.dtype == torch.bool
        assert not any(p.requires_grad for p in ticket.parameters())


def test_each_weight_sums_what_its_mask_keeps() -> None:
    """The dense view: (V ⊙ mask)(U ⊙ mask) by sign of U, from matrices drawn in full."""
    target = small((3, 2), bias=True)
    reduction = reduce(target, Source(seed=5, width=12))
    masks = solve_masks(reduction)
    ticket = assemble(reduction, masks)
    layer, drawn = ticket.layers[0], reduction.layers[0].drawn
    u = np.zeros((drawn.num_units, drawn.num_inputs))
    kept = layer.u_mask.numpy()
    u[np.flatnonzero(kept), drawn.input_of[kept]] = layer.u.numpy()[kept]
    v = layer.v.numpy() * layer.v_mask.numpy()
    x = np.random.default_rng(0).normal(size=(40, 3))
    constant = np.column_stack([x, np.ones(40)])
    dense = np.maximum(constant @ u.T, 0) @ v.T
    assert np.allclose(dense, ticket(torch.tensor(x)).numpy(), atol=1e-12)
    for part, mask in zip(reduction.parts, masks, strict=True):
        instance = part.instance()
        sums = np.where(mask, instance.coefficients, 0).sum(axis=1)
        sums = sums.reshape(drawn.num_outputs, -1)
        assert (layer.half_weights(part.half.sign).numpy()[:, : sums.shape[1]] == sums).all()


def test_same_seed_same_ticket_other_seed_other_ticket() -> None:
    target = small((5, 4, 2), bias=True)
    one, two, other = (find_ticket(target, seed=s, width=8).state_dict() for s in (3, 3, 4))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("construction", ["two-layer", "direct", "direct-shared"])
def test_chunks_and_threads_do_not_change_the_ticket(construction: str, tmp_path: Path) -> None:
    source = Source(width=9, construction=construction)
    reduction = reduce(small((5, 4, 2), bias=True), source, objective=Sparsest(1e-3))
    written = []
    for chunk_rows, threads in ((10_000, 1), (7, 1), (1, 2), (13, 3)):
        masks = [np.zeros(part.shape, bool) for part in reduction.parts]
        solver = MeetInTheMiddle(threads=threads)
        for chunk in solve_chunks(reduction, solver, chunk_rows=chunk_rows):
            chunk.write_to(masks)
        path = tmp_path / f"{chunk_rows}.safetensors"
        save_ticket(assemble(reduction, masks), path)
        written.append(path.read_bytes())
    assert len(set(written)) == 1


def test_tickets_survive_what_modules_go_through() -> None:
    target = small((6, 5, 3), bias=True, dtype=torch.float32)
    ticket = find_ticket(target, width=12)
    x = torch.randn(9, 6)
    expected = ticket(x)
    assert torch.equal(copy.deepcopy(ticket)(x), expected)
    other = find_ticket(target, width=12, seed=1)
    other.load_state_dict(ticket.state_dict())
    assert torch.equal(other(x), expected)
    exported = torch.export.export(ticket, (x,)).module()
    assert torch.equal(exported(x), expected)
    assert torch.equal(ticket.to("cpu").eval().train()(x), expected)
    assert torch.equal(ticket.double().float()(x), expected)
    assert ticket(x[0]).shape == (3,)
    assert isinstance(ticket.half(), type(ticket))  # torch's own half() is not shadowed


@pytest.mark.parametrize("objective", [Sparsest(0.02), FixedSize(3), Closest(1e-6)])
def test_objectives_reach_the_ticket(objective) -> None:  # type: ignore[no-untyped-def]
    target = small((4, 5, 2), bias=True)
    reduction = reduce(target, Source(width=20), objective=objective, input_range=(0, 1))
    ticket = assemble(reduction, solve_masks(reduction))
    per_weight = ticket.layers[0].v_mask.sum().item() / reduction.layers[0].weight.size
    errors = (ticket.layers[0].half_weights(1) - torch.tensor(reduction.layers[0].weight)).abs()
    if isinstance(objective, Sparsest):
        assert float(errors.max()) <= 0.02
        assert per_weight < 3
    elif isinstance(objective, FixedSize):
        assert per_weight == 3
    else:
        assert float(errors.max()) < 1e-3


class TestAssignment:
    def test_block_is_in_line(self) -> None:
        assert assign(Source(width=3), 0, np.zeros(2, bool), 3, "block").tolist() == [
            0,
            0,
            0,
            1,
            1,
            1,
        ]

    @pytest.mark.parametrize(("num_inputs", "width"), [(1, 5), (2, 1), (3, 24), (65, 24), (7, 9)])
    @pytest.mark.parametrize("signed", [False, True])
    @pytest.mark.parametrize("bias", [False, True])
    def test_matched_keeps_its_limits(
        self, num_inputs: int, width: int, signed: bool, bias: bool
    ) -> None:
        signs = np.full(num_inputs, signed)
        if bias:
            signs[-1] = False
        source = Source(seed=9)
        input_of = assign(source, 2, signs, width, "matched")
        num_units = num_inputs * width
        assert input_of.shape == (num_units,)
        kept = np.flatnonzero(input_of >= 0)
        u = source.draw(2, 0, num_inputs, kept, input_of[kept])
        assert (u != 0).all()
        assert (signs[input_of[kept]] | (u > 0)).all()  # where inputs are ≥ 0, every unit is usable
        assert np.bincount(input_of[kept], minlength=num_inputs).max() <= width

    def test_matched_fills_every_half(self) -> None:
        for seed in range(10):
            source = Source(seed=seed)
            signs = np.array([True] * 13 + [False])
            input_of = assign(source, 0, signs, 48, "matched")
            u = source.draw(0, 0, 14, np.arange(len(input_of)), input_of)
            for i in range(13):
                assert ((input_of == i) & (u > 0)).sum() == 24
                assert ((input_of == i) & (u < 0)).sum() == 24
            assert (input_of == 13).sum() == 24

    def test_the_unknown_is_refused(self) -> None:
        with pytest.raises(ValueError, match="matched, block"):
            reduce(nn.Linear(2, 2), assignment="random")


@given(st.floats(1e-20, 1e20))
def test_scale_is_the_smallest_power_of_two(largest: float) -> None:
    scale = scale_for(np.array([[largest, -largest / 3]]))
    assert np.frexp(scale)[0] == 0.5
    assert largest / scale <= 0.25 < largest / (scale / 2)


def test_scale_of_nothing_and_of_too_much() -> None:
    assert scale_for(np.zeros((2, 2))) == 1.0
    with pytest.raises(ValueError, match="too large"):
        scale_for(np.array([[1e38]]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 0}, "at least one hidden unit"),
        ({"width": (4, 0)}, "at least one hidden unit"),
        ({"width": ()}, "at least one hidden unit"),
        ({"width": -3}, "at least one hidden unit"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**32}, "seed"),
        ({"construction": "three-layer"}, "two-layer"),
        ({"distribution": "cauchy"}, "uniform"),
    ],
)
def test_sources_out_of_range_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Source(**settings)  # type: ignore[arg-type]


def test_arguments_that_do_not_fit_are_refused() -> None:
    target = small((3, 2, 2), bias=False)
    with pytest.raises(ValueError, match="3 widths for 2 layers"):
        reduce(target, Source(width=(1, 2, 3)))
    with pytest.raises(ValueError, match="lower end first"):
        reduce(target, input_range=(1, -1))
    reduction = reduce(target, Source(width=4))
    with pytest.raises(ValueError, match="answers for"):
        assemble(reduction, [])
    with pytest.raises(ValueError, match="bool mask of shape"):
        assemble(reduction, [np.zeros((2, 2), bool)] * len(reduction.parts))


def test_reading_a_target_does_not_change_it() -> None:
    target = small((3, 2), bias=True, dtype=torch.float32)
    before = copy.deepcopy(target.state_dict())
    find_ticket(target, width=8)
    assert all(torch.equal(before[k], v) for k, v in target.state_dict().items())
    assert read_network(target).dtype == torch.float32
