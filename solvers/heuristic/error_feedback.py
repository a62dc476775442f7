"""Error feedback: a layer's weights fixed one after the other, each making up for those before.

In norm 2, and for all neurons of a layer at once. In the inputs' triangular factor the weight that
is fixed next can take up what the fixed ones are off by; it takes the subset sum nearest to that
(Babai's nearest plane, Combinatorica 1986; in pruning and quantisation the order of OBQ and GPTQ,
Frantar et al. 2022). To prefer as the first answer for layers of any size: one pass, no proof.
coordinate-descent goes on from it.
"""

import time
from dataclasses import dataclass
from typing import ClassVar

from instances.arrays import BoolArray
from instances.instance import Instance
from instances.neurons import Neurons
from solvers.heuristic.devices import single_thread
from solvers.heuristic.layer import Charge, Layer, supports_layer
from solvers.solver import OnEvent, Proposal, nothing_known


@dataclass(frozen=True)
class ErrorFeedback:
    """One pass over the weights.

    Parameters
    ----------
    device
        A torch device; "auto": CUDA where there is one, else the CPU.
    """

    device: str = "auto"
    tolerance: ClassVar[float] = 0.0

    def supports(self, instance: Instance) -> bool:
        """Whether they are neurons in norm 2, without a budget, up to 48 candidates a weight."""
        return supports_layer(instance) and instance.budget is None

    def propose(
        self,
        instance: Neurons,
        time_limit: float,
        *,
        start: BoolArray | None = None,
        on_event: OnEvent | None = None,
    ) -> Proposal:
        """Propose masks without bounds; `start` fills in where the clock stops the pass."""
        layer = Layer(instance, self.device, start)
        with single_thread():
            feed_back(layer, time.monotonic() + time_limit)
        return nothing_known(instance, layer.mask())


def feed_back(layer: Layer, deadline: float, charge: Charge | None = None) -> None:
    """Fix the weights of a layer from the last to the first."""
    factor = layer.factor()
    for k in range(len(factor) - 1, -1, -1):
        if time.monotonic() > deadline:
            return
        passed_on = layer.off[:, k + 1 :] @ factor[k, k + 1 :]
        layer.put_nearest(k, layer.weights[:, k] + passed_on / factor[k, k], charge)
