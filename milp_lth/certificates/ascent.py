"""A search for inputs on which a ticket is far from its target: from below, nothing is proved."""

from typing import NamedTuple

import numpy as np
import torch

from instances.arrays import FloatArray
from milp_lth.certificates.affine import Pair
from milp_lth.certificates.relaxation import Box
from solvers.heuristic.devices import single_thread

_SHARES = (1.0, 0.5, 0.25, 0.1, 0.03)  # of the coordinates that move together
_STEPS = (0.3, 0.1, 0.03, 0.01)  # of a box's width, once corners are reached
_FLIPPED = 64  # coordinates tried one by one
_NUM_FLIPPED = 4  # starts whose coordinates are
_SMALL = 100_000  # weights: of larger networks fewer things are tried


class Ascent(NamedTuple):
    """The best inputs found, one for each function that was sought to be large."""

    values: FloatArray
    """Shape (m,), in float64."""
    inputs: FloatArray
    """Shape (m, num_inputs)."""


def differences(pair: Pair, x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return f and g − f at inputs, (num_inputs, num_outputs) each, in float64.

    The difference is carried along, not subtracted: it has digits of its own.
    """
    if pair.by_sign:
        x = np.hstack([np.maximum(x, 0.0), np.maximum(-x, 0.0)])
    z, e = x, np.zeros_like(x)
    for k, layer in enumerate(pair.layers):
        if k:
            z, e = _relu(z, e)
        error, bias_error = layer.error[0], layer.bias_error[0]
        e = z @ error.T + e @ layer.ticket.T + bias_error
        z = z @ layer.target.T + layer.target_bias
    return z, e


def _relu(a: FloatArray, d: FloatArray) -> tuple[FloatArray, FloatArray]:
    b = a + d
    both = np.select([(a >= 0) & (b >= 0), a >= 0, b >= 0], [d, -a, b], 0.0)
    return np.maximum(a, 0.0), both


def ascend(
    pair: Pair,
    box: Box,
    on_target: FloatArray,
    on_error: FloatArray,
    *,
    num_starts: int = 64,
    num_rounds: int = 20,
    seed: int = 0,
) -> Ascent:
    """Search a box for inputs at which ``on_target f + on_error (g − f)`` is large.

    Corners first: from random ones each start jumps to the corner that its gradient points to, then
    moves fewer coordinates, then one; at last it takes small steps inwards, since a function with
    ReLUs may be largest inside. No start ever gets worse.

    Parameters
    ----------
    on_target, on_error
        Shape (m, num_outputs): m functions.
    num_starts, num_rounds
        Starts for each function, fewer in large networks, and how often every kind of move is
        tried while it helps.
    seed
        Of the starts.
    """
    search = _Search(pair, box, on_target, on_error)
    m, n = len(on_target), pair.num_inputs
    share_tried = min(1.0, _SMALL / sum(layer.target.size for layer in pair.layers))
    num_starts = max(_NUM_FLIPPED, round(share_tried * num_starts))
    num_flipped = min(n, max(4, round(share_tried * _FLIPPED)))
    generator = torch.Generator().manual_seed(seed)
    share = torch.rand(m, num_starts, 1, generator=generator, dtype=torch.float64)
    draws = torch.rand(m, num_starts, n, generator=generator, dtype=torch.float64)
    with single_thread(), torch.no_grad():
        x = torch.where(draws < share, search.high, search.low)
        x[:, 0] = (search.low + search.high) / 2
        best = search.values(x)
        for share_moved in _SHARES:
            x, best = search.climb(x, best, share_moved, None, num_rounds)
        order = best.argsort(dim=1, descending=True)[:, :_NUM_FLIPPED]
        x = x.gather(1, order[:, :, None].expand(-1, -1, n))
        best = best.gather(1, order)
        for _ in range(num_rounds):
            before = best
            x, best = search.flip(x, best, num_flipped)
            if not bool((best > before).any()):
                break
        for step in _STEPS:
            for share_moved in _SHARES:
                x, best = search.climb(x, best, share_moved, step, num_rounds)
        most = best.argmax(dim=1)
        inputs = x[torch.arange(m), most].numpy()
    target, error = differences(pair, inputs)
    values = (on_target * target + on_error * error).sum(axis=1)
    return Ascent(values, inputs)


class _Search:
    """Batches of inputs (m, starts, num_inputs): those of one row ascend the same function."""

    def __init__(self, pair: Pair, box: Box, on_target: FloatArray, on_error: FloatArray) -> None:
        self.low, self.high = (torch.from_numpy(end.copy()) for end in box)
        self.by_sign = pair.by_sign
        # g − f = on_ticket g + on_own f: what is lost by subtracting does not matter for a search
        self.on_ticket = torch.from_numpy(on_error)
        self.on_own = torch.from_numpy(on_target - on_error)
        self.layers = [
            [
                (torch.from_numpy(weight), torch.from_numpy(bias))
                for weight, bias in (
                    (layer.target, layer.target_bias),
                    (layer.ticket, layer.ticket_bias),
                )
            ]
            for layer in pair.layers
        ]

    def values(self, x: torch.Tensor) -> torch.Tensor:
        """Return the functions at x, shape (m, starts)."""
        own, of_ticket = (self._outputs(x, k)[0] for k in (0, 1))
        return (own * self.on_own[:, None] + of_ticket * self.on_ticket[:, None]).sum(dim=-1)

    def climb(
        self, x: torch.Tensor, best: torch.Tensor, share: float, step: float | None, rounds: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Move the coordinates that promise most, to an end of the box or by a step."""
        count = max(1, round(share * x.shape[-1]))
        for _ in range(rounds):
            gradient = self._gradient(x)
            there = torch.where(gradient > 0, self.high, self.low)
            if step is not None:
                there = x + (there - x).sign() * step * (self.high - self.low)
                there = there.clamp(self.low, self.high)
            gain = gradient * (there - x)
            least = gain.topk(count, dim=-1).values[..., -1:]
            moved = torch.where((gain >= least) & (gain > 0), there, x)
            x, best, helped = self._keep_better(x, best, moved)
            if not helped:
                break
        return x, best

    def flip(
        self, x: torch.Tensor, best: torch.Tensor, count: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Move the one coordinate to the other end that helps most, as tried."""
        gradient = self._gradient(x)
        other = torch.where(x - self.low < self.high - x, self.high, self.low)
        tried = (gradient * (other - x)).topk(count, dim=-1).indices
        found = []
        for k in range(count):
            place = tried[..., k : k + 1]
            found.append(self.values(x.scatter(-1, place, other.gather(-1, place))))
        place = tried.gather(-1, torch.stack(found, dim=-1).argmax(dim=-1, keepdim=True))
        moved = x.scatter(-1, place, other.gather(-1, place))
        x, best, _ = self._keep_better(x, best, moved)
        return x, best

    def _keep_better(
        self, x: torch.Tensor, best: torch.Tensor, moved: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, bool]:
        values = self.values(moved)
        better = values > best
        kept = torch.where(better[..., None], moved, x)
        return kept, torch.where(better, values, best), bool(better.any())

    def _outputs(self, x: torch.Tensor, which: int) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Return the outputs of one network, and which of its neurons are active."""
        if self.by_sign:
            x = torch.cat([x.relu(), (-x).relu()], dim=-1)
        active = []
        for k, layer in enumerate(self.layers):
            if k:
                active.append(x > 0)
                x = x.relu()
            x = torch.nn.functional.linear(x, *layer[which])
        return x, active

    def _gradient(self, x: torch.Tensor) -> torch.Tensor:
        total = torch.zeros_like(x)
        for which, on in ((0, self.on_own), (1, self.on_ticket)):
            _, active = self._outputs(x, which)
            slope = on[:, None].expand(*x.shape[:2], -1)
            for k in reversed(range(len(self.layers))):
                slope = slope @ self.layers[k][which][0]
                if k:
                    slope = slope * active[k - 1]
            if self.by_sign:
                up, down = slope.chunk(2, dim=-1)
                slope = torch.where(x > 0, up, -down)
            total += slope
        return total
