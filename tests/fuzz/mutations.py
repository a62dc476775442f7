"""Seeded changes to files: of their bytes, and of what stands in them."""

import io
import json
import re
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np

Change = Callable[[bytes, np.random.Generator], bytes]
"""Changes the content of a file."""

HUGE = (2**31 - 1, 2**32 - 1, 2**40, 2**62, 2**63 - 1, 2**64 - 1)

MARKUP = "</script><script>alert(1)</script>\"'&"

NASTY: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 3, 255, 10**9, 2**53 + 1, 2**63, 10**400, -0.0, 0.5, 1e-320, 1e308,
    float("nan"), float("inf"), -float("inf"), "", "0", "1", "nan", "x", "two words", "../../x",
    "/etc/passwd", "\ud800", "\0", "\x1b[2J", MARKUP, "é" * 300, [], {}, [[]], [None], [1, 2],
    [0.5, "a"], [[1.0], [1.0, 2.0]], {"a": 1}, {"": None}, [1e308] * 9,
)  # fmt: skip
"""Values where others belong."""

_NUMBERS = (b"NaN", b"-Infinity", b"1e999", b"-1", b"0", b"9" * 400, b"0x10", b"1_0", b"\xc2\xb2")


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Change bytes: cut, flip, splice, write lengths or numbers that are too large, break UTF-8."""
    kinds = (_cut, _flip, _flip, _fill, _splice, _leave_out, _lengthen, _lengthen, _renumber, _utf)
    for _ in range(int(rng.choice([1, 1, 1, 2, 4]))):
        content = kinds[int(rng.integers(len(kinds)))](content, rng)
    return content


def _place(content: bytes, rng: np.random.Generator) -> int:
    """Return a place, half of the time near the beginning: that is where headers are."""
    most = len(content) if rng.integers(2) else min(len(content), 200)
    return int(rng.integers(most)) if most else 0


def _cut(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: _place(content, rng)]


def _flip(content: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, 5)) if content else 0):
        changed[_place(content, rng)] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _fill(content: bytes, rng: np.random.Generator) -> bytes:
    start, length = _place(content, rng), int(rng.integers(1, 9))
    filling = bytes([int(rng.choice([0, 1, 0x7F, 0x80, 0xFF]))]) * length
    return content[:start] + filling + content[start + length :]


def _splice(content: bytes, rng: np.random.Generator) -> bytes:
    """Repeat a piece elsewhere."""
    start, place = _place(content, rng), _place(content, rng)
    return content[:place] + content[start : start + int(rng.integers(1, 300))] + content[place:]


def _leave_out(content: bytes, rng: np.random.Generator) -> bytes:
    start = _place(content, rng)
    return content[:start] + content[start + int(rng.integers(1, 60)) :]


def _lengthen(content: bytes, rng: np.random.Generator) -> bytes:
    """Write a huge number, of one of the usual widths and orders, somewhere."""
    size, start = int(rng.choice([2, 4, 8])), _place(content, rng)
    number: int = HUGE[int(rng.integers(len(HUGE)))] % 256**size
    order: Literal["little", "big"] = "little" if rng.integers(3) else "big"
    return content[:start] + number.to_bytes(size, order) + content[start + size :]


def _renumber(content: bytes, rng: np.random.Generator) -> bytes:
    found = list(re.finditer(rb"-?\d+(\.\d+)?(e[+-]?\d+)?", content[:100_000]))
    if not found:
        return content
    one = found[int(rng.integers(len(found)))]
    return (
        content[: one.start()] + _NUMBERS[int(rng.integers(len(_NUMBERS)))] + content[one.end() :]
    )


def _utf(content: bytes, rng: np.random.Generator) -> bytes:
    """Insert what is no UTF-8."""
    place = _place(content, rng)
    broken = (b"\xff\xfe", b"\xc3", b"\xed\xa0\x80", b"\xf8\x88\x80", b"\0")
    return content[:place] + broken[int(rng.integers(5))] + content[place:]


def restated(value: Any, rng: np.random.Generator) -> Any:
    """Change one value somewhere in what JSON holds: replace, remove, repeat or rename it."""
    holders: list[tuple[Any, Any]] = []

    def walk(part: Any) -> None:
        for key in part if isinstance(part, dict) else range(len(part)):
            holders.append((part, key))
            if isinstance(part[key], dict | list):
                walk(part[key])

    whole = [json.loads(json.dumps(value))]
    walk(whole)
    # what stands near the root is one of few, and matters most
    holder, key = holders[int(len(holders) * rng.random() ** 2)]
    what = int(rng.integers(8))
    if what < 5 or holder is whole:
        holder[key] = NASTY[int(rng.integers(len(NASTY)))]
    elif what == 5:
        del holder[key]
    elif isinstance(holder, dict):
        holder[str(NASTY[int(rng.integers(len(NASTY)))])] = holder[key]
    else:
        holder.insert(key, holder[key])
    return whole[0]


def restated_json(content: bytes, rng: np.random.Generator) -> bytes:
    """Change a value of a JSON file."""
    return json.dumps(restated(json.loads(content), rng)).encode()


def restated_safetensors(content: bytes, rng: np.random.Generator) -> bytes:
    """Change a value of the header, or of the JSON that its metadata hold."""
    length = int.from_bytes(content[:8], "little")
    header, numbers = json.loads(content[8 : 8 + length]), content[8 + length :]
    metadata = header.get("__metadata__", {})
    if metadata and rng.integers(2):
        name = sorted(metadata)[int(rng.integers(len(metadata)))]
        metadata[name] = json.dumps(restated(json.loads(metadata[name]), rng))
    elif rng.integers(4):
        header = restated(header, rng)
    else:
        numbers = damaged(numbers, rng)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + numbers


def _members(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """Return an archive of these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    return buffer.getvalue()


