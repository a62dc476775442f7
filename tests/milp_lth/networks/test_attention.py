"""Attention and ProductAttention compute what torch's MultiheadAttention does."""

import copy
import itertools
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from milp_lth.networks.attention import Attention, ProductAttention
from milp_lth.networks.product import Product

PLAIN = [Attention, ProductAttention]


def build(embed_dim: int = 6, num_heads: int = 2, **options: Any) -> nn.MultiheadAttention:
    """A module whose biases are not zero, as a new one's are."""
    module = nn.MultiheadAttention(embed_dim, num_heads, **options, dtype=torch.float64).eval()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    return module


def assert_same(one: Any, two: Any) -> None:
    assert (one[1] is None) is (two[1] is None)
    for left, right in zip(one, two, strict=True):
        if left is not None:
            torch.testing.assert_close(left, right, rtol=0, atol=1e-12)


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def some_mask(kind: str, *shape: int) -> torch.Tensor | None:
    """A mask that leaves the first key in, so that no query is without any."""
    if kind == "none":
        return None
    mask = torch.rand(*shape) < 0.4
    mask[..., 0] = False
    return mask if kind == "bool" else torch.where(mask, -torch.inf, drawn(*shape))


@settings(max_examples=150, deadline=None)
@given(
    plain=st.sampled_from(PLAIN),
    heads=st.integers(1, 3),
    sizes=st.sampled_from([{}, {"kdim": 5, "vdim": 4}, {"vdim": 7}]),
    bias=st.booleans(),
    batch_first=st.booleans(),
    batch=st.integers(0, 3),
    masks=st.sampled_from(["none", "bool", "float"]),
    which=st.sampled_from(["attention", "attention of every head", "padding", "both"]),
    need_weights=st.booleans(),
    average=st.booleans(),
    seed=st.integers(0, 99),
)
def test_equals_the_torch_module(
    plain: type[Attention],
    heads: int,
    sizes: dict[str, int],
    bias: bool,
    batch_first: bool,
    batch: int,
    masks: str,
    which: str,
    need_weights: bool,
    average: bool,
    seed: int,
) -> None:
    torch.manual_seed(seed)
    module = build(6, heads, bias=bias, batch_first=batch_first, **sizes)
    queries, keys = 3, 4

    def sequence(steps: int, features: int) -> torch.Tensor:
        if not batch:
            return drawn(steps, features)
        return drawn(batch, steps, features) if batch_first else drawn(steps, batch, features)

    inputs = sequence(queries, 6), sequence(keys, module.kdim), sequence(keys, module.vdim)
    every = (max(batch, 1) * heads,) if which == "attention of every head" else ()
    attn_mask = None if which == "padding" else some_mask(masks, *every, queries, keys)
    padding = None if "attention" in which else some_mask(masks, *[batch] * (batch > 0), keys)
    options = {
        "key_padding_mask": padding,
        "attn_mask": attn_mask,
        "need_weights": need_weights,
        "average_attn_weights": average,
    }
    assert_same(plain.of(module)(*inputs, **options), module(*inputs, **options))


@pytest.mark.parametrize("plain", PLAIN)
@pytest.mark.parametrize("need_weights", [False, True])
def test_causal_self_attention_on_torch_s_fast_path(
    plain: type[Attention], need_weights: bool
) -> None:
    module = build(batch_first=True).requires_grad_(False)
    x = drawn(3, 5, 6)
    mask = nn.Transformer.generate_square_subsequent_mask(5, dtype=torch.float64)
    for options in ({}, {"attn_mask": mask}, {"attn_mask": mask, "is_causal": True}):
        answer = plain.of(module)(x, x, x, need_weights=need_weights, **options)
        assert_same(answer, module(x, x, x, need_weights=need_weights, **options))


@pytest.mark.parametrize("plain", PLAIN)
@pytest.mark.parametrize(
    ("need_weights", "batch_first"), list(itertools.product([False, True], [False, True]))
)
def test_dropout_in_training(plain: type[Attention], need_weights: bool, batch_first: bool) -> None:
    module = build(dropout=0.5, batch_first=batch_first).train()
    made = plain.of(module)
    assert made.training
    x = drawn(3, 4, 6)
    torch.manual_seed(1)
    expected = module(x, x, x, need_weights=need_weights)
    torch.manual_seed(1)
    assert_same(made(x, x, x, need_weights=need_weights), expected)
    assert not torch.equal(made(x, x, x)[0], made(x, x, x)[0])
    assert_same(made.eval()(x, x, x), module.eval()(x, x, x))


def test_children_of_attention() -> None:
    module = build(kdim=5, vdim=4)
    made = Attention.of(module)
    linears = {n: x for n, x in made.named_modules() if type(x) is nn.Linear}
    assert list(linears) == ["query", "key", "value", "output"]
    assert torch.equal(linears["key"].weight, module.k_proj_weight)
    assert torch.equal(linears["value"].bias, module.in_proj_bias[12:])
    assert not any(p.requires_grad for p in made.parameters())
    known = made.nonnegative_children(True, nonnegative_value=True)
    assert known == {"query": True, "key": False, "value": True, "output": False}
    assert not made.nonnegative_output
    with torch.no_grad():
        module.k_proj_weight.zero_()
    assert linears["key"].weight.any()


