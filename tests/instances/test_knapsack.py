"""Knapsack text: whole numbers exactly, or one line that says what is wrong."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instances import knapsack
from instances.files import load_instance, save_instance
from instances.knapsack import read_knapsack, to_knapsack
from instances.objectives import Closest, FixedSize
from instances.subset_sum import SubsetSum
from solvers.solve import solve

WHOLE = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False).map(
    lambda x: int(x)
)


@given(weights=st.lists(WHOLE, max_size=8), capacity=WHOLE)
def test_round_trip(
    tmp_path_factory: pytest.TempPathFactory, weights: list[int], capacity: int
) -> None:
    path = tmp_path_factory.mktemp("knapsack") / "sum.kp"
    instance = SubsetSum(np.array([weights], float).reshape(1, -1), [float(capacity)])
    save_instance(instance, path)
    for again in (read_knapsack(path), load_instance(path)):
        assert (again.coefficients == instance.coefficients).all()
        assert again.coefficients.shape == instance.coefficients.shape
        assert again.targets == instance.targets
        assert (again.objective, again.available) == (Closest(), None)


@pytest.mark.parametrize("name", ["sum.kp", "sum.knapsack", "sum.txt"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n", " \n\n"])
def test_texts_of_many_makers(tmp_path: Path, name: str, encoding: str, end: str) -> None:
    path = tmp_path / name
    path.write_bytes(f"3  17{end}\t5 5{end} +8 008{end}13 13".encode(encoding))
    instance = load_instance(path)
    assert instance.coefficients.tolist() == [[5, 8, 13]]
    assert instance.targets.tolist() == [17]


def test_the_closest_sum_may_lie_above(tmp_path: Path) -> None:
    path = tmp_path / "sum.kp"
    path.write_text("3 17\n5 5\n8 8\n13 13\n")
    assert solve(load_instance(path)).mask.tolist() == [[True, False, True]]  # 18, not 13


def test_a_pair_of_files(tmp_path: Path) -> None:
    (tmp_path / "p01_w.txt").write_text("15\n33\n 12 \n20\n")
    (tmp_path / "p01_c.txt").write_text("53\n")
    for name in ("p01_w.txt", "p01_c.txt"):
        instance = load_instance(tmp_path / name)
        assert instance.coefficients.tolist() == [[15, 33, 12, 20]]
        assert instance.targets.tolist() == [53]
    (tmp_path / "p01_p.txt").write_text("15\n33\n12\n20\n")
    assert len(load_instance(tmp_path / "p01_w.txt")) == 1
    (tmp_path / "p01_p.txt").write_text("15\n33\n12\n21\n")
    with pytest.raises(ValueError, match=r"p01_p\.txt: the profits are not the weights"):
        load_instance(tmp_path / "p01_w.txt")
    (tmp_path / "p01_p.txt").unlink()
    (tmp_path / "p01_c.txt").write_text("53\n54\n")
    with pytest.raises(ValueError, match="line 2 is one too many"):
        load_instance(tmp_path / "p01_w.txt")
    (tmp_path / "p01_c.txt").write_text("\n")
    with pytest.raises(ValueError, match=r"p01_c\.txt must hold one number"):
        load_instance(tmp_path / "p01_w.txt")
    (tmp_path / "p01_c.txt").unlink()
    with pytest.raises(ValueError, match=r"p01_c\.txt: cannot be read \(No such file"):
        load_instance(tmp_path / "p01_w.txt")


DAMAGE = {
    "empty": (b"", "line 1 must hold the number of items and the capacity"),
    "one number": (b"3\n", "line 1 must hold"),
    "absurdly many": (b"10000001 5\n1 1\n", "10000001 items; from 0 to 10000000 can be read"),
    "a negative number of items": (b"-1 5\n", "-1 items"),
    "torn": (b"3 17\n5 5\n8 8\n", "torn: 2 items of 3"),
    "torn in a line": (b"2 17\n5 5\n8", "line 3 is not one of 2 lines"),
    "a line too many": (b"1 17\n5 5\n0 1\n", "line 3 is not one of 1 lines"),
    "three columns": (b"1 17\n1 5 5\n", "line 2 is not one of 1 lines"),
    "profits": (b"2 17\n5 5\n9 8\n", "line 3 has a profit that is not the weight"),
    "words": (b"1 17\nfive five\n", "line 2: 'five' is no whole number"),
    "fractions": (b"1 17\n0.5 0.5\n", "line 2: '0.5' is no whole number"),
    "underscores": (b"1 17\n1_0 1_0\n", "'1_0' is no whole number"),
    "other digits": ("1 17\n٣ ٣\n".encode(), "is no whole number"),
    "too large": (b"1 17\n9007199254740993 9007199254740993\n", "cannot hold 9007199254740993"),
    "far too large": (b"1 17\n" + b"9" * 310 + b" 1\n", "cannot hold 999"),
    "not text": (b"1 17\n\xff\xfe\x00\n", "not a text file"),
    "one long line": (b"1" * 5000, "line 1 is too long"),
    "nothing but zeros": (bytes(3000), "line 1 is too long"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damaged_text_is_refused(tmp_path: Path, case: str) -> None:
    content, message = DAMAGE[case]
    path = tmp_path / "sum.kp"
    path.write_bytes(content)
    with pytest.raises(ValueError) as caught:
        load_instance(path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.kp: cannot be read \(No such file"):
        load_instance(tmp_path / "none.kp")
    with pytest.raises(ValueError, match="cannot be read"):
        read_knapsack(tmp_path)


def test_nothing_is_read_beyond_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, read = tmp_path / "sum.kp", 0
    path.touch()

    class Endless(io.StringIO):
        def readline(self, size: int | None = -1, /) -> str:
            nonlocal read
            read += 1
            return "99999999999 1\n" if read == 1 else "1 1\n"

    monkeypatch.setattr(Path, "open", lambda *arguments, **options: Endless())
    with pytest.raises(ValueError, match="99999999999 items"):
        knapsack.read_knapsack(path)
    assert read == 1


@given(content=st.binary(max_size=60) | st.from_regex(r"[0-9 \n-]{0,40}", fullmatch=True))
def test_any_text_is_an_instance_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes | str
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.kp"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    try:
        instance = load_instance(path)
    except ValueError as error:
        message = str(error)
    else:
        message = ""
        assert to_knapsack(instance).split() == [str(int(w)) for w in path.read_text().split()]
    assert "\n" not in message


@pytest.mark.parametrize(
    ("instance", "message"),
    [
        (SubsetSum([[1.0], [2.0]], [1.0, 2.0]), r"one row, not 2: take one with part\(\)"),
        (SubsetSum([[1.0]], [1.0], FixedSize(1)), "no objective but closest"),
        (SubsetSum([[1.0]], [1.0], Closest(0.5)), "no objective but closest"),
        (SubsetSum([[1.0]], [1.0], available=[[False]]), "leave them out"),
        (SubsetSum([[0.5]], [1.0]), "whole numbers only"),
        (SubsetSum([[1.0]], [0.5]), "whole numbers only"),
    ],
)
def test_what_knapsack_text_cannot_state_is_refused(
    tmp_path: Path, instance: SubsetSum, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        save_instance(instance, tmp_path / "sum.kp")
    assert not list(tmp_path.iterdir())
