"""Dask as an executor: chunks solved by the workers of a scheduler, wherever they run."""

import ctypes
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from functools import cache
from importlib import import_module
from typing import Any, TypeVar

MIP_RESOURCE = "MIP"
"""Workers started with ``--resources MIP=1`` get the chunks of one-row-at-a-time solvers."""

_CONNECT = 20.0  # seconds to wait for the scheduler
_FRESH = 1.0  # seconds for which the number of workers is believed

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of malloc.h

T = TypeVar("T")


class ClusterExecutor(Executor):
    """The workers of a Dask client, as `milp_lth.elsewhere` takes them.

    Parameters
    ----------
    client
        A connected `distributed.Client`.
    one_by_one
        Whether chunks are for solvers that take row after row: they go to workers that declare
        the resource MIP, where there are any.
    """

    def __init__(self, client: Any, *, one_by_one: bool = False) -> None:
        self._client = client
        self._one_by_one = one_by_one
        self._resources: dict[str, float] | None = None
        self._known, self._asked = 0, -1.0
        self.num_slots()
        # a chunk whose worker dies is handed out again by the scheduler, too
        self._executor = client.get_executor(pure=False, resources=self._resources)

    def num_slots(self) -> int:
        """Return how many threads the workers have now."""
        if self._asked < 0 or time.monotonic() - self._asked > _FRESH:
            self._asked = time.monotonic()
            with suppress(OSError):  # no scheduler: those who wait for answers will hear of it
                self._known = self._count()
        return self._known

    def _count(self) -> int:
        threads: dict[str, int] = self._client.nthreads()
        if self._one_by_one:
            offered = self._client.run_on_scheduler(_offered, MIP_RESOURCE)
            if offered:
                self._resources = {MIP_RESOURCE: 1.0}
                return int(sum(offered.values()))
        return sum(threads.values())

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":
        """Hand a call to the scheduler."""
        future: Future[T] = self._executor.submit(_on_worker, fn, *args, **kwargs)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let go of the workers, which go on living."""
        self._executor.shutdown(wait=wait)


def _on_worker(fn: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    _keep_memory()
    return fn(*args, **kwargs)


@cache
def _keep_memory() -> None:
    """Let a worker keep what it frees, for its next chunk.

    Dask starts workers with a limit beyond which memory goes back to the system at once; to fetch
    it anew took 15 % of a chunk's time.
    """
    with suppress(OSError, AttributeError):  # another system than Linux, or another allocator
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(_TRIM_THRESHOLD, 2**30)
        libc.mallopt(_MMAP_THRESHOLD, 2**25)


def _offered(resource: str, dask_scheduler: Any = None) -> dict[str, float]:
    """Say, on the scheduler, which workers offer how much of a resource."""
    return {
        address: state.resources[resource]
        for address, state in dask_scheduler.workers.items()
        if state.resources.get(resource)
    }


@contextmanager
def open_cluster(address: str, *, one_by_one: bool = False) -> Iterator[ClusterExecutor]:
    """Connect to the Dask scheduler at `address`.

    Parameters
    ----------
    address
        As ``tcp://127.0.0.1:8786``.
    one_by_one
        Whether calls go to workers that offer the resource MIP, one at a time, where there are
        some: for solvers that take row after row.

    Yields
    ------
    ClusterExecutor
        What `find_ticket` takes as `executor`; it is closed at the end of the block.

    Raises
    ------
    ImportError
        When Dask is not installed.
    ValueError
        When no scheduler answers there.
    """
    try:
        distributed: Any = import_module("distributed")
    except ImportError as error:
        raise ImportError(
            "--scheduler needs dask.distributed: pip install 'milp_lth[cluster]'"
        ) from error
    try:
        client = distributed.Client(address, timeout=_CONNECT, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"no Dask scheduler answers at {address}: start one with dask scheduler, "
            "workers with dask worker ADDRESS"
        ) from error
    log = logging.getLogger("distributed")
    before = log.level
    log.setLevel(logging.CRITICAL)  # what happens to workers is told in our own words
    try:
        yield ClusterExecutor(client, one_by_one=one_by_one)
    finally:
        client.close(timeout=2)
        log.setLevel(before)
