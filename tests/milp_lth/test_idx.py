"""IDX files: read exactly, refused in one line when torn, truncated or mislabelled."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from milp_lth.evaluation import evaluate
from milp_lth.finding import find_ticket
from milp_lth.targets import named
from milp_lth.targets.files import load_target
from milp_lth.targets.idx import load_mnist, read_idx
from milp_lth.targets.named import load_data

IMAGES, LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


def idx(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return header + array.astype(np.uint8).tobytes()


@pytest.fixture
def images(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (20, 4, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path, images: np.ndarray) -> Path:
    (tmp_path / IMAGES).write_bytes(idx(images))
    (tmp_path / f"{LABELS}.gz").write_bytes(gzip.compress(idx(np.arange(20) % 10)))
    return tmp_path


def test_gzipped_or_not(folder: Path, images: np.ndarray) -> None:
    data = load_data(str(folder))
    assert data.x.shape == (20, 12)
    assert (data.x.numpy() == (images.reshape(20, 12) / np.float32(255))).all()
    assert data.y is not None
    assert data.y.tolist() == [*range(10), *range(10)]
    assert data.input_range == (0.0, 1.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c[:-1], "truncated"),
        (lambda c: c[:9], "truncated"),
        (lambda c: b"", "not an IDX file"),
        (lambda c: c + b"x", "longer than it says"),
        (lambda c: b"\x1f\x8b" + c[2:], "not an IDX file"),
        (lambda c: c[:3] + b"\x01" + c[4:], "not an IDX file"),
        (lambda c: c[:4] + b"\xff" * 12 + c[16:], "too much"),
        (lambda c: idx(np.zeros((7, 4, 3))), "7 images beside 20 labels"),
        (lambda c: idx(np.arange(20)), "in 3 dimensions"),
    ],
)
def test_what_is_wrong_is_said(folder: Path, change, message: str) -> None:  # type: ignore[no-untyped-def]
    path = folder / IMAGES
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ValueError, match=message):
        load_mnist(folder)


def test_torn_archives_and_missing_files(folder: Path) -> None:
    path = folder / f"{LABELS}.gz"
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(ValueError, match="truncated or damaged"):
        load_mnist(folder)
    path.write_bytes(b"not gzip at all")
    with pytest.raises(ValueError, match="cannot be read"):
        load_mnist(folder)
    path.unlink()
    with pytest.raises(ValueError, match=f"there is no {LABELS}"):
        load_mnist(folder)
    with pytest.raises(ValueError, match="cannot be read"):
        read_idx(folder / "none", 1)


def test_a_folder_does_not_hide_a_data_set(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    folder.rename("digits")
    assert load_data("digits").name == "digits"
    assert load_data("./digits").name == "mnist"


def test_openml_out_of_reach_names_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("sklearn.datasets.fetch_openml", refuse)
    with pytest.raises(ValueError, match="no network.*folder of its IDX files"):
        load_data("mnist")


def test_openml_gives_the_last_ten_thousand(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = np.arange(10_002.0)[:, None], np.array([str(k % 10) for k in range(10_002)])
    monkeypatch.setattr("sklearn.datasets.fetch_openml", lambda *a, **k: (x, y))
    data = named.load_data("mnist")
    assert data.x[0] == torch.tensor(2.0) / 255
    assert data.y is not None
    assert (len(data.y), int(data.y[0])) == (10_000, 2)


def test_the_papers_target_on_mnist(shared_data: Path) -> None:
    """The accuracy that the paper's own log gives for its target, and a ticket of it, for real."""
    target = load_target(shared_data / "pensia2020" / "fc2.pt")
    data = load_mnist(shared_data / "mnist")
    ticket = find_ticket(target, width=21, input_range=data.input_range)
    result = evaluate(ticket, target, data.x, data.y)
    assert result.target_accuracy == pytest.approx(0.9719, abs=1e-9)
    assert result.ticket_accuracy == pytest.approx(0.9719, abs=5e-4)
    assert result.agreement >= 0.999
