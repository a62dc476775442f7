"""BatchNorm, put into the layer in front of it: once training is over it is a scale and a shift."""

from typing import Any

import torch
from torch import fx, nn

from milp_lth.networks.layer import has_hooks

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
_FOLDED_INTO = (nn.Linear, nn.Conv1d, nn.Conv2d)


class NoSequences(nn.Module):
    """What is left of a norm behind a Linear: of sequences it would have normalised the times."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return `x`, shape (batch, features).

        Raises
        ------
        ValueError
            When it has another number of dimensions.
        """
        if x.dim() != 2:
            raise ValueError(
                f"a BatchNorm1d was folded into the Linear before it, which fits inputs of shape "
                f"(batch, features) alone: got {tuple(x.shape)}"
            )
        return x


def fold_batch_norms(module: nn.Module, graph: fx.Graph) -> list[str]:
    """Fold every BatchNorm that follows a linear layer directly into it; return their names.

    The layers' weights are replaced, the norms become Identities. A norm is left alone where it or
    the layer is used more than once, or where it has no running statistics.
    """
    modules = dict(module.named_modules())
    calls: dict[str, int] = {}
    for node in graph.nodes:
        if node.op == "call_module":
            calls[str(node.target)] = calls.get(str(node.target), 0) + 1
    owners: dict[int, int] = {}
    for part in modules.values():
        weight = getattr(part, "weight", None)
        owners[id(weight)] = owners.get(id(weight), 0) + 1
    folded: list[str] = []
    for node in graph.nodes:
        before = node.args[0] if node.args else None
        if node.op != "call_module" or not isinstance(before, fx.Node):
            continue
        norm: Any = modules[str(node.target)]
        layer: Any = modules.get(str(before.target)) if before.op == "call_module" else None
        if (
            type(norm) not in _NORMS
            or type(layer) not in _FOLDED_INTO
            or len(before.users) != 1
            or calls[str(node.target)] != 1
            or calls[str(before.target)] != 1
            or owners[id(layer.weight)] != 1
            or norm.running_mean is None
            or has_hooks(norm)
            or has_hooks(layer)
            or (type(layer) is nn.Linear and type(norm) is not nn.BatchNorm1d)
        ):
            continue
        _fold(layer, norm)
        left = NoSequences() if type(layer) is nn.Linear else nn.Identity()
        module.set_submodule(str(node.target), left)
        folded.append(str(node.target))
    return folded


def _fold(layer: Any, norm: Any) -> None:
    mean, variance = norm.running_mean.double(), norm.running_var.double()
    scale = torch.rsqrt(variance + norm.eps)
    shift = torch.zeros_like(mean)
    if norm.weight is not None:
        scale, shift = scale * norm.weight.double(), norm.bias.double()
    weight = layer.weight.detach()
    bias = torch.zeros_like(mean) if layer.bias is None else layer.bias.detach().double()
    scaled = weight.double() * scale.view(-1, *[1] * (weight.dim() - 1))
    layer.weight = nn.Parameter(scaled.to(weight.dtype), requires_grad=False)
    moved = (bias - mean) * scale + shift
    layer.bias = nn.Parameter(moved.to(weight.dtype), requires_grad=False)
