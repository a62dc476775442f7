"""Any other network: a copy of the module, with holes where its linear layers were."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn

from milp_lth.networks.batch_norm import fold_batch_norms
from milp_lth.networks.composites import LEAVES, make_plain
from milp_lth.networks.forms import Lookup
from milp_lth.networks.layer import (
    LinearLayer,
    form_of,
    lend_numbers,
    numbers_of,
    read_layer,
)
from milp_lth.networks.signs import follow_signs, leaf_inputs, trace

_SCALES = (
    nn.LayerNorm, nn.GroupNorm, nn.BatchNorm1d, nn.BatchNorm2d, nn.InstanceNorm1d,
    nn.InstanceNorm2d, nn.RMSNorm, nn.PReLU,
)  # fmt: skip


class Hole(nn.Identity):
    """Where a layer was; it has the layer's numbers, such as `in_features`, for whoever asks."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.numbers = numbers_of(layer)


@dataclass(frozen=True)
class LeftDense:
    """Weights of the target that the ticket has as they are."""

    name: str
    kind: str
    """The class of the module that they belong to."""
    num_weights: int
    elementwise: bool
    """Whether they scale or shift single numbers: there is no matrix to prune."""


@dataclass(frozen=True, eq=False)
class Walked:
    """A module without its linear layers.

    Attributes
    ----------
    template
        The module; a `Hole` stands where a layer is to be.
    places
        For each layer the paths at which it stands: several where weights are shared.
    known
        For each layer whether its inputs are ≥ 0 whatever the network's inputs are.
    known_if_nonnegative
        The same for inputs of the network that are ≥ 0.
    dense
        What is left as it is.
    untraced
        Why signs could not be followed; empty where they could.
    products
        Whether attention approximates products of its matrices.
    """

    template: nn.Module
    places: tuple[tuple[str, ...], ...]
    known: tuple[bool, ...]
    known_if_nonnegative: tuple[bool, ...]
    dense: tuple[LeftDense, ...]
    untraced: str
    products: bool

    @property
    def steps(self) -> tuple[str, ...]:
        """None: its layers do not stand in a row."""
        return ()

    def nonnegative_inputs(self, input_range: tuple[float, float]) -> list[bool]:
        """Return for each layer whether its inputs are known to be ≥ 0."""
        return list(self.known_if_nonnegative if input_range[0] >= 0 else self.known)

    def with_layers(self, layers: Sequence[nn.Module]) -> nn.Module:
        """Return a copy of the module with `layers` in its holes."""
        if self.places[0] == ("",):
            return layers[0]
        module = copy.deepcopy(self.template)
        for layer, paths in zip(layers, self.places, strict=True):
            hole: Any = module.get_submodule(paths[0])
            lend_numbers(layer, hole.numbers)
            for path in paths:
                module.set_submodule(path, layer)
        return module

    def stated(self) -> dict[str, Any]:
        """Return the places: what else there is must come with the module."""
        places = [list(paths) for paths in self.places]
        return {"places": places, "products": self.products}

    def described(self) -> str:
        """Return the class of the module, and what is left dense."""
        matrices = [f"{one.name or 'itself'} ({one.kind})" for one in self.dense
                    if not one.elementwise]  # fmt: skip
        left = f"; left dense: {', '.join(matrices)}" if matrices else ""
        whole = "one layer" if self.places[0] == ("",) else type(self.template).__name__
        return whole + left


