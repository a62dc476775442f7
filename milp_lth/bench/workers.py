"""What more workers bring: the same chunks here, and by Dask workers of one thread each."""

import hashlib
import logging
import math
import time
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any

import numpy as np
import torch

from instances.philox import Stream, uniform
from milp_lth.bench.batches import NUM_CANDIDATES
from milp_lth.bench.row import Row
from milp_lth.bench.timing import OnProgress
from milp_lth.cluster import open_cluster
from milp_lth.ledger import Chunk
from milp_lth.network import Network
from milp_lth.networks.layer import LinearLayer
from milp_lth.networks.row import LINEAR
from milp_lth.networks.row import Row as Layers
from milp_lth.reduction import Reduction, reduce
from milp_lth.solving import solve_chunks, solve_rows
from milp_lth.source import Source
from solvers.registry import get_solver

CHUNK_ROWS = 120_000
"""Rows of a chunk: more than a second of work."""
_INPUTS = 1000
_SPEED_BAR, _OVERHEAD_BAR = 1.7, 5.0  # two workers against one; per cent


def worker_rows(
    numbers: Sequence[int], num_chunks: int, seed: int, on_progress: OnProgress
) -> list[Row]:
    """Measure closest sums of 21 candidates, here in one thread and by `numbers` of workers.

    Parameters
    ----------
    numbers
        Of workers, each a process of one thread on this machine.
    num_chunks
        Chunks of 120,000 weights each.
    seed
        Determines the weights and the random network.
    on_progress
        Is told of every measurement.

    Raises
    ------
    ImportError
        When Dask is not installed.
    ValueError
        When a number is below 1.
    """
    if not numbers or min(numbers) < 1 or num_chunks < 1:
        raise ValueError("give whole numbers of workers and chunks from 1 up, as in 1,2")
    try:
        distributed: Any = import_module("distributed")
    except ImportError as error:
        raise ImportError(
            "bench workers needs dask.distributed: pip install 'milp_lth[cluster]'"
        ) from error
    reduction = _reduction(num_chunks, seed)
    solver = get_solver("mitm", threads=1)
    list(solve_chunks(_reduction(1, seed), solver, chunk_rows=CHUNK_ROWS))  # compiled, warm
    began = time.perf_counter()
    here = _digest(  # not by `solve_chunks`: it draws in a thread of its own
        solve_rows(reduction.parts[p], p, start, stop, solver, math.inf)
        for p, start, stop in reduction.chunks(CHUNK_ROWS)
    )
    alone = time.perf_counter() - began
    chunk = alone / num_chunks
    rows = [Row("here, one thread", alone, "s", note=f"{num_chunks} chunks of {chunk:.2f} s")]
    on_progress(1, len(numbers) + 1)
    seconds: dict[int, float] = {}
    same = True
    for count in sorted(set(numbers)):
        with (
            distributed.LocalCluster(
                n_workers=count,
                threads_per_worker=1,
                processes=True,
                dashboard_address=None,
                silence_logs=logging.CRITICAL,
            ) as cluster,
            open_cluster(cluster.scheduler_address) as executor,
        ):
            warm = _reduction(2 * count, seed)
            list(solve_chunks(warm, executor=executor, chunk_rows=CHUNK_ROWS))
            began = time.perf_counter()
            found = _digest(solve_chunks(reduction, executor=executor, chunk_rows=CHUNK_ROWS))
            seconds[count] = time.perf_counter() - began
        same &= found == here
        rows.append(Row(f"{count} worker{'s' * (count > 1)}", seconds[count], "s"))
        on_progress(len(rows), len(numbers) + 1)
    note = "the same masks by all" if same else "MASKS DIFFER"
    if 1 in seconds:
        overhead = 100 * (seconds[1] / alone - 1)
        rows.append(Row("one worker / here: overhead", overhead, "%", _OVERHEAD_BAR, note=note))
        for count in sorted(set(seconds) - {1}):
            bar = _SPEED_BAR if count == 2 else None
            ratio = seconds[1] / seconds[count]
            name = f"{count} workers / one: speed"
            rows.append(Row(name, ratio, "×", bar, True, note=note, more={"same": same}))
    return rows


def _reduction(num_chunks: int, seed: int) -> Reduction:
    """Pose a layer of so many chunks of weights, each with 21 edges of its own."""
    outputs = num_chunks * CHUNK_ROWS // _INPUTS
    weight = uniform(Stream(seed, matrix=2), np.arange(outputs * _INPUTS)).reshape(outputs, _INPUTS)
    network = Network(Layers((LINEAR,)), (LinearLayer("0", weight, None),), torch.float64)
    source = Source(seed=seed, width=NUM_CANDIDATES, construction="direct")
    return reduce(network, source, input_range=(0.0, 1.0))


def _digest(chunks: Iterable[Chunk]) -> str:
    """Return the SHA-256 of all masks, in order."""
    sha = hashlib.sha256()
    for chunk in sorted(chunks, key=lambda chunk: (chunk.part, chunk.start)):
        sha.update(chunk.packed_mask)
    return sha.hexdigest()
