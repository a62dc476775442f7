"""Checking a run: everything it claims is computed again, trusting no solver and no record."""

import math
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from milp_lth.assembly import ticket_settings
from milp_lth.certificates.certificate_file import CERTIFICATES, read_certificates
from milp_lth.certificates.checking import check_certificates
from milp_lth.certificates.claims import count_claims, sampled_claims
from milp_lth.coupled import DataAware
from milp_lth.coupled_check import check_coupling
from milp_lth.ledger import DIGESTS, Chunk, ContradictionError, Ledger
from milp_lth.recorded_masks import RecordedMasks
from milp_lth.run import TICKET, Run, sha256
from milp_lth.run_target import TARGET
from milp_lth.sharded_ticket import ShardedTicket
from milp_lth.shards import shards_in
from milp_lth.ticket import Ticket
from solvers.registry import get_solver
from solvers.solution import Status, derive_status
from solvers.solve import solve

SAMPLE = 8
"""Rows whose claim of optimality is proved again, unless all are asked for."""

SECONDS_PER_PROOF = 60.0

_LOGIT_TOLERANCE = 1e-5  # float32 arithmetic may differ from machine to machine by this, relatively

OnRow = Callable[[int, int], None]
"""Called with the rows proved again and the rows that will be."""


def check_run(
    folder: str | os.PathLike[str],
    *,
    every_row: bool = False,
    on_row: OnRow | None = None,
    module: str | None = None,
) -> list[str]:
    """Recompute every claim of a run and return what does not hold; nothing: all is verified.

    Source and ticket are rebuilt from the seed and the masks; every recorded error, objective,
    status, count, agreement and accuracy is computed again and compared; the claims of optimality
    and infeasibility are proved again by a second method, for a sample of rows or for all. So is
    every certificate, where the folder has any; see `milp_lth.certificates.checking`.

    Parameters
    ----------
    folder
        The run's folder.
    every_row
        Whether to prove every row again rather than 8 of them, and worst inputs and boxes.
    on_row
        Told of the progress of the proofs.
    module
        The class of the run's target, where it has one of its own; see `milp_lth.run.Run`.

    Returns
    -------
    list
        The problems, a line each.

    Raises
    ------
    ValueError
        When something in the folder is missing or cannot be read.
    """
    run = Run(folder, module)
    certificates = read_certificates(run.folder)
    with Ledger(run.folder) as ledger:
        ticket = run.load_ticket()
        problems = [*_check_inputs(run), *_check_ticket(run, ledger, ticket)]
        if not problems:
            problems += _check_rows(run, ledger)
        if not problems:
            problems += _check_figures(run, ledger, ticket)
            problems += check_coupling(run, ledger)
            problems += _check_proofs(run, ledger, every_row, on_row)
        if not problems and certificates is not None:
            problems += check_certificates(
                run, ledger, ticket, certificates, every_row=every_row, on_certificate=on_row
            )
        problems += _check_digests(run, ledger)
    return problems


def _check_inputs(run: Run) -> Iterator[str]:
    recorded = run.stated["data"].get("digest")
    if run.data.digest() != recorded:
        yield f"the data {run.data.name!r} are not those the run was evaluated on"
    if run.stated["data"].get("num_inputs") != len(run.data.x):
        yield "the recorded number of inputs is not that of the data"
    if isinstance(run.settings.coupling(), DataAware):
        described = run.stated.get("calibration")
        known = described.get("digest") if isinstance(described, dict) else None
        if run.calibration().digest() != known:
            yield "the calibration inputs are not those the run looked at"


def _check_ticket(run: Run, ledger: Ledger, ticket: Ticket | ShardedTicket) -> Iterator[str]:
    settings, wanted = ticket.settings, ticket_settings(run.reduction)
    for field in ("source", "assignment", "input_range", "body"):
        mine, theirs = getattr(settings, field), getattr(wanted, field)
        if field == "body":
            mine, theirs = mine.stated(), theirs.stated()
        if mine != theirs:
            yield f"the ticket's {field} is not the one the run asked for"
    if len(settings.layers) != len(wanted.layers):
        yield "the ticket has another number of layers than the target"
        return
    try:
        if isinstance(ticket, Ticket):
            yield from _check_whole(ticket, run.assemble(ledger))
        else:
            yield from _check_shards(ticket, run, RecordedMasks(run.reduction, ledger))
    except ContradictionError as error:
        yield str(error)


def _check_whole(ticket: Ticket, expected: Ticket) -> Iterator[str]:
    for k, (one, two) in enumerate(zip(ticket.layers, expected.layers, strict=True)):
        mine, theirs = one.state_dict(), two.state_dict()
        for name in mine:
            same = mine[name].shape == theirs[name].shape and bool(
                (mine[name] == theirs[name]).all()
            )
            if not same or mine[name].dtype != theirs[name].dtype:
                yield f"layer {k} of the ticket: its {name} is not what seed and records give"


def _check_shards(ticket: ShardedTicket, run: Run, masks: RecordedMasks) -> Iterator[str]:
    for name in sorted({TICKET, *shards_in(run.folder)} - set(ticket.shards())):
        if (run.folder / name).exists():
            yield f"{name} is no part of the ticket"
    for k, (one, layout) in enumerate(
        zip(ticket.settings.layers, run.reduction.layers, strict=True)
    ):
        mine = one.stated() | {name: array.tolist() for name, array in one.arrays().items()}
        theirs = layout.drawn.stated()
        theirs |= {name: array.tolist() for name, array in layout.drawn.arrays().items()}
        for name in mine:
            if mine[name] != theirs[name]:
                yield f"layer {k} of the ticket: its {name} is not what seed and target give"
                return
        if ticket.dtype != one.weight_dtype(run.network.dtype):
            yield f"layer {k} of the ticket: its weights are {ticket.dtype}"
    for block in ticket.all_blocks():
        if not np.array_equal(ticket.mask(block), masks.block(*block)):
            yield f"the ticket's {block.tensor} is not what seed and records give"


