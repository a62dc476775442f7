"""From a target and a source to SubsetSum problems, with the way back."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from torch import nn

from instances.objectives import Objective
from instances.subset_sum import SubsetSum
from milp_lth.constructions.layout import Half, Layout
from milp_lth.constructions.registry import lay_out
from milp_lth.network import Network, read_network
from milp_lth.source import Source

BOTH_SIGNS = (-1.0, 1.0)


@dataclass(frozen=True, eq=False)
class Part:
    """The problems of one half of one layer: one for every weight that the half serves."""

    layer: Layout
    half: Half
    objective: Objective

    def __len__(self) -> int:
        return self.layer.drawn.num_outputs * self.half.num_inputs

    @property
    def shape(self) -> tuple[int, int]:
        """Problems, and candidates of each: the shape of a mask that answers them."""
        return len(self), self.half.units.shape[1]

    @property
    def name(self) -> str:
        """The layer's name and, where there are two, the half's sign."""
        if not self.layer.drawn.has_halves or self.half.sign == 0:
            return self.layer.name
        return f"{self.layer.name} ({'+' if self.half.sign > 0 else '−'})"

    def of_rows(self, start: int, stop: int) -> "Part":
        """Return the part with the weights of some rows alone: they can be stated, no others.

        It is small, a seed and a range, since candidates are drawn where it is sent.
        """
        first, last = start // self.half.num_inputs, (stop - 1) // self.half.num_inputs + 1
        return replace(self, layer=self.layer.of_outputs(first, last))

    def instance(self, start: int = 0, stop: int | None = None) -> SubsetSum:
        """State the problems from row `start` to before `stop`; see `Layout` for their order."""
        return self.layer.instance(
            self.half, self.objective, start, len(self) if stop is None else stop
        )


@dataclass(frozen=True, eq=False)
class Reduction:
    """The problems that a target poses to a source, and where each of its weights sits.

    Attributes
    ----------
    network
        The target, as it was read off the module.
    source
        What the random network is drawn from.
    assignment
        Which input each hidden unit keeps: "matched" or "block".
    objective
        What is asked of every weight.
    input_range
        The range that the inputs are declared to lie in.
    layers
        The layouts: one target layer beside its random one, in order.
    """

    network: Network
    source: Source
    assignment: str
    objective: Objective
    input_range: tuple[float, float]
    layers: tuple[Layout, ...]

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """All problems, by layer and half."""
        return tuple(
            Part(layer, half, self.objective) for layer in self.layers for half in layer.halves()
        )

    @property
    def num_rows(self) -> int:
        """How many SubsetSum problems there are in all."""
        return sum(map(len, self.parts))

    def chunks(
        self, num_rows: int, done: Mapping[int, Sequence[tuple[int, int]]] | None = None
    ) -> Iterator[tuple[int, int, int]]:
        """Cut the parts into pieces of at most `num_rows`: (part, start, stop).

        What is `done` of a part, as (start, stop) in order, is left out.
        """
        for p, part in enumerate(self.parts):
            first = 0
            for start, stop in (*(done or {}).get(p, ()), (len(part), len(part))):
                for begin in range(first, start, num_rows):
                    yield p, begin, min(begin + num_rows, start)
                first = stop


def reduce(
    target: nn.Module | Network,
    source: Source | None = None,
    *,
    assignment: str = "matched",
    objective: Objective | None = None,
    input_range: tuple[float, float] = BOTH_SIGNS,
) -> Reduction:
    r"""Pose the approximation of `target` by pruning `source` as SubsetSum problems.

    For every weight and every half,

    .. code-block:: text

        W[j, i] ≈ Σ_h  m[j, h] · V[j, h] · U[h, i]     over the units h that keep input i

    or, with the direct constructions, a sum of edges from i to j.

    Parameters
    ----------
    target
        Any module with linear layers; or what `milp_lth.network.read_network` read off one.
    source
        What the random network is drawn from; None: ``Source()``.
    assignment
        "matched" (default) or "block": which input each hidden unit keeps. Nothing to the direct
        constructions, which have none.
    objective
        What is asked of every weight; None: what suits the construction, ``Closest()`` for most.
    input_range
        The range that the inputs are declared to lie in. Where it begins at 0 or above, the first
        layer needs no negative half.

    Returns
    -------
    Reduction
        Its `parts` are the problems, by layer and half; ``part.instance()`` states them.

    Raises
    ------
    ValueError
        When the target cannot be read, or an argument is out of range.

    Examples
    --------
    >>> import torch
    >>> reduction = reduce(torch.nn.Linear(3, 2, bias=False), Source(width=16))
    >>> [(part.name, len(part)) for part in reduction.parts]
    [('0 (+)', 6), ('0 (−)', 6)]
    """
    source = source or Source()
    low, high = input_range
    if not low <= high:
        raise ValueError(f"input range {low} to {high}: give the lower end first")
    network = target if isinstance(target, Network) else read_network(target)
    known = network.nonnegative_inputs((low, high))
    construction, asked = lay_out(source.construction), objective or source.registered.objective
    options = {"assignment": assignment} if source.registered.has_units else {}
    layers = tuple(
        construction(
            source,
            index,
            network,
            width=source.layer_width(
                index,
                len(network.layers),
                nonnegative=nonnegative or not network.layers[index].form.activated,
            ),
            nonnegative=nonnegative,
            **options,
        )
        for index, nonnegative in enumerate(known)
    )
    if source.redraws:
        from milp_lth.redrawing import redrawn

        layers = tuple(redrawn(layer, asked) for layer in layers)
    return Reduction(network, source, assignment, asked, (low, high), layers)
