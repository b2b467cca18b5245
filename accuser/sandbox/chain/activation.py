"""The one command of the genesis protocol: activate the protocol that follows.

It is the protocol data of block 1 (``src/proto_genesis/lib_protocol/data.ml``): a tag, the
protocol's hash, the fitness that the block must have, the parameters in BSON, and the activator's
signature over shell header and command.
"""

from __future__ import annotations

from typing import Any

import attrs

from ..._mavryk.codec.base58 import Kind, encode
from ..._mavryk.codec.bson import BsonError, decode
from ..._mavryk.codec.fields import (
    SIGNATURE_SIZE,
    Fields,
    ForgeError,
    Reader,
    check_size,
    dynamic,
    hash_bytes,
)
from ..._mavryk.codec.forge import ShellHeader

ZERO_SIGNATURE = bytes(SIGNATURE_SIZE)


@attrs.frozen
class Activation:
    """The command and its signature (zeros where there is none yet)."""

    protocol: str
    fitness: tuple[bytes, ...]
    parameters: bytes
    """Four bytes of length and a BSON document."""
    signature: bytes = ZERO_SIGNATURE

    def command_bytes(self) -> bytes:
        """The binary form without the signature. Raises ``ForgeError``."""
        return (
            b"\0"
            + hash_bytes(Kind.PROTOCOL, self.protocol, "hash")
            + dynamic(b"".join(dynamic(item) for item in self.fitness))
            + self.parameters
        )

    def to_bytes(self) -> bytes:
        """The block's protocol data. Raises ``ForgeError``."""
        return self.command_bytes() + check_size(self.signature, SIGNATURE_SIZE, "signature")

    def signed_part(self, shell: ShellHeader) -> bytes:
        """What the activator signs, under `Watermark.ACTIVATION`."""
        return shell.to_bytes() + self.command_bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Activation:
        """Read all of a block's protocol data. Raises ``ForgeError``."""
        reader = Reader(data, "protocol_data")
        tag = reader.integer(1, "command", signed=False)
        if tag != 0:
            raise reader.fail("command", f"tag {tag} is not that of an activation")
        protocol = reader.hash(Kind.PROTOCOL, "hash")
        items = reader.dynamic("fitness")
        fitness = []
        while items.left:
            fitness.append(items.dynamic("item").rest())
        rest = reader.rest()
        if len(rest) < SIGNATURE_SIZE:
            raise ForgeError("protocol_data/signature", "missing")
        return cls(protocol, tuple(fitness), rest[:-SIGNATURE_SIZE], rest[-SIGNATURE_SIZE:])

    @classmethod
    def from_json(cls, value: object) -> Activation:
        """Read ``{"content": {...}, "signature"}``; the content's fields may stand beside it.

        A ``protocol`` field is ignored. Raises ``ForgeError``.
        """
        outer = Fields(value)
        fields = Fields(outer.value("content"), "/content") if outer.has("content") else outer
        if fields.text("command") != "activate":
            raise ForgeError(fields.path("command"), "not an activation")
        fitness = fields.hex_items("fitness")
        protocol = fields.hash(Kind.PROTOCOL, "hash")
        parameters = fields.hex("protocol_parameters")
        signature = outer.signature() if outer.has("signature") else ZERO_SIGNATURE
        fields.end(ignore=("protocol",))
        outer.end(ignore=("protocol",))
        return cls(protocol, fitness, parameters, signature)

    def to_json(self) -> dict[str, Any]:
        """The protocol data as the header RPC gives them."""
        return {
            "content": {
                "command": "activate",
                "hash": self.protocol,
                "fitness": [item.hex() for item in self.fitness],
                "protocol_parameters": self.parameters.hex(),
            },
            "signature": encode(Kind.SIGNATURE, self.signature),
        }

    def parameters_json(self) -> dict[str, Any]:
        """The protocol's parameters. Raises ``ForgeError`` if they are no BSON document."""
        size = int.from_bytes(self.parameters[:4], "big")
        try:
            if len(self.parameters) < 4 or size != len(self.parameters) - 4:
                raise BsonError(f"the length says {size} bytes of {len(self.parameters) - 4}")
            return decode(self.parameters[4:])
        except BsonError as error:
            raise ForgeError("protocol_parameters", str(error)) from error
