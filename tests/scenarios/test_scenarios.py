"""Upstream's scenarios, on each toolchain."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from accuser import SANDBOX, Protocol, ScenarioFailed, Toolchain
from accuser.scenarios import (
    SCENARIOS,
    Denunciation,
    adaptive_issuance,
    double_baking,
    double_consensus,
    operation_too_far_in_future,
    operation_too_old,
)
from accuser.scenarios._adaptive_issuance import CULPRIT, PROTOCOLS, REWARDED, slashed_by
from accuser.scenarios._stage import Setting, open_stage
from tests.support.independent import (
    ConsensusEvidence,
    Evidence,
    Signed,
    base58check,
    digest,
    operation_hash,
)
from tests.support.kept import remove_kept
from tests.tools.scenario_table import (
    BEGIN,
    END,
    OTHER,
    PAGE,
)

pytestmark = pytest.mark.mavryk(toolchains=["sandbox", "mavkit"])
EACH_PROTOCOL = pytest.mark.parametrize("protocol", list(Protocol), ids=lambda protocol: protocol.tag)


@EACH_PROTOCOL
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
        await double_baking(toolchain, twin=True)
    remove_kept(caught.value, count=4)


# Recordings of tasks and of processes are equal: see `test_recordings`.
@pytest.mark.mavryk(toolchains=["memory", "mavkit"])
@EACH_PROTOCOL
@pytest.mark.parametrize("kind", ["attestation", "preattestation"])
@pytest.mark.parametrize("difference", ["slot", "block_payload_hash", "branch"])
async def test_double_consensus(
    toolchain: Toolchain,
    protocol: Protocol,
    kind: Literal["attestation", "preattestation"],
    difference: Literal["slot", "block_payload_hash", "branch"],
) -> None:
    result = await double_consensus(toolchain, protocol, kind=kind, difference=difference)
    assert (result.toolchain, result.protocol) == (toolchain.name, protocol.long_name)
    assert (result.kind, result.difference, result.level) == (kind, difference, 6)
    assert result.already_denounced == result.first.evidence.hash != result.second.evidence.hash

    valid, first = ordered(result.first.evidence, {result.valid}, result.first.operation)
    # A mempool that lets the first one replace the valid one shows the latter to the accuser again.
    others = {result.valid, result.first.operation}
    latest, second = ordered(result.second.evidence, others, result.second.operation)
    assert latest in (valid, first)
    for signed in (valid, first, second):
        assert signed.tag == {"preattestation": 20, "attestation": 21}[kind]
        assert (signed.level, signed.round) == (result.level, result.round)
        assert signed.signed_by("bootstrap1", result.chain_id)
    # The third one takes another slot in every scenario, as upstream's does.
    differing = {"slot": "slot", "block_payload_hash": "payload", "branch": "branch"}[difference]
    for name in ("slot", "payload", "branch"):
        assert (getattr(valid, name) != getattr(first, name)) == (name == differing), name
        assert (getattr(first, name) != getattr(second, name)) == (name in (differing, "slot")), name


def ordered(evidence: Denunciation, older: set[str], newer: str) -> tuple[Signed, Signed]:
    """Check evidence about two operations; return them in the order in which they were made."""
    operation = bytes.fromhex(evidence.bytes)
    assert operation_hash(operation) == evidence.hash
    decoded = ConsensusEvidence.decode(operation)
    assert decoded.tag == {20: 7, 21: 2}[decoded.first.tag]
    assert decoded.signature == bytes(64)
    assert digest(decoded.first.raw) < digest(decoded.second.raw)
    by_hash = {decoded.first.hash: decoded.first, decoded.second.hash: decoded.second}
    new = by_hash.pop(newer)
    ((old_hash, old),) = by_hash.items()
    assert old_hash in older
    return old, new


async def test_evidence_that_the_mempool_does_not_hold_fails_a_scenario(toolchain: Toolchain) -> None:
    async with open_stage(Setting(toolchain=toolchain, protocol=Protocol.BOREAS)) as stage:
        await stage.bake(1)
        attestation, _ = await stage.sign_honestly("attestation")
        for operation, place in (
            (attestation, "'validated', with no error"),
            ("ooNothing", "none of its lists"),
        ):
            message = f"not found in the mempool: node1 has not validated {operation} .*; it is in {place}$"
            with pytest.raises(ScenarioFailed, match=message):
                await stage.check_pending(operation, "double_attestation_evidence")


@EACH_PROTOCOL
async def test_operation_too_old(toolchain: Toolchain, protocol: Protocol) -> None:
    result = await operation_too_old(toolchain, protocol)
    assert (result.toolchain, result.protocol) == (toolchain.name, protocol.long_name)
    assert result.event == "consensus_operation_too_old.v0"
    assert (result.level, result.head) == (3, 4)


@EACH_PROTOCOL
async def test_operation_too_far_in_future(toolchain: Toolchain, protocol: Protocol) -> None:
    result = await operation_too_far_in_future(toolchain, protocol)
    assert (result.toolchain, result.protocol) == (toolchain.name, protocol.long_name)
    assert result.event == "consensus_operation_too_far_in_future.v0"
    assert (result.level, result.head) == (6, 3)


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.tag)
async def test_adaptive_issuance(toolchain: Toolchain, protocol: Protocol) -> None:
    result = await adaptive_issuance(toolchain, protocol)
    assert (result.toolchain, result.protocol) == (toolchain.name, protocol.long_name)
    assert (result.included.level, result.included.validation_pass) == (8, 2)
    assert (result.forbidden, result.slashing.level) == (CULPRIT.pkh, 12)
    # Of the 200000 mav that it had frozen, a twentieth.
    assert result.slashing.burned + result.slashing.rewarded == 10_000_000_000
    evidence = Evidence.decode(bytes.fromhex(result.denunciation.bytes))
    assert (evidence.first.level, evidence.second.level) == (6, 6)
    assert evidence.first.round == evidence.second.round
    assert (
        evidence.first.signers(result.chain_id) == evidence.second.signers(result.chain_id) == {"bootstrap2"}
    )


async def test_without_the_evidence_nobody_is_forbidden(toolchain: Toolchain) -> None:
    message = r"bootstrap2 \(mv1V.*\) is not forbidden after block B.* of level 8, which was to have evidence"
    with pytest.raises(ScenarioFailed, match=message) as caught:
        await adaptive_issuance(toolchain, twin=True)
    remove_kept(caught.value, count=4)


async def test_atlas_cannot_show_adaptive_issuance() -> None:
    with pytest.raises(ValueError, match="001-PtAtLas does not forbid at once"):
        await adaptive_issuance(SANDBOX, Protocol.ATLAS)


def slashing_updates(burned: int = 60, rewarded: int = 10, lost: int = 70) -> list[dict[str, Any]]:
    origin = {"origin": "delayed_operation", "delayed_operation_hash": "oo1"}
    return [
        {
            "kind": "freezer",
            "category": "deposits",
            "staker": {"baker_own_stake": CULPRIT.pkh},
            "change": str(-lost),
            **origin,
        },
        {"kind": "burned", "category": "punishments", "change": str(burned), **origin},
        {"kind": "contract", "contract": REWARDED.pkh, "change": str(rewarded), **origin},
        {"kind": "contract", "contract": REWARDED.pkh, "change": "5", "origin": "block"},
    ]


@pytest.mark.parametrize("burned", [54, 60, 66])
def test_balance_updates_of_a_slashing(burned: int) -> None:
    assert slashed_by("oo1", slashing_updates(burned, 10, burned + 10)) == (burned, 10)


@pytest.mark.parametrize(
    "updates",
    [
        [],
        slashing_updates()[1:],
        slashing_updates(burned=67, lost=77),
        slashing_updates(rewarded=0, burned=6, lost=6),
        slashing_updates(lost=71),
        [{**update, "delayed_operation_hash": "oo2"} for update in slashing_updates()],
    ],
)
def test_balance_updates_that_are_none_of_a_slashing(updates: list[dict[str, Any]]) -> None:
    with pytest.raises(ScenarioFailed, match=r"oo1 made bootstrap2 lose .* 6 parts of 7 are burned"):
        slashed_by("oo1", updates)


def test_every_scenario_of_upstream_has_a_name() -> None:
    assert list(SCENARIOS) == [
        "double-baking",
        "double-attestation-wrong-slot",
        "double-attestation-wrong-block-payload-hash",
        "double-attestation-wrong-branch",
        "double-preattestation-wrong-slot",
        "double-preattestation-wrong-block-payload-hash",
        "double-preattestation-wrong-branch",
        "operation-too-old",
        "operation-too-far-in-the-future",
        "adaptive-issuance",
        "migration",
        "voting-override",
        "two-bakers-one-key",
        "double-baking-remote",
    ]


def test_the_table_of_the_docs_has_them_all() -> None:
    _, _, rest = PAGE.read_text().partition(BEGIN)
    lines = rest.partition(END)[0].strip().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    assert [row[0] for row in rows[2:]] == [f"`{name}`" for name in SCENARIOS]
    for row, scenario in zip(rows[2:], SCENARIOS.values(), strict=True):
        for protocol, cell in zip(Protocol, row[1:-1], strict=True):
            assert cell == OTHER if protocol not in scenario.protocols else cell.startswith("passes, "), row
        assert row[-1].startswith(f"{scenario.twin}: `"), row