def repacked(content: bytes, rng: np.random.Generator) -> bytes:
    """Damage a file of an archive whose checksums then fit again; or rename or remove one."""
    members = _members(content)
    name = sorted(members)[int(rng.integers(len(members)))]
    what = int(rng.integers(10))
    if what == 0:
        del members[name]
    elif what == 1:
        members[str(rng.choice(["../x.npy", "/x", "a\\b"]))] = members.pop(name)
    else:
        members[name] = damaged(members[name], rng)
    return zipped(members, zipfile.ZIP_DEFLATED if rng.integers(4) == 0 else zipfile.ZIP_STORED)


_ARRAYS: tuple[Callable[[Any], Any], ...] = (
    lambda a: a.astype(str), lambda a: a.astype(complex) + 1j, lambda a: a.astype(np.bool_),
    lambda a: a.astype(np.float16), lambda a: a.astype("M8[s]"), lambda a: a.astype("V8"),
    lambda a: a.astype(np.int8), lambda a: a.astype(np.uint64), lambda a: a.astype(">f8"),
    lambda a: a.reshape(-1), lambda a: a[None], lambda a: a[..., :0], lambda a: a * np.nan,
    lambda a: a * 1e300 * 1e300, lambda a: a.T, lambda a: np.zeros((3, 0)), lambda a: a.flat[0],
    lambda a: -a, lambda a: a + 0.5, lambda a: a * 2**60, lambda a: np.array("closest"),
    lambda a: np.zeros(2, [("a", "f8"), ("b", "i4")]), lambda a: np.zeros((10**6, 0), "U0"),
)  # fmt: skip


