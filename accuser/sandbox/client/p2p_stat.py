"""``p2p stat``: traffic, connections, peers and points of a node.

Source: ``src/lib_client_commands/client_p2p_commands.ml``, ``src/lib_p2p_services``.
"""

from __future__ import annotations

from typing import Any, Final

from .context import Context, unreadable
from .p2p import point_text

_PEER_SIGNS: Final = {"running": "⚌", "accepted": "⚎", "disconnected": "⚏"}
_POINT_SIGNS: Final = {"running": "⚌", "accepted": "⚍", "requested": "⚎", "disconnected": "⚏"}


async def stat(context: Context) -> None:
    """Print it all. Raises ``RpcFailed`` and ``Failure``."""
    total = await context.get("/network/stat")
    connections = await context.get("/network/connections")
    peers = await context.get("/network/peers")
    points = await context.get("/network/points")
    try:
        connections = sorted(connections, key=lambda one: not one["incoming"])
        lines = ["GLOBAL STATS", f"  {_traffic(total)}", "CONNECTIONS"]
        lines += [f"  {_connection(one)}" for one in connections]
        lines += ["KNOWN PEERS", *(f"  {_peer(peer, info)}" for peer, info in peers)]
        lines += ["KNOWN POINTS", *(f"  {_known_point(point, info)}" for point, info in points)]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise unreadable("network", error) from error
    context.message("\n".join(lines))


def _connection(one: Any) -> str:
    direction = "↘" if one["incoming"] else "↗"
    host, port = str(one["id_point"]["addr"]).removeprefix("::ffff:"), one["id_point"].get("port", 0)
    version = one["announced_version"]
    versions = f"{version['distributed_db_version']} (p2p: {version['p2p_version']})"
    private = " private" if one.get("private") else ""
    point = point_text((host, port))
    return f"{direction} {one['peer_id']} {point} ({version['chain_name']}.{versions}){private}"


def _peer(peer: str, info: Any) -> str:
    sign = _PEER_SIGNS[info["state"]]
    return f"{sign}  {info['score']:.0f} {peer} {_traffic(info['stat'])} {_star(info)}"


def _known_point(point: str, info: Any) -> str:
    kind = info["state"]["event_kind"]
    begin, end = f"{_POINT_SIGNS[kind]}  {point}", _star(info)
    if kind == "running":
        return f"{begin} {info['state']['p2p_peer_id']} {end}"
    if seen := info.get("last_seen"):
        return f"{begin} (last seen: {seen[0]} {seen[1]}) {end}"
    return f"{begin} {end}"


def _star(info: Any) -> str:
    return "★" if info.get("trusted") else " "


def _traffic(stat: Any) -> str:
    sent, received = _size(int(stat["total_sent"])), _size(int(stat["total_recv"]))
    return f"↗ {sent} ({_size(stat['current_outflow'])}/s) ↘ {received} ({_size(stat['current_inflow'])}/s)"


def _size(count: int) -> str:
    for power, unit in ((40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "kiB")):
        if count >= 1 << power:
            return f"{count / (1 << power):.2f} {unit}"
    return f"{count} B"
