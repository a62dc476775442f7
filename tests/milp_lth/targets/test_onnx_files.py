"""ONNX files as targets: what torch exports is read back; what is damaged or hostile is refused."""

import importlib.util
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from milp_lth.cli import main as cli
from milp_lth.run import Run
from milp_lth.targets import onnx_builder, onnx_file
from milp_lth.targets.files import load_target
from milp_lth.targets.onnx import load_onnx

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
helper, numpy_helper = onnx.helper, onnx.numpy_helper
FLOAT = onnx.TensorProto.FLOAT


class Residual(nn.Module):
    """A small network of images that branches, with what exporters fold and rewrite."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.again = nn.Conv2d(4, 4, 3, padding=1, groups=2, bias=False)
        self.pool = nn.MaxPool2d(2)
        self.dropout = nn.Dropout(0.5)
        self.linear = nn.Linear(64, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.conv(x)))
        x = self.pool(torch.relu(x + self.again(x)))
        result: torch.Tensor = self.linear(self.dropout(x.view(x.size(0), -1)))
        return result


class Attention(nn.Module):
    """One head after the other, as in a small transformer."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(6)
        self.q, self.k, self.v = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 6)
        self.out = nn.Linear(6, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, t, d = x.shape
        h = self.norm(x)
        q, k, v = (f(h).view(b, t, 2, 3).transpose(1, 2) for f in (self.q, self.k, self.v))
        a = (q @ k.transpose(-1, -2) / 3**0.5).softmax(-1)
        x = x + (a @ v).transpose(1, 2).reshape(b, t, d)
        result: torch.Tensor = self.out(nn.functional.gelu(x)).mean(1)
        return result


NETWORKS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "perceptron": (
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)), (2, 3),
    ),
    "residual": (Residual, (3, 8, 8)),
    "attention": (Attention, (5, 6)),
    "sequences": (
        lambda: nn.Sequential(
            nn.Conv1d(2, 3, 3), nn.BatchNorm1d(3), nn.LeakyReLU(), nn.AvgPool1d(2), nn.Flatten(),
            nn.Linear(9, 2), nn.LogSoftmax(-1),
        ), (2, 8),
    ),
    "images": (
        lambda: nn.Sequential(
            nn.ZeroPad2d((1, 0, 0, 2)), nn.Conv2d(2, 4, 3, stride=2, dilation=(1, 2)), nn.ReLU6(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Tanh(), nn.Linear(4, 4), nn.Sigmoid(),
            nn.Linear(4, 4), nn.GELU("tanh"), nn.Softmax(1),
        ), (2, 9, 8),
    ),
}  # fmt: skip


def make(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    torch.manual_seed(0)
    kind, shape = NETWORKS[name]
    module = kind().eval()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(part.weight)
            part.running_var.uniform_(0.5, 2)
            part.running_mean.normal_()
    return module, shape


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("dynamic", [True, False])
def test_what_torch_exports_is_read(tmp_path: Path, name: str, dynamic: bool) -> None:
    module, shape = make(name)
    path = tmp_path / "net.onnx"
    shapes = ({0: torch.export.Dim("n")},) if dynamic else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, (torch.zeros(2 if dynamic else 1, *shape),), path, dynamo=True,
            dynamic_shapes=shapes, external_data=not dynamic, verbose=False,
        )  # fmt: skip
    loaded = load_target(path)
    x = torch.randn(7, *shape)
    with torch.no_grad():
        torch.testing.assert_close(loaded(x), module(x), rtol=1e-4, atol=1e-5)
    held = [p for p in loaded.parameters() if p.requires_grad]
    assert not held


def perceptron(**tensors: Any) -> Any:
    """A model of one hidden layer, from x to y, as other frameworks write it."""
    rng = np.random.default_rng(1)
    held = {
        "fc1.weight": rng.standard_normal((13, 8)), "b1": rng.standard_normal(8),
        "fc2.weight": rng.standard_normal((3, 8)), "b2": rng.standard_normal(3),
    } | tensors  # fmt: skip
    nodes = [
        helper.make_node("MatMul", ["x", "fc1.weight"], ["h"]),
        helper.make_node("Add", ["h", "b1"], ["a"]),
        helper.make_node("Relu", ["a"], ["r"]),
        helper.make_node("Gemm", ["r", "fc2.weight", "b2"], ["y"], transB=1),
    ]
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("x", FLOAT, ["n", 13])],
        [helper.make_tensor_value_info("y", FLOAT, ["n", 3])],
        [numpy_helper.from_array(np.asarray(v, np.float32), k) for k, v in held.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])


