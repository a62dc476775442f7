"""Elastic tickets: one that was found in a network is carried over to a deeper or shallower one.

Chen, Cheng, Wang, Gan, Liu and Wang, "The Elastic Lottery Ticket Hypothesis", NeurIPS 2021, arXiv
2103.16547. Blocks are copied or dropped, and of each the weights to go back to and the mask alike;
no mask is searched in the other network. In a fully connected network a block is a matrix; the
first one and the output layer are carried over once, whatever becomes of those between them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from instances.philox import Stream, uniform
from milp_lth.rivals.checkpoint import checkpoint_in
from milp_lth.rivals.edge_popup import top_mask
from milp_lth.rivals.floor import DENSE_SCHEDULE
from milp_lth.rivals.found import Found
from milp_lth.rivals.masked import masked_layers
from milp_lth.rivals.random_network import Shape, random_network
from milp_lth.rivals.rewinding import imp, later, rewound_epoch
from milp_lth.rivals.task import Task
from milp_lth.rivals.training import OnEpoch, Trained, train

MASKS = ("transferred", "random")

ORDERS = ("append", "interpolate")

_NUM_BLOCKS = {"fc2": 1, "fc3": 2, "fc4": 3}
_ENTRY = re.compile(r"(\d+):(\d+(?:,\d+)*)")
_ORDER = 21  # matrix of streams that nothing else draws


@dataclass(frozen=True)
class BlockMapping:
    """Which block of the source every block of the target is a copy of.

    Parameters
    ----------
    sources
        The source block of target block 0, 1, and so on. Block 0, the input layer, is a copy of
        block 0, and no other one is.

    Raises
    ------
    ValueError
        When that is not so.

    Examples
    --------
    >>> str(BlockMapping((0, 1, 1)))
    '0:0;1:1,2'
    """

    sources: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.sources[:1] != (0,) or 0 in self.sources[1:]:
            raise ValueError(
                f"target blocks from {self.sources}: block 0 is the input layer, give 0:0 and "
                "nothing else to or from it"
            )
        if min(self.sources) < 0:
            raise ValueError(f"target blocks from {self.sources}: give blocks from 0 on")

    def __str__(self) -> str:
        targets: dict[int, list[str]] = {source: [] for source in sorted(set(self.sources))}
        for target, source in enumerate(self.sources):
            targets[source].append(str(target))
        return ";".join(f"{source}:{','.join(copies)}" for source, copies in targets.items())

    def undone(self) -> "BlockMapping":
        """Return the mapping back, which takes of every block the first copy.

        Raises
        ------
        ValueError
            When a block was dropped.
        """
        needed = range(max(self.sources) + 1)
        missing = sorted(set(needed) - set(self.sources))
        if missing:
            raise ValueError(f"mapping {self} drops block {missing[0]}: keep it, to go back")
        return BlockMapping(tuple(self.sources.index(source) for source in needed))


def parse_mapping(text: str) -> BlockMapping:
    """Read a mapping as the paper's code states it: ``source:target,target;…``.

    Parameters
    ----------
    text
        Such as "0:0;1:1,2", where block 1 is copied to blocks 1 and 2. Source blocks that are not
        there are dropped.

    Raises
    ------
    ValueError
        When the text is none, a source is there twice, target blocks are not 0, 1, … with each
        there once, or the input layer is touched.

    Examples
    --------
    >>> parse_mapping("0:0;1:1,2").sources
    (0, 1, 1)
    """
    sources: dict[int, int] = {}
    seen: set[int] = set()
    for entry in text.split(";"):
        match = _ENTRY.fullmatch(entry.strip())
        if match is None:
            raise ValueError(
                f"mapping {text!r}: {entry!r} is no source:target,target; give one such as "
                "0:0;1:1,2"
            )
        source = int(match[1])
        if source in seen:
            raise ValueError(f"mapping {text!r}: give all targets of block {source} in one place")
        seen.add(source)
        for target in map(int, match[2].split(",")):
            if target in sources:
                raise ValueError(f"mapping {text!r}: give target block {target} one source, not 2")
            sources[target] = source
    missing = sorted(set(range(max(sources) + 1)) - set(sources))
    if missing:
        raise ValueError(f"mapping {text!r}: give target block {missing[0]} a source, too")
    return BlockMapping(tuple(sources[target] for target in sorted(sources)))


def stretch_mapping(num_source: int, num_target: int, order: str = "append") -> BlockMapping:
    """Return a mapping to more blocks: all but the first are copied, earlier ones more often.

    The paper found that many blocks copied a few times serve better than the reverse, and earlier
    blocks better than later ones.

    Parameters
    ----------
    num_source, num_target
        Blocks, the input layer being one of them and the output layer none.
    order
        "append": B0 B1 B2 B1 B2. "interpolate": B0 B1 B1 B2 B2.

    Raises
    ------
    ValueError
        When the order is unknown, the target has fewer blocks, or there is nothing to copy.

    Examples
    --------
    >>> str(stretch_mapping(3, 5)), str(stretch_mapping(3, 5, "interpolate"))
    ('0:0;1:1,3;2:2,4', '0:0;1:1,2;2:3,4')
    """
    if order not in ORDERS:
        raise ValueError(f"unknown order {order!r}: choose {' or '.join(ORDERS)}")
    if not 1 <= num_source <= num_target:
        raise ValueError(
            f"{num_source} blocks to {num_target}: to stretch, give no fewer target blocks than "
            "source blocks, and 1 or more"
        )
    if num_source == 1 < num_target:
        raise ValueError("one block, the input layer, which is not copied: give a deeper one")
    copies = [1 + target % (num_source - 1) for target in range(num_target - 1)]
    return BlockMapping((0, *(copies if order == "append" else sorted(copies))))


def squeeze_mapping(num_source: int, num_target: int) -> BlockMapping:
    """Return a mapping to fewer blocks: the last ones are dropped, since early ones matter more.

    Raises
    ------
    ValueError
        When the target has more blocks.

    Examples
    --------
    >>> str(squeeze_mapping(3, 2))
    '0:0;1:1'
    """
    if not 1 <= num_target <= num_source:
        raise ValueError(
            f"{num_source} blocks to {num_target}: to squeeze, give no more target blocks than "
            "source blocks, and 1 or more"
        )
    return BlockMapping(tuple(range(num_target)))


def transferred(matrices: Sequence[torch.Tensor], mapping: BlockMapping) -> list[torch.Tensor]:
    """Copy the blocks of a network for another one; weights and masks alike.

    Parameters
    ----------
    matrices
        The weights, or the masks, of all layers from the inputs on; the last is that of the output
        layer, which is no block.
    mapping
        Of its blocks.

    Returns
    -------
    list of torch.Tensor
        Those of the other network: its blocks, then the output layer.

    Raises
    ------
    ValueError
        When there is no such source block.
    """
    *blocks, output = matrices
    if max(mapping.sources) >= len(blocks):
        raise ValueError(
            f"mapping {mapping}: the source has blocks 0 to {len(blocks) - 1}, "
            f"not {max(mapping.sources)}"
        )
    return [*(blocks[source].clone() for source in mapping.sources), output.clone()]


def elastic(
    task: Task,
    shape: Shape,
    *,
    density: float,
    seed: int,
    source: str = "fc3",
    mapping: str | None = None,
    mask: str = "transferred",
    rewind: float = 0.0,
    share: float = 0.2,
    scale: float = 1.0,
    device: str = "cpu",
    on_epoch: OnEpoch | None = None,
    checkpoints: Path | None = None,
) -> Found:
    """Find a ticket by iterative magnitude pruning, carry it over to a shape, and train it there.

    Parameters
    ----------
    task, seed, rewind, share, scale, device, on_epoch, checkpoints
        As for `milp_lth.rivals.rewinding.imp`, which finds the ticket.
    shape
        Of the target; fully connected.
    density
        Of the ticket in the source. Every block keeps its own; that of the whole target differs by
        what copied or dropped blocks are denser or sparser than the rest.
    source
        Name of the shape that the ticket is found in; as wide as the target.
    mapping
        As for `parse_mapping`; None: that of `stretch_mapping` or `squeeze_mapping`.
    mask
        "transferred", or "random": as many edges of every layer, anywhere, to compare with.

    Returns
    -------
    Found
        The target under its mask, trained. Its examples are also those of the source;
        ``extra["source_density"]`` is that of the ticket in the source.

    Raises
    ------
    ValueError
        When a number is out of range, a shape is not fully connected, or the mapping does not fit.
    """
    carried, origin = _checked(shape, source, mapping, mask)
    first, last = rewound_epoch(rewind, scale), DENSE_SCHEDULE.scaled(scale)

    def with_more(epoch: int, num_epochs: int) -> None:
        if on_epoch is not None:
            on_epoch(epoch, num_epochs + last - first)

    ticket = imp(
        task, origin, density=density, seed=seed, rewind=rewind, share=share, scale=scale,
        device=device, on_epoch=with_more, checkpoints=checkpoints,
    )  # fmt: skip
    early = random_network(origin, seed, trainable=True)
    again = train(
        early, task, DENSE_SCHEDULE, seed=seed, scale=scale, device=device, epochs=range(first),
        checkpoint=checkpoint_in(checkpoints, "rewound"),
    )  # fmt: skip
    network = random_network(shape, seed, trainable=True)
    layers = dict(masked_layers(network))
    weights = transferred(_weights(early), carried)
    for layer, weight in zip(layers.values(), weights, strict=True):
        layer.weight.data = weight
    kept = transferred(list(ticket.masks.values()), carried)
    masks = {f"{name}.weight": part for name, part in zip(layers, kept, strict=True)}
    if mask == "random":
        masks = random_mask_like(masks, seed)
    for layer, kept_edges in zip(layers.values(), masks.values(), strict=True):
        layer.mask = kept_edges
    done = ticket.examples // len(task.train.x)
    name = "-".join(map(str, carried.sources))
    trained = train(
        network, task, DENSE_SCHEDULE, seed=seed, scale=scale, device=device,
        epochs=range(first, last), on_epoch=later(on_epoch, done, done + last - first),
        checkpoint=checkpoint_in(checkpoints, f"{mask}-{ticket.kept}-{name}"),
    )  # fmt: skip
    curve = tuple(p._replace(examples=ticket.examples + p.examples) for p in trained.curve)
    seconds = ticket.search_seconds + again.seconds + trained.seconds
    whole = Trained(ticket.examples + trained.examples, seconds, curve)
    return whole.found(network, "weights", {"source_density": ticket.kept / ticket.source_dense})


def random_mask_like(masks: Mapping[str, torch.Tensor], seed: int) -> dict[str, torch.Tensor]:
    """Return masks that keep as many edges of every layer, drawn at random."""
    found = {}
    for index, (name, mask) in enumerate(masks.items()):
        counters = np.arange(mask.numel()).reshape(mask.shape)
        order = torch.tensor(uniform(Stream(seed, index, _ORDER), counters))
        kept = int(mask.sum())
        found[name] = top_mask(order, kept) if kept else torch.zeros_like(mask)
    return found


def _checked(
    shape: Shape, source: str, mapping: str | None, mask: str
) -> tuple[BlockMapping, Shape]:
    """Return the mapping and the source's shape."""
    for name in (shape.name, source):
        if name not in _NUM_BLOCKS:
            raise ValueError(f"shape {name!r}: choose one of {', '.join(_NUM_BLOCKS)}")
    if mask not in MASKS:
        raise ValueError(f"unknown mask {mask!r}: choose {' or '.join(MASKS)}")
    before, after = _NUM_BLOCKS[source], _NUM_BLOCKS[shape.name]
    if mapping is not None:
        carried = parse_mapping(mapping)
    elif before <= after:
        carried = stretch_mapping(before, after)
    else:
        carried = squeeze_mapping(before, after)
    if len(carried.sources) != after or max(carried.sources) >= before:
        raise ValueError(
            f"mapping {carried}: {source} has blocks 0 to {before - 1}, "
            f"{shape.name} needs blocks 0 to {after - 1}"
        )
    return carried, Shape(source, shape.num_features, shape.num_classes, shape.num_hidden)


def _weights(network: nn.Module) -> list[torch.Tensor]:
    return [layer.weight.detach() for _, layer in masked_layers(network)]
