"""The commands of ``mavkit-admin-client``, as upstream words them.

Sources: ``src/lib_client_commands/client_{report,p2p,protocols}_commands.ml``.
"""

from __future__ import annotations

from typing import Final

from ..._mavryk.codec.base58 import Base58Error, Kind, decode
from ..cli.clic import Refused
from ..cli.usage import Command, Option, Param, words
from .addresses import address

REPORT_GROUP: Final = "Commands to report the node's status"
P2P_GROUP: Final = "Commands for monitoring and controlling p2p-layer state"
PROTOCOLS_GROUP: Final = "Commands for managing protocols"

_ADDRESS: Final = Param("address", "<IPv4>:PORT or <IPV6>:PORT address (PORT defaults to 9732).", address)


def _peer(text: str) -> str:
    try:
        decode(Kind.PEER, text)
    except Base58Error:
        what = f'Failed to read a b58check_encoding data (Crypto_box.Public_key_hash): "{text}"'
        raise Refused(what) from None
    return text


_PEER: Final = Param("peer", "peer network identity", _peer)

_P2P: Final[tuple[tuple[str, str, Param, str], ...]] = (
    ("connect", "connect address", _ADDRESS, "Connect to a new point."),
    ("kick", "kick peer", _PEER, "Kick a peer."),
    (
        "ban",
        "ban address",
        _ADDRESS,
        "Add an IP address and all its ports to the blacklist and kicks it. Remove the address from the "
        "whitelist if it was previously in it.",
    ),
    ("unban", "unban address", _ADDRESS, "Remove an IP address and all its ports from the blacklist."),
    (
        "trust",
        "trust address",
        _ADDRESS,
        "Add an IP address to the whitelist. Remove the address from the blacklist if it was previously in "
        "it.",
    ),
    ("untrust", "untrust address", _ADDRESS, "Removes an IP address from the whitelist."),
    ("is_banned", "is address banned", _ADDRESS, "Check if an IP address is banned."),
    ("is_peer_banned", "is peer banned", _PEER, "Check if a peer ID is banned."),
    (
        "ban_peer",
        "ban peer",
        _PEER,
        "Add a peer ID to the blacklist and kicks it. Remove the peer ID from the blacklist if was "
        "previously in it.",
    ),
    ("unban_peer", "unban peer", _PEER, "Removes a peer ID from the blacklist."),
    (
        "trust_peer",
        "trust peer",
        _PEER,
        "Add a peer ID to the whitelist. Remove the peer ID from the blacklist if it was previously in it.",
    ),
    ("untrust_peer", "untrust peer", _PEER, "Remove a peer ID from the whitelist."),
)


def admin_commands() -> tuple[Command, ...]:
    """Commands of the admin client."""
    output = Option("output", "write to a file", "path", "o", default="-")
    heads = "The last heads that have been considered by the node."
    rejected = "The blocks that have been marked invalid by the node."
    return (
        Command("list heads", words("list heads"), heads, (output,), REPORT_GROUP),
        Command("list rejected", words("list rejected blocks"), rejected, (output,), REPORT_GROUP),
        Command("p2p stat", words("p2p stat"), "show global network status", group=P2P_GROUP),
        *(
            Command(name, (*words(text), parameter), doc, group=P2P_GROUP)
            for name, text, parameter, doc in _P2P
        ),
        Command(
            "protocols", words("list protocols"), "List protocols known by the node.", group=PROTOCOLS_GROUP
        ),
    )
