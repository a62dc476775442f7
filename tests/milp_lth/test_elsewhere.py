"""Chunks solved in other processes: the same answers, whatever happens to the workers."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from slow import Slow

from instances.objectives import Sparsest
from milp_lth import Source, elsewhere, reduce
from milp_lth.cli import main as cli
from milp_lth.cluster import ClusterExecutor, open_cluster
from milp_lth.elsewhere import WorkersLostError, solve_elsewhere
from milp_lth.ledger import Chunk
from milp_lth.reduction import Reduction
from milp_lth.solving import solve_chunks, solve_masks
from milp_lth.verification import check_run

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def reduction() -> Reduction:
    torch.manual_seed(0)
    target = torch.nn.Sequential(torch.nn.Linear(12, 10), torch.nn.ReLU(), torch.nn.Linear(10, 6))
    return reduce(target, Source(width=(16, 9)), objective=Sparsest(0.01))


def masks_of(reduction: Reduction, chunks: list[Chunk]) -> list[np.ndarray]:
    assert sum(chunk.stop - chunk.start for chunk in chunks) == reduction.num_rows
    masks = [np.zeros(part.shape, np.bool_) for part in reduction.parts]
    for chunk in chunks:
        chunk.write_to(masks)
    return masks


def same(one: list[np.ndarray], two: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("construction", ["two-layer", "direct", "direct-shared"])
def test_a_part_of_some_rows_states_them_and_is_small(construction: str) -> None:
    import pickle

    target = torch.nn.Linear(30, 400)
    part = reduce(target, Source(width=9, construction=construction)).parts[0]
    inputs = part.half.num_inputs
    for start, stop in ((0, 5), (inputs - 1, inputs + 1), (7 * inputs + 3, 9 * inputs)):
        some = pickle.loads(pickle.dumps(part.of_rows(start, stop)))
        one, two = part.instance(start, stop), some.instance(start, stop)
        assert np.array_equal(one.coefficients, two.coefficients)
        assert np.array_equal(one.targets, two.targets)
    row_bytes = part.layer.weight.itemsize * inputs
    assert (
        len(pickle.dumps(part.of_rows(0, 5 * inputs))) < len(pickle.dumps(part)) - 300 * row_bytes
    )


@pytest.mark.parametrize("chunk_rows", [7, 50, 10_000])
@pytest.mark.parametrize("num_workers", [1, 2, 4])
def test_any_executor_gives_the_same_masks(
    reduction: Reduction, num_workers: int, chunk_rows: int
) -> None:
    with ThreadPoolExecutor(num_workers) as pool:
        chunks = list(solve_chunks(reduction, executor=pool, chunk_rows=chunk_rows))
    assert same(masks_of(reduction, chunks), solve_masks(reduction))
    with ThreadPoolExecutor(num_workers) as pool:  # what is known is left out
        again = list(solve_chunks(reduction, executor=pool, chunk_rows=9,
                                  done={0: [(0, 20), (30, 40)], 2: [(3, 60)]}))  # fmt: skip
    kept = {(c.part, r) for c in again for r in range(c.start, c.stop)}
    assert len(kept) == reduction.num_rows - 20 - 10 - 57
    assert not kept & {(0, 19), (0, 30), (2, 3)}


def test_processes_that_are_started_anew(reduction: Reduction) -> None:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        chunks = list(solve_chunks(reduction, "mitm", executor=pool, chunk_rows=60))
        assert same(masks_of(reduction, chunks), solve_masks(reduction))
        for process in pool._processes.values():
            process.kill()
        with pytest.raises(WorkersLostError, match="are gone .*is recorded"):
            list(solve_chunks(reduction, executor=pool, chunk_rows=60))


def test_one_row_at_a_time_solvers_have_processes_of_their_own() -> None:
    reduction = reduce(torch.nn.Linear(3, 2, bias=False), Source(width=6, construction="direct"))
    before = threading.active_count()
    with ThreadPoolExecutor(2) as pool:
        (one, two) = solve_chunks(reduction, "cp-sat", executor=pool, chunk_rows=3)
        assert {one.solver, two.solver} == {"cp-sat"}
        assert (one.status == 2).all() == (two.status == 2).all()
        (late,) = solve_chunks(reduction, "cp-sat", executor=pool, chunk_rows=6, time_limit=1e-3)
        assert late.stop == 6
    assert same(masks_of(reduction, [one, two]), solve_masks(reduction))
    assert threading.active_count() <= before + 8


class Unreliable(ThreadPoolExecutor):
    """Raises in place of some answers, and keeps others back."""

    def __init__(self, fails: Callable[[int], bool], slow: int = -1) -> None:
        super().__init__(2)
        self.calls, self._fails, self._slow = 0, fails, slow
        self.release = threading.Event()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        number = self.calls
        self.calls += 1

        def call() -> Any:
            if self._fails(number):
                raise OSError("the worker's disk is full")
            if number == self._slow:
                self.release.wait(60)
            return fn(*args, **kwargs)

        return super().submit(call)


def test_what_failed_is_handed_out_again(reduction: Reduction) -> None:
    with Unreliable(lambda number: number % 3 == 0) as pool:
        chunks = list(solve_chunks(reduction, executor=pool, chunk_rows=40))
    assert same(masks_of(reduction, chunks), solve_masks(reduction))
    assert pool.calls > len(chunks)
    with (
        Unreliable(lambda number: True) as pool,
        pytest.raises(WorkersLostError, match="failed 4 times.*disk is full"),
    ):
        list(solve_chunks(reduction, executor=pool, chunk_rows=40))


def test_a_straggler_is_overtaken(reduction: Reduction, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elsewhere, "_SLOW_SECONDS", 0.1)
    monkeypatch.setattr(elsewhere, "_LOOK", 0.05)
    with Unreliable(lambda number: False, slow=1) as pool:
        chunks = list(solve_chunks(reduction, executor=pool, chunk_rows=40))
        pool.release.set()
    assert same(masks_of(reduction, chunks), solve_masks(reduction))
    assert pool.calls == len(chunks) + 1


def test_workers_of_another_version_are_refused(reduction: Reduction) -> None:
    part = reduction.parts[0]
    with pytest.raises(ImportError, match=r"a worker has milp_lth .*install the same"):
        elsewhere._solve("0.0.0", part, 0, 0, 5, None, 1.0)


@contextmanager
def local_cluster(num_workers: int) -> Iterator[Any]:
    with distributed.LocalCluster(
        n_workers=num_workers, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        yield cluster


def pids(log: Path) -> list[int]:
    return [int(line) for line in log.read_text().split()]


def test_a_killed_worker_costs_a_chunk_and_a_late_one_helps(
    reduction: Reduction, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    solver = Slow(str(log), 0.3)
    with local_cluster(2) as cluster, open_cluster(cluster.scheduler_address) as executor:
        assert executor.num_slots() == 2
        running = solve_elsewhere(reduction, reduction.chunks(40), executor, solver)
        chunks = [next(running)]
        os.kill(pids(log)[-1], signal.SIGKILL)  # the nanny starts another one
        chunks += running
        assert same(masks_of(reduction, chunks), solve_masks(reduction))
        begun = pids(log)
        assert len(chunks) <= len(begun) <= len(chunks) + 1
        assert len(set(begun)) >= 2

        log.write_text("")
        running = solve_elsewhere(reduction, reduction.chunks(10), executor, solver)
        chunks = [next(running)]
        cluster.scale(3)
        cluster.wait_for_workers(3, timeout=60)  # meanwhile the others do what they were sent
        with distributed.Client(cluster) as client:  # imports may take longer than all chunks
            client.run(import_module, "milp_lth.elsewhere")
        chunks += running
        assert same(masks_of(reduction, chunks), solve_masks(reduction))
        assert len(set(pids(log))) == 3


def test_mips_go_to_the_workers_that_offer_to_solve_them(reduction: Reduction) -> None:
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None,
        resources={"MIP": 1},
    ) as cluster:  # fmt: skip
        with open_cluster(cluster.scheduler_address, one_by_one=True) as executor:
            assert executor.num_slots() == 1
            few = reduce(torch.nn.Linear(2, 2), Source(width=6, construction="direct"))
            chunks = list(solve_chunks(few, "cp-sat", executor=executor, chunk_rows=2))
            assert same(masks_of(few, chunks), solve_masks(few))
        with open_cluster(cluster.scheduler_address) as executor:
            assert executor.num_slots() == 2


def dask(*arguments: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "dask", *arguments, "--no-dashboard"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def test_a_scheduler_that_goes_away_leaves_a_run_to_resume(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("milp_lth.cluster._CONNECT", 5.0)
    where, out, alone = tmp_path / "scheduler.json", tmp_path / "run", tmp_path / "alone"
    scheduler = dask(
        "scheduler", "--port", "0", "--host", "127.0.0.1", "--scheduler-file", str(where)
    )
    worker = dask("worker", "--scheduler-file", str(where), "--nthreads", "1", "--no-nanny")
    try:
        while not where.exists():
            time.sleep(0.1)
        address = json.loads(where.read_text())["address"]

        def end_soon() -> None:
            while not (out / "results.sqlite").exists():
                time.sleep(0.05)
            time.sleep(1.0)
            scheduler.kill()

        ending = threading.Thread(target=end_soon)
        ending.start()
        code = cli._run(["run", "--scheduler", address, "--chunk-rows", "10", "--out", str(out)])
        ending.join()
        error = capfd.readouterr().err
        assert code == 2
        assert error.startswith("milp-lth: the workers are gone")
        assert f"milp-lth resume {out}" in error
        assert "\n" not in error.strip()
    finally:
        for process in (scheduler, worker):
            process.kill()
            process.wait()
    assert cli._run(["resume", str(out), "--chunk-rows", "300"]) == 0
    assert check_run(out) == []
    assert cli._run(["run", "--out", str(alone)]) == 0
    one, two = ((folder / "ticket.safetensors").read_bytes() for folder in (out, alone))
    assert one == two


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--scheduler", "tcp://127.0.0.1:1"), "no Dask scheduler answers"),
        (("--scheduler", "nowhere"), "no Dask scheduler answers"),
        (("--scheduler", "tcp://127.0.0.1:1", "--objective", "budget", "--budget", "9"),
         "leave out --scheduler"),
        (("--chunk-rows", "0"), "chunk-rows"),
    ],
)  # fmt: skip
def test_bad_schedulers_leave_nothing_behind(
    arguments: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("milp_lth.cluster._CONNECT", 1.0)
    assert cli._run(["run", *arguments, "--out", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert not (tmp_path / "run").exists()


def test_an_executor_that_has_no_workers_to_count() -> None:
    class Bare(Executor):
        pass

    assert elsewhere._num_slots(Bare()) >= 1
    assert issubclass(ClusterExecutor, Executor)