def test_a_perceptron_becomes_a_ticket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    onnx.save(perceptron(), "net.onnx")
    arguments = ["run", "--target", "net.onnx", "--width", "8", "--data", "wine", "--json"]
    assert cli._run(arguments) == 0
    run = Run(tmp_path / "runs" / "net-1")
    assert [layer.name for layer in run.network.layers] == ["fc1", "fc2"]
    assert run.network.layers[0].weight.shape == (8, 13)
    assert cli._run(["check", "runs/net-1"]) == 0
    onnx.save(perceptron(b2=np.ones(4)), "bad.onnx")
    capsys.readouterr()
    assert cli._run(["run", "--target", "bad.onnx"]) == 2
    error = capsys.readouterr().err
    assert error == "milp-lth: bad.onnx: node 'y' (Gemm): it adds 4 numbers to 3 outputs\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a whole .onnx file"),
        (b"\x00\xff" * 99, "not a whole .onnx file"),
        (b"\x08\x07", "not a whole .onnx file"),
        (b"PK\x03\x04" + b"\0" * 60, "not a whole .onnx file"),
    ],
)
def test_garbage_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    with pytest.raises(ValueError) as caught:
        load_onnx(path)
    assert str(caught.value) == f"{path}: {message}"


def test_what_cannot_be_read(tmp_path: Path) -> None:
    for path, message in ((tmp_path / "none.onnx", "No such file"), (tmp_path, "directory")):
        with pytest.raises(ValueError, match=message):
            load_onnx(path)


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    whole = perceptron().SerializeToString()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"not a whole \.onnx file"):
            load_onnx(path)


def loaded_or_refused(path: Path) -> nn.Module | None:
    """Read a file that may be damaged: nothing but the promised error comes of it."""
    try:
        return load_onnx(path)
    except ValueError as error:
        message = str(error)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return None


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 7)), min_size=1, max_size=4))
def test_flipped_bits_are_refused_or_change_numbers(
    tmp_path_factory: pytest.TempPathFactory, flips: list[tuple[float, int]]
) -> None:
    content = bytearray(perceptron().SerializeToString())
    for place, bit in flips:
        content[int(place * (len(content) - 1))] ^= 1 << bit
    path = tmp_path_factory.mktemp("flipped") / "net.onnx"
    path.write_bytes(bytes(content))
    module = loaded_or_refused(path)
    assert module is None or module(torch.zeros(2, 13)).shape[0] == 2


@given(st.integers(0, 2**32 - 1))
def test_flipped_structure_is_refused_or_works(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    """Bits of all but the numbers, where nearly every one matters."""
    rng = np.random.default_rng(seed)
    model = perceptron()
    content = bytearray(model.SerializeToString())
    numbers = [i.raw_data for i in model.graph.initializer]
    free = [True] * len(content)
    for raw in numbers:
        start = bytes(content).index(raw)
        free[start : start + len(raw)] = [False] * len(raw)
    places = np.flatnonzero(free)
    for place in rng.choice(places, size=2, replace=False):
        content[place] ^= 1 << int(rng.integers(8))
    path = tmp_path_factory.mktemp("flipped") / "net.onnx"
    path.write_bytes(bytes(content))
    module = loaded_or_refused(path)
    assert module is None or isinstance(module, nn.Module)


def external(path: Path, location: str, **stated: int) -> Any:
    """A perceptron whose first weights lie at `location`."""
    model = perceptron()
    tensor = model.graph.initializer[0]
    raw = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in ({"location": location} | stated).items():
        tensor.external_data.add(key=key, value=str(value))
    path.write_bytes(model.SerializeToString())
    return raw


def test_weights_beside_the_file(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(perceptron(), path)
    expected = load_onnx(path).state_dict()
    raw = external(path, "weights/w.bin", offset=4, length=13 * 8 * 4)
    with pytest.raises(ValueError, match="No such file or directory.*keep the two files together"):
        load_onnx(path)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "w.bin").write_bytes(b"head" + raw)
    loaded = load_onnx(path).state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in expected.items())
    (tmp_path / "weights" / "w.bin").write_bytes(b"head" + raw[:-1])
    with pytest.raises(ValueError, match="truncated"):
        load_onnx(path)


