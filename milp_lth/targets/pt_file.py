"""PyTorch's own files, read with nothing but tensors in them and nothing larger than they are."""

import pickle
import pickletools
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import torch

from instances.plain_files import size_of

MAPPED_BYTES = 100 * 2**20
"""Files beyond are mapped into memory: what is not looked at is not read."""

# what torch itself allows goes further: some of it makes tensors of any size out of nothing
_NAMES = re.compile(
    r"collections OrderedDict|torch\._utils _rebuild_(tensor_v2|parameter|parameter_with_state)"
    r"|torch [A-Z][A-Za-z0-9]*Storage"
)
_ZIP = b"PK\x03\x04"
_OLD_PICKLES = 4  # in front of a file of the old format: what it is, and what it holds


def read_pt(path: Path) -> Any:
    """Return what `torch.save` wrote, a dictionary of tensors as a rule; no code is run.

    Parameters
    ----------
    path
        The file. One that is large is mapped into memory.

    Raises
    ------
    OSError, MemoryError
        When it cannot be read.
    ValueError
        When it is not whole, packed, holds more than tensors, or says that it holds more numbers
        than there are.
    """
    size = size_of(path)
    try:
        content = _read(path, size)
    except (OSError, MemoryError, _PackedError):
        raise
    except pickle.UnpicklingError as error:
        raise ValueError(
            "refused, it holds more than tensors: save the module's state_dict() instead"
        ) from error
    except Exception as error:  # of many kinds: zipfile, pickletools and torch have theirs
        raise ValueError(f"not a whole {path.suffix} file of tensors") from error
    if isinstance(content, Mapping):
        for name, value in content.items():
            if isinstance(value, torch.Tensor) and not _is_whole(value):
                raise ValueError(
                    f"{name!r} has more numbers than the file holds: save it with .contiguous()"
                )
    return content


class _PackedError(ValueError):
    """What is in an archive may be larger than the archive."""


def _read(path: Path, size: int) -> Any:
    with path.open("rb") as file:
        zipped = file.read(len(_ZIP)) == _ZIP
        file.seek(0)
        if zipped:
            _check_archive(file, size)
        else:
            for _ in range(_OLD_PICKLES):
                _check_names(file)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of protocols and formats: it is read, or it is not
        mapped = zipped and size > MAPPED_BYTES
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped or None)


def _check_archive(file: IO[bytes], size: int) -> None:
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        packed = any(member.compress_type != zipfile.ZIP_STORED for member in members)
        if packed or sum(member.file_size for member in members) > size:
            raise _PackedError("packed: save the state dict again, with torch.save")
        for member in members:
            if member.filename.endswith("data.pkl"):
                with archive.open(member) as stream:
                    _check_names(stream)


def _check_names(stream: IO[bytes]) -> None:
    """Look through one pickle, without following it."""
    for operation, argument, _ in pickletools.genops(stream):
        if operation.name == "GLOBAL" and not _NAMES.fullmatch(str(argument)):
            raise pickle.UnpicklingError(f"names {argument}")


def _is_whole(tensor: torch.Tensor) -> bool:
    """Whether a tensor has no more values than lie in memory."""
    if tensor.layout != torch.strided or tensor.is_meta:
        return False
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()