def walk(
    module: nn.Module, *, strict: bool = False, products: bool = False
) -> tuple[Walked, tuple[LinearLayer, ...]]:
    """Take the linear layers out of a copy of `module`, in its evaluation mode.

    Linear, Conv1d, Conv2d and Embedding are taken; RNN, GRU, LSTM, MultiheadAttention and
    TransformerEncoder are rebuilt of Linear first, and a BatchNorm is put into the layer before it.

    Parameters
    ----------
    module
        Any module.
    strict
        Refuse a module of which a matrix would be left dense.
    products
        Approximate the products of attention's matrices, see `ProductAttention`.

    Raises
    ------
    ValueError
        When the module cannot be copied, has no linear layer, has weights that are not finite or
        not float32 or float64, or, if `strict`, anything that would be left dense.
    """
    try:
        plain = copy.deepcopy(module)
    except Exception as error:
        raise ValueError(
            f"the target cannot be copied ({error}): make its weights plain parameters first, for "
            "instance with torch.nn.utils.prune.remove or torch.nn.utils.remove_weight_norm"
        ) from error
    plain = make_plain(plain.eval().requires_grad_(False), products=products)
    graph, untraced = _traced(plain)
    if graph is not None and fold_batch_norms(plain, graph):
        graph, untraced = _traced(plain)
    places = _places(plain, graph)
    if not places:
        raise ValueError("the target has no linear layer: there is nothing to approximate")
    layers = tuple(_read(plain, paths[0]) for paths in places)
    known, known_if_nonnegative = (
        _known(plain, graph, places, layers, nonnegative=value) for value in (False, True)
    )
    if places[0] == ("",):
        plain = nn.Identity()
    else:
        for path in (path for paths in places for path in paths):
            plain.set_submodule(path, Hole(plain.get_submodule(path)))
    dense = tuple(_left_dense(plain))
    unsupported = [f"{one.name} ({one.kind})" for one in dense if not one.elementwise]
    if strict and unsupported:
        raise ValueError(
            f"the target has weights that would be left dense: {', '.join(unsupported)}"
        )
    return Walked(plain, places, known, known_if_nonnegative, dense, untraced, products), layers


def _traced(module: nn.Module) -> tuple[fx.Graph | None, str]:
    try:
        if form_of(module) is not None or isinstance(module, LEAVES):
            return None, ""
        return trace(module), ""
    except ValueError as error:
        return None, str(error)


def _places(module: nn.Module, graph: fx.Graph | None) -> tuple[tuple[str, ...], ...]:
    """Return the paths of all layers, those of one weight together, in the order of their calls."""
    used = set() if graph is None else {
        id(getattr(module.get_submodule(str(node.target).rpartition(".")[0]),
                   str(node.target).rpartition(".")[2], None))
        for node in graph.nodes if node.op == "get_attr"
    }  # fmt: skip
    found: dict[tuple[int, int, str], list[str]] = {}
    looked_into: list[str] = []
    for path, part in module.named_modules(remove_duplicate=False):
        if isinstance(getattr(part, "self_attn", None), nn.MultiheadAttention):
            looked_into.append(f"{path}.")  # torch's fast path takes the weights from its layers
        form = None if path.startswith(tuple(looked_into)) else form_of(part)
        if form is not None and not used & {id(part.weight), id(getattr(part, "bias", part))}:
            bias = getattr(part, "bias", None)
            key = id(part.weight), id(bias) if bias is not None else 0, str(form)
            found.setdefault(key, []).append(path)
    order = {} if graph is None else {
        str(node.target): k for k, node in enumerate(graph.nodes) if node.op == "call_module"
    }  # fmt: skip

    def first_call(paths: list[str]) -> int:
        prefixes = [path.rsplit(".", k)[0] for path in paths for k in range(path.count(".") + 1)]
        return min((order[prefix] for prefix in prefixes if prefix in order), default=len(order))

    return tuple(tuple(paths) for paths in sorted(found.values(), key=first_call))


def _read(module: nn.Module, path: str) -> LinearLayer:
    part = module.get_submodule(path)
    form = form_of(part)
    assert form is not None
    return read_layer(path or "0", part, form, copy=True)


def _known(
    module: nn.Module,
    graph: fx.Graph | None,
    places: tuple[tuple[str, ...], ...],
    layers: tuple[LinearLayer, ...],
    *,
    nonnegative: bool,
) -> tuple[bool, ...]:
    if form_of(module) is not None:
        found = {"": nonnegative}
    elif isinstance(module, LEAVES):
        found = module.nonnegative_children(*[nonnegative] * len(leaf_inputs(module)))
    else:
        found = {} if graph is None else follow_signs(module, graph, nonnegative=nonnegative)
    answers = []
    for paths, layer in zip(places, layers, strict=True):
        seen = [found[path] for path in paths if path in found]  # one name of a shared module
        answers.append(isinstance(layer.form, Lookup) or (bool(seen) and all(seen)))
    return tuple(answers)


def _left_dense(module: nn.Module) -> Iterator[LeftDense]:
    for name, part in module.named_modules():
        own = [p for p in part.parameters(recurse=False) if isinstance(p, torch.Tensor)]
        if own:
            elementwise = isinstance(part, _SCALES) or all(p.dim() < 2 for p in own)
            num_weights = sum(p.numel() for p in own)
            yield LeftDense(name, type(part).__name__, num_weights, elementwise)
