"""Transformer encoders, computed from plain layers that can be traced."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from torch import nn

from milp_lth.networks.attention import Attention, ProductAttention

Masks = tuple[torch.Tensor | None, torch.Tensor | None, bool | None]
"""The mask of attention, that of the keys, and whether the first is the causal one."""


class EncoderLayer(nn.Module):
    """Computes what a torch TransformerEncoderLayer does, its children under the same names.

    Only attention is another module, see `Attention` and `ProductAttention`. The forward looks at
    no number and no shape, so that torch.fx can trace it, whatever masks it is given. Everything
    is frozen.
    """

    self_attn: nn.Module
    linear1: nn.Module
    dropout: nn.Module
    linear2: nn.Module
    norm1: nn.Module
    norm2: nn.Module
    dropout1: nn.Module
    dropout2: nn.Module
    activation: Callable[[torch.Tensor], torch.Tensor]

    def __init__(self, module: nn.TransformerEncoderLayer, products: bool) -> None:
        super().__init__()
        self.norm_first = module.norm_first
        take_children(self, module, products)

    @classmethod
    def of(cls, module: nn.TransformerEncoderLayer, *, products: bool = False) -> "EncoderLayer":
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
            When it is not a TransformerEncoderLayer, a subclass that computes something else, or
            has attention that is not supported.
        """
        require(module, nn.TransformerEncoderLayer, "forward", "_sa_block", "_ff_block")
        return cls(module, products)

    def forward(
        self,
        src: torch.Tensor,
        src_mask: torch.Tensor | None = None,
        src_key_padding_mask: torch.Tensor | None = None,
        is_causal: bool | None = False,
    ) -> torch.Tensor:
        """Map a sequence to a sequence; all parameters are as torch's."""
        x: torch.Tensor = src
        masks = src_mask, src_key_padding_mask, is_causal
        if self.norm_first:
            x = x + self._attend(self.norm1(x), masks)
            x = x + self._feed(self.norm2(x))
        else:
            x = self.norm1(x + self._attend(x, masks))
            x = self.norm2(x + self._feed(x))
        return x

    def _attend(self, x: torch.Tensor, masks: Masks) -> Any:
        return self.dropout1(attend(self.self_attn, x, x, masks))

    def _feed(self, x: torch.Tensor) -> Any:
        return self.dropout2(self.linear2(self.dropout(self.activation(self.linear1(x)))))


class Encoder(nn.Module):
    """Computes what a torch TransformerEncoder does, made of `EncoderLayer`.

    At steps that `src_key_padding_mask` leaves out, torch returns one thing on its fast path and
    another elsewhere; this is the other one.
    """

    def __init__(self, module: nn.TransformerEncoder, products: bool) -> None:
        super().__init__()
        layers: Any = module.layers
        self.num_layers = module.num_layers
        self.layers = nn.ModuleList(EncoderLayer.of(x, products=products) for x in layers)
        self.norm = None if module.norm is None else frozen_copy(module.norm)
        self.training = module.training

    @classmethod
    def of(cls, module: nn.TransformerEncoder, *, products: bool = False) -> "Encoder":
        """Return the plain equivalent of a torch module, its weights copied.

        Parameters
        ----------
        module
            The encoder.
        products
            Whether attention multiplies its matrices, see `ProductAttention`.

        Raises
        ------
        ValueError
            When it is not a TransformerEncoder, a subclass that computes something else, or holds
            layers that are not supported.
        """
        require(module, nn.TransformerEncoder, "forward")
        return cls(module, products)

    def forward(
        self,
        src: torch.Tensor,
        mask: torch.Tensor | None = None,
        src_key_padding_mask: torch.Tensor | None = None,
        is_causal: bool | None = None,
    ) -> torch.Tensor:
        """Map a sequence to a sequence; all parameters are as torch's."""
        x = src
        for layer in self.layers:
            x = layer(x, mask, src_key_padding_mask, is_causal)
        return x if self.norm is None else self.norm(x)


def attend(attention: nn.Module, x: torch.Tensor, memory: torch.Tensor, masks: Masks) -> Any:
    """Return what `x` takes from `memory`."""
    mask, padding, is_causal = masks
    return attention(x, memory, memory, padding, False, mask, is_causal=is_causal)[0]


def take_children(layer: nn.Module, module: nn.Module, products: bool) -> None:
    """Give `layer` frozen copies of a torch layer's children and what computes its attention."""
    kind = ProductAttention if products else Attention
    for name, child in module.named_children():
        plain = kind.of(child) if isinstance(child, nn.MultiheadAttention) else frozen_copy(child)
        layer.add_module(name, plain)
    if not isinstance(module.activation, nn.Module):  # a function; a module is one of the children
        layer.activation = module.activation
    layer.training = module.training


def frozen_copy(module: nn.Module) -> nn.Module:
    """Return a copy with its own weights, none of them trainable."""
    return deepcopy(module).requires_grad_(False)


def require(module: nn.Module, kind: type[nn.Module], *methods: str) -> None:
    """Make sure that a module computes what torch's `kind` does.

    Raises
    ------
    ValueError
        When it does not.
    """
    if any(getattr(type(module), name, None) is not getattr(kind, name) for name in methods):
        raise ValueError(
            f"{type(module).__name__} is not computed as torch's {kind.__name__} is: use that one, "
            "or write it with Linear layers"
        )
