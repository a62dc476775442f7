"""All certificates of a run, made from what lies in its folder."""

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from instances.subset_sum import SubsetSum
from milp_lth.certificates.certificate_file import CERTIFICATES, write_certificates
from milp_lth.certificates.claims import count_claims, sampled_claims
from milp_lth.certificates.classes import agreement_on_box
from milp_lth.certificates.optimality import certify_optimality, refuted
from milp_lth.certificates.propagation import propagated_bound
from milp_lth.certificates.worst_case import REL_GAP, worst_case
from milp_lth.ledger import DIGESTS, ContradictionError, Ledger
from milp_lth.run import REPORT, Run, sha256
from milp_lth.sharded_ticket import ShardedTicket
from milp_lth.ticket import Ticket
from solvers.solution import Status

if TYPE_CHECKING:
    from instances.instance import Instance

SAMPLE = 64
"""Rows whose optimality is certified, unless all are asked for."""

INPUTS = 10
"""Held-out inputs around which classes are certified, unless another number is asked for."""

_STATED_TOGETHER = 1024  # rows whose candidates are drawn in one go
_NOTHING = 1e-280  # what is proved of equal networks, roundings counted
_IN_SHARDS = "a ticket in shards is never in memory as a whole: its outputs are not bounded"

OnCertificate = Callable[[int, int], None]
"""Called with the certificates that are done and those that will be."""


@dataclass(frozen=True)
class Asked:
    """Which certificates are asked for, see `certify_run`; there are no `inputs` without a radius.

    Raises
    ------
    ValueError
        When a number is out of range.
    """

    rows: int | None = SAMPLE
    exact: bool = False
    radius: float | None = None
    inputs: int = INPUTS

    def __post_init__(self) -> None:
        if self.rows is not None and self.rows < 0:
            raise ValueError(f"{self.rows} rows: give 0 or more")
        if self.radius is not None and not (self.radius >= 0 and math.isfinite(self.radius)):
            raise ValueError(f"radius {self.radius}: give a finite number that is not negative")
        if self.radius is None:
            object.__setattr__(self, "inputs", 0)
        elif self.inputs < 1:
            raise ValueError(f"{self.inputs} inputs: give 1 or more")

    @classmethod
    def read(cls, stated: Any) -> Self:
        """Return what a file says was asked.

        Raises
        ------
        ValueError
            When it says nothing of the kind.
        """
        kinds: dict[str, tuple[type, ...]] = {
            "rows": (int, type(None)),
            "exact": (bool,),
            "radius": (float, type(None)),
            "inputs": (int,),
        }
        if not isinstance(stated, dict) or stated.keys() != kinds.keys():
            raise ValueError("what was asked is not said")
        if any(type(stated[name]) not in known for name, known in kinds.items()):
            raise ValueError("what was asked is said in other words")
        return cls(**stated)


def certify_run(
    folder: str | os.PathLike[str],
    *,
    rows: int | None = SAMPLE,
    exact: bool = False,
    radius: float | None = None,
    inputs: int = INPUTS,
    time_limit: float = 60.0,
    module: str | None = None,
    on_certificate: OnCertificate | None = None,
) -> dict[str, Any]:
    """Prove what can be proved of a finished run, and write it to ``certificates.json``.

    Of the weights their exact errors, of the outputs a bound for all inputs, and of the rows that
    no subset does better; where asked for the worst input, and whether all inputs near held-out
    ones keep their class. `milp_lth.verification.check_run` proves the file again.

    Parameters
    ----------
    folder
        The run's folder.
    rows
        How many of the rows of which something is claimed, chosen by the run's seed; None: all.
    exact
        Whether the worst input is sought.
    radius
        The half width of boxes around held-out inputs on which the classes of ticket and target are
        compared; None: no boxes.
    inputs
        How many boxes: around the first inputs.
    time_limit
        Seconds for the worst input, and for every box.
    module
        The class of the run's target, where it has one of its own; see `milp_lth.run.Run`.
    on_certificate
        Told of the progress.

    Returns
    -------
    dict
        What the file says. What cannot be proved of such a target has the one key ``missing``,
        which says why.

    Raises
    ------
    ContradictionError
        When a claim of the run is refuted; nothing is written then.
    ValueError
        When a number is out of range, the run is not finished, or a file of it is missing, damaged,
        or not what it was.
    """
    if not time_limit > 0:
        raise ValueError(f"time limit {time_limit}: give a number of seconds above 0")
    asked = Asked(rows, exact, None if radius is None else float(radius), inputs)
    run = Run(folder, module)
    with Ledger(run.folder) as ledger:
        digests = ledger.figures().get(DIGESTS)
        if not isinstance(digests, dict):
            raise ValueError(f"{run.folder}: not finished: milp-lth resume {run.folder}")
        about = digests_of(run, ledger)
        for name, digest in about.items():
            if digests.get(name) != digest:
                raise ValueError(
                    f"{run.folder}: {name} was changed after the run: milp-lth check {run.folder}"
                )
        stated = {"about": about, "asked": asdict(asked)}
        stated |= _proved(run, ledger, asked, time_limit, on_certificate)
        path = write_certificates(run.folder, stated)
        # only the file's own digest: a change elsewhere must still be found by check
        ledger.put_figures({DIGESTS: digests | {CERTIFICATES: sha256(path)}})
    return stated


