"""Peers and points of a node (``src/lib_client_commands/client_p2p_commands.ml``)."""

from __future__ import annotations

from typing import Final

from ..rpc.request import RpcFailed
from .addresses import Address
from .context import Context

CONNECT_TIMEOUT: Final = 10
"""Seconds that the node may take to connect."""

SHORT_PEER: Final = 12
"""Characters of an identity that stand in messages."""


def point_text(where: Address) -> str:
    """An address as messages and paths have it."""
    host, port = where
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _host(where: Address) -> str:
    return where[0]


async def connect(context: Context, where: Address) -> None:
    """Make the node connect to another. Raises ``RpcFailed``."""
    point = point_text(where)
    try:
        await context.call("PUT", f"/network/points/{point}?timeout={CONNECT_TIMEOUT}", {})
    except RpcFailed as error:
        first = str(error.trace[0].get("id", "")) if error.trace and isinstance(error.trace[0], dict) else ""
        if first.endswith("pending_connection"):
            context.warning(f"Already connecting to peer {where[0]}")
        elif first.endswith(".connected"):
            context.warning(f"Already connected to peer {where[0]}")
        else:
            raise
    else:
        context.message(f"Connection to {point} established.")


async def _set_rule(context: Context, path: str, acl: str, told: str) -> None:
    await context.call("PATCH", f"/network/{path}", {"acl": acl})
    context.message(told)


async def trust(context: Context, where: Address) -> None:
    """Let the node trust a point."""
    point = point_text(where)
    await _set_rule(context, f"points/{point}", "trust", f"Address {point} is now trusted.")


async def untrust(context: Context, where: Address) -> None:
    point = point_text(where)
    await _set_rule(context, f"points/{point}", "open", f"Address {point} is now untrusted.")


async def ban(context: Context, where: Address) -> None:
    """Refuse an address, whatever its port, and leave it."""
    point = point_text((where[0], 0))
    await _set_rule(context, f"points/{point}", "ban", f"Address {_host(where)}:* is now banned.")


async def unban(context: Context, where: Address) -> None:
    point = point_text((where[0], 0))
    await _set_rule(context, f"points/{point}", "open", f"Address {_host(where)}:* is now unbanned.")


async def is_banned(context: Context, where: Address) -> None:
    """Say whether an address is banned."""
    banned = await context.get(f"/network/points/{point_text(where)}/banned")
    context.message(f"The given ip address is {'banned' if banned else 'not banned'}")


async def _set_rule_of_peer(context: Context, peer: str, acl: str, told: str) -> None:
    await _set_rule(context, f"peers/{peer}", acl, f"The peer {peer[:SHORT_PEER]} is now {told}.")


async def trust_peer(context: Context, peer: str) -> None:
    """Let the node trust a peer wherever it is."""
    await _set_rule_of_peer(context, peer, "trust", "trusted")


async def untrust_peer(context: Context, peer: str) -> None:
    await _set_rule_of_peer(context, peer, "open", "untrusted")


async def ban_peer(context: Context, peer: str) -> None:
    """Refuse a peer wherever it is, and leave it."""
    await _set_rule_of_peer(context, peer, "ban", "banned")


async def unban_peer(context: Context, peer: str) -> None:
    await _set_rule_of_peer(context, peer, "open", "unbanned")


async def is_peer_banned(context: Context, peer: str) -> None:
    """Say whether a peer is banned."""
    banned = await context.get(f"/network/peers/{peer}/banned")
    context.message(f"The given peer ID is {'banned' if banned else 'not banned'}")


async def kick(context: Context, peer: str) -> None:
    """End the connection to a peer."""
    await context.call("DELETE", f"/network/connections/{peer}")
    context.message(f"Connection to {peer} interrupted.")
