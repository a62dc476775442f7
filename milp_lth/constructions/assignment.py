"""Which input each hidden unit keeps: itself a pruning choice.

``block`` is the proof's: unit h keeps input ``h // width``, whatever sign it drew there.
``matched`` chooses for every unit one of the entries it drew, so that every input gets as many
units as it may have with the signs it needs: a maximum flow. Units offer their entries in turn,
whatever their size: products of many sizes approximate better, and need fewer of them, than those
of the largest entries alone.
"""

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow

from instances.arrays import BoolArray, FloatArray, IntArray
from milp_lth.source import FIRST, Source

ASSIGNMENTS = ("matched", "block")

_FIRST_OFFERS = 8
_CHUNK = 1 << 22  # entries of U drawn at a time


def assign(source: Source, layer: int, signed: BoolArray, width: int, assignment: str) -> IntArray:
    """Return the input that each of the ``width * len(signed)`` units keeps; −1: none.

    Parameters
    ----------
    source, layer
        Where U comes from.
    signed
        Shape (num_inputs,): whether the input may have both signs, and so needs two halves.
    width
        Units per input.
    assignment
        "matched" or "block".

    Raises
    ------
    ValueError
        When `assignment` is neither.
    """
    if assignment == "block":
        return np.repeat(np.arange(len(signed)), width)
    if assignment != "matched":
        raise ValueError(
            f"unknown assignment {assignment!r}: choose one of {', '.join(ASSIGNMENTS)}"
        )
    num_inputs = len(signed)
    num_units = width * num_inputs
    # slot 2 i + 1 takes units that are negative at input i, slot 2 i those that are positive; an
    # input that is always ≥ 0 beside signed ones has one half only, and needs no more units for it
    both = bool(signed.any())
    positive = (width + 1) // 2 if both else width
    capacity = np.zeros((num_inputs, 2), np.int64)
    capacity[:, 0] = positive
    capacity[:, 1] = np.where(signed, width - positive, 0)
    num_offers = min(_FIRST_OFFERS, num_inputs)
    while True:
        slots = _offers(source, layer, signed, num_units, num_offers)
        slot_of = _match(slots, capacity.reshape(-1))
        matched = int((slot_of >= 0).sum())
        if matched == min(num_units, int(capacity.sum())) or num_offers == num_inputs:
            break
        num_offers = min(2 * num_offers, num_inputs)
    input_of = np.where(slot_of >= 0, slot_of // 2, -1)
    _place_the_rest(input_of, slots, np.where(signed, width, positive))
    return input_of


def _offers(
    source: Source, layer: int, signed: BoolArray, num_units: int, num_offers: int
) -> IntArray:
    """Return the first usable slots of each unit, shape (num_units, num_offers)."""
    num_inputs = len(signed)
    slots = np.full((num_units, num_offers), -1, dtype=np.int64)
    step = max(1, _CHUNK // num_inputs)
    inputs = np.arange(num_inputs)
    for first in range(0, num_units, step):
        units = np.arange(first, min(first + step, num_units))
        u: FloatArray = source.draw(layer, FIRST, num_inputs, units[:, None], inputs)
        usable = (u > 0) | ((u < 0) & signed)
        turn = (inputs - units[:, None]) % num_inputs  # every unit begins with another input
        order = np.where(usable, turn, num_inputs)
        first_ones = np.argsort(order, axis=1, kind="stable")[:, :num_offers]
        negative = np.take_along_axis(u < 0, first_ones, axis=1)
        offered = np.take_along_axis(usable, first_ones, axis=1)
        slots[units] = np.where(offered, 2 * first_ones + negative, -1)
    return slots


def _match(slots: IntArray, capacity: IntArray) -> IntArray:
    """Give as many units as possible a slot they offer; slot k takes ``capacity[k]`` of them."""
    num_units, num_slots = len(slots), len(capacity)
    unit, offer = np.nonzero(slots >= 0)
    start, end = 0, 1 + num_units + num_slots
    tails = np.concatenate(
        [np.full(num_units, start), 1 + unit, 1 + num_units + np.arange(num_slots)]
    )
    heads = np.concatenate(
        [1 + np.arange(num_units), 1 + num_units + slots[unit, offer], np.full(num_slots, end)]
    )
    limits = np.concatenate([np.ones(num_units + len(unit), np.int64), capacity])
    edges = (tails.astype(np.int32), heads.astype(np.int32))  # SciPy's flow takes no longer ones
    graph = csr_array((limits.astype(np.int32), edges), shape=(end + 1, end + 1))
    flow = maximum_flow(graph, start, end).flow.tocoo()
    used = (flow.data > 0) & (flow.row > start) & (flow.row <= num_units)
    slot_of = np.full(num_units, -1, dtype=np.int64)
    slot_of[flow.row[used] - 1] = flow.col[used] - 1 - num_units
    return slot_of


def _place_the_rest(input_of: IntArray, slots: IntArray, limit: IntArray) -> None:
    """Let units without a place serve any input they offer that has room, whatever the half."""
    room = limit - np.bincount(input_of[input_of >= 0], minlength=len(limit))
    for h in np.flatnonzero(input_of < 0):
        for slot in slots[h][slots[h] >= 0]:
            if room[slot // 2] > 0:
                input_of[h] = slot // 2
                room[slot // 2] -= 1
                break
