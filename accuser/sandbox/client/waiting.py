"""``bootstrapped``: wait for the node (``src/lib_client_commands/client_helpers_commands.ml``)."""

from __future__ import annotations

from typing import Any

from ..rpc.request import Undecodable
from .context import Context, Failure


async def bootstrapped(context: Context) -> None:
    """Wait until the node knows the chain, and tell of the heads in the meantime. Raises ``RpcFailed``."""
    state = await context.get(f"/chains/{context.chain}/is_bootstrapped")
    if not state["bootstrapped"]:
        context.warning("Waiting for the node to be bootstrapped...")
        async with context.rpc.stream("/monitor/bootstrapped", _head) as heads:
            async for head in heads:
                text = f"Current head: {str(head['block'])[:12]} (timestamp: {head['timestamp']})"
                context.message(text)
    context.message("Node is bootstrapped.")


def _head(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Undecodable("a head is an object")
    return value


async def included(context: Context, operation: str, branch: str) -> None:
    """Wait for an operation to be in a block, and for the confirmations that are wanted.

    Args:
        context: of the command, with the number of confirmations; None for no wait.
        operation: its hash.
        branch: its block, from which on it can be included.

    Raises:
        RpcFailed: the node is gone.
        Failure: its stream of heads ended before.
    """
    if context.confirmations is None:
        context.message(
            "NOT waiting for the operation to be included.\nUse command\n"
            f"  {context.program} wait for {operation} to be included --confirmations 1 --branch {branch}\n"
            "and/or an external block explorer to make sure that it has been included."
        )
        return
    context.message("Waiting for the operation to be included...")
    found: int | None = None
    async with context.rpc.stream(f"/monitor/heads/{context.chain}", _head) as heads:
        async for head in heads:
            if found is None and (place := await _place(context, operation, head["hash"])) is not None:
                found = int(head["level"])
                context.message(
                    f"Operation found in block: {head['hash']} (pass: {place[0]}, offset: {place[1]})"
                )
            if found is not None and int(head["level"]) - found >= context.confirmations:
                return
    raise Failure("The stream of heads ended before the operation was included.")


async def _place(context: Context, operation: str, block: str) -> tuple[int, int] | None:
    """Pass and position of an operation in a block."""
    passes = await context.get(f"/chains/{context.chain}/blocks/{block}/operation_hashes")
    for number, hashes in enumerate(passes):
        if operation in hashes:
            return number, hashes.index(operation)
    return None
