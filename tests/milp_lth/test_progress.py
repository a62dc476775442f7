"""What is told of progress, by a clock of the test's own."""

import pytest

from milp_lth.cli import progress
from milp_lth.cli.progress import Progress


def test_what_was_done_before_says_nothing_about_the_rate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    with Progress("weights") as tell:
        for now, done in ((0.01, 900), (1.0, 905), (10.01, 950), (12.0, 960), (20.01, 1000)):
            clock[0] = now
            tell(done, 1000, 0.5)
    assert capsys.readouterr().err == (
        "950 of 1,000 weights, about 10 s left, worst error 5.0e-01\n"
    )


def test_nothing_is_foretold_of_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    with Progress("rows") as tell:
        clock[0] = 3.0
        tell(0, 10)
    assert capsys.readouterr().err == "0 of 10 rows\n"
