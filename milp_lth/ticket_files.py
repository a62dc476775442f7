"""Tickets in files: the seed and the masks; the random weights are drawn again."""

import json
import math
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
import torch
from torch import nn

from instances.arrays import BoolArray
from instances.files import write_atomically
from instances.plain_files import size_of
from milp_lth.constructions.assignment import ASSIGNMENTS
from milp_lth.constructions.registry import drawn_class
from milp_lth.networks.forms import read_form
from milp_lth.networks.row import LINEAR, RELU, Row
from milp_lth.networks.walked import Walked, walk
from milp_lth.source import SOURCE_NUMBERS, Source
from milp_lth.ticket import Ticket, TicketSettings
from milp_lth.value_kinds import fits

FORMAT = "milp_lth ticket/1"
_DENSE = "dense."
_DTYPES = {"float32": torch.float32, "float64": torch.float64}


def save_ticket(ticket: Ticket, path: str | os.PathLike[str]) -> None:
    """Write `ticket` to a ``.safetensors`` file.

    The file holds per layer its mask, eight entries a byte, and what cannot be drawn, such as the
    input each hidden unit keeps; its metadata the rest. It appears whole or not at all.

    Parameters
    ----------
    ticket
        Any ticket in memory.
    path
        Where to; what is there is replaced.
    """
    settings = ticket.settings
    in_a_row = isinstance(settings.body, Row)
    stated = ticket_stated(settings, ticket.layers[0].v.dtype if in_a_row else ticket.dtype)
    tensors: dict[str, Any] = {}
    if isinstance(settings.body, Walked):
        own = ticket.body.state_dict()
        for name in settings.body.template.state_dict():
            dense = own[name].detach().cpu()
            tensors[f"{_DENSE}{name}"] = dense.contiguous().numpy()  # written as it lies in memory
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
        **settings.source.numbers(),
        "assignment": settings.assignment,
        "input_range": list(settings.input_range),
        **settings.body.stated(),
        "dtype": str(dtype).removeprefix("torch."),
        "layers": [drawn.stated() for drawn in settings.layers],
    }


def load_ticket(path: str | os.PathLike[str], module: nn.Module | None = None) -> Ticket:
    """Read a ticket and draw its random weights again.

    Of a ticket in shards give the index; all of it must fit into memory: `ShardedTicket` takes one
    that does not.

    Parameters
    ----------
    path
        What `save_ticket` wrote, or the ``.safetensors.index.json`` of a ticket in shards.
    module
        A module of the target's class, whatever its weights: a file holds no code. Networks of
        Linear, ReLU, Flatten and Dropout in a row need none.

    Returns
    -------
    Ticket
        The same network as was saved, bit for bit.

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
        size_of(path)  # what is missing, or no file, says so itself
        with safetensors.safe_open(path, framework="numpy") as file:
            stated = json.loads((file.metadata() or {}).get("ticket", "{}"))
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        settings, dtype = read_settings(stated, tensors, module)
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
    stated: dict[str, Any], tensors: dict[str, Any], module: nn.Module | None = None
) -> tuple[TicketSettings, torch.dtype]:
    """Return the settings and the weights' dtype of a ticket that a file describes.

    Raises
    ------
    KeyError, TypeError, ValueError, AttributeError
        When it does not describe one.
    """
    if stated.get("format") != FORMAT:
        raise ValueError(f"not a ticket: its metadata must say {FORMAT!r}")
    if not fits(stated, {"seed": int, "input_range": list[float], "layers": list[dict[str, Any]]}):
        raise ValueError("its seed, input range or layers are not what they should be")
    width = stated["width"]
    source = Source(
        seed=stated["seed"],
        width=tuple(width) if isinstance(width, list) else width,
        construction=stated["construction"],
        distribution=stated["distribution"],
        **{name: stated[name] for name in SOURCE_NUMBERS if name in stated},
    )
    body = _read_row(stated["steps"]) if "steps" in stated else _walk(stated, tensors, module)
    if stated["assignment"] not in ASSIGNMENTS or stated["dtype"] not in _DTYPES:
        raise ValueError("its assignment or dtype is unknown")
    layers = []
    for k, fields in enumerate(stated["layers"]):
        prefix = f"{k}."
        arrays = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
        layers.append(drawn_class(source.construction, k).read(source, k, fields, arrays))
    places = len(body.places) if isinstance(body, Walked) else body.steps.count(LINEAR)
    if not layers or places != len(layers):
        raise ValueError("its steps and layers do not fit")
    copies = [1, *(drawn.copies for drawn in layers)]
    taken = [
        c * (drawn.num_inputs - drawn.has_bias) for c, drawn in zip(copies, layers, strict=False)
    ]
    if taken != [drawn.fan_in for drawn in layers] or copies[-1] != 1:
        raise ValueError("its layers make other copies than the next ones take")
    if isinstance(body, Row) and any(a.num_outputs != b.fan_in for a, b in pairwise(layers)):
        raise ValueError("its layers have other outputs than the next ones take")
    low, high = (float(end) for end in stated["input_range"])
    if not (low <= high and math.isfinite(low) and math.isfinite(high)):
        raise ValueError("its input range is none")
    settings = TicketSettings(source, stated["assignment"], (low, high), body, tuple(layers))
    return settings, _DTYPES[stated["dtype"]]


def _read_row(steps: Any) -> Row:
    if any(step not in (LINEAR, RELU) and not _is_flatten(step) for step in steps):
        raise ValueError("its steps are not those of a supported network")
    return Row(tuple(steps))


def _walk(stated: dict[str, Any], tensors: dict[str, Any], module: nn.Module | None) -> Walked:
    """Return the module's body with the dense weights of the file."""
    if module is None:
        raise ValueError("its layers do not stand in a row: give a module of the target's class")
    body, layers = walk(module, products=bool(stated["products"]))
    if body.stated()["places"] != stated["places"]:
        raise ValueError(f"it is no ticket of a {type(module).__name__}: its layers are elsewhere")
    dense = {name.removeprefix(_DENSE): t for name, t in tensors.items() if name.startswith(_DENSE)}
    for layer, fields in zip(layers, stated["layers"], strict=False):
        rows, inputs, bias = (fields[name] for name in ("num_outputs", "num_inputs", "has_bias"))
        made = len(layer.weight) * fields.get("copies", 1), layer.weight.shape[1]
        mine = made, layer.bias is not None, layer.form
        if mine != ((rows, inputs - bias), bias, read_form(fields.get("form"))):
            raise ValueError(
                f"it is no ticket of such a {type(module).__name__}: {layer.name!r} is another"
            )
    try:  # in the dtype that they have in the file
        state = {name: torch.from_numpy(t) for name, t in dense.items()}
        body.template.load_state_dict(state, assign=True)
    except RuntimeError as error:
        raise ValueError(
            f"it is no ticket of a {type(module).__name__}: its dense weights are others"
        ) from error
    return body


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
