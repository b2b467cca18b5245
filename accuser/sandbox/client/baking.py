"""``bake for`` and ``propose for``: make a block, and inject it (``lib_delegate/baking_lib.ml``).

The node judges the operations (``preapply/block``); the client chooses round and operations, does
the proof of work and signs.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from ..._mavryk.codec.base58 import Kind, decode, encode
from ..._mavryk.codec.crypto import (
    Key,
    Watermark,
    blake2b,
    operation_hash,
    payload_hash,
    watermark,
)
from ..._mavryk.codec.fields import ForgeError
from ..._mavryk.codec.forge import (
    BlockHeader,
    ProtocolData,
    ShellHeader,
    fitness_round,
    rfc3339,
)
from ..._mavryk.codec.operations import Consensus, Operation
from .activation import shell_header
from .context import ZERO_SIGNATURE, Context, Failure, Refusal, unreadable
from .delegates import Constants, Head, Slots, constants, head_of, slots_of
from .events import BakingEvents
from .voting import signed_votes

PASSES: Final = 4
SEED_LENGTH: Final = 54
"""Characters of a secret key without its public key."""

POOL_FIELDS: Final = ("hash", "protocol", "chain_id", "metadata", "error")
"""What the operations of a pool may have beside their own fields."""

_NO_PAYLOAD: Final = encode(Kind.PAYLOAD, bytes(32))
_NO_SLOT: Final = "No potential baking slot for the given delegates."


@attrs.frozen
class BakeOptions:
    """The options of ``bake for`` and ``propose for``."""

    minimal_timestamp: bool = False
    """Bake at once, at the first round that one of us has; otherwise at a round of its time."""
    force: bool = False
    """Sign what was signed before, and inject blocks that are no better than the head."""
    operations_pool: str | None = None
    """A file or URL with operations to include besides; what cannot be read is ignored."""
    ignore_mempool: bool = False
    adaptive_issuance_vote: str = "pass"
    count: int = 1
    has_dal_node: bool = False
    """Whether one is named; it is not asked."""


@attrs.define(eq=False, repr=False)
class Baker:
    """Bakes on one node for some keys."""

    context: Context
    keys: Sequence[Key]
    options: BakeOptions
    constants: Constants
    chain_id: str
    events: BakingEvents
    _heads: dict[str, Head] = attrs.field(factory=dict, init=False)
    """The last ones asked for, by hash, since each is the next one's predecessor."""
    _slots: dict[int, Slots] = attrs.field(factory=dict, init=False)
    """The last ones asked for, by level: who bakes a level votes for its block too."""

    async def bake(self) -> None:
        """Bake as many blocks as asked for. Raises ``RpcFailed``, ``Failure``, ``Refusal``."""
        for index in range(self.options.count):
            head, predecessor = await self._head()
            if index > 0:
                await self.events.new_head(head.hash, head.shell.level, head.round)
            block = await self._next(head, predecessor, attest=True)
            if self.options.minimal_timestamp:
                self.context.message("Injected block at minimal timestamp")
        if not self.options.minimal_timestamp:
            self.context.message(f"Last injected block: {block} (level {head.shell.level + 1})")

    async def propose(self) -> None:
        """Propose a block for the next level, or another one for the current level if it lacks votes.

        Raises ``RpcFailed``, ``Failure``, ``Refusal``.
        """
        head, predecessor = await self._head()
        first = head.shell.proto != predecessor.shell.proto
        if first or await self._attested(head) >= self.constants.consensus_threshold:
            await self._next(head, predecessor, attest=False)
            if not self.options.minimal_timestamp:
                self.context.message("Proposal injected")
            return
        current = self.constants.round_at(predecessor, self.context.wall())
        if current == head.round:
            raise Failure(f"Cannot propose: there's already a valid proposal for the current round {current}")
        slots = await self._slots_of(head.shell.level)
        owner = slots.owner(current, self.constants.committee_size)
        if owner is None:
            raise Failure("No slots for current round")
        grandparent = await head_of(self.context, predecessor.shell.predecessor)
        await self._make(predecessor, grandparent, current, *owner, attest=False)
        level = head.shell.level
        self.context.message(f"Reproposed block at level {level} on round {current}")

    async def _head(self) -> tuple[Head, Head]:
        head = await head_of(self.context, "head")
        predecessor = self._heads.get(head.shell.predecessor)
        if predecessor is None:
            predecessor = await head_of(self.context, head.shell.predecessor)
        self._heads = {head.hash: head}
        return head, predecessor

    async def _slots_of(self, level: int) -> Slots:
        slots = self._slots.get(level)
        if slots is None:
            slots = await slots_of(self.context, self.keys, level)
            recent = {known: own for known, own in self._slots.items() if known == level - 1}
            self._slots = {**recent, level: slots}
        return slots

    async def _next(self, head: Head, predecessor: Head, *, attest: bool) -> str:
        size = self.constants.committee_size
        slots = await self._slots_of(head.shell.level + 1)
        if self.options.minimal_timestamp:
            at_round = slots.first_round(size)
            if at_round is None:
                raise Failure(_NO_SLOT)
        else:
            current = self.constants.round_at(head, self.context.wall())
            started = self.constants.timestamp(head, current) < self.context.wall()
            at_round = slots.first_round(size, current + 1 if started else current)
            if at_round is None:
                raise Failure("No baking slot found for the delegates")
            when = self.constants.timestamp(head, at_round)
            self.context.message(f"Waiting until {rfc3339(when)} for round {at_round}")
            await trio.sleep(max(0.0, when - self.context.wall()))
        owner = slots.owner(at_round, size)
        assert owner is not None
        block = await self._make(head, predecessor, at_round, *owner, attest=attest)
        if not attest and self.options.minimal_timestamp:
            self.context.message(f"Proposed block at round {at_round} on top of {head.hash} ")
        return block

    async def _make(
        self, head: Head, predecessor: Head, round: int, delegate: str, key: Key, *, attest: bool
    ) -> str:
        """Make the block of a round on top of ``head``; give its hash."""
        pool = await self._pool(head)
        if attest and head.shell.proto == predecessor.shell.proto:
            own = await self._slots_of(head.shell.level)
            self._check_power(own.powers, pool, (min(each) for each in own.slots.values()))
            votes = signed_votes(
                self.context, "attestation", head, predecessor, own, self.chain_id, force=self.options.force
            )
            pool = [*(operation for _, operation in votes), *pool]
            if not self.options.has_dal_node:
                await self.events.miss_dal(len(votes))
        await self.events.votes("pass", self.options.adaptive_issuance_vote)
        data = ProtocolData(
            payload_hash=_NO_PAYLOAD,
            payload_round=round,
            proof_of_work_nonce=bytes(8),
            seed_nonce_hash=await self._seed_nonce_hash(head, key),
            liquidity_baking_toggle_vote="pass",
            adaptive_issuance_vote=self.options.adaptive_issuance_vote,
            signature=ZERO_SIGNATURE,
        )
        shell, operations = await self._preapply(head, data, round, pool)
        hashes = [
            operation_hash(raw_operation(operation)) for passed in operations[1:] for operation in passed
        ]
        data = attrs.evolve(data, payload_hash=payload_hash(shell.predecessor, round, hashes))
        header = await self._signed(shell, mined(shell, data, self.constants.proof_of_work_threshold), key)
        path = f"/injection/block?chain={self.chain_id}" + ("&force=true" if self.options.force else "")
        body = {"data": header.to_bytes().hex(), "operations": operations}
        block = str(await self.context.call("POST", path, body))
        await self.events.block(block, shell.level, round, key, delegate)
        return block

    async def _signed(self, shell: ShellHeader, data: ProtocolData, key: Key) -> BlockHeader:
        level, at_round = shell.level, fitness_round(shell.fitness)
        if not self.context.wallet.may_sign(self.chain_id, "blocks", [key.pkh], level, at_round):
            await self.events.double_baking(level, at_round)
            if not self.options.force:
                raise Refusal(
                    f"A block with a higher watermark than the current one (level: {level}, "
                    f"round: {at_round}) was previously baked."
                )
        mark = watermark(Watermark.BLOCK, self.chain_id)
        signature = key.sign(shell.to_bytes() + data.unsigned_bytes(), watermark=mark)
        return BlockHeader(shell, attrs.evolve(data, signature=signature).to_bytes())

    async def _preapply(
        self, head: Head, data: ProtocolData, round: int, pool: Iterable[Operation]
    ) -> tuple[ShellHeader, list[list[dict[str, str]]]]:
        """The header of the block, and its operations by pass: those that the node would apply."""
        distinct: dict[str, Operation] = {}
        for operation in pool:
            distinct.setdefault(operation.hash, operation)
        protocols = await self.context.get(f"/chains/{self.context.chain}/blocks/{head.hash}/protocols")
        protocol: str = protocols["next_protocol"]
        passes: list[list[dict[str, Any]]] = [[] for _ in range(PASSES)]
        for operation in distinct.values():
            value: dict[str, Any] = {"protocol": protocol, **operation.to_json()}
            passes[operation.validation_pass].append(value)
        when = self.constants.timestamp(head, round)
        protocol_data: dict[str, Any] = {"protocol": protocol, **data.to_json()}
        answer = await self.context.call(
            "POST",
            f"/chains/{self.context.chain}/blocks/{head.hash}/helpers/preapply/block?timestamp={when}",
            {"protocol_data": protocol_data, "operations": passes},
        )
        shell = shell_header(answer)
        try:
            applied = [
                [{"branch": one["branch"], "data": one["data"]} for one in passed["applied"]]
                for passed in answer["operations"]
            ]
        except (KeyError, TypeError) as error:
            raise unreadable("preapply/block", error) from error
        return shell, applied

    async def _pool(self, head: Head) -> list[Operation]:
        """Operations that might go into a block on top of ``head``."""
        values: list[object] = []
        if self.options.operations_pool is not None:
            values += await self._external(self.options.operations_pool)
        if not self.options.ignore_mempool:
            values += await self._pending()
        pool = []
        for value in values:
            try:
                operation = Operation.from_json(value, ignore=POOL_FIELDS)
                if operation.signature is None:
                    # What has no signature is signed by zeros in its bytes.
                    operation = attrs.evolve(operation, signature=ZERO_SIGNATURE)
            except ForgeError:
                continue
            if _fits(operation, head):
                pool.append(operation)
        return pool

    async def _pending(self) -> list[object]:
        path = f"/chains/{self.context.chain}/mempool/pending_operations?version=2"
        return list((await self.context.get(path)).get("validated", ()))

    async def _external(self, source: str) -> list[object]:
        try:
            if source.startswith(("http://", "https://")):
                value = await _fetched(source, self.context)
            else:
                value = _read(source)
        except (OSError, ValueError):
            return []
        return value if isinstance(value, list) else []

    async def _attested(self, head: Head) -> int:
        slots = await self._slots_of(head.shell.level)
        return _power(slots.powers, await self._pool(head), ())

    def _check_power(self, powers: dict[int, int], pool: Iterable[Operation], own: Iterable[int]) -> None:
        power, required = _power(powers, pool, own), self.constants.consensus_threshold
        if power < required:
            raise Failure(
                f"Delegates do not have enough voting power. Only {power} is available while "
                f"{required} is required."
            )

    async def _seed_nonce_hash(self, head: Head, key: Key) -> str | None:
        path = f"/chains/{self.context.chain}/blocks/{head.hash}/helpers/current_level?offset=1"
        level = await self.context.get(path)
        try:
            return seed_nonce_hash(key, level["level"]) if level["expected_commitment"] else None
        except (KeyError, TypeError) as error:
            raise unreadable("current_level", error) from error


