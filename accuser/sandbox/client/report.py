"""``list heads`` and ``list rejected blocks`` (``src/lib_client_commands/client_report_commands.ml``)."""

from __future__ import annotations

from ..rpc.error_text import describe
from .context import Context, unreadable


async def heads(context: Context) -> str:
    """The hashes of the heads that the node knows, one a line. Raises ``RpcFailed`` and ``Failure``."""
    answer = await context.get("/chains/main/blocks")
    try:
        return "\n".join(str(block) for branch in answer for block in branch)
    except TypeError as error:
        raise unreadable("blocks", error) from error


async def rejected(context: Context) -> str:
    """What blocks the node has found invalid, and why. Raises ``RpcFailed`` and ``Failure``."""
    answer = await context.get("/chains/main/invalid_blocks")
    try:
        if not answer:
            return "No invalid blocks."
        lines = []
        for invalid in answer:
            lines += [f"Hash: {invalid['block']}", f"  Level: {invalid['level']}", "  Error:"]
            for error in invalid["errors"]:
                lines += [f"    {line}" for line in describe(error).split("\n")]
        return "\n".join(lines)
    except (KeyError, TypeError) as error:
        raise unreadable("invalid_blocks", error) from error
