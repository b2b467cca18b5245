"""Whole bakers: networks of them in process, in virtual time, and their command line."""

from __future__ import annotations

import contextlib
import datetime
import json
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from accuser import (
    BOOTSTRAP,
    Accuser,
    Baker,
    Client,
    Node,
    Protocol,
    Sandbox,
    open_accuser,
    open_baker,
    open_client,
    open_node,
    open_sandbox,
)
from accuser._mavryk.codec.crypto import CHAIN_ID, GENESIS_BLOCK
from accuser._stream.event import Event
from accuser.sandbox.baker.nonces import Level, Nonces, nonce_hash
from accuser.sandbox.rpc.request import Request, RpcFailed

ALONE = ("--connections 0", "--synchronisation-threshold 0")
NAMES = [account.alias for account in BOOTSTRAP]


@pytest.fixture
async def sandbox() -> AsyncGenerator[Sandbox]:
    async with open_sandbox() as opened:
        yield opened


def now(sandbox: Sandbox) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(int(sandbox.clock()), datetime.UTC)


@asynccontextmanager
async def chain(
    sandbox: Sandbox, protocol: Protocol = Protocol.BOREAS, **parameters: Any
) -> AsyncGenerator[tuple[Node, Client]]:
    async with open_node(toolchain=sandbox.toolchain, arguments=ALONE) as node, open_client(node) as client:
        await client.activate_protocol(protocol, timestamp=now(sandbox), parameters=parameters or None)
        yield node, client


def evidence(accuser: Accuser) -> list[str]:
    """The names of its denunciations, as they come."""
    found: list[str] = []

    def look(event: Event) -> None:
        if "denounced" in event.name:
            found.append(event.name)

    accuser.on_event(look)
    return found


async def fitness(node: Node, level: int) -> tuple[int, int | None]:
    """Round and locked round of a level's block."""
    header = await node.rpc("get", f"/chains/main/blocks/{level}/header")
    locked = header["fitness"][2]
    return int(header["fitness"][4], 16), int(locked, 16) if locked else None


async def attesters(node: Node, level: int) -> set[int]:
    """The slots of the attestations that a level's block has."""
    operations = await node.rpc("get", f"/chains/main/blocks/{level}/operations/0")
    contents = [operation["contents"][0] for operation in operations]
    return {one["slot"] for one in contents if one["kind"].startswith("attestation")}


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


# The command line


async def run(sandbox: Sandbox, client: Client, *words: str, before: Sequence[str] = ()) -> str:
    """Run a baker that ends by itself; what it says on standard error."""
    from accuser import CommandFailed

    with pytest.raises(CommandFailed) as caught:
        host = sandbox.toolchain.host
        assert host is not None
        await host.run(
            ("mavkit-baker-PtBoreas", "--base-dir", str(client.base_dir), *before, *words),
            name="baker",
            color="",
        )
    assert caught.value.status == 1
    return str(caught.value.stderr)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["run", "remotely"], "Missing liquidity baking toggle vote"),
        (
            ["run", "remotely", "--liquidity-baking-toggle-vote", "maybe"],
            "Wrong value for command line option liquidity-baking-toggle-vote.\n"
            '  unexpected vote: maybe, expected either "on", "off", or "pass".\n',
        ),
        (
            ["run", "remotely", "--votefile", "/nowhere"],
            "Wrong value for command line option votefile.\n"
            '  The provided block vote file path "/nowhere" does not point to an existing file.\n',
        ),
        (["run", "with", "local", "node", "/nowhere"], "Directory doesn't exist: '/nowhere'"),
        (
            ["run", "remotely", "--liquidity-baking-toggle-vote", "on", "nobody"],
            "no public key hash alias named nobody",
        ),
        (
            ["run", "remotely", "--liquidity-baking-toggle-vote", "on", "--state-recorder"],
            "no public key hash alias named --state-recorder",
        ),
    ],
)
async def test_what_a_baker_refuses_at_once(
    autojump_clock: MockClock, sandbox: Sandbox, words: list[str], complaint: str
) -> None:
    async with open_node(toolchain=sandbox.toolchain, arguments=ALONE) as node, open_client(node) as client:
        assert complaint in await run(sandbox, client, *words)


async def test_a_forge_time_that_is_too_long(autojump_clock: MockClock, sandbox: Sandbox) -> None:
    async with chain(sandbox) as (node, client):
        words = ("run", "remotely", "--liquidity-baking-toggle-vote", "on", "--pre-emptive-forge-time", "1")
        said = await run(sandbox, client, *words, before=("--endpoint", node.rpc_endpoint))
        assert "pre-emptive-forge-time must be less than current block time (<= 1.000000 seconds)" in said


async def test_what_a_baker_says(autojump_clock: MockClock, sandbox: Sandbox) -> None:
    async with chain(sandbox) as (node, client):
        lines: list[str] = []
        baker = Baker(Protocol.BOREAS, node, client)
        baker.on_stdout(lines.append)
        async with trio.open_nursery() as nursery:
            await nursery.start(baker.run)
            await node.wait_for_level(3)
            await baker.terminate()
        logs = list(client.base_dir.glob("logs/mavkit-baker-002-PtBoreas/daily-*.log"))
        assert len(logs) == 1
        assert "block_injected" in logs[0].read_text()
    assert lines[:2] == ["Node is bootstrapped.", "Waiting for protocol 002-PtBoreas to start..."]
    assert lines[2].startswith("pre-emptive-forge-time optimization set to 0.150000s. Operation inclusion ")
    assert lines[3].endswith(" for PtBoreasK2KP started.")
    assert lines[4:] == [
        "Fatal error:",
        "  Lwt.Resolution_loop.Canceled",
        "Shutting down the baker...",
    ]