async def baker(context: Context, keys: Sequence[Key], protocol: str, options: BakeOptions) -> Baker:
    """A baker for ``keys``; the caller closes its events. Raises ``RpcFailed`` and ``Failure``."""
    values = await constants(context)
    chain_id = await context.get(f"/chains/{context.chain}/chain_id")
    return Baker(context, keys, options, values, chain_id, await BakingEvents.of(context, protocol))


_NO_NONCE: Final = b"\xff" * 8


def mined(shell: ShellHeader, data: ProtocolData, threshold: int) -> ProtocolData:
    """The same data with a nonce whose stamp is not above ``threshold``."""
    unsigned = attrs.evolve(data, signature=ZERO_SIGNATURE, proof_of_work_nonce=_NO_NONCE)
    before, found, after = unsigned.to_bytes().partition(_NO_NONCE)
    assert found
    assert _NO_NONCE not in after
    before = shell.to_bytes() + before
    number = 0
    while True:
        nonce = number.to_bytes(len(_NO_NONCE), "big")
        if int.from_bytes(blake2b(before + nonce + after)[:8], "big") <= threshold:
            return attrs.evolve(data, proof_of_work_nonce=nonce)
        number += 1


def seed_nonce_hash(key: Key, level: int) -> str:
    """The commitment of a level: hash of a nonce that only the key's owner can find again."""
    long = len(key.secret_key) > SEED_LENGTH
    secret = decode(Kind.ED25519_SECRET if long else Kind.ED25519_SEED, key.secret_key)[:32]
    return encode(Kind.NONCE, blake2b(hmac.digest(secret, level.to_bytes(4, "big"), "sha256")))


