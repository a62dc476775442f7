"""Ticket files: small, exact, and refused when damaged."""

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
from torch import nn

from milp_lth.finding import find_ticket
from milp_lth.ticket_files import load_ticket, save_ticket


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("width", [None, 7, (9, 4)])
def test_round_trip(
    tmp_path: Path, dtype: torch.dtype, width: int | tuple[int, ...] | None
) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(6, 3), nn.ReLU(), nn.Linear(3, 2, bias=False)).to(
        dtype
    )
    ticket = find_ticket(net, width=width, seed=8)
    save_ticket(ticket, tmp_path / "t.safetensors")
    again = load_ticket(tmp_path / "t.safetensors")
    assert all(
        torch.equal(a, b)
        for a, b in zip(ticket.state_dict().values(), again.state_dict().values(), strict=True)
    )
    x = torch.randn(5, 2, 3, dtype=dtype)
    assert torch.equal(again(x), ticket(x))
    assert again.edges() == ticket.edges()
    assert again.settings.source == ticket.settings.source
    assert again.settings.input_range == ticket.settings.input_range


def test_weights_are_not_in_the_file(tmp_path: Path) -> None:
    ticket = find_ticket(nn.Linear(40, 30), width=20)
    save_ticket(ticket, tmp_path / "t.safetensors")
    bits = ticket.layers[0].v_mask.numel()
    assert (tmp_path / "t.safetensors").stat().st_size < bits / 8 + 4 * bits / 30 + 2000


@pytest.fixture
def parts(tmp_path: Path) -> tuple[Path, dict[str, np.ndarray], dict[str, object]]:
    path = tmp_path / "t.safetensors"
    save_ticket(find_ticket(nn.Linear(3, 2), width=5), path)
    tensors = safetensors.numpy.load_file(path)
    with safetensors.safe_open(path, framework="numpy") as file:
        stated = json.loads(file.metadata()["ticket"])
    return path, tensors, stated


@pytest.mark.parametrize(
    "change",
    [
        lambda t, s: s.update(format="other"),
        lambda t, s: s.update(seed=-1),
        lambda t, s: s.update(seed="zero"),
        lambda t, s: s.update(steps=["linear", "conv"]),
        lambda t, s: s.update(steps=["linear", "linear"]),
        lambda t, s: s.update(steps=[]),
        lambda t, s: s.update(dtype="float16"),
        lambda t, s: s.update(assignment="best"),
        lambda t, s: s.update(input_range=[1]),
        lambda t, s: s.update(layers=[]),
        lambda t, s: s.update(layers=None),
        lambda t, s: s["layers"][0].update(width=10**9),
        lambda t, s: s["layers"][0].pop("scale"),
        lambda t, s: t.pop("0.v_mask"),
        lambda t, s: t.update({"0.v_mask": t["0.v_mask"][:-1]}),
        lambda t, s: t.update({"0.v_mask": t["0.v_mask"].astype(np.float32)}),
        lambda t, s: t.update({"0.input_of": t["0.input_of"] + 3}),
        lambda t, s: t.update({"0.input_of": t["0.input_of"][None]}),
    ],
)
def test_damaged_tickets_are_refused(parts, change) -> None:  # type: ignore[no-untyped-def]
    path, tensors, stated = parts
    change(tensors, stated)
    path.write_bytes(safetensors.numpy.save(tensors, {"ticket": json.dumps(stated)}))
    with pytest.raises(ValueError, match=r"t\.safetensors"):
        load_ticket(path)


@pytest.mark.parametrize("content", [None, b"", b"\0" * 50, b"\xff" * 50, "half"])
def test_files_that_are_no_tickets_are_refused(parts, content: bytes | str | None) -> None:  # type: ignore[no-untyped-def]
    path = parts[0]
    whole = path.read_bytes()
    path.unlink()
    if content is not None:
        path.write_bytes(whole[: len(whole) // 2] if isinstance(content, str) else content)
    with pytest.raises(ValueError, match=r"t\.safetensors"):
        load_ticket(path)
