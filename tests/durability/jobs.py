"""Small commands that write into a folder, and what of it must not depend on interruptions."""

import json
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.numpy

from milp_lth.compare.store import Store
from milp_lth.ledger import DIGESTS, Ledger
from milp_lth.run import Run
from milp_lth.verification import check_run

OUT = "out"
"""The folder that every command here writes."""

_TIMES = {
    "seconds", "core_seconds", "target_seconds", "search_seconds", "start_seconds", "build_seconds",
}  # fmt: skip
"""What is measured by a clock."""


class Job(NamedTuple):
    """A command, how it is continued, and what it found."""

    name: str
    command: str
    again: str
    """The documented command that continues it."""
    results: Callable[[Path], Any]
    """What is in a finished folder, times apart: equal for equal work."""


def _run(folder: Path) -> dict[str, Any]:
    """All rows of the ledger, however they are cut into chunks, the figures, and the files.

    The report states times, so that it is the sealed digest that tells whether it is whole.
    """
    run = Run(folder)
    with Ledger(folder) as ledger:
        rows: dict[str, list[Any]] = {}
        for chunk in ledger.chunks():
            for name in ("objective", "error", "bound", "status"):
                rows.setdefault(f"{chunk.part} {name}", []).extend(getattr(chunk, name).tolist())
            rows.setdefault("claims", []).append((chunk.solver, chunk.abs_gap, chunk.rel_gap))
        masks = [mask.tolist() for mask in run.masks(ledger)]
        figures = {k: v for k, v in ledger.figures().items() if k != DIGESTS}
    rows["claims"] = sorted(set(rows["claims"]))
    names = ("settings.json", "target.safetensors", "ticket.safetensors")
    files = {name: (folder / name).read_bytes() for name in names}
    found = {"rows": rows, "masks": masks, "figures": untimed(figures), "files": files}
    return found | {"wrong": check_run(folder)}


def _rivals(folder: Path) -> dict[str, Any]:
    return {
        "networks": {p.name: p.read_bytes() for p in (folder / "networks").glob("*.safetensors")},
        "measured": {
            p.name: untimed(json.loads(p.read_text())) for p in (folder / "measured").glob("*.json")
        },
    }


def _compare(folder: Path) -> dict[str, Any]:
    with Store(folder) as store:
        runs = [untimed(run._asdict()) for run in store.runs()]
        for run in runs:
            run["trace"] = [improvement[1:] for improvement in run["trace"]]
        return {"runs": repr(runs), "batches": sorted(store.batches())}  # NaN is not NaN


def _times(folder: Path) -> dict[str, Any]:
    times = json.loads((folder / "times.json").read_text())
    return {"times": untimed({k: v for k, v in times.items() if k != "sha256"})}


def _constructions(folder: Path) -> dict[str, Any]:
    """What was measured, and the runs."""
    runs = {path.parent.name: _run(path.parent) for path in folder.glob("*/settings.json")}
    return _times(folder) | runs


def _tables(folder: Path) -> dict[str, Any]:
    """What was measured, and tables and pictures that state no times."""
    names = [*folder.glob("*.md"), *folder.glob("*.svg")]
    return _times(folder) | {path.name: path.read_bytes() for path in names}


def untimed(found: Any) -> Any:
    """Return what was found without what a clock measured."""
    if isinstance(found, dict):
        return {k: untimed(v) for k, v in found.items() if k not in _TIMES}
    return [untimed(one) for one in found] if isinstance(found, list | tuple) else found


def _job(name: str, command: str, results: Callable[[Path], Any], again: str = "") -> Job:
    command = f"{command} --out {OUT}"
    return Job(name, command, again or command, lambda out: {"names": _names(out), **results(out)})


def _names(folder: Path) -> list[str]:
    """All files that are to stay; a database's log is there while it is open."""
    found = (str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in found if not name.endswith(("-wal", "-shm")))


_TRAINING = "--scale 0.02 --device cpu"

JOBS = {
    job.name: job
    for job in (
        _job("run", "run --target wine-mlp --width 8 --chunk-rows 3", _run, f"resume {OUT}"),
        _job("run-cp-sat", "run --target wine-mlp --width 8 --solver cp-sat --chunk-rows 20", _run,
             f"resume {OUT}"),
        _job("run-budget", "run --target wine-mlp --construction direct --width 6 --objective "
             "budget --budget 400", _run, f"resume {OUT}"),
        _job("rivals", "rivals --data wine --seeds 1 --methods random,edge-popup --densities 0.5 "
             + _TRAINING, _rivals),
        _job("compare", "compare --instances uniform-12 --solvers mitm,golden-ratio --rows 8 "
             "--seeds 3", _compare),
        _job("structures", "reproduce structures --shapes fc2 --seeds 1 --hidden 16 "
             "--densities 0.1,0.5 " + _TRAINING, _tables),
        _job("constructions", "reproduce constructions --target wine-mlp --names two-layer "
             "--seeds 1", _constructions),
        _job("planted", "reproduce planted --scale 0.01 --seeds 1 --time-limit 60", _times),
        _job("claims", "reproduce claims --names greedy --seeds 2 --hidden 8 " + _TRAINING, _times),
        _job("phase-transition", "reproduce phase-transition --trials 100", _tables),
    )
}  # fmt: skip


def damaged(folder: Path) -> list[str]:
    """Return the files under a final name that are not whole, and those of no known kind."""
    return [
        f"{path.relative_to(folder)}: {found}"
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".") and (found := _fault(path))
    ]


def _fault(path: Path) -> str:
    content = path.read_bytes()
    try:
        if path.suffix == ".json":
            json.loads(content)
        elif path.suffix == ".safetensors":
            safetensors.numpy.load(content)
        elif path.suffix == ".sqlite":
            return _integrity(path)
        elif path.suffix in (".html", ".svg"):
            assert content.rstrip().endswith(f"</{path.suffix[1:]}>".encode())
        elif path.suffix == ".png":
            assert content.endswith(b"IEND\xaeB`\x82")
        elif path.suffix == ".pdf":
            assert content.rstrip().endswith(b"%%EOF")
        elif path.suffix == ".md":
            assert content.endswith(b"\n")
        elif not path.name.endswith((".sqlite-wal", ".sqlite-shm", ".sqlite-journal")):
            return "of no known kind"
    except Exception as error:
        return repr(error)
    return ""


def _integrity(path: Path) -> str:
    """What SQLite says of a database and its log; of copies, so that both are left as they are."""
    with tempfile.TemporaryDirectory() as folder:
        for beside in path.parent.glob(f"{path.name}*"):
            shutil.copy(beside, folder)
        connection = sqlite3.connect(Path(folder) / path.name)
        try:
            found = connection.execute("pragma integrity_check").fetchone()[0]
        finally:
            connection.close()
    return "" if found == "ok" else str(found)


def same(one: Any, other: Any) -> str:
    """Return where two results differ; empty where they do not."""
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            return f"keys {sorted(one.keys() ^ other.keys())}"
        for key in one:
            if found := same(one[key], other[key]):
                return f"{key}: {found}"
        return ""
    equal = np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other
    return "" if equal else f"{str(one)[:80]} and {str(other)[:80]}"
