"""Branch and bound over the signs of neurons: where functions of both networks are largest.

A node assumes of some neurons, the target's or the ticket's, that they are active or not. Its bound
is that of planes chosen by a linear program and computed with every rounding counted, so the upper
bound of the whole holds whatever the solver does. Nodes of all functions share one queue, the
highest bound first: functions that cannot be the largest are never branched on.
"""

import heapq
import itertools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from instances.arrays import BoolArray, FloatArray
from milp_lth.certificates.ascent import differences
from milp_lth.certificates.linear_program import Answer, Program
from milp_lth.certificates.relaxation import Linear, Relaxation, best_bound, output_rows

OnNode = Callable[[int, float, float], None]
"""Called with the nodes done, and the lower and the upper bound."""


@dataclass(frozen=True, eq=False)
class Optimum:
    """The largest value that any of several functions takes in a box."""

    lower: float
    """At `x`, in float64."""
    upper: float
    """Proved; −inf where there is no input."""
    function: int
    x: FloatArray
    per_function: FloatArray
    """A proved upper bound on each, shape (m,)."""
    num_nodes: int
    seconds: float


@dataclass(frozen=True, eq=False)
class _Node:
    bound: float
    function: int
    relaxation: Relaxation
    answer: Answer | None


def maximise(
    relaxation: Relaxation,
    on_target: FloatArray,
    on_error: FloatArray,
    start: FloatArray,
    *,
    enough: Callable[[float, float], bool],
    time_limit: float = math.inf,
    on_node: OnNode | None = None,
) -> Optimum:
    """Find the largest of m functions ``on_target f + on_error (g − f)`` over a box.

    Parameters
    ----------
    relaxation
        Of both networks over the box.
    on_target, on_error
        Shape (m, num_outputs).
    start
        Inputs of the box that are tried first, shape (any number, num_inputs).
    enough
        Told the lower and the upper bound; once it agrees nothing more is done.
    time_limit
        Seconds; what is proved by then is returned.
    on_node
        Told of the progress.
    """
    search = _Search(relaxation, on_target, on_error, time_limit)
    for x in start:
        search.try_out(x)
    return search.run(enough, on_node)