def raw_operation(value: dict[str, str]) -> bytes:
    """The bytes of ``{"branch", "data"}``."""
    return decode(Kind.BLOCK, value["branch"]) + bytes.fromhex(value["data"])


def _fits(operation: Operation, head: Head) -> bool:
    """Whether a fresh block on top of ``head`` could take it: of the votes, attestations of it."""
    content = operation.content
    if not isinstance(content, Consensus):
        return True
    return content.kind != "preattestation" and (content.level, content.round, content.payload_hash) == (
        head.shell.level,
        head.round,
        head.payload_hash,
    )


def _power(powers: dict[int, int], pool: Iterable[Operation], own: Iterable[int]) -> int:
    voted = {one.content.slot for one in pool if isinstance(one.content, Consensus)}
    return sum(powers.get(slot, 0) for slot in voted | set(own))


def _read(path: str) -> Any:
    return json.loads(Path(path).read_bytes())


async def _fetched(url: str, context: Context) -> Any:
    from urllib.parse import urlsplit

    from ..._http.client import HttpClient
    from ..._http.errors import HttpError, NodeUnreachable

    parts = urlsplit(url)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    server = f"{parts.scheme}://{parts.netloc}"
    try:
        response = await HttpClient(server, connect=context.connect_to(server)).request("GET", path)
    except (NodeUnreachable, HttpError) as error:
        raise OSError(str(error)) from error
    return response.json() if response.status == 200 else []
