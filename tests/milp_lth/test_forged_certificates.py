"""Forged certificates, sealed again by a careful forger: what is true refutes them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tampering import checked_again, seal, small_run, stated, whole_ticket

from milp_lth.certificates.affine import read_pair
from milp_lth.certificates.certificate_file import CERTIFICATES
from milp_lth.certificates.certifying import certify_run
from milp_lth.certificates.exactly import outputs_at, rounded_down
from milp_lth.run import Run
from milp_lth.verification import check_run


@pytest.fixture(scope="module")
def certified_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with every kind of certificate. Read only."""
    folder = small_run(tmp_path_factory.mktemp("certified"))
    certify_run(folder, exact=True, radius=0.1, inputs=6)
    return folder


@pytest.fixture
def certified(certified_run: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(certified_run, tmp_path / "run"))


def forged(folder: Path, change: Callable[[Any], None]) -> list[str]:
    """Change what is said, seal the folder again, and return the problems."""
    said = stated(folder)
    change(said)
    (folder / CERTIFICATES).write_text(json.dumps(said))
    seal(folder)
    return check_run(folder)


def test_removed_certificates_are_missed(certified: Path) -> None:
    (certified / CERTIFICATES).unlink()
    (problem,) = check_run(certified)
    assert problem.startswith(f"{CERTIFICATES} was removed")


def test_a_changed_file_is_noticed_even_where_nothing_is_false(certified: Path) -> None:
    (certified / CERTIFICATES).write_text(json.dumps(stated(certified)))
    assert check_run(certified) == [f"{CERTIFICATES} was changed after the run"]


def halved(section: str, name: str) -> Callable[[Any], None]:
    return lambda said: said[section].update({name: said[section][name] / 2})


def box_that_is(status: str, said: Any) -> Any:
    return next(box for box in said["boxes"] if box["status"] == status)


FORGERIES: dict[str, tuple[Callable[[Any], None], str]] = {
    "a smaller bound": (halved("outputs", "bound"), "the recorded outputs.bound is"),
    "a smaller error": (
        lambda said: said["outputs"]["layers"][0].update(max_error=0.0),
        "the recorded outputs.layers[0].max_error is 0.0",
    ),
    "an error that is smaller in its last bit": (
        lambda said: said["outputs"]["layers"][0].update(
            max_error=float(np.nextafter(said["outputs"]["layers"][0]["max_error"], 0))
        ),
        "the recorded outputs.layers.max_error[0] is",
    ),
    "a bound for more inputs": (
        lambda said: said["outputs"].update(domain="everywhere"),
        'the recorded outputs.domain is "everywhere"',
    ),
    "a smaller worst case": (halved("worst_case", "upper"), "below the lower bound"),
    "a smaller lower bound": (halved("worst_case", "lower"), "the recorded worst_case.lower is"),
    "another input": (
        lambda said: said["worst_case"]["input"].__setitem__(2, 0.25),
        "the recorded worst_case.lower is",
    ),
    "an input outside": (
        lambda said: said["worst_case"]["input"].__setitem__(2, 1.5),
        "the worst input is not within -1.0 to 1.0",
    ),
    "an output that is none": (
        lambda said: said["worst_case"].update(output=3),
        "the worst input's output 3 does not exist",
    ),
    "a worst case that is not exact": (
        lambda said: said["worst_case"].update(exact=not said["worst_case"]["exact"]),
        "worst_case.exact is",
    ),
    "a number in words": (
        lambda said: said["worst_case"].update(upper="much"),
        "is damaged: 'much' is no number",
    ),
    "no input": (lambda said: said["worst_case"].pop("input"), "is damaged: 'input' is missing"),
    "a box too many": (
        lambda said: said["boxes"].append(said["boxes"][0]),
        "boxes has 7 entries, but 6 were asked for",
    ),
    "a refutation without a counterexample": (
        lambda said: box_that_is("PROVED", said).update(status="REFUTED"),
        "does not go with its counterexample",
    ),
    "a false proof": (
        lambda said: box_that_is("REFUTED", said).update(
            status="PROVED", counterexample=None, classes=None
        ),
        "refutes it",
    ),
    "other classes": (
        lambda said: box_that_is("REFUTED", said)["classes"].reverse(),
        ".classes[0] is",
    ),
    "a counterexample of another size": (
        lambda said: box_that_is("REFUTED", said)["counterexample"].pop(),
        "is damaged: an input has 6 numbers, not 5",
    ),
    "a larger radius": (lambda said: said["asked"].update(radius=1.5), "refutes it"),
    "a counterexample that is none": (
        lambda said: box_that_is("REFUTED", said).update(counterexample=[0.9] * 6),
        "the counterexample is not in the box",
    ),
    "another table": (
        lambda said: said["rows"][3]["tables"].reverse(),
        "the recorded rows[3].tables[0] is",
    ),
    "a smaller least error": (
        lambda said: said["rows"][3].update(least_error=0.0),
        "the recorded rows[3].least_error is 0.0",
    ),
    "rows of one's own choice": (
        lambda said: said["rows"][0].update(row=said["rows"][0]["row"] + 1),
        "the recorded rows[0].row is",
    ),
    "fewer rows": (lambda said: said["rows"].pop(), "rows has 63 entries, but there are 64"),
    "nothing at all": (lambda said: said.update(rows=None), "is damaged"),
    "another question": (
        lambda said: said["asked"].update(exact=False),
        "worst_case is recorded, but nothing of that name was asked for",
    ),
    "no question": (lambda said: said.pop("asked"), "is damaged: what was asked is not said"),
    "a word too many": (
        lambda said: said.update(proved=True),
        "proved is recorded, but nothing of that name was asked for",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", FORGERIES)
def test_forgeries_are_refuted_by_what_is_true(certified: Path, what: str) -> None:
    """The digests fit: whoever forged this was careful."""
    change, expected = FORGERIES[what]
    problems = forged(certified, change)
    assert any(expected in problem for problem in problems), problems
    assert all(problem.startswith(CERTIFICATES) for problem in problems), problems


def test_a_worst_input_that_is_not_the_worst_is_found_when_all_is_proved_again(
    certified: Path,
) -> None:
    """Input, lower and upper bound agree with each other: a program must be solved to know."""
    run = Run(certified)
    x = 0.99 * np.array(stated(certified)["worst_case"]["input"])
    found = outputs_at(read_pair(run.network.module(), whole_ticket(run)), x)
    apart = [abs(a - b) for a, b in zip(*found, strict=True)]
    value = rounded_down(max(apart))

    def change(said: Any) -> None:
        said["worst_case"] |= {
            "lower": value, "upper": value, "exact": True, "input": x.tolist(),
            "output": apart.index(max(apart)),
        }  # fmt: skip

    assert forged(certified, change) == []
    problems = checked_again(certified)
    assert any("but an input differs by" in problem for problem in problems), problems
