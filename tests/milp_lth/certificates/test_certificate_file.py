"""The file of certificates: numbers come back bit for bit, damage is named."""

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from milp_lth.certificates.certificate_file import (
    CERTIFICATES,
    differences,
    read_certificates,
    write_certificates,
)

LEAVES = st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_come_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, number: float
) -> None:
    folder = tmp_path_factory.mktemp("file")
    write_certificates(folder, {"number": number, "name": "é"})
    assert read_certificates(folder) == {"number": number, "name": "é"}
    back = read_certificates(folder)
    assert back is not None
    assert math.copysign(1, back["number"]) == math.copysign(1, number)


def test_where_there_is_no_file_there_are_no_certificates(tmp_path: Path) -> None:
    assert read_certificates(tmp_path) is None


@pytest.mark.parametrize("number", [math.inf, math.nan])
def test_what_is_no_number_is_not_written(tmp_path: Path, number: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_certificates(tmp_path, {"bound": number})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\x81" * 40,
        b"[1, 2]",
        b"{}",
        b'{"format": "milp_lth run/1"}',
        b'{"format": "milp_lth certificates/1", "bound": NaN}',
        b"[" * 100_000,
    ],
)
def test_damage_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / CERTIFICATES).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{CERTIFICATES}: (damaged|not the certificates)"):
        read_certificates(tmp_path)


def test_a_folder_of_that_name_is_named(tmp_path: Path) -> None:
    (tmp_path / CERTIFICATES).mkdir()
    with pytest.raises(ValueError, match="cannot be read"):
        read_certificates(tmp_path)


@given(VALUES, VALUES)
def test_only_equal_values_do_not_differ(one: Any, two: Any) -> None:
    assert list(differences("it", one, one)) == []
    assert bool(list(differences("it", one, two))) == (
        repr(one) != repr(two) and not same(one, two)
    )


def same(one: Any, two: Any) -> bool:
    """Equal, and of the same kinds: 1 is not 1.0 and not True."""
    if type(one) is not type(two):
        return False
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(one[k], two[k]) for k in one)
    if isinstance(one, list):
        return len(one) == len(two) and all(map(same, one, two))
    return bool(one == two)


def test_every_difference_is_placed() -> None:
    true = {"a": [1.0, 2.0], "b": {"c": "x"}, "d": True, "e": None}
    recorded = {"a": [1.0, 2.5, 3.0], "b": {"c": "y"}, "d": 1, "f": 0}
    assert sorted(differences("", true, recorded)) == [
        "a has 3 entries, but there are 2",
        "e is not recorded",
        "f is recorded, but nothing of that name is certified",
        "the recorded a[1] is 2.5, but it is 2.0",
        'the recorded b.c is "y", but it is "x"',
        "the recorded d is 1, but it is true",
    ]


@pytest.mark.parametrize(("share", "found"), [(1e-10, 0), (-1e-10, 0), (1e-8, 1), (-1e-8, 1)])
def test_floats_may_be_rounded_otherwise(share: float, found: int) -> None:
    recorded = {"bound": [0.3 * (1 + share)], "count": 3}
    problems = list(differences("", {"bound": [0.3], "count": 3}, recorded, rounding=1e-9))
    assert len(problems) == found
    assert list(differences("", {"bound": [0.3], "count": 4}, recorded, rounding=1)) != []