async def test_the_file_of_votes_is_read_for_each_block(
    autojump_clock: MockClock, sandbox: Sandbox, tmp_path: Path
) -> None:
    votes = tmp_path / "votes.json"
    votes.write_text(json.dumps({"liquidity_baking_toggle_vote": "off"}))
    async with chain(sandbox) as (node, client):
        async with open_baker(Protocol.BOREAS, node, client, votefile=votes) as baker:
            name = "vote_for_liquidity_baking_toggle.v0"
            assert await baker.wait_for(name, since=baker.start_mark()) == "off"
            changed = baker.expect(name, lambda vote: vote if vote == "on" else None)
            votes.write_text(json.dumps({"liquidity_baking_toggle_vote": "on"}))
            await changed
            lost = baker.expect("per_block_vote_file_error.v0")
            votes.unlink()
            (error,) = await lost
            assert error["id"] == "baker.002-PtBoreas.Per_block_vote_file.block_vote_file_not_found"
            # It goes on with the last votes.
            assert await baker.wait_for(name) == "on"


async def test_a_broken_file_of_votes_at_the_start(
    autojump_clock: MockClock, sandbox: Sandbox, tmp_path: Path
) -> None:
    votes = tmp_path / "votes.json"
    votes.write_text("{")
    async with open_node(toolchain=sandbox.toolchain, arguments=ALONE) as node, open_client(node) as client:
        said = await run(sandbox, client, "run", "remotely", "--votefile", str(votes))
        assert "block vote file invalid" in said.replace("\n", " ")
        assert "  Missing liquidity baking toggle vote, please use either the" in said
        assert "Error:\n" in said


# Nonces


class ScriptedNode:
    """The node's part in revelations: where the chain is, and what it knows of nonces."""

    def __init__(self) -> None:
        self.now = Level(9, 1)
        self.known: dict[str, Any] = {}
        self.requests: list[Request] = []
        self.refuses = ""

    async def call(self, request: Request) -> Any:
        self.requests.append(request)
        await trio.lowlevel.checkpoint()
        if self.refuses and self.refuses in request.path:
            raise RpcFailed([{"kind": "temporary", "id": "failure", "msg": "no"}], "no")
        if "current_level" in request.path:
            return self.now
        if "context/nonces" in request.path:
            return self.known
        return b"\x01\x02" if "forge" in request.path else "oo1"


@pytest.fixture
def scripted() -> ScriptedNode:
    return ScriptedNode()


@pytest.fixture
def nonces(tmp_path: Path, scripted: ScriptedNode) -> Nonces:
    made = Nonces(scripted, tmp_path, CHAIN_ID, random=lambda size: bytes(range(size)))  # type: ignore[arg-type]
    made.register(made.fresh(), GENESIS_BLOCK, cycle=0, level=4, round=0)
    return made


async def test_a_nonce_is_revealed_in_the_next_cycle(nonces: Nonces, scripted: ScriptedNode) -> None:
    scripted.known = {"hash": nonce_hash(bytes(range(32)))}
    (note,) = await nonces.reveal(GENESIS_BLOCK)
    assert note.name == "revealing_nonce"
    assert note.value == {"level": 4, "chain": CHAIN_ID, "ophash": "oo1"}
    forge, injection = scripted.requests[-2:]
    assert forge.body == {
        "branch": GENESIS_BLOCK,
        "contents": [{"kind": "seed_nonce_revelation", "level": 4, "nonce": bytes(range(32)).hex()}],
    }
    assert injection.body == "0102" + "00" * 64
    assert json.loads(nonces.path.read_text())[0]["state"] == {"injection_level": 9}
    # Once more after more than two levels, if it is still missing.
    for level, name in ((10, "nothing_to_reveal"), (11, "nothing_to_reveal"), (12, "revealing_nonce")):
        scripted.now = Level(level, 1)
        assert [note.name for note in await nonces.reveal(GENESIS_BLOCK)] == [name]


@pytest.mark.parametrize(
    ("cycle", "known", "names", "kept"),
    [
        (0, {}, ["nothing_to_reveal"], 1),
        (1, {"nonce": "00"}, ["revealed_nonce", "nothing_to_reveal"], 0),
        (1, {}, ["unexpected_nonce", "nothing_to_reveal"], 0),
        (2, {}, ["outdated_nonce", "nothing_to_reveal"], 0),
    ],
)
async def test_nonces_that_are_not_revealed(
    nonces: Nonces, scripted: ScriptedNode, cycle: int, known: dict[str, str], names: list[str], kept: int
) -> None:
    scripted.now, scripted.known = Level(9, cycle), known
    assert [note.name for note in await nonces.reveal(GENESIS_BLOCK)] == names
    assert len(json.loads(nonces.path.read_text())) == kept


async def test_what_keeps_nonces_from_being_revealed(nonces: Nonces, scripted: ScriptedNode) -> None:
    scripted.known = {"hash": nonce_hash(bytes(range(32)))}
    for path, name in (
        ("context/nonces", "cannot_retrieve_unrevealed_nonces"),
        ("injection", "cannot_inject_nonces"),
    ):
        scripted.refuses = path
        assert name in [note.name for note in await nonces.reveal(GENESIS_BLOCK)]
    scripted.refuses = ""
    assert (await nonces.reveal(GENESIS_BLOCK))[0].name == "revealing_nonce"
    nonces.path.write_text("{")
    assert [note.name for note in await nonces.reveal(GENESIS_BLOCK)] == ["cannot_read_nonces"]
