"""Blocks as a baker reads them from its node: what a stream tells, and what must be asked besides."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from ..._mavryk.codec.base58 import Base58Error, Kind, decode
from ..._mavryk.codec.fields import ForgeError
from ..._mavryk.codec.forge import BlockHeader, ProtocolData, fitness_round
from ..._mavryk.codec.operations import Consensus, Operation
from ..client.delegates import Head
from ..rpc.client import Rpc
from ..rpc.request import Request, Undecodable
from .selection import POOL_FIELDS
from .values import Prequorum, Proposal

CACHED: Final = 10
Operations = tuple[tuple[Operation, ...], ...]


@attrs.frozen
class Seen:
    """A block of a stream."""

    hash: str
    header: BlockHeader
    operations: Operations | None
    """None if the stream does not tell them."""


@attrs.frozen
class _Info:
    head: Head
    payload_round: int
    operations: Operations


def head_item(value: object) -> Seen:
    """An item of ``/monitor/heads``. Raises ``Undecodable``."""

    def read(fields: Mapping[str, Any]) -> Seen:
        return Seen(fields["hash"], BlockHeader.from_shell_json(fields, ignore=("hash",)), None)

    return _read(value, read)


def validated_item(value: object) -> Seen:
    """An item of ``/monitor/validated_blocks``. Raises ``Undecodable``."""

    def read(fields: Mapping[str, Any]) -> Seen:
        operations = tuple(tuple(map(_from_raw, passed)) for passed in fields["operations"])
        return Seen(fields["hash"], BlockHeader.from_shell_json(fields["header"]), operations)

    return _read(value, read)


def _read(value: Any, read: Callable[[Mapping[str, Any]], Seen]) -> Seen:
    try:
        return read(value)
    except (ForgeError, Base58Error, AttributeError, LookupError, TypeError, ValueError) as error:
        raise Undecodable(str(error)) from error


def _from_raw(value: Mapping[str, Any]) -> Operation:
    return Operation.from_bytes(decode(Kind.BLOCK, value["branch"]) + bytes.fromhex(value["data"]))


def operations_answer(value: object) -> Operations:
    """The answer to ``/operations`` of a block; what is of no known kind is left out."""
    passes = []
    for passed in value if isinstance(value, list) else ():
        operations = []
        for one in passed:
            try:
                operations.append(Operation.from_json(one, ignore=POOL_FIELDS))
            except ForgeError:
                continue
        passes.append(tuple(operations))
    return tuple(passes)


def raw_header(value: object) -> BlockHeader:
    """The answer to ``/header/raw``. Raises ``Undecodable``."""
    try:
        return BlockHeader.from_bytes(bytes.fromhex(str(value)))
    except (ForgeError, ValueError) as error:
        raise Undecodable(str(error)) from error


def anything(value: object) -> Any:
    return value


@attrs.define(eq=False, repr=False)
class Blocks:
    rpc: Rpc
    _known: OrderedDict[str, _Info] = attrs.field(factory=OrderedDict)

    async def proposal(self, seen: Seen) -> Proposal:
        """The block with its predecessor. Raises ``RpcFailed``."""
        info = self._known.get(seen.hash)
        if info is None:
            before = seen.header.shell.predecessor
            if before not in self._known:
                await self._get(before, "protocols", anything)
                header = await self._get(before, "header/raw", raw_header)
                operations = await self._get(before, "operations", operations_answer)
                self._keep(_info(before, header, operations))
            operations = seen.operations
            if operations is None:
                operations = await self._get(seen.hash, "operations", operations_answer)
            info = _info(seen.hash, seen.header, operations)
            self._keep(info)
        predecessor = self._known.get(info.head.shell.predecessor)
        if predecessor is None:
            header = await self._get(info.head.shell.predecessor, "header/raw", raw_header)
            predecessor = _info(info.head.shell.predecessor, header, ())
        return Proposal(info.head, predecessor.head, info.operations, info.payload_round, _prequorum(info))

    def _keep(self, info: _Info) -> None:
        self._known[info.head.hash] = info
        while len(self._known) > CACHED:
            self._known.popitem(last=False)

    async def _get(self, block: str, what: str, decode: Callable[[object], Any]) -> Any:
        return await self.rpc.call(Request("GET", f"/chains/main/blocks/{block}/{what}", decode))


def _info(block: str, header: BlockHeader, operations: Operations) -> _Info:
    shell = header.shell
    try:
        data = ProtocolData.from_bytes(header.protocol_data)
        at_round = fitness_round(shell.fitness)
    except ForgeError:
        # Made by the genesis protocol.
        return _Info(Head(block, shell, 0, None), 0, operations)
    return _Info(Head(block, shell, at_round, data.payload_hash), data.payload_round, operations)


def _prequorum(info: _Info) -> Prequorum | None:
    votes = [
        (operation.content, operation)
        for operation in (info.operations[0] if info.operations else ())
        if isinstance(operation.content, Consensus) and operation.content.kind == "preattestation"
    ]
    if not votes:
        return None
    content = votes[0][0]
    assert isinstance(content, Consensus)
    return Prequorum(content.level, content.round, content.payload_hash, tuple(one for _, one in votes))
