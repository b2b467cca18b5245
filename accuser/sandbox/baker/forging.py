"""Blocks and votes: what is asked of the node to make them, and their signatures.

Facts: ``lib_delegate/{block_forge,baking_actions,forge_worker}.ml``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
import trio

from ..._http.client import Connect, HttpClient
from ..._http.errors import HttpError, NodeUnreachable
from ..._mavryk.codec.base58 import Kind, encode
from ..._mavryk.codec.crypto import (
    Key,
    Watermark,
    operation_hash,
    payload_hash,
    watermark,
)
from ..._mavryk.codec.fields import ForgeError
from ..._mavryk.codec.forge import (
    BlockHeader,
    ProtocolData,
    ShellHeader,
)
from ..._mavryk.codec.operations import Consensus, Operation
from ..client.baking import mined, raw_operation
from ..client.delegates import Constants, Slots
from ..client.wallet import Wallet
from ..rpc.client import Rpc
from ..rpc.request import Request, Undecodable
from .blocks import anything
from .nonces import Nonces, nonce_hash
from .selection import Fees, parse, select
from .values import Forge, Note, Proposal, VoteKind
from .votefile import Votes

ZERO_SIGNATURE: Final = bytes(64)
NO_PAYLOAD: Final = encode(Kind.PAYLOAD, bytes(32))
POOL_PATIENCE: Final = 5.0
"""Seconds that a server of operations may take."""


class Twice(Exception):
    """The watermark of a delegate forbids to sign."""

    def __init__(self, protocol: str, what: str, level: int, round: int) -> None:
        self.trace: Final[list[dict[str, Any]]] = [
            {
                "kind": "permanent",
                "id": f"client.{protocol}.highwatermarks.{what}",
                "round": round,
                "level": level,
            }
        ]
        super().__init__(what)


@attrs.frozen
class Made:
    hash: str
    header: BlockHeader
    operations: list[list[dict[str, str]]]
    nonce: bytes | None
    cycle: int


@attrs.frozen
class _Preapplied:
    shell: ShellHeader
    operations: list[list[dict[str, str]]]


def _preapplied(value: object) -> _Preapplied:
    try:
        assert isinstance(value, dict)
        shell = ShellHeader.from_json(value["shell_header"])
        operations = [
            [{"branch": one["branch"], "data": one["data"]} for one in passed["applied"]]
            for passed in value["operations"]
        ]
    except (AssertionError, ForgeError, LookupError, TypeError) as error:
        raise Undecodable(str(error)) from error
    return _Preapplied(shell, operations)


@attrs.define(eq=False, repr=False)
class Forger:
    """Makes and signs for one chain and protocol.

    Args:
        rpc: of the node.
        wallet: whose watermarks are kept.
        chain: id of the chain.
        protocol: hash of the protocol.
        name: long name of it.
        constants: of it.
        nonces: of the same base directory.
        fees: the least that manager operations must pay.
        branch_on_predecessor: votes are branched on the block that they are about's predecessor,
            and not on the one before that.
    """

    rpc: Rpc
    wallet: Wallet
    chain: str
    protocol: str
    name: str
    constants: Constants
    nonces: Nonces
    fees: Fees = attrs.Factory(Fees)
    branch_on_predecessor: bool = False

    async def block(
        self, order: Forge, key: Key, pool: Sequence[Operation], external: Sequence[Operation], votes: Votes
    ) -> Made:
        """Make a block. Raises ``RpcFailed``, ``Twice``, ``WalletError``."""
        predecessor = order.predecessor
        blocks = f"/chains/{self.chain}/blocks/{predecessor.hash}"
        level = await self._get(f"{blocks}/helpers/current_level?offset=1")
        await self._get(f"{blocks}/resulting_context_hash")
        live = frozenset(await self._get(f"{blocks}/live_blocks"))
        nonce = self.nonces.fresh() if level["expected_commitment"] else None
        again, prequorum = order.again, order.prequorum
        if prequorum is not None and again is not None:
            payload_round = again.payload_round
            passes = _of_payload(again)
            passes[0] = [*passes[0], *prequorum.votes]
        else:
            payload_round = order.round
            candidates = [*pool, *order.quorum]
            if again is not None:
                candidates += [one for passed in again.operations[1:] for one in passed]
                candidates += again.operations[0] if again.operations else ()
            passes = select(external, candidates, predecessor, live, self.fees)
        data = ProtocolData(
            payload_hash=NO_PAYLOAD if prequorum is None else prequorum.payload_hash,
            payload_round=payload_round,
            proof_of_work_nonce=bytes(8),
            seed_nonce_hash=None if nonce is None else nonce_hash(nonce),
            liquidity_baking_toggle_vote=votes.liquidity_baking,
            adaptive_issuance_vote=votes.adaptive_issuance,
            signature=ZERO_SIGNATURE,
        )
        made = await self._preapply(order, data, passes)
        hashes = [operation_hash(raw_operation(one)) for passed in made.operations[1:] for one in passed]
        data = attrs.evolve(data, payload_hash=payload_hash(predecessor.hash, payload_round, hashes))
        data = mined(made.shell, data, self.constants.proof_of_work_threshold)
        if not self.wallet.may_sign(self.chain, "blocks", [key.pkh], order.level, order.round):
            raise Twice(self.name, "block_previously_baked", order.level, order.round)
        mark = watermark(Watermark.BLOCK, self.chain)
        signature = key.sign(made.shell.to_bytes() + data.unsigned_bytes(), watermark=mark)
        header = BlockHeader(made.shell, attrs.evolve(data, signature=signature).to_bytes())
        return Made(header.hash, header, made.operations, nonce, int(level["cycle"]))

    async def _preapply(self, order: Forge, data: ProtocolData, passes: list[list[Operation]]) -> _Preapplied:
        when = self.constants.timestamp(order.predecessor, order.round)
        path = f"/chains/{self.chain}/blocks/{order.predecessor.hash}/helpers/preapply/block?timestamp={when}"
        body = {
            "protocol_data": {"protocol": self.protocol, **data.to_json()},
            "operations": [
                [{"protocol": self.protocol, **operation.to_json()} for operation in passed]
                for passed in passes
            ],
        }
        made: _Preapplied = await self.rpc.call(Request("POST", path, _preapplied, body))
        return made

    async def _get(self, path: str) -> Any:
        return await self.rpc.call(Request("GET", path, anything))

    def authorized(
        self, kind: VoteKind, slots: Slots, level: int, round: int
    ) -> tuple[list[str], dict[str, Twice]]:
        """The delegates whose watermarks let them vote, which are raised, and the others.

        Raises ``WalletError``.
        """
        hashes = [key.pkh for key in slots.keys.values()]
        file: Any = f"{kind}s"
        allowed = set(self.wallet.may_sign(self.chain, file, hashes, level, round))
        refused = {
            delegate: Twice(self.name, f"block_previously_{kind.removesuffix('ation')}ed", level, round)
            for delegate, key in slots.keys.items()
            if key.pkh not in allowed
        }
        return [delegate for delegate in slots.keys if delegate not in refused], refused

    def vote(self, kind: VoteKind, proposal: Proposal, slot: int, key: Key) -> Operation:
        """A signed vote for a proposal."""
        content = Consensus(kind, slot, proposal.level, proposal.block.round, proposal.payload)
        before = proposal.predecessor
        branch = before.hash if self.branch_on_predecessor else before.shell.predecessor
        unsigned = Operation(branch, (content,), None)
        mark = watermark(content.watermark, self.chain)
        signature = key.sign(unsigned.unsigned_bytes(), watermark=mark)
        return attrs.evolve(unsigned, signature=signature)


def _of_payload(proposal: Proposal) -> list[list[Operation]]:
    """The operations of a proposal that make its payload, and its attestations of the block below."""
    passes = [list(passed) for passed in proposal.operations]
    passes += [[] for _ in range(4 - len(passes))]
    passes[0] = [
        operation
        for operation in passes[0]
        if not (isinstance(operation.content, Consensus) and operation.content.kind == "preattestation")
    ]
    return passes


async def external_operations(
    source: str, connect_to: Callable[[str], Connect | None]
) -> tuple[list[Operation], list[Note]]:
    """The operations of ``--operations-pool``, and what is to be told of them."""
    if urlsplit(source).scheme in ("http", "https"):
        try:
            with trio.fail_after(POOL_PATIENCE):
                value = await _fetched(source, connect_to)
        except (trio.TooSlowError, NodeUnreachable, HttpError, OSError, ValueError) as error:
            trace = [{"kind": "temporary", "id": "failure", "msg": str(error) or "timed out"}]
            return [], [Note("cannot_fetch_operations", trace)]
        return parse(value if isinstance(value, list) else ()), []
    try:
        text = Path(source).read_bytes()  # noqa: ASYNC240 - a small file, as upstream reads it
    except OSError:
        return [], [Note("no_operations_found_in_file", source)]
    try:
        value = json.loads(text)
    except ValueError:
        return [], [Note("invalid_json_file", source)]
    operations = parse(value if isinstance(value, list) else ())
    return operations, [] if operations else [Note("no_operations_found_in_file", source)]


async def _fetched(source: str, connect_to: Callable[[str], Connect | None]) -> object:
    parts = urlsplit(source)
    url = f"{parts.scheme}://{parts.netloc}"
    headers = (("accept", "application/json"),)
    client = HttpClient(url, connect=connect_to(url))
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    response = await client.request("GET", path, headers=headers)
    if response.status != 200:
        raise ValueError(f"{source} answered {response.status}")
    return response.json()


def injection(made: Made, chain: str) -> Request:
    """The call that hands a block to the node."""
    body = {"data": made.header.to_bytes().hex(), "operations": made.operations}
    return Request("POST", f"/injection/block?async&chain={chain}", anything, body)