def test_children_of_products() -> None:
    module = build(kdim=5, vdim=4, num_heads=3)
    made = ProductAttention.of(module)
    products = {n: x for n, x in made.named_modules() if isinstance(x, nn.Linear)}
    shapes = {name: tuple(x.weight.shape) for name, x in products.items()}
    assert shapes == {f"query_key.{h}": (7, 6) for h in range(3)} | {
        f"value_output.{h}": (6, 5) for h in range(3)
    } | {"output_bias": (6, 1)}  # fmt: skip
    assert all((type(x) is Product) is (n != "output_bias") for n, x in products.items())
    rank = torch.linalg.matrix_rank(products["query_key.1"].weight)
    assert rank == module.head_dim
    assert not any(p.requires_grad for p in made.parameters())
    known = made.nonnegative_children(True, nonnegative_key=True)
    assert set(known) == set(products)
    assert {n for n in known if known[n]} == {"output_bias", *(f"query_key.{h}" for h in range(3))}
    without = ProductAttention.of(build(bias=False))
    assert {tuple(p.shape) for p in without.parameters()} == {(6, 6)}
    assert set(without.nonnegative_children(False)) == {
        n for n, x in without.named_modules() if isinstance(x, Product)
    }


def test_products_are_rounded_once() -> None:
    """In single precision, too: they are multiplied in double."""
    module = build(64, 2).float()
    made = ProductAttention.of(module)
    q, k = (m.double().chunk(2)[0] for m in module.in_proj_weight.detach().chunk(3)[:2])
    assert torch.equal(made.query_key[0].weight[:64, :64], (q.T @ k).float())  # type: ignore[index]


@pytest.mark.parametrize("plain", PLAIN)
def test_copies_and_states(plain: type[Attention]) -> None:
    made, other = plain.of(build()), plain.of(build())
    x = drawn(3, 4, 6)
    other.load_state_dict(made.state_dict())
    assert_same(other(x, x, x), made(x, x, x))
    assert_same(copy.deepcopy(made)(x, x, x), made(x, x, x))


@pytest.mark.parametrize("plain", PLAIN)
@pytest.mark.parametrize("need_weights", [False, True])
def test_export(plain: type[Attention], need_weights: bool) -> None:
    made = plain.of(build(batch_first=True))

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = made

        def forward(self, x: torch.Tensor, padding: torch.Tensor) -> Any:
            return self.attention(x, x, x, padding, need_weights=need_weights)

    inputs = drawn(2, 4, 6), torch.tensor([[False] * 4, [False, True, True, True]])
    batch = torch.export.Dim("batch", min=2, max=64)
    program = torch.export.export(Model(), inputs, dynamic_shapes=({0: batch}, {0: batch}))
    more = drawn(3, 4, 6), torch.zeros(3, 4, dtype=torch.bool)
    assert_same(program.module()(*more), Model()(*more))


@pytest.mark.parametrize("plain", PLAIN)
@pytest.mark.parametrize("batch_first", [False, True])
def test_inside_torch_s_own_layers(plain: type[Attention], batch_first: bool) -> None:
    """In place of `self_attn`: no fast path is taken, and nothing else changes."""
    options: dict[str, Any] = {"batch_first": batch_first, "dtype": torch.float64}
    layer = nn.TransformerEncoderLayer(6, 2, 8, **options).eval().requires_grad_(False)
    whole = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval()
    x = drawn(3, 3, 6)
    expected = layer(x), whole(x)
    for part in (layer, *whole.layers):
        part.self_attn = plain.of(part.self_attn)  # type: ignore[assignment, arg-type]
    for one, two in zip((layer(x), whole(x)), expected, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-12)


class OtherAttention(nn.MultiheadAttention):
    """A subclass that torch's equations do not describe."""

    def forward(self, *inputs: Any, **options: Any) -> Any:
        return inputs


@pytest.mark.parametrize("plain", PLAIN)
def test_what_is_refused(plain: type[Attention]) -> None:
    for option in ("add_bias_kv", "add_zero_attn"):
        with pytest.raises(ValueError, match=f"{option} is not supported: train it without"):
            plain.of(build(**{option: True}))
    for module in (OtherAttention(6, 2), nn.Linear(6, 6)):
        with pytest.raises(ValueError, match=f"{type(module).__name__} is not.*Linear layers"):
            plain.of(module)  # type: ignore[arg-type]
    made, x = plain.of(build(batch_first=True)), drawn(3, 4, 6)
    with pytest.raises(ValueError, match="must all be"):
        made(x, x[0], x)
    nested = torch.nested.nested_tensor([x[0], x[1, :2]], layout=torch.jagged)
    with pytest.raises(ValueError, match="padded"):
        made(nested, nested, nested)
    with pytest.raises(ValueError, match="give the causal mask"):
        made(x, x, x, is_causal=True)
    with pytest.raises(ValueError, match=r"shape \(1, 4\): give \(4, 4\).*\(6, 4, 4\)"):
        made(x, x, x, attn_mask=torch.zeros(1, 4))
    with pytest.raises(ValueError, match="each of the 4 keys of 3 sequences"):
        made(x, x, x, key_padding_mask=torch.zeros(4, dtype=torch.bool))
