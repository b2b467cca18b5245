"""What the tests of denunciations share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from accuser import Protocol
from accuser._mavryk.codec.base58 import Kind, encode
from accuser._mavryk.codec.crypto import (
    BOOTSTRAP,
    GENESIS_BLOCK,
    blake2b,
    operation_hash,
)
from accuser._mavryk.codec.forge import (
    BlockHeader,
    ProtocolData,
    ShellHeader,
    fitness,
)
from accuser._mavryk.codec.operations import Consensus, InlinedConsensus, Operation
from accuser.sandbox.accuser import answers
from accuser.sandbox.accuser.denunciation import (
    Denunciator,
    Emit,
    SeenBlock,
    Steps,
)
from accuser.sandbox.rpc.request import Request, RpcFailed

CHAIN = "NetXXAAR1wWQhhe"

OTHER_CHAIN = encode(Kind.CHAIN, b"\1\2\3\4")

BOREAS = Protocol.BOREAS.hash

ALICE, BOB = BOOTSTRAP[0].pkh, BOOTSTRAP[1].pkh


def a_hash(kind: Kind, text: str) -> str:
    return encode(kind, blake2b(text.encode()))


def header(name: str, level: int, at_round: int = 0) -> BlockHeader:
    shell = ShellHeader(
        level=level,
        proto=1,
        predecessor=GENESIS_BLOCK,
        timestamp=1_755_000_000 + level,
        validation_pass=4,
        operations_hash=a_hash(Kind.OPERATION_LIST_LIST, name),
        fitness=fitness(level, None, 0, at_round),
        context=a_hash(Kind.CONTEXT, name),
    )
    data = ProtocolData(a_hash(Kind.PAYLOAD, name), at_round, bytes(8), None, "pass", "pass", bytes(64))
    return BlockHeader(shell, data.to_bytes())


def operation(
    level: int = 9,
    *,
    slot: int = 0,
    at_round: int = 0,
    payload: str = "a",
    branch: str = "a",
    signature: int = 0,
    kind: Any = "attestation",
) -> InlinedConsensus:
    content = Consensus(
        kind,
        slot,
        level,
        at_round,
        a_hash(Kind.PAYLOAD, payload),
        dal_attestation=0 if kind == "attestation_with_dal" else None,
    )
    return InlinedConsensus(a_hash(Kind.BLOCK, branch), content, bytes([signature]) * 64)


@attrs.define
class Node:
    """Answers the requests of one denunciator, and remembers them and the events."""

    denunciator: Denunciator
    bakers: dict[str, str] = attrs.Factory(dict)
    headers: dict[str, BlockHeader] = attrs.Factory(dict)
    operations: dict[str, tuple[InlinedConsensus, ...] | None] = attrs.Factory(dict)
    pruned: set[str] = attrs.Factory(set)
    fails: Callable[[str], bool] = lambda path: False
    rights: dict[int, str] = attrs.Factory(lambda: {0: ALICE, 1: ALICE, 2: BOB})
    chain: str = CHAIN
    requests: list[str] = attrs.Factory(list)
    asked: list[Request] = attrs.Factory(list)
    events: list[tuple[str, Any]] = attrs.Factory(list)
    emitted: list[Emit] = attrs.Factory(list)
    forged: list[Any] = attrs.Factory(list)
    injected: list[str] = attrs.Factory(list)

    def drive(self, steps: Steps) -> list[str]:
        """Run the steps; the names of the events."""
        before = len(self.events)
        answer: Any = None
        failure: RpcFailed | None = None
        try:
            while True:
                step = steps.send(answer) if failure is None else steps.throw(failure)
                answer = failure = None
                if isinstance(step, Emit):
                    self.events.append((step.name, step.value))
                    self.emitted.append(step)
                    continue
                self.requests.append(step.path)
                self.asked.append(step)
                if self.fails(step.path):
                    failure = RpcFailed([{"kind": "temporary", "id": "failure", "msg": "no"}], "no")
                else:
                    answer = self.answer(step)
        except StopIteration:
            return [name for name, _ in self.events[before:]]

    def block(
        self,
        name: str,
        level: int = 9,
        at_round: int = 0,
        baker: str = ALICE,
        next_protocol: str = BOREAS,
    ) -> list[str]:
        made = header(name, level, at_round)
        self.headers[made.hash] = made
        self.bakers[made.hash] = baker
        seen = SeenBlock(made.hash, self.chain, level, BOREAS, next_protocol)
        return self.drive(self.denunciator.block(seen))

    def batch(self, *operations: InlinedConsensus) -> list[str]:
        return self.drive(self.denunciator.operations(operations, CHAIN))

    def answer(self, request: Request) -> Any:
        path = request.path
        if path.endswith("/hash"):
            return a_hash(Kind.BLOCK, "head")
        if "/helpers/validators" in path:
            return dict(self.rights)
        if path.endswith("/helpers/forge/operations"):
            self.forged.append(request.body)
            return Operation.from_json(request.body).unsigned_bytes()
        if "/injection/operation" in path:
            assert isinstance(request.body, str)
            self.injected.append(request.body)
            return operation_hash(bytes.fromhex(request.body))
        name = path.split("/")[4].partition("?")[0]
        if path.endswith("/header"):
            return self.headers[name]
        assert path == f"/chains/{self.chain}/blocks/{name}?version=1"
        made = self.headers[name]
        baked = answers.Baked(self.bakers[name], made.shell.level)
        return answers.Block(
            hash=name,
            chain_id=self.chain,
            fitness=made.shell.fitness,
            baked=None if name in self.pruned else baked,
            consensus=self.operations.get(name, ()),
        )


@pytest.fixture
def node() -> Node:
    return Node(Denunciator(BOREAS, "002-PtBoreas"))


SAW, PROCESSED, ERROR = "accuser_saw_block", "accuser_processed_block", "accuser_block_error"

BAKING = ["double_baking_detected", "double_baking_denounced"]

ATTESTATION = ["double_attestation_detected", "double_attestation_denounced"]


def contents(node: Node) -> list[Any]:
    return [content for body in node.forged for content in body["contents"]]
