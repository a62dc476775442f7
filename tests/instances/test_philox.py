"""The random numbers are fixed for ever: known answers, an independent twin, golden draws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import ndtri

from instances.normal import NUM_SEGMENTS, quantiles
from instances.philox import UNIT_FACTOR, UNIT_RAW, Stream, normal, uniform, words


def twin(counter: tuple[int, ...], key: tuple[int, int]) -> list[int]:
    """Philox4x32-10 written from the paper, in Python's integers."""
    c, k = list(counter), list(key)
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k[0], p1 % 2**32, (p0 >> 32) ^ c[3] ^ k[1], p0 % 2**32]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    return c


def test_twin_gives_the_published_answers() -> None:
    """The three vectors of Random123's kat_vectors."""
    assert twin((0, 0, 0, 0), (0, 0)) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    ones = 0xFFFFFFFF
    assert twin((ones,) * 4, (ones,) * 2) == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]
    counter = (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344)
    key = (0xA4093822, 0x299F31D0)
    assert twin(counter, key) == [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]


@given(
    seed=st.integers(0, 2**32 - 1),
    layer=st.integers(0, 2**16 - 1),
    matrix=st.integers(0, 2**16 - 1),
    counter=st.integers(0, 2**62),
)
def test_words_are_philox(seed: int, layer: int, matrix: int, counter: int) -> None:
    got = words(Stream(seed, layer, matrix), np.array([counter]))[0].tolist()
    assert got == twin((counter % 2**32, counter >> 32, 0, 0), (seed, layer * 2**16 + matrix))


def test_golden_draws() -> None:
    """Nothing may ever change these numbers: every ticket in the world depends on them."""
    counters = np.array([0, 1, 7, 2**40])
    stream = Stream(seed=12345, layer=3, matrix=1)
    raw = (uniform(stream, counters) / UNIT_RAW).astype(np.int64).tolist()
    factors = (uniform(stream, counters, unit=UNIT_FACTOR) / UNIT_FACTOR).astype(np.int64).tolist()
    bells = (normal(stream, counters) / UNIT_RAW).astype(np.int64).tolist()
    twins = [twin((c % 2**32, c >> 32, 0, 0), (12345, 3 * 2**16 + 1)) for c in counters.tolist()]
    assert raw == [((w[0] << 32 | w[1]) ^ 2**63) - 2**63 >> 17 for w in twins]  # signed
    assert raw == [-52580665670263, -8840858480976, -46444646802956, 40934983533087]
    assert factors == [-6268104, -1053913, -5536634, 4879830]
    assert bells == [-80475406643434, -11126604295792, -67145998893802, 38764828368875]


def test_any_range_can_be_drawn_alone() -> None:
    everything = uniform(Stream(5), np.arange(1000).reshape(25, 40))
    assert (uniform(Stream(5), np.arange(40 * 7, 40 * 9)) == everything[7:9].ravel()).all()
    rows, columns = np.array([[3], [20]]), np.array([39, 0, 5])
    assert (uniform(Stream(5), rows * 40 + columns) == everything[rows, columns]).all()
    assert uniform(Stream(5), np.empty((0, 4), np.int64)).shape == (0, 4)


def test_uniform_lies_on_its_grid_and_fills_it() -> None:
    for unit in (2.0**-3, UNIT_FACTOR, UNIT_RAW):
        draws = uniform(Stream(1), np.arange(200_000), unit=unit)
        assert ((draws / unit) == np.rint(draws / unit)).all()
        assert draws.min() >= -1
        assert draws.max() < 1
        assert stats.kstest(draws, stats.uniform(-1, 2).cdf).pvalue > 1e-4 or unit > 0.1
    coarse = uniform(Stream(1), np.arange(200_000), unit=2.0**-3)
    assert set((coarse * 8).tolist()) == set(range(-8, 8))
    assert (np.asarray(coarse, np.float32) == coarse).all()


def test_factors_fit_float32_exactly() -> None:
    draws = uniform(Stream(2), np.arange(100_000), unit=UNIT_FACTOR)
    assert (draws.astype(np.float32).astype(np.float64) == draws).all()


def test_normal_is_normal() -> None:
    draws = normal(Stream(1), np.arange(1_000_000))
    assert stats.kstest(draws, "norm").pvalue > 1e-3
    assert abs((draws**4).mean() - 3) < 0.03
    assert (draws / UNIT_RAW == np.rint(draws / UNIT_RAW)).all()
    coarse = normal(Stream(1), np.arange(1000), unit=UNIT_FACTOR)
    assert (coarse == np.floor(draws[:1000] / UNIT_FACTOR) * UNIT_FACTOR).all()


def test_normal_table_holds_the_quantiles() -> None:
    octave, segment = np.indices((40, NUM_SEGMENTS + 1))
    tail = 2.0 ** -(octave + 1.0) * (1 + segment / NUM_SEGMENTS)
    true = -ndtri(tail / 2)
    assert np.abs(quantiles() * UNIT_RAW - true).max() < 2e-14
    assert (np.diff(quantiles(), axis=1) < 0).all()


@pytest.mark.parametrize(
    "stream", [Stream(-1), Stream(2**32), Stream(0, layer=2**16), Stream(0, 0, -1)]
)
def test_streams_out_of_range_are_refused(stream: Stream) -> None:
    with pytest.raises(ValueError, match="seed|layer"):
        uniform(stream, np.arange(3))


@pytest.mark.parametrize("unit", [0.3, 2.0, 2.0**-60, 0.0])
def test_grids_that_are_none_are_refused(unit: float) -> None:
    with pytest.raises(ValueError, match="power of two"):
        uniform(Stream(0), np.arange(3), unit=unit)
