"""Transformer decoders, computed from plain layers that can be traced."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from milp_lth.networks.encoder import Masks, attend, frozen_copy, require, take_children


class DecoderLayer(nn.Module):
    """Computes what a torch TransformerDecoderLayer does, its children under the same names.

    As `milp_lth.networks.encoder.EncoderLayer`, with a second attention, `multihead_attn`, to the
    encoder's output. Everything is frozen.
    """

    self_attn: nn.Module
    multihead_attn: nn.Module
    linear1: nn.Module
    dropout: nn.Module
    linear2: nn.Module
    norm1: nn.Module
    norm2: nn.Module
    norm3: nn.Module
    dropout1: nn.Module
    dropout2: nn.Module
    dropout3: nn.Module
    activation: Callable[[torch.Tensor], torch.Tensor]

    def __init__(self, module: nn.TransformerDecoderLayer, products: bool) -> None:
        super().__init__()
        self.norm_first = module.norm_first
        take_children(self, module, products)

    @classmethod
    def of(cls, module: nn.TransformerDecoderLayer, *, products: bool = False) -> "DecoderLayer":
        """Return the plain equivalent of a torch module, its weights copied.

        Parameters
        ----------
        module
            The layer.
        products
            Whether attention multiplies its matrices, see `ProductAttention`.

        Raises
        ------
        ValueError
            When it is not a TransformerDecoderLayer, a subclass that computes something else, or
            has attention that is not supported.
        """
        methods = ("forward", "_sa_block", "_mha_block", "_ff_block")
        require(module, nn.TransformerDecoderLayer, *methods)
        return cls(module, products)

    def forward(
        self,
        tgt: torch.Tensor,
        memory: torch.Tensor,
        tgt_mask: torch.Tensor | None = None,
        memory_mask: torch.Tensor | None = None,
        tgt_key_padding_mask: torch.Tensor | None = None,
        memory_key_padding_mask: torch.Tensor | None = None,
        tgt_is_causal: bool | None = False,
        memory_is_causal: bool | None = False,
    ) -> torch.Tensor:
        """Map a sequence and the encoder's output to a sequence; all parameters are as torch's."""
        x: torch.Tensor = tgt
        own = tgt_mask, tgt_key_padding_mask, tgt_is_causal
        other = memory, (memory_mask, memory_key_padding_mask, memory_is_causal)
        if self.norm_first:
            x = x + self._attend_self(self.norm1(x), own)
            x = x + self._attend(self.norm2(x), *other)
            x = x + self._feed(self.norm3(x))
        else:
            x = self.norm1(x + self._attend_self(x, own))
            x = self.norm2(x + self._attend(x, *other))
            x = self.norm3(x + self._feed(x))
        return x

    def _attend_self(self, x: torch.Tensor, masks: Masks) -> Any:
        return self.dropout1(attend(self.self_attn, x, x, masks))

    def _attend(self, x: torch.Tensor, memory: torch.Tensor, masks: Masks) -> Any:
        return self.dropout2(attend(self.multihead_attn, x, memory, masks))

    def _feed(self, x: torch.Tensor) -> Any:
        return self.dropout3(self.linear2(self.dropout(self.activation(self.linear1(x)))))


class Decoder(nn.Module):
    """Computes what a torch TransformerDecoder does, made of `DecoderLayer`."""

    def __init__(self, module: nn.TransformerDecoder, products: bool) -> None:
        super().__init__()
        layers: Any = module.layers
        self.num_layers = module.num_layers
        self.layers = nn.ModuleList(DecoderLayer.of(x, products=products) for x in layers)
        self.norm = None if module.norm is None else frozen_copy(module.norm)
        self.training = module.training

    @classmethod
    def of(cls, module: nn.TransformerDecoder, *, products: bool = False) -> "Decoder":
        """Return the plain equivalent of a torch module, its weights copied.

        Parameters
        ----------
        module
            The decoder.
        products
            Whether attention multiplies its matrices, see `ProductAttention`.

        Raises
        ------
        ValueError
            When it is not a TransformerDecoder, a subclass that computes something else, or holds
            layers that are not supported.
        """
        require(module, nn.TransformerDecoder, "forward")
        return cls(module, products)

    def forward(
        self,
        tgt: torch.Tensor,
        memory: torch.Tensor,
        tgt_mask: torch.Tensor | None = None,
        memory_mask: torch.Tensor | None = None,
        tgt_key_padding_mask: torch.Tensor | None = None,
        memory_key_padding_mask: torch.Tensor | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool | None = False,
    ) -> torch.Tensor:
        """Map a sequence and the encoder's output to a sequence; all parameters are as torch's."""
        x = tgt
        for layer in self.layers:
            x = layer(
                x, memory, tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask,
                tgt_is_causal, memory_is_causal,
            )  # fmt: skip
        result: torch.Tensor = x if self.norm is None else self.norm(x)
        return result
