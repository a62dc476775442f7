"""Torch draws the numbers of `instances.philox`, bit for bit; here on the CPU."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instances import philox
from instances.philox import UNIT_FACTOR, UNIT_RAW, Stream
from solvers.heuristic import torch_philox

torch = pytest.importorskip("torch")

KINDS = ["uniform", "normal"]
streams = st.builds(
    Stream, st.integers(0, 2**32 - 1), st.integers(0, 2**16 - 1), st.integers(0, 2**16 - 1)
)
counters = st.lists(st.integers(0, 2**63 - 1) | st.integers(2**32 - 3, 2**32 + 3), min_size=1)


def drawn(kind: str, stream: Stream, numbers: np.ndarray, unit: float) -> np.ndarray:
    draw = getattr(torch_philox, kind)
    return np.asarray(draw(stream, torch.tensor(numbers), unit=unit).numpy())


@pytest.mark.parametrize("kind", KINDS)
@given(stream=streams, numbers=counters, bits=st.integers(0, 52))
def test_every_counter(kind: str, stream: Stream, numbers: list[int], bits: int) -> None:
    array, unit = np.array(numbers, np.int64), 2.0**-bits
    expected = getattr(philox, kind)(stream, array, unit=unit)
    assert drawn(kind, stream, array, unit).tobytes() == expected.tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_many_counters_of_any_shape(kind: str) -> None:
    """Enough of them for the far tails of the normal distribution, too."""
    array = (2**40 + np.arange(300_000)).reshape(3, -1, 100)
    for unit in (UNIT_RAW, UNIT_FACTOR):
        expected = getattr(philox, kind)(Stream(9, 1), array, unit=unit)
        found = drawn(kind, Stream(9, 1), array, unit)
        assert found.shape == array.shape
        assert found.tobytes() == expected.tobytes()


def test_golden_draws() -> None:
    """The numbers of tests/instances/test_philox.py, which may never change."""
    stream, array = Stream(seed=12345, layer=3, matrix=1), np.array([0, 1, 7, 2**40])
    raw = drawn("uniform", stream, array, UNIT_RAW) / UNIT_RAW
    factors = drawn("uniform", stream, array, UNIT_FACTOR) / UNIT_FACTOR
    bells = drawn("normal", stream, array, UNIT_RAW) / UNIT_RAW
    assert raw.tolist() == [-52580665670263, -8840858480976, -46444646802956, 40934983533087]
    assert factors.tolist() == [-6268104, -1053913, -5536634, 4879830]
    assert bells.tolist() == [-80475406643434, -11126604295792, -67145998893802, 38764828368875]


@given(st.integers(0, 2**64 - 1))
def test_leading_zeros(word: int) -> None:
    for number in (word, word >> word % 64, 0, 1):
        signed = torch.tensor([number - 2**64 if number >= 2**63 else number])
        assert torch_philox._leading_zeros(signed).item() == min(64 - number.bit_length(), 63)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_out_of_range_is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="power of two"):
        drawn(kind, Stream(0), np.arange(3), 0.3)
    with pytest.raises(ValueError, match="seed"):
        drawn(kind, Stream(-1), np.arange(3), UNIT_RAW)


@pytest.mark.parametrize("kind", KINDS)
def test_a_device_draws_the_same(kind: str) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    array = 2**33 + np.arange(1_000_000)
    there = getattr(torch_philox, kind)(Stream(4), torch.tensor(array, device="cuda"))
    assert there.cpu().numpy().tobytes() == getattr(philox, kind)(Stream(4), array).tobytes()
