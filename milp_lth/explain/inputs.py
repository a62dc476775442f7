"""What a layer of the target is fed with, when the network is fed with data."""

import torch

from instances.arrays import FloatArray
from milp_lth.network import Network
from milp_lth.networks.forms import DENSE


def layer_inputs(network: Network, place: int, x: torch.Tensor) -> FloatArray | None:
    """Return the inputs of the layer at `place` when the target sees `x`.

    Returns
    -------
    FloatArray
        Shape (samples, inputs of the layer), without the constant input of a bias; None where the
        layer is no Linear, or is never called.
    """
    if network.layers[place].form != DENSE:
        return None
    made = []
    for layer in network.layers:
        column = None if layer.bias is None else network.tensor(layer.bias)
        made.append(layer.form.module(network.tensor(layer.weight), column))
    seen: list[torch.Tensor] = []
    made[place].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        network.body.with_layers(made).eval()(x.to(network.dtype))
    if not seen:
        return None
    inputs: FloatArray = seen[0].reshape(-1, seen[0].shape[-1]).double().numpy()
    return inputs
