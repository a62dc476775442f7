"""Images and labels in IDX files, the format MNIST comes in."""

import gzip
import os
import zlib
from pathlib import Path
from typing import IO, cast

import numpy as np
import torch
from numpy.typing import NDArray

from instances.plain_files import size_of
from milp_lth.targets.data import Data

_TEST, _TRAINING = "t10k", "train"
_MAX_BYTES = 2**30
_SMALL, _MAX_RATIO = 2**24, 100  # beyond a few bytes, images that show something are not packed so


def read_idx(path: Path, num_dimensions: int) -> NDArray[np.uint8]:
    """Read an IDX file of bytes, gzipped where its name ends in ``.gz``.

    Parameters
    ----------
    path
        The file.
    num_dimensions
        How many the file must have: 3 for images, 1 for labels.

    Raises
    ------
    ValueError
        When the file is missing, truncated, too long, or of another kind.
    """
    try:
        size = size_of(path)
        with cast(IO[bytes], gzip.open(path) if path.suffix == ".gz" else path.open("rb")) as file:
            header = file.read(4 + 4 * num_dimensions)
            if header[:4] != bytes([0, 0, 8, num_dimensions]):
                raise ValueError(f"{path}: not an IDX file of bytes in {num_dimensions} dimensions")
            if len(header) < 4 + 4 * num_dimensions:
                raise ValueError(f"{path}: truncated")
            shape = np.frombuffer(header[4:], dtype=">u4").astype(object)
            count = int(np.prod(shape))
            if count > min(_MAX_BYTES, max(_SMALL, _MAX_RATIO * size)):
                raise ValueError(f"{path}: says that it holds {count:,} bytes, which is too much")
            content = file.read(count + 1)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (EOFError, zlib.error) as error:
        raise ValueError(f"{path}: truncated or damaged") from error
    if len(content) != count:
        kind = "truncated" if len(content) < count else "longer than it says"
        raise ValueError(f"{path}: {kind}")
    return np.frombuffer(content, dtype=np.uint8).reshape([int(d) for d in shape])


def load_mnist(folder: str | os.PathLike[str], *, training: bool = False) -> Data:
    """Return MNIST's 10,000 test or 60,000 training images, pixels in [0, 1], from IDX files.

    The folder holds ``t10k-images-idx3-ubyte`` and ``t10k-labels-idx1-ubyte``, gzipped or not; the
    training images lie in files that begin with ``train``.

    Raises
    ------
    ValueError
        When a file is missing, damaged, or the two do not fit.
    """
    part = _TRAINING if training else _TEST
    images_file = _find(Path(folder), f"{part}-images-idx3-ubyte")
    labels_file = _find(Path(folder), f"{part}-labels-idx1-ubyte")
    images, labels = read_idx(images_file, 3), read_idx(labels_file, 1)
    if len(images) != len(labels) or len(images) == 0:
        raise ValueError(f"{folder}: {len(images):,} images beside {len(labels):,} labels")
    x = torch.tensor(images.reshape(len(images), -1), dtype=torch.float32).div_(255)
    return Data("mnist", part, x, torch.tensor(labels.astype(np.int64)), (0.0, 1.0))


def _find(folder: Path, stem: str) -> Path:
    names = (stem, f"{stem}.gz", stem.replace("-idx", ".idx"))
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise ValueError(f"{folder}: there is no {stem}, gzipped or not")
