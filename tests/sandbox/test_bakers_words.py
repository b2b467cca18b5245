"""The command line of bakers, what they say, and their nonces."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from accuser import (
    Baker,
    Client,
    Protocol,
    Sandbox,
    open_baker,
    open_client,
    open_node,
)
from accuser._mavryk.codec.crypto import CHAIN_ID, GENESIS_BLOCK
from accuser.sandbox.baker.nonces import Level, Nonces, nonce_hash
from accuser.sandbox.rpc.request import Request, RpcFailed
from tests.support.living import ALONE, chain

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
    made = Nonces(scripted, tmp_path, CHAIN_ID, random=lambda size: bytes(range(size)))  # type: ignore[arg-type]  # a stand-in for a client
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