def other_arrays(content: bytes, rng: np.random.Generator) -> bytes:
    """Give an array of an ``.npz`` file another type or shape."""
    with np.load(io.BytesIO(content)) as archive:
        arrays = {name: archive[name] for name in archive.files}
    name = sorted(arrays)[int(rng.integers(len(arrays)))]
    with np.errstate(all="ignore"):
        try:
            arrays[name] = _ARRAYS[int(rng.integers(len(_ARRAYS)))](arrays[name])
        except (TypeError, ValueError, IndexError):
            arrays[name] = np.array(NASTY[int(rng.integers(20))], dtype="U40")
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def restated_onnx(content: bytes, rng: np.random.Generator) -> bytes:
    """Change a field somewhere in an ONNX file."""
    import onnx

    model = onnx.load_model_from_string(content)
    places: list[tuple[Any, Any]] = []

    def walk(message: Any) -> None:
        for field, value in message.ListFields():
            places.append((message, field))
            if field.message_type is not None:
                for part in value if field.is_repeated else [value]:
                    walk(part)

    walk(model)
    message, field = places[int(rng.integers(len(places)))]
    held = getattr(message, field.name)
    number = (0, -1, 1, 2, 3, 7, *HUGE[:5])[int(rng.integers(11))]
    if field.message_type is not None and field.is_repeated:
        index = int(rng.integers(len(held)))
        held.append(held[index]) if rng.integers(2) else held.pop(index)
    elif field.message_type is not None or rng.integers(6) == 0:
        message.ClearField(field.name)
    else:
        old = held[0] if field.is_repeated else held
        new: Any = float("nan") if isinstance(old, float) else number
        if isinstance(old, bytes):
            new = damaged(old, rng)
        elif isinstance(old, str):
            new = str(rng.choice(["", "x", MARKUP, "../x", "x" * 99]))
        try:
            if field.is_repeated:
                held[int(rng.integers(len(held)))] = new
            else:
                setattr(message, field.name, new)
        except ValueError:  # an int32 holds less
            message.ClearField(field.name)
    whole: bytes = model.SerializeToString()
    return whole


def restated_sqlite(content: bytes, rng: np.random.Generator) -> bytes:
    """Change, remove or repeat a row of a database, or its tables."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.deserialize(content[:18] + b"\1\1" + content[20:])  # no write-ahead log in memory
    tables = [n for (n,) in connection.execute("select name from sqlite_master where type='table'")]
    table = tables[int(rng.integers(len(tables)))]
    columns = [row[1:3] for row in connection.execute(f"pragma table_info({table})")]
    name, kind = columns[int(rng.integers(len(columns)))]
    rows = connection.execute(f"select rowid, {name} from {table}").fetchall()
    what = int(rng.integers(12))
    try:
        if what == 0:
            connection.execute(f"drop table {table}")
        elif what == 1:
            connection.execute(f"delete from {table}")
        elif what == 2:
            connection.execute(f"alter table {table} rename column {name} to other")
        elif what == 3:
            connection.execute(f"alter table {table} rename to {table}_")
            connection.execute(f"create view {table} as select * from {table}_")
        elif rows:
            rowid, old = rows[int(rng.integers(len(rows)))]
            where = f"where rowid = {rowid}"
            connection.execute(f"update {table} set {name} = ? {where}", (_cell(kind, old, rng),))
    except sqlite3.Error:
        pass
    changed = connection.serialize()
    connection.close()
    return changed[:18] + content[18:20] + changed[20:]


def _cell(kind: str, old: Any, rng: np.random.Generator) -> Any:
    if kind.upper() == "BLOB":
        return damaged(old, rng)
    if kind.upper() == "INTEGER":
        return (-1, 0, 1, 2, 10**6, 2**62, -(2**63))[int(rng.integers(7))]
    if kind.upper() == "REAL":
        return (-1.0, float("inf"), 1e308, 0.0)[int(rng.integers(4))]
    try:
        return json.dumps(restated(json.loads(old), rng))
    except ValueError:
        return str(NASTY[int(rng.integers(len(NASTY)))]).encode("utf-8", "replace").decode()


def rewritten(path: Path, change: Change, rng: np.random.Generator) -> None:
    """Change a file where it lies."""
    path.write_bytes(change(path.read_bytes(), rng))
