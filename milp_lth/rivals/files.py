"""Networks in files: what a seed does not say, and a check that file and seed say all of it.

The file of a ticket is that of `milp_lth.ticket_files`. That of another network holds masks, eight
edges a byte, gains, and weights only where they were trained: all others are drawn again.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
import torch
from torch import nn

from instances.files import write_atomically
from instances.plain_files import size_of
from milp_lth.rivals.biprop import Sign
from milp_lth.rivals.masked import Masked, masked_layers, masks_of, replaced
from milp_lth.rivals.methods import METHODS, Entry, Method
from milp_lth.rivals.random_network import Shape, random_network
from milp_lth.ticket import Ticket
from milp_lth.ticket_files import load_ticket, save_ticket
from solvers.heuristic.devices import single_thread

FORMAT = "milp_lth rival/1"

_AT_ONCE = 1000  # inputs
_SAME = 1e-6  # relative: a gain is a sum, and its order is nobody's


def save_network(network: nn.Module, path: Path, entry: Entry) -> None:
    """Write what a method found to a ``.safetensors`` file, whole or not at all."""
    if isinstance(network, Ticket):
        save_ticket(network, path)
        return
    tensors: dict[str, Any] = {}
    for name, layer in masked_layers(network):
        for part in _parts(METHODS[entry.method]):
            array = getattr(layer, part).detach().cpu().numpy()
            tensors[f"{name}.{part}"] = np.packbits(array) if part == "mask" else array
    stated = {"format": FORMAT, "method": entry.method, "value": entry.value}
    write_atomically(path, safetensors.numpy.save(tensors, {"rival": json.dumps(stated)}))


def load_network(path: Path, entry: Entry, shape: Shape, seed: int) -> nn.Module:
    """Return the network that a file and a seed describe.

    Parameters
    ----------
    path
        What `save_network` wrote.
    entry, shape, seed
        What was asked for.

    Raises
    ------
    ValueError
        When the file is missing or damaged, or says something else than what was asked for.
    """
    method = METHODS[entry.method]
    if method.weights == "ticket":
        ticket = load_ticket(path)
        if ticket.settings.source.seed != seed:
            raise ValueError(f"{path}: the ticket of another seed")
        return ticket
    try:
        size_of(path)
        with safetensors.safe_open(path, framework="numpy") as file:
            stated = json.loads((file.metadata() or {}).get("rival", "{}"))
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        if stated != {"format": FORMAT, "method": entry.method, "value": entry.value}:
            raise ValueError(f"not the network of {entry.name}")
        network: nn.Module = random_network(shape, seed, distribution=method.searched or "normal")
        if entry.arguments.get("binary_activations"):
            network = replaced(network, nn.ReLU, lambda _: Sign())
        for name, layer in masked_layers(network):
            _fill(layer, method, {part: tensors[f"{name}.{part}"] for part in _parts(method)})
    except (safetensors.SafetensorError, KeyError, ValueError, TypeError, OSError) as error:
        raise ValueError(f"{path}: damaged or missing ({error})") from error
    return network.eval().requires_grad_(False)


def _parts(method: Method) -> list[str]:
    """Return what a file holds of every layer."""
    gain, weight = ["gain"] * bool(method.gain), ["weight"] * (method.weights == "trained")
    return ["mask", *gain, *weight]


def _fill(layer: Masked, method: Method, parts: dict[str, Any]) -> None:
    """Put into a layer as it was drawn what a file says of it; ValueError where it does not fit."""
    drawn = layer.weight.detach().clone()
    kept = np.unpackbits(parts["mask"], count=drawn.numel()).astype(np.bool_)
    if np.packbits(kept).tobytes() != parts["mask"].tobytes():
        raise ValueError("a mask does not fit the network")
    layer.mask = torch.from_numpy(kept).view_as(layer.mask)
    if method.gain:
        layer.gain = torch.from_numpy(parts["gain"])
        wanted = _gain(method.gain, drawn, layer.mask)
        if layer.gain.shape != () or abs(float(layer.gain) - wanted) > _SAME * wanted:
            raise ValueError(f"a gain is not {method.gain}")
    if method.weights == "binary":
        layer.weight.data = torch.where(drawn < 0, -1.0, 1.0)
    elif method.weights == "trained":
        weight = torch.from_numpy(parts["weight"])
        if weight.shape != drawn.shape or weight.dtype != drawn.dtype:
            raise ValueError("weights do not fit the network")
        layer.weight.data = weight


def _gain(rule: str, weight: torch.Tensor, mask: torch.Tensor) -> float:
    kept = max(1, int(mask.sum()))
    if rule == "edges/kept":
        return mask.numel() / kept
    return float(weight.double().abs()[mask].sum()) / kept


def same(network: nn.Module, other: nn.Module) -> bool:
    """Whether two networks have the same weights, masks and gains, bit for bit."""
    one, two = network.state_dict(), other.state_dict()
    return one.keys() == two.keys() and all(torch.equal(one[k].cpu(), two[k].cpu()) for k in one)


def count_edges(network: nn.Module) -> tuple[int, int]:
    """Return how many edges are kept, and how many there are: of a ticket, in all of U and V."""
    if isinstance(network, Ticket):
        counts = network.edges()
        return int(counts["kept_u"] + counts["kept_v"]), int(counts["source_dense"])
    masks = masks_of(network).values()
    return sum(int(mask.sum()) for mask in masks), sum(mask.numel() for mask in masks)


def predictions(network: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Return the class that a network gives to each input."""
    # one thread: sums depend on how many there are, and classes now and then on sums
    with torch.inference_mode(), single_thread():
        return torch.cat([network(part).argmax(dim=1) for part in torch.split(x, _AT_ONCE)])
