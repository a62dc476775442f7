"""Arbitrary sources as tensors: what heuristics of their masks share."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from instances.arbitrary_source import ArbitrarySource
from instances.arrays import BoolArray
from solvers.heuristic.chunks import rows_at_once
from solvers.solver import OnEvent, Proposal, nothing_known, put_rows

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Networks:
    """The sources of an instance on a device."""

    weights: "list[torch.Tensor]"
    """The layers', each of shape (b, outputs, inputs)."""
    inputs: "torch.Tensor"
    outputs: "torch.Tensor"
    largest: bool
    """Whether the largest error counts or the mean."""
    most: int
    """How many edges may be kept."""

    @classmethod
    def load(cls, instance: ArbitrarySource, device: str) -> "Networks":
        """Copy the sources of `instance` to a torch device; "auto": CUDA where there is one."""
        import torch

        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        n = instance.num_candidates
        return cls(
            [torch.tensor(w, device=device) for w in instance.weights],
            torch.tensor(instance.inputs, device=device),
            torch.tensor(instance.outputs, device=device),
            instance.norm == "inf",
            n if instance.budget is None else min(n, instance.budget),
        )

    @property
    def num_edges(self) -> int:
        """Edges per source."""
        return sum(w[0].numel() for w in self.weights)

    @property
    def device(self) -> "torch.device":
        """Where they are."""
        return self.inputs.device

    def layers(self, edges: "torch.Tensor") -> "list[torch.Tensor]":
        """Split numbers of all edges, shape (…, n), into the layers', (…, outputs, inputs)."""
        import torch

        parts = torch.split(edges, [w[0].numel() for w in self.weights], dim=-1)
        return [
            p.reshape(*p.shape[:-1], *w.shape[1:]) for p, w in zip(parts, self.weights, strict=True)
        ]

    def misses(self, kept: "torch.Tensor") -> "torch.Tensor":
        """Return outputs less what is wanted, shape (b, k, T, o), for masks of shape (b, k, n).

        The masks may be numbers between 0 and 1, and have a gradient.
        """
        h = self.inputs
        for depth, (m, w) in enumerate(zip(self.layers(kept), self.weights, strict=True)):
            h = (h if depth == 0 else h.relu()) @ (m * w[:, None]).transpose(-1, -2)
        return h - self.outputs

    def objectives(self, mask: "torch.Tensor") -> "torch.Tensor":
        """Return the errors of bool masks, shape (b, k); infinite beyond the budget."""
        error = self._error(self.misses(mask.to(self.inputs.dtype)))
        return error.masked_fill(mask.sum(dim=-1) > self.most, float("inf"))

    def objectives_of_flips(self, mask: "torch.Tensor") -> "torch.Tensor":
        """Return what each mask would have with one edge flipped, shape (b, k, n).

        A flip moves one unit: only what comes after it is computed again.
        """
        import torch

        kept = [m * w[:, None] for m, w in zip(self.layers(mask), self.weights, strict=True)]
        flips = [w[:, None] - 2 * k for k, w in zip(kept, self.weights, strict=True)]
        inputs = self.inputs.expand(*mask.shape[:2], *self.inputs.shape)
        sums: list[torch.Tensor] = []
        found = []
        for depth, k in enumerate(kept):
            sums.append((inputs if depth == 0 else sums[-1].relu()) @ k.transpose(-1, -2))
        for depth, flip in enumerate(flips):
            # shapes (b, k, outputs of the layer, its inputs, T): the unit that is moved comes first
            source = inputs if depth == 0 else sums[depth - 1].relu()
            change = flip[..., None] * source.transpose(-1, -2)[:, :, None]
            unit = sums[depth].transpose(-1, -2)[:, :, :, None]
            if depth == len(kept) - 1:
                places = torch.eye(flip.shape[2], dtype=flip.dtype, device=self.device)
                now = sums[depth][:, :, None, None] + change[..., None] * places[:, None, None]
            else:
                moved = (unit + change).relu() - unit.relu()
                after = kept[depth + 1].transpose(-1, -2)[:, :, :, None, None]
                now = sums[depth + 1][:, :, None, None] + moved[..., None] * after
                for k in kept[depth + 2 :]:
                    now = now.relu() @ k.transpose(-1, -2)[:, :, None, None]
            found.append(self._error(now - self.outputs).flatten(2))
        size = mask.sum(dim=-1, keepdim=True) + torch.where(mask, -1, 1)
        return torch.cat(found, dim=2).masked_fill(size > self.most, torch.inf)

    def _error(self, misses: "torch.Tensor") -> "torch.Tensor":
        error = misses.abs()
        return error.amax(dim=(-2, -1)) if self.largest else error.mean(dim=(-2, -1))


def numbers_held(instance: ArbitrarySource, num_masks: int) -> int:
    """Return how many numbers all flips of so many masks of a source take."""
    widest = int(max(w.shape[1] for w in instance.weights))
    return num_masks * instance.num_candidates * len(instance.inputs) * widest


Search = Callable[[Networks, "torch.Tensor | None", float], "torch.Tensor"]
"""Chooses masks, shape (r, n), from where to begin, until a time by `time.monotonic`."""


def propose_in_parts(
    instance: ArbitrarySource,
    time_limit: float,
    search: Search,
    *,
    device: str,
    numbers_per_source: int,
    start: BoolArray | None = None,
    on_event: OnEvent | None = None,
) -> Proposal:
    """Call `search` for so many sources at a time as fit the memory; without bounds.

    Parameters
    ----------
    instance, time_limit, start, on_event
        As for `solvers.solver.Solver.propose`.
    search
        What chooses the masks.
    device
        Where: a torch device; "auto": CUDA where there is one, else the CPU.
    numbers_per_source
        How many numbers `search` holds at a time for each source.
    """
    import torch

    began = time.monotonic()
    deadline = began + time_limit
    whole = nothing_known(instance, start)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    step = rows_at_once(numbers_per_source, torch.device(device))
    for first in range(0, len(instance), step):
        if time.monotonic() > deadline:
            break
        part = instance.part(first, min(first + step, len(instance)))
        given = None if start is None else start[first : first + step]
        proposal = nothing_known(part, given)
        networks = Networks.load(part, device)
        begin = None if given is None else torch.tensor(given, device=networks.device)
        share = len(part) / (len(instance) - first) * (deadline - time.monotonic())
        found = search(networks, begin, time.monotonic() + share).cpu().numpy()
        proposal.mask[:] = _better(part, found, given)
        proposal.reported.status[:] = "done" if time.monotonic() <= deadline else "time limit"
        put_rows(whole, first, proposal)
        if on_event is not None:
            on_event(first, proposal)
    return whole


def _better(instance: ArbitrarySource, mask: BoolArray, given: BoolArray | None) -> BoolArray:
    """Return `mask`, and `given` where that is the better one."""
    if given is None:
        given = np.zeros_like(mask)
    (new, beyond), (old, before) = instance.evaluate(mask), instance.evaluate(given)
    worse = (before < beyond) | ((before == beyond) & (old <= new))
    return np.where(worse[:, None], given, mask)
