"""Calibration inputs: what data-aware pruning looks at, and never judges by."""

import io
import os
import warnings
from pathlib import Path

import numpy as np
import torch

from instances.arrays import FloatArray, frozen
from instances.files import read_npz
from instances.plain_files import content_of, size_of
from milp_lth.targets.data import Data, random_data
from milp_lth.targets.named import load_data

MOST = 20_000
"""Inputs taken of a data set's training part."""


def load_calibration(file: str | None, data: Data, name: str | None) -> Data:
    """Return the calibration inputs of a run.

    Parameters
    ----------
    file
        ``.npy``, or ``.npz`` or ``.safetensors`` with the key ``x``: one input a row. None: the
        training part of the run's data, its first 20,000 inputs; where the run has no data, random
        inputs other than those it is judged by.
    data
        What the run is judged by.
    name
        What `load_data` was given for it; None: random inputs.

    Raises
    ------
    ValueError
        When the file cannot be read, or its inputs do not fit.
    """
    if file is None:
        if name is None:
            return random_data(data.x.shape[1], data.input_range, _OTHER_SEED)
        training = load_data(name, training=True)
        return Data(training.name, f"{training.split}, first {MOST:,}", training.x[:MOST],
                    None, data.input_range)  # fmt: skip
    x = _read(Path(file))
    if x.ndim != 2 or len(x) == 0 or x.shape[1] != data.x.shape[1]:
        raise ValueError(
            f"--calibration {file}: inputs of shape {x.shape}; give shape (samples, "
            f"{data.x.shape[1]}) with one sample at least"
        )
    inputs = torch.tensor(x, dtype=torch.float32)
    if not bool(inputs.isfinite().all()):
        raise ValueError(f"--calibration {file}: remove NaN, infinity and what float32 cannot hold")
    if data.input_range[0] >= 0 and (x < 0).any():
        raise ValueError(
            f"--calibration {file}: some inputs are negative: declare an --input-range that "
            "begins below 0"
        )
    return Data(os.path.abspath(file), "calibration", inputs, None, data.input_range)


_OTHER_SEED = 2**32 - 1


def _read(path: Path) -> FloatArray:
    try:
        if path.suffix == ".npy":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of headers that Python 2 wrote: these are read
                found = np.lib.format.read_array(io.BytesIO(content_of(path)), allow_pickle=False)
        elif path.suffix == ".npz":
            found = read_npz(content_of(path))["x"]
        elif path.suffix == ".safetensors":
            from safetensors.numpy import load_file

            size_of(path)
            found = load_file(path)["x"]
        else:
            raise ValueError("give .npy, .npz or .safetensors")
        return frozen(found, np.float64)
    except KeyError as error:
        raise ValueError(f"--calibration {path}: the key 'x' is missing") from error
    except OSError as error:
        reason = error.strerror or error
        raise ValueError(f"--calibration {path}: cannot be read ({reason})") from error
    except Exception as error:  # safetensors raises an error of its own
        raise ValueError(f"--calibration {path}: {error}") from error
