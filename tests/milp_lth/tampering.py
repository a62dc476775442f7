"""Forgers of a certified run: each changes one thing at random, and may seal the folder again."""

import copy
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from instances.files import write_atomically
from milp_lth.certificates.certificate_file import CERTIFICATES, read_certificates
from milp_lth.certificates.certifying import digests_of
from milp_lth.certificates.checking import check_certificates
from milp_lth.execution import execute, write_report
from milp_lth.ledger import FILE, Chunk, Ledger
from milp_lth.run import REPORT, SETTINGS, TICKET, Run, sha256
from milp_lth.run_creation import create_run
from milp_lth.run_settings import RunSettings
from milp_lth.run_target import TARGET
from milp_lth.ticket import Ticket
from milp_lth.ticket_files import load_ticket, save_ticket, ticket_stated
from solvers.solution import Solution
from solvers.solve import solve

Forger = Callable[[Path, np.random.Generator], str]
"""Changes something in a folder; says what."""

# what nothing but a digest could tell: times, versions, and what only weakens a claim
_SEALED_ALONE = {"about", "asked", "boxes"}
_FIGURES = ("target", "edges", "status", "within_tolerance", "weights", "layers", "widths")


def flip_bit(name: str) -> Forger:
    """Flips one bit of a file."""

    def forge(folder: Path, rng: np.random.Generator) -> str:
        before = (folder / name).read_bytes()
        content = bytearray(before)
        while _says_the_same(name, before, bytes(content)):
            place, bit = int(rng.integers(len(content))), int(rng.integers(8))
            content[place] ^= 1 << bit
        (folder / name).write_bytes(content)
        return f"{name}: bit {bit} of byte {place}"

    return forge


def flip_ticket_bit(folder: Path, rng: np.random.Generator) -> str:
    """Flips a bit of the ticket's file that is not about an edge of a unit without an input."""
    path = folder / TICKET
    honest, before = load_ticket(path), path.read_bytes()
    while True:
        said = flip_bit(TICKET)(folder, rng)
        try:
            forged = load_ticket(path)
        except ValueError:
            return said
        if _told(forged) != _told(honest):
            return said
        path.write_bytes(before)


def change_value(name: str) -> Forger:
    """Changes one value of a JSON file, to the last bit."""

    def forge(folder: Path, rng: np.random.Generator) -> str:
        return _change(folder / name, rng, set(), _any_bit)

    return forge


def change_claim(folder: Path, rng: np.random.Generator) -> str:
    """Changes a value of a certificate by as much as matters; its meaning can be refuted."""
    return _change(folder / CERTIFICATES, rng, _SEALED_ALONE, _by_a_share)


def change_structure(folder: Path, rng: np.random.Generator) -> str:
    """Removes, repeats or swaps certificates."""
    path = folder / CERTIFICATES
    stated = json.loads(path.read_text())
    rows = stated["rows"]
    i, j = rng.choice(len(rows), 2, replace=False)
    what = str(rng.choice(["remove", "repeat", "swap", "add", "section", "file"]))
    if what == "remove":
        del rows[i]
    elif what == "repeat":
        rows.insert(i, rows[i])
    elif what == "swap":
        rows[i], rows[j] = rows[j], rows[i]
    elif what == "add":
        rows[i]["proved"] = True
    elif what == "section":
        what = str(rng.choice(sorted(stated)))
        del stated[what]
    path.write_text(json.dumps(stated))
    if what == "file":
        path.unlink()
    return f"{CERTIFICATES}: {what} {i} {j}"


