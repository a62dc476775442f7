"""Rows made ready on a device while those before them are worked on."""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from instances.subset_sum import SubsetSum
from solvers.heuristic.rows import Rows

if TYPE_CHECKING:
    import torch


class SideStream:
    """A CUDA stream beside the one that is worked on."""

    def __init__(self, device: "torch.device") -> None:
        import torch

        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def running(self) -> AbstractContextManager[None]:
        """Let what is begun inside run on this stream; nobody waits for it."""
        import torch

        return torch.cuda.stream(self._stream)

    def hand_over(self, rows: Rows) -> None:
        """Let the present stream wait for all that was begun here, and use `rows` from now on."""
        import torch

        present = torch.cuda.current_stream(self._device)
        present.wait_stream(self._stream)
        for tensor in (rows.a, rows.target, rows.free, rows.unit):
            tensor.record_stream(present)  # memory is not used again before that is done with it


def side_stream(device: "torch.device") -> SideStream | None:
    """Return a stream beside the present one, where the device has streams."""
    return SideStream(device) if device.type == "cuda" else None


class LookAhead:
    """The rows of an instance on a device, range after range.

    Parameters
    ----------
    instance
        The rows.
    device
        Where they are wanted.
    side
        Where they are made ready; None: on the spot, when they are asked for.
    """

    def __init__(
        self, instance: SubsetSum, device: "torch.device", side: SideStream | None
    ) -> None:
        self._instance, self._device, self._side = instance, device, side
        self._ready: tuple[int, int, Rows] | None = None

    def take(self, first: int, stop: int) -> Rows:
        """Return the rows from `first` to before `stop`, for the present stream."""
        ready, self._ready = self._ready, None
        if ready is not None and ready[:2] == (first, stop):
            rows = ready[2]
        else:
            del ready  # another range: its memory is needed
            rows = self._load(first, stop)
        if self._side is not None:
            self._side.hand_over(rows)
        return rows

    def prepare(self, first: int, stop: int) -> None:
        """Begin with rows that will be taken next, if there are any and there is a side stream.

        To be called before the rows at hand are worked on, and after they are taken: a stream that
        takes rows waits for all that was begun until then.
        """
        stop = min(stop, len(self._instance))
        if self._side is not None and first < stop:
            self._ready = first, stop, self._load(first, stop)

    def forget(self) -> None:
        """Let go of what was prepared."""
        self._ready = None

    def _load(self, first: int, stop: int) -> Rows:
        part = self._instance.part(first, stop)
        if self._side is None:
            return Rows.load(part, self._device)
        with self._side.running():
            return Rows.load(part, self._device)
