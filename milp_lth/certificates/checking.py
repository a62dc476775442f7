"""Checking a run's certificates: each is proved again, trusting neither file nor maker."""

import copy
import math
from collections.abc import Iterator
from dataclasses import asdict
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from instances.arrays import FloatArray
from milp_lth.certificates.affine import read_pair
from milp_lth.certificates.certificate_file import CERTIFICATES, differences
from milp_lth.certificates.certifying import (
    Asked,
    OnCertificate,
    box_stated,
    digests_of,
    is_exact,
    outputs_stated,
    rows_stated,
    worst_case_stated,
)
from milp_lth.certificates.claims import count_claims
from milp_lth.certificates.classes import PROVED, REFUTED, UNDECIDED
from milp_lth.certificates.exactly import outputs_at, rounded_down
from milp_lth.evaluation import evaluate
from milp_lth.ledger import Ledger
from milp_lth.run import Run
from milp_lth.sharded_ticket import ShardedTicket
from milp_lth.ticket import Ticket

SECONDS_PER_PROGRAM = 60.0
"""What a worst case or a box may take when it is proved again."""

NUM_BOXES = 8
"""The first boxes, on which classes are compared again unless all are asked for."""

ROUNDING = 1e-6
"""By which share a bound may differ from what this machine computes: sums of float64 depend on the
order that a processor likes best, and linear programs have many solutions."""

_WITNESSES = 1000  # held-out inputs, the first ones
_TOLD = 1000  # rows, a fraction of a second, after which progress is told
_FORWARD = 1e-9  # what a forward in float64 may be off by, as a share of the outputs


def check_certificates(
    run: Run,
    ledger: Ledger,
    ticket: Ticket | ShardedTicket,
    stated: dict[str, Any],
    *,
    every_row: bool = False,
    on_certificate: OnCertificate | None = None,
) -> Iterator[str]:
    """Compute every claim of a run's certificates again and yield what does not hold.

    Hashes, counts and errors must come out the same, and bounds to within `ROUNDING`. The
    worst input is evaluated exactly, and so is every input that refutes. That nothing is worse is
    proved again if `every_row`, since it may take as long as it took; that classes agree, on the
    first 8 boxes or on all.

    Parameters
    ----------
    run, ledger, ticket
        What the certificates are about; the ticket is known to be that of the ledger.
    stated
        What `milp_lth.certificates.certificate_file.read_certificates` returned.
    every_row
        Whether the worst input is sought again, and all boxes are searched.
    on_certificate
        Told of the progress through the rows.
    """
    try:
        asked = Asked.read(stated.get("asked"))
        yield from _named(_compared(run, ledger, ticket, stated, asked))
        yield from _named(_check_worst_case(run, ticket, stated, asked, every_row))
        yield from _named(_check_boxes(run, ticket, stated, asked, every_row))
        yield from _named(_check_rows(run, ledger, stated, asked, on_certificate))
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else error
        yield f"{CERTIFICATES} is damaged: {reason}"


def _named(problems: Iterator[str]) -> Iterator[str]:
    for problem in problems:
        yield f"{CERTIFICATES}: {problem}"


def _compared(
    run: Run,
    ledger: Ledger,
    ticket: Ticket | ShardedTicket,
    stated: dict[str, Any],
    asked: Asked,
) -> Iterator[str]:
    """Compare what comes out the same whenever it is computed."""
    sections = {"about", "asked", "outputs", "num_claims", "rows"}
    sections |= {"worst_case"} if asked.exact else set()
    sections |= {"boxes"} if asked.radius is not None else set()
    for name in sorted(sections - stated.keys()):
        yield f"{name} is not recorded"
    for name in sorted(stated.keys() - sections):
        yield f"{name} is recorded, but nothing of that name was asked for"
    yield from differences("about", digests_of(run, ledger), stated["about"])
    yield from differences("asked", asdict(asked), stated["asked"])
    yield from differences("num_claims", count_claims(ledger), stated["num_claims"])
    true, said = outputs_stated(run, ticket), stated["outputs"]
    yield from differences("outputs", true, said, rounding=ROUNDING)
    if "missing" not in true and isinstance(ticket, Ticket):
        errors = ([layer["max_error"] for layer in one["layers"]] for one in (true, said))
        yield from differences("outputs.layers.max_error", *errors)  # exact numbers
        yield from _check_witnesses(run, ticket, said["bound"], "outputs.bound")


def _check_witnesses(run: Run, ticket: Ticket, bound: Any, where: str) -> Iterator[str]:
    """Hold what is said of all inputs against held-out ones, as the networks map them."""
    low, high = ticket.settings.input_range
    x = run.data.x[:_WITNESSES].double()
    within = ((x >= low) & (x <= high)).flatten(1).all(dim=1)
    if bool(within.any()):
        apart, slack = _apart(run, ticket, x[within])
        if apart > _number(bound) + slack:
            yield f"{where} is {bound}, but a held-out input differs by {apart}"


def _apart(run: Run, ticket: Ticket, x: torch.Tensor) -> tuple[float, float]:
    """Return how far outputs are apart by the networks' own forward, and its roundings."""
    target = run.network.module().double()
    found = evaluate(copy.deepcopy(ticket).double(), target, x)
    return found.max_logit_error, _FORWARD * max(1.0, found.max_logit)


