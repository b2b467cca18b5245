"""The scenarios in which an accuser is there before its protocol."""

from __future__ import annotations

import re

import pytest

from accuser import Protocol, ScenarioFailed, Toolchain
from accuser.scenarios import migration
from tests.support.independent import ConsensusEvidence, operation_hash
from tests.support.kept import remove_kept

NOT_FOUND = r"Expected the accuser to find (B[^, \n]{50}), found (B[^, \n]{50})"


@pytest.mark.parametrize(
    "protocol", [Protocol.BOREAS, Protocol.ALPHA], ids=lambda protocol: str(protocol.tag)
)
async def test_migration(toolchain: Toolchain, protocol: Protocol) -> None:
    steps: list[str] = []
    result = await migration(toolchain, protocol, report=steps.append)
    assert (result.protocol_before, result.protocol) == ("001-PtAtLas", protocol.long_name)
    handover = result.handover
    assert handover.migration_level == 4
    assert len({handover.last_processed, handover.migration_block, handover.first_processed}) == 3
    assert steps[-1] == "accuser1 had ended with the block below"

    operation = bytes.fromhex(result.denunciation.bytes)
    assert operation_hash(operation) == result.denunciation.hash
    evidence = ConsensusEvidence.decode(operation)
    assert (evidence.first.level, evidence.second.level) == (5, 5)
    assert evidence.first.slot != evidence.second.slot
    assert evidence.first.signed_by("bootstrap1", result.chain_id)
    assert evidence.second.signed_by("bootstrap1", result.chain_id)
    assert (result.included.level, result.included.validation_pass) == (6, 2)


async def test_an_accuser_that_comes_late_begins_later(toolchain: Toolchain) -> None:
    with pytest.raises(ScenarioFailed, match=NOT_FOUND) as caught:
        await migration(toolchain, twin=True)
    match = re.fullmatch(NOT_FOUND, str(caught.value))
    assert match is not None
    assert match[1] != match[2]
    remove_kept(caught.value, count=2)


async def test_nothing_migrates_to_the_first_protocol(toolchain: Toolchain) -> None:
    with pytest.raises(ValueError, match="no protocol migrates to 001-PtAtLas"):
        await migration(toolchain, Protocol.ATLAS)
