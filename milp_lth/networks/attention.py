"""Multi-head attention, computed from plain linear layers."""

import math
from abc import abstractmethod
from typing import Any, Self

import torch
from torch import nn
from torch.nn import functional

from milp_lth.networks.forms import frozen_linear
from milp_lth.networks.product import Product

_Heads = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


class _Attending(nn.Module):
    """What both have in common: all but how queries, keys, values and outputs are made.

    They may stand where a torch MultiheadAttention stood: the attributes that torch's layers look
    at say that there is no matrix of all three projections to take a fast path with.
    """

    _qkv_same_embed_dim = False
    in_proj_weight = None
    in_proj_bias = None
    nonnegative_output = False
    """Whether the outputs are ≥ 0, whatever the inputs."""

    def __init__(self, module: nn.MultiheadAttention) -> None:
        super().__init__()
        self.embed_dim = module.embed_dim
        self.kdim, self.vdim = module.kdim, module.vdim
        self.num_heads, self.head_dim = module.num_heads, module.head_dim
        self.dropout = module.dropout
        self.batch_first = module.batch_first
        self.training = module.training

    @classmethod
    def of(cls, module: nn.MultiheadAttention) -> Self:
        """Return the plain equivalent of a torch module, its weights copied.

        Raises
        ------
        ValueError
            When it is not a MultiheadAttention, is a subclass that computes something else, or has
            `add_bias_kv` or `add_zero_attn`.
        """
        if getattr(type(module), "forward", None) is not nn.MultiheadAttention.forward:
            raise ValueError(
                f"{type(module).__name__} is not computed as torch's MultiheadAttention is: use "
                "that one, or write it with Linear layers"
            )
        for name, used in (
            ("add_bias_kv", module.bias_k is not None or module.bias_v is not None),
            ("add_zero_attn", module.add_zero_attn),
        ):
            if used:
                raise ValueError(f"attention with {name} is not supported: train it without")
        return cls(module)

    def forward(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        key_padding_mask: torch.Tensor | None = None,
        need_weights: bool = True,
        attn_mask: torch.Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool | None = False,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return outputs and, if `need_weights`, the weights, as torch's MultiheadAttention does.

        Parameters
        ----------
        query, key, value
            Shape (steps, batch, features), (batch, steps, features) if `batch_first`, or
            (steps, features).
        key_padding_mask
            Shape (batch, keys) or (keys,): True, or a number to add, where a key is left out.
        need_weights, average_attn_weights
            Whether to return the weights; the mean over the heads or every head's.
        attn_mask
            Shape (queries, keys) or (batch · heads, queries, keys), as `key_padding_mask`.
        is_causal
            A hint that `attn_mask` is the causal one; the mask itself is what is used.

        Raises
        ------
        ValueError
            When a shape does not fit, or `is_causal` stands without a mask.
        """
        if query.is_nested or {query.dim(), key.dim(), value.dim()} not in ({2}, {3}):
            raise ValueError(
                "query, key and value must all be (steps, features), or have three dimensions with "
                "a batch; sequences of several lengths are padded, with a key_padding_mask"
            )
        if is_causal and attn_mask is None:
            raise ValueError("is_causal is only a hint: give the causal mask as attn_mask, too")
        batched, inputs = query.dim() == 3, (query, key, value)
        if not batched:
            inputs = tuple(x.unsqueeze(0) for x in inputs)  # type: ignore[assignment]
            key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
        elif not self.batch_first:
            inputs = tuple(x.transpose(0, 1) for x in inputs)  # type: ignore[assignment]
        q, k, v = self._heads(*inputs)
        mask = self._mask(attn_mask, key_padding_mask, q, k)
        dropout = self.dropout if self.training else 0.0
        factor = 1 / math.sqrt(self.head_dim)
        weights: torch.Tensor | None = None
        if need_weights:
            scores = (q * factor) @ k.transpose(-2, -1)
            weights = torch.softmax(scores if mask is None else scores + mask, dim=-1)
            weights = functional.dropout(weights, dropout) if dropout else weights
            mixed = weights @ v
            weights = weights.mean(dim=1) if average_attn_weights else weights
        else:
            mixed = functional.scaled_dot_product_attention(q, k, v, mask, dropout, scale=factor)
        output = self._merged(mixed)
        if not batched:
            return output.squeeze(0), None if weights is None else weights.squeeze(0)
        return output if self.batch_first else output.transpose(0, 1).contiguous(), weights

    @abstractmethod
    def _heads(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> _Heads:
        """Return what is compared, what with and what is mixed, (batch, heads, steps, any)."""

    @abstractmethod
    def _merged(self, mixed: torch.Tensor) -> torch.Tensor:
        """Return the output, shape (batch, steps, features), of what every head has mixed."""

    def _mask(
        self,
        attn_mask: torch.Tensor | None,
        key_padding_mask: torch.Tensor | None,
        q: torch.Tensor,
        k: torch.Tensor,
    ) -> torch.Tensor | None:
        """Return what to add to the scores, shape (batch, heads, queries, keys) or broadcast."""
        batch, heads, queries, keys = *q.shape[:3], k.shape[2]
        total: torch.Tensor | None = None
        if attn_mask is not None:
            if tuple(attn_mask.shape) == (batch * heads, queries, keys):
                attn_mask = attn_mask.reshape(batch, heads, queries, keys)
            elif tuple(attn_mask.shape) != (queries, keys):
                raise ValueError(
                    f"attn_mask has the shape {tuple(attn_mask.shape)}: give ({queries}, {keys}), "
                    f"or one for every sequence and head, ({batch * heads}, {queries}, {keys})"
                )
            total = _added(attn_mask, q.dtype)
        if key_padding_mask is not None:
            if tuple(key_padding_mask.shape) != (batch, keys):
                raise ValueError(
                    "key_padding_mask must say for each of the "
                    f"{keys} keys of {batch} sequences whether to leave it out"
                )
            padding = _added(key_padding_mask, q.dtype)[:, None, None, :]
            total = padding if total is None else total + padding
        return total


class Attention(_Attending):
    """Computes what a torch MultiheadAttention does; its weights are in four Linear children.

    They are `query`, `key`, `value` and `output`, and may be replaced by any modules that map the
    same numbers. Everything is frozen.
    """

    query: nn.Module
    key: nn.Module
    value: nn.Module
    output: nn.Module

    def __init__(self, module: nn.MultiheadAttention) -> None:
        super().__init__(module)
        for name, weight, bias in _projections(module):
            linear = frozen_linear(weight.clone(), None if bias is None else bias.clone())
            self.add_module(name, linear)

    def nonnegative_children(
        self,
        nonnegative_input: bool,
        nonnegative_key: bool = False,
        nonnegative_value: bool = False,
    ) -> dict[str, bool]:
        """Return for each child Linear whether its inputs are known to be ≥ 0.

        The parameters say it of query, key and value.
        """
        return {
            "query": nonnegative_input,
            "key": nonnegative_key,
            "value": nonnegative_value,
            "output": False,
        }

    def _heads(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> _Heads:
        q, k, v = (
            projected.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for projected in (self.query(query), self.key(key), self.value(value))
        )
        return q, k, v

    def _merged(self, mixed: torch.Tensor) -> torch.Tensor:
        merged: torch.Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return merged


class ProductAttention(_Attending):
    """Computes what a torch MultiheadAttention does, from the products of its matrices.

    Head h compares x_q with `query_key.h`(x_k) and mixes `value_output.h`(x_v); these are
    `Product` children, with W_Qᵀ W_K and W_O W_V of the head. Inputs have a 1 appended where the
    target has biases. 1/√head_dim stays outside as a plain factor; the output's bias is the weight
    of a constant 1, the Linear child `output_bias`. Everything is frozen.

    Otsuka et al., arXiv 2511.04217.
    """

    query_key: nn.ModuleList
    value_output: nn.ModuleList

    def __init__(self, module: nn.MultiheadAttention) -> None:
        super().__init__(module)
        projections = _projections(module)
        self.constant = projections[0][2] is not None
        q, k, v = (_by_head(w, b, self.num_heads) for _, w, b in projections[:3])
        _, out, bias = projections[3]
        outputs = out.double().chunk(self.num_heads, dim=1)
        self.query_key = nn.ModuleList(
            Product.of((left.T @ right).to(out.dtype)) for left, right in zip(q, k, strict=True)
        )
        self.value_output = nn.ModuleList(
            Product.of((left @ right).to(out.dtype)) for left, right in zip(outputs, v, strict=True)
        )
        self.output_bias = None if bias is None else frozen_linear(bias[:, None].clone(), None)

    def nonnegative_children(
        self,
        nonnegative_input: bool,
        nonnegative_key: bool = False,
        nonnegative_value: bool = False,
    ) -> dict[str, bool]:
        """Return for each child whether its inputs are known to be ≥ 0.

        The parameters say it of query, key and value; the queries meet no child.
        """
        known = {f"query_key.{h}": nonnegative_key for h in range(self.num_heads)}
        known |= {f"value_output.{h}": nonnegative_value for h in range(self.num_heads)}
        return known if self.output_bias is None else known | {"output_bias": True}

    def _heads(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> _Heads:
        if self.constant:
            query, key, value = (
                torch.cat([x, torch.ones_like(x[..., :1])], dim=-1) for x in (query, key, value)
            )
        k = torch.stack([head(key) for head in self.query_key], dim=1)
        v = torch.stack([head(value) for head in self.value_output], dim=1)
        return query[:, None].expand(-1, self.num_heads, -1, -1), k, v

    def _merged(self, mixed: torch.Tensor) -> torch.Tensor:
        total = mixed.sum(dim=1)
        if self.output_bias is None:
            return total
        bias: torch.Tensor = self.output_bias(total.new_ones(1))
        return total + bias


def _projections(
    module: nn.MultiheadAttention,
) -> list[tuple[str, torch.Tensor, torch.Tensor | None]]:
    """Return the name, weight and bias of queries, keys, values and output."""
    packed: Any = module.in_proj_weight
    apart = (module.q_proj_weight, module.k_proj_weight, module.v_proj_weight)
    weights = apart if packed is None else packed.chunk(3)
    names = ("query", "key", "value")
    biases = (None,) * 3 if module.in_proj_bias is None else module.in_proj_bias.detach().chunk(3)
    found = [(n, w.detach(), b) for n, w, b in zip(names, weights, biases, strict=True)]
    last = module.out_proj.bias
    output = module.out_proj.weight.detach(), None if last is None else last.detach()
    return [*found, ("output", *output)]


def _by_head(
    weight: torch.Tensor, bias: torch.Tensor | None, num_heads: int
) -> tuple[torch.Tensor, ...]:
    """Return every head's rows, the bias as a last column, in double precision."""
    matrix = weight if bias is None else torch.cat([weight, bias[:, None]], dim=1)
    return matrix.double().chunk(num_heads)


def _added(mask: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return a mask as numbers to add: −∞ where it is True."""
    if mask.dtype != torch.bool:
        return mask.to(dtype)
    return torch.zeros_like(mask, dtype=dtype).masked_fill(mask, -math.inf)
