"""The numbers of `instances.philox` drawn by torch, bit for bit, on the CPU and on CUDA devices.

Words of 32 bits lie in the lower half of signed 64-bit integers. Products of two of them wrap
around, which leaves all 64 bits as they should be; a shift to the right brings the sign along, and
a mask takes it away again.
"""

from typing import TYPE_CHECKING

from instances.normal import NUM_SEGMENTS, quantiles
from instances.philox import UNIT_RAW, Stream, num_bits

if TYPE_CHECKING:
    import torch

_MASK = 0xFFFFFFFF
_ROUNDS = 10


def uniform(stream: Stream, counters: "torch.Tensor", *, unit: float = UNIT_RAW) -> "torch.Tensor":
    """Draw what `instances.philox.uniform` does for the same counters.

    Parameters
    ----------
    stream, unit
        As there.
    counters
        Of any shape, int64, on any device.

    Returns
    -------
    torch.Tensor
        float64, shaped like `counters` and on their device.

    Raises
    ------
    ValueError
        When a number is out of range.
    """
    import torch

    w0, w1 = _two_words(stream, counters)
    drawn = ((w0 << 32) | w1) >> (63 - num_bits(unit))
    return drawn.to(torch.float64) * unit


def normal(stream: Stream, counters: "torch.Tensor", *, unit: float = UNIT_RAW) -> "torch.Tensor":
    """Draw what `instances.philox.normal` does; parameters, result and errors as for `uniform`."""
    import torch

    w0, w1 = _two_words(stream, counters)
    table = torch.tensor(quantiles(), device=counters.device)
    tail = ((w0 & 0x7FFFFFFF) << 33) | (w1 << 1)
    octave = _leading_zeros(tail).clamp(max=len(table) - 1)
    tail = tail << octave
    segment = (tail >> 57) & (NUM_SEGMENTS - 1)
    fraction = (tail >> 15) & 0x3FFFFFFFFFF
    near = table[octave, segment]
    step = near - table[octave, segment + 1]
    z = near - ((step * (fraction >> 21) + ((step * (fraction & 0x1FFFFF)) >> 21)) >> 21)
    bits = min(num_bits(unit), 46)
    drawn = torch.where(w0 >> 31 == 1, -z, z) >> (46 - bits)
    return drawn.to(torch.float64) * 2.0**-bits


def _two_words(stream: Stream, counters: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
    """Return the first two of the four words of every counter; the others are not needed."""
    import torch

    key0, key1 = stream.key()
    c0, c1 = counters & _MASK, (counters >> 32) & _MASK
    c2 = c3 = torch.zeros_like(counters)
    for _ in range(_ROUNDS):
        p0, p1 = c0 * 0xD2511F53, c2 * 0xCD9E8D57
        c0 = (p1 >> 32).bitwise_and_(_MASK).bitwise_xor_(c1).bitwise_xor_(key0)
        c2 = (p0 >> 32).bitwise_and_(_MASK).bitwise_xor_(c3).bitwise_xor_(key1)
        c1, c3 = p1.bitwise_and_(_MASK), p0.bitwise_and_(_MASK)
        key0, key1 = (key0 + 0x9E3779B9) & _MASK, (key1 + 0xBB67AE85) & _MASK
    return c0, c1


def _leading_zeros(words: "torch.Tensor") -> "torch.Tensor":
    """Count the zeros before the first one bit of 64; 63 where there is none."""
    import torch

    count = torch.zeros_like(words)
    for half in (32, 16, 8, 4, 2, 1):
        above = (words >> (64 - half)) & ((1 << half) - 1)
        more = (above == 0) * half
        count += more
        words = words << more
    return count