def _check_worst_case(
    run: Run,
    ticket: Ticket | ShardedTicket,
    stated: dict[str, Any],
    asked: Asked,
    every_row: bool,
) -> Iterator[str]:
    if not asked.exact:
        return
    said = stated["worst_case"]
    if "missing" in said or isinstance(ticket, ShardedTicket):
        again = worst_case_stated(run, ticket, math.inf, SECONDS_PER_PROGRAM)
        yield from differences("worst_case", again, said)
        return
    lower, upper = _number(said["lower"]), _number(said["upper"])
    if said.keys() != {"lower", "upper", "exact", "output", "input"}:
        yield "worst_case says something else"
    x, output, exact = _input(said["input"]), said["output"], said["exact"]
    low, high = ticket.settings.input_range
    if not ((x >= low) & (x <= high)).all():
        yield f"the worst input is not within {low} to {high}"
    target, mine = _outputs(run, ticket, x)
    if type(output) is not int or not 0 <= output < len(target):
        yield f"the worst input's output {output} does not exist"
        return
    true = rounded_down(abs(target[output] - mine[output]))
    if lower != true:
        yield f"the recorded worst_case.lower is {lower}, but the input differs by {true}"
    apart, slack = _apart(run, ticket, torch.from_numpy(x.reshape(1, *run.data.x.shape[1:])))
    if abs(apart - lower) > slack:
        yield f"worst_case.lower is {lower}, but the networks' outputs differ by {apart}"
    if upper < lower:
        yield f"worst_case.upper is {upper}, below the lower bound {lower}"
    yield from _check_witnesses(run, ticket, upper, "worst_case.upper")
    if upper > _number(stated["outputs"]["bound"]):
        yield f"worst_case.upper is {upper}, above outputs.bound"
    if exact is not is_exact(lower, upper):
        yield f"worst_case.exact is {exact}, but the bounds are {lower} and {upper}"
    if every_row:
        again = worst_case_stated(run, ticket, math.inf, SECONDS_PER_PROGRAM)
        if again["lower"] > upper:
            yield f"worst_case.upper is {upper}, but an input differs by {again['lower']}"
        if again["upper"] < lower:
            yield f"worst_case.lower is {lower}, but {again['upper']} is proved"


def _check_boxes(
    run: Run,
    ticket: Ticket | ShardedTicket,
    stated: dict[str, Any],
    asked: Asked,
    every_row: bool,
) -> Iterator[str]:
    if asked.radius is None:
        return
    boxes, num_boxes = stated["boxes"], min(asked.inputs, len(run.data.x))
    if len(boxes) != num_boxes:
        yield f"boxes has {len(boxes)} entries, but {num_boxes} were asked for"
        return
    for k, said in enumerate(boxes):
        where = f"boxes[{k}]"
        if "missing" in said or isinstance(ticket, ShardedTicket):
            again = box_stated(run, ticket, k, asked.radius, SECONDS_PER_PROGRAM)
            yield from differences(where, again, said)
            continue
        if said.keys() != {"status", "counterexample", "classes"}:
            yield f"{where} says something else"
        status, against = said["status"], said["counterexample"]
        if status not in (PROVED, REFUTED, UNDECIDED):
            yield f"{where} is {status!r}"
        if len({against is None, said["classes"] is None, status != REFUTED}) > 1:
            yield f"{where} is {status}, which does not go with its counterexample"
        elif against is not None:
            yield from _check_against(run, ticket, where, k, asked.radius, said)
        if status == PROVED and (every_row or k < NUM_BOXES):
            again = box_stated(run, ticket, k, asked.radius, SECONDS_PER_PROGRAM)
            if again["status"] == REFUTED:
                yield f"{where} is PROVED, but {again['counterexample']} refutes it"


def _check_against(
    run: Run, ticket: Ticket, where: str, k: int, radius: float, said: dict[str, Any]
) -> Iterator[str]:
    x = _input(said["counterexample"])
    one, two = map(_class, _outputs(run, ticket, x))
    low, high = ticket.settings.input_range
    center = run.data.x[k].double().flatten().numpy()
    least, most = np.maximum(low, center - radius), np.minimum(high, center + radius)
    if not ((x >= least) & (x <= most)).all():
        yield f"{where}: the counterexample is not in the box"
    if one is None or two is None or one == two:
        yield f"{where}: both networks put the counterexample into one class"
    yield from differences(f"{where}.classes", [one, two], said["classes"])


def _check_rows(
    run: Run,
    ledger: Ledger,
    stated: dict[str, Any],
    asked: Asked,
    on_certificate: OnCertificate | None,
) -> Iterator[str]:
    rows, done = stated["rows"], 0
    for true, problem in rows_stated(run, ledger, asked.rows):
        if problem is not None:
            yield problem
        if done < len(rows):
            yield from differences(f"rows[{done}]", true, rows[done])
        done += 1
        if on_certificate is not None and (done % _TOLD == 0 or done == len(rows)):
            on_certificate(done, len(rows))
    if done != len(rows):
        yield f"rows has {len(rows)} entries, but there are {done}"


def _outputs(run: Run, ticket: Ticket, x: FloatArray) -> tuple[list[Fraction], list[Fraction]]:
    """Return the outputs of the target and of the ticket, exactly."""
    pair = read_pair(run.network.module(), ticket)
    if x.shape != (pair.num_inputs,):
        raise ValueError(f"an input has {pair.num_inputs} numbers, not {len(x)}")
    return outputs_at(pair, x)


def _class(outputs: list[Fraction]) -> int | None:
    """Return the largest output, None where several are; of one alone, whether it is above 0."""
    if len(outputs) == 1:
        return int(outputs[0] > 0)
    largest = max(outputs)
    return outputs.index(largest) if outputs.count(largest) == 1 else None


def _number(said: Any) -> float:
    if type(said) is not float:
        raise ValueError(f"{said!r} is no number")
    return said


def _input(said: Any) -> FloatArray:
    if not isinstance(said, list) or not all(type(v) is float for v in said):
        raise ValueError("an input is a list of numbers")
    return np.array(said, np.float64)
