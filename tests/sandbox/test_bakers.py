"""Whole bakers: networks of them in process, in virtual time, and their command line."""

from __future__ import annotations

import contextlib
import datetime
from collections import Counter

import pytest
import trio
from trio.testing import MockClock

from accuser import (
    BOOTSTRAP,
    Baker,
    Protocol,
    Sandbox,
    open_accuser,
    open_baker,
    open_client,
    open_node,
)
from accuser._stream.event import Event
from accuser.sandbox.baker.nonces import nonce_hash
from tests.support.living import ALONE, NAMES, attesters, chain, evidence, fitness, now

# Networks


@pytest.mark.parametrize("protocol", Protocol, ids=lambda protocol: protocol.tag)
@pytest.mark.parametrize("groups", [[NAMES], [NAMES[:2], NAMES[2:3], NAMES[3:]]], ids=["one", "three"])
async def test_bakers_make_a_block_a_second_with_all_votes(
    autojump_clock: MockClock, sandbox: Sandbox, protocol: Protocol, groups: list[list[str]]
) -> None:
    async with chain(sandbox, protocol, consensus_threshold=256) as (node, client):
        async with contextlib.AsyncExitStack() as stack:
            denounced = evidence(await stack.enter_async_context(open_accuser(protocol, node)))
            for names in groups:
                await stack.enter_async_context(open_baker(protocol, node, client, delegates=names))
            await node.wait_for_level(20)
        head = await node.rpc("get", "/chains/main/blocks/head/header")
        first = await node.rpc("get", "/chains/main/blocks/2/header")
        times = [datetime.datetime.fromisoformat(one["timestamp"]) for one in (first, head)]
        assert (times[1] - times[0]).total_seconds() == head["level"] - 2
        for level in (4, 12, 20):
            assert await fitness(node, level) == (0, None)
            assert len(await attesters(node, level)) == len(BOOTSTRAP)
        # The first block of a protocol is attested by nobody.
        assert await attesters(node, 2) == set()
        assert denounced == []


async def test_bakers_reveal_in_a_cycle_what_they_committed_to_in_the_one_before(
    autojump_clock: MockClock, sandbox: Sandbox
) -> None:
    async with chain(sandbox) as (node, client):
        async with contextlib.AsyncExitStack() as stack:
            for names in (NAMES[:2], NAMES[2:]):
                await stack.enter_async_context(open_baker(Protocol.BOREAS, node, client, delegates=names))
            await node.wait_for_level(14)
        committed = {}
        for level in range(2, 9):
            header = await node.rpc("get", f"/chains/main/blocks/{level}/header")
            if "seed_nonce_hash" in header:
                committed[level] = header["seed_nonce_hash"]
        assert list(committed) == [4, 8]
        revealed = {}
        for level in range(9, 15):
            for operation in await node.rpc("get", f"/chains/main/blocks/{level}/operations/2"):
                (content,) = operation["contents"]
                assert content["kind"] == "seed_nonce_revelation"
                assert "signature" not in operation
                revealed[content["level"]] = nonce_hash(bytes.fromhex(content["nonce"]))
        assert revealed == committed


async def test_without_a_quorum_the_payload_is_proposed_again_until_there_is_one(
    autojump_clock: MockClock, sandbox: Sandbox
) -> None:
    # The first baker alone has not enough power for anything; both have.
    async with chain(sandbox, consensus_threshold=200) as (node, client):
        seen: Counter[str] = Counter()
        async with open_baker(
            Protocol.BOREAS, node, client, delegates=NAMES[:2], event_level="info"
        ) as first:
            first.on_event(lambda event: seen.update([event.name]))
            await first.wait_for(
                "no_attestable_payload_fresh_block.v0", since=first.start_mark(), timeout=600
            )
            assert seen["pqc_reached.v0"] == 0
            async with open_baker(Protocol.BOREAS, node, client, delegates=NAMES[2:]):
                await node.wait_for_level(6, timeout=600)
        rounds = [(await fitness(node, level))[0] for level in range(2, 7)]
        assert rounds[-1] == 0
        assert max(rounds) > 0
        assert seen["pqc_reached.v0"] > 0


async def test_a_baker_follows_its_events_in_upstreams_order(
    autojump_clock: MockClock, sandbox: Sandbox
) -> None:
    async with chain(sandbox) as (node, client):
        events: list[Event] = []
        async with open_baker(Protocol.BOREAS, node, client, event_level="debug") as baker:
            baker.on_event(events.append)
            await node.wait_for_level(6)
            pid = baker.pid
            await baker.terminate()
            assert pid is not None
            assert baker.exit_status == 127
        of_level = [
            event
            for event in events
            if isinstance(event.value, dict) and event.value.get("level") == 4 and "block" in event.value
        ]
        assert [event.name for event in of_level[:1]] == ["block_injected.v0"]
        names = [event.name for event in events]
        order = [
            "new_valid_proposal.v0",
            "attempting_vote_proposal.v0",
            "pqc_reached.v0",
            "new_forge_event.v0",
        ]
        start = names.index("new_valid_proposal.v0")
        places = [names.index(name, start) for name in order]
        assert places == sorted(places)
        (value,) = (
            event.value for event in events if event.name == "block_injected.v0" and event.value["level"] == 4
        )
        assert list(value) == ["block", "level", "round", "delegate"]
        signer = {account.alias: account for account in BOOTSTRAP}[value["delegate"]["alias"]]
        assert value["delegate"] == {
            "alias": signer.alias,
            "public_key": signer.public_key,
            "public_key_hash": signer.pkh,
            "secret_key_uri": f"unencrypted:{signer.secret_key}",
            "delegate": signer.pkh,
        }
        phases = {event.value["phase"] for event in events if event.name == "step_current_phase.v0"}
        assert {"Idle", "Awaiting_preattestations", "Awaiting_attestationss"} <= phases
        sections = {event.section for event in events if event.name == "qc_reached.v0"}
        assert sections == {("002-PtBoreas", "baker", "operation_worker")}


