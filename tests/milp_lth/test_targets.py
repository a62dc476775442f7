"""Targets: trained ones are good, files are read without running code, the rest is refused."""

from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from milp_lth.evaluation import evaluate
from milp_lth.finding import find_ticket
from milp_lth.network import read_network
from milp_lth.targets.data import Data, random_data
from milp_lth.targets.files import load_target, load_written_target, save_target
from milp_lth.targets.named import load_data, load_named_target


def test_digits_are_as_stated(digits: tuple[nn.Module, Data]) -> None:
    net, data = digits
    network = read_network(net)
    assert [layer.weight.shape for layer in network.layers] == [(32, 64), (10, 32)]
    assert all(layer.bias is None for layer in network.layers)
    assert float(data.x.min()) >= 0
    assert float(data.x.max()) <= 1
    assert len(data.x) == 540
    assert float((net(data.x).argmax(1) == data.y).double().mean()) > 0.96


def test_wine_is_as_stated(wine: tuple[nn.Module, Data]) -> None:
    net, data = wine
    network = read_network(net)
    assert [layer.weight.shape for layer in network.layers] == [(16, 13), (3, 16)]
    assert all(layer.bias is not None for layer in network.layers)
    assert float(data.x.min()) < -1
    assert float(data.x.abs().max()) < 8
    assert float((net(data.x).argmax(1) == data.y).double().mean()) > 0.95


def test_training_repeats_and_leaves_torch_alone(digits: tuple[nn.Module, Data]) -> None:
    torch.manual_seed(123)
    before = torch.random.get_rng_state()
    again, data = load_named_target("digits-mlp")
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(
        torch.equal(a, b) for a, b in zip(digits[0].parameters(), again.parameters(), strict=True)
    )
    assert data.digest() == digits[1].digest()
    assert data.digest() != load_data("wine").digest()


def test_random_data_fill_their_range() -> None:
    data = random_data(6, (-3.0, 1.0), seed=4)
    assert data.x.shape == (1000, 6)
    assert -3 <= float(data.x.min()) < -2.9
    assert 0.9 < float(data.x.max()) <= 1
    assert data.digest() == random_data(6, (-3.0, 1.0), seed=4).digest()
    assert data.digest() != random_data(6, (-3.0, 1.0), seed=5).digest()


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".safetensors"])
def test_state_dicts_are_read(tmp_path: Path, suffix: str) -> None:
    names = [f"fc{k}" for k in range(1, 12)]  # fc10 comes after fc9 in any kind of file
    net = nn.Sequential()
    for name in names:
        net.add_module(name, nn.Linear(4, 4, bias=name != "fc3"))
        net.add_module("relu" + name, nn.ReLU())
    net = net[:-1]
    path = tmp_path / f"net{suffix}"
    if suffix == ".safetensors":
        safetensors.torch.save_file(net.state_dict(), path)
    else:
        torch.save(net.state_dict(), path)
    loaded = load_target(path)
    x = torch.randn(7, 4)
    assert torch.equal(loaded(x), net(x))
    assert [layer.name for layer in read_network(loaded).layers] == names


def test_the_papers_own_target(shared_data: Path) -> None:
    net = load_target(shared_data / "pensia2020" / "fc2.pt")
    assert [layer.weight.shape for layer in read_network(net).layers] == [(500, 784), (10, 500)]
    with pytest.raises(ValueError, match="--module FILE.py:CLASS"):
        load_target(shared_data / "pensia2020" / "lenet5.pt")


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("exploded"),))


