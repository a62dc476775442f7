"""`check` verifies an honest run and catches every tampering."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.numpy
import torch
from torch import nn

from milp_lth.execution import execute, write_report
from milp_lth.ledger import Chunk, Ledger
from milp_lth.run import REPORT, SETTINGS, TICKET, Run
from milp_lth.run_creation import create_run
from milp_lth.run_settings import RunSettings
from milp_lth.run_target import TARGET
from milp_lth.ticket_files import save_ticket
from milp_lth.verification import check_run
from solvers.solution import Solution
from solvers.solve import solve


def rewrite(path: Path, change: Callable[[dict[str, np.ndarray], dict[str, str]], None]) -> None:
    tensors = {k: v.copy() for k, v in safetensors.numpy.load_file(path).items()}
    with safetensors.safe_open(path, framework="numpy") as file:
        metadata = dict(file.metadata())
    change(tensors, metadata)
    path.write_bytes(safetensors.numpy.save(tensors, metadata))


def change_settings(folder: Path, change: Callable[[dict], None]) -> None:  # type: ignore[type-arg]
    stated = json.loads((folder / SETTINGS).read_text())
    change(stated)
    (folder / SETTINGS).write_text(json.dumps(stated, indent=2, ensure_ascii=False) + "\n")


def sql(folder: Path, statement: str, *values: object) -> None:
    with sqlite3.connect(folder / "results.sqlite") as connection:
        assert connection.execute(statement, values).rowcount == 1
    connection.close()


def change_blob(
    folder: Path, column: str, change: Callable[[np.ndarray], None], dtype: str
) -> None:
    with sqlite3.connect(folder / "results.sqlite") as connection:
        (blob,) = connection.execute(
            # one that is empty repeats the errors
            f"select iif(length({column}), {column}, error) from chunks "
            "where part = 1 and start = 0"
        ).fetchone()
        array = np.frombuffer(blob, dtype).copy()
        change(array)
        connection.execute(
            f"update chunks set {column} = ? where part = 1 and start = 0", (array.tobytes(),)
        )
    connection.close()


def reseal(folder: Path) -> None:
    """Make the digests fit, as a careful forger would, so that only the mathematics is left."""
    change_settings(folder, lambda s: None)
    run = Run(folder)
    with Ledger(folder) as ledger:
        ledger.put_figures({"digests": run.digests(ledger)})


def flip_ticket_bit(folder: Path) -> None:
    def flip(tensors: dict[str, np.ndarray], metadata: dict[str, str]) -> None:
        tensors["0.v_mask"][5] ^= 16

    rewrite(folder / TICKET, flip)


def flip_both_masks(folder: Path) -> None:
    """The same kept edge is dropped from ticket and ledger; errors are left as they were."""
    change_blob(folder, "mask", lambda a: a.__setitem__(3, a[3] ^ 4), "u1")
    run = Run(folder)
    with Ledger(folder) as ledger:
        save_ticket(run.assemble(ledger), folder / TICKET)


def change_target(folder: Path) -> None:
    def nudge(tensors: dict[str, np.ndarray], metadata: dict[str, str]) -> None:
        tensors["1.weight"][1, 2] = np.nextafter(tensors["1.weight"][1, 2], np.float32(9))

    rewrite(folder / TARGET, nudge)


def change_ticket_seed(folder: Path) -> None:
    def change(tensors: dict[str, np.ndarray], metadata: dict[str, str]) -> None:
        metadata["ticket"] = metadata["ticket"].replace('"seed": 0', '"seed": 1')

    rewrite(folder / TICKET, change)


def figure(name: str, old: str, new: str) -> Callable[[Path], None]:
    return lambda folder: sql(
        folder,
        "update figures set value = replace(value, ?, ?) where name = ? and instr(value, ?)",
        *(old, new, name, old),
    )


def change_status(folder: Path) -> None:
    change_blob(folder, "status", lambda a: a.__setitem__(7, 1), "u1")


TAMPERINGS: dict[str, Callable[[Path], None]] = {
    "a bit of the ticket's mask": flip_ticket_bit,
    "a bit of the mask, in ticket and ledger": flip_both_masks,
    "the input a unit keeps": lambda f: rewrite(
        f / TICKET, lambda t, m: t["0.input_of"].__setitem__(3, (t["0.input_of"][3] + 1) % 13)
    ),
    "a weight of the target, by one bit": change_target,
    "the ticket's seed": change_ticket_seed,
    "the run's seed": lambda f: change_settings(f, lambda s: s["settings"].update(seed=1)),
    "the run's width": lambda f: change_settings(f, lambda s: s["settings"].update(width=[15, 10])),
    "the assignment": lambda f: change_settings(
        f, lambda s: s["settings"].update(assignment="block")
    ),
    "the tolerance": lambda f: change_settings(f, lambda s: s["settings"].update(tolerance=1e-9)),
    "the data's digest": lambda f: change_settings(f, lambda s: s["data"].update(digest="0" * 64)),
    "the number of inputs": lambda f: change_settings(f, lambda s: s["data"].update(num_inputs=55)),
    "an accuracy": figure("ticket", '"accuracy": 1.0', '"accuracy": 0.99'),
    "an agreement": figure("ticket", '"agreement": 1.0', '"agreement": 0.98'),
    "a count of edges": figure("edges", '"kept_v": ', '"kept_v": 1'),
    "a count of statuses": figure("status", '"OPTIMAL": ', '"OPTIMAL": 1'),
    "a weight error": figure("weights", '"max_error": 0.', '"max_error": 0.0'),
    "a target accuracy": figure("target", "1.0", "0.5"),
    "a recorded error": lambda f: change_blob(
        f, "error", lambda a: a.__setitem__(4, a[4] / 2), "f8"
    ),
    "a recorded objective": lambda f: change_blob(
        f, "objective", lambda a: a.__setitem__(4, 0.0), "f8"
    ),
    "a recorded bound": lambda f: change_blob(
        f, "bound", lambda a: a.__setitem__(4, a[4] * 2), "f8"
    ),
    "a recorded status": change_status,
    "a gap within which everything is optimal": lambda f: sql(
        f, "update chunks set abs_gap = 1e9 where part = 1 and start = 0"
    ),
}


@pytest.mark.parametrize("careful", [False, True])
@pytest.mark.parametrize("what", TAMPERINGS)
def test_tampering_is_caught(run_copy: Path, what: str, careful: bool) -> None:
    TAMPERINGS[what](run_copy)
    if careful:
        reseal(run_copy)
    assert check_run(run_copy) != []


@pytest.mark.parametrize("name", [SETTINGS, TARGET, TICKET, REPORT])
def test_any_changed_byte_of_a_file_is_caught(run_copy: Path, name: str) -> None:
    path = run_copy / name
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    if name == SETTINGS:  # its end closes the JSON
        with pytest.raises(ValueError, match=name):
            check_run(run_copy)
    else:
        assert check_run(run_copy) != []


def test_seconds_are_sealed_too(run_copy: Path) -> None:
    sql(
        run_copy,
        "update figures set value = '{\"solve\": 0.0, \"total\": 0.0}' where name = 'seconds'",
    )
    assert check_run(run_copy) == ["ledger was changed after the run"]


@pytest.mark.parametrize("name", [SETTINGS, TARGET, TICKET, REPORT, "results.sqlite"])
@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "garbage"])
def test_damaged_files_are_named(run_copy: Path, name: str, damage: str) -> None:
    path = run_copy / name
    content = path.read_bytes()
    path.unlink()
    if damage != "missing":
        damaged = {
            "empty": b"",
            "truncated": content[: len(content) // 3],
            "garbage": b"\x81" * 500,
        }
        path.write_bytes(damaged[damage])
    if name == REPORT and damage != "missing":
        assert check_run(run_copy) == ["report.html was changed after the run"]
    else:
        with pytest.raises(ValueError, match=name):
            check_run(run_copy)


def test_an_honest_run_is_verified_every_row(finished_run: Path, run_copy: Path) -> None:
    shutil.copytree(finished_run, run_copy, dirs_exist_ok=True)
    seen: list[tuple[int, int]] = []
    assert check_run(run_copy, every_row=True, on_row=lambda a, b: seen.append((a, b))) == []
    num_rows = Run(run_copy).reduction.num_rows
    assert seen[-1] == (num_rows, num_rows)


def test_a_false_claim_of_optimality_is_found_by_the_second_method(run_copy: Path) -> None:
    """Mask, objective, error, bound and status agree with each other; only they are not optimal."""
    run = Run(run_copy)
    part = run.reduction.parts[2]
    honest = solve(part.instance(), "mitm")
    mask = honest.mask.copy()
    rows = np.flatnonzero(mask[:, 0])
    mask[:, 0] = False  # drop a kept candidate: still a mask, no longer the best one
    objective, violation = part.instance().evaluate(mask)
    fields = {**honest.__dict__, "mask": mask, "objective": objective, "violation": violation,
              "error": objective, "bound": objective}  # fmt: skip
    with Ledger(run_copy) as ledger:
        ledger.put(Chunk.of(2, 0, len(part), Solution(**fields)))
    with Ledger(run_copy) as ledger:
        ticket = run.assemble(ledger)
        save_ticket(ticket, run_copy / TICKET)
        ledger.put_figures(run.figures(ledger, run.evaluate(ticket)))
        write_report(run, ledger, ticket)
        ledger.put_figures({"digests": run.digests(ledger)})
    problems = check_run(run_copy, every_row=True)
    assert len(problems) == len(rows)
    assert all("claimed optimal" in problem for problem in problems)


def test_infeasible_rows_are_proved_again(tmp_path: Path) -> None:
    settings = RunSettings(target="wine-mlp", width=6, objective="sparsest", tolerance=0.001)
    folder = create_run(settings, tmp_path / "run")
    figures = execute(Run(folder))
    assert figures["status"]["INFEASIBLE"] > 0
    assert check_run(folder) == []


def test_a_large_target_stays_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    torch.save(nn.Sequential(nn.Linear(3, 2)).state_dict(), tmp_path / "net.pt")
    monkeypatch.setattr("milp_lth.run_target.LARGE_TARGET", 10)
    settings = RunSettings(target=str(tmp_path / "net.pt"), width=10)
    folder = create_run(settings, tmp_path / "run")
    execute(Run(folder))
    assert not (folder / TARGET).exists()
    assert check_run(folder) == []
    torch.manual_seed(1)
    torch.save(nn.Sequential(nn.Linear(3, 2)).state_dict(), tmp_path / "net.pt")
    assert check_run(folder) != []
    (tmp_path / "net.pt").unlink()
    with pytest.raises(ValueError, match=r"net\.pt"):
        check_run(folder)


def test_a_finished_run_is_not_sealed_anew(run_copy: Path) -> None:
    figures = execute(Run(run_copy))
    assert figures["out"] == str(run_copy)
    flip_ticket_bit(run_copy)
    execute(Run(run_copy))
    assert check_run(run_copy) != []
