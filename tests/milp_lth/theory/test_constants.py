"""The constants on file: what they follow from, and that drawing again gives them again."""

import itertools
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from instances.philox import Stream
from milp_lth.theory.calibrated import (
    EVENTS,
    LEAST_TRIALS,
    Event,
    calibrate,
    entropy,
    numbers_needed,
)
from milp_lth.theory.constants import Constant, load_constants, write_constants

BY_NAME = {event.name: event for event in EVENTS}
CHEAP = [BY_NAME[name] for name in ("one-target", "fixed-size", "pick")]


@pytest.fixture(scope="module")
def again() -> dict[str, Constant]:
    return {one.name: one for one in calibrate(CHEAP, trials=LEAST_TRIALS, seed=1)}


def test_the_file_holds_what_is_calibrated() -> None:
    found = load_constants()
    assert list(found) == [event.name for event in EVENTS]
    for event in EVENTS:
        constant = found[event.name]
        assert (constant.law, constant.event) == (event.law, event.event)
        assert [(s.accuracy, s.size) for s in constant.sweeps] == list(
            itertools.product(event.accuracies, event.sizes)
        )
        assert constant.low <= constant.value <= constant.high
        for value, ends in ((constant.value, "least"), (constant.high, "high")):
            laws = [event.constant(getattr(s, ends), s.accuracy, s.size) for s in constant.sweeps]
            assert value == pytest.approx(max(laws))


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.name)
def test_ends_of_intervals_follow_from_the_counts(event: Event) -> None:
    for sweep in load_constants()[event.name].sweeps:
        share = 1 - sweep.accuracy if event.share is None else event.share
        assert sweep.share == share
        counts = dict(sweep.successes)
        assert list(counts.values()) == sorted(counts.values())
        ends = {
            n: binomtest(counts[n], sweep.trials).proportion_ci(0.95, "exact")
            for n in (sweep.low, sweep.least, sweep.high)
            if n in counts
        }
        assert counts[sweep.least] >= share * sweep.trials
        assert ends[sweep.high].low >= share
        assert sweep.low not in ends or ends[sweep.low].high >= share
        before = [n for n in counts if n < sweep.least]
        assert all(counts[n] < share * sweep.trials for n in before)


def test_drawing_again_agrees_with_the_file(again: dict[str, Constant]) -> None:
    packaged = load_constants()
    for name, constant in again.items():
        assert constant.agrees(packaged[name]), name
        assert (
            constant.high / constant.low > packaged[name].high / packaged[name].low
        )  # fewer draws
    assert not again["pick"].agrees(replace(again["pick"], low=2.0, high=3.0))


def test_the_same_seed_gives_the_same_numbers(again: dict[str, Constant]) -> None:
    assert calibrate([BY_NAME["pick"]], trials=LEAST_TRIALS, seed=1) == [again["pick"]]
    assert calibrate([BY_NAME["pick"]], trials=LEAST_TRIALS, seed=2) != [again["pick"]]


def test_what_has_a_closed_form_is_met() -> None:
    constant = load_constants()["pick"]
    assert constant.low <= 1 / (2 * math.log(2)) <= constant.high


def test_law_by_law_the_constant_stays_level() -> None:
    for name in ("one-target", "copies"):
        event, constant = BY_NAME[name], load_constants()[name]
        laws = [event.constant(s.least, s.accuracy, s.size) for s in constant.sweeps]
        assert max(laws) / min(laws) < 1.25


@pytest.mark.parametrize("size", [None, 1, 2, 3])
def test_numbers_needed_by_trying_all_subsets(size: int | None, rng: np.random.Generator) -> None:
    coefficients = np.round(rng.uniform(-1, 1, (40, 7)) * 2**20) / 2**20
    targets = np.array([-0.4, 0.1, 0.5])
    expected = []
    for row in coefficients:
        least = 8
        for n in range(7, 0, -1):
            sums = [
                sum(row[list(kept)])
                for k in range(n + 1)
                for kept in itertools.combinations(range(n), k)
                if size is None or k == size
            ]
            if not all(min((abs(s - z) for s in sums), default=9) <= 0.1 for z in targets):
                break
            least = n
        expected.append(least)
    assert 8 in expected
    assert min(expected) < 8
    assert numbers_needed(coefficients, targets, 0.1, size).tolist() == expected


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.name)
def test_draws_are_those_that_are_said(event: Event) -> None:
    accuracy = event.accuracies[0]
    drawn, counts = event.draw(Stream(3, 1), accuracy, 0, 200)
    once_more, _ = event.draw(Stream(3, 1), accuracy, 50, 60)
    assert np.array_equal(drawn[50:60], once_more)
    assert (np.abs(drawn) <= 1).all()
    if event.draws.startswith("raw"):  # about every second one is usable
        assert counts[:, 20].mean() == pytest.approx(42, rel=0.1 if accuracy < 0.05 else 0.2)
    else:
        assert (counts == np.arange(1, counts.shape[1] + 1)).all()
    targets = event.targets(accuracy)
    assert np.abs(targets).max() <= event.reach
    if event.draws == "raw-grid":
        assert (np.abs(drawn / accuracy**2) % 1 == 0).all()
        assert (targets / accuracy**2 % 2 == 1).all()
    variance = {"uniform": 1 / 3, "products": 1 / 9, "raw": 1 / 9, "raw-grid": 1 / 9}[event.draws]
    assert drawn[:, :20].var() == pytest.approx(variance, rel=0.15)


def test_entropy_by_hand() -> None:
    assert entropy(0.5) == 1
    assert entropy(0.25) == pytest.approx(2 - 0.75 * math.log2(3))
    assert entropy(0) == entropy(1) == 0


def test_a_file_is_read_as_it_was_written(again: dict[str, Constant], tmp_path: Path) -> None:
    path = tmp_path / "constants.json"
    write_constants(list(again.values()), path, seed=1, trials=LEAST_TRIALS)
    assert load_constants(path) == again
    for text in ("{", '{"format": "constants/1"}', "[]", '{"format": "constants/2"}'):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"constants\.json"):
            load_constants(path)
    with pytest.raises(ValueError, match="cannot be read"):
        load_constants(tmp_path / "none.json")


def test_too_few_trials_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 400"):
        calibrate(CHEAP, trials=LEAST_TRIALS - 1)
