"""What pymavryk reads: what it makes of answers, and every path that it knows."""

from __future__ import annotations

from typing import Final

from pymavryk.rpc.docs import rpc_docs
from pymavryk.sandbox.parameters import LATEST

from .pymavryk_chain import BAKERS, Chain, Steps, complaint

DEMO: Final = "ProtoDemoCounterDemoCounterDemoCounterDemoCou4LSpdT"

ARGUMENTS: Final = {
    "chains": "main",
    "blocks": "head",
    "heads": "main",
    "contracts": BAKERS[0],
    "delegates": BAKERS[0],
    "chain_validators": "main",
    "prevalidators": "main",
    "operations": "0",
    "operation_hashes": "0",
    "operation_metadata_hashes": "0",
    "complete": "B",
    "proposal_count": BAKERS[0],
    "environment": LATEST,
}
"""What stands in paths after these names."""

ABSENT: Final = {
    "/errors": "missing, as the document says",
    "/stats/gc": "missing, as the document says",
    "/network/log": "missing, as the document says",
    "/chains/{}/blocks/{}/context/constants/errors": "missing, as the document says",
    "/chains/{}/blocks/{}/context/merkle_tree": "missing, as the document says",
    "/chains/{}/blocks/{}/context/merkle_tree_v2": "missing, as the document says",
    "/chains/{}/blocks/{}/context/raw/bytes": "missing, as the document says",
    "/chains/{}/blocks/{}/context/raw/json": "missing, as the document says",
    "/chains/{}/blocks/{}/context/smart_rollups/all/inbox": "missing, as the document says",
    "/chains/{}/blocks/{}/context/dal/commitments_history": "not in the specification of Boreas",
    "/chains/{}/blocks/{}/context/dal/published_slot_headers": "not in the specification of Boreas",
    "/health/ready": "not in the specification",
}

REFUSED: Final = {
    f"/chains/{{}}/blocks/{{}}/context/contracts/{{}}/{name}": "Not found"
    for name in ("all_ticket_balances", "entrypoints", "script", "single_sapling_get_diff", "storage")
}
"""What the real node refuses too, since implicit accounts have no scripts; and a word of its error."""


def reads(step: Steps, chain: Chain) -> None:
    """What pymavryk makes of answers, and every path that it knows."""
    shell = chain.shell

    @step
    def blocks() -> None:
        """blocks: by level, offset, hash, range, and date"""
        head = shell.head.header()
        assert shell.blocks[head["level"]].hash() == shell.blocks[head["hash"]].hash() == head["hash"]
        assert shell.blocks[-2].level() == head["level"] - 2
        assert shell.head.predecessor.hash() == head["predecessor"]
        assert len(shell.blocks[head["level"] - 3 :]()[0]) == 4
        assert shell.blocks[-5:][0].level() == head["level"] - 5
        assert shell.blocks(length=3)[0][0] == head["hash"]
        assert shell.blocks(min_date=head["timestamp"])[0] == [head["hash"]]
        assert shell.head.baker()["balance"].isdigit()
        assert shell.blocks.genesis.hash() == shell.blocks[0].hash()

    @step
    def search() -> None:
        """blocks of a cycle; an operation by its hash"""
        assert shell.cycles() == shell.head.cycle()
        assert shell.cycles[shell.cycles()].get_range()[0] > 0
        assert shell.blocks.current_cycle()[0][0] == shell.head.hash()
        sent = chain.using("bootstrap1").transaction(BAKERS[1], 1).send()
        chain.bake()
        assert shell.blocks[-5:].find_operation(sent.opg_hash)["hash"] == sent.opg_hash
        branch = shell.blocks[-3].hash()
        assert shell.get_confirmations(sent.opg_hash, "transaction", branch, "head") == 1

    @step
    def activation() -> None:
        """the parameters of block 1"""
        assert shell.blocks[1].protocol_parameters()["blocks_per_cycle"] == 8

    @step
    def context() -> None:
        """what an execution context asks"""
        one = chain.using("bootstrap1")
        assert one.context.sandboxed is True
        assert one.context.get_protocol() == LATEST
        assert one.context.get_chain_id().startswith("Net")
        assert one.context.get_level() == shell.head.level()
        assert one.context.get_counter() == int(one.account()["counter"]) + 1
        assert one.context.get_counter_offset() == 0
        assert one.now() > 0
        assert one.context.get_min_block_time() == 1
        assert next(shell.contracts[BAKERS[0]].count()) == int(one.account()["counter"]) + 1

    governance(step, chain)
    for path in sorted(rpc_docs):
        if "GET" in rpc_docs[path] and not path.startswith(("/monitor", "/fetch_protocol")):
            read(step, chain, path)


def governance(step: Steps, chain: Chain) -> None:
    """Votes and rights."""
    shell = chain.shell

    @step
    def votes() -> None:
        """votes"""
        assert shell.head.votes.current_period()["voting_period"]["kind"] == "proposal"
        assert shell.head.votes.proposals[DEMO]() == 0
        assert shell.head.operations.find_ballots() == []
        assert shell.head.operations.find_upvotes(DEMO) == []

    @step
    def rights() -> None:
        """rights"""
        level = shell.head.level() - 1
        assert all(one["level"] == level for one in shell.head.helpers.baking_rights(level=level))
        assert shell.head.helpers.baking_rights(delegate=BAKERS[0], _all=True)
        assert shell.head.helpers.attestation_rights(cycle=shell.cycles())


def read(step: Steps, chain: Chain, path: str) -> None:
    """One step for a path that pymavryk knows."""
    if "/raw/json/" in path or "mempool/monitor_operations" in path:
        return
    parts: list[str] = []
    for part in path.split("/")[1:]:
        parts.append(ARGUMENTS.get(parts[-1], "?") if part == "{}" else part)
    asked = "/" + "/".join(parts)
    if "?" in asked:
        return

    def body() -> None:
        said = complaint(lambda: chain.shell.node.get(asked))
        if path in ABSENT:
            assert "Not found" in str(said), said
        elif path in REFUSED:
            assert REFUSED[path] in str(said), said
        else:
            assert said is None, said

    body.__doc__ = f"GET {path}"
    step(body)
