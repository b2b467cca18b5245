"""What an accuser does with blocks and consensus operations: pure, without I/O.

``Denunciator.block`` and ``Denunciator.operations`` are generators. They yield a ``Request`` and
get its decoded answer, or ``RpcFailed`` thrown into them; or an ``Emit``, and get nothing. Whoever
drives them runs one at a time and to its end: the tables change only in between.

The algorithm, its order and its oddities are those of
``lib_delegate/client_baking_denunciation.ml`` of the three protocols: evidence against blocks is
given again and again, against operations too, and what could not be injected is forgotten.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from typing import Any, Final, NamedTuple

import attrs

from ..._mavryk.codec.base58 import Kind, decode
from ..._mavryk.codec.fields import ForgeError
from ..._mavryk.codec.forge import BlockHeader, fitness_round
from ..._mavryk.codec.operations import (
    DoubleBaking,
    DoubleConsensus,
    InlinedConsensus,
    Operation,
)
from ..rpc.request import Request, RpcFailed
from ..sink.item import unbreakable
from ..sink.uri import Level
from . import answers
from .answers import Block

DEFAULT_PRESERVED_LEVELS: Final = 200
BRANCH_OFFSET: Final = 5
"""Evidence is anchored this many blocks behind the head, so that a reorganisation spares it."""

FUTURE: Final = 2
"""Operations further ahead of the highest known level are ignored."""

_NO_SIGNATURE: Final = bytes(64)


@attrs.frozen
class Emit:
    section: tuple[str, ...]
    name: str
    level: Level
    value: object
    text: str


Steps = Generator[Request | Emit, Any, None]


@attrs.frozen
class SeenBlock:
    """A block that was applied, with its protocols."""

    hash: str
    chain_id: str
    level: int
    protocol: str
    next_protocol: str


class _Recorded(NamedTuple):
    operation: InlinedConsensus
    denounced: str | None
    """Hash of the last evidence against this delegate, if any."""


_Place = tuple[str, int, int]
"""Chain, level, round."""


class Denunciator:
    """The memory of one accuser.

    Args:
        protocol: hash of the accuser's own protocol.
        name: long name of it, as in ``002-PtBoreas``.
        dal: whether block metadata of this protocol have ``dal_attestation``.
        preserved_levels: how many levels behind the highest one stay in memory.
    """

    def __init__(
        self,
        protocol: str,
        name: str,
        *,
        dal: bool = True,
        preserved_levels: int = DEFAULT_PRESERVED_LEVELS,
    ) -> None:
        self._protocol = protocol
        self._section = (name, "delegate", "denunciation")
        self._dal = dal
        self._invalid_fitness = {"kind": "permanent", "id": f"proto.{name}.invalid_fitness"}
        self._preserved = preserved_levels
        self._clean_every = max(1, preserved_levels // 10)
        self._until_cleaning = self._clean_every
        self.highest_level: int = 0
        """The highest level of the blocks processed."""
        self._blocks: dict[_Place, dict[str, str]] = {}
        self._consensus: dict[_Place, dict[tuple[str, bool], _Recorded]] = {}
        self._rights: dict[int, Mapping[int, str]] = {}

    # Blocks

    def block(self, seen: SeenBlock) -> Steps:
        """Process an applied block."""
        try:
            yield from self._block(seen)
        except RpcFailed as error:
            yield self._block_error(seen.hash, error)
        else:
            yield self._emit(
                "accuser_processed_block", Level.NOTICE, seen.hash, f"block {seen.hash} registered"
            )

    def _block(self, seen: SeenBlock) -> Steps:
        if seen.protocol != seen.next_protocol:
            yield self._emit(
                "protocol_change_detected",
                Level.ERROR,
                {},
                "protocol changing detected; skipping the block",
            )
            return
        yield self._emit(
            "accuser_saw_block",
            Level.DEBUG,
            {"level": seen.level, "hash": seen.hash},
            f"block level: {seen.level}",
        )
        self.highest_level = max(self.highest_level, seen.level)
        try:
            block: Block = yield Request(
                "GET",
                f"/chains/{seen.chain_id}/blocks/{seen.hash}?version=1",
                lambda value: answers.block(value, self._protocol, dal=self._dal),
            )
        except RpcFailed as error:
            yield self._block_error(seen.hash, error)
        else:
            yield from self._baking(block)
            if block.consensus is None:
                text = f"error while fetching operations of block {seen.hash}"
                yield self._emit("fetch_operations_error", Level.ERROR, seen.hash, text)
            else:
                yield from self.operations(block.consensus, seen.chain_id)
        self._clean()

    def _baking(self, block: Block) -> Steps:
        if block.baked is None:
            text = f"unexpected pruned block: {block.hash}"
            yield self._emit("unexpected_pruned_block", Level.ERROR, block.hash, text)
            return
        try:
            at_round = fitness_round(block.fitness)
        except ForgeError:
            raise RpcFailed([self._invalid_fitness], "Invalid fitness") from None
        place = (block.chain_id, block.baked.level, at_round)
        known = self._blocks.setdefault(place, {})
        delegate = block.baked.delegate
        existing = known.get(delegate)
        if existing == block.hash:
            text = "double baking detected but block hashes are equivalent; skipping"
            yield self._emit("double_baking_but_not", Level.DEBUG, {}, text)
        elif existing is not None:
            yield from self._denounce_baking(block.chain_id, block.baked.level, existing, block.hash)
        known[delegate] = block.hash

    def _denounce_baking(self, chain_id: str, level: int, existing: str, new: str) -> Steps:
        headers: list[BlockHeader] = []
        for block in (existing, new):
            headers.append(
                (
                    yield Request(
                        "GET",
                        f"/chains/{chain_id}/blocks/{block}/header",
                        lambda value: answers.header(value, self._protocol),
                    )
                )
            )
        first, second = sorted(headers, key=lambda header: decode(Kind.BLOCK, header.hash))
        evidence = yield from self._forge(chain_id, level, DoubleBaking(first, second))
        yield self._emit("double_baking_detected", Level.NOTICE, {}, "double baking detected")
        denounced = yield self._inject("/injection/operation", chain_id, evidence)
        yield self._emit(
            "double_baking_denounced",
            Level.NOTICE,
            {"hash": denounced, "bytes": evidence.hex()},
            f"double baking evidence injected {denounced}",
        )

    # Consensus operations

    def operations(self, operations: Iterable[InlinedConsensus], chain_id: str) -> Steps:
        """Process preattestations and attestations, in their order.

        A failure ends it: ``RpcFailed`` comes out, and the rest is not looked at.
        """
        for operation in operations:
            yield from self._operation(operation, chain_id)

    def _operation(self, new: InlinedConsensus, chain_id: str) -> Steps:
        level = new.content.level
        behind = self.highest_level - level
        if behind > self._preserved:
            text = f"operation {new.hash} is too old to be handled"
            yield self._emit("consensus_operation_too_old", Level.DEBUG, new.hash, text)
            return
        if behind < -FUTURE:
            text = f"operation {new.hash} too far in the future"
            yield self._emit("consensus_operation_too_far_in_future", Level.DEBUG, new.hash, text)
            return
        rights = self._rights.get(level)
        if rights is None:
            rights = yield from self._fetch_rights(level)
        owner = rights.get(new.content.slot)
        if owner is None:
            return
        place = (chain_id, level, new.content.round)
        key = (owner, new.content.kind == "preattestation")
        recorded = self._consensus.setdefault(place, {}).get(key)
        if recorded is None:
            self._consensus[place][key] = _Recorded(new, None)
            return
        old = recorded.operation
        if (old.content.payload_hash, old.content.slot, old.branch) == (
            new.content.payload_hash,
            new.content.slot,
            new.branch,
        ):
            return
        yield from self._denounce_consensus(place, key, recorded, new)

    def _fetch_rights(self, level: int) -> Generator[Request | Emit, Any, Mapping[int, str]]:
        path = f"/chains/main/blocks/head/helpers/validators?level={level}"
        rights: Mapping[int, str] = yield Request("GET", path, answers.validators)
        while len(self._rights) >= self._preserved + 2:
            del self._rights[next(iter(self._rights))]
        self._rights[level] = rights
        return rights

    def _denounce_consensus(
        self, place: _Place, key: tuple[str, bool], recorded: _Recorded, new: InlinedConsensus
    ) -> Steps:
        chain_id, level, _ = place
        existing = recorded.operation
        first, second = sorted((new, existing), key=lambda each: decode(Kind.OPERATION, each.hash))
        word = "preattestation" if key[1] else "attestation"
        kind: Any = f"double_{word}_evidence"
        evidence = yield from self._forge(chain_id, level, DoubleConsensus(kind, first, second))
        # The two hashes stand under each other's names, as upstream has them.
        yield self._emit(
            f"double_{word}_detected",
            Level.NOTICE,
            {f"existing_{word}": new.hash, f"new_{word}": existing.hash},
            f"double {word} detected",
        )
        denounced = yield self._inject("/private/injection/operation", chain_id, evidence)
        if recorded.denounced is not None:
            yield self._emit(
                "double_consensus_already_denounced",
                Level.DEBUG,
                recorded.denounced,
                f"double consensus operation already denounced in {recorded.denounced}",
            )
        self._consensus.setdefault(place, {})[key] = _Recorded(new, denounced)
        yield self._emit(
            f"double_{word}_denounced",
            Level.NOTICE,
            {"hash": denounced, "bytes": evidence.hex()},
            f"double {word} evidence injected: {denounced}",
        )

    # Common to both

    def _forge(
        self, chain_id: str, level: int, content: DoubleBaking | DoubleConsensus
    ) -> Generator[Request | Emit, Any, bytes]:
        behind = branch_offset(level)
        blocks = f"/chains/{chain_id}/blocks/head" + (f"~{behind}" if behind else "")
        branch = yield Request("GET", f"{blocks}/hash", answers.block_hash)
        operation = Operation(branch, (content,), None)
        forged: bytes = yield Request(
            "POST", f"{blocks}/helpers/forge/operations", answers.forged, operation.to_json()
        )
        # Evidence is anonymous: its signature is not checked, and is all zeros.
        return forged + _NO_SIGNATURE

    def _inject(self, path: str, chain_id: str, evidence: bytes) -> Request:
        return Request("POST", f"{path}?chain={chain_id}", answers.operation_hash, evidence.hex())

    def _clean(self) -> None:
        self._until_cleaning -= 1
        if self._until_cleaning >= 0:
            return
        self._until_cleaning = self._clean_every
        least = max(0, self.highest_level - self._preserved)
        self._blocks = {place: seen for place, seen in self._blocks.items() if place[1] >= least}
        self._consensus = {place: seen for place, seen in self._consensus.items() if place[1] >= least}

    def _block_error(self, block: str, error: RpcFailed) -> Emit:
        text = f"error while processing block {block} {unbreakable(error.text)}"
        return self._emit("accuser_block_error", Level.ERROR, {"hash": block, "errors": error.trace}, text)

    def _emit(self, name: str, level: Level, value: object, text: str) -> Emit:
        return Emit(self._section, name, level, value, text)


def branch_offset(level: int) -> int:
    """How far behind the head the branch of an evidence is, for a misbehaviour at that level."""
    return BRANCH_OFFSET if level >= BRANCH_OFFSET else max(0, level - 1)
