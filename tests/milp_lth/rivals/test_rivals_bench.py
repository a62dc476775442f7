"""The bench: measured once, verified from files, the same for everybody."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.numpy
import torch

from milp_lth.rivals import bench
from milp_lth.rivals.bench import Rivals
from milp_lth.rivals.files import load_network
from milp_lth.rivals.methods import METHODS, Conditions, Entry, carry_out, entries
from milp_lth.rivals.random_network import Shape
from milp_lth.rivals.store import packed, unpacked
from milp_lth.rivals.table import rows
from milp_lth.rivals.task import Task, load_task

METHODS_TAKEN = ("edge-popup", "supermask", "biprop", "biprop-activations", "magnitude",
                 "magnitude-retrained", "greedy", "imp", "phew", "random",
                 "ticket-sparsest")  # fmt: skip
ROW_KEYS = {
    "row", "method", "density", "accuracy", "kept", "source_dense", "target_seconds",
    "search_seconds", "examples", "training", "converged", "verified", "difference", "low", "high",
    "seeds",
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    """Networks with 20 hidden units."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench, "SIZES", {"small": 20, "paper": 30})
        yield


def rivals(folder: Path, methods: Sequence[str], num_seeds: int = 2, **options: object) -> Rivals:
    return Rivals(
        "digits", methods, folder, num_seeds=num_seeds, device="cpu", densities=(0.3,),
        **{"scale": 0.02} | options,  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Rivals:
    """All methods, measured. Read only: copy what is to be changed."""
    found = rivals(tmp_path_factory.mktemp("rivals") / "out", METHODS_TAKEN)
    found.measure()
    return found


@pytest.fixture
def floor(tmp_path: Path) -> Rivals:
    """Three methods, in a folder of one's own."""
    found = rivals(tmp_path / "out", ("edge-popup", "biprop", "ticket-sparsest"), num_seeds=1)
    found.measure()
    return found


def test_every_row_is_verified_and_says_all_there_is_to_say(measured: Rivals) -> None:
    found = rows(measured)
    assert [row["method"] for row in found] == ["dense", *METHODS_TAKEN]
    for row in found:
        assert row.keys() >= ROW_KEYS
        assert row["verified"] is True
        assert [seed["seed"] for seed in row["seeds"]] == [0, 1]
        assert row["accuracy"] == pytest.approx(np.mean([s["accuracy"] for s in row["seeds"]]))
        assert row["density"] == pytest.approx(row["kept"] / row["source_dense"])
    json.dumps(found, allow_nan=False)


def test_training_is_told_apart(measured: Rivals) -> None:
    found = {row["method"]: row for row in rows(measured)}
    one_run = 2 * len(measured.conditions.task.train.x)
    for name in ("edge-popup", "supermask", "biprop", "biprop-activations"):
        assert found[name]["training"] == "masks"
        assert found[name]["target_seconds"] == 0
    for name in ("imp", "phew", "random"):
        assert found[name]["training"] == "weights"
        assert found[name]["target_seconds"] == 0
    assert found["imp"]["examples"] == found["imp"]["extra"]["levels"] * one_run
    assert found["ticket-sparsest"]["training"] == "target"
    for name in ("magnitude", "ticket-sparsest"):
        assert found[name]["target_seconds"] == found["dense"]["search_seconds"]
        assert found[name]["examples"] == one_run
    assert found["magnitude-retrained"]["examples"] == 2 * one_run
    assert not found["dense"]["converged"]  # two epochs show nothing
    assert 0 < found["supermask"]["extra"]["sampled_accuracy"] <= 1


def test_differences_are_those_of_the_recorded_classes(measured: Rivals) -> None:
    dense, *others = rows(measured)
    assert dense["difference"] == 0
    assert dense["low"] is dense["high"] is None
    for row in others:
        assert row["difference"] == pytest.approx(row["accuracy"] - dense["accuracy"])
        assert row["low"] <= row["difference"] <= row["high"]
        for seed, reference in zip(row["seeds"], dense["seeds"], strict=True):
            better, worse = seed["discordant"]
            num_inputs = len(measured.conditions.task.test.x)
            assert (better - worse) / num_inputs == pytest.approx(seed["difference"])
            assert seed["difference"] == pytest.approx(seed["accuracy"] - reference["accuracy"])


def test_what_is_measured_is_not_measured_again(
    measured: Rivals, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(bench, "carry_out", refuse)
    again = rivals(measured.store.folder, METHODS_TAKEN)
    told = []
    again.measure(lambda done, total: told.append((done, total)))
    assert rows(again) == rows(measured)
    assert told[-1] == (24, 24)


def test_an_interrupted_bench_goes_on_and_grows(tmp_path: Path) -> None:
    begun = rivals(tmp_path / "out", ("random",))
    with pytest.raises(KeyboardInterrupt):
        begun.measure(should_stop=lambda: True)
    assert len([*(tmp_path / "out/measured").iterdir()]) == 1
    # killed between a network and its measurement: a network without one, and half a file
    (tmp_path / "out/networks/random-0.3-seed0.safetensors").write_bytes(b"half")
    (tmp_path / "out/measured/.random-0.3-seed0.json.abc").write_text("{")
    # and after a measurement, before the states of its trainings were removed
    (tmp_path / "out/unfinished/dense-seed0").mkdir()
    begun.measure()
    assert not [*(tmp_path / "out/unfinished").iterdir()]
    grown = rivals(tmp_path / "out", ("random", "magnitude"), num_seeds=3)
    grown.measure()
    assert all(row["verified"] for row in rows(grown))
    assert [len(row["seeds"]) for row in rows(grown)] == [3, 3, 3]
    assert [s | {"difference": 0} for s in rows(grown)[1]["seeds"][:2]] == [
        s | {"difference": 0} for s in rows(begun)[1]["seeds"]
    ]


def test_another_question_is_refused(floor: Rivals) -> None:
    with pytest.raises(ValueError, match="another task, size, scale or device"):
        rivals(floor.store.folder, (), scale=0.04)
    with pytest.raises(ValueError, match="another task, size, scale or device"):
        rivals(floor.store.folder, (), size="paper")


@pytest.mark.parametrize("name", ["settings.json", "measured/edge-popup-0.3-seed0.json"])
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_truncated_store_is_refused(floor: Rivals, name: str, share: float) -> None:
    path = floor.store.folder / name
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=f"{path.name}: damaged"):
        rows(rivals(floor.store.folder, ("edge-popup",), num_seeds=1))


def test_a_measurement_of_something_else_is_refused(floor: Rivals) -> None:
    measured = floor.store.folder / "measured"
    content = (measured / "biprop-0.3-seed0.json").read_bytes()
    (measured / "edge-popup-0.3-seed0.json").write_bytes(content)
    with pytest.raises(ValueError, match="not the measurement of edge-popup 0.3"):
        rows(floor)


def tampered(path: Path, tensor: str) -> None:
    """Change one bit, or one number, and write a file that is whole."""
    with safetensors.safe_open(path, framework="numpy") as file:
        stated = file.metadata()
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    first = tensors[tensor].reshape(-1)[:1]
    first[:] = first ^ 128 if first.dtype == np.uint8 else 1.01 * first
    path.write_bytes(safetensors.numpy.save(tensors, stated))


@pytest.mark.parametrize(
    ("row", "tensor"),
    [
        ("dense", "0.weight"),
        ("dense", "2.mask"),
        ("edge-popup 0.3", "0.mask"),
        ("biprop 0.3", "0.mask"),
        ("biprop 0.3", "2.gain"),
        ("ticket-sparsest", "0.v_mask"),
    ],
)
def test_a_network_that_was_tampered_with_is_not_verified(
    floor: Rivals, row: str, tensor: str
) -> None:
    entry = next(entry for entry in floor.entries if entry.name == row)
    assert floor.verify(entry, 0)
    tampered(floor.store.network(row, 0), tensor)
    if tensor != "0.weight":  # one weight of many, a little: only the file's digest tells
        assert not floor.verify(entry, 0)
    assert [one["row"] for one in rows(floor) if not one["verified"]] == [row]


def test_a_network_that_is_missing_is_not_verified(floor: Rivals) -> None:
    floor.store.network("edge-popup 0.3", 0).unlink()
    assert not floor.verify(Entry("edge-popup", 0.3), 0)
    assert not rows(floor)[1]["verified"]
    with pytest.raises(ValueError, match="damaged or missing"):
        load_network(floor.store.network("edge-popup 0.3", 0), Entry("edge-popup", 0.3),
                     floor.conditions.shape, 0)  # fmt: skip


def test_a_search_that_moves_frozen_weights_is_not_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cheating(entry: Entry, *arguments: object, **options: object) -> object:
        found = carry_out(entry, *arguments, **options)  # type: ignore[arg-type]
        if entry.method == "edge-popup":
            with torch.no_grad():
                next(found.network.parameters())[0, 0] += 1e-6
        return found

    monkeypatch.setattr(bench, "carry_out", cheating)
    found = rivals(tmp_path / "out", ("edge-popup",), num_seeds=1)
    found.measure()
    assert [row["verified"] for row in rows(found)] == [True, False]


@pytest.mark.parametrize("name", METHODS)
def test_no_method_looks_at_labels_of_the_test_part(name: str) -> None:
    task = load_task("digits")
    few = replace(task.train, x=task.train.x[:300], y=task.train.y[:300])  # type: ignore[index]
    entry = entries([name], (0.3,))[0 if name == "dense" else 1]
    assert task.test.y is not None
    found = []
    for labels in (task.test.y, task.test.y.flip(0)):
        changed = Task("digits", few, replace(task.test, y=labels))
        conditions = Conditions(changed, Shape("fc2", 64, 10, 4), 0.02, "cpu")
        found.append(carry_out(entry, conditions, seed=0))
    one, two = found
    assert one.network.state_dict().keys() == two.network.state_dict().keys()
    for key, tensor in one.network.state_dict().items():
        assert torch.equal(tensor, two.network.state_dict()[key])
    assert all(torch.equal(one.masks[key], mask) for key, mask in two.masks.items())


def test_classes_are_packed_and_unpacked() -> None:
    classes = np.array([0, 9, 255, 256, 65535])
    assert np.array_equal(unpacked(packed(classes)), classes)


def test_bad_questions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown method 'obd': choose among dense, edge-popup"):
        rivals(tmp_path, ("obd",))
    with pytest.raises(ValueError, match="random 0.3 is asked for twice"):
        rivals(tmp_path, ("random", "random"))
    for options in ({"num_seeds": 0}, {"scale": 0.0}, {"scale": float("nan")}, {"size": "huge"}):
        with pytest.raises(ValueError, match=r"0|nan|huge"):
            rivals(tmp_path, (), **options)  # type: ignore[arg-type]
    (tmp_path / "else").touch()
    with pytest.raises(ValueError, match="not empty"):
        rivals(tmp_path, ())
