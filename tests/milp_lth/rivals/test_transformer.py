"""The transformer: its formulas, what a gate of 0 does, and what is left when it is taken out."""

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from milp_lth.rivals.task import Task, load_task
from milp_lth.rivals.transformer import (
    Transformer,
    TransformerShape,
    Units,
    fixed_flops,
    flops,
    head_flops,
    masks_by_name,
    neuron_flops,
    rows_shape,
    shrunk,
)

SHAPE = TransformerShape(5, 4, 3, num_blocks=2, num_heads=4, num_neurons=7, width=12)

bits = st.integers(0, 2**4 - 1), st.integers(0, 2**7 - 1)
masks = st.tuples(*bits, *bits)


@pytest.fixture(scope="module")
def task() -> Task:
    return load_task("digits")


def from_bits(drawn: tuple[int, int, int, int]) -> Units:
    def mask(number: int, size: int) -> torch.Tensor:
        return torch.tensor([bool(number >> k & 1) for k in range(size)])

    first, some, second, others = drawn
    return Units((mask(first, 4), mask(second, 4)), (mask(some, 7), mask(others, 7)))


def gated(seed: int = 0) -> Transformer:
    """Return a network whose gates are drawn, some of them negative."""
    network = Transformer(SHAPE, seed)
    generator = torch.Generator().manual_seed(seed)
    for gate in (gate for part in network.gates() for gate in part):
        gate.data = 1 + torch.randn(len(gate), generator=generator)
    return network


def inputs(number: int = 6, shape: TransformerShape = SHAPE) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(number, shape.num_tokens * shape.token_features, generator=generator)


def by_hand(network: Transformer, x: torch.Tensor) -> torch.Tensor:
    """Compute one input's logits token by token and head by head."""
    shape, norm = network.shape, torch.nn.functional.layer_norm
    tokens = [
        network.embedding @ row + place
        for row, place in zip(
            x.view(shape.num_tokens, shape.token_features), network.places, strict=True
        )
    ]
    for attention, forward in network.parts():
        seen = [norm(token, (shape.width,)) for token in tokens]
        for h, gate in enumerate(attention.gate):
            for t, token in enumerate(seen):
                query = attention.query[h] @ token
                scores = torch.stack([query @ (attention.key[h] @ other) for other in seen])
                weights = (scores / shape.head_width**0.5).exp()
                weights = gate * weights / weights.sum()
                mixed = sum(
                    w * (attention.value[h] @ other) for w, other in zip(weights, seen, strict=True)
                )
                tokens[t] = tokens[t] + attention.output[h] @ mixed
        seen = [norm(token, (shape.width,)) for token in tokens]
        for t, token in enumerate(seen):
            active = (forward.inner @ token).clamp(min=0) * forward.gate
            tokens[t] = tokens[t] + forward.outer @ active
    return network.output @ torch.stack([norm(t, (shape.width,)) for t in tokens]).mean(dim=0)


def test_forward_is_what_the_formulas_say() -> None:
    network, x = gated(), inputs()
    with torch.no_grad():
        expected = torch.stack([by_hand(network, one) for one in x])
        assert torch.allclose(network(x), expected, rtol=1e-4, atol=1e-5)


@given(masks)
def test_shrunk_is_the_network_with_gates_of_zero(drawn: tuple[int, int, int, int]) -> None:
    kept, network, x = from_bits(drawn), gated(), inputs()
    smaller = shrunk(network, *kept)
    zeroed = copy.deepcopy(network)
    for gates, some in zip(zeroed.gates(), kept, strict=True):
        for gate, mask in zip(gates, some, strict=True):
            gate.data[~mask] = 0
    with torch.no_grad():
        assert torch.allclose(smaller(x), zeroed(x), rtol=1e-4, atol=1e-5)
    for (attention, forward), heads, neurons in zip(smaller.parts(), *kept, strict=True):
        h, n = int(heads.sum()), int(neurons.sum())
        for matrix in (attention.query, attention.key, attention.value):
            assert matrix.shape == (h, 3, 12)
        assert attention.output.shape == (h, 12, 3)
        assert (forward.inner.shape, forward.outer.shape) == ((n, 12), (12, n))
    assert [len(attention.gate) for attention, _ in network.parts()] == [4, 4]


