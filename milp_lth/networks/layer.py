"""One linear layer of a target."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from milp_lth.networks.forms import DENSE, Convolution, Factors, Form, Lookup
from milp_lth.networks.product import Product

_CHECKED_NUMBERS = 1 << 22  # looked at together: no copy of a large layer


@dataclass(frozen=True, eq=False)
class LinearLayer:
    """One linear map of the target; `weight` has shape (rows, d_in), `bias` (rows,) or None.

    They are float32 or float64, as the target has them: a large target is in memory once. The
    rows are the outputs; `form` says where they are more, see `milp_lth.networks.forms`.
    """

    name: str
    weight: NDArray[Any]
    bias: NDArray[Any] | None
    form: Form = DENSE


def form_of(module: nn.Module) -> Form | None:
    """Return the form of a module that a random layer can stand for; None where it cannot.

    A module with hooks may compute anything.
    """
    if has_hooks(module):
        return None
    if type(module) is nn.Linear:
        return DENSE
    if type(module) is Product:
        return Factors()
    if type(module) in (nn.Conv1d, nn.Conv2d):
        return Convolution.of(module)  # type: ignore[arg-type]
    if type(module) is nn.Embedding and module.max_norm is None:
        return Lookup(module.padding_idx)
    return None


def has_hooks(module: nn.Module) -> bool:
    """Return whether something was registered to run before or after its forward."""
    return bool(vars(module)["_forward_pre_hooks"] or vars(module)["_forward_hooks"])


def numbers_of(module: nn.Module) -> dict[str, Any]:
    """Return what a layer tells of itself, such as `in_features`."""
    return {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, int | float | str | tuple)
        and name != "training"
        and not name.startswith("_")
    }


def lend_numbers(module: nn.Module, numbers: dict[str, Any]) -> None:
    """Let what stands for a layer tell the same, since a forward may ask; it keeps `numbers`."""
    module.numbers = numbers  # type: ignore[assignment]
    for name, value in numbers.items():
        if not hasattr(module, name):
            setattr(module, name, value)


def read_layer(name: str, module: nn.Module, form: Form, *, copy: bool) -> LinearLayer:
    """Read a module's weights, shared with it unless they are copied.

    Raises
    ------
    ValueError
        When they are not finite, not float32 or float64, or none at all.
    """
    weight, bias = module.weight, getattr(module, "bias", None)
    tensors = [t.detach().cpu() for t in (weight, bias) if isinstance(t, torch.Tensor)]
    for tensor in tensors:
        if tensor.dtype not in (torch.float32, torch.float64):
            raise ValueError(
                f"layer {name!r} has weights of {tensor.dtype}: convert the target with .float()"
            )
        if not all(bool(torch.isfinite(part).all()) for part in _pieces(tensor)):
            raise ValueError(f"layer {name!r} has weights that are NaN or infinite")
    if 0 in tensors[0].shape:
        raise ValueError(f"layer {name!r} has no weights: its shape is {tuple(tensors[0].shape)}")
    matrix, column = form.matrix(tensors[0], tensors[1] if len(tensors) > 1 else None)
    return LinearLayer(
        name, _array(matrix, copy), None if column is None else _array(column, copy), form
    )


def _pieces(tensor: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return torch.split(tensor, max(1, _CHECKED_NUMBERS // max(1, tensor[:1].numel())))


def _array(tensor: torch.Tensor, copy: bool) -> NDArray[Any]:
    return np.array(tensor.numpy(), copy=copy or None)
