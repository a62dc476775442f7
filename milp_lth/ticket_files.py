"""Tickets in files: the seed and the masks; the random weights are drawn again."""

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
import torch

from instances.arrays import BoolArray
from instances.files import write_atomically
from milp_lth.constructions.assignment import ASSIGNMENTS
from milp_lth.constructions.registry import CONSTRUCTIONS
from milp_lth.network import LINEAR, RELU
from milp_lth.source import Source
from milp_lth.ticket import Ticket, TicketSettings

FORMAT = "milp_lth ticket/1"
_DTYPES = {"float32": torch.float32, "float64": torch.float64}


def save_ticket(ticket: Ticket, path: str | os.PathLike[str]) -> None:
    """Write `ticket` to a ``.safetensors`` file.

    The file holds per layer its mask, eight entries a byte, and what cannot be drawn, such as the
    input each hidden unit keeps; its metadata the rest. It appears whole or not at all.
    """
    settings = ticket.settings
    stated = ticket_stated(settings, ticket.layers[0].v.dtype)
    tensors: dict[str, Any] = {}
    for k, (layer, drawn) in enumerate(zip(ticket.layers, settings.layers, strict=True)):
        tensors |= {f"{k}.{name}": array for name, array in drawn.arrays().items()}
        tensors[f"{k}.v_mask"] = np.packbits(layer.v_mask.cpu().numpy())
    content = safetensors.numpy.save(tensors, {"ticket": json.dumps(stated)})
    write_atomically(Path(path), content)


def ticket_stated(settings: TicketSettings, dtype: torch.dtype) -> dict[str, Any]:
    """Return what a file says of a ticket beside its arrays; `dtype` is that of its weights."""
    return {
        "format": FORMAT,
        "seed": settings.source.seed,
        "construction": settings.source.construction,
        "distribution": settings.source.distribution,
        "width": settings.source.width,
        "assignment": settings.assignment,
        "input_range": list(settings.input_range),
        "steps": list(settings.steps),
        "dtype": str(dtype).removeprefix("torch."),
        "layers": [drawn.stated() for drawn in settings.layers],
    }


def load_ticket(path: str | os.PathLike[str]) -> Ticket:
    """Read a ticket and draw its random weights again.

    Of a ticket in shards give the index; all of it must fit into memory: `ShardedTicket` takes one
    that does not.

    Raises
    ------
    ValueError
        When the file is missing, truncated, or not a ticket.
    """
    path = Path(path)
    if path.suffix == ".json":
        from milp_lth.sharded_ticket import ShardedTicket

        return ShardedTicket(path).whole()
    try:
        path.open("rb").close()  # a missing file says so itself
        with safetensors.safe_open(path, framework="numpy") as file:
            stated = json.loads((file.metadata() or {}).get("ticket", "{}"))
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        settings, dtype = read_settings(stated, tensors)
        masks = [
            unpacked(tensors[f"{k}.v_mask"], drawn.mask_shape)
            for k, drawn in enumerate(settings.layers)
        ]
        return Ticket(settings, masks, dtype)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (safetensors.SafetensorError, KeyError, TypeError, AttributeError, RecursionError,
            OverflowError) as error:  # fmt: skip
        raise ValueError(f"{path}: not a whole ticket file") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def read_settings(
    stated: dict[str, Any], tensors: dict[str, Any]
) -> tuple[TicketSettings, torch.dtype]:
    """Return the settings and the weights' dtype of a ticket that a file describes.

    Raises
    ------
    KeyError, TypeError, ValueError, AttributeError
        When it does not describe one.
    """
    if stated.get("format") != FORMAT:
        raise ValueError(f"not a ticket: its metadata must say {FORMAT!r}")
    width = stated["width"]
    source = Source(
        seed=int(stated["seed"]),
        width=tuple(width) if isinstance(width, list) else width,
        construction=stated["construction"],
        distribution=stated["distribution"],
    )
    steps = tuple(stated["steps"])
    if any(step not in (LINEAR, RELU) and not _is_flatten(step) for step in steps):
        raise ValueError("its steps are not those of a supported network")
    if stated["assignment"] not in ASSIGNMENTS or stated["dtype"] not in _DTYPES:
        raise ValueError("its assignment or dtype is unknown")
    layers = []
    for k, fields in enumerate(stated["layers"]):
        prefix = f"{k}."
        arrays = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
        layers.append(CONSTRUCTIONS[source.construction].drawn.read(source, k, fields, arrays))
    if not layers or steps.count(LINEAR) != len(layers):
        raise ValueError("its steps and layers do not fit")
    low, high = (float(end) for end in stated["input_range"])
    settings = TicketSettings(source, stated["assignment"], (low, high), steps, tuple(layers))
    return settings, _DTYPES[stated["dtype"]]


def unpacked(array: Any, shape: tuple[int, int]) -> BoolArray:
    """Return the mask of this shape that a file holds packed.

    Raises
    ------
    ValueError
        When it holds another one.
    """
    num_entries = math.prod(shape)
    if array.shape != ((num_entries + 7) // 8,) or array.dtype != np.uint8:
        raise ValueError("its mask does not fit the layer")
    bits = np.unpackbits(array, count=num_entries)
    if np.packbits(bits).tobytes() != array.tobytes():
        raise ValueError("its mask has bits beyond its end")
    return bits.reshape(shape).astype(np.bool_)


def _is_flatten(step: str) -> bool:
    word, *places = step.split()
    return word == "flatten" and len(places) == 2 and all(p.lstrip("-").isdigit() for p in places)