def _check_rows(run: Run, ledger: Ledger) -> Iterator[str]:
    """Judge every recorded mask again. The ticket's masks are known to be the recorded ones."""
    for chunk in ledger.chunks():
        if chunk.abs_gap or chunk.rel_gap:  # a gap would make any mask optimal
            yield f"part {chunk.part}, row {chunk.start}: a gap is recorded, and runs allow none"
            continue
        part = run.reduction.parts[chunk.part]
        instance = part.instance(chunk.start, chunk.stop)
        mask = chunk.mask(instance.num_candidates)
        objective, violation, error = instance.verdict(mask)
        status, bound = derive_status(instance, objective, violation, chunk.bound)
        computed: dict[str, tuple[Any, Any]] = {
            "error": (error, chunk.error),
            "objective": (objective, chunk.objective),
            "bound": (bound, chunk.bound),
            "status": (status, chunk.status),
        }
        for name, (true, recorded) in computed.items():
            wrong = np.flatnonzero(true != recorded)
            if len(wrong):
                row = chunk.start + int(wrong[0])
                yield (
                    f"{part.name}, row {row}: the recorded {name} is {recorded[wrong[0]]}, "
                    f"but it is {true[wrong[0]]}" + _and_more(len(wrong))
                )


def _check_figures(run: Run, ledger: Ledger, ticket: Ticket | ShardedTicket) -> Iterator[str]:
    recorded = ledger.figures()
    evaluation = run.evaluate(ticket)
    slack = _LOGIT_TOLERANCE * max(1.0, evaluation.max_logit)
    for name, true in run.figures(ledger, evaluation).items():
        if name not in recorded:
            yield f"the figure {name} is not recorded"
            continue
        for where, a, b in _leaves(name, true, recorded[name]):
            measured = where.startswith(("ticket.", "beside.")) and "_error" in where
            measured |= where.startswith("ticket.") and where.endswith("logit")
            if a != b and not (measured and _close(a, b, slack)):
                yield f"the recorded {where} is {b}, but it is {a}"


def _check_proofs(run: Run, ledger: Ledger, every_row: bool, on_row: OnRow | None) -> Iterator[str]:
    num_claims, done = count_claims(ledger), 0
    num_proofs = num_claims if every_row else min(SAMPLE, num_claims)
    for chunk, claims in sampled_claims(ledger, run.settings.seed, None if every_row else SAMPLE):
        for r in claims:
            yield from _prove_again(run, chunk, int(r))
            done += 1
            if on_row is not None:
                on_row(done, num_proofs)


def _prove_again(run: Run, chunk: Chunk, r: int) -> Iterator[str]:
    part = run.reduction.parts[chunk.part]
    row = chunk.start + r
    instance = part.instance(row, row + 1)
    second = get_solver("cp-sat" if chunk.solver == "mitm" else "mitm")
    if not second.supports(instance):
        second = get_solver("cp-sat")
    solution = solve(instance, second, time_limit=SECONDS_PER_PROOF)
    claimed, found = Status(chunk.status[r]), Status(solution.status[0])
    if claimed == Status.INFEASIBLE:
        if found in (Status.OPTIMAL, Status.FEASIBLE):
            yield f"{part.name}, row {row}: claimed infeasible, but {solution.solver} found a mask"
        return
    better = found in (Status.OPTIMAL, Status.FEASIBLE) and (
        float(solution.objective[0]) < float(chunk.objective[r])
    )
    if better or found == Status.INFEASIBLE:
        yield (
            f"{part.name}, row {row}: claimed optimal at {chunk.objective[r]}, "
            f"but {solution.solver} found {solution.objective[0]} ({found.name})"
        )


def _check_digests(run: Run, ledger: Ledger) -> Iterator[str]:
    recorded = ledger.figures().get(DIGESTS)
    if not isinstance(recorded, dict):
        yield "the digests of the run's files are not recorded"
        return
    found, certificates = run.digests(ledger), run.folder / CERTIFICATES
    if certificates.exists():
        found[CERTIFICATES] = sha256(certificates)
    elif CERTIFICATES in recorded:
        yield f"{CERTIFICATES} was removed: milp-lth certify {run.folder}"
    for name, digest in found.items():
        if recorded.get(name) != digest:
            yield f"{name} was changed after the run"
    if run.stated["target"].get("sha256") != recorded.get(TARGET):
        yield "the target is not the one the run was made for"


def _leaves(where: str, true: Any, recorded: Any) -> Iterator[tuple[str, Any, Any]]:
    """Pair the single values of two figures, however nested."""
    if isinstance(true, dict) and isinstance(recorded, dict):
        for name in {**true, **recorded}:
            yield from _leaves(f"{where}.{name}", true.get(name), recorded.get(name))
    elif isinstance(true, list) and isinstance(recorded, list) and len(true) == len(recorded):
        for k, (a, b) in enumerate(zip(true, recorded, strict=True)):
            yield from _leaves(f"{where}[{k}]", a, b)
    else:
        yield where, true, recorded


def _close(a: Any, b: Any, slack: float) -> bool:
    return (
        isinstance(a, float) and isinstance(b, float) and math.isfinite(b) and abs(a - b) <= slack
    )


def _and_more(count: int) -> str:
    return f" (and {count - 1} more)" if count > 1 else ""
