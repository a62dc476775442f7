"""Writing a ticket that is too large for memory: masks in shards, and an index of them.

The names are those that are common for sharded safetensors: ``ticket.safetensors.index.json`` and
``ticket-00001-of-00005.safetensors``.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.numpy

from instances.files import write_atomically
from milp_lth.assembly import ticket_settings
from milp_lth.constructions.layout import DrawnLayer
from milp_lth.recorded_masks import RecordedMasks
from milp_lth.reduction import Reduction
from milp_lth.ticket_files import ticket_stated

INDEX = "ticket.safetensors.index.json"

WHOLE_EDGES = 1 << 25
"""Edges of the source beyond which a run's ticket is written in shards."""

SHARD_BYTES = 64 * 2**20
"""The most bytes of masks in a shard."""

BLOCK_EDGES = 1 << 22
"""The most edges of a block, the outputs of a layer that are looked at together."""

_SHARD = re.compile(r"ticket-\d{5,}-of-\d{5,}\.safetensors")


class Block(NamedTuple):
    """Some outputs of a layer, those from `first` to before `last`."""

    layer: int
    first: int
    last: int

    @property
    def tensor(self) -> str:
        """The name of its mask."""
        return f"{self.layer}.v_mask.{self.first}"


def is_shard(name: str) -> bool:
    """Whether a file's name is that of a shard."""
    return _SHARD.fullmatch(name) is not None


def shards_in(folder: Path) -> list[str]:
    """Return the names of all shards that lie in a folder."""
    return sorted(path.name for path in folder.iterdir() if is_shard(path.name))


def num_edges(layers: Iterable[DrawnLayer]) -> int:
    """Count the edges that masks are about."""
    return sum(math.prod(drawn.mask_shape) for drawn in layers)


def blocks_of(layers: Sequence[DrawnLayer], outputs: Sequence[int]) -> Iterator[Block]:
    """Cut the layers into blocks of so many outputs each."""
    for k, (drawn, step) in enumerate(zip(layers, outputs, strict=True)):
        for first in range(0, drawn.num_outputs, step):
            yield Block(k, first, min(first + step, drawn.num_outputs))


def write_shards(reduction: Reduction, masks: RecordedMasks, folder: Path) -> Path:
    """Write the ticket of these masks, a shard at a time, and return the path of its index.

    The index comes last: without it there is no ticket. Shards of an earlier attempt are replaced.
    """
    settings = ticket_settings(reduction)
    outputs = [
        max(1, min(drawn.num_outputs, BLOCK_EDGES // drawn.mask_shape[1]))
        for drawn in settings.layers
    ]
    shards = _distributed(blocks_of(settings.layers, outputs), settings.layers)
    names = [f"ticket-{n:05}-of-{len(shards):05}.safetensors" for n in range(1, len(shards) + 1)]
    for name in shards_in(folder):
        (folder / name).unlink()
    for abandoned in folder.glob(".ticket*"):  # the half of a file that a killed run left
        abandoned.unlink()
    weight_map: dict[str, str] = {}
    total = 0
    tensors: dict[str, Any] = {
        f"{k}.{name}": array
        for k, drawn in enumerate(settings.layers)
        for name, array in drawn.arrays().items()
    }
    for name, blocks in zip(names, shards, strict=True):
        for block in blocks:
            tensors[block.tensor] = np.packbits(masks.block(*block))
        write_atomically(folder / name, safetensors.numpy.save(tensors))
        weight_map |= dict.fromkeys(tensors, name)
        total += sum(array.nbytes for array in tensors.values())
        tensors = {}
    dtype = settings.layers[0].weight_dtype(reduction.network.dtype)
    stated = ticket_stated(settings, dtype) | {"block_outputs": outputs, "total_size": total}
    content = json.dumps({"metadata": stated, "weight_map": weight_map}, indent=2) + "\n"
    write_atomically(folder / INDEX, content.encode())
    return folder / INDEX


def _distributed(blocks: Iterable[Block], layers: Sequence[DrawnLayer]) -> list[list[Block]]:
    """Put blocks into shards, in order, each as full as it may be."""
    shards: list[list[Block]] = []
    room = 0
    for block in blocks:
        size = ((block.last - block.first) * layers[block.layer].mask_shape[1] + 7) // 8
        if not shards or size > room:
            shards.append([])
            room = SHARD_BYTES
        shards[-1].append(block)
        room -= size
    return shards
