"""How the value of an RPC is on the wire: as JSON, or in upstream's binary format."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from typing import Any, Final, Literal, Protocol

from ..._mavryk.codec.binary import frames
from ..._mavryk.codec.binary.schema import BinaryError, Schema
from ..._mavryk.codec.binary.services import service

MediaType = Literal["json", "binary", "any"]
"""What a program asks for."""

ACCEPT: Final[dict[MediaType, str]] = {
    "json": "application/json;q=1,application/bson;q=0.100",
    "binary": f"{frames.MEDIA_TYPE};q=0.200",
    "any": f"application/json;q=1,application/bson;q=0.100,{frames.MEDIA_TYPE};q=0.200",
}
JSON: Final = "application/json"
MAX_ITEM: Final = 64 * 1024 * 1024


class NotYet(enum.Enum):
    """Why the bytes of a stream give no value."""

    MORE = "more bytes may complete it"
    NEVER = "no more bytes can mend it"


class Wire(Protocol):
    """One form of the values of one RPC."""

    media_type: str

    def read(self, body: bytes) -> Any:
        """The value of an answer. Raises ``ValueError`` with upstream's complaint."""

    def read_item(self, data: bytes) -> Any:
        """The value of what has come of a stream, or a `NotYet`."""

    def read_errors(self, body: bytes) -> Any:
        """The trace of an error. Raises ``ValueError`` with upstream's complaint."""


class JsonWire:
    """Values as JSON."""

    media_type = JSON

    def read(self, body: bytes) -> Any:
        """See `Wire.read`."""
        return json.loads(body)

    def read_item(self, data: bytes) -> Any:
        """See `Wire.read_item`."""
        try:
            return json.loads(data)
        except UnicodeDecodeError:
            return NotYet.MORE
        except json.JSONDecodeError as error:
            # More bytes cannot mend what has gone wrong before the end.
            return NotYet.NEVER if error.msg == "Extra data" or len(data) > MAX_ITEM else NotYet.MORE

    def read_errors(self, body: bytes) -> Any:
        """See `Wire.read_errors`."""
        return json.loads(body)


class BinaryWire:
    """Values in the binary format.

    Args:
        schema: of the answer or items; None for an RPC that has no binary form here.
        protocol: what constant fields are read as: the hash of the program's protocol.
    """

    media_type = frames.MEDIA_TYPE

    def __init__(self, schema: Schema | None, protocol: str) -> None:
        self._schema = schema
        self._protocol = protocol

    def read(self, body: bytes) -> Any:
        """See `Wire.read`."""
        if self._schema is None:
            raise ValueError("This RPC's binary format is not known.")
        try:
            return frames.unframed(self._schema, body, self._protocol)
        except BinaryError as error:
            raise _complaint(error) from error

    def read_item(self, data: bytes) -> Any:
        """See `Wire.read_item`."""
        missing = frames.missing(data)
        if missing:
            return NotYet.MORE if missing > 0 and len(data) + missing <= MAX_ITEM else NotYet.NEVER
        try:
            return self.read(data)
        except ValueError:
            return NotYet.NEVER

    def read_errors(self, body: bytes) -> Any:
        """See `Wire.read_errors`."""
        try:
            return frames.unframed_errors(body)
        except BinaryError as error:
            raise _complaint(error) from error


def _complaint(error: BinaryError) -> ValueError:
    return ValueError(f"Failed to parse binary data: {error}.")


_JSON_WIRE: Final = JsonWire()


def understood(asked: MediaType, received: str, method: str, path: str, protocol: str) -> Wire | None:
    """How an answer is read.

    Args:
        asked: what was asked for.
        received: the media type of the answer; empty if it names none.
        method: of the request.
        path: of the request, a query included or not.
        protocol: see `BinaryWire`.

    Returns:
        None if that media type was not asked for.
    """
    if received == frames.MEDIA_TYPE or (not received and asked == "binary"):
        if asked == "json":
            return None
        known = service(method, path)
        return BinaryWire(known.answer if known is not None else None, protocol)
    return _JSON_WIRE if received in ("", JSON) and asked != "binary" else None


# `json.dumps` would make an encoder for each value.
_encode: Final = json.JSONEncoder(separators=(",", ":")).encode


def headers_and_body(
    asked: MediaType, method: str, path: str, value: object
) -> tuple[Mapping[str, str], bytes | None]:
    """What a request says of media types, and its body.

    Raises:
        BinaryError: the value is not what the RPC takes.
    """
    headers = {"accept": ACCEPT[asked]}
    if value is None:
        return headers, None
    known = service(method, path) if asked == "binary" else None
    if known is not None and known.request is not None:
        return {**headers, "content-type": frames.MEDIA_TYPE}, frames.framed(known.request, value)
    body = _encode(value).encode()
    return {**headers, "content-type": JSON}, body
