"""Files of tickets whose layers do not stand in a row: read with a module of the target's class."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch
from kinds import ATTENDING, KINDS, made, outputs
from torch import nn

from milp_lth.finding import find_ticket
from milp_lth.ticket_files import load_ticket, save_ticket

CASES = [(kind, False) for kind in KINDS] + [(kind, True) for kind in ATTENDING]

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections")


@pytest.mark.parametrize("construction", ["two-layer", "direct"])
@pytest.mark.parametrize(("kind", "products"), CASES)
def test_round_trip(tmp_path: Path, kind: str, products: bool, construction: str) -> None:
    path = tmp_path / "t.safetensors"
    ticket = find_ticket(made(kind), width=7, seed=3, construction=construction, products=products)
    save_ticket(ticket, path)
    again = load_ticket(path, made(kind, seed=8))  # whatever its weights
    mine, theirs = again.state_dict(), ticket.state_dict()
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    x = KINDS[kind].inputs()
    with torch.no_grad():
        assert torch.equal(outputs(again(*x)), outputs(ticket(*x)))
        assert torch.equal(outputs(again.fold()(*x)), outputs(ticket.fold()(*x)))
    assert again.edges() == ticket.edges()


def test_dense_parts_keep_their_dtype(tmp_path: Path) -> None:
    path = tmp_path / "t.safetensors"
    ticket = find_ticket(made("encoder", torch.float64), width=7)
    save_ticket(ticket, path)
    again = load_ticket(path, made("encoder"))
    x = KINDS["encoder"].inputs()
    assert torch.equal(again(*x), ticket(*x))
    moved = find_ticket(made("encoder"), width=7).to(torch.float64)
    save_ticket(moved, path)
    assert torch.equal(load_ticket(path, made("encoder"))(*x), moved(*x))


def test_dense_weights_in_any_layout(tmp_path: Path) -> None:
    target = made("transposed").to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    target[0].weight.data = target[0].weight.data.transpose(2, 3)
    ticket = find_ticket(target, width=7)
    save_ticket(ticket, tmp_path / "t.safetensors")
    again = load_ticket(tmp_path / "t.safetensors", made("transposed"))
    state = ticket.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in again.state_dict().items())


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_ticket(find_ticket(made("residual"), width=7), tmp_path / "t.safetensors")
    return tmp_path / "t.safetensors"


def test_without_a_module_it_says_what_it_needs(saved: Path) -> None:
    with pytest.raises(ValueError) as error:
        load_ticket(saved)
    message = str(error.value)
    assert "t.safetensors" in message
    assert "give a module of the target's class" in message
    assert "\n" not in message


class Wider(nn.Module):
    """The layers of another class at the same places, and more beside them."""

    def __init__(self, stride: int = 1) -> None:
        super().__init__()
        like = made("residual")
        self.stem, self.one, self.last = like.stem, nn.Conv2d(4, 4, 3, stride, 1), like.last
        self.second = nn.BatchNorm2d(4)
        self.more = nn.ConvTranspose2d(4, 4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.last(self.more(self.second(self.one(self.stem(x)))))
        return y


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (lambda: made("conv2d"), "no ticket of a Sequential: its layers are elsewhere"),
        (lambda: nn.Sequential(nn.Linear(2, 2), nn.ReLU()), "its layers are elsewhere"),
        (Wider, "no ticket of a Wider: its dense weights are others"),
        (lambda: Wider(stride=2), "no ticket of such a Wider: 'one' is another"),
        (lambda: nn.ReLU(), "no linear layer"),
    ],
)
def test_a_module_of_another_class_is_refused(saved: Path, module: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        load_ticket(saved, module())
    assert "t.safetensors" in str(error.value)
    assert "\n" not in str(error.value)


def changed(path: Path, change: Any) -> None:
    tensors = safetensors.numpy.load_file(path)
    with safetensors.safe_open(path, framework="numpy") as file:
        stated = json.loads(file.metadata()["ticket"])
    change(tensors, stated)
    path.write_bytes(safetensors.numpy.save(tensors, {"ticket": json.dumps(stated)}))


@pytest.mark.parametrize(
    "change",
    [
        lambda t, s: s.pop("places"),
        lambda t, s: s.update(places=[["stem"]]),
        lambda t, s: s.update(places=None),
        lambda t, s: s.update(products=None) or s.update(places=[]),
        lambda t, s: s["layers"].pop(),
        lambda t, s: s["layers"][0].update(form={"kind": "dense"}),
        lambda t, s: s["layers"][0].update(form="convolution"),
        lambda t, s: s["layers"][0]["form"].update(kernel=[3, 3, 3]),
        lambda t, s: s["layers"][0]["form"].update(kernel=[2, 2]),
        lambda t, s: s["layers"][0]["form"].update(groups=3),
        lambda t, s: s["layers"][0]["form"].update(padding="half"),
        lambda t, s: s["layers"][1].update(num_inputs=10**6),
        lambda t, s: t.update({"0.v_mask": t["0.v_mask"][1:]}),
    ],
)
def test_damaged_files_are_refused(saved: Path, change: Any) -> None:
    changed(saved, change)
    with pytest.raises(ValueError, match=r"t\.safetensors"):
        load_ticket(saved, made("residual"))


@pytest.mark.parametrize(
    "change",
    [
        lambda t, s: t.pop("dense.0.weight"),
        lambda t, s: t.update({"dense.0.weight": np.zeros(7, np.float32)}),
        lambda t, s: t.update({"dense.1.weight": np.zeros(7, np.float32)}),
    ],
)
def test_other_dense_weights_are_refused(tmp_path: Path, change: Any) -> None:
    path = tmp_path / "t.safetensors"
    save_ticket(find_ticket(made("transposed"), width=7), path)
    changed(path, change)
    with pytest.raises(ValueError, match="its dense weights are others"):
        load_ticket(path, made("transposed"))
