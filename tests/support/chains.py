"""What the tests of the chain share."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from accuser._mavryk.codec.crypto import BOOTSTRAP
from accuser._mavryk.codec.forge import (
    BlockHeader,
    ProtocolData,
)
from accuser._mavryk.codec.operations import Operation
from accuser.sandbox.chain import economic_rules
from accuser.sandbox.chain.block import NO_OPERATIONS, Block, Operations
from accuser.sandbox.chain.chain import Chain
from accuser.sandbox.chain.mempool import Class, Mempool
from accuser.sandbox.chain.trace import NodeError
from tests.support.forger import (
    KEYS,
    activated,
    bake,
    double_baking,
    signed,
)

B1 = BOOTSTRAP[0]


def refused(
    chain: Chain, candidate: BlockHeader, operations: Operations = NO_OPERATIONS
) -> tuple[dict[str, object], ...]:
    with pytest.raises(NodeError) as caught:
        chain.add(candidate, operations)
    return caught.value.trace


def identifier(error: dict[str, object]) -> str:
    return str(error["id"]).removeprefix("proto.002-PtBoreas.")


def with_operation(operation: Operation) -> Operations:
    passes: list[tuple[Operation, ...]] = [(), (), (), ()]
    passes[operation.validation_pass] = (operation,)
    return tuple(passes)


def economic(
    chain: Chain, candidate: BlockHeader, operations: Operations = NO_OPERATIONS
) -> dict[str, object]:
    outer, inner = refused(chain, candidate, operations)
    assert outer["id"] == "validator.invalid_block"
    assert outer["error"] == {"error": "economic_protocol_error"}
    return inner


def altered(chain: Chain, candidate: BlockHeader, **changes: Any) -> BlockHeader:
    """The same block with other protocol data, mined and signed anew by the same baker."""
    data = attrs.evolve(ProtocolData.from_bytes(candidate.protocol_data), **changes)
    calendar = chain.head.state.calendar
    assert calendar is not None
    baker = calendar.baker(candidate.shell.level, 0)
    assert baker is not None
    nonce = 0
    constants = calendar.parameters
    while not economic_rules.stamp_is_good(BlockHeader(candidate.shell, data.to_bytes()), constants):
        nonce += 1
        data = attrs.evolve(data, proof_of_work_nonce=nonce.to_bytes(8, "big"))
    return BlockHeader(
        candidate.shell, signed(candidate.shell.to_bytes(), data, KEYS[baker.pkh], chain).to_bytes()
    )


# Evidence


def forked() -> tuple[Chain, Block, Block]:
    """Two blocks of level 3, round 0, by bootstrap1, and a head of level 4."""
    chain = activated()
    root = bake(chain)
    one = bake(chain)
    two = bake(chain, root, vote="on")
    bake(chain, one)
    return chain, one, two


def classify(chain: Chain, operation: Operation) -> tuple[Class, dict[str, object] | None]:
    entry = Mempool(chain).classify(operation)
    return entry.kind, None if entry.error is None else entry.error.trace[0]


def evidence(chain: Chain, one: Block, two: Block) -> Operation:
    return double_baking(one.header, two.header, chain.ancestor(chain.head, 2).hash)
