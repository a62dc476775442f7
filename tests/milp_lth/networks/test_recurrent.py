"""Recurrent computes what torch's RNN, GRU and LSTM do, from Linear children."""

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from milp_lth.networks.recurrent import Recurrent

KINDS: dict[str, tuple[type[nn.RNNBase], dict[str, Any]]] = {
    "tanh": (nn.RNN, {}),
    "relu": (nn.RNN, {"nonlinearity": "relu"}),
    "gru": (nn.GRU, {}),
    "lstm": (nn.LSTM, {}),
    "projected": (nn.LSTM, {"proj_size": 2}),
}


def build(kind: str, *arguments: int, **options: Any) -> Any:
    make, more = KINDS[kind]
    return make(*arguments, **options, **more, dtype=torch.float64).eval()


def tensors(answer: Any) -> list[torch.Tensor]:
    """All tensors of what a forward returns, in order."""
    if isinstance(answer, torch.Tensor):
        return [answer]
    if isinstance(answer, PackedSequence):
        return [answer.data, answer.batch_sizes, answer.sorted_indices, answer.unsorted_indices]
    return [tensor for part in answer for tensor in tensors(part)]


def assert_same(one: Any, two: Any) -> None:
    for left, right in zip(tensors(one), tensors(two), strict=True):
        torch.testing.assert_close(left, right, rtol=0, atol=1e-12)


def states_like(answer: Any, generator: torch.Generator) -> Any:
    """Random states in the shape of those that a forward returned."""
    drawn = [torch.randn(t.shape, generator=generator, dtype=t.dtype) for t in tensors(answer[1])]
    return tuple(drawn) if isinstance(answer[1], tuple) else drawn[0]


