"""The file of a run's certificates: JSON, every number as it is, floats to the last bit."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from instances.files import write_atomically
from instances.plain_files import content_of

CERTIFICATES = "certificates.json"
FORMAT = "milp_lth certificates/1"


def write_certificates(folder: Path, stated: dict[str, Any]) -> Path:
    """Write certificates into a run's folder; they appear whole or not at all.

    Python writes a float64 with as many digits as tell it from all others, so numbers come back
    bit for bit.

    Raises
    ------
    ValueError
        When a number is not finite.
    """
    path = folder / CERTIFICATES
    text = json.dumps({"format": FORMAT} | stated, indent=1, ensure_ascii=False, allow_nan=False)
    write_atomically(path, f"{text}\n".encode())
    return path


def read_certificates(folder: Path) -> dict[str, Any] | None:
    """Return the certificates in a run's folder; None where there is no such file.

    What they say is not looked at: `milp_lth.certificates.certifying.check_certificates` does that.

    Raises
    ------
    ValueError
        When the file cannot be read or is none of certificates.
    """
    path = folder / CERTIFICATES
    try:
        text = content_of(path).decode()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise ValueError(f"{path}: damaged ({error})") from error
    try:
        stated = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: damaged ({error})") from error
    if not isinstance(stated, dict) or stated.pop("format", None) != FORMAT:
        raise ValueError(f"{path}: not the certificates of a run")
    return stated


def differences(where: str, true: Any, recorded: Any, *, rounding: float = 0.0) -> Iterator[str]:
    """Say in which single values a record differs from what is true, however nested both are.

    Floats may differ by `rounding`, as a share of them.
    """
    if isinstance(true, dict) and isinstance(recorded, dict):
        for name in {**true, **recorded}:
            place = f"{where}.{name}" if where else name
            if name not in recorded:
                yield f"{place} is not recorded"
            elif name not in true:
                yield f"{place} is recorded, but nothing of that name is certified"
            else:
                yield from differences(place, true[name], recorded[name], rounding=rounding)
    elif isinstance(true, list) and isinstance(recorded, list):
        if len(true) != len(recorded):
            yield f"{where} has {len(recorded)} entries, but there are {len(true)}"
        for k, (a, b) in enumerate(zip(true, recorded, strict=False)):
            yield from differences(f"{where}[{k}]", a, b, rounding=rounding)
    elif type(true) is not type(recorded) or not _same(true, recorded, rounding):
        yield f"the recorded {where} is {_short(recorded)}, but it is {_short(true)}"


def _same(true: Any, recorded: Any, rounding: float) -> bool:
    if isinstance(true, float):
        return math.isclose(true, recorded, rel_tol=rounding, abs_tol=0.0)
    return bool(true == recorded)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}…"


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")
