"""Encoder and Decoder compute what torch's do, and can be traced."""

import copy
import itertools
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import fx, nn
from torch.nn import functional

from milp_lth.networks.attention import Attention, ProductAttention
from milp_lth.networks.decoder import Decoder, DecoderLayer
from milp_lth.networks.encoder import Encoder, EncoderLayer

if TYPE_CHECKING:
    from collections.abc import Callable

ACTIVATIONS: dict[str, Any] = {
    "relu": "relu",
    "gelu": "gelu",
    "function": functional.silu,
    "module": nn.PReLU(dtype=torch.float64),
}
BOTH = [False, True]


def options(**more: Any) -> dict[str, Any]:
    return {"d_model": 6, "nhead": 2, "dim_feedforward": 8, "dtype": torch.float64} | more


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def disturbed(module: nn.Module) -> Any:
    """With biases and norms that are not 0 and 1, as a new module's are, and without dropout."""
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    return module.eval()


def assert_same(one: torch.Tensor, two: torch.Tensor) -> None:
    torch.testing.assert_close(one, two, rtol=0, atol=1e-12)


def causal(steps: int) -> torch.Tensor:
    return nn.Transformer.generate_square_subsequent_mask(steps, dtype=torch.float64)


@pytest.mark.parametrize("products", BOTH)
@pytest.mark.parametrize(
    ("norm_first", "batch_first", "bias", "activation"),
    list(itertools.product(BOTH, BOTH, BOTH, ACTIVATIONS)),
)
@pytest.mark.parametrize("shape", [(4, 6), (4, 4, 6)])
def test_layer(
    norm_first: bool,
    batch_first: bool,
    bias: bool,
    activation: str,
    products: bool,
    shape: tuple[int, ...],
) -> None:
    module = disturbed(
        nn.TransformerEncoderLayer(
            **options(activation=ACTIVATIONS[activation], bias=bias),
            norm_first=norm_first,
            batch_first=batch_first,
        )
    )
    plain = EncoderLayer.of(module, products=products)
    x = drawn(*shape)
    assert not any(p.requires_grad for p in plain.parameters())
    assert not plain.training
    assert type(plain.self_attn) is (ProductAttention if products else Attention)
    for fast in BOTH:  # torch takes its fast path only where nothing needs a gradient
        module.requires_grad_(not fast)
        assert_same(plain(x), module(x))
        assert_same(plain(x, causal(4), is_causal=True), module(x, causal(4), is_causal=True))
        padding = torch.tensor([False, False, True, False])
        padding = padding if len(shape) == 2 else padding.expand(4, 4)
        assert_same(plain(x, src_key_padding_mask=padding), module(x, src_key_padding_mask=padding))


@pytest.mark.parametrize("products", BOTH)
@pytest.mark.parametrize("norm", BOTH)
@pytest.mark.parametrize("fast", BOTH)
@pytest.mark.filterwarnings("ignore:.*nested tensors")  # torch's, on its fast path
def test_encoder(norm: bool, products: bool, fast: bool) -> None:
    layer = nn.TransformerEncoderLayer(**options(batch_first=True))
    final = nn.LayerNorm(6, dtype=torch.float64) if norm else None
    module = disturbed(nn.TransformerEncoder(layer, 3, final)).requires_grad_(not fast)
    plain = Encoder.of(module, products=products)
    assert len(plain.layers) == plain.num_layers == 3
    x = drawn(3, 4, 6)
    assert_same(plain(x), module(x))
    assert_same(plain(x, mask=causal(4)), module(x, mask=causal(4)))
    assert_same(plain(x, causal(4), is_causal=True), module(x, causal(4), is_causal=True))
    padding = torch.tensor([[False] * 4, [False, False, True, True], [False, True, True, True]])
    answer = plain(x, src_key_padding_mask=padding)
    assert_same(answer[~padding], module(x, src_key_padding_mask=padding)[~padding])
    if not fast:
        assert_same(answer, module(x, src_key_padding_mask=padding))


@pytest.mark.parametrize("products", BOTH)
@pytest.mark.parametrize(("norm_first", "batch_first"), list(itertools.product(BOTH, BOTH)))
def test_decoder(norm_first: bool, batch_first: bool, products: bool) -> None:
    more = options(batch_first=batch_first, norm_first=norm_first)
    module = disturbed(
        nn.TransformerDecoder(
            nn.TransformerDecoderLayer(**more), 2, nn.LayerNorm(6, dtype=torch.float64)
        )
    )
    plain = Decoder.of(module, products=products)
    x, memory = drawn(3, 3, 6), drawn(3, 3, 6)
    assert_same(plain(x, memory), module(x, memory))
    padding = torch.tensor([[False] * 3, [False, False, True], [False, True, True]])
    masks = {
        "tgt_mask": causal(3),
        "memory_mask": drawn(3, 3),
        "tgt_key_padding_mask": torch.where(padding, -torch.inf, 0.0).double(),
        "memory_key_padding_mask": drawn(3, 3),
        "tgt_is_causal": True,
    }
    assert_same(plain(x, memory, **masks), module(x, memory, **masks))


def test_a_whole_transformer() -> None:
    """torch's Transformer itself may hold them."""
    more = options(num_encoder_layers=1, num_decoder_layers=1, batch_first=True)
    module = disturbed(nn.Transformer(**more))
    source, target = drawn(2, 4, 6), drawn(2, 3, 6)
    expected = module(source, target, tgt_mask=causal(3))
    module.encoder, module.decoder = Encoder.of(module.encoder), Decoder.of(module.decoder)
    assert_same(module(source, target, tgt_mask=causal(3)), expected)


