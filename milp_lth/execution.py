"""Carrying a run to its end, from wherever it stands."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from instances.files import write_atomically
from milp_lth.coupled import DataAware
from milp_lth.coupled_solving import solve_coupled
from milp_lth.folders import alone_in
from milp_lth.ledger import DIGESTS, Chunk, Ledger
from milp_lth.report.render import render
from milp_lth.run import REPORT, Run, sha256
from milp_lth.sharded_ticket import ShardedTicket
from milp_lth.solving import CHUNK_ROWS, limit_for, solve_chunks
from milp_lth.ticket import Ticket
from solvers.solve import judged
from solvers.solver import nothing_known

OnProgress = Callable[[int, int, float], None]
"""Called with the rows solved, the rows in all, and the worst error so far."""


def execute(
    run: Run,
    on_progress: OnProgress | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    *,
    executor: Executor | None = None,
    chunk_rows: int | None = None,
) -> dict[str, Any]:
    """Solve what is not solved yet, assemble and evaluate the ticket, write the report.

    A run that is finished is left as it is.

    Parameters
    ----------
    run
        The run.
    on_progress
        Told of the rows solved.
    should_stop
        Asked after every chunk and between the steps that follow; when it says yes,
        KeyboardInterrupt is raised and the folder can be continued later.
    executor
        Where chunks are solved, see `milp_lth.elsewhere`; None: here.
    chunk_rows
        Rows solved and recorded together; None: what suits the solver.

    Returns
    -------
    dict
        The figures, as ``milp-lth run --json`` prints them.

    Raises
    ------
    ValueError
        When another process is at work in the folder, or nothing can be written there.
    """
    clock = _Clock(should_stop)
    with alone_in(run.folder), Ledger(run.folder) as ledger:
        figures = ledger.figures(shown=True)
        if DIGESTS not in figures:
            with clock("draw"):
                if run.settings.coupling() is None:
                    seconds = _solve(run, ledger, executor, chunk_rows, on_progress, should_stop)
                else:
                    seconds = _solve_coupled(run, ledger, on_progress, should_stop)
            with clock("assemble"):
                ticket = run.save_ticket(ledger)
            with clock("evaluate"):
                evaluation = run.evaluate(ticket)
            with clock("widths"):
                figures = run.figures(ledger, evaluation)
            clock.phases["draw"] -= seconds
            figures["seconds"] = {
                "solve": sum(chunk.seconds for chunk in ledger.chunks()),
                "total": run.seconds_to_read + seconds + sum(clock.phases.values()),
                "read": run.seconds_to_read,
                **clock.phases,
            }
            ledger.put_figures(figures)
            write_report(run, ledger, ticket)
            ledger.put_figures({DIGESTS: run.digests(ledger)})
            figures = ledger.figures(shown=True)
    return {k: v for k, v in figures.items() if k != DIGESTS} | {"out": str(run.folder)}


def rewrite_report(run: Run) -> Path:
    """Write ``report.html`` of a finished run again, and record that it was.

    Raises
    ------
    ValueError
        When the run is not finished, or another process is at work in its folder.
    """
    with alone_in(run.folder), Ledger(run.folder) as ledger:
        digests = ledger.figures().get(DIGESTS)
        if digests is None:
            raise ValueError(f"{run.folder}: not finished: milp-lth resume {run.folder}")
        ticket = run.load_ticket() if run.sharded else run.assemble(ledger)
        path = write_report(run, ledger, ticket)
        # only the report's own digest: a change elsewhere must still be found by check
        ledger.put_figures({DIGESTS: digests | {REPORT: sha256(path)}})
    return path


def write_report(run: Run, ledger: Ledger, ticket: Ticket | ShardedTicket) -> Path:
    """Write ``report.html`` from what is recorded."""
    path = run.folder / REPORT
    write_atomically(path, render(run, ledger, ticket).encode())
    return path


class _Clock:
    """How long each phase took, in seconds; none begins once somebody wants to stop."""

    def __init__(self, should_stop: Callable[[], bool]) -> None:
        self.phases: dict[str, float] = {}
        self._should_stop = should_stop

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        if self._should_stop():
            raise KeyboardInterrupt
        began = time.perf_counter()
        yield
        self.phases[phase] = time.perf_counter() - began


def _solve(
    run: Run,
    ledger: Ledger,
    executor: Executor | None,
    chunk_rows: int | None,
    on_progress: OnProgress | None,
    should_stop: Callable[[], bool],
) -> float:
    """Solve and record what is not known; return the seconds that were solving proper."""
    done, worst, seconds = 0, 0.0, 0.0
    for recorded in ledger.chunks():
        done += recorded.stop - recorded.start
        worst = max(worst, float(recorded.error.max()))
    if done and on_progress is not None:
        on_progress(done, run.reduction.num_rows, worst)
    began = time.perf_counter()
    chunks = solve_chunks(
        run.reduction,
        run.settings.make_solver(),
        time_limit=limit_for(run.settings.solver, run.settings.time_limit),
        chunk_rows=chunk_rows or run.settings.chunk_rows(elsewhere=executor is not None),
        done=ledger.done(),
        executor=executor,
    )
    for chunk in chunks:
        ledger.put(chunk)
        done += chunk.stop - chunk.start
        seconds += chunk.seconds
        worst = max(worst, float(chunk.error.max()))
        if on_progress is not None:
            on_progress(done, run.reduction.num_rows, worst)
        if should_stop():
            chunks.close()
            raise KeyboardInterrupt
    return seconds if executor is None else time.perf_counter() - began


def _solve_coupled(
    run: Run, ledger: Ledger, on_progress: OnProgress | None, should_stop: Callable[[], bool]
) -> float:
    """Solve and record all parts; what couples them cannot be taken up in the middle."""
    coupling = run.settings.coupling()
    assert coupling is not None
    calibration = run.calibration().x if isinstance(coupling, DataAware) else None
    done, worst, seconds = 0, 0.0, 0.0
    stated: list[dict[str, Any]] = []
    for solved in solve_coupled(
        run.reduction,
        coupling,
        calibration,
        run.settings.make_solver(),
        time_limit=limit_for(run.settings.solver, run.settings.time_limit),
    ):
        part = run.reduction.parts[solved.part]
        for start in range(0, len(part), CHUNK_ROWS):
            stop = min(start + CHUNK_ROWS, len(part))
            rows = part.instance(start, stop)
            proposal = nothing_known(rows, solved.mask[start:stop])
            share = solved.seconds * (stop - start) / len(part)
            solution = judged(rows, proposal, solved.solver, share)
            ledger.put(Chunk.of(solved.part, start, stop, solution))
            worst = max(worst, float(solution.error.max()))
        done += len(part)
        seconds += solved.seconds
        if solved.stated not in stated:
            stated.append(solved.stated)
        if on_progress is not None:
            on_progress(done, run.reduction.num_rows, worst)
        if should_stop():
            raise KeyboardInterrupt
    ledger.put_figures({"coupling": stated})
    return seconds