@settings(max_examples=120, deadline=None)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    num_layers=st.integers(1, 3),
    bidirectional=st.booleans(),
    bias=st.booleans(),
    batch_first=st.booleans(),
    shape=st.tuples(st.integers(1, 5), st.integers(1, 4)),
    form=st.sampled_from(["batched", "unbatched", "packed", "packed in order"]),
    start=st.booleans(),
    seed=st.integers(0, 99),
)
def test_equals_the_torch_module(
    kind: str,
    num_layers: int,
    bidirectional: bool,
    bias: bool,
    batch_first: bool,
    shape: tuple[int, int],
    form: str,
    start: bool,
    seed: int,
) -> None:
    generator = torch.Generator().manual_seed(seed)
    module = build(
        kind, 3, 4, num_layers, bidirectional=bidirectional, bias=bias, batch_first=batch_first
    )
    plain = Recurrent.of(module)
    x: Any = torch.randn(*shape, 3, generator=generator, dtype=torch.float64)
    if form == "unbatched":
        x = x[0]
    elif form != "batched":
        lengths = torch.randint(1, shape[1] + 1, (shape[0],), generator=generator).tolist()
        if form == "packed in order":
            lengths.sort(reverse=True)
        parts = [sequence[:length] for sequence, length in zip(x, lengths, strict=True)]
        x = pack_sequence(parts, enforce_sorted=False)
    hx = states_like(module(x), generator) if start else None
    answer = plain(x, hx)
    assert_same(answer, module(x, hx))
    assert type(answer[1]) is type(module(x, hx)[1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch_first", [False, True])
def test_dropout_in_training(kind: str, batch_first: bool) -> None:
    module = build(kind, 3, 4, 3, dropout=0.5, bidirectional=True, batch_first=batch_first).train()
    plain = Recurrent.of(module)
    assert plain.training
    x = torch.randn(4, 5, 3, dtype=torch.float64)
    torch.manual_seed(1)
    expected = module(x)
    torch.manual_seed(1)
    assert_same(plain(x), expected)
    assert not torch.equal(plain(x)[0], plain(x)[0])
    assert_same(plain.eval()(x), module.eval()(x))


def test_children() -> None:
    module = build("projected", 3, 4, 2, bidirectional=True)
    plain = Recurrent.of(module)
    linears = {name: x for name, x in plain.named_modules() if isinstance(x, nn.Linear)}
    assert set(linears) == {
        f"layers.{k}.{direction}{name}"
        for k in (0, 1)
        for direction in ("", "reverse_")
        for name in ("input", "hidden", "projection")
    }
    assert torch.equal(linears["layers.1.reverse_input"].weight, module.weight_ih_l1_reverse)
    assert torch.equal(linears["layers.0.hidden"].bias, module.bias_hh_l0)
    assert linears["layers.0.projection"].bias is None
    assert not any(p.requires_grad for p in plain.parameters())
    assert set(plain.state_dict()) == {f"{n}.{p}" for n, x in linears.items() for p in x._parameters
                                       if x._parameters[p] is not None}  # fmt: skip
    with torch.no_grad():
        module.weight_ih_l0.zero_()
    assert linears["layers.0.input"].weight.any()


def test_children_may_be_replaced() -> None:
    """Each is called as a module: that of the input once, that of the state at every step."""
    plain = Recurrent.of(build("gru", 3, 4))
    calls = []

    class Other(nn.Module):
        def __init__(self, name: str, linear: nn.Module) -> None:
            super().__init__()
            self.name, self.linear = name, linear

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            calls.append((self.name, tuple(x.shape)))
            return self.linear(x)  # type: ignore[no-any-return]

    x = torch.randn(3, 2, 3, dtype=torch.float64)
    expected = plain(x)
    for name in plain.nonnegative_children(False):
        plain.set_submodule(name, Other(name, plain.get_submodule(name)))
    assert_same(plain(x), expected)
    assert calls == [("layers.0.input", (3, 2, 3))] + [("layers.0.hidden", (2, 4))] * 3


def test_signs() -> None:
    relu = Recurrent.of(build("relu", 3, 4, 2))
    assert relu.nonnegative_output
    assert relu.nonnegative_children(True) == {
        "layers.0.input": True,
        "layers.0.hidden": False,
        "layers.1.input": True,
        "layers.1.hidden": False,
    }
    gru = Recurrent.of(build("gru", 3, 4, 2, bidirectional=True))
    assert not gru.nonnegative_output
    known = gru.nonnegative_children(True)
    assert {name for name in known if known[name]} == {
        "layers.0.input",
        "layers.0.reverse_input",
    }
    assert set(known) == {n for n, x in gru.named_modules() if isinstance(x, nn.Linear)}
    assert not any(gru.nonnegative_children(False).values())
    assert not any(Recurrent.of(build("projected", 3, 4)).nonnegative_children(False).values())


@pytest.mark.parametrize("kind", KINDS)
def test_copies_and_states(kind: str) -> None:
    module = build(kind, 3, 4, 2, bidirectional=True)
    x = torch.randn(4, 2, 3, dtype=torch.float64)
    plain = Recurrent.of(module)
    other = Recurrent.of(build(kind, 3, 4, 2, bidirectional=True))
    other.load_state_dict(plain.state_dict())
    assert_same(other(x), plain(x))
    assert_same(copy.deepcopy(plain)(x), plain(x))
    plain.flatten_parameters()  # networks call it
    assert (plain.hidden_size, plain.num_layers, plain.bidirectional) == (4, 2, True)


@pytest.mark.parametrize("kind", ["relu", "gru", "projected"])
def test_export(kind: str) -> None:
    plain = nn.Sequential(Recurrent.of(build(kind, 3, 4, 2, bidirectional=True, batch_first=True)))
    x = torch.randn(2, 3, 3, dtype=torch.float64)
    batch = torch.export.Dim("batch", min=2, max=64)
    program = torch.export.export(plain, (x,), dynamic_shapes=({0: batch},))
    more = torch.randn(5, 3, 3, dtype=torch.float64)
    assert_same(program.module()(more), plain(more))


class OtherCell(nn.GRU):
    """A subclass that torch's equations do not describe."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        return input, hx


def test_what_is_refused() -> None:
    for module in (OtherCell(3, 4), nn.Linear(3, 4), nn.GRUCell(3, 4)):
        with pytest.raises(ValueError, match=f"{type(module).__name__} is not.*Linear layers"):
            Recurrent.of(module)  # type: ignore[arg-type]
    gru, lstm = Recurrent.of(nn.GRU(3, 4)), Recurrent.of(nn.LSTM(3, 4))
    with pytest.raises(ValueError, match="4 dimensions: give"):
        gru(torch.zeros(1, 1, 1, 3))
    with pytest.raises(ValueError, match="2 features: this network takes 3"):
        gru(torch.zeros(5, 2))
    with pytest.raises(ValueError, match=r"hx has the shape \(4,\): give \(1, 4\), or None"):
        gru(torch.zeros(5, 3), torch.zeros(4))
    with pytest.raises(ValueError, match=r"give \(1, 2, 4\), \(1, 2, 4\), or None"):
        lstm(torch.zeros(5, 2, 3), torch.zeros(1, 2, 4))