async def test_two_bakers_of_one_directory_never_sign_twice(
    autojump_clock: MockClock, sandbox: Sandbox
) -> None:
    async with chain(sandbox) as (node, client):
        seen: Counter[str] = Counter()
        async with (
            open_accuser(Protocol.BOREAS, node) as accuser,
            open_baker(Protocol.BOREAS, node, client, liquidity_baking_toggle_vote="on") as one,
            open_baker(Protocol.BOREAS, node, client, liquidity_baking_toggle_vote="off") as two,
        ):
            denounced = evidence(accuser)
            for baker in (one, two):
                baker.on_event(lambda event: seen.update([event.name]))
            await node.wait_for_level(10)
            assert denounced == []
        assert seen["skipping_consensus_vote.v0"] >= 5
        assert seen["potential_double_baking.v0"] >= 5
        assert seen["failed_to_forge_block.v0"] == seen["potential_double_baking.v0"]


async def test_two_bakers_of_two_directories_on_one_node_bake_twice(
    autojump_clock: MockClock, sandbox: Sandbox
) -> None:
    async with chain(sandbox) as (node, client), open_client(node) as other:
        async with (
            open_accuser(Protocol.BOREAS, node) as accuser,
            open_baker(Protocol.BOREAS, node, client, liquidity_baking_toggle_vote="on"),
            open_baker(Protocol.BOREAS, node, other, liquidity_baking_toggle_vote="off"),
        ):
            await accuser.wait_for("double_baking_denounced.v0", timeout=600)


async def test_a_restarted_baker_goes_on_and_keeps_its_word(
    autojump_clock: MockClock, sandbox: Sandbox
) -> None:
    async with chain(sandbox) as (node, client), open_accuser(Protocol.BOREAS, node) as accuser:
        denounced = evidence(accuser)
        async with open_baker(Protocol.BOREAS, node, client) as baker:
            for level in (4, 8, 12):
                await node.wait_for_level(level)
                await baker.restart()
            await node.wait_for_level(16)
        assert denounced == []


async def test_a_new_protocol_is_taken_over_by_its_own_baker(
    autojump_clock: MockClock, sandbox: Sandbox
) -> None:
    opening = open_node(toolchain=sandbox.toolchain, arguments=ALONE, upgrades={5: Protocol.BOREAS})
    async with opening as node, open_client(node) as client:
        await client.activate_protocol(Protocol.ATLAS, timestamp=now(sandbox))
        async with trio.open_nursery() as nursery:
            old = Baker(Protocol.ATLAS, node, client)
            new = Baker(Protocol.BOREAS, node, client)
            await nursery.start(old.run)
            nursery.start_soon(new.run)
            await node.wait_for_level(12, timeout=600)
            assert old.running
            assert new.running
            nursery.cancel_scope.cancel()
        protocols = [
            (await node.rpc("get", f"/chains/main/blocks/{level}/protocols"))["protocol"]
            for level in (5, 6, 12)
        ]
        assert protocols == [Protocol.ATLAS.hash, Protocol.BOREAS.hash, Protocol.BOREAS.hash]
        assert await attesters(node, 6) == set()
        assert len(await attesters(node, 12)) == len(BOOTSTRAP)


async def test_a_baker_that_is_kept_alive_survives_its_node(
    autojump_clock: MockClock, sandbox: Sandbox
) -> None:
    async with chain(sandbox) as (node, client):
        async with open_baker(Protocol.BOREAS, node, client, keep_alive=True) as baker:
            await node.wait_for_level(4)
            await node.terminate()
            await baker.wait_for_line(
                "Retrying to establish connection", stream="stderr", since=baker.start_mark()
            )
            await node.restart()
            await node.wait_for_level(node.level + 3, timeout=600)


async def test_a_lost_node_ends_a_baker(autojump_clock: MockClock, sandbox: Sandbox) -> None:
    async with chain(sandbox) as (node, client):
        async with open_baker(Protocol.BOREAS, node, client) as baker:
            said: list[str] = []
            baker.on_stderr(said.append)
            await node.wait_for_level(3)
            end = baker.expect_exit()
            await node.terminate()
            assert await end == 1
            assert said[-2:] == ["Error:", "  Lost connection with the node"]


async def test_a_chain_begins_some_time_from_now(sandbox: Sandbox) -> None:
    async with open_node(toolchain=sandbox.toolchain, arguments=ALONE) as node, open_client(node) as client:
        before = now(sandbox)
        await client.activate_protocol(Protocol.BOREAS, timestamp=datetime.timedelta(seconds=30))
        header = await node.rpc("get", "/chains/main/blocks/head/header")
        begun = datetime.datetime.fromisoformat(header["timestamp"])
        assert 29 <= (begun - before).total_seconds() <= 32
