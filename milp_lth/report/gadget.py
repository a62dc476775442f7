"""One gadget as a graph: an input, the random edges or hidden units behind it, and an output."""

import networkx as nx
import numpy as np

from instances.arrays import BoolArray
from milp_lth.reduction import Part

_MOST_SHOWN = 48


def gadget(part: Part, row: int, mask: BoolArray) -> "nx.DiGraph[str]":
    """Return the graph behind one weight; the nodes between the ends carry `product` and `kept`.

    Of many candidates the kept and some others are shown; its `left_out` counts the rest.

    Parameters
    ----------
    part
        One half of one layer.
    row
        Which of its weights.
    mask
        The row's answer, shape (n,).
    """
    layer, half = part.layer, part.half
    output, i = divmod(row, half.num_inputs)
    candidates = half.units[i]
    products = layer.candidates(half, output, output + 1)[0, i]
    constant = layer.drawn.has_bias and i == layer.drawn.num_inputs - 1
    target = float(layer.targets(half, output, output + 1)[i])
    graph: nx.DiGraph[str] = nx.DiGraph(target=target, name=part.name)
    source, sink = "1" if constant else f"x{i}", f"y{output}"
    graph.add_node(source, floor=0)
    there = np.flatnonzero(candidates >= 0)
    shown = np.sort(there[np.argsort(~mask[there], kind="stable")][:_MOST_SHOWN])
    graph.graph["left_out"] = len(there) - len(shown)
    for k in shown:
        kept = bool(mask[k])
        name = f"h{candidates[k]}" if half.sign else f"edge {k}"
        graph.add_node(name, floor=1, product=float(products[k]), kept=kept)
        graph.add_edge(source, name, kept=kept)
        graph.add_edge(name, sink, kept=kept)
    graph.add_node(sink, floor=2)
    return graph