class _Search:
    def __init__(
        self,
        relaxation: Relaxation,
        on_target: FloatArray,
        on_error: FloatArray,
        time_limit: float,
    ) -> None:
        self.began = time.perf_counter()
        self.deadline = self.began + time_limit
        self.relaxation, self.on_target, self.on_error = relaxation, on_target, on_error
        self.functions = output_rows(relaxation, on_target, on_error)
        self.program = Program(relaxation) if relaxation.neurons else None
        self.lower, self.function, self.x = -math.inf, 0, relaxation.box[0]
        self.closed = np.full(len(on_target), -math.inf)  # bounds of nodes that are left as leaves
        self.queue: list[tuple[float, int, _Node]] = []
        self.count = itertools.count()
        self.num_nodes = 0

    def run(self, enough: Callable[[float, float], bool], on_node: OnNode | None) -> Optimum:
        """Work on the node with the highest bound until that is enough."""
        bounds = best_bound(self.relaxation, self.functions)
        waiting = sorted(range(len(bounds)), key=lambda k: bounds[k])
        for k in waiting:
            self._push(_Node(float(bounds[k]), k, self.relaxation, None))
        while self.queue and time.perf_counter() < self.deadline:
            if enough(self.lower, self._upper()):
                break
            _, _, node = heapq.heappop(self.queue)
            if node.answer is None:
                solved = self._solved(node.function, node.relaxation, node.bound)
                self._push(solved) if solved.answer else self._close(solved)
            else:
                self._branch(node)
            if on_node is not None:
                on_node(self.num_nodes, self.lower, self._upper())
        per_function = self.closed.copy()
        for _, _, node in self.queue:
            per_function[node.function] = max(per_function[node.function], node.bound)
        return Optimum(
            self.lower,
            self._upper(),
            self.function,
            self.x,
            per_function,
            self.num_nodes,
            time.perf_counter() - self.began,
        )

    def try_out(self, x: FloatArray) -> None:
        """Evaluate all functions at an input."""
        target, error = differences(self.relaxation.pair, x[None])
        values = self.on_target @ target[0] + self.on_error @ error[0]
        k = int(values.argmax())
        if values[k] > self.lower:
            self.lower, self.function, self.x = float(values[k]), k, x

    def _upper(self) -> float:
        top = -self.queue[0][0] if self.queue else -math.inf
        return max(top, float(self.closed.max()))

    def _push(self, node: _Node) -> None:
        heapq.heappush(self.queue, (-node.bound, next(self.count), node))

    def _close(self, node: _Node) -> None:
        self.closed[node.function] = max(self.closed[node.function], node.bound)

    def _solved(self, function: int, relaxation: Relaxation, bound: float) -> _Node:
        """Bound one function under the assumptions of `relaxation`; `bound` holds already."""
        self.num_nodes += 1
        functions = Linear(*(part[function : function + 1] for part in self.functions))
        if self.program is None:
            x = relaxation.highest_point(functions)[0]
            self.try_out(x)
            return _Node(bound, function, relaxation, None)
        seconds = self.deadline - time.perf_counter()
        answer = self.program.solve(relaxation, functions, seconds)
        if answer is None:
            return _Node(bound, function, relaxation, None)
        self.try_out(answer.x)
        mine = float(relaxation.bound(functions, answer.planes)[0])
        return _Node(min(bound, mine), function, relaxation, answer)

    def _branch(self, node: _Node) -> None:
        children = self._children(node)
        if children is None:
            self._close(node)
            return
        for child in children:
            solved = self._solved(node.function, child, node.bound)
            if solved.answer is None or solved.bound <= self.lower:
                self._close(solved)
            else:
                self._push(solved)

    def _children(self, node: _Node) -> list[Relaxation] | None:
        """Assume either sign of what the bound has most to win from; None: nothing is open."""
        assert node.answer is not None
        relaxation, answer = node.relaxation, node.answer
        most, split = -math.inf, None
        low, high = relaxation.box
        if relaxation.pair.by_sign:
            loose = np.where((low < 0) & (high > 0), answer.loose_inputs, -math.inf)
            most, split = float(loose.max()), partial(_by_input, relaxation, int(loose.argmax()))
        for layer, neurons in enumerate(relaxation.neurons):
            corners = neurons.corners()
            open_a = _both_signs(corners.a, corners.allowed)
            open_b = _both_signs(corners.a + corners.d, corners.allowed)
            loose = np.where(open_a | open_b, answer.loose[layer], -math.inf)
            k = int(loose.argmax())
            if loose[k] > most:
                of_ticket = bool(open_b[k] if answer.prefers_ticket[layer][k] else not open_a[k])
                most, split = float(loose[k]), partial(_by_neuron, relaxation, layer, k, of_ticket)
        return None if split is None or most == -math.inf else split()


def _by_input(relaxation: Relaxation, k: int) -> list[Relaxation]:
    """Cut the box at 0."""
    children = []
    for above in (False, True):
        low, high = (end.copy() for end in relaxation.box)
        (low if above else high)[k] = 0.0
        children.append(replace(relaxation, box=(low, high)))
    return children


def _by_neuron(relaxation: Relaxation, layer: int, k: int, of_ticket: bool) -> list[Relaxation]:
    """Assume that a neuron is active, or that it is not, where that is possible."""
    children = []
    for sign in (1, -1):
        neurons = list(relaxation.neurons)
        neurons[layer] = neurons[layer].assume(k, of_ticket, sign)
        if neurons[layer].corners().allowed[k].any():
            children.append(replace(relaxation, neurons=tuple(neurons)))
    return children


def _both_signs(values: FloatArray, allowed: BoolArray) -> BoolArray:
    """Return which neurons have allowed corners on both sides of 0."""
    return np.asarray(((values > 0) & allowed).any(axis=1) & ((values < 0) & allowed).any(axis=1))
