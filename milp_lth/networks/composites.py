"""Modules of torch that hide their linear layers, and the plain ones that show them."""

from typing import TYPE_CHECKING, Any

from torch import nn

from milp_lth.networks.attention import Attention, ProductAttention
from milp_lth.networks.decoder import Decoder, DecoderLayer
from milp_lth.networks.encoder import Encoder, EncoderLayer
from milp_lth.networks.layer import has_hooks
from milp_lth.networks.recurrent import Recurrent

if TYPE_CHECKING:
    from collections.abc import Callable

LEAVES = (Attention, ProductAttention, Recurrent)
"""Steps of their own in a trace: they say themselves what their layers see."""


def make_plain(module: nn.Module, *, products: bool) -> nn.Module:
    """Return `module` with every composite in it replaced; itself, changed, or what replaces it.

    Parameters
    ----------
    module
        A copy that may be changed.
    products
        Whether attention approximates products of its matrices, see `ProductAttention`.
    """
    attention = ProductAttention if products else Attention
    replacements: dict[type[nn.Module], Callable[[Any], nn.Module]] = {
        nn.RNN: Recurrent.of,
        nn.GRU: Recurrent.of,
        nn.LSTM: Recurrent.of,
        nn.MultiheadAttention: attention.of,
        nn.TransformerEncoderLayer: lambda layer: EncoderLayer.of(layer, products=products),
        nn.TransformerDecoderLayer: lambda layer: DecoderLayer.of(layer, products=products),
        nn.TransformerDecoder: lambda decoder: Decoder.of(decoder, products=products),
        nn.TransformerEncoder: lambda encoder: Encoder.of(encoder, products=products),
    }
    made: dict[nn.Module, nn.Module] = {}  # a module under two names stays one

    def plain(part: nn.Module) -> nn.Module:
        if part not in made:
            replace = None if has_hooks(part) else replacements.get(type(part))
            try:
                made[part] = part if replace is None else replace(part)
            except ValueError:  # an option that it does not have: it is left dense
                made[part] = part
            if made[part] is part:
                for name, child in list(vars(part)["_modules"].items()):  # or one of them twice
                    if child is not None:
                        setattr(part, name, plain(child))
        return made[part]

    return plain(module)
