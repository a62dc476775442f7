"""What the constructions say of how their candidates are drawn: torch draws the same."""

import numpy as np
import pytest
import torch
from torch import nn

from instances.philox import UNIT_RAW, Stream, uniform
from milp_lth.reduction import Part, reduce
from milp_lth.source import Source
from solvers.heuristic import torch_draw
from solvers.heuristic.torch_draw import draw

CPU = torch.device("cpu")


def parts(construction: str, assignment: str = "matched", width: int = 11) -> tuple[Part, ...]:
    torch.manual_seed(3)
    target = nn.Sequential(nn.Linear(7, 9), nn.ReLU(), nn.Linear(9, 4, bias=False))
    source = Source(seed=5, width=width, construction=construction)
    return reduce(target, source, assignment=assignment).parts


CASES = [
    ("two-layer", "matched"),
    ("two-layer", "block"),
    ("direct", "matched"),
    ("direct-shared", "matched"),
]


@pytest.mark.parametrize(("construction", "assignment"), CASES)
@pytest.mark.parametrize("at_once", [1, 50, 1 << 22])
def test_torch_draws_the_coefficients(
    construction: str, assignment: str, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_draw, "_AT_ONCE", at_once)
    found = parts(construction, assignment)
    assert len(found) == (3 if construction == "two-layer" else 2)
    for part in found:
        whole = part.instance()
        for start, stop in ((0, len(part)), (1, 2), (5, 23), (len(part) - 3, len(part))):
            rows = part.instance(start, stop)
            assert rows.recipe is not None
            drawn = draw(rows.recipe, len(rows), CPU).numpy()
            assert drawn.tobytes() == rows.coefficients.tobytes()
            assert drawn.tobytes() == whole.coefficients[start:stop].tobytes()
            if whole.available is not None:
                assert rows.available is not None
                assert (rows.available == whole.available[start:stop]).all()


def test_halves_without_candidates_have_none() -> None:
    """With one unit per input the matching may leave a half without any."""
    found = parts("two-layer", width=1)
    assert min(part.shape[1] for part in found) == 0
    for part in found:
        rows = part.instance()
        assert rows.recipe is not None
        assert rows.coefficients.shape == part.shape
        assert draw(rows.recipe, len(rows), CPU).shape == part.shape


@pytest.mark.parametrize("assignment", ["matched", "block"])
def test_two_layers_have_products_of_both_matrices(assignment: str) -> None:
    for part in parts("two-layer", assignment):
        drawn, units = part.layer.drawn, part.half.units
        products = np.where(units >= 0, drawn.v()[:, units] * drawn.u()[units], 0.0)
        assert (part.instance().coefficients == products.reshape(part.shape)).all()


@pytest.mark.parametrize("construction", ["direct", "direct-shared"])
def test_direct_edges_are_draws_between_the_extreme_weights(construction: str) -> None:
    for k, part in enumerate(parts(construction)):
        drawn = part.layer.drawn
        edges = part.instance().coefficients.reshape(drawn.num_outputs, drawn.num_inputs, 11)
        if construction == "direct-shared":
            assert (edges == edges[:, :1]).all()
            edges = edges[:, :1]
        draws = uniform(Stream(5, k, 0), np.arange(edges.size)).reshape(edges.shape)
        grid = UNIT_RAW * 2.0 ** np.frexp(max(abs(drawn.low), abs(drawn.high)))[1]
        moved = (draws + 1) / 2 * (drawn.high - drawn.low) + drawn.low
        assert (edges == np.rint(moved / grid) * grid).all()
        assert (edges == drawn.edges()).all()
        assert (edges[1:4] == drawn.edges(1, 4)).all()