@pytest.mark.parametrize(
    ("location", "stated", "message"),
    [
        ("../secret.bin", {}, "outside of the file's folder"),
        ("a/../../secret.bin", {}, "outside of the file's folder"),
        ("link.bin", {}, "outside of the file's folder"),
        ("ABSOLUTE", {}, "outside of the file's folder"),
        ("", {}, "outside of the file's folder"),
        ("a\0b", {}, "outside of the file's folder"),
        ("w.bin", {"offset": -4}, "does not fit"),
        ("w.bin", {"length": 3}, "does not fit"),
        ("w.bin", {"offset": 2**62}, "truncated"),
        ("w.bin", {"offset": "x"}, "not a whole"),
        (".", {}, "outside of the file's folder"),
    ],
)
def test_no_other_file_is_read(
    tmp_path: Path, location: str, stated: dict[str, int], message: str
) -> None:
    (tmp_path / "secret.bin").write_bytes(b"\0" * 1000)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    (folder / "w.bin").write_bytes(b"\0" * 1000)
    if location == "ABSOLUTE":
        location = str(tmp_path / "secret.bin")
    path = folder / "net.onnx"
    external(path, location, **stated)
    with pytest.raises(ValueError, match=message) as caught:
        load_onnx(path)
    assert "\n" not in str(caught.value)


def test_names_are_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    evil = 'x"); open("exploded", "w"); ("\n'
    model = perceptron()
    for k, node in enumerate(model.graph.node):
        node.name = f"{evil}{k}.weight"
    for tensor in model.graph.initializer:
        old, tensor.name = tensor.name, f"{tensor.name}{evil}.weight"
        for node in model.graph.node:
            for k, name in enumerate(node.input):
                if name == old:
                    node.input[k] = tensor.name
    model.graph.input[0].name = model.graph.node[0].input[0] = evil
    Path("net.onnx").write_bytes(model.SerializeToString())
    module = load_onnx("net.onnx")
    assert module(torch.zeros(2, 13)).shape == (2, 3)
    assert not Path("exploded").exists()
    model.graph.node[1].op_type = evil
    Path("net.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ValueError, match="is not supported") as caught:
        load_onnx("net.onnx")
    assert "\n" not in str(caught.value)


def test_one_input_and_one_output(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    model = perceptron()
    model.graph.output.append(helper.make_tensor_value_info("h", FLOAT, ["n", 8]))
    onnx.save(model, path)
    with pytest.raises(ValueError, match="1 input and 2 outputs"):
        load_onnx(path)
    model = perceptron()
    model.graph.input.append(helper.make_tensor_value_info("z", FLOAT, ["n", 8]))
    onnx.save(model, path)
    with pytest.raises(ValueError, match="2 inputs and 1 output: a target has one of each"):
        load_onnx(path)
    model = perceptron()  # before ONNX 1.4, tensors were inputs too
    for tensor in model.graph.initializer:
        model.graph.input.append(helper.make_tensor_value_info(tensor.name, FLOAT, tensor.dims))
    onnx.save(model, path)
    assert isinstance(load_onnx(path), nn.Module)


def test_what_nothing_needs_does_no_harm(tmp_path: Path) -> None:
    model = perceptron()
    model.graph.node.insert(2, helper.make_node("Mystery", ["a"], ["unused"], domain="my"))
    model.graph.initializer.append(
        numpy_helper.from_array(np.zeros(3, np.float16), "unused weights")
    )
    onnx.save(model, tmp_path / "net.onnx")
    assert isinstance(load_onnx(tmp_path / "net.onnx"), nn.Module)


def test_functions_of_a_file_are_refused(tmp_path: Path) -> None:
    model = perceptron()
    relu = helper.make_function(
        "", "Relu", ["x"], ["y"], [helper.make_node("Neg", ["x"], ["y"])],
        [helper.make_opsetid("", 13)],
    )  # fmt: skip
    model.functions.append(relu)
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ValueError, match="meaning of its own"):
        load_onnx(tmp_path / "net.onnx")


def test_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(perceptron(), path)
    with monkeypatch.context() as patched:
        patched.setattr(onnx_file, "_MAX_FILE", 100)
        with pytest.raises(ValueError, match="larger than 2 GiB"):
            load_onnx(path)
    with monkeypatch.context() as patched:
        patched.setattr(onnx_file, "_MAX_NODES", 3)
        with pytest.raises(ValueError, match="has 4 nodes"):
            load_onnx(path)
    model = perceptron()
    model.graph.node[1].op_type = "Mul"
    model.graph.node[1].input[0] = "b1"
    onnx.save(model, path)
    monkeypatch.setattr(onnx_builder, "MAX_COMPUTED", 4)
    with pytest.raises(ValueError, match="more than 4 numbers would follow"):
        load_onnx(path)


def test_without_the_package_the_cure_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    onnx.save(perceptron(), tmp_path / "net.onnx")
    monkeypatch.setattr(onnx_file, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'milp_lth\[onnx\]'"):
        load_target(tmp_path / "net.onnx")
    assert cli._run(["run", "--target", str(tmp_path / "net.onnx")]) == 4
    assert "pip install 'milp_lth[onnx]'" in capsys.readouterr().err
    assert importlib.util.find_spec("onnx") is not None
