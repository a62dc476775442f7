"""Whether a value that a file states is of the kind that belongs there."""

from types import UnionType
from typing import Any, get_args, get_origin


def fits(value: Any, kind: Any) -> bool:
    """Say whether a value is of a kind.

    Parameters
    ----------
    value
        Of JSON, or of a row of a table.
    kind
        A type such as ``int``, ``float | None``, ``list[float]``, ``tuple[int, ...]`` or
        ``dict[str, int]``; or a dict that gives the kind of every value that must be there, others
        being allowed. Whole numbers of 64 bits are floats, too; a truth value is no number; text
        is Unicode.

    Examples
    --------
    >>> fits({"width": 4, "more": None}, {"width": int}), fits([1, 0.5, True], list[float])
    (True, False)
    """
    if isinstance(kind, dict):
        return isinstance(value, dict) and all(
            name in value and fits(value[name], one) for name, one in kind.items()
        )
    origin, arguments = get_origin(kind), get_args(kind)
    if isinstance(kind, UnionType):
        return any(fits(value, one) for one in arguments)
    if origin is list:
        return isinstance(value, list) and all(fits(one, arguments[0]) for one in value)
    if origin is dict:
        return isinstance(value, dict) and all(
            fits(name, arguments[0]) and fits(one, arguments[1]) for name, one in value.items()
        )
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        kinds = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        return len(value) == len(kinds) and all(map(fits, value, kinds))
    if kind is str:
        return isinstance(value, str) and _is_unicode(value)
    if kind is Any:
        return True
    if isinstance(value, bool):
        return kind is bool
    if isinstance(value, int) and kind in (int, float):
        return -(2**63) <= value < 2**63
    return isinstance(value, kind)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
