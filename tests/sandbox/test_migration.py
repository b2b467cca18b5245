"""The sandbox's chain and node at the border of two protocols."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from accuser import Protocol
from accuser._mavryk.codec.operations import Operation
from accuser._mavryk.parameters import parameters as upstream_parameters
from accuser.sandbox.chain import migration
from accuser.sandbox.chain.block import NO_OPERATIONS, Network
from accuser.sandbox.chain.chain import Chain
from accuser.sandbox.chain.mempool import Class, Mempool
from accuser.sandbox.chain.parameters import Parameters
from accuser.sandbox.chain.trace import NodeError
from tests.support.forger import (
    activated,
    activation,
    bake,
    double_baking,
    double_consensus,
    header,
    slots,
    vote,
)
from tests.support.nodes import B1, standing

ATLAS, BOREAS, ALPHA = (protocol.hash for protocol in Protocol)
MIGRATION = 4
AFTER_ATLAS = pytest.mark.parametrize(
    "successor", [Protocol.BOREAS, Protocol.ALPHA], ids=lambda protocol: protocol.tag
)


def chain_of(
    protocol: Protocol, upgrades: dict[int, str], overrides: dict[str, str] | None = None, **constants: Any
) -> Chain:
    """A chain whose users want these upgrades, activated."""
    chain = Chain(attrs.evolve(Network(), upgrades=upgrades, overrides=overrides or {}))
    chain.advance(chain.add(activation(chain, protocol, **constants), ()))
    return chain


def sandbox_constants(protocol: Protocol) -> dict[str, Any]:
    raw = upstream_parameters(protocol)
    del raw["bootstrap_accounts"]
    return raw


@AFTER_ATLAS
def test_a_migration_changes_the_protocol_and_little_else(successor: Protocol) -> None:
    chain = chain_of(Protocol.ATLAS, {MIGRATION: successor.hash}, **sandbox_constants(Protocol.ATLAS))
    before = bake(chain, count=2)
    assert (before.protocol, before.state.protocol, before.header.shell.proto) == (ATLAS, ATLAS, 1)
    block = bake(chain)
    assert (block.level, block.protocol, block.state.protocol) == (MIGRATION, ATLAS, successor.hash)
    after = bake(chain)
    assert (after.protocol, after.state.protocol) == (successor.hash, successor.hash)
    assert [one.header.shell.proto for one in (block, after)] == [2, 2]
    assert [one.header.shell.fitness[1].hex() for one in (block, after)] == ["00000004", "00000005"]
    old, new = before.state.calendar, after.state.calendar
    assert old is not None
    assert new is not None
    # Cycles, rights and voting periods go on as if nothing had happened.
    for level in range(1, 30):
        assert new.level_info(level) == old.level_info(level)
        assert new.slots(level) == old.slots(level)
        assert after.state.amendment.info(level, new) == before.state.amendment.info(level, old)
    assert (old.protocol_level, new.protocol_level) == (1, MIGRATION)


@AFTER_ATLAS
def test_the_constants_after_a_migration(successor: Protocol) -> None:
    chain = chain_of(Protocol.ATLAS, {MIGRATION: successor.hash}, **sandbox_constants(Protocol.ATLAS))
    before = bake(chain, count=2)
    block = bake(chain)
    assert before.state.calendar is not None
    assert block.state.calendar is not None
    old = before.state.calendar.parameters.constants()
    new = block.state.calendar.parameters.constants()
    expected = chain_of(successor, {}, **sandbox_constants(successor)).head.state.calendar
    assert expected is not None
    activated_with = expected.parameters.constants()

    def names(value: object) -> object:
        return {name: names(one) for name, one in value.items()} if isinstance(value, dict) else None

    assert names(new) == names(activated_with)
    # What the protocol does not set is what the chain had.
    assert new["max_operations_time_to_live"] == old["max_operations_time_to_live"] == 240
    assert new["percentage_of_frozen_deposits_slashed_per_double_baking"] == 500
    assert new["smart_rollup_reveal_activation_level"]["dal_page"] == MIGRATION + 1  # type: ignore[index]  # a JSON value
    assert new["issuance_weights"] == activated_with["issuance_weights"]
    assert new["max_slashing_threshold"] == 86


def test_five_preserved_cycles_are_those_of_the_main_network() -> None:
    raw = {"bootstrap_accounts": [], **sandbox_constants(Protocol.ATLAS)}
    chain = activated(Protocol.ATLAS)
    assert chain.head.state.calendar is not None
    some: Parameters = chain.head.state.calendar.parameters
    for preserved, delay in ((5, 2), (3, 3)):
        parameters = attrs.evolve(some, raw={**raw, "preserved_cycles": preserved})
        new = migration.constants_after_atlas(parameters, MIGRATION)
        assert (new["consensus_rights_delay"], new["delegate_parameters_activation_delay"]) == (
            delay,
            preserved,
        )


@pytest.mark.parametrize(
    ("old", "new", "version"),
    [
        (Protocol.BOREAS, Protocol.ALPHA, "boreas_002"),
        (Protocol.BOREAS, Protocol.ATLAS, "boreas_002"),
        (Protocol.ALPHA, Protocol.BOREAS, "alpha_current"),
    ],
)
def test_only_atlas_has_successors(old: Protocol, new: Protocol, version: str) -> None:
    chain = chain_of(old, {3: new.hash})
    bake(chain)
    with pytest.raises(NodeError) as caught:
        bake(chain)
    assert caught.value.trace[-1] == {
        "kind": "permanent",
        "id": f"proto.{new.long_name}.context.storage_error",
        "incompatible_protocol_version": version,
    }


def test_a_protocol_that_the_node_does_not_have() -> None:
    demo = "ProtoDemoCounterDemoCounterDemoCounterDemoCou4LSpdT"
    chain = chain_of(Protocol.ATLAS, {2: demo})
    with pytest.raises(NodeError) as caught:
        bake(chain)
    assert caught.value.trace[0]["id"] == "validator.unavailable_protocol"
    assert caught.value.trace[0]["missing_protocol"] == demo


def test_an_upgrade_to_the_same_protocol_is_none() -> None:
    chain = chain_of(Protocol.BOREAS, {3: BOREAS})
    assert [bake(chain).header.shell.proto for _ in range(3)] == [1, 1, 1]


def test_an_override_goes_before_an_upgrade_and_holds_at_every_level() -> None:
    network = Network(upgrades={3: BOREAS}, overrides={ATLAS: ALPHA})
    assert [migration.decided(network, old, 3) for old in (ATLAS, ALPHA)] == [ALPHA, BOREAS]
    chain = chain_of(Protocol.ATLAS, {3: BOREAS}, {BOREAS: ALPHA})
    assert bake(chain, count=2).state.protocol == BOREAS
    # The ledger now names a protocol that has a replacement, which does not follow it.
    with pytest.raises(NodeError, match="boreas_002"):
        bake(chain)
    activated_instead = chain_of(Protocol.BOREAS, {}, {BOREAS: ATLAS})
    assert activated_instead.head.state.protocol == ATLAS


def test_slow_chains_are_not_migrated_wrongly() -> None:
    chain = chain_of(Protocol.ATLAS, {3: BOREAS}, minimal_block_delay="8")
    bake(chain)
    with pytest.raises(NodeError, match="does not migrate a chain whose blocks take 8 seconds"):
        bake(chain)


def test_nobody_attests_the_migration_block() -> None:
    chain = chain_of(Protocol.ATLAS, {MIGRATION: BOREAS}, consensus_threshold=1)
    bake(chain)
    for _ in range(MIGRATION - 2):
        attested = vote(chain, chain.head, slots(chain.head, B1.pkh)[0])
        bake(chain, operations=((attested,), (), (), ()))
    assert bake(chain).level == MIGRATION + 1
    with pytest.raises(NodeError, match="not_enough_attestations"):
        bake(chain)


def test_what_atlas_remembers_has_no_round_afterwards() -> None:
    chain = chain_of(Protocol.ATLAS, {6: BOREAS})
    bake(chain, count=3)
    about = chain.head
    own = slots(about, B1.pkh)
    pair = [vote(chain, about, slot) for slot in own[:2]]
    denounced = double_consensus(pair[0], pair[1], about.hash)
    bake(chain, operations=((), (), (denounced,), ()))
    bake(chain, count=2)
    assert chain.head.state.protocol == BOREAS
    mempool = Mempool(chain)

    def class_of(kind: str, round: int, level: int) -> Class:
        about = chain.resolve(str(level))
        own = slots(about, B1.pkh)
        pair = [vote(chain, about, slot, kind=kind, round=round) for slot in own[:2]]
        return mempool.classify(double_consensus(pair[0], pair[1], chain.head.hash)).kind

    for kind in ("attestation", "preattestation"):
        assert class_of(kind, 0, about.level) is Class.BRANCH_REFUSED
        assert class_of(kind, 3, about.level) is Class.BRANCH_REFUSED
    assert class_of("attestation", 0, about.level - 1) is Class.VALIDATED
    bake(chain, count=2)
    # Of its own time, the new protocol knows the round.
    about = chain.head
    own = slots(about, B1.pkh)
    pair = [vote(chain, about, slot) for slot in own[:2]]
    bake(chain, operations=((), (), (double_consensus(pair[0], pair[1], about.hash),), ()))
    assert class_of("attestation", 0, about.level) is Class.BRANCH_REFUSED
    assert class_of("attestation", 3, about.level) is Class.VALIDATED


def test_the_mempool_begins_anew_with_what_was_valid() -> None:
    chain = chain_of(Protocol.ATLAS, {MIGRATION: BOREAS})
    bake(chain, count=2)
    mempool = Mempool(chain)
    good = vote(chain, chain.head, slots(chain.head, B1.pkh)[0])
    refused = attrs.evolve(good, signature=bytes(64))
    for operation in (good, refused):
        mempool.add(mempool.classify(operation))
    assert [entry.kind for entry in mempool.entries.values()] == [Class.VALIDATED, Class.REFUSED]
    bake(chain)
    mempool.restart()
    assert [entry.operation for entry in mempool.entries.values()] == [good]
    assert mempool.known(good.hash)
    assert not mempool.known(refused.hash)


def test_operations_live_longer_and_longer_at_first() -> None:
    chain = chain_of(Protocol.ATLAS, {MIGRATION: BOREAS}, max_operations_time_to_live=6)
    ttls = [chain.operations_ttl(chain.genesis), chain.operations_ttl(chain.head)]
    ttls += [chain.operations_ttl(bake(chain)) for _ in range(7)]
    assert ttls == [0, 1, 2, 3, 4, 5, 6, 6, 6]


def evidence_of(chain: Chain, level: int) -> Operation:
    """Evidence that the baker of a level has baked it twice."""
    below = chain.resolve(str(level - 1))
    twice = [header(chain, below, vote=text) for text in ("on", "off")]
    for one in twice:
        chain.add(one, NO_OPERATIONS)
    return double_baking(twice[0], twice[1], chain.head.hash)


def test_the_new_protocol_takes_evidence_about_the_old_one() -> None:
    chain = chain_of(Protocol.ATLAS, {MIGRATION: BOREAS})
    bake(chain, count=3)
    operation = evidence_of(chain, 3)
    block = bake(chain, operations=((), (), (operation,), ()))
    assert (block.protocol, block.operations[2]) == (BOREAS, (operation,))


async def test_streams_tell_the_blocks_that_their_protocol_follows() -> None:
    async with standing(chain=chain_of(Protocol.ATLAS, {3: BOREAS})) as stand:
        async with (
            stand.stream(f"/monitor/heads/main?next_protocol={BOREAS}") as heads,
            stand.stream(f"/monitor/applied_blocks?next_protocol={BOREAS}&chain=main") as new,
            stand.stream(f"/monitor/applied_blocks?next_protocol={ATLAS}&chain=main") as old,
        ):
            blocks = [await stand.bake() for _ in range(3)]
            assert json.loads(await anext(heads))["hash"] == blocks[1].hash
            told = [json.loads(await anext(new))["hash"] for _ in range(2)]
            assert told == [block.hash for block in blocks[1:]]
            assert json.loads(await anext(old))["hash"] == blocks[0].hash
        root = f"/chains/main/blocks/{blocks[1].hash}"
        metadata = await stand.get(f"{root}/metadata")
        assert await stand.get(f"{root}/protocols") == {"protocol": ATLAS, "next_protocol": BOREAS}
        assert (metadata["protocol"], metadata["next_protocol"]) == (ATLAS, BOREAS)
        assert "ns_enable" in await stand.get(f"{root}/context/constants")
        assert "ns_enable" not in await stand.get(f"{root}~1/context/constants")
        assert await stand.get(f"{root}/helpers/validators") == await stand.get(
            f"{root}~1/helpers/validators?level=3"
        )
        assert await stand.get("/config/network/user_activated_upgrades") == [
            {"level": 3, "replacement_protocol": BOREAS}
        ]
        assert await stand.get("/config/network/user_activated_protocol_overrides") == []
