"""Runs whose ticket is too large for memory: in shards, and the same in every number."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
from torch import nn

from milp_lth.evaluation import evaluate
from milp_lth.execution import execute, rewrite_report
from milp_lth.ledger import Chunk, Ledger
from milp_lth.report.plots import count_errors
from milp_lth.run import TICKET, Run
from milp_lth.run_creation import create_run
from milp_lth.run_settings import RunSettings
from milp_lth.sharded_ticket import ShardedTicket
from milp_lth.shards import INDEX, shards_in
from milp_lth.streaming import Spool, median, middle
from milp_lth.targets.files import load_target
from milp_lth.ticket_files import load_ticket
from milp_lth.verification import check_run

CONSTRUCTIONS = ["two-layer", "direct", "direct-shared"]


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("milp_lth.run.WHOLE_EDGES", 1000)
    monkeypatch.setattr("milp_lth.shards.BLOCK_EDGES", 500)
    monkeypatch.setattr("milp_lth.shards.SHARD_BYTES", 130)


@pytest.fixture(scope="session")
def target_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(5)
    net = nn.Sequential(nn.Linear(9, 14), nn.ReLU(), nn.Linear(14, 6, bias=False))
    path = tmp_path_factory.mktemp("target") / "net.safetensors"
    safetensors.numpy.save_file({k: v.numpy() for k, v in net.state_dict().items()}, path)
    return path


def made(target: Path, folder: Path, construction: str = "direct") -> Run:
    settings = RunSettings(
        str(target), construction=construction, width=12, objective="sparsest", tolerance=0.05
    )
    return Run(create_run(settings, folder))


@pytest.fixture(scope="session")
def sharded_run(target_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run whose ticket is in shards. Read only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("milp_lth.run.WHOLE_EDGES", 1000)
        patch.setattr("milp_lth.shards.BLOCK_EDGES", 500)
        patch.setattr("milp_lth.shards.SHARD_BYTES", 130)
        run = made(target_file, tmp_path_factory.mktemp("sharded") / "run", "two-layer")
        execute(run)
    return run.folder


@pytest.fixture
def sharded_copy(sharded_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sharded_run, tmp_path / "copy"))


@pytest.mark.parametrize("construction", CONSTRUCTIONS)
def test_shards_are_the_whole_ticket(
    target_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, construction: str
) -> None:
    run = made(target_file, tmp_path / "sharded", construction)
    figures = execute(run)
    monkeypatch.setattr("milp_lth.run.WHOLE_EDGES", 10**9)
    whole_run = made(target_file, tmp_path / "whole", construction)
    expected = execute(whole_run)
    assert not (run.folder / TICKET).exists()
    assert not (whole_run.folder / INDEX).exists()
    for name in ("edges", "layers", "status", "weights", "within_tolerance", "widths"):
        assert figures[name] == expected[name]
    for name, value in expected["ticket"].items():
        assert value is None or figures["ticket"][name] == pytest.approx(value, rel=1e-4)
    sharded, whole = ShardedTicket(run.folder), load_ticket(whole_run.folder / TICKET)
    assert len(sharded.all_blocks()) > 4
    assert len(sharded.shards()) > 2
    x = run.data.x.to(sharded.dtype)
    assert torch.allclose(sharded(x), whole(x), rtol=0, atol=1e-5)
    assert sharded.edges() == whole.edges()
    assert sharded.settings.source == whole.settings.source
    again = load_ticket(run.folder / INDEX)
    for one, other in zip(again.state_dict().values(), whole.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    stated = json.loads((run.folder / INDEX).read_text())["metadata"]
    with safetensors.safe_open(whole_run.folder / TICKET, framework="numpy") as file:
        said = json.loads(file.metadata()["ticket"])
    assert stated == said | {k: stated[k] for k in ("block_outputs", "total_size")}
    assert check_run(run.folder) == check_run(whole_run.folder) == []


def test_edges_are_counted_through_dead_neurons(
    sharded_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some outputs are starved, so that edges before and behind them die."""
    sharded = ShardedTicket(sharded_run)
    masks = {block: sharded.mask(block) for block in sharded.all_blocks()}
    for block, mask in masks.items():
        mask[: (block.layer == 0) * (block.first % 3 == 0)] = False
        mask[:, : mask.shape[1] // 3] &= block.layer == 0
    monkeypatch.setattr(ShardedTicket, "mask", lambda self, block: masks[block])
    edges = sharded.edges()
    assert edges == sharded.whole().edges()
    assert edges["alive"] < edges["kept_u"] + edges["kept_v"]


def test_a_run_killed_between_shards_is_resumed(
    target_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from milp_lth import shards

    write, written = shards.write_atomically, []

    def dying(path: Path, content: bytes) -> None:
        if len(written) == 2:
            (path.parent / f".{path.name}.x1y2").write_bytes(content[:50])
            raise KeyboardInterrupt
        written.append(path.name)
        write(path, content)

    monkeypatch.setattr(shards, "write_atomically", dying)
    folder = made(target_file, tmp_path / "run").folder
    with pytest.raises(KeyboardInterrupt):
        execute(Run(folder))
    assert shards_in(folder) == written
    with pytest.raises(ValueError, match="index"):
        check_run(folder)
    monkeypatch.setattr(shards, "write_atomically", write)
    execute(Run(folder))
    assert check_run(folder) == []
    assert not list(folder.glob(".*"))
    largest = max(path.stat().st_size for path in folder.glob("ticket-*"))
    assert largest < 130 + 400  # the header beside the masks


def test_the_report_can_be_written_again(sharded_copy: Path) -> None:
    before = (sharded_copy / "report.html").read_bytes()
    assert rewrite_report(Run(sharded_copy)).read_bytes() == before
    assert check_run(sharded_copy) == []


def rewritten(path: Path, change: Callable[[dict[str, np.ndarray]], None]) -> None:
    tensors = {k: v.copy() for k, v in safetensors.numpy.load_file(path).items()}
    change(tensors)
    path.write_bytes(safetensors.numpy.save(tensors))


def reseal(folder: Path) -> None:
    """Make the digests fit, so that only the mathematics is left."""
    run = Run(folder)
    with Ledger(folder) as ledger:
        ledger.put_figures({"digests": run.digests(ledger)})


def flip_bit(folder: Path) -> None:
    def flip(tensors: dict[str, np.ndarray]) -> None:
        next(t for n, t in tensors.items() if ".v_mask." in n)[3] ^= 16

    rewritten(folder / shards_in(folder)[1], flip)


def move_a_unit(folder: Path) -> None:
    def move(tensors: dict[str, np.ndarray]) -> None:
        tensors["0.input_of"][3] = (tensors["0.input_of"][3] + 1) % 9

    rewritten(folder / shards_in(folder)[0], move)


def change_index(old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        text = (folder / INDEX).read_text()
        assert old in text
        (folder / INDEX).write_text(text.replace(old, new))

    return change


@pytest.mark.parametrize("careful", [False, True])
@pytest.mark.parametrize(
    "tamper",
    [
        flip_bit,
        move_a_unit,
        change_index('"seed": 0', '"seed": 1'),
        change_index('"scale": ', '"scale": 2'),
        change_index('"dtype": "float32"', '"dtype": "float64"'),
        lambda folder: shutil.copy(
            folder / shards_in(folder)[0], folder / "ticket-00099-of-00099.safetensors"
        ),
        lambda folder: (folder / TICKET).write_bytes(b"another one"),
    ],
)
def test_tampering_is_caught(
    sharded_copy: Path, tamper: Callable[[Path], None], careful: bool
) -> None:
    tamper(sharded_copy)
    if careful:
        reseal(sharded_copy)
    assert check_run(sharded_copy) != []


def damages() -> Iterator[tuple[str, str, Callable[[Path], object]]]:
    """Yield which file, what is done to it, and how."""
    for name in (INDEX, "ticket-00002-of"):
        yield name, "missing", lambda path: path.unlink()
        yield name, "empty", lambda path: path.write_bytes(b"")
        yield name, "truncated", lambda path: path.write_bytes(path.read_bytes()[:-40])
        yield name, "garbage", lambda path: path.write_bytes(b"\x81" * 300)
    yield (
        "ticket-00002-of",
        "another shard",
        lambda path: shutil.copy(path.with_name(path.name.replace("00002-", "00001-")), path),
    )


@pytest.mark.parametrize(("name", "damage", "do"), list(damages()))
def test_damage_is_named_in_one_line(
    sharded_copy: Path, name: str, damage: str, do: Callable[[Path], object]
) -> None:
    do(next(sharded_copy.glob(f"{name}*")))
    with pytest.raises(ValueError, match=name) as caught:
        check_run(sharded_copy)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("ticket-00002-of", "../ticket-00002-of"),
        ('"weight_map"', '"map"'),
        ('"block_outputs": [', '"block_outputs": [0, '),
        ('"0.v_mask.0"', '"0.v_mask.1"'),
        ("milp_lth ticket/1", "other"),
    ],
)
def test_an_index_that_does_not_fit_is_refused(sharded_copy: Path, old: str, new: str) -> None:
    change_index(old, new)(sharded_copy)
    with pytest.raises(ValueError, match="index"):
        ShardedTicket(sharded_copy)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_target_that_is_mapped_is_read_as_any_other(
    target_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    expected = load_target(target_file)
    path = tmp_path / f"net{suffix}"
    if suffix == ".pt":
        torch.save(expected.state_dict(), path)
    else:
        shutil.copy(target_file, path)
    monkeypatch.setattr("milp_lth.targets.files.MAPPED_BYTES", 0)
    for one, other in zip(load_target(path).parameters(), expected.parameters(), strict=True):
        assert torch.equal(one, other)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match="not a whole"):
        load_target(path)


def test_inputs_that_do_not_fit_are_refused(target_file: Path, tmp_path: Path) -> None:
    run = made(target_file, tmp_path / "run")
    execute(run)
    with pytest.raises(ValueError, match="do not fit"):
        evaluate(ShardedTicket(run.folder), run.network.module(), torch.rand(3, 8))


@pytest.mark.parametrize("count", [1, 2, 5, 1000, 1001])
@pytest.mark.parametrize("kind", ["random", "repeated", "zeros", "spread", "infinite"])
@pytest.mark.parametrize("at_once", [3, 1 << 22])
def test_the_median_is_exact(
    rng: np.random.Generator,
    monkeypatch: pytest.MonkeyPatch,
    count: int,
    kind: str,
    at_once: int,
) -> None:
    monkeypatch.setattr("milp_lth.streaming._SORTED", at_once)
    numbers = {
        "random": rng.random(count),
        "repeated": rng.integers(0, 3, count).astype(float),
        "zeros": np.zeros(count) * -1,
        "spread": 10.0 ** rng.uniform(-300, 300, count),
        "infinite": np.where(rng.random(count) < 0.3, np.inf, rng.random(count)),
    }[kind]
    pieces = np.array_split(numbers, 7)
    ordered = np.sort(numbers)
    assert middle(lambda: pieces) == (ordered[(count - 1) // 2], ordered[count // 2])
    assert median(lambda: pieces) == np.median(numbers)


def test_a_spool_gives_back_what_it_was_given(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("milp_lth.streaming.IN_MEMORY", 100)
    monkeypatch.setattr("milp_lth.streaming._PIECE", 7)
    numbers = rng.random((5, 8))
    with Spool() as spool:
        spool.add(numbers[:2])
        spool.add(numbers[2:])
        for _ in range(2):
            assert (np.concatenate(list(spool)) == numbers.reshape(-1)).all()
        assert spool.max() == numbers.max()


def test_every_error_is_counted_once(rng: np.random.Generator) -> None:
    errors = 10.0 ** rng.uniform(-20, 3, 500)
    counts = count_errors(np.array_split(errors, 9))
    assert counts.sum() == 500
    assert counts[0] == (errors < 10 ** (-18 + 1 / 20)).sum()


@pytest.mark.parametrize(
    ("objective", "error", "bound"),
    [
        ([0.5, 0.25], [0.5, 0.25], [0.5, 0.25]),
        ([2.0, 3.0], [0.5, 0.25], [2.0, 3.0]),
        ([2.0, 300.0], [0.0, 0.0], [2.0, 3.5]),
        ([0.0, 0.0], [0.0, 0.0], [0.0, np.inf]),
    ],
)
def test_a_ledger_records_every_number_as_it_is(
    tmp_path: Path, objective: list[float], error: list[float], bound: list[float]
) -> None:
    numbers = [np.array(n) for n in (objective, error, bound)]
    chunk = Chunk(0, 0, 2, b"\x40", *numbers, np.zeros(2, np.uint8), "mitm", 0.0, 0.0, 1.0)
    with Ledger(tmp_path, create=True) as ledger:
        ledger.put(chunk)
        for found in (*ledger.chunks(), ledger.chunk(0, 0)):
            for one, other in zip(found[4:8], chunk[4:8], strict=True):
                assert one.tobytes() == other.tobytes()
            assert found[:4] + found[8:] == chunk[:4] + chunk[8:]
        with pytest.raises(ValueError, match="not recorded"):
            ledger.chunk(0, 2)