def _proved(
    run: Run,
    ledger: Ledger,
    asked: Asked,
    time_limit: float,
    on_certificate: OnCertificate | None,
) -> dict[str, Any]:
    """Make all certificates: those of rows first, since a false claim ends it all."""
    ticket = run.load_ticket()
    num_boxes = min(asked.inputs, len(run.data.x))
    claimed = count_claims(ledger)
    num_rows = claimed if asked.rows is None else min(asked.rows, claimed)
    total = num_rows + num_boxes + asked.exact + 1
    done = 0

    def one_more() -> None:
        nonlocal done
        done += 1
        if on_certificate is not None:
            on_certificate(done, total)

    rows: list[dict[str, Any]] = []
    for row, problem in rows_stated(run, ledger, asked.rows):
        if problem is not None:
            raise ContradictionError(problem)
        rows.append(row)
        one_more()
    proved: dict[str, Any] = {"outputs": outputs_stated(run, ticket)}
    one_more()
    if asked.exact:
        bound = proved["outputs"].get("bound", math.inf)
        proved["worst_case"] = worst_case_stated(run, ticket, bound, time_limit)
        one_more()
    if asked.radius is not None:
        proved["boxes"] = []
        for k in range(num_boxes):
            proved["boxes"].append(box_stated(run, ticket, k, asked.radius, time_limit))
            one_more()
    return proved | {"num_claims": claimed, "rows": rows}


def digests_of(run: Run, ledger: Ledger) -> dict[str, str]:
    """Return the SHA-256 of all that certificates are about: the report may be written again."""
    return {name: d for name, d in run.digests(ledger).items() if name != REPORT}


def outputs_stated(run: Run, ticket: Ticket | ShardedTicket) -> dict[str, Any]:
    """Return what is proved of all weights and outputs, or why nothing is."""
    if isinstance(ticket, ShardedTicket):
        return {"missing": _IN_SHARDS}
    try:
        found = propagated_bound(run.network.module(), ticket)
    except ValueError as error:
        return {"missing": str(error)}
    return {
        "bound": float(found.bound),
        "two_norm": float(found.two_norm),
        "per_output": found.per_output.tolist(),
        "method": found.method,
        "domain": found.domain,
        "layers": [
            {name: v if name == "name" else float(v) for name, v in layer._asdict().items()}
            for layer in found.layers
        ],
    }


def worst_case_stated(
    run: Run, ticket: Ticket | ShardedTicket, bound: float, time_limit: float
) -> dict[str, Any]:
    """Return the input on which ticket and target are furthest apart, or why it is not known.

    `bound` is what is proved already: where time runs out, the search may know less.
    """
    if isinstance(ticket, ShardedTicket):
        return {"missing": _IN_SHARDS}
    try:
        found = worst_case(run.network.module(), ticket, time_limit=time_limit)
    except ValueError as error:
        return {"missing": str(error)}
    lower, upper = float(found.lower), min(float(found.upper), bound)
    return {
        "lower": lower,
        "upper": upper,
        "exact": is_exact(lower, upper),
        "output": int(found.output),
        "input": found.input.tolist(),
    }


def is_exact(lower: float, upper: float) -> bool:
    """Whether two bounds are one number but for the gap that the search ends at."""
    return upper <= max((1 + REL_GAP) * lower, _NOTHING)


def box_stated(
    run: Run, ticket: Ticket | ShardedTicket, k: int, radius: float, time_limit: float
) -> dict[str, Any]:
    """Return whether both networks give inputs near a held-out one the same class, or why not."""
    if isinstance(ticket, ShardedTicket):
        return {"missing": _IN_SHARDS}
    center = run.data.x[k].double().flatten().numpy()
    try:
        found = agreement_on_box(
            run.network.module(), ticket, center, radius, time_limit=time_limit
        )
    except ValueError as error:
        return {"missing": str(error)}
    against = found.counterexample
    return {
        "status": found.status,
        "counterexample": None if against is None else against.tolist(),
        "classes": None if found.classes is None else list(found.classes),
    }


def rows_stated(
    run: Run, ledger: Ledger, size: int | None
) -> Iterator[tuple[dict[str, Any], str | None]]:
    """Yield a certificate for each row of a sample, and what it says against the run's claim."""
    for chunk, claimed in sampled_claims(ledger, run.settings.seed, size):
        part = run.reduction.parts[chunk.part]
        masks = chunk.mask(part.shape[1])
        for begin in range(0, len(masks), _STATED_TOGETHER):
            rows = claimed[(claimed >= begin) & (claimed < begin + _STATED_TOGETHER)]
            if len(rows) == 0:
                continue
            first = int(rows[0])
            instance: Instance = part.instance(chunk.start + first, chunk.start + int(rows[-1]) + 1)
            for r in rows.tolist():
                status, objective = Status(chunk.status[r]), float(chunk.objective[r])
                stated = {"part": chunk.part, "row": chunk.start + r, "status": status.name}
                if not isinstance(instance, SubsetSum):
                    yield stated | {"missing": "its candidates may move: not a plain sum"}, None
                    continue
                try:
                    found = certify_optimality(instance, r - first, masks[r])
                except ValueError as error:
                    yield stated | {"missing": str(error)}, None
                    continue
                gap = max(chunk.abs_gap, chunk.rel_gap * abs(objective))
                problem = refuted(found, status, objective, gap)
                if problem is not None:
                    problem = f"{part.name}, row {stated['row']}: {problem}"
                yield stated | asdict(found) | {"tables": list(found.tables)}, problem
