"""Messages between a worker and its owner: arrays with a JSON header, length first, no pickle."""

import json
from typing import Any, BinaryIO

from instances.files import npz_bytes, read_npz
from solvers.solver import Proposal, Reported

_HEADER = "header"


def write_frame(stream: BinaryIO, header: dict[str, Any], arrays: dict[str, Any]) -> None:
    """Write one message."""
    content = npz_bytes({_HEADER: json.dumps(header), **arrays})
    stream.write(len(content).to_bytes(8, "little"))
    stream.write(content)
    stream.flush()


def read_frame(stream: BinaryIO) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Read one message; None when the other side is gone."""
    length = stream.read(8)
    if len(length) < 8:
        return None
    content = stream.read(int.from_bytes(length, "little"))
    try:
        arrays = read_npz(content)
    except ValueError:
        return None
    return json.loads(arrays.pop(_HEADER)), arrays


def proposal_arrays(proposal: Proposal) -> dict[str, Any]:
    """Return a proposal's arrays by name."""
    reported = {f"reported_{k}": v for k, v in proposal.reported._asdict().items()}
    return {"mask": proposal.mask, "bound": proposal.bound, **reported}


def proposal_from(arrays: dict[str, Any], stats: dict[str, float]) -> Proposal:
    """Make the proposal that `proposal_arrays` took apart."""
    reported = Reported(*(arrays[f"reported_{k}"] for k in Reported._fields))
    return Proposal(arrays["mask"], arrays["bound"], reported, stats)
