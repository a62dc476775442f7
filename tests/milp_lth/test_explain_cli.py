"""``milp-lth explain``: what is printed, what is refused, what is written."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from milp_lth.cli import main as cli
from milp_lth.finding import find_ticket
from milp_lth.run import Run
from milp_lth.ticket import Ticket


def explain(*arguments: object, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Run the command in this process; return exit code, standard output and error."""
    capsys.readouterr()
    code = cli._run(["explain", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def stated(*arguments: object, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    code, out, err = explain(*arguments, "--json", capsys=capsys)
    assert (code, err) == (0, "")
    return dict(json.loads(out))


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def net() -> nn.Sequential:
    """A small network with biases, in a file."""
    torch.manual_seed(4)
    target = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).requires_grad_(False)
    torch.save(target.state_dict(), "net.pt")
    return target


NET = ("--target", "net.pt", "--width", "9,7", "--seed", 5)


def test_without_a_choice_the_first_layer(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = explain("--target", "wine-mlp", "--width", 12, capsys=capsys)
    assert (code, err) == (0, "")
    assert out.startswith("wine-mlp, layer 0 (1 of 2), 13 inputs and a bias, 16 outputs\n")
    assert "seed 0, two-layer, width 12, matched, V in 4·[-1, 1), closest\n" in out
    assert "432 OPTIMAL" in out
    (worst, at) = re.findall(r"--output (\d+) --input (\w+) its worst weight", out)[0]
    code, out, _ = explain(
        "--target", "wine-mlp", "--width", 12, "--output", worst, "--input", at, capsys=capsys
    )
    assert code == 0
    assert "hidden units with U > 0, for x > 0" in out
    assert "hidden units with U < 0, for x < 0" in out


@pytest.mark.parametrize("construction", ["two-layer", "direct", "direct-shared"])
@pytest.mark.parametrize("layer", ["0", "2"])
def test_the_numbers_are_those_of_the_ticket(
    net: nn.Sequential, construction: str, layer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ticket = find_ticket(net, seed=5, width=(9, 7), construction=construction)
    pruned = ticket.layers[0 if layer == "0" else 1]
    options = (*NET, "--construction", construction, "--layer", layer)
    weights = torch.column_stack([net[int(layer)].weight, net[int(layer)].bias]).double()
    signs = (1, -1) if pruned.has_halves else (1,)
    sums = {sign: pruned.half_weights(sign) for sign in signs}
    whole = stated(*options, capsys=capsys)
    assert whole["num_weights"] == weights.numel()
    assert whole["edges"]["kept_v"] == pruned.kept()[1]
    largest = 0.0
    for j, row in enumerate(weights):
        neuron = stated(*options, "--output", j, capsys=capsys)
        for one in neuron["weights"]:
            i = len(row) - 1 if one["input"] == "bias" else one["input"]
            assert one["target"] == row[i]
            assert one["sum"] == sums[one["sign"] or 1][j, i]
            assert one["error"] == abs(one["target"] - one["sum"])
            largest = max(largest, one["error"])
        assert neuron["samples"]["num_inputs"] == 1000
        assert len(neuron["weights"]) == len(signs) * (len(row) - 1) + 1
    assert whole["errors"]["max"] == largest
    for i in ("0", "bias"):
        weight = stated(*options, "--output", 1, "--input", i, capsys=capsys)
        column = -1 if i == "bias" else 0
        assert weight["weight"] == weights[1, column]
        assert len(weight["halves"]) == (1 if i == "bias" else len(signs))
        for half in weight["halves"]:
            kept = [c["product"] for c in half["candidates"] if c["kept"]]
            assert half["ticket"]["sum"] == sum(kept) == sums[half["sign"] or 1][1, column]
            assert half["ticket"]["kept"] == len(kept)
            assert half["subsets"] == 2 ** len(half["candidates"])
            assert half["ticket"] == half["exact"]
            assert half["exact"]["error"] <= half["greedy"]["error"]
            for candidate in half["candidates"]:
                if construction == "two-layer":
                    assert candidate["product"] == candidate["u"] * candidate["v"]


def test_text_and_json_agree(net: nn.Sequential, capsys: pytest.CaptureFixture[str]) -> None:
    found = stated(*NET, "--output", 2, "--input", 1, capsys=capsys)
    _, out, _ = explain(*NET, "--output", 2, "--input", 1, capsys=capsys)
    for half in found["halves"]:
        for row in half["candidates"]:
            cells = [str(row["unit"]), f"{row['u']:.7f}", f"{row['v']:.7f}"]
            cells += [f"{row['product']:.10f}", *("·●"[row[key]] for key in ("kept", "greedy"))]
            assert " ".join(cells) in " ".join(out.split())
        one = half["ticket"]
        line = f"kept {one['sum']:.10g} {one['error']:.2g} {one['kept']} {one['status']}"
        assert line in " ".join(out.split())
    found = stated(*NET, "--output", 2, capsys=capsys)
    _, out, _ = explain(*NET, "--output", 2, capsys=capsys)
    rows = [line.split() for line in out.splitlines() if "OPTIMAL" in line][1:]
    assert len(rows) == len(found["weights"]) == 7
    assert {row[0] for row in rows} == {"0", "1", "2", "bias"}


def test_a_finished_run(finished_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = stated(finished_run, capsys=capsys)
    assert found["recorded"] == str(finished_run)
    assert (found["target"], found["source"]["width"]) == ("wine-mlp", 16)
    weight = stated(finished_run, "--layer", 2, "--output", 1, "--input", 4, capsys=capsys)
    ticket = Run(finished_run).load_ticket()
    assert isinstance(ticket, Ticket)
    mask = ticket.layers[1].v_mask[1]
    for row in weight["halves"][0]["candidates"]:
        assert row["kept"] == bool(mask[row["unit"]])
    _, out, _ = explain(finished_run, "--output", 3, capsys=capsys)
    assert f"masks: those that {finished_run} recorded\n" in out
    assert "54 inputs" in out


def test_what_couples_weights_is_shown_beside_the_closest_sums(
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["run", "--target", "wine-mlp", "--objective", "budget", "--budget", "600"]
    assert cli._run([*arguments, "--width", "10", "--out", "run"]) == 0
    found = stated("run", "--output", 2, "--input", 9, capsys=capsys)
    assert found["objective"]["name"] == "budget"
    assert any(half["exact"] != half["ticket"] for half in found["halves"])
    for half in found["halves"]:
        assert half["exact"]["error"] <= half["ticket"]["error"]
    _, out, _ = explain("run", "--output", 2, "--input", 9, capsys=capsys)
    assert re.search(r"^ exact +-?0", out, re.MULTILINE)


BAD = {
    "no such layer": (["--layer", "fc1"], "unknown layer 'fc1': choose one of '0', '2', or"),
    "no such output": (["--output", "16"], "output 16: layer '0' has outputs 0 to 15"),
    "no output at all": (["--output", "last"], "outputs 0 to 15"),
    "no such input": (["--output", 0, "--input", 13], "has inputs 0 to 12 and 'bias'"),
    "an input without output": (["--input", 3], "give the --output"),
    "an unknown target": (["--target", "resnet"], "choose one of digits-mlp"),
    "a width that is no number": (["--width", "wide"], "give a whole number"),
    "width 0": (["--width", "0"], "at least one hidden unit"),
    "no tolerance": (["--objective", "sparsest"], "needs a tolerance"),
    "an objective of runs": (["--objective", "budget"], "budget"),
    "an assignment too many": (["--construction", "direct", "--assignment", "block"], "no hidden"),
    "inputs outside their range": (["--input-range", "0", "1"], "negative"),
    "no folder": (["nowhere"], "nowhere/settings.json: cannot be read (No such file"),
    "no run": (["."], "settings.json: cannot be read"),
    "a page without units": (["--construction", "direct", "--out", "x.html"], "two-layer"),
    "a page too wide": (["--width", "90", "--out", "x.html"], "up to 40 candidates, and input 0"),
    "no place for a page": (["--out", "no/x.html"], "--out no/x.html: cannot be written"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    options, message = BAD[case]
    own = "--target" in options or not str(options[0]).startswith("--")
    target = [] if own else ["--target", "wine-mlp"]
    code, out, err = explain(*target, *options, capsys=capsys)
    assert (code, out) == (2, "")
    assert err.startswith("milp-lth: ")
    assert err.count("\n") == 1
    assert message in err
    assert not list(Path().iterdir())


@pytest.mark.parametrize(
    "option",
    [["--target", "wine-mlp"], ["--width", 3], ["--seed", 0], ["--objective", "closest"]],
)
def test_a_run_is_not_told_what_it_knows(
    option: list[object], finished_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = explain(finished_run, *option, capsys=capsys)
    assert (code, out) == (2, "")
    assert f"{option[0]}: {finished_run} holds the settings of its run: leave it out" in err


def test_an_unfinished_run_says_how_to_finish_it(
    run_copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import sqlite3

    with sqlite3.connect(run_copy / "results.sqlite") as connection:
        connection.execute("delete from figures")
    code, _, err = explain(run_copy, capsys=capsys)
    assert (code, err) == (
        2,
        f"milp-lth: {run_copy}: not finished: milp-lth resume {run_copy}\n",
    )


def test_more_candidates_than_can_be_solved_are_given_time(
    capsys: pytest.CaptureFixture[str],
) -> None:
    torch.save(nn.Sequential(nn.Linear(1, 1)).state_dict(), "net.pt")
    found = stated(
        "--target", "net.pt", "--width", 60, "--input-range", 0, 1, "--output", 0, "--input", 0,
        "--time-limit", 3, capsys=capsys,
    )  # fmt: skip
    (half,) = found["halves"]
    assert len(half["candidates"]) == 60
    assert half["ticket"]["status"] in ("FEASIBLE", "OPTIMAL")


class Scripts(HTMLParser):
    """The script elements of a page, as a browser takes them apart."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[dict[str, str | None], str]] = []
        self._open = False
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._open = tag == "script"
        if self._open:
            self.found.append((dict(attributes), ""))

    def handle_endtag(self, tag: str) -> None:
        self._open = False

    def handle_data(self, data: str) -> None:
        if self._open:
            attributes, text = self.found[-1]
            self.found[-1] = attributes, text + data


def given(path: str) -> dict[str, Any]:
    """What a page is given."""
    scripts = Scripts(Path(path).read_text(encoding="utf-8"))
    (text,) = (text for attributes, text in scripts.found if attributes.get("id") == "given")
    assert len(scripts.found) == 4
    return dict(json.loads(text)["layer"])


def test_a_page_holds_what_is_shown_and_no_more(capsys: pytest.CaptureFixture[str]) -> None:
    for j, i in (([], []), (["--output", 2], []), (["--output", 2], ["--input", 5])):
        options = ("--target", "wine-mlp", *j, *i, "--out", "page.html")
        code, out, _ = explain(*options, capsys=capsys)
        assert code == 0
        assert out.endswith("page: page.html\n")
        layer = given("page.html")
        assert len(layer["neurons"]) == (1 if j else 8)
        assert len(layer["inputs"]) == (1 if i else 14)
        assert ("8 are shown" in layer["about"]) == (not j)
        for neuron in layer["neurons"]:
            assert [len(neuron["weights"])] == {len(half) for half in neuron["kept"]} - {0} or [0]
    assert [p.name for p in Path().iterdir()] == ["page.html"]


def test_a_page_of_a_large_layer_stays_small(capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    torch.save(nn.Sequential(nn.Linear(1200, 16)).state_dict(), "net.pt")
    options = ("--target", "net.pt", "--width", 16, "--input-range", 0, 1, "--out", "page.html")
    for more, neurons in (((), 8), (("--output", 5), 1)):
        assert explain(*options, *more, capsys=capsys)[0] == 0
        layer = given("page.html")
        assert len(layer["neurons"]) == neurons
        assert len(layer["inputs"]) == (1000 if more else 520)
        told = f"of the 1,201 weights of a neuron {len(layer['inputs']):,} are shown"
        assert told in layer["about"].lower()
        assert Path("page.html").stat().st_size < 500_000
    assert np.diff(layer["inputs"]).min() > 0


def test_names_from_a_file_cannot_leave_their_place(capsys: pytest.CaptureFixture[str]) -> None:
    name = "</script><script>alert(1)</script><!--"
    torch.save({f"{name}.weight": torch.rand(2, 3)}, "net.pt")
    code, out, _ = explain("--target", "net.pt", "--width", 8, "--out", "page.html", capsys=capsys)
    assert code == 0
    assert name in out
    assert f"layer {name} of net.pt" in given("page.html")["title"]
    assert "alert(1)</script>" not in Path("page.html").read_text()


def test_the_docs_show_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """Line by line; the last digits of trained weights differ from machine to machine."""
    text = (Path(__file__).parents[2] / "docs" / "explain.md").read_text(encoding="utf-8")
    shown = re.findall(
        r"^```sh\nmilp-lth explain([^\n]*)\n```\n\n```text\n(.*?)^```$", text, re.M | re.S
    )
    assert len(shown) == 3
    for options, printed in shown:
        code, out, _ = explain(*options.split(), capsys=capsys)
        assert code == 0
        lines = [
            [re.sub(r"[-+\d.,e●·]+", "#", word) for word in line.split()]
            for lines in (out, printed)
            for line in lines.splitlines()
        ]
        assert lines[: len(lines) // 2] == lines[len(lines) // 2 :]