@pytest.mark.parametrize("products", BOTH)
@pytest.mark.parametrize("batch_first", BOTH)
def test_dropout_in_training(batch_first: bool, products: bool) -> None:
    layer = nn.TransformerEncoderLayer(**options(batch_first=batch_first, dropout=0.3))
    encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    decoder = nn.TransformerDecoder(
        nn.TransformerDecoderLayer(**options(batch_first=batch_first, dropout=0.3)), 2
    )
    x = drawn(*((1, 4, 6) if batch_first else (4, 1, 6)))  # of one sequence: drawn in one order
    pairs: list[tuple[nn.Module, nn.Module, tuple[torch.Tensor, ...]]] = [
        (encoder, Encoder.of(encoder, products=products), (x,)),
        (decoder, Decoder.of(decoder, products=products), (x, x)),
    ]
    for module, plain, inputs in pairs:
        assert all(part.training for part in plain.modules())
        torch.manual_seed(1)
        expected = module(*inputs)
        torch.manual_seed(1)
        assert_same(plain(*inputs), expected)
        assert not torch.equal(plain(*inputs), plain(*inputs))
        assert_same(plain.eval()(*inputs), module.eval()(*inputs))


class Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, Attention | ProductAttention) or super().is_leaf_module(
            m, module_qualified_name
        )


@pytest.mark.parametrize("masked", BOTH)
@pytest.mark.parametrize("products", BOTH)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_traces(activation: str, products: bool, masked: bool) -> None:
    """Down to plain layers and attention, whether masks are among the inputs or not."""
    layer = nn.TransformerEncoderLayer(**options(activation=ACTIVATIONS[activation]))
    norm = nn.LayerNorm(6, dtype=torch.float64)
    module = disturbed(nn.TransformerEncoder(layer, 2, norm, enable_nested_tensor=False))
    plain = Encoder.of(module, products=products)
    left_out = dict.fromkeys(("mask", "src_key_padding_mask", "is_causal"))
    graph = Tracer().trace(plain, None if masked else left_out)
    called = {str(node.target) for node in graph.nodes if node.op == "call_module"}
    assert {"layers.1.self_attn", "layers.0.linear1", "layers.1.norm2", "norm"} <= called
    x = drawn(3, 3, 6)
    inputs = (x, causal(3)) if masked else (x, None, None, None)
    assert_same(fx.GraphModule(plain, graph)(*inputs), plain(*inputs))


def test_decoders_trace() -> None:
    layer = nn.TransformerDecoderLayer(**options())
    plain = Decoder.of(disturbed(nn.TransformerDecoder(layer, 2)))
    x, memory = drawn(3, 3, 6), drawn(2, 3, 6)
    traced = fx.GraphModule(plain, Tracer().trace(plain))
    assert_same(traced(x, memory, causal(3)), plain(x, memory, causal(3)))


@pytest.mark.parametrize("products", BOTH)
def test_copies_states_and_export(products: bool) -> None:
    def made() -> Encoder:
        layer = nn.TransformerEncoderLayer(**options(batch_first=True))
        return Encoder.of(disturbed(nn.TransformerEncoder(layer, 2)), products=products)

    plain, other = made(), made()
    x = drawn(3, 4, 6)
    other.load_state_dict(plain.state_dict())
    assert_same(other(x), plain(x))
    assert_same(copy.deepcopy(plain)(x), plain(x))
    batch = torch.export.Dim("batch", min=2, max=64)
    program = torch.export.export(plain, (x,), dynamic_shapes=({0: batch},))
    more = drawn(5, 4, 6)
    assert_same(program.module()(more), plain(more))


def test_weights_are_copied() -> None:
    module = disturbed(nn.TransformerEncoderLayer(**options()))
    plain, x = EncoderLayer.of(module), drawn(3, 6)
    before = plain(x)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    assert_same(plain(x), before)
    assert all(p.requires_grad for p in module.parameters())


class OtherLayer(nn.TransformerEncoderLayer):
    """A subclass that torch's equations do not describe."""

    def _ff_block(self, x: torch.Tensor) -> torch.Tensor:
        return x


def test_what_is_refused() -> None:
    other = OtherLayer(**options())
    within = nn.TransformerEncoder(other, 1, enable_nested_tensor=False)
    attempts: list[tuple[Callable[[Any], nn.Module], nn.Module, str]] = [
        (EncoderLayer.of, other, "OtherLayer is not computed as torch's TransformerEncoderLayer"),
        (Encoder.of, within, "OtherLayer is not computed"),
        (Encoder.of, nn.Linear(2, 2), "Linear is not.* TransformerEncoder is"),
        (DecoderLayer.of, other, "OtherLayer is not.* TransformerDecoderLayer is"),
        (Decoder.of, within, "TransformerEncoder is not.* TransformerDecoder is"),
    ]
    for of, module, text in attempts:
        with pytest.raises(ValueError, match=text):
            of(module)
    layer = nn.TransformerEncoderLayer(**options())
    layer.self_attn = nn.MultiheadAttention(6, 2, add_zero_attn=True)
    with pytest.raises(ValueError, match="add_zero_attn is not supported"):
        EncoderLayer.of(layer)
