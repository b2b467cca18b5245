"""A network of a node's own: the sandbox one, with what its users decide about protocols.

Facts: ``tezt/lib_tezos/node.ml`` (``Config_file``), ``src/lib_node_config/config_file.ml``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final

from . import base58_patterns
from .accounts import ACTIVATOR
from .protocol import GENESIS_PROTOCOL, Protocol

Upgrades = Mapping[int, "Protocol | str"]
"""User-activated upgrades: what follows the block of a level."""
Overrides = Mapping["Protocol | str", "Protocol | str"]
"""User-activated protocol overrides: what is activated in place of a protocol."""

_HASH: Final = re.compile(base58_patterns.PROTOCOL)

_MAX_LEVEL: Final = 2**31 - 1

_SANDBOX: Final = {
    "genesis": {
        "timestamp": "2025-08-14T11:18:23Z",
        "block": "BLockGenesisGenesisGenesisGenesisGenesis23a82evMK9F",
        "protocol": GENESIS_PROTOCOL,
    },
    "genesis_parameters": {"values": {"genesis_pubkey": ACTIVATOR.public_key}},
    "chain_name": "MAVRYK",
    "sandboxed_chain_name": "SANDBOXED_MAVRYK",
}
"""What ``--network sandbox`` stands for."""


def network_file(upgrades: Upgrades, overrides: Overrides) -> str | None:
    """The content of a file for ``config init --network FILE``; None if the users want nothing.

    Raises:
        ValueError: a level is none, or a protocol is neither a `Protocol` nor a hash.
    """
    if not upgrades and not overrides:
        return None
    for level in upgrades:
        if isinstance(level, bool) or not isinstance(level, int) or not 1 <= level <= _MAX_LEVEL:
            raise ValueError(f"upgrades are told by level, a whole number from 1 on, and not by {level!r}")
    network = {
        **_SANDBOX,
        "user_activated_upgrades": [
            {"level": level, "replacement_protocol": _hash(upgrades[level])} for level in sorted(upgrades)
        ],
        "user_activated_protocol_overrides": [
            {"replaced_protocol": _hash(old), "replacement_protocol": _hash(new)}
            for old, new in overrides.items()
        ],
    }
    return json.dumps(network, indent=2) + "\n"


def _hash(protocol: Protocol | str) -> str:
    if isinstance(protocol, Protocol):
        return protocol.hash
    if not isinstance(protocol, str) or not _HASH.fullmatch(protocol):
        raise ValueError(f"a protocol is a Protocol or its hash, as in 'PtBoreas...', and not {protocol!r}")
    return protocol
