"""The client activates and bakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from accuser._mavryk.codec.base58 import Kind, decode
from accuser._mavryk.codec.crypto import (
    ACTIVATOR,
    BOOTSTRAP,
    CHAIN_ID,
    Watermark,
    key_of_secret,
    payload_hash,
    verify,
    watermark,
)
from accuser._mavryk.codec.forge import BlockHeader, ProtocolData
from accuser._mavryk.codec.operations import Consensus
from accuser._mavryk.protocol import Protocol
from accuser.sandbox.chain.activation import Activation
from accuser.sandbox.chain.chain import Chain
from accuser.sandbox.chain.trace import NodeError
from tests.support.clients import (
    OTHER_SECRET,
    PARAMETERS,
    STARTED,
    Outcome,
    bake,
    world,
)
from tests.support.forger import double_baking, header

# Activation


async def test_activation_makes_the_first_block(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        printed = await w.activate()
        assert w.head.level == 1
        assert printed == f"Injected {w.head.hash[:12]}\n"
        assert w.head.header.shell.timestamp == STARTED
        assert w.head.state.protocol == Protocol.BOREAS.hash
        assert w.head.state.calendar.parameters.raw == PARAMETERS


async def test_block_one_is_signed_under_the_watermark_of_genesis(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.activate()
        command = Activation.from_bytes(w.head.header.protocol_data)
        signed = command.signed_part(w.head.header.shell)
        chain = decode(Kind.CHAIN, CHAIN_ID)
        assert verify(ACTIVATOR.public_key, command.signature, signed, watermark=b"\x01" + chain)
        other = attrs.evolve(command, signature=ACTIVATOR.sign(signed, watermark=b"\x11" + chain))
        with pytest.raises(NodeError) as refused:
            Chain().add(attrs.evolve(w.head.header, protocol_data=other.to_bytes()), ())
        assert "invalid_signature" in str(refused.value.trace)


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