def write_bad_file(path: Path, kind: str) -> None:
    torch.manual_seed(0)
    state = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 2)).state_dict()
    good = dict(state)
    if kind == "pickled module":
        torch.save(nn.Linear(2, 2), path)
    elif kind == "evil":
        torch.save({"0.weight": Evil()}, path)
    elif kind == "list":
        torch.save([1, 2, 3], path)
    elif kind == "empty dict":
        torch.save({}, path)
    elif kind == "folder":
        path.mkdir()
    elif kind in ("empty", "garbage", "truncated"):
        torch.save(good, path)
        whole = path.read_bytes()
        path.write_bytes(
            {"empty": b"", "garbage": b"\x00\xff" * 99, "truncated": whole[:900]}[kind]
        )
    elif kind == "shapes":
        torch.save(good | {"2.weight": torch.ones(2, 5)}, path)
    elif kind == "bias":
        torch.save(good | {"0.bias": torch.ones(7)}, path)
    elif kind == "conv":
        torch.save({"conv.weight": torch.ones(2, 1, 3, 3)} | good, path)
    elif kind == "nan":
        torch.save(good | {"0.weight": torch.full((2, 3), torch.nan)}, path)
    elif kind == "inf":
        torch.save(good | {"0.bias": torch.full((2,), torch.inf)}, path)
    elif kind == "half":
        torch.save({k: v.half() for k, v in good.items()}, path)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "No such file"),
        ("folder", "directory"),
        ("empty", "not a whole"),
        ("garbage", "not a whole|refused"),
        ("truncated", "not a whole"),
        ("pickled module", r"state_dict\(\)"),
        ("evil", r"state_dict\(\)"),
        ("list", r"state_dict\(\)"),
        ("empty dict", "no layers"),
        ("shapes", "takes 5 inputs, but '0' gives 2"),
        ("bias", "bias"),
        ("conv", "'conv.weight' of shape"),
        ("nan", "NaN"),
        ("inf", "NaN or infinite"),
        ("half", "float16"),
    ],
)
def test_bad_files_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_bad_file(tmp_path / "net.pt", kind)
    with pytest.raises(ValueError, match=message):
        load_target("net.pt")
    assert not Path("exploded").exists()


@pytest.mark.parametrize(
    "content", [b"", b"\x00" * 20, b"\xff" * 2000, b'\x08\0\0\0\0\0\0\0{"a":1}']
)
def test_bad_safetensors_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes(content)
    for load in (load_target, load_written_target):
        with pytest.raises(ValueError, match=r"net\.safetensors"):
            load(path)


def test_other_suffixes_and_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.safetensors or \.pt"):
        load_target(tmp_path / "net.h5")
    with pytest.raises(ValueError, match="digits-mlp, wine-mlp"):
        load_named_target("mnist-mlp")
    with pytest.raises(ValueError, match="digits, wine"):
        load_data("imagenet")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_written_target_is_read_back(tmp_path: Path, dtype: torch.dtype) -> None:
    net = nn.Sequential(
        nn.Flatten(),
        nn.Linear(4, 3, dtype=dtype),
        nn.ReLU(),
        nn.Linear(3, 2, bias=False, dtype=dtype),
    )
    network = read_network(net)
    save_target(network, tmp_path / "t.safetensors")
    again = load_written_target(tmp_path / "t.safetensors")
    assert again.steps == network.steps
    assert [layer.name for layer in again.layers] == ["1", "3"]
    assert again.dtype == dtype
    x = torch.randn(5, 2, 2, dtype=dtype)
    assert torch.equal(again.module()(x), net(x))


def held_to_the_bar(
    net: nn.Module, data: Data, **settings: object
) -> tuple[np.ndarray, np.ndarray]:
    """Return max abs Δlogit and agreement on each of 20 seeds."""
    results = []
    for seed in range(20):
        ticket = find_ticket(net, seed=seed, input_range=data.input_range, **settings)  # type: ignore[arg-type]
        results.append(evaluate(ticket, net, data.x, data.y))
    return np.array([r.max_logit_error for r in results]), np.array([r.agreement for r in results])


def test_digits_matched_at_width_24(digits: tuple[nn.Module, Data]) -> None:
    errors, agreement = held_to_the_bar(*digits, width=24)
    assert errors.max() <= 0.05
    assert (agreement == 1).all()


def test_digits_block_at_width_48(digits: tuple[nn.Module, Data]) -> None:
    errors, agreement = held_to_the_bar(*digits, width=48, assignment="block")
    assert np.median(errors) <= 0.02
    assert (errors <= 0.05).mean() >= 0.8
    assert agreement.min() >= 0.995


def test_wine_at_its_default_width(wine: tuple[nn.Module, Data]) -> None:
    """Both halves and biases, at width 48 for the first layer and 24 for the second."""
    errors, agreement = held_to_the_bar(*wine, width=(48, 24))
    assert errors.max() <= 0.05
    assert (agreement == 1).all()
