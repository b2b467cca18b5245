"""BSON, the binary form of JSON in Mavryk's encodings.

A protocol's parameters travel so inside the activation command: four bytes of length, then a BSON
document (``Data_encoding.json``). Numbers without a fraction are written as 64-bit floats, as
upstream's library does with every JSON number.
"""

from __future__ import annotations

import struct
from typing import Any, Final

_ALONE: Final = 0x80
"""What upstream adds to the type of a scalar that is no element of anything."""


class BsonError(ValueError):
    pass


def encode(value: Any) -> bytes:
    """Write a JSON object (a dict) as a document.

    Raises:
        BsonError: a value that is not JSON, or an outermost value that is not an object.
    """
    if not isinstance(value, dict):
        raise BsonError("a document is an object")
    return _document(list(value.items()))


def decode(data: bytes) -> dict[str, Any]:
    """Read a document that fills ``data``. Raises ``BsonError``."""
    try:
        value, end = _read_document(data, 0, as_list=False)
    except (struct.error, IndexError, ValueError, RecursionError) as error:
        raise BsonError(f"not a BSON document: {error}") from error
    if end != len(data):
        raise BsonError(f"{len(data) - end} bytes after the end of the document")
    assert isinstance(value, dict)
    return value


def encode_any(value: Any) -> bytes:
    """Write any JSON value as upstream's ``Data_encoding.json``.

    A list is a document whose names are the indices. A scalar, which BSON has no form of by itself,
    is in the place of the elements, behind a type of upstream's own.
    """
    if isinstance(value, dict):
        return encode(value)
    if isinstance(value, list | tuple):
        return _document([(str(index), item) for index, item in enumerate(value)])
    element = _element("", value)
    body = bytes([element[0] | _ALONE]) + element[2:]
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def decode_any(data: bytes) -> Any:
    """Read what `encode_any` wrote: an empty list comes back as an empty object, as upstream's does.

    Raises:
        BsonError: it is no such document.
    """
    try:
        if len(data) > 5 and data[4] & _ALONE:
            (size,) = struct.unpack_from("<i", data)
            value, end = _read_value(data, data[4] & ~_ALONE, 5)
            if size != len(data) or end != size - 1 or data[end]:
                raise ValueError(f"a value of {size} bytes that ends at {end}")
            return value
        value, end = _read_document(data, 0, as_list=False)
    except (struct.error, IndexError, ValueError, RecursionError) as error:
        raise BsonError(f"not a BSON document: {error}") from error
    if end != len(data):
        raise BsonError(f"{len(data) - end} bytes after the end of the document")
    if value and list(value) == [str(index) for index in range(len(value))]:
        return _without_empty_lists(list(value.values()))
    return _without_empty_lists(value)


def _without_empty_lists(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_empty_lists(item) for item in value] if value else {}
    if isinstance(value, dict):
        return {name: _without_empty_lists(item) for name, item in value.items()}
    return value


def _document(items: list[tuple[str, Any]]) -> bytes:
    body = b"".join(_element(name, value) for name, value in items)
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def _element(name: str, value: Any) -> bytes:
    label = name.encode() + b"\0"
    if b"\0" in label[:-1]:
        raise BsonError("a field name holds a zero byte")
    if value is None:
        return b"\x0a" + label
    if isinstance(value, bool):
        return b"\x08" + label + (b"\1" if value else b"\0")
    if isinstance(value, (int, float)):
        return b"\x01" + label + struct.pack("<d", float(value))
    if isinstance(value, str):
        text = value.encode() + b"\0"
        return b"\x02" + label + struct.pack("<i", len(text)) + text
    if isinstance(value, dict):
        return b"\x03" + label + _document(list(value.items()))
    if isinstance(value, (list, tuple)):
        return b"\x04" + label + _document([(str(index), item) for index, item in enumerate(value)])
    raise BsonError(f"{name}: a {type(value).__name__} is not JSON")


def _read_document(data: bytes, start: int, *, as_list: bool) -> tuple[Any, int]:
    (size,) = struct.unpack_from("<i", data, start)
    end = start + size
    if size < 5 or end > len(data) or data[end - 1] != 0:
        raise ValueError(f"a document of {size} bytes at {start}")
    position = start + 4
    items: list[tuple[str, Any]] = []
    while position < end - 1:
        kind = data[position]
        name_end = data.index(b"\0", position + 1)
        name = data[position + 1 : name_end].decode()
        value, position = _read_value(data, kind, name_end + 1)
        items.append((name, value))
    if position != end - 1:
        raise ValueError(f"an element passes the end of its document at {end}")
    return ([value for _, value in items] if as_list else dict(items)), end


def _read_value(data: bytes, kind: int, position: int) -> tuple[Any, int]:
    if kind == 0x01:
        number = struct.unpack_from("<d", data, position)[0]
        return (int(number) if number.is_integer() else number), position + 8
    if kind == 0x02:
        (size,) = struct.unpack_from("<i", data, position)
        text_end = position + 4 + size
        if size < 1 or text_end > len(data) or data[text_end - 1] != 0:
            raise ValueError(f"a text of {size} bytes at {position}")
        return data[position + 4 : text_end - 1].decode(), text_end
    if kind in (0x03, 0x04):
        return _read_document(data, position, as_list=kind == 0x04)
    if kind == 0x08:
        return data[position] != 0, position + 1
    if kind == 0x0A:
        return None, position
    if kind == 0x10:
        return struct.unpack_from("<i", data, position)[0], position + 4
    if kind == 0x12:
        return struct.unpack_from("<q", data, position)[0], position + 8
    raise ValueError(f"an element of type {kind:#04x} at {position}")
