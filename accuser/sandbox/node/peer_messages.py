"""What nodes of the sandbox say to each other: one JSON object on a line.

Not upstream's protocol, which is encrypted and binary; it carries the same things. Pure. After
`Hello` from both sides and `Welcome` (or `Refusal`) from both, in any order:

- `HeadIs`: the sender's head is now this;
- `Fetch`: give me the blocks of that branch which are above the ones that I name;
- `BlockIs`, `FetchDone`: the answer, lowest first;
- `OperationsAre`: operations that are valid for the sender.
"""

from __future__ import annotations

import json
from typing import Any, Final, TypeAlias

import attrs

from ..._mavryk.codec.base58 import Kind, decode
from ..._mavryk.codec.fields import Fields, ForgeError
from ..._mavryk.codec.forge import BlockHeader
from ..._mavryk.codec.operations import Operation
from ..chain.block import PASSES, Block, Operations

MAX_LINE: Final = 16 * 1024 * 1024
"""Bytes; no block comes near it."""

_MAX_PORT: Final = 65535
_MAX_LOCATOR: Final = 1000


class PeerMessageError(Exception):
    """A line that is no message."""


@attrs.frozen
class Hello:
    """Who the sender is. ``port`` is where it takes connections; 0 if it does not."""

    peer_id: str
    chain: str
    """Chain name."""
    genesis: str
    port: int
    private: bool
    disable_mempool: bool


@attrs.frozen
class Welcome:
    """The sender accepts the connection."""


@attrs.frozen
class Refusal:
    """The sender closes the connection, and why."""

    motive: str


@attrs.frozen
class HeadIs:
    """The sender's head."""

    hash: str
    level: int
    fitness: tuple[bytes, ...]


@attrs.frozen
class Fetch:
    """A request for the blocks of the branch that ends with ``target``."""

    target: str
    locator: tuple[str, ...]


@attrs.frozen
class BlockIs:
    header: BlockHeader
    operations: Operations


@attrs.frozen
class FetchDone:
    """No more blocks come for the last request."""


@attrs.frozen
class OperationsAre:
    """Signed operations."""

    operations: tuple[Operation, ...]


Message: TypeAlias = Hello | Welcome | Refusal | HeadIs | Fetch | BlockIs | FetchDone | OperationsAre


def block_message(block: Block) -> BlockIs:
    """The message that carries a block."""
    return BlockIs(block.header, block.operations)


def head_message(block: Block) -> HeadIs:
    """The message that tells of a head."""
    return HeadIs(block.hash, block.level, block.header.shell.fitness)


def write(message: Message) -> bytes:
    value: dict[str, Any] = {"type": type(message).__name__}
    match message:
        case HeadIs():
            fitness = [item.hex() for item in message.fitness]
            value |= {"hash": message.hash, "level": message.level, "fitness": fitness}
        case BlockIs():
            value["header"] = message.header.to_bytes().hex()
            value["operations"] = [[one.to_bytes().hex() for one in passed] for passed in message.operations]
        case OperationsAre():
            value["operations"] = [one.to_bytes().hex() for one in message.operations]
        case _:
            value |= attrs.asdict(message)
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def read(line: bytes) -> Message:
    """The message of a line, without its end. Raises ``PeerMessageError``."""
    try:
        fields = Fields(json.loads(line))
        return _read(fields)
    except (ValueError, RecursionError) as error:  # ForgeError and Base58Error are ValueErrors
        raise PeerMessageError(str(error)) from error


def _read(fields: Fields) -> Message:
    match fields.text("type"):
        case "Hello":
            peer_id = fields.text("peer_id")
            decode(Kind.PEER, peer_id)
            return Hello(
                peer_id=peer_id,
                chain=fields.text("chain"),
                genesis=fields.text("genesis"),
                port=fields.integer("port", 0, _MAX_PORT),
                private=_flag(fields, "private"),
                disable_mempool=_flag(fields, "disable_mempool"),
            )
        case "Welcome":
            return Welcome()
        case "Refusal":
            return Refusal(fields.text("motive"))
        case "HeadIs":
            block, level = fields.hash(Kind.BLOCK, "hash"), fields.integer("level", 0, 2**31 - 1)
            return HeadIs(block, level, fields.hex_items("fitness"))
        case "Fetch":
            locator = _texts(fields, "locator")
            if len(locator) > _MAX_LOCATOR:
                raise ForgeError("/locator", f"{len(locator)} blocks are too many")
            return Fetch(fields.hash(Kind.BLOCK, "target"), tuple(locator))
        case "BlockIs":
            passes = fields.items("operations")
            if len(passes) > PASSES:
                raise ForgeError("/operations", f"{len(passes)} validation passes are too many")
            header = BlockHeader.from_bytes(fields.hex("header"))
            return BlockIs(header, tuple(_operations(passed) for passed in passes))
        case "FetchDone":
            return FetchDone()
        case "OperationsAre":
            return OperationsAre(tuple(map(Operation.from_bytes, fields.hex_items("operations"))))
        case other:
            raise ForgeError("/type", f"{other[:50]!r} is unknown")


def _operations(values: object) -> tuple[Operation, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ForgeError("/operations", "not a list of texts")
    return tuple(Operation.from_bytes(bytes.fromhex(value)) for value in values)


def _texts(fields: Fields, name: str) -> list[str]:
    values = [value for value in fields.items(name) if isinstance(value, str)]
    if len(values) != len(fields.items(name)):
        raise ForgeError(fields.path(name), "not a list of texts")
    return values


def _flag(fields: Fields, name: str) -> bool:
    value = fields.value(name)
    if not isinstance(value, bool):
        raise ForgeError(fields.path(name), "not true or false")
    return value
