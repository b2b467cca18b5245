"""Upstream's scenarios, on each toolchain."""

from __future__ import annotations

import pytest

from accuser import Protocol, ScenarioFailed, Toolchain
from accuser.scenarios import double_baking

from .independent import Evidence, base58check, operation_hash
from .kept import remove_kept


@pytest.mark.parametrize("protocol", list(Protocol), ids=lambda protocol: protocol.tag)
async def test_double_baking_with_accuser(toolchain: Toolchain, protocol: Protocol) -> None:
    steps: list[str] = []
    result = await double_baking(toolchain, protocol, report=steps.append)
    assert (result.toolchain, result.protocol) == (toolchain.name, protocol.long_name)
    assert result.chain_id == "NetXXAAR1wWQhhe"
    assert (result.included.level, result.included.validation_pass) == (5, 2)
    assert steps[-1].startswith(f"the evidence is in block {result.included.block}")

    operation = bytes.fromhex(result.denunciation.bytes)
    assert operation_hash(operation) == result.denunciation.hash
    evidence = Evidence.decode(operation)
    assert evidence.signature == bytes(64)
    assert (evidence.first.level, evidence.second.level) == (3, 3)
    assert evidence.first.round == evidence.second.round
    assert evidence.first.hash < evidence.second.hash
    assert (
        evidence.first.signers(result.chain_id) == evidence.second.signers(result.chain_id) == {"bootstrap1"}
    )
    assert base58check(b"\x01\x34", evidence.branch).startswith("B")


async def test_double_baking_without_the_evidence_in_the_block_fails(toolchain: Toolchain) -> None:
    with pytest.raises(
        ScenarioFailed, match=r"evidence was not found: o.* not in validation pass 2"
    ) as caught:
        await double_baking(toolchain, withhold_evidence=True)
    remove_kept(caught.value, count=4)
