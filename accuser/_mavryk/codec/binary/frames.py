"""What is on the wire: every value behind its size, in bodies, errors and items of streams alike."""

from __future__ import annotations

import struct
from typing import Any, Final

from .schema import BinaryError, Schema
from .words import ERRORS

MEDIA_TYPE: Final = "application/octet-stream"
_SIZE: Final = 4


def framed(schema: Schema, value: Any) -> bytes:
    """The bytes of a value with their size. Raises ``BinaryError``."""
    data = schema.to_bytes(value)
    return len(data).to_bytes(_SIZE, "big") + data


def unframed(schema: Schema, body: bytes, protocol: str = "") -> Any:
    """The value that fills ``body``; for ``protocol`` see `Source`. Raises ``BinaryError``."""
    if len(body) < _SIZE:
        raise BinaryError("Not enough data")
    (size,) = struct.unpack_from(">I", body)
    if size > len(body) - _SIZE:
        raise BinaryError("Not enough data")
    if size < len(body) - _SIZE:
        raise BinaryError("Extra bytes")
    return schema.from_bytes(body[_SIZE:], protocol)


def missing(data: bytes) -> int:
    """How many bytes a framed value that begins so still lacks; less than 0 if there are too many."""
    if len(data) < _SIZE:
        return _SIZE - len(data)
    return int.from_bytes(data[:_SIZE], "big") + _SIZE - len(data)


def framed_errors(trace: Any) -> bytes:
    """The body of an answer that is an error."""
    return framed(ERRORS, trace)


def unframed_errors(body: bytes) -> Any:
    """The trace in the body of an error. Raises ``BinaryError``."""
    return unframed(ERRORS, body)
