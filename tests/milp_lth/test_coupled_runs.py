"""Runs whose weights are coupled: by a budget of edges, and by what they do to data."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from test_idx import idx

from milp_lth import Source, assemble, evaluate, load_named_target, reduce
from milp_lth.calibration import load_calibration
from milp_lth.cli import main as cli
from milp_lth.coupled import DataAware, EdgeLimit
from milp_lth.coupled_solving import budget_problems, solve_coupled
from milp_lth.data_aware import output_errors, solve_layers
from milp_lth.ledger import Ledger
from milp_lth.run_settings import RunSettings
from milp_lth.solving import solve_masks
from milp_lth.targets.data import Data
from milp_lth.targets.named import load_data
from milp_lth.verification import check_run
from solvers.registry import get_solver
from solvers.solve import solve


@pytest.mark.parametrize(
    ("options", "inputs"),
    [({"construction": "direct", "width": 6}, (0.0, 1.0)), ({"width": 8}, (0.0, 1.0)),
     ({"width": 16}, (-1.0, 1.0))],
)  # fmt: skip
def test_data_aware_layers_are_closer_on_data_that_neither_saw(
    options: dict[str, object], inputs: tuple[float, float]
) -> None:
    target, data = load_named_target("digits-mlp")
    calibration = load_data("digits", training=True).x
    reduction = reduce(target, Source(**options), input_range=inputs)  # type: ignore[arg-type]
    layers = list(solve_layers(reduction, DataAware(), calibration))
    masks = [mask for layer in layers for mask in layer.masks]
    alone = solve_masks(reduction)
    coupled, independent = (output_errors(reduction, m, data.x) for m in (masks, alone))
    assert all(c < i / 1.5 for c, i in zip(coupled, independent, strict=True))
    ticket = assemble(reduction, masks)
    off = (ticket.double()(data.x.double()) - target.double()(data.x.double())).square().mean()
    assert float(off.sqrt()) == pytest.approx(coupled[-1], rel=1e-4)
    found = output_errors(reduction, masks, calibration)
    assert [layer.calibration_error for layer in layers] == pytest.approx(found, rel=1e-9)


def test_biases_are_among_the_weights() -> None:
    torch.manual_seed(0)
    target = torch.nn.Sequential(torch.nn.Linear(5, 9), torch.nn.ReLU(), torch.nn.Linear(9, 3))
    x = torch.randn(300, 5)
    reduction = reduce(target, Source(width=(16, 8)))
    masks = [m for layer in solve_layers(reduction, DataAware(), x) for m in layer.masks]
    ticket, alone = (assemble(reduction, m) for m in (masks, solve_masks(reduction)))
    fresh = torch.randn(300, 5)
    errors = [(t(fresh) - target(fresh)).square().mean() for t in (ticket, alone)]
    assert errors[0] < errors[1] / 2


@pytest.mark.parametrize("norm", [1.0, float("inf")])
def test_other_norms_have_a_solver(norm: float) -> None:
    target = torch.nn.Linear(4, 3)
    x = torch.randn(30, 4)
    reduction = reduce(target, Source(width=5, construction="direct"))
    (layer,) = solve_layers(reduction, DataAware(norm), x)
    assert layer.solution.solver == "lns"
    alone = solve_masks(reduction)[0].reshape(3, -1)
    assert (layer.solution.objective <= layer.solution.instance.evaluate(alone)[0]).all()


def test_bad_calibration_is_refused(tmp_path: Path) -> None:
    reduction = reduce(torch.nn.Linear(4, 3), Source(width=5, construction="direct"))
    for x, message in ((torch.zeros(0, 4), "at least one"), (torch.full((3, 4), torch.nan), "NaN")):
        with pytest.raises(ValueError, match=message):
            list(solve_layers(reduction, DataAware(), x))
    with pytest.raises(ValueError, match="calibration inputs"):
        list(solve_coupled(reduction, DataAware()))
    data = Data("mine", "held out", torch.zeros(2, 4), None, (0.0, 1.0))
    for name, x, message in (
        ("narrow.npy", np.zeros((5, 3)), "give shape"), ("flat.npy", np.zeros(4), "give shape"),
        ("empty.npy", np.zeros((0, 4)), "one sample"), ("nan.npy", np.full((5, 4), np.nan), "NaN"),
        ("below.npy", np.full((5, 4), -1.0), "negative"),
    ):  # fmt: skip
        np.save(tmp_path / name, x)
        with pytest.raises(ValueError, match=message):
            load_calibration(str(tmp_path / name), data, None)
    (tmp_path / "broken.npz").write_bytes(b"no archive")
    np.savez(tmp_path / "other.npz", y=np.zeros((5, 4)))
    for name, message in (("broken.npz", "not a whole"), ("other.npz", "key 'x'"),
                          ("absent.npy", "No such file"), ("text.csv", "give .npy")):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            load_calibration(str(tmp_path / name), data, None)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".safetensors"])
def test_calibration_comes_from_files(suffix: str, tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    x, path = np.random.default_rng(0).random((6, 4)), tmp_path / f"x{suffix}"
    if suffix == ".npy":
        np.save(path, x)
    elif suffix == ".npz":
        np.savez(path, x=x)
    else:
        save_file({"x": x}, path)
    data = Data("mine", "held out", torch.zeros(2, 4), None, (0.0, 1.0))
    assert np.allclose(load_calibration(str(path), data, None).x, x)


def test_calibration_is_the_training_part_of_a_folder_of_images(tmp_path: Path) -> None:
    for stem, count in (("t10k", 5), ("train", 9)):
        images = np.full((count, 2, 2), count, np.uint8)
        (tmp_path / f"{stem}-images-idx3-ubyte").write_bytes(idx(images))
        labels = (np.arange(count) % 10).astype(np.uint8)
        (tmp_path / f"{stem}-labels-idx1-ubyte").write_bytes(idx(labels))
    folder = str(tmp_path)
    found = load_calibration(None, load_data(folder), folder)
    assert found.x.shape == (9, 4)
    assert found.x[0, 0] == pytest.approx(9 / 255)


def test_a_budget_of_edges_is_kept_and_its_optimum_proven() -> None:
    target, data = load_named_target("digits-mlp")
    reduction = reduce(
        target, Source(width=16, construction="direct"), input_range=data.input_range
    )
    last = np.inf
    for size in (500, 2000, 8000):
        limit = EdgeLimit(size)
        parts = list(solve_coupled(reduction, limit))
        masks = [part.mask for part in parts]
        assert sum(int(mask.sum()) for mask in masks) <= size
        assert parts[0].stated["status"]["OPTIMAL"] == 1
        (error,) = parts[0].stated["objective"]
        assert error < last
        last = error
        ticket = assemble(reduction, masks)
        assert ticket.edges()["kept_v"] <= size
    (problem,) = budget_problems(reduction, EdgeLimit(10**9))
    free = solve(problem.instance)
    alone = problem.together(solve_masks(reduction))
    assert free.objective[0] == pytest.approx(problem.instance.evaluate(alone)[0][0])


@pytest.mark.parametrize("measure", ["sum", "max", "rms"])
@pytest.mark.parametrize("per", ["network", "layer", "neuron"])
def test_budgets_are_shared_by_whom_one_says(per: str, measure: str) -> None:
    torch.manual_seed(0)
    target = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.ReLU(), torch.nn.Linear(5, 2))
    reduction = reduce(target, Source(width=(12, 6)))
    assert len(reduction.parts) == 3  # two halves before the ReLU
    size = {"network": 30, "layer": (16, 8), "neuron": (4, 6)}[per]
    limit = EdgeLimit(size, measure, per=per)
    solved = list(solve_coupled(reduction, limit))
    masks = [one.mask for one in solved]
    assert [one.part for one in solved] == [0, 1, 2]
    # neuron after neuron, the rows of both halves together, by hand
    kept = [sum(m.sum(axis=1).reshape(o, -1).sum(axis=1) for m in ms)
            for o, ms in ((5, masks[:2]), (2, masks[2:]))]  # fmt: skip
    if per == "network":
        assert sum(k.sum() for k in kept) <= 30
    elif per == "layer":
        assert kept[0].sum() <= 16
        assert kept[1].sum() <= 8
    else:
        assert kept[0].max() <= 4
        assert kept[1].max() <= 6
    stated = [one.stated for one in solved]
    errors = [part.instance().judge(mask).error.reshape(o, -1)
              for o, part, mask in zip((5, 5, 2), reduction.parts, masks, strict=True)]  # fmt: skip
    by_layer = [np.concatenate(errors[:2], axis=1), errors[2]]
    total = {"sum": np.sum, "max": np.max, "rms": lambda e: np.sqrt(np.mean(e**2))}[measure]
    if per == "network":
        groups = [[np.concatenate([e.ravel() for e in by_layer])]] * 3
    else:
        groups = [list(e) if per == "neuron" else [e] for e in (by_layer[0], *by_layer)]
    for one, group in zip(stated, groups, strict=True):
        assert one["objective"] == pytest.approx([total(e) for e in group], rel=1e-12)
        assert one["status"]["OPTIMAL"] == len(group)


def test_the_fewest_edges_within_an_error() -> None:
    torch.manual_seed(1)
    reduction = reduce(torch.nn.Linear(6, 4, bias=False), Source(width=8, construction="direct"))
    most, within = [], EdgeLimit(error=0.2, per="neuron")
    (part,) = solve_coupled(reduction, within)
    errors = reduction.parts[0].instance().judge(part.mask).error.reshape(4, 6).sum(axis=1)
    assert (errors <= 0.2).all()
    most = part.mask.reshape(4, -1).sum(axis=1)
    for neuron, size in enumerate(most):  # one edge fewer does not do
        (less,) = solve_coupled(reduction, EdgeLimit(int(size) - 1, per="neuron"))
        assert less.stated["objective"][neuron] > 0.2
    with pytest.raises(ValueError, match="is [0-9.e-]+ at least; give a larger limit"):
        list(solve_coupled(reduction, EdgeLimit(error=0.0)))


def run(*arguments: str) -> int:
    return cli._run(["run", *arguments])


@pytest.mark.parametrize(
    "arguments",
    [
        ("--objective", "data-aware", "--width", "8"),
        ("--objective", "data-aware", "--width", "5", "--construction", "direct", "--norm", "2",
         "--ridge", "0.05", "--solver", "error-feedback"),
        ("--objective", "data-aware", "--width", "6", "--construction", "direct",
         "--budget", "60,40"),
        ("--objective", "budget", "--budget", "2500", "--construction", "direct", "--width", "12"),
        ("--objective", "budget", "--budget", "2500", "--width", "16"),
        ("--objective", "budget", "--budget", "60,50", "--per", "neuron", "--measure", "rms",
         "--construction", "direct", "--width", "8"),
        ("--objective", "budget", "--error-limit", "100", "--width", "8",
         "--construction", "direct"),
    ],
)  # fmt: skip
def test_a_run_is_recorded_checked_and_shown(
    arguments: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments, "--out", str(tmp_path / "run"), "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    assert check_run(tmp_path / "run") == []
    coupled, independent = figures["beside"]["coupled"], figures["beside"]["independent"]
    assert coupled["accuracy"] == figures["ticket"]["accuracy"]
    assert coupled["kept_v"] == figures["edges"]["kept_v"]
    if "60,40" in arguments:
        assert coupled["kept_v"] <= 32 * 60 + 10 * 40 < independent["kept_v"]
    elif "budget" in arguments:
        assert figures["edges"]["kept_v"] <= 2500 < independent["kept_v"]
        assert all(
            sum(one["status"].values()) == one["status"]["OPTIMAL"] for one in figures["coupling"]
        )
    else:
        assert coupled["output_errors"][0] < independent["output_errors"][0] / 1.5
        assert len(figures["coupling"]) == 2
    page = (tmp_path / "run" / "report.html").read_text()
    assert "What coupling bought" in page
    assert cli._run(["report", str(tmp_path / "run")]) == 0
    assert (tmp_path / "run" / "report.html").read_text() == page


def test_what_is_said_of_the_coupling_is_checked(tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert run("--objective", "budget", "--budget", "900", "--construction", "direct",
               "--width", "8", "--out", str(out)) == 0  # fmt: skip
    with Ledger(out) as ledger:
        stated = ledger.figures()["coupling"]
        for change, message in (
            ({"objective": [0.0]}, "objective"), ({"status": {"OPTIMAL": 3}}, "status"),
            ({"bound": [1e9]}, "status"), ({"bound": "all"}, "status"),
        ):  # fmt: skip
            ledger.put_figures({"coupling": [stated[0] | change]})
            assert any(message in problem for problem in check_run(out))
        ledger.put_figures({"coupling": stated * 2})
        assert any("2 coupled problems" in problem for problem in check_run(out))
        ledger.put_figures({"coupling": 3})
        assert any("not recorded" in problem for problem in check_run(out))


def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    from milp_lth.execution import execute
    from milp_lth.run import Run
    from milp_lth.run_creation import create_run

    settings = RunSettings(objective="data-aware", width=6, construction="direct")
    whole, stopped = (create_run(settings, tmp_path / name) for name in ("whole", "stopped"))
    execute(Run(whole))
    with pytest.raises(KeyboardInterrupt):
        execute(Run(stopped), should_stop=lambda: True)
    execute(Run(stopped))
    one, two = ((folder / "ticket.safetensors").read_bytes() for folder in (whole, stopped))
    assert one == two
    assert check_run(stopped) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--objective", "budget"), "needs a --budget"),
        (("--objective", "budget", "--budget", "9", "--error-limit", "1"), "one of the two"),
        (("--objective", "budget", "--budget", "9,9"), "give one number"),
        (("--objective", "budget", "--budget", "9,9,9", "--per", "layer"), "for 2 layers"),
        (("--objective", "budget", "--budget", "nine"), "give a whole number"),
        (("--objective", "budget", "--error-limit", "nan"), "not negative"),
        (("--per", "layer"), "belongs to --objective budget"),
        (("--objective", "budget", "--budget", "-3"), "0 edges or more"),
        (("--budget", "30"), "belongs to --objective budget or data-aware"),
        (("--objective", "data-aware", "--budget", "30,9,9"), "for 2 layers"),
        (("--objective", "data-aware", "--budget", "-1"), "0 edges or more"),
        (("--objective", "data-aware", "--budget", "30", "--per", "layer"), "belongs to"),
        (("--norm", "1"), "belongs to --objective data-aware"),
        (("--objective", "budget", "--budget", "9", "--tolerance", "0.1"), "no --tolerance"),
        (("--objective", "data-aware", "--ridge", "-1"), "not negative"),
        (("--objective", "data-aware", "--calibration", "absent.npy"), "No such file"),
        (("--objective", "data-aware", "--solver", "mitm"), "choose one of .*lns"),
        (("--objective", "budget", "--budget", "9", "--solver", "greedy"), "budget"),
    ],
)
def test_bad_questions_leave_nothing_behind(
    arguments: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import re

    assert run(*arguments, "--out", str(tmp_path / "run")) == 2
    error = capsys.readouterr().err
    assert re.search(message, error), error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_named_solvers_are_the_ones_that_decide() -> None:
    target = torch.nn.Linear(4, 3)
    reduction = reduce(target, Source(width=4, construction="direct"))
    (layer,) = solve_layers(reduction, DataAware(), torch.randn(20, 4), get_solver("sphere"))
    assert layer.solution.counts()["OPTIMAL"] == 3
    found = evaluate(assemble(reduction, layer.masks), target, torch.rand(9, 4) * 2 - 1)
    assert found.agreement > 0