def change_record(folder: Path, rng: np.random.Generator) -> str:
    """Flips one bit of the recorded masks, errors or statuses."""
    run = Run(folder)
    part = int(rng.integers(len(run.reduction.parts)))
    column = str(rng.choice(["mask", "error", "status"]))
    with sqlite3.connect(folder / FILE) as connection:
        where = "where part = ? and start = 0"
        (blob,) = connection.execute(f"select {column} from chunks {where}", (part,)).fetchone()
        content = bytearray(blob)
        num_bits = 8 * len(content)
        if column == "mask":  # the last byte may have more
            num_bits = int(np.prod(run.reduction.parts[part].shape))
        k = int(rng.integers(num_bits))
        content[k // 8] ^= 128 >> k % 8
        connection.execute(f"update chunks set {column} = ? {where}", (bytes(content), part))
    connection.close()
    return f"{FILE}: bit {k} of {column}, part {part}"


def change_figure(folder: Path, rng: np.random.Generator) -> str:
    """Changes a recorded accuracy, count or error."""
    name = str(rng.choice(_FIGURES))
    with Ledger(folder) as ledger:
        figures = ledger.figures()
        value = {name: figures[name]}
        path, old, new = _changed(value, rng, _by_a_share)
        ledger.put_figures(value)
    return f"{FILE}: {path} from {old!r} to {new!r}"


def prefer_another_mask(folder: Path, rng: np.random.Generator) -> str:
    """Keeps other edges for one weight, and makes all records agree with that.

    Only that the mask is optimal is then false: errors, bounds, figures, ticket, report and digests
    are what they would be if the solver had answered so.
    """
    run = Run(folder)
    place = int(rng.integers(len(run.reduction.parts)))
    part = run.reduction.parts[place]
    instance = part.instance()
    honest = solve(instance, "mitm")
    row = int(rng.integers(len(part)))
    usable = np.arange(instance.num_candidates)
    if instance.available is not None:
        usable = np.flatnonzero(instance.available[row])
    mask = honest.mask.copy()
    mask[row, rng.choice(usable)] ^= True
    objective, violation = instance.evaluate(mask)
    fields = {**honest.__dict__, "mask": mask, "objective": objective, "violation": violation,
              "error": objective, "bound": objective}  # fmt: skip
    with Ledger(folder) as ledger:
        ledger.put(Chunk.of(place, 0, len(part), Solution(**fields)))
    with Ledger(folder) as ledger:
        ticket = run.assemble(ledger)
        save_ticket(ticket, folder / TICKET)
        ledger.put_figures(run.figures(ledger, run.evaluate(ticket)))
        write_report(run, ledger, ticket)
    return f"another mask for part {place}, row {row}"


def seal(folder: Path) -> None:
    """Make every digest fit what now lies there, as a careful forger would."""
    path, settings = folder / CERTIFICATES, json.loads((folder / SETTINGS).read_text())
    settings["target"]["sha256"] = sha256(folder / TARGET)
    (folder / SETTINGS).write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n")
    run = Run(folder)
    with Ledger(folder) as ledger:
        digests = run.digests(ledger)
        if path.exists():
            stated = json.loads(path.read_text())
            if "about" in stated:
                stated["about"] = digests_of(run, ledger)
            write_atomically(path, (json.dumps(stated, indent=1) + "\n").encode())
            digests[CERTIFICATES] = sha256(path)
        ledger.put_figures({"digests": digests})


def small_run(folder: Path) -> Path:
    """Finish a run of a network so small that its worst input is found at once."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    torch.save(net.state_dict(), folder / "net.pt")
    settings = RunSettings(target=str(folder / "net.pt"), width=(16, 10))
    execute(Run(create_run(settings, folder / "run")))
    return folder / "run"


def whole_ticket(run: Run) -> Ticket:
    ticket = run.load_ticket()
    assert isinstance(ticket, Ticket)
    return ticket


def checked_again(folder: Path) -> list[str]:
    """Check the certificates alone, programs included."""
    run, said = Run(folder), read_certificates(folder)
    assert said is not None
    with Ledger(folder) as ledger:
        return list(check_certificates(run, ledger, whole_ticket(run), said, every_row=True))


def stated(folder: Path) -> Any:
    return json.loads((folder / CERTIFICATES).read_text())


CARELESS: dict[str, Forger] = {
    "a bit of the certificates": flip_bit(CERTIFICATES),
    "a value of the certificates": change_value(CERTIFICATES),
    "the certificates' structure": change_structure,
    "a bit of the ticket": flip_bit(TICKET),
    "a bit of the target": flip_bit(TARGET),
    "a bit of the report": flip_bit(REPORT),
    "a value of the settings": change_value(SETTINGS),
    "a bit of the records": change_record,
    "a figure": change_figure,
}
"""Forgers who leave the digests alone."""

CAREFUL: dict[str, Forger] = {
    "a claim of the certificates, sealed": change_claim,
    "a bit of the ticket, sealed": flip_ticket_bit,
    "a bit of the target, sealed": flip_bit(TARGET),
    "a bit of the records, sealed": change_record,
    "a figure, sealed": change_figure,
    "another mask, sealed": prefer_another_mask,
}
"""Forgers who seal the folder again: only the mathematics is left."""


def forge(folder: Path, name: str, rng: np.random.Generator) -> str:
    """Let the forger of that name change something, and say what it was."""
    if name in CARELESS:
        return CARELESS[name](folder, rng)
    said = CAREFUL[name](folder, rng)
    try:
        seal(folder)
    except (ValueError, KeyError):
        return f"{said} (cannot be sealed)"  # what is there now cannot even be read
    return said


def _change(
    path: Path,
    rng: np.random.Generator,
    without: set[str],
    change: Callable[[float, np.random.Generator], float],
) -> str:
    stated = json.loads(path.read_text())
    sections = {name: value for name, value in stated.items() if name not in without}
    name = str(rng.choice(sorted(name for name, value in sections.items() if _leaves(value))))
    chosen = {name: copy.deepcopy(stated[name])}
    where, old, new = _changed(chosen, rng, change)
    path.write_text(json.dumps(stated | chosen, indent=1, ensure_ascii=False) + "\n")
    return f"{path.name}: {where} from {old!r} to {new!r}"


def _changed(
    value: Any, rng: np.random.Generator, change: Callable[[float, np.random.Generator], float]
) -> tuple[str, Any, Any]:
    """Change one value in place; return where it is, what it was, and what it is."""
    leaves = _leaves(value)
    *way, last = leaves[int(rng.integers(len(leaves)))]
    holder = value
    for step in way:
        holder = holder[step]
    old = holder[last]
    new = old
    while json.dumps(new) == json.dumps(old):
        if isinstance(old, bool):
            new = not old
        elif isinstance(old, int):
            new = old + int(rng.choice([-10, -1, 1, 10, 100]))
        elif isinstance(old, float):
            new = change(old, rng)
        elif isinstance(old, str) and old:
            k = int(rng.integers(len(old)))
            new = old[:k] + str(rng.choice(list("0123456789abcdefXYZ"))) + old[k + 1 :]
        else:
            new = int(rng.integers(1, 10))
    holder[last] = new
    return ".".join(map(str, [*way, last])), old, new


def _says_the_same(name: str, one: bytes, two: bytes) -> bool:
    """Whether two contents differ in nothing but how numbers are written."""
    if not name.endswith(".json"):
        return one == two
    try:
        return bool(json.loads(one) == json.loads(two))
    except ValueError:
        return False


def _told(ticket: Ticket) -> tuple[object, ...]:
    """Return all that a ticket is."""
    numbers = {name: tensor.tolist() for name, tensor in ticket.state_dict().items()}
    return ticket_stated(ticket.settings, ticket.dtype), numbers


def _leaves(value: Any) -> list[list[Any]]:
    """List the way to every single value."""
    if isinstance(value, dict):
        return [[name, *way] for name, inner in value.items() for way in _leaves(inner)]
    if isinstance(value, list):
        return [[k, *way] for k, inner in enumerate(value) for way in _leaves(inner)]
    return [[]]


def _any_bit(number: float, rng: np.random.Generator) -> float:
    bits = np.array([number]).view(np.uint64) ^ np.uint64(1 << int(rng.integers(64)))
    return float(bits.view(np.float64)[0])


def _by_a_share(number: float, rng: np.random.Generator) -> float:
    share = float(rng.choice([-1.0, 1.0]) * 10 ** -rng.uniform(0, 5))
    return number * (1 + share) if number else abs(share)