@settings(max_examples=15)
@given(masks)
def test_flops_are_those_of_the_products(drawn: tuple[int, int, int, int]) -> None:
    """PyTorch counts what it is asked to multiply; an empty product counts nothing."""
    for network in (gated(), shrunk(gated(), *from_bits(drawn))):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(inputs(3))
        assert counter.get_total_flops() == 3 * flops(network)
    heads, neurons = (sum(int(mask.sum()) for mask in part) for part in from_bits(drawn))
    assert flops(network) == (
        fixed_flops(SHAPE) + heads * head_flops(SHAPE) + neurons * neuron_flops(SHAPE)
    )


@given(masks)
def test_masks_count_what_is_left_of_the_matrices(drawn: tuple[int, int, int, int]) -> None:
    kept, network = from_bits(drawn), gated()
    named = dict(network.named_parameters())
    found = masks_by_name(network, *kept)
    smaller = dict(shrunk(network, *kept).named_parameters())
    assert set(named) - set(found) == {
        name for name in named if "before" in name or "gate" in name or name == "places"
    }
    for name, mask in found.items():
        assert mask.shape == named[name].shape
        assert torch.equal(named[name][mask], smaller[name].flatten())


def test_gates_begin_at_1_and_are_not_trained() -> None:
    network = Transformer(SHAPE, 0)
    assert all(bool((gate == 1).all()) for part in network.gates() for gate in part)
    assert not any(gate.requires_grad for part in network.gates() for gate in part)
    assert all(p.requires_grad for name, p in network.named_parameters() if "gate" not in name)


def test_the_seed_is_the_network() -> None:
    before = torch.get_rng_state()
    one, same, other = (Transformer(SHAPE, seed).state_dict() for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["embedding"], other["embedding"])
    query, key = one["blocks.0.attention.query"], one["blocks.0.attention.key"]
    assert not torch.equal(query, key)
    large = Transformer(replace(SHAPE, width=120), 0).state_dict()["blocks.0.attention.query"]
    assert float(large.std()) == pytest.approx(120**-0.5, rel=0.05)


def test_tokens_are_the_rows_of_images(task: Task) -> None:
    shape = rows_shape(task)
    assert (shape.num_tokens, shape.token_features, shape.num_classes) == (8, 8, 10)
    network, image = Transformer(shape, 0), task.test.x[:1]
    rows = image.view(8, 8) @ network.embedding.T + network.places
    seen: list[torch.Tensor] = []
    network.blocks[0].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    network(image)
    assert torch.allclose(seen[0][0], rows)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"num_heads": 5}, "multiple of the heads"),
    ({"num_heads": 0}, "num_heads 0: give 1 or more"),
    ({"num_tokens": -1}, "num_tokens -1: give 1 or more"),
]


@pytest.mark.parametrize(("asked", "remedy"), BAD)
def test_bad_shapes(asked: dict[str, Any], remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        replace(SHAPE, **asked)


def test_bad_masks() -> None:
    network, kept = gated(), from_bits((1, 1, 1, 1))
    with pytest.raises(ValueError, match=r"masks of heads: give a bool one for each .* \[4, 4\]"):
        shrunk(network, kept.heads[:1], kept.neurons)
    with pytest.raises(ValueError, match=r"masks of neurons: .* \[7, 7\]"):
        shrunk(network, kept.heads, kept.heads)
    with pytest.raises(ValueError, match="masks of heads"):
        masks_by_name(network, [mask.float() for mask in kept.heads], kept.neurons)


def test_inputs_that_are_no_squares() -> None:
    with pytest.raises(ValueError, match="state tokens by a TransformerShape"):
        rows_shape(load_task("wine"))
