"""The sandbox's client, against a sandbox node in the same process."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from accuser._http.server import serve_connection
from accuser._mavryk.codec.base58 import Kind, encode
from accuser._mavryk.codec.crypto import (
    ACTIVATOR,
    BOOTSTRAP,
    CHAIN_ID,
    GENESIS_TIME,
    Watermark,
    key_of_secret,
    payload_hash,
    verify,
    watermark,
)
from accuser._mavryk.codec.forge import BlockHeader, ProtocolData
from accuser._mavryk.codec.operations import Consensus
from accuser._mavryk.protocol import Protocol
from accuser.sandbox.client import main as client
from accuser.sandbox.client.json_text import pretty
from accuser.sandbox.client.wallet import Wallet, WalletError
from accuser.sandbox.node import routes
from accuser.sandbox.node.node import Node
from accuser.sandbox.node.p2p import PeerNetwork
from tests.support.forger import double_baking, header

STARTED = GENESIS_TIME + 1000
"""Time of the first block."""

SILENT = {client.DISCLAIMER_VARIABLE: "Y"}
PEER_ID = "idqcxV37FD1DYHwNa3g32uACvsg3S8"
PARAMETERS = {
    "bootstrap_accounts": [[key.public_key, "4000000000000"] for key in BOOTSTRAP],
    "consensus_threshold": 0,
}
OTHER_SECRET = "edsk3RFgDiCt7tWB2oe96w1eRw72iYiiqZPLu9nnEY23MYRp2d8Kkx"


@attrs.frozen
class Outcome:
    """What a command left."""

    status: int
    stdout: str
    stderr: str


@attrs.define(eq=False)
class World:
    """A node, and a client with a wallet."""

    node: Node
    connect: Callable[[], Any]
    base_dir: Path
    wall: Callable[[], float]
    environ: dict[str, str] = attrs.Factory(lambda: dict(SILENT))

    async def run(self, *arguments: str, program: str = "mavkit-client") -> Outcome:
        stdout, stderr = io.StringIO(), io.StringIO()
        status = await client.run(
            ["--base-dir", str(self.base_dir), *arguments],
            program=program,
            stdout=stdout,
            stderr=stderr,
            environ=self.environ,
            connect_to=lambda _: self.connect,
            wall=self.wall,
        )
        return Outcome(status, stdout.getvalue(), stderr.getvalue())

    async def ok(self, *arguments: str, program: str = "mavkit-client") -> str:
        outcome = await self.run(*arguments, program=program)
        assert (outcome.status, outcome.stderr) == (0, "")
        return outcome.stdout

    async def activate(self, **overrides: object) -> str:
        file = self.base_dir / "parameters.json"
        file.write_text(json.dumps({**PARAMETERS, **overrides}))
        return await self.ok(
            *("activate", "protocol", Protocol.BOREAS.hash, "with", "fitness", "1"),
            *("and", "key", "activator", "and", "parameters", str(file)),
            *("--timestamp", "2025-08-14T11:35:03Z"),
        )

    @property
    def head(self) -> Any:
        return self.node.chain.head

    @property
    def data(self) -> ProtocolData:
        return ProtocolData.from_bytes(self.head.header.protocol_data)

    def pending(self) -> list[Any]:
        return [entry.operation for entry in self.node.mempool.entries.values()]


def write_wallet(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    keys = (ACTIVATOR, *BOOTSTRAP)
    for name, values in {
        "public_key_hashs": [key.pkh for key in keys],
        "public_keys": [f"unencrypted:{key.public_key}" for key in keys],
        "secret_keys": [f"unencrypted:{key.secret_key}" for key in keys],
    }.items():
        entries = [{"name": key.alias, "value": value} for key, value in zip(keys, values, strict=True)]
        (folder / name).write_text(json.dumps(entries))


@asynccontextmanager
async def world(
    tmp_path: Path, wall: Callable[[], float] = lambda: STARTED + 86400.0
) -> AsyncIterator[World]:
    node = Node(PEER_ID, clock=wall)
    async with trio.open_nursery() as nursery:
        handler = routes.router(node, PeerNetwork(node, nursery, 9732, False))

        async def connect() -> trio.abc.Stream:
            await trio.lowlevel.checkpoint()
            ours, theirs = trio.testing.memory_stream_pair()
            nursery.start_soon(serve_connection, theirs, handler)
            return ours

        write_wallet(tmp_path / "client")
        yield World(node, connect, tmp_path / "client", wall)
        nursery.cancel_scope.cancel()


# Activation


async def test_activation_makes_the_first_block(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        printed = await w.activate()
        assert w.head.level == 1
        assert printed == f"Injected {w.head.hash[:12]}\n"
        assert w.head.header.shell.timestamp == STARTED
        assert w.head.state.protocol == Protocol.BOREAS.hash
        assert w.head.state.calendar.parameters.raw == PARAMETERS


async def test_activation_with_another_key_is_refused(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        (tmp_path / "p.json").write_text(json.dumps(PARAMETERS))
        outcome = await w.run(
            *("activate", "protocol", Protocol.BOREAS.hash, "with", "fitness", "1"),
            *("and", "key", "bootstrap1", "and", "parameters", str(tmp_path / "p.json")),
            *("--timestamp", "2025-08-14T11:35:03Z"),
        )
        assert outcome.status == 1
        assert outcome.stderr.startswith("Error:\n")
        assert "invalid_signature" in outcome.stderr
        assert w.head.level == 0


@pytest.mark.parametrize(
    ("position", "value", "complaint"),
    [
        (2, "PtNoSuch", "Failed to read a Protocol_hash"),
        (5, "-1", "Cannot provide a negative int32"),
        (5, "one", "Cannot read int32"),
        (8, "nobody", "no secret_key alias named nobody"),
        (11, "/no/such/file", "File doesn't exist: '/no/such/file'"),
        (13, "yesterday", "Could not parse value provided to -timestamp option"),
    ],
)
async def test_wrong_arguments_of_activation(
    tmp_path: Path, position: int, value: str, complaint: str
) -> None:
    (tmp_path / "p.json").write_text("{}")
    words = [
        *("activate", "protocol", Protocol.BOREAS.hash, "with", "fitness", "1", "and", "key", "activator"),
        *("and", "parameters", str(tmp_path / "p.json"), "--timestamp", "2025-08-14T11:35:03Z"),
    ]
    words[position] = value
    async with world(tmp_path) as w:
        outcome = await w.run(*words)
    assert outcome.status == 1
    assert complaint in outcome.stderr
    assert "Usage:" in outcome.stderr


@pytest.mark.parametrize("content", ["[1]", "not json", "{}"])
async def test_parameters_that_cannot_be_used(tmp_path: Path, content: str) -> None:
    (tmp_path / "p.json").write_text(content)
    async with world(tmp_path) as w:
        outcome = await w.run(
            *("activate", "protocol", Protocol.BOREAS.hash, "with", "fitness", "1"),
            *("and", "key", "activator", "and", "parameters", str(tmp_path / "p.json")),
        )
        assert outcome.status == 1
        assert outcome.stderr.startswith("Error:\n  ")
        assert w.head.level == 0


async def test_commands_follow_the_protocol_of_the_head(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        outcome = await w.run("bake", "for", "bootstrap1")
        assert outcome.status == 1
        assert outcome.stderr.startswith("Error:\n  Unrecognized command.\n")
        await w.activate()
        outcome = await w.run("activate", "protocol", Protocol.BOREAS.hash)
        assert outcome.status == 1
        assert outcome.stderr.startswith("Error:\n  Unrecognized command.\n")


# Baking


async def bake(w: World, *words: str) -> Outcome:
    outcome = await w.run("bake", "for", *words)
    assert outcome.status == 0, outcome.stderr
    return outcome


def check_block(block: Any) -> None:
    """The hashes and the signature that a block of the protocol carries."""
    header: BlockHeader = block.header
    data = ProtocolData.from_bytes(header.protocol_data)
    signer = next(key for key in BOOTSTRAP if key.pkh == block.baker.pkh)
    signed = header.shell.to_bytes() + data.unsigned_bytes()
    mark = watermark(Watermark.BLOCK, CHAIN_ID)
    assert verify(signer.public_key, data.signature, signed, watermark=mark)
    hashes = [operation.hash for passed in block.operations[1:] for operation in passed]
    assert data.payload_hash == payload_hash(header.shell.predecessor, data.payload_round, hashes)


async def test_bake_at_minimal_timestamps(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.activate()
        for level in (2, 3, 4, 5):
            previous = w.head
            outcome = await bake(w, "bootstrap1", "--minimal-timestamp")
            assert outcome.stdout == "Injected block at minimal timestamp\n"
            assert w.head.level == level
            assert w.head.baker.pkh == BOOTSTRAP[0].pkh
            check_block(w.head)
            calendar = w.head.state.calendar
            rounds = [r for r in range(256) if calendar.baker(level, r).pkh == BOOTSTRAP[0].pkh]
            assert w.head.round == rounds[0]
            parameters = calendar.parameters
            expected = parameters.timestamp(previous.header.shell.timestamp, previous.round, rounds[0])
            assert w.head.header.shell.timestamp == expected


async def test_a_baker_attests_what_it_bakes_upon(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.activate()
        await bake(w, "bootstrap1", "--minimal-timestamp")
        assert w.head.operations[0] == ()
        attested = w.head
        await bake(w, "bootstrap1", "--minimal-timestamp")
        (attestation,) = w.head.operations[0]
        data = ProtocolData.from_bytes(attested.header.protocol_data)
        slot = attested.state.calendar.slots(2)[BOOTSTRAP[0].pkh][0]
        expected = Consensus("attestation", slot, 2, attested.round, data.payload_hash)
        assert attestation.content == expected
        assert attestation.branch == w.node.chain.genesis.hash


async def test_commitments_are_made_where_they_are_due(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.activate(blocks_per_commitment=4)
        commitments = []
        for _ in range(4):
            await bake(w, "--minimal-timestamp")
            commitments.append(w.data.seed_nonce_hash)
        assert [commitment is not None for commitment in commitments] == [False, False, True, False]


async def test_count_and_no_delegate(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.activate()
        outcome = await bake(w, "--minimal-timestamp", "--count", "3")
        assert outcome.stdout == "Injected block at minimal timestamp\n" * 3
        assert w.head.level == 4
        # With all keys, the first round is always one of ours.
        assert w.head.round == 0


async def test_the_mempool_and_a_pool_go_into_the_block(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.activate()
        await bake(w, "bootstrap1", "--minimal-timestamp")
        await w.run("attest", "for", "bootstrap2", "--force")
        (vote,) = w.pending()
        pool = tmp_path / "pool.json"
        pool.write_text(json.dumps([vote.to_json(), {"branch": "no operation"}]))
        await bake(w, "bootstrap3", "--minimal-timestamp", "--ignore-node-mempool")
        assert vote not in w.head.operations[0]
    (tmp_path / "again").mkdir()
    async with world(tmp_path / "again") as w:
        await w.activate()
        await bake(w, "bootstrap1", "--minimal-timestamp")
        await bake(
            w, "bootstrap3", "--minimal-timestamp", "--ignore-node-mempool", "--operations-pool", str(pool)
        )
        assert vote in w.head.operations[0]
        await bake(w, "bootstrap3", "--minimal-timestamp", "--operations-pool", "/no/such/file")
        assert w.head.level == 4


async def test_the_denounced_neither_bakes_nor_votes(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with world(tmp_path) as w:
        await w.activate()
        await bake(w, "bootstrap1", "--minimal-timestamp")
        first = w.head
        second = header(w.node.chain, w.node.chain.predecessor(first), round=first.round, vote="on")
        pool = tmp_path / "pool.json"
        pool.write_text(json.dumps([double_baking(first.header, second, first.hash).to_json()]))
        await bake(w, "bootstrap2", "--minimal-timestamp", "--operations-pool", str(pool))
        assert w.head.state.is_forbidden(BOOTSTRAP[0].pkh)
        text = (
            f"Delegate {BOOTSTRAP[0].pkh} has committed too many misbehaviours; it is temporarily not "
            "allowed to bake/preattest/attest."
        )
        outcome = await w.run("bake", "for", "bootstrap1", "--minimal-timestamp")
        assert outcome == Outcome(1, "", f"Error:\n  {text}\n")
        capfd.readouterr()
        for word in ("attest", "preattest"):
            await w.run(word, "for", "bootstrap1", "--force")
            assert "has committed too many misbehaviours;" in capfd.readouterr().err
        assert w.pending() == []
        await bake(w, "bootstrap2", "--minimal-timestamp")
        assert w.head.level == 4


async def test_nobody_bakes_twice_unless_forced(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    async with world(tmp_path) as w:
        await w.activate()
        await bake(w, "bootstrap1", "--minimal-timestamp")
        first = w.head
    async with world(tmp_path) as w:
        await w.activate()
        outcome = await w.run("bake", "for", "bootstrap1", "--minimal-timestamp")
        mark = f"level: 2, round: {first.round}"
        text = f"A block with a higher watermark than the current one ({mark}) was previously baked."
        assert outcome == Outcome(1, "", f"Error:\n  {text}\n")
        assert w.head.level == 1
        assert "potential double baking detected at level 2" in capfd.readouterr().err
        await bake(w, "bootstrap1", "--minimal-timestamp", "--force")
        assert w.head.level == 2


async def test_a_block_that_the_node_refuses(tmp_path: Path) -> None:
    # The node's clock is long before the chain's: the block is in the future.
    async with world(tmp_path) as w:
        await w.activate()
        w.node.clock = lambda: STARTED - 1e6
        outcome = await w.run("bake", "for", "bootstrap1", "--minimal-timestamp")
        assert outcome.status == 1
        assert outcome.stderr.startswith("Error:\n  ")
        assert "Injected" not in outcome.stdout


async def test_without_rights_there_is_no_block(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.activate()
        outcome = await w.run("bake", "for", "activator", "--minimal-timestamp")
        text = "Fatal error:\n  No potential baking slot for the given delegates.\n"
        assert outcome == Outcome(1, "", text)
        outcome = await w.run("bake", "for", "activator")
        assert outcome.stderr == "Fatal error:\n  No baking slot found for the delegates\n"


async def test_too_little_voting_power(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.activate(consensus_threshold=256)
        await bake(w, "--minimal-timestamp")
        outcome = await w.run("bake", "for", "bootstrap1", "--minimal-timestamp")
        power = len(w.head.state.calendar.slots(2)[BOOTSTRAP[0].pkh])
        text = f"Delegates do not have enough voting power. Only {power} is available while 256 is required."
        assert outcome == Outcome(1, "", f"Fatal error:\n  {text}\n")
        await bake(w, "--minimal-timestamp")
        assert w.head.level == 3


async def test_rounds_follow_the_clock(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    def wall() -> float:
        return STARTED + 10.5 + trio.current_time() - start

    start = trio.current_time()
    async with world(tmp_path, wall) as w:
        await w.activate()
        before = trio.current_time()
        outcome = await bake(w)
        block = w.head
        assert wall() >= block.header.shell.timestamp > STARTED + 10.5
        assert trio.current_time() > before
        assert outcome.stdout == (
            f"Waiting until {block.header.shell.to_json()['timestamp']} for round {block.round}\n"
            f"Last injected block: {block.hash} (level 2)\n"
        )


async def test_an_unknown_alias(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.activate()
        outcome = await w.run("bake", "for", "bootstrap9", "--minimal-timestamp")
        assert outcome.status == 1
        assert "  no public key hash alias named bootstrap9\n" in outcome.stderr
        stranger = key_of_secret(OTHER_SECRET).pkh
        outcome = await w.run("bake", "for", stranger)
        assert outcome == Outcome(1, "", f"Error:\n  Unknown secret key for {stranger}\n")


async def test_events_of_a_bake(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.activate()
        w.environ["MAVRYK_EVENTS_CONFIG"] = f"file-descriptor-path://{tmp_path}/events?level-at-least=notice"
        await bake(w, "bootstrap1", "--minimal-timestamp")
        lines = (tmp_path / "events").read_text().splitlines()
        (value,) = [
            item["fd-sink-item.v0"]["event"]["block_injected.v0"]
            for item in map(json.loads, lines)
            if "block_injected.v0" in item["fd-sink-item.v0"]["event"]
        ]
        assert value["block"] == w.head.hash
        assert (value["level"], value["round"]) == (2, w.head.round)
        assert value["delegate"]["delegate"] == BOOTSTRAP[0].pkh


# Proposing


async def test_propose_at_the_next_level(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.activate()
        await bake(w, "bootstrap1", "--minimal-timestamp")
        previous = w.head
        outcome = await w.run("propose", "for", "bootstrap1", "--minimal-timestamp")
        assert w.head.level == 3
        assert outcome.stdout == f"Proposed block at round {w.head.round} on top of {previous.hash} \n"
        assert w.head.operations[0] == ()


async def test_propose_again_when_votes_are_missing(tmp_path: Path) -> None:
    now = STARTED + 86400.0
    async with world(tmp_path, lambda: now) as w:
        await w.activate(consensus_threshold=256)
        await bake(w, "--minimal-timestamp")
        first = w.head
        now = float(first.header.shell.timestamp)
        outcome = await w.run("propose", "for")
        assert outcome.stderr == (
            "Fatal error:\n  Cannot propose: there's already a valid proposal for the current round 0\n"
        )
        now += 1.5
        outcome = await w.run("propose", "for")
        assert outcome.stdout == "Reproposed block at level 2 on round 1\n"
        assert (w.head.level, w.head.round) == (2, 1)
        assert w.head.header.shell.predecessor == first.header.shell.predecessor


# Voting


@pytest.mark.parametrize("kind", ["attestation", "preattestation"])
async def test_votes_for_the_head(tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    verb = kind.replace("ation", "")
    async with world(tmp_path) as w:
        await w.activate()
        await bake(w, "bootstrap1", "--minimal-timestamp")
        await bake(w, "bootstrap1", "--minimal-timestamp")
        head, key = w.head, BOOTSTRAP[1]
        outcome = await w.run(verb, "for", "bootstrap2", "--force")
        assert outcome == Outcome(0, f"{verb.capitalize()}ing for:\n  bootstrap2 ({key.pkh})\n", "")
        (operation,) = w.pending()
        content = operation.content
        slot = head.state.calendar.slots(3)[key.pkh][0]
        assert content == Consensus(kind, slot, 3, head.round, w.data.payload_hash)  # type: ignore[arg-type]
        mark = watermark(content.watermark, CHAIN_ID)
        signed = operation.unsigned_bytes()
        assert verify(key.public_key, operation.signature, signed, watermark=mark)
        # One block below the predecessor, which may still be replaced.
        assert operation.branch == w.node.chain.resolve("head~2").hash
        assert operation.hash in capfd.readouterr().err


async def test_a_vote_is_given_once(tmp_path: Path) -> None:
    now = STARTED + 86400.0
    async with world(tmp_path, lambda: now) as w:
        await w.activate()
        await bake(w, "--minimal-timestamp")
        now = w.head.header.shell.timestamp + 0.5
        await w.ok("attest", "for", "bootstrap2")
        (first,) = w.pending()
        await w.ok("attest", "for", "bootstrap2")
        assert w.pending() == [first]


async def test_votes_only_for_the_current_round(tmp_path: Path) -> None:
    now = STARTED + 86400.0
    async with world(tmp_path, lambda: now) as w:
        await w.activate()
        await bake(w, "bootstrap1", "--minimal-timestamp")
        outcome = await w.run("attest", "for", "bootstrap2")
        assert outcome == Outcome(1, "", "Fatal error:\n  Cannot attest an outdated proposal\n")
        now = float(STARTED)
        outcome = await w.run("preattest", "for", "bootstrap2")
        assert outcome == Outcome(1, "", "Fatal error:\n  Cannot preattest an invalid proposal\n")
        assert w.pending() == []


async def test_a_refused_vote_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    async with world(tmp_path) as w:
        await w.activate()
        await bake(w, "bootstrap1", "--minimal-timestamp")
        w.node.use_mempool = False
        outcome = await w.run("attest", "for", "bootstrap2", "--force")
        assert outcome.status == 0
        text = " ".join(line.split(": ", 1)[-1].strip() for line in capfd.readouterr().err.splitlines())
        assert "failed to inject attestation for bootstrap2" in text


# The wallet


async def test_import_and_list(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        key = key_of_secret(OTHER_SECRET)
        printed = await w.ok("import", "secret", "key", "alice", f"unencrypted:{OTHER_SECRET}")
        assert printed == f"Mavryk address added: {key.pkh}\n"
        listed = await w.ok("list", "known", "addresses")
        assert f"alice: {key.pkh} (unencrypted sk known)\n" in listed
        assert len(listed.splitlines()) == 7
        shown = await w.ok("show", "address", "alice", "--show-secret")
        assert shown == (
            f"Hash: {key.pkh}\nPublic Key: {key.public_key}\nSecret Key: unencrypted:{OTHER_SECRET}\n"
        )
        assert "Secret" not in await w.ok("show", "address", "alice")
        outcome = await w.run("import", "secret", "key", "alice", f"unencrypted:{ACTIVATOR.secret_key}")
        assert outcome.status == 1
        assert "The secret_key alias alice already exists.\n" in outcome.stderr
        await w.ok("import", "secret", "key", "alice", f"unencrypted:{ACTIVATOR.secret_key}", "--force")
        assert Wallet(w.base_dir).address("alice") == ACTIVATOR.pkh


async def test_what_cannot_be_imported(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        for secret, complaint in (
            ("ledger://x", "uri scheme not supported: ledger"),
            (BOOTSTRAP[0].secret_key, "has no scheme"),
            ("unencrypted:edskNo", "Cannot read the secret key"),
            (f"unencrypted:{BOOTSTRAP[0].secret_key}", "this public_key is already aliased as bootstrap1"),
        ):
            outcome = await w.run("import", "secret", "key", "alice", secret)
            assert outcome.status == 1
            assert complaint in outcome.stderr
        assert "alice" not in await w.ok("list", "known", "addresses")
        outcome = await w.run("show", "address", "alice")
        assert outcome == Outcome(1, "", "Error:\n  no public key hash alias named alice\n")


def test_marks_never_go_down(tmp_path: Path) -> None:
    wallet, (one, two) = Wallet(tmp_path), (BOOTSTRAP[0].pkh, BOOTSTRAP[1].pkh)
    assert wallet.may_sign(CHAIN_ID, "blocks", [one], 5, 1) == [one]
    assert wallet.may_sign(CHAIN_ID, "blocks", [one, two], 5, 1) == [two]
    assert wallet.may_sign(CHAIN_ID, "attestations", [one], 5, 1) == [one]
    assert wallet.may_sign(CHAIN_ID, "blocks", [one], 4, 9, force=True) == [one]
    assert wallet.may_sign(CHAIN_ID, "blocks", [one], 5, 0) == []
    assert wallet.may_sign(CHAIN_ID, "blocks", [one], 5, 2) == [one]
    marks = json.loads((tmp_path / f"{CHAIN_ID}_highwatermarks").read_text())
    assert marks["blocks"][0] == {"delegate": one, "highwatermark": {"round": 2, "level": 5}}
    assert marks["preattestations"] == []


@pytest.mark.parametrize("content", ["{", '[{"name": 1}]', "[3]"])
def test_a_spoilt_wallet_is_said_to_be_one(tmp_path: Path, content: str) -> None:
    (tmp_path / "public_key_hashs").write_text(content)
    with pytest.raises(WalletError, match="alias file"):
        Wallet(tmp_path).address("bootstrap1")


# Requests


async def test_rpc(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        printed = await w.ok("rpc", "get", "/chains/main/blocks/head/header")
        assert json.loads(printed)["hash"] == w.head.hash
        assert printed == pretty(json.loads(printed)) + "\n"
        assert await w.ok("rpc", "get", "chains/main/chain_id") == f'"{CHAIN_ID}"\n'
        body = json.dumps({"acl": "trust"})
        point = "/network/points/127.0.0.1:1000"
        assert json.loads(await w.ok("rpc", "patch", point, "with", body))["trusted"] is True
        (tmp_path / "body.json").write_text('{"acl": "open"}')
        printed = await w.ok("rpc", "patch", point, "with", f"file:{tmp_path}/body.json")
        assert json.loads(printed)["trusted"] is False


@pytest.mark.parametrize(
    ("words", "stderr"),
    [
        (("get", "/no/such/path"), "Fatal error:\n  No service found at this URL\n  \n"),
        (("get", "/chains/main/blocks/head~9/hash"), "Fatal error:\n  No service found at this URL\n  \n"),
        (("post", "/injection/block", "with", "{"), "Fatal error:\n  Failed to parse the provided json: "),
        (("post", "/injection/operation", "with", '"00"'), "Fatal error:\n  Command failed: "),
        (("post", "/injection/operation", "with", "3"), "Fatal error:\n  Unexpected server answer\n"),
        (("post", "/x", "with", "file:/no/such/file"), "Error:\n  cannot read file ("),
    ],
)
async def test_rpc_failures(tmp_path: Path, words: tuple[str, ...], stderr: str) -> None:
    async with world(tmp_path) as w:
        outcome = await w.run("rpc", *words)
    assert (outcome.status, outcome.stdout) == (1, "")
    assert outcome.stderr.startswith(stderr)


async def test_a_node_that_is_not_there(tmp_path: Path) -> None:
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
    await listener.aclose()
    async with world(tmp_path) as w:
        w.connect = None  # type: ignore[assignment]
        reason = (
            "  Rpc request failed:\n     - meth: GET\n     - uri: {}\n"
            "     - error: Unable to connect to the node: "
            '"Unix.Unix_error(Unix.ECONNREFUSED, "connect", "")"\n'
        )
        outcome = await w.run("--endpoint", url, "rpc", "get", "/version")
        assert outcome == Outcome(1, "", "Error:\n" + reason.format(f"{url}/version"))
        outcome = await w.run("--endpoint", url, "bake", "for", "bootstrap1")
        assert outcome.status == 1
        head = "Warning:\n  Failed to acquire the protocol version from the node\n"
        assert outcome.stderr.startswith(head + reason.format(f"{url}/chains/main/blocks/head/protocols"))
        assert "\nError:\n  Unrecognized command.\n" in outcome.stderr


@pytest.mark.parametrize("path", ["header", "helpers/validators", "context/constants"])
async def test_a_node_that_talks_nonsense(tmp_path: Path, path: str) -> None:
    async with world(tmp_path) as w:
        await w.activate()
        honest = w.connect

        async def connect() -> trio.abc.Stream:
            return _Distorted(await honest(), path.encode())

        w.connect = connect
        outcome = await w.run("bake", "for", "bootstrap1", "--minimal-timestamp")
    assert (outcome.status, outcome.stdout) == (1, "")
    assert outcome.stderr.startswith(f"Fatal error:\n  The node's answer to {path.split('/')[-1]} cannot be")


class _Distorted(trio.abc.Stream):
    """A connection that gives another answer where the path of the request has some words."""

    def __init__(self, inner: trio.abc.Stream, words: bytes) -> None:
        self._inner = inner
        self._words = words
        self._distort = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self._distort = self._words in bytes(data).partition(b"\r\n")[0]
        await self._inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        if self._distort:
            self._distort = False
            return b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 7\r\n\r\n["odd"]'
        return await self._inner.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self._inner.aclose()


async def test_requests_are_logged_on_demand(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        outcome = await w.run("--log-requests", "--timings", "rpc", "get", "/chains/main/chain_id")
        assert outcome.stdout == f'"{CHAIN_ID}"\n'
        url = "http://localhost:8732/chains/main/chain_id"
        assert outcome.stderr.startswith(f">>>>0: GET {url}\n<<<<0: 200")
        assert f"Request to {url} succeeded in " in outcome.stderr


# The admin client


async def test_addresses(tmp_path: Path) -> None:
    async with world(tmp_path) as w:

        async def admin(*words: str) -> str:
            return await w.ok(*words, program="./mavkit-admin-client")

        async def trusted() -> bool:
            answer = json.loads(await w.ok("rpc", "get", "/network/points/127.0.0.1:1234"))
            return bool(answer["trusted"])

        assert await admin("trust", "address", "127.0.0.1:1234") == "Address 127.0.0.1:1234 is now trusted.\n"
        assert await trusted()
        printed = await admin("untrust", "address", "127.0.0.1:1234")
        assert printed == "Address 127.0.0.1:1234 is now untrusted.\n"
        assert not await trusted()
        assert await admin("ban", "address", "127.0.0.1:1234") == "Address 127.0.0.1:* is now banned.\n"
        assert await admin("unban", "address", "127.0.0.1") == "Address 127.0.0.1:* is now unbanned.\n"
        printed = await admin("is", "address", "banned", "127.0.0.1:1234")
        assert printed == "The given ip address is not banned\n"
        assert await admin("kick", "peer", PEER_ID) == f"Connection to {PEER_ID} interrupted.\n"
        assert Protocol.ALPHA.hash in (await admin("list", "protocols")).splitlines()


async def test_connect(tmp_path: Path) -> None:
    async with world(tmp_path) as w, trio.open_nursery() as nursery:
        other = Node(encode(Kind.PEER, bytes(16)), clock=w.wall)
        network = PeerNetwork(other, nursery, 9733, False)
        listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
        nursery.start_soon(trio.serve_listeners, network.accept, [listener])
        point = f"127.0.0.1:{listener.socket.getsockname()[1]}"
        words = ("connect", "address", point)
        assert await w.ok(*words, program="mavkit-admin-client") == f"Connection to {point} established.\n"
        assert list(w.node.peers) == [other.peer_id]
        outcome = await w.run(*words, program="mavkit-admin-client")
        assert outcome == Outcome(0, "", f"Already connected to peer {point}\n")
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("address", ["", ":1", "a:b", "127.0.0.1:99999", "[::1", "::1:2"])
async def test_no_address(tmp_path: Path, address: str) -> None:
    async with world(tmp_path) as w:
        outcome = await w.run("trust", "address", address, program="mavkit-admin-client")
    assert outcome.status == 1
    assert "Failed to parse the address" in outcome.stderr


# Command lines


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--no-such-option", "rpc", "get", "/"), "Unexpected command line option --no-such-option."),
        (("rpc", "get", "/", "--no-such-option"), "Unexpected command line option --no-such-option."),
        (("do", "this"), "Unrecognized command."),
        (("rpc", "get"), "Unterminated command, here are possible completions."),
        (("list", "known", "addresses", "more"), "Extra command line arguments:"),
        (("--media-type", "xml", "rpc", "get", "/"), "Wrong value for command line option --media-type."),
    ],
)
async def test_wrong_command_lines(tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    async with world(tmp_path) as w:
        outcome = await w.run(*words)
    assert (outcome.status, outcome.stdout) == (1, "")
    assert outcome.stderr.startswith(f"Error:\n  {message}\n")
    assert "Usage:\n  mavkit-client [global options]" in outcome.stderr


async def test_commands_of_the_other_program(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.activate()
        outcome = await w.run("trust", "address", "127.0.0.1:1")
        assert outcome.stderr.startswith("Error:\n  Unrecognized command.\n")
        outcome = await w.run("bake", "for", "bootstrap1", program="mavkit-admin-client")
        assert outcome.stderr.startswith("Error:\n  Unrecognized command.\n")


async def test_help(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        assert await w.ok("--version") == f"{client.VERSION}\n"
        assert (await w.ok("--help")).startswith("Usage:\n")
        await w.activate()
        assert "--minimal-timestamp" in await w.ok("bake", "for", "--help")
        manual = await w.ok("man")
        assert "bake for [<baker>...]" in manual
        assert "rpc get <url>" in manual
        assert "bake for" not in await w.ok("man", "rpc")
        assert await w.ok("list", "understood", "protocols") == (
            "ProtoGenesis\nPtAtLasdzXg4\nPtBoreasK2KP\nProtoALphaAL\n"
        )


async def test_no_base_directory(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.base_dir = tmp_path / "nowhere"
        outcome = await w.run("rpc", "get", "/version")
        text = "Specified --base-dir does not exist. Please create the directory and try again."
        assert outcome == Outcome(1, "", f"Error:\n  {text}\n")


async def test_the_disclaimer(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.environ.clear()
        outcome = await w.run("rpc", "get", "/chains/main/chain_id")
        assert outcome == Outcome(0, f'"{CHAIN_ID}"\n', client.DISCLAIMER)
        assert "NOT the Mavryk Mainnet" in client.DISCLAIMER


async def test_another_protocol_than_the_nodes(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.activate()
        outcome = await w.run("--protocol", Protocol.ATLAS.hash, "bake", "for", "--minimal-timestamp")
        assert outcome.status == 0
        assert outcome.stderr == (
            "Warning:\n  The protocol provided via `--protocol` (PtAtLasdzXg4)\n"
            "  is not the one retrieved from the node (PtBoreasK2KP).\n\n"
        )


async def test_as_a_process(tmp_path: Path) -> None:
    async with world(tmp_path) as w, trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listeners[0].socket.getsockname()[1]

        async def serve(stream: trio.SocketStream) -> None:
            there = await w.connect()
            async with trio.open_nursery() as both:
                both.start_soon(_pump, stream, there)
                await _pump(there, stream)
                both.cancel_scope.cancel()

        nursery.start_soon(trio.serve_listeners, serve, listeners)
        command = [sys.executable, "-m", "accuser.sandbox", "mavkit-client"]
        words = ["--endpoint", f"http://127.0.0.1:{port}", "--base-dir", str(w.base_dir)]
        completed = await trio.run_process(
            [*command, *words, "rpc", "get", "/chains/main/chain_id"],
            capture_stdout=True,
            capture_stderr=True,
            env={**SILENT, "PYTHONPATH": str(Path(client.__file__).parents[2])},
        )
        assert (completed.stdout.decode(), completed.stderr.decode()) == (f'"{CHAIN_ID}"\n', "")
        nursery.cancel_scope.cancel()


async def _pump(source: trio.abc.Stream, sink: trio.abc.Stream) -> None:
    async with source, sink:
        try:
            while data := await source.receive_some():
                await sink.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return


# The text of JSON


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({}, "{}"),
        ([], "[]"),
        (None, "null"),
        (2.0, "2"),
        (0.25, "0.25"),
        ('a"b\n\u00e9', '"a\\"b\\n\u00e9"'),
        ({"a": 1, "b": [True, None]}, '{ "a": 1, "b": [ true, null ] }'),
        (["x" * 30, "y" * 30, 1], f'[ "{"x" * 30}", "{"y" * 30}", 1 ]'),
        (["x" * 30, "y" * 38, 1], f'[ "{"x" * 30}", "{"y" * 38}",\n  1 ]'),
        (["x" * 30, "y" * 39, 1], f'[ "{"x" * 30}",\n  "{"y" * 39}", 1 ]'),
        (["x" * 70], f'[ "{"x" * 70}" ]'),
        (["x" * 40, "y" * 40, 1], f'[ "{"x" * 40}",\n  "{"y" * 40}", 1 ]'),
        (
            {"header": {"level": 8, "predecessor": "B" * 60, "proto": 1}},
            '{ "header":\n    { "level": 8,\n      "predecessor":\n'
            f'        "{"B" * 60}",\n      "proto": 1 }} }}',
        ),
    ],
)
def test_pretty(value: object, text: str) -> None:
    assert pretty(value) == text


def test_pretty_is_json_again() -> None:
    deep: object = "x"
    for _ in range(60):
        deep = {"field": [deep, {"other": "y" * 20}]}
    assert json.loads(pretty(deep)) == deep
