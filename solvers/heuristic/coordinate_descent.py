"""Block coordinate descent: each weight solved again for what all others leave to it.

In norm 2, and for all neurons of a layer at once. With the other weights fixed, the best subset of
one is that nearest to a shifted target: an exact SubsetSum. A sweep does so for every weight; the
error never rises. It begins from error feedback, or from `start`. To prefer for layers; on single
neurons lns finds better. It proves nothing.
"""

import time
from dataclasses import dataclass
from typing import ClassVar

from instances.arrays import BoolArray
from instances.instance import Instance
from instances.neurons import Neurons
from solvers.heuristic.devices import single_thread
from solvers.heuristic.error_feedback import feed_back
from solvers.heuristic.layer import Layer, supports_layer
from solvers.solver import OnEvent, Proposal, nothing_known


@dataclass(frozen=True)
class CoordinateDescent:
    """Sweeps over the weights until none moves.

    Parameters
    ----------
    sweeps
        The most sweeps.
    device
        A torch device; "auto": CUDA where there is one, else the CPU.
    """

    sweeps: int = 8
    device: str = "auto"
    tolerance: ClassVar[float] = 0.0

    def supports(self, instance: Instance) -> bool:
        """Whether they are neurons in norm 2, without a budget, up to 48 candidates a weight."""
        return supports_layer(instance)

    def propose(
        self,
        instance: Neurons,
        time_limit: float,
        *,
        start: BoolArray | None = None,
        on_event: OnEvent | None = None,
    ) -> Proposal:
        """Propose masks without bounds, never worse than `start`."""
        deadline = time.monotonic() + time_limit
        layer = Layer(instance, self.device, start)
        with single_thread():
            if start is None:
                feed_back(layer, deadline)
            for _ in range(self.sweeps):
                if time.monotonic() > deadline or not _sweep(layer, deadline):
                    break
                if on_event is not None:
                    on_event(0, nothing_known(instance, layer.mask()))
        return nothing_known(instance, layer.mask())


def _sweep(layer: Layer, deadline: float) -> bool:
    """Solve every weight again; return whether any moved."""
    pull = layer.off @ layer.gram
    moved = False
    for k in range(len(layer.gram)):
        if time.monotonic() > deadline:
            break
        diagonal = layer.gram[k, k]
        if diagonal <= 0:
            continue
        wanted = layer.weights[:, k] - layer.off[:, k] + pull[:, k] / diagonal
        step = layer.put_nearest(k, wanted)
        if bool((step != 0).any()):
            moved = True
            pull += step[:, None] * layer.gram[k]
    return moved
