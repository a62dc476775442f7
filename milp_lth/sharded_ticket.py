"""A ticket in shards: it computes and counts what a `Ticket` does, some outputs at a time."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import safetensors
import torch

from instances.arrays import BoolArray
from instances.plain_files import json_of, size_of
from milp_lth.constructions.layout import PrunedLayer
from milp_lth.edges import count_edges
from milp_lth.networks.row import LINEAR, build_modules
from milp_lth.shards import INDEX, Block, blocks_of, is_shard
from milp_lth.ticket import Ticket, TicketSettings
from milp_lth.ticket_files import read_settings, unpacked

_BATCH_NUMBERS = 1 << 24  # hidden activations computed at a time: 64 MB in float32

OnBlock = Callable[[int, int, PrunedLayer], None]
"""Called with a layer's index, a first output, and the layer of the outputs from there."""


class ShardedTicket:
    """The random network under masks that are read when they are needed.

    Weights are drawn a block of outputs at a time and forgotten, so that neither they nor the masks
    are ever in memory together.

    Parameters
    ----------
    path
        The index, or the folder it lies in.

    Raises
    ------
    ValueError
        When the index or a shard is missing, truncated, or not what the other says.
    """

    settings: TicketSettings
    dtype: torch.dtype
    """Of the weights."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        path = Path(path)
        self.index = path / INDEX if path.is_dir() else path
        self.folder = self.index.parent
        self.device = torch.device("cpu")
        try:
            content = json_of(self.index)
            stated, self._weight_map = content["metadata"], dict(content["weight_map"])
            for name in self.shards():
                if not is_shard(name):
                    raise ValueError(f"{name!r} is not the name of a shard")
            arrays = {n: self._tensor(n) for n in self._weight_map if ".v_mask." not in n}
            self.settings, self.dtype = read_settings(stated, arrays)
            outputs = [int(count) for count in stated["block_outputs"]]
            if min(outputs) < 1:
                raise ValueError("its blocks have no outputs")
            self._blocks = list(blocks_of(self.settings.layers, outputs))
            if {block.tensor for block in self._blocks} | set(arrays) != set(self._weight_map):
                raise ValueError("its layers and its list of tensors do not fit")
        except _ShardError as error:
            raise ValueError(str(error)) from error
        except OSError as error:
            raise ValueError(f"{self.index}: cannot be read ({error.strerror or error})") from error
        except (KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
            raise ValueError(f"{self.index}: not a whole index of a ticket") from error
        except ValueError as error:
            raise ValueError(f"{self.index}: {error}") from error
        self._check_shards()

    def shards(self) -> list[str]:
        """Return the names of its files, the index apart."""
        return sorted(set(self._weight_map.values()))

    def to(self, device: torch.device) -> Self:
        """Compute there from now on."""
        self.device = device
        return self

    def all_blocks(self) -> list[Block]:
        """Return the blocks of outputs of all layers, in order."""
        return self._blocks

    def mask(self, block: Block) -> BoolArray:
        """Return the mask of a block, shape (outputs, edges to each).

        Raises
        ------
        ValueError
            When its shard is damaged.
        """
        edges = self.settings.layers[block.layer].mask_shape[1]
        try:
            return unpacked(self._tensor(block.tensor), (block.last - block.first, edges))
        except _ShardError:
            raise
        except ValueError as error:
            name = self._weight_map[block.tensor]
            raise ValueError(f"{self.folder / name}: {block.tensor}: {error}") from error

    def blocks(self, index: int, *, weights: bool = True) -> Iterator[tuple[int, PrunedLayer]]:
        """Yield a layer block by block, see `milp_lth.edges.Blocks`."""
        drawn = self.settings.layers[index]

        def made(block: Block) -> PrunedLayer:
            mask = self.mask(block)
            return drawn.pruned(mask, self.dtype, first=block.first, weights=weights)

        wanted = [block for block in self._blocks if block.layer == index]
        with ThreadPoolExecutor(1) as pool:  # the next block is drawn while one is looked at
            ahead = pool.submit(made, wanted[0])
            for block, following in zip(wanted, [*wanted[1:], None], strict=True):
                layer = ahead.result()
                if following is not None:
                    ahead = pool.submit(made, following)
                yield block.first, layer.to(self.device)

    def __call__(self, x: torch.Tensor, on_block: OnBlock | None = None) -> torch.Tensor:
        """Map a batch of inputs to outputs, as the target does; all in one pass over the shards."""
        layers = iter(range(len(self.settings.layers)))
        for step in self.settings.body.steps:
            if step == LINEAR:
                x = self._layer(next(layers), x, on_block)
            else:
                x = build_modules([step], [])[0](x)
        return x

    def edges(self) -> dict[str, int | float]:
        """Count edges as `Ticket.edges` does."""
        return count_edges(self)

    def whole(self) -> Ticket:
        """Return the ticket with all of its weights in memory."""
        masks = [
            np.concatenate([self.mask(block) for block in self._blocks if block.layer == k])
            for k in range(len(self.settings.layers))
        ]
        return Ticket(self.settings, masks, self.dtype)

    def _layer(self, index: int, x: torch.Tensor, on_block: OnBlock | None) -> torch.Tensor:
        result = x.new_empty(*x.shape[:-1], self.settings.layers[index].num_outputs)
        for first, layer in self.blocks(index):
            if on_block is not None:
                on_block(index, first, layer)
            batch = max(1, _BATCH_NUMBERS // layer.num_hidden)
            last = first + len(layer.v_mask)
            for part, place in zip(torch.split(x, batch), torch.split(result, batch), strict=True):
                place[..., first:last] = layer(part)
        return result

    def _tensor(self, name: str) -> Any:
        """Read a tensor; its file is open no longer than that."""
        path = self.folder / self._weight_map[name]
        with _opened(path) as file:
            return file.get_tensor(name)

    def _check_shards(self) -> None:
        """Look whether every shard is whole and holds what the index says, no more and no less."""
        for name in self.shards():
            expected = {tensor for tensor, file in self._weight_map.items() if file == name}
            with _opened(self.folder / name) as file:
                if set(file.keys()) != expected:
                    raise _ShardError(f"{self.folder / name}: does not hold what the index says")


class _ShardError(ValueError):
    """What is wrong with a shard, its path included."""


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a shard; what is wrong with it is a `_ShardError`."""
    try:
        size_of(path)  # what is missing, or no file, says so itself
        with safetensors.safe_open(path, framework="numpy") as file:
            yield file
    except OSError as error:
        raise _ShardError(f"{path}: cannot be read ({error.strerror or error})") from error
    except safetensors.SafetensorError as error:
        raise _ShardError(f"{path}: not a whole shard") from error
