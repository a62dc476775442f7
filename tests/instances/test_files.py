"""Instance files: what is written is read back exactly; what is no instance is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from instances.files import load_instance, save_instance
from instances.generate import normal_family
from instances.objectives import Closest, FixedSize, Objective, Sparsest
from instances.subset_sum import SubsetSum


@pytest.mark.parametrize("suffix", [".npz", ".json"])
@pytest.mark.parametrize("objective", [Closest(), Closest(0.25), Sparsest(1e-9), FixedSize(3, 0.5)])
def test_round_trip(tmp_path: Path, suffix: str, objective: Objective) -> None:
    base = normal_family(4, 6, objective=objective)
    available = np.arange(24).reshape(4, 6) % 5 > 0
    for instance in (base, SubsetSum(base.coefficients / 3, base.targets, objective, available)):
        path = tmp_path / f"instance{suffix}"
        save_instance(instance, path)
        again = load_instance(path)
        assert (again.coefficients == instance.coefficients).all()
        assert (again.targets == instance.targets).all()
        assert again.objective == instance.objective
        assert (again.available is None) == (instance.available is None)
        if again.available is not None:
            assert (again.available == available).all()
    assert [p.name for p in tmp_path.iterdir()] == [f"instance{suffix}"]  # no temporary file left


def write(path: Path, **fields: object) -> None:
    path.write_text(json.dumps(fields))


GOOD = {"format": "subset-sum/1", "coefficients": [[0.5]], "targets": [0.5], "objective": "closest"}


@pytest.mark.parametrize(
    "change",
    [
        {"format": "knapsack"},
        {"coefficients": [[1.0, 2.0], [3.0]]},
        {"coefficients": [["one"]]},
        {"coefficients": None},
        {"targets": [float("nan")]},
        {"targets": []},
        {"objective": "best"},
        {"objective": "sparsest"},
        {"tolerance": -1},
        {"tolerance": [1, 2]},
        {"tolerance": "small"},
        {"objective": "fixed-size", "size": 1e400},
        {"available": [[True, False]]},
    ],
)
def test_what_is_no_instance_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "instance.json"
    write(path, **GOOD | change)
    with pytest.raises(ValueError, match=r"instance\.json"):
        load_instance(path)


def test_missing_keys_are_named(tmp_path: Path) -> None:
    path = tmp_path / "instance.json"
    write(path, **{k: v for k, v in GOOD.items() if k != "targets"})
    with pytest.raises(ValueError, match="'targets' is missing"):
        load_instance(path)


@pytest.mark.parametrize("suffix", [".npz", ".json"])
@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "garbage", "folder"])
def test_damaged_files_are_refused(tmp_path: Path, suffix: str, damage: str) -> None:
    path = tmp_path / f"instance{suffix}"
    save_instance(normal_family(30, 6), path)
    content = path.read_bytes()
    path.unlink()
    if damage == "folder":
        path.mkdir()
    elif damage != "missing":
        damaged = {
            "empty": b"",
            "truncated": content[: len(content) // 2],
            "garbage": b"\xff\x00" * 99,
        }
        path.write_bytes(damaged[damage])
    with pytest.raises(ValueError, match="instance"):
        load_instance(path)


def test_pickles_are_never_read(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "exploded",))

    path = tmp_path / "instance.npz"
    np.savez(path, **GOOD | {"coefficients": np.array([[Bomb()]], dtype=object)})  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        load_instance(path)
    assert not (tmp_path / "exploded").exists()


def test_other_suffixes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.npz or \.json"):
        save_instance(normal_family(1, 2), tmp_path / "instance.txt")
    with pytest.raises(ValueError, match=r"\.npz or \.json"):
        load_instance(tmp_path / "instance.csv")
