"""One gadget as a graph: an input, the hidden units that keep it, and an output."""

import networkx as nx
import numpy as np

from instances.arrays import BoolArray
from milp_lth.reduction import Part


def gadget(part: Part, row: int, mask: BoolArray) -> "nx.DiGraph[str]":
    """Return the graph behind one weight; edges carry `weight` and `kept`, hidden nodes `product`.

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
    units = half.units[i]
    drawn = layer.drawn
    u, v = drawn.u(), drawn.v(output, output + 1)[0]
    constant = drawn.has_bias and i == drawn.num_inputs - 1
    graph: nx.DiGraph[str] = nx.DiGraph(target=float(layer.weight[output, i]), name=part.name)
    source, sink = "1" if constant else f"x{i}", f"y{output}"
    graph.add_node(source, floor=0)
    for k in np.flatnonzero(units >= 0):
        h, kept = int(units[k]), bool(mask[k])
        name = f"h{h}"
        graph.add_node(name, floor=1, product=float(u[h] * v[h]), kept=kept)
        graph.add_edge(source, name, weight=float(u[h]), kept=kept)
        graph.add_edge(name, sink, weight=float(v[h]), kept=kept)
    graph.add_node(sink, floor=2)
    return graph
