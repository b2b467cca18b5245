"""Whether money is conserved on a network: a block shows what it issues or burns, and nothing else does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..sandbox.chain.block import Block


def lost_money(blocks: Mapping[str, Block]) -> Iterator[str]:
    """What is wrong with the money of blocks.

    Args:
        blocks: all of a network, by hash, each after the one below it.
    """
    for block in blocks.values():
        ledger, below = block.state.ledger, blocks.get(block.predecessor)
        if ledger.held() != ledger.supply:
            owned = f"{ledger.held()} mumav are owned, and {ledger.supply} are there"
            yield f"supply: in block {block.hash} {owned}"
        # A protocol that begins may issue what no block shows.
        if below is None or below.state.protocol != block.state.protocol:
            continue
        change, shown = ledger.supply - below.state.ledger.supply, issued(block)
        if change != shown:
            yield f"supply: block {block.hash} changed it by {change} mumav, and shows {shown}"


def issued(block: Block) -> int:
    """What a block added to the supply, by its receipts."""
    updates = [*block.updates, *block.subsidy]
    for metadata in block.results.values():
        for content in metadata:
            updates += content.get("balance_updates", [])
            result = content.get("operation_result", {})
            # What was backtracked is shown too.
            updates += result.get("balance_updates", []) if result.get("status") == "applied" else []
    return -sum(int(each["change"]) for each in updates if each["kind"] in ("minted", "burned"))
