"""Votes about protocols: in the sandbox's chain, node and client, and in the scenario."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from accuser import (
    BOOTSTRAP,
    SANDBOX,
    CommandFailed,
    Protocol,
    ScenarioFailed,
    Toolchain,
    open_client,
    open_node,
)
from accuser._mavryk.codec.base58 import Kind, decode
from accuser._mavryk.codec.crypto import Key, Watermark, watermark
from accuser._mavryk.codec.fields import ForgeError
from accuser._mavryk.codec.operations import Operation
from accuser._mavryk.codec.votes import (
    Ballot,
    BallotText,
    Proposals,
    Vote,
)
from accuser._mavryk.protocol import DEMO_PROTOCOL as DEMO
from accuser.sandbox.chain.block import Block
from accuser.sandbox.chain.chain import Chain
from accuser.sandbox.chain.mempool import Class, Mempool
from accuser.sandbox.chain.trace import NodeError
from accuser.scenarios import voting_override
from tests.support.forger import KEYS, activated, bake
from tests.support.kept import remove_kept

DELEGATES = [account.pkh for account in BOOTSTRAP]
BOREAS = Protocol.BOREAS.hash
SHORT: dict[str, Any] = {"blocks_per_cycle": 4, "cycles_per_voting_period": 1}


def signed(chain: Chain, vote: Vote, key: Key | None = None) -> Operation:
    unsigned = Operation(chain.head.hash, (vote,))
    signer = key or KEYS[vote.source]
    signature = signer.sign(unsigned.unsigned_bytes(), watermark=watermark(Watermark.GENERIC))
    return attrs.evolve(unsigned, signature=signature)


def propose(chain: Chain, *votes: tuple[int, str]) -> Block:
    period = chain.head.state.amendment.index
    made = tuple(signed(chain, Proposals(DELEGATES[who], period, (what,))) for who, what in votes)
    return bake(chain, operations=((), made, (), ()))


def ballots(chain: Chain, *votes: BallotText) -> Block:
    now = chain.head.state.amendment
    assert now.proposal is not None
    made = tuple(
        signed(chain, Ballot(pkh, now.index, now.proposal, vote))
        for pkh, vote in zip(DELEGATES, votes, strict=False)
    )
    return bake(chain, operations=((), made, (), ()))


def finish_period(chain: Chain) -> str:
    """Bake to the end of the period; give the kind of the next one."""
    index = chain.head.state.amendment.index
    while chain.head.state.amendment.index == index:
        bake(chain)
    return chain.head.state.amendment.kind


def test_the_binary_forms() -> None:
    branch = "BLockGenesisGenesisGenesisGenesisGenesis23a82evMK9F"
    source = decode(Kind.MV1, DELEGATES[0])
    proposals = Operation(branch, (Proposals(DELEGATES[0], 3, (DEMO, BOREAS)),), bytes(64))
    hashes = decode(Kind.PROTOCOL, DEMO) + decode(Kind.PROTOCOL, BOREAS)
    expected = b"\x05\0" + source + bytes.fromhex("0000000300000040") + hashes + bytes(64)
    assert proposals.to_bytes()[32:] == expected
    ballot = Operation(branch, (Ballot(DELEGATES[0], 3, DEMO, "pass"),), bytes(64))
    expected = b"\x06\0" + source + bytes.fromhex("00000003") + hashes[:32] + b"\x02" + bytes(64)
    assert ballot.to_bytes()[32:] == expected
    for operation in (proposals, ballot):
        assert Operation.from_bytes(operation.to_bytes()) == operation
        assert Operation.from_json(operation.to_json()) == operation
        assert operation.validation_pass == 1
    good = ballot.to_bytes()
    for wrong in (good[:33] + b"\x04" + good[34:], good[:-65] + b"\x03" + good[-64:], good[:50]):
        with pytest.raises(ForgeError):
            Operation.from_bytes(wrong)


def test_a_protocol_is_adopted() -> None:
    chain = activated(Protocol.ATLAS, **SHORT)
    propose(chain, (0, BOREAS), (1, BOREAS), (2, DEMO))
    assert finish_period(chain) == "exploration"
    calendar = chain.head.state.calendar
    assert calendar is not None
    amendment = chain.head.state.amendment
    assert (chain.head.level, amendment.proposal) == (4, BOREAS)
    # A block tells of its own period, though it has prepared the next one.
    now, following = (amendment.info(4, calendar, successor=successor) for successor in (False, True))
    assert now == {
        "voting_period": {"index": 0, "kind": "proposal", "start_position": 0},
        "position": 3,
        "remaining": 0,
    }
    assert following == {
        "voting_period": {"index": 1, "kind": "exploration", "start_position": 4},
        "position": 0,
        "remaining": 3,
    }
    assert amendment.quorum(calendar) == 5500
    ballots(chain, "yay", "yay", "yay")
    assert finish_period(chain) == "cooldown"
    assert finish_period(chain) == "promotion"
    assert chain.head.state.amendment.quorum(calendar) == 5400
    ballots(chain, "yay", "yay", "yay", "yay", "nay")
    assert finish_period(chain) == "adoption"
    assert chain.head.state.protocol == Protocol.ATLAS.hash
    assert finish_period(chain) == "proposal"
    assert (chain.head.level, chain.head.protocol) == (20, Protocol.ATLAS.hash)
    assert (chain.head.state.protocol, chain.head.state.amendment.proposal) == (BOREAS, None)
    assert bake(chain).protocol == BOREAS


def test_nothing_runs_a_protocol_that_was_only_voted_for() -> None:
    chain = activated(Protocol.ATLAS, **SHORT)
    propose(chain, (0, DEMO))
    for _ in range(4):
        if finish_period(chain) in ("exploration", "promotion"):
            ballots(chain, "yay", "yay", "yay", "yay", "yay")
    bake(chain, count=3)
    with pytest.raises(NodeError, match=f"unavailable_protocol.*{DEMO}"):
        bake(chain)


@pytest.mark.parametrize(
    ("votes", "kind"),
    [
        (["yay", "yay"], "proposal"),
        (["yay", "yay", "pass"], "cooldown"),
        (["yay", "yay", "yay", "nay"], "proposal"),
        (["yay", "yay", "yay", "yay", "nay"], "cooldown"),
        (["nay", "nay", "nay"], "proposal"),
    ],
)
def test_a_vote_needs_a_quorum_and_a_supermajority(votes: list[BallotText], kind: str) -> None:
    chain = activated(Protocol.ATLAS, **SHORT)
    propose(chain, (0, BOREAS))
    finish_period(chain)
    ballots(chain, *votes)
    assert finish_period(chain) == kind


def test_a_tie_wins_nothing() -> None:
    chain = activated(Protocol.ATLAS, **SHORT)
    propose(chain, (0, BOREAS), (1, DEMO))
    assert finish_period(chain) == "proposal"
    assert chain.head.state.amendment.index == 1


def test_votes_that_are_refused() -> None:
    chain = activated(Protocol.ATLAS, **SHORT)
    first = DELEGATES[0]

    def judged(vote: Vote, key: Key | None = None) -> tuple[Class, str]:
        entry = Mempool(chain).classify(signed(chain, vote, key))
        return entry.kind, "" if entry.error is None else str(entry.error.trace[-1]["id"]).rpartition(".")[2]

    one = Proposals(first, 0, (DEMO,))
    assert judged(one) == (Class.VALIDATED, "")
    assert judged(one, KEYS[DELEGATES[1]]) == (Class.REFUSED, "invalid_signature")
    late = attrs.evolve(one, period=1)
    assert judged(late) == (Class.BRANCH_DELAYED, "wrong_voting_period_index")
    assert judged(Ballot(first, 0, DEMO, "yay")) == (Class.BRANCH_DELAYED, "wrong_voting_period_kind")
    assert judged(Proposals(first, 0, ())) == (Class.REFUSED, "empty_proposals")
    assert judged(Proposals(first, 0, (DEMO, DEMO))) == (Class.REFUSED, "proposals_contain_duplicate")
    propose(chain, (0, DEMO))
    assert judged(one) == (Class.BRANCH_REFUSED, "already_proposed")
    finish_period(chain)
    assert judged(late) == (Class.BRANCH_DELAYED, "wrong_voting_period_kind")
    assert judged(Ballot(first, 1, BOREAS, "yay")) == (Class.BRANCH_REFUSED, "ballot_for_wrong_proposal")
    ballots(chain, "yay")
    assert judged(Ballot(first, 1, DEMO, "nay")) == (Class.BRANCH_REFUSED, "already_submitted_a_ballot")


def test_one_vote_of_a_delegate_at_a_time() -> None:
    chain = activated(Protocol.ATLAS, **SHORT)
    mempool = Mempool(chain)
    mempool.add(mempool.classify(signed(chain, Proposals(DELEGATES[0], 0, (DEMO,)))))
    second = mempool.classify(signed(chain, Proposals(DELEGATES[0], 0, (BOREAS,))))
    assert second.kind is Class.BRANCH_DELAYED
    assert "conflicting_proposals" in str(second.error)


async def test_the_client_votes_and_the_node_tells() -> None:
    alone = ("--connections 0", "--synchronisation-threshold 0")
    async with open_node(toolchain=SANDBOX, arguments=alone) as node, open_client(node) as client:
        await client.activate_protocol(Protocol.ATLAS)
        for delegate, what in (("bootstrap1", (DEMO, Protocol.BOREAS)), ("bootstrap2", (DEMO,))):
            await client.submit_proposals(*what, delegate=delegate)
        await client.bake_for_and_wait("bootstrap1")
        votes = "/chains/main/blocks/head/votes"
        shown = await node.rpc("get", f"{votes}/proposals")
        assert shown == [[DEMO, "8000000000000"], [BOREAS, "4000000000000"]]
        assert await node.rpc("get", f"{votes}/total_voting_power") == "20000000000000"
        assert await node.rpc("get", f"{votes}/ballots") == {"yay": "0", "nay": "0", "pass": "0"}
        assert await node.rpc("get", f"{votes}/current_proposal") is None
        assert len(await node.rpc("get", f"{votes}/listings")) == 5
        included = await node.rpc("get", "/chains/main/blocks/head/operations/1")
        assert {entry["contents"][0]["kind"] for entry in included} == {"proposals"}
        assert 'Current period: "proposal"\n' in await client.command("show", "voting", "period")
        with pytest.raises(CommandFailed, match="Not in Exploration or Promotion period"):
            await client.submit_ballot(DEMO, "yay", delegate="bootstrap1")
        unknown = "PtParisBxoLz5gzMmn3d9WBQNoPSZakgnkMC2VNuQ3KXfUtUQeZ"
        with pytest.raises(CommandFailed, match="Submission failed because of invalid proposals"):
            await client.submit_proposals(unknown)


@pytest.mark.parametrize(
    "protocol", [Protocol.BOREAS, Protocol.ALPHA], ids=lambda protocol: str(protocol.tag)
)
async def test_voting_and_an_override(toolchain: Toolchain, protocol: Protocol) -> None:
    steps: list[str] = []
    result = await voting_override(toolchain, protocol, report=steps.append)
    assert (result.protocol_before, result.protocol) == ("001-PtAtLas", protocol.long_name)
    assert result.periods == ("proposal", "exploration", "cooldown", "promotion", "adoption")
    assert (result.migration_level, result.voted_for) == (20, DEMO)
    assert (result.included.level, result.included.validation_pass) == (22, 2)
    assert "accuser1 began with the first block of the next proposal period" in steps


async def test_what_is_voted_down_is_not_activated(toolchain: Toolchain) -> None:
    message = "Expected to find period kind cooldown but found proposal"
    with pytest.raises(ScenarioFailed, match=message) as caught:
        await voting_override(toolchain, twin=True)
    remove_kept(caught.value, count=1)
