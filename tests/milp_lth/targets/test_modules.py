"""Targets whose class is the user's own code."""

from pathlib import Path

import pytest
import torch
from torch import nn

from milp_lth.targets.files import load_state, load_target, save_state
from milp_lth.targets.modules import fill, make_module

CODE = """
from dataclasses import dataclass
import torch
from torch import nn

@dataclass
class Sizes:
    channels: int = 3

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, Sizes().channels, 3, padding=1)
        self.norm = nn.LayerNorm(3)
        self.last = nn.Linear(3, 2)

    def forward(self, x):
        return self.last(self.norm(torch.relu(self.conv(x)).mean((-1, -2))))

def failing():
    raise RuntimeError("no weights today\\nreally")

def nothing():
    return 7
"""


@pytest.fixture(name="code")
def _code(tmp_path: Path) -> Path:
    path = tmp_path / "nets.py"
    path.write_text(CODE)
    return path


def test_classes_are_found_in_files_and_packages(code: Path) -> None:
    assert type(make_module(f"{code}:Net")).__name__ == "Net"
    assert isinstance(make_module("torch.nn:ReLU"), nn.ReLU)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("{code}", "give FILE.py:CLASS"),
        ("{code}:", "give FILE.py:CLASS"),
        ("{code}:Missing", "AttributeError"),
        ("{code}:failing", "RuntimeError: no weights today$"),
        ("{code}:nothing", "is a int, not a torch.nn.Module"),
        ("missing.py:Net", "missing.py is no file"),
        ("no_such_package.nets:Net", "ModuleNotFoundError"),
    ],
)
def test_what_names_no_module_is_refused_in_a_line(code: Path, name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        make_module(name.format(code=code))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_state_dicts_fill_a_module(
    code: Path, tmp_path: Path, suffix: str, dtype: torch.dtype
) -> None:
    module = make_module(f"{code}:Net").to(dtype).eval()
    path = tmp_path / f"net{suffix}"
    if suffix == ".pt":
        torch.save(module.state_dict(), path)
        loaded = load_target(path, make_module(f"{code}:Net"))
    else:
        save_state(module, path)
        loaded = load_state(path, make_module(f"{code}:Net"))
    x = torch.randn(4, 1, 5, 5, dtype=dtype)
    assert torch.equal(loaded(x), module(x))
    assert not any(p.requires_grad for p in loaded.parameters())


def test_other_tensors_do_not(code: Path, tmp_path: Path) -> None:
    module = make_module(f"{code}:Net")
    with pytest.raises(ValueError, match="no state dict of a Net: .*conv.weight"):
        fill(module, {"conv.bias": torch.zeros(3)})
    with pytest.raises(ValueError, match="not a state dict"):
        fill(module, [torch.zeros(3)])
    path = tmp_path / "net.safetensors"
    path.write_bytes(b"\x10\x00")
    with pytest.raises(ValueError, match="not a whole target file"):
        load_state(path, module)
